import { mapEntry } from "../base/map-entry.ts";
import { type Ranking, rankingOf } from "./ranking.ts";
import { deviationOf, meanOf } from "./statistics.ts";
import { nanosOf, type TraceVisits, type Visit } from "./visits.ts";
import type { CaseFigures } from "./window-figures.ts";

/** Deviations from the mean that make a call anomalous. */
const sigmasMin = 3;
/** A feature is of use where the mean deviation exceeds this multiple of the usual one, plus one. */
const usefulFactor = 2;
/** A service in a smaller share of the anomalous traces is no pattern of them. */
const supportMin = 0.1;

/** What is looked at of a call; each with the least spread that it is taken to have. */
const features: readonly { readonly of: (visit: Visit) => number; readonly spreadMin: number }[] = [
  { of: nanosOf, spreadMin: 1 },
  { of: ({ failed }) => (failed ? 1 : 0), spreadMin: 0.01 },
];

/**
 * Written from the description of TraceRCA (IWQoS 2021): calls far from the mean of their caller and callee make a trace
 * anomalous; a service counts by how well it tells anomalous traces from others, times how much oftener calls into it are
 * anomalous than calls out of it.
 */
export function traceRcaLike({ incident, baseline }: CaseFigures): Ranking {
  const norms = normsOf(baseline.traces, incident.traces);
  const sides = new Map<string, Side>();
  const sideOf = (service: string): Side => {
    const known = sides.get(service) ?? { traces: 0, anomalous: 0, into: 0, outOf: 0 };
    sides.set(service, known);
    return known;
  };
  let anomalousTraces = 0;
  for (const trace of incident.traces) {
    const into = new Set<string>();
    const outOf = new Set<string>();
    for (const visit of trace.visits) {
      if (!isAnomalous(visit, norms.get(pairOf(trace, visit)) ?? [])) continue;
      into.add(visit.service);
      const caller = trace.visits[visit.caller];
      if (caller !== undefined) outOf.add(caller.service);
    }
    if (into.size > 0) anomalousTraces += 1;
    for (const service of new Set(trace.visits.map((visit) => visit.service))) {
      const side = sideOf(service);
      side.traces += 1;
      if (into.size > 0) side.anomalous += 1;
    }
    for (const service of into) sideOf(service).into += 1;
    for (const service of outOf) sideOf(service).outOf += 1;
  }
  return rankingOf(
    [...sides].map(([service, { traces, anomalous, into, outOf }]) => {
      const support = anomalous / anomalousTraces;
      const confidence = anomalous / traces;
      if (!(support >= supportMin)) return [service, 0];
      return [service, Math.abs(into - outOf) / (1 / support + 1 / confidence - 1)];
    }),
  );
}

/** How many traces have the service, are anomalous with it, and have an anomalous call into or out of it. */
interface Side {
  traces: number;
  anomalous: number;
  into: number;
  outOf: number;
}

/** What is usual of one useful feature. */
interface Norm {
  readonly of: (visit: Visit) => number;
  readonly mean: number;
  readonly spread: number;
}

function pairOf({ visits }: TraceVisits, { caller, service }: Visit): string {
  return `${visits[caller]?.service ?? ""}\u0000${service}`;
}

function isAnomalous(visit: Visit, norms: readonly Norm[]): boolean {
  return norms.some((norm) => deviationFrom(norm, visit) > sigmasMin);
}

function deviationFrom({ of, mean, spread }: Norm, visit: Visit): number {
  return Math.abs(of(visit) - mean) / spread;
}

/** By caller and callee, the features that stand out in the incident. */
function normsOf(
  baseline: readonly TraceVisits[],
  incident: readonly TraceVisits[],
): ReadonlyMap<string, readonly Norm[]> {
  const [before, now] = [byPair(baseline), byPair(incident)];
  const norms = new Map<string, readonly Norm[]>();
  for (const [pair, usual] of before) {
    const visits = now.get(pair);
    if (visits === undefined) continue;
    const useful = features.flatMap(({ of, spreadMin }): readonly Norm[] => {
      const values = usual.map(of);
      const norm = { of, mean: meanOf(values), spread: Math.max(spreadMin, deviationOf(values)) };
      const deviation = (side: readonly Visit[]): number =>
        meanOf(side.map((visit) => deviationFrom(norm, visit)));
      return deviation(visits) > usefulFactor * deviation(usual) + 1 ? [norm] : [];
    });
    norms.set(pair, useful);
  }
  return norms;
}

function byPair(traces: readonly TraceVisits[]): ReadonlyMap<string, readonly Visit[]> {
  const pairs = new Map<string, Visit[]>();
  for (const trace of traces)
    for (const visit of trace.visits) mapEntry(pairs, pairOf(trace, visit), () => []).push(visit);
  return pairs;
}
