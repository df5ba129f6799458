import { mapEntry } from "../base/map-entry.ts";
import { quantileOfUnsorted } from "../base/quantile.ts";
import { type Ranking, rankingOf } from "./ranking.ts";
import { nanosOf, type Visit } from "./visits.ts";
import { type CaseFigures, operationKey, serviceOfKey, type WindowFigures } from "./window-figures.ts";

// One figure of each service, in the incident against the baseline.

/** Fewer visits of an operation on a side say nothing about its 95th percentile. */
const visitsMin = 3;

/** What is told as shorter was below what its clock could tell. */
const shortestNanos = 1000;

/** Knows nothing: all services are tied, so that each has the rank to be expected of chance. */
export function random({ incident }: CaseFigures): Ranking {
  return rankingOf(incident.services.map((service) => [service, 1]));
}

/** The largest rise of the share of failed requests. */
export function errorRateDelta({ incident, baseline }: CaseFigures): Ranking {
  const ratio = (visits: readonly Visit[] | undefined): number =>
    visits === undefined ? 0 : visits.filter(({ failed }) => failed).length / visits.length;
  return rankingOf(
    [...incident.ofService].map(([service, visits]) => [
      service,
      ratio(visits) - ratio(baseline.ofService.get(service)),
    ]),
  );
}

/** The largest factor between the 95th percentiles of durations; without any baseline, the longest one. */
export function p95Ratio({ incident, baseline }: CaseFigures): Ranking {
  const p95 = (visits: readonly Visit[]): number => quantileOfUnsorted(visits.map(nanosOf), 0.95);
  return rankingOf(
    [...incident.ofService].map(([service, visits]) => {
      if (baseline.traces.length === 0) return [service, p95(visits)];
      const factor = p95(visits) / Math.max(shortestNanos, p95(baseline.ofService.get(service) ?? []));
      return [service, factor > 1 ? factor : 0];
    }),
  );
}

/** The largest rise of the 95th percentile of time in which a service waited for nothing that was seen at work. */
export function selfTimeP95({ incident, baseline }: CaseFigures): Ranking {
  return largestRise(incident, baseline, selfTimes);
}

/** The same, with the time between caller and callee told of the callee. */
export function selfGap({ incident, baseline }: CaseFigures): Ranking {
  return largestRise(incident, baseline, ownAndGap);
}

/** Where errors began (failed spans without a failed child), per trace, beyond what was usual. */
export function deepestError({ incident, baseline }: CaseFigures): Ranking {
  const perTrace = ({ ofService, traces }: WindowFigures, service: string): number =>
    (ofService.get(service) ?? []).reduce((sum, { errorOrigins }) => sum + errorOrigins, 0) /
    Math.max(1, traces.length);
  return rankingOf(
    incident.services.map((service) => [service, perTrace(incident, service) - perTrace(baseline, service)]),
  );
}

/** The largest rise of CPU use; without any baseline, the highest use. */
export function cpuGain({ incident, baseline }: CaseFigures): Ranking {
  return rankingOf(
    [...incident.cpu].map(([service, cpu]) => [service, cpu - (baseline.cpu.get(service) ?? 0)]),
  );
}

/** No difference in numbers of calls is surer than this deviation allows: calls that never varied are no proof. */
const callDeviationMin = 0.1;

/** The surest change in how often an operation makes one of its calls for one request, up or down, in standard errors. */
export function callStructure({ incident, baseline }: CaseFigures): Ranking {
  const before = callCounts(baseline);
  const scores = new Map<string, number>();
  for (const [operation, now] of callCounts(incident)) {
    const usual = before.get(operation);
    if (usual === undefined || now.visits < visitsMin || usual.visits < visitsMin) continue;
    for (const call of new Set([...now.calls.keys(), ...usual.calls.keys()]))
      raise(scores, serviceOfKey(operation), Math.abs(changeOf(call, usual, now)));
  }
  return rankingOf(scores);
}

/** How often the visits of an operation made each of their calls. */
interface CallCounts {
  visits: number;
  /** by the operation that was called */
  readonly calls: Map<string, { sum: number; squares: number }>;
}

function callCounts({ traces }: WindowFigures): ReadonlyMap<string, CallCounts> {
  const byOperation = new Map<string, CallCounts>();
  for (const { visits } of traces) {
    const made: Map<string, number>[] = visits.map(() => new Map());
    for (const visit of visits) {
      const calls = made[visit.caller];
      calls?.set(operationKey(visit), (calls.get(operationKey(visit)) ?? 0) + 1);
    }
    for (const [index, visit] of visits.entries()) {
      const counts = byOperation.get(operationKey(visit)) ?? { visits: 0, calls: new Map() };
      byOperation.set(operationKey(visit), counts);
      counts.visits += 1;
      for (const [call, count] of made[index] ?? []) {
        const { sum, squares } = counts.calls.get(call) ?? { sum: 0, squares: 0 };
        counts.calls.set(call, { sum: sum + count, squares: squares + count ** 2 });
      }
    }
  }
  return byOperation;
}

/** The change of a mean count over its standard error under one common distribution. */
function changeOf(call: string, before: CallCounts, now: CallCounts): number {
  const [a, b] = [before, now].map(({ calls }) => calls.get(call) ?? { sum: 0, squares: 0 });
  if (a === undefined || b === undefined) return 0;
  const visits = before.visits + now.visits;
  const mean = (a.sum + b.sum) / visits;
  const variance = (a.squares + b.squares) / visits - mean ** 2;
  const error = Math.sqrt(Math.max(variance, callDeviationMin ** 2) * (1 / before.visits + 1 / now.visits));
  return (b.sum / now.visits - a.sum / before.visits) / error;
}

type ByOperation = ReadonlyMap<string, readonly number[]>;

/** One trace has no more visits to show: it is held against the baseline all the same. */
function largestRise(
  incident: WindowFigures,
  baseline: WindowFigures,
  measure: (side: WindowFigures) => ByOperation,
): Ranking {
  const usual = measure(baseline);
  const nowMin = Math.min(visitsMin, incident.traces.length);
  const scores = new Map<string, number>();
  for (const [key, now] of measure(incident)) {
    const before = usual.get(key) ?? [];
    if (usual.size > 0 && (now.length < nowMin || before.length < visitsMin)) continue;
    raise(
      scores,
      serviceOfKey(key),
      quantileOfUnsorted(now, 0.95) - (usual.size > 0 ? quantileOfUnsorted(before, 0.95) : 0),
    );
  }
  return rankingOf(scores);
}

function raise(scores: Map<string, number>, service: string, score: number): void {
  scores.set(service, Math.max(score, scores.get(service) ?? Number.NEGATIVE_INFINITY));
}

/** Own time and the gaps of the calls that were made, by operation. */
function selfTimes({ traces }: WindowFigures): ByOperation {
  return perVisit(traces, (visits) => {
    const self = visits.map(({ own }) => own);
    for (const { caller, gap } of visits) if (caller >= 0) self[caller] = (self[caller] ?? 0) + gap;
    return self;
  });
}

function ownAndGap({ traces }: WindowFigures): ByOperation {
  return perVisit(traces, (visits) => visits.map(({ own, gap }) => own + gap));
}

/** One number of each visit, by its operation. */
function perVisit(
  traces: WindowFigures["traces"],
  measure: (visits: readonly Visit[]) => readonly number[],
): ByOperation {
  const byOperation = new Map<string, number[]>();
  for (const { visits } of traces)
    for (const [index, value] of measure(visits).entries())
      mapEntry(byOperation, operationKey(visits[index] as Visit), () => []).push(value);
  return byOperation;
}
