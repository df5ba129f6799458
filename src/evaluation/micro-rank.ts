import { type Ranking, rankingOf } from "./ranking.ts";
import { deviationOf, meanOf } from "./statistics.ts";
import type { TraceVisits } from "./visits.ts";
import { type CaseFigures, operationKey, serviceOfKey, type WindowFigures } from "./window-figures.ts";

/** As published: damping, weight of calls against traces, rounds. */
const damping = 0.85;
const callWeight = 0.01;
const rounds = 25;
/** Deviations above the mean that an operation may take without making its trace anomalous. */
const sigmas = 1.5;

/**
 * Written from the description of MicroRank (WWW 2021): traces that took longer than their operations usually take are
 * anomalous; personalised PageRank over operations and traces weighs each operation among anomalous and among normal
 * traces; Ochiai's formula compares both. Own time stands for the duration of an operation, so that the sum over a trace is
 * the time that it should take. Where the incident has no normal traces, those of the baseline are.
 */
export function microRankLike({ incident, baseline }: CaseFigures): Ranking {
  const expected = expectedNanos(baseline.traces.length > 0 ? baseline : incident);
  const isAnomalous = (trace: TraceVisits): boolean => lengthOf(trace) > expectedOf(trace, expected);
  const anomalous = incident.traces.filter(isAnomalous).map(pathsOf);
  const calm = incident.traces.filter((trace) => !isAnomalous(trace));
  const normal = (calm.length > 0 ? calm : baseline.traces).map(pathsOf);
  const [weightsBad, weightsGood] = [pageRank(anomalous, true), pageRank(normal, false)];
  const [countsBad, countsGood] = [coverage(anomalous), coverage(normal)];
  const scores = new Map<string, number>();
  for (const [operation, weight] of weightsBad) {
    const nef = countsBad.get(operation) ?? 0;
    const oef = weight * nef;
    const onf = weight * (anomalous.length - nef);
    const oep = (weightsGood.get(operation) ?? 0) * (countsGood.get(operation) ?? 0);
    const ochiai = oef / Math.sqrt((oep + oef) * (oef + onf));
    const service = serviceOfKey(operation);
    scores.set(service, Math.max(ochiai, scores.get(service) ?? 0));
  }
  return rankingOf(scores);
}

/** What one trace covers. */
interface Paths {
  /** each once, sorted */
  readonly operations: readonly string[];
  readonly calls: readonly (readonly [caller: string, callee: string])[];
}

/** By operation, the longest own time that is usual. */
function expectedNanos({ ofOperation }: WindowFigures): ReadonlyMap<string, number> {
  return new Map(
    [...ofOperation].map(([operation, visits]) => {
      const own = visits.map((visit) => visit.own + visit.gap);
      return [operation, meanOf(own) + sigmas * deviationOf(own)];
    }),
  );
}

/** An operation that was never seen before is expected to take no time. */
function expectedOf({ visits }: TraceVisits, expected: ReadonlyMap<string, number>): number {
  return visits.reduce((sum, visit) => sum + (expected.get(operationKey(visit)) ?? 0), 0);
}

function lengthOf({ visits }: TraceVisits): number {
  const first = visits.reduce((least, { start }) => Math.min(least, start), Number.POSITIVE_INFINITY);
  return visits.reduce((most, { end }) => Math.max(most, end), first) - first;
}

function pathsOf({ visits }: TraceVisits): Paths {
  const keys = visits.map(operationKey);
  const calls = new Map<string, readonly [string, string]>();
  for (const [index, { caller }] of visits.entries()) {
    const [from, to] = [keys[caller], keys[index] as string];
    if (from !== undefined) calls.set(`${from}\u0000${to}`, [from, to]);
  }
  return { operations: [...new Set(keys)].sort(), calls: [...calls.values()] };
}

function coverage(paths: readonly Paths[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { operations } of paths)
    for (const operation of operations) counts.set(operation, (counts.get(operation) ?? 0) + 1);
  return counts;
}

/** The weight of each operation, the highest is 1. */
function pageRank(paths: readonly Paths[], isBad: boolean): ReadonlyMap<string, number> {
  const counts = coverage(paths);
  const preference = preferences(paths, isBad);
  const callees = new Map<string, Set<string>>();
  for (const { calls } of paths)
    for (const [caller, callee] of calls) callees.set(caller, (callees.get(caller) ?? new Set()).add(callee));
  let ofOperation = new Map([...counts.keys()].map((operation) => [operation, 1]));
  let ofTrace = paths.map(() => 1);
  for (let round = 0; round < rounds; round += 1) {
    const next = new Map([...counts.keys()].map((operation) => [operation, 0]));
    const add = (operation: string, weight: number): void => {
      next.set(operation, (next.get(operation) ?? 0) + weight);
    };
    for (const [index, { operations }] of paths.entries())
      for (const operation of operations)
        add(operation, (damping * (ofTrace[index] ?? 0)) / operations.length);
    for (const [caller, called] of callees)
      for (const callee of called)
        add(callee, (damping * callWeight * (ofOperation.get(caller) ?? 0)) / called.size);
    const nextOfTrace = paths.map(({ operations }, index) => {
      const reached = operations.reduce(
        (sum, operation) => sum + (ofOperation.get(operation) ?? 0) / (counts.get(operation) ?? 1),
        0,
      );
      return damping * reached + (1 - damping) * (preference[index] ?? 0);
    });
    const highest = largest(next.values());
    ofOperation = new Map([...next].map(([operation, weight]) => [operation, weight / highest]));
    const highestTrace = largest(nextOfTrace);
    ofTrace = nextOfTrace.map((weight) => weight / highestTrace);
  }
  return ofOperation;
}

function largest(weights: Iterable<number>): number {
  let most = 0;
  for (const weight of weights) most = Math.max(most, weight);
  return most;
}

/** Traces of a rare kind (what they cover) say more; among anomalous ones also those that cover little. They sum up to 1. */
function preferences(paths: readonly Paths[], isBad: boolean): readonly number[] {
  const kinds = new Map<string, number>();
  const kindOf = ({ operations }: Paths): string => operations.join("\u0001");
  for (const each of paths) kinds.set(kindOf(each), (kinds.get(kindOf(each)) ?? 0) + 1);
  const rare = shares(paths.map((each) => 1 / (kinds.get(kindOf(each)) ?? 1)));
  if (!isBad) return rare;
  const short = shares(paths.map(({ operations }) => 1 / operations.length));
  return rare.map((share, index) => (share + (short[index] ?? 0)) / 2);
}

function shares(values: readonly number[]): readonly number[] {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.map((value) => value / sum);
}
