import { mapEntry } from "../base/map-entry.ts";
import { quantileOfUnsorted } from "../base/quantile.ts";
import { rankTest } from "../base/rank-test.ts";
import { calleeCount, impactScore, runStructuralEngine } from "../cascade/structural-engine.ts";
import { type Ranking, rankingOf } from "./ranking.ts";
import { nanosOf, type Visit } from "./visits.ts";
import { type CaseFigures, serviceOfKey, type WindowFigures } from "./window-figures.ts";

// Rules that look at who calls whom; peers without spans of their own are nodes like all others.

/** Standard errors above which a service counts as anomalous. */
const anomalyMin = 3;
/** Fewer visits on a side are not tested. */
const visitsMin = 5;
/** Fewer calls over an edge on a side say nothing about its gap. */
const gapsMin = 5;

/**
 * The anomalous services that call nobody anomalous, if an anomalous way leads from an entry to them; scored by the sum of
 * anomalies on the shortest such way (PetShop, CLeaR 2024). An anomaly is a rise of failures or durations in one operation.
 */
export function traversal({ incident, baseline }: CaseFigures): Ranking {
  const anomalies = anomaliesOf(incident, baseline);
  const isAnomalous = (service: string): boolean => (anomalies.get(service) ?? 0) >= anomalyMin;
  const { dependencies } = incident;
  const reached = new Map<string, number>();
  const open = entriesOf(incident).filter(isAnomalous);
  for (const entry of open) reached.set(entry, anomalies.get(entry) ?? 0);
  const roots: [string, number][] = [];
  for (let at = 0; at < open.length; at += 1) {
    const service = open[at] as string;
    const soFar = reached.get(service) ?? 0;
    const callees = (dependencies.get(service) ?? []).filter(
      (callee) => callee !== service && isAnomalous(callee),
    );
    if (callees.length === 0) roots.push([service, soFar]);
    for (const callee of callees) {
      if (reached.has(callee)) continue;
      reached.set(callee, soFar + (anomalies.get(callee) ?? 0));
      open.push(callee);
    }
  }
  return rankingOf(roots);
}

/** How surely each service is worse than before, in standard errors: its worst operation counts. */
function anomaliesOf(incident: WindowFigures, baseline: WindowFigures): ReadonlyMap<string, number> {
  const anomalies = new Map<string, number>();
  for (const [key, now] of incident.ofOperation) {
    const before = baseline.ofOperation.get(key) ?? [];
    if (now.length < visitsMin || before.length < visitsMin) continue;
    const service = serviceOfKey(key);
    const worst = Math.max(rankTest(sortedNanos(before), sortedNanos(now)), failureZ(before, now));
    anomalies.set(service, Math.max(worst, anomalies.get(service) ?? 0));
  }
  return anomalies;
}

function sortedNanos(visits: readonly Visit[]): Float64Array {
  return Float64Array.from(visits, nanosOf).sort();
}

/** The rise of the share of failures over its standard error under one common share; 0 where all or none failed. */
function failureZ(before: readonly Visit[], now: readonly Visit[]): number {
  const failures = (visits: readonly Visit[]): number => visits.filter(({ failed }) => failed).length;
  const [n, m] = [before.length, now.length];
  const [k0, k1] = [failures(before), failures(now)];
  const common = (k0 + k1) / (n + m);
  const error = Math.sqrt(common * (1 - common) * (1 / n + 1 / m));
  return error > 0 ? (k1 / m - k0 / n) / error : 0;
}

/** The services that requests come in at, sorted. */
function entriesOf({ traces }: WindowFigures): readonly string[] {
  const names = traces.flatMap(({ visits }) =>
    visits.filter(({ caller }) => caller === -1).map(({ service }) => service),
  );
  return [...new Set(names)].sort();
}

/**
 * A slow network in front of a service lengthens the gaps of all its calls, in and out, a victim's only the one to the culprit:
 * the shift of a service is the median over its edges of the shift of their median gaps, or that of its own work if larger.
 */
export function sharedEndpoint({ incident, baseline }: CaseFigures): Ranking {
  const shifts = new Map<string, number[]>();
  for (const [key, { caller, callee, gaps }] of incident.gaps) {
    const usual = baseline.gaps.get(key)?.gaps ?? [];
    if (gaps.length < gapsMin || usual.length < gapsMin) continue;
    const shift = Math.max(0, quantileOfUnsorted(gaps, 0.5) - quantileOfUnsorted(usual, 0.5));
    mapEntry(shifts, caller, () => []).push(shift);
    mapEntry(shifts, callee, () => []).push(shift);
  }
  const scores = new Map([...shifts].map(([service, all]) => [service, quantileOfUnsorted(all, 0.5)]));
  for (const [key, now] of incident.ofOperation) {
    const before = baseline.ofOperation.get(key) ?? [];
    if (now.length < visitsMin || before.length < visitsMin) continue;
    const shift = medianOwn(now) - medianOwn(before);
    const service = serviceOfKey(key);
    scores.set(service, Math.max(shift, scores.get(service) ?? 0));
  }
  return rankingOf(scores);
}

function medianOwn(visits: readonly Visit[]): number {
  return quantileOfUnsorted(
    visits.map(({ own }) => own),
    0.5,
  );
}

/** The structural score alone, seen from the entry with the most requests. It knows nothing of what is wrong. */
export function impactOnly({ incident }: CaseFigures): Ranking {
  const { dependencies, traces } = incident;
  const requests = new Map<string, number>();
  for (const { visits } of traces)
    for (const { caller, service } of visits)
      if (caller === -1) requests.set(service, (requests.get(service) ?? 0) + 1);
  const [busiest] = rankingOf(requests);
  if (busiest === undefined) return [];
  const { chain } = runStructuralEngine({
    traceId: "",
    failedService: busiest.name,
    dependencies,
    health: new Map(),
  });
  return rankingOf(
    chain.map((service, position) => [
      service,
      impactScore(calleeCount(service, dependencies), chain.length, position),
    ]),
  );
}
