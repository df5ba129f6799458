import type { BlameSums, EntrySums, FailureSums } from "./blame.ts";
import { entryKey, mostFrequent } from "./blame.ts";
import { type Candidate, type CauseKind, type EvidenceFact, leadOf } from "./candidate.ts";
import {
  addedLatencyShareMin,
  candidateCountMax,
  errorStrength,
  excessTestMin,
  expectedCountFloor,
  factCountMax,
  hiddenStrength,
  latencyStrength,
  latencyTestMin,
  manyServicesMin,
  manyServicesTestBase,
  unitsForConfidence,
  unreferencedErrorRatio,
  usualRequestsMin,
  windowConfidenceMax,
} from "./scoring.ts";

/** What the evidence engine says of many traces, against a healthy time where there is one. */
export interface WindowEvidence {
  /** by score, then name; empty = nothing significant */
  readonly candidates: readonly Candidate[];
  readonly confidence: number | null;
  readonly entries: readonly EntryFinding[];
  readonly requests: number;
  readonly excessFailed: number;
  /** service -> minute in which its failures first exceeded what was to be expected */
  readonly onsets: ReadonlyMap<string, number>;
}

export interface WindowQuestion {
  readonly sums: BlameSums;
  /** a healthy time, null where none is known */
  readonly baseline: BlameSums | null;
  /** whether so many of a service's own requests fail that it is unhealthy by itself */
  readonly isFailing: (service: string) => boolean;
}

/** How one entry operation fared. */
export interface EntryFinding {
  readonly entry: EntrySums;
  /** failed requests beyond the expected number; 0 where not significant */
  readonly excessFailed: number;
  /** growth of the mean latency; 0 where not significant or nothing to compare with */
  readonly addedNanos: number;
  readonly usualNanos: number;
}

/**
 * Ranks services by their part in what went wrong: excess failures that began at them, excess time that slower entries
 * waited for them, and failures that were hidden from users, each weighed by how strongly users feel it. What is not
 * significant counts nothing: a quiet window has no candidates.
 */
export function windowEvidence({ sums, baseline, isFailing }: WindowQuestion): WindowEvidence {
  const requests = requestsOf(sums);
  const ratio = baseline === null ? null : requests / Math.max(1, requestsOf(baseline));
  const entries = [...sums.entries.values()].map((entry) => findingOf(entry, baseline));
  const scores = new Map<string, number>();
  const failures = failureBlames({ sums, baseline, isFailing }, { requests, ratio });
  const latency = latencyBlames(entries, baseline);
  const excessFailed = sumOf(failures.visible.values());
  const requestsSlowed = sumOf(
    entries.filter(({ addedNanos }) => addedNanos > 0).map(({ entry }) => entry.finished),
  );
  const hiddenUnits = sumOf(failures.hidden.values()) * hiddenStrength;
  const strengths = {
    errors:
      excessFailed > 0
        ? Math.min(1, errorStrength.base + excessFailed / requests / errorStrength.fullAtRatio)
        : 0,
    latency: latencyStrengthOf(entries),
    hidden: failures.hidden.size > 0 ? hiddenStrength : 0,
  };
  spread(scores, failures.visible, strengths.errors);
  spread(scores, failures.hidden, strengths.hidden);
  spread(scores, latency.added, strengths.latency);
  const total = strengths.errors + strengths.latency + strengths.hidden;
  const candidates = [...scores]
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, candidateCountMax)
    .map(([service, score]) =>
      candidateOf({ service, score: score / total, sums, failures, latency, requests }),
    );
  return {
    candidates,
    confidence: confidenceOf(candidates, excessFailed + requestsSlowed + hiddenUnits, sums),
    entries,
    requests,
    excessFailed,
    onsets: onsetsOf(sums, failures, { ratio, baseline }),
  };
}

/** Shares `strength` out in proportion. */
function spread(scores: Map<string, number>, parts: ReadonlyMap<string, number>, strength: number): void {
  const total = sumOf(parts.values());
  for (const [service, part] of parts)
    scores.set(service, (scores.get(service) ?? 0) + (strength * part) / total);
}

interface Comparison {
  readonly requests: number;
  /** requests of the window for one of the baseline; null where there is none */
  readonly ratio: number | null;
}

interface FailureBlames {
  /** excess by service; only significant ones */
  readonly visible: Map<string, number>;
  readonly hidden: Map<string, number>;
  readonly expected: Map<string, { readonly visible: number | null; readonly hidden: number | null }>;
}

function failureBlames(
  { sums, baseline, isFailing }: WindowQuestion,
  { requests, ratio }: Comparison,
): FailureBlames {
  const visible = new Map<string, number>();
  const hidden = new Map<string, number>();
  const expected: FailureBlames["expected"] = new Map();
  const bar = excessBar(sums.failures.size);
  for (const [service, failures] of [...sums.failures].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const before = baseline?.failures.get(service);
    const usual = {
      visible: ratio === null ? null : (before?.visible ?? 0) * ratio,
      hidden: ratio === null ? null : (before?.hidden ?? 0) * ratio,
    };
    expected.set(service, usual);
    const reference = usual.visible ?? requests * unreferencedErrorRatio;
    const excess = significantExcess(failures.visible, reference, bar);
    if (excess > 0) visible.set(service, excess);
    // what retries and fallbacks usually hide is not known without a healthy time: then only what is unhealthy counts
    if (usual.hidden === null && !isFailing(service)) continue;
    const hiddenReference = usual.hidden ?? requests * unreferencedErrorRatio;
    const hiddenExcess = significantExcess(failures.hidden, hiddenReference, bar);
    if (hiddenExcess > 0) hidden.set(service, hiddenExcess);
  }
  if (visible.size === 0) addTogether(visible, { sums, expected, requests, bar });
  return { visible, hidden, expected };
}

function excessBar(services: number): number {
  return services > manyServicesMin ? 2 * Math.log(services) + manyServicesTestBase : excessTestMin;
}

/** Few failures at each of several services may be many in all: then each that has more than usual has its part. */
function addTogether(
  visible: Map<string, number>,
  {
    sums,
    expected,
    requests,
    bar,
  }: { sums: BlameSums; requests: number; bar: number } & Pick<FailureBlames, "expected">,
): void {
  const total = sumOf([...sums.failures.values()].map((failures) => failures.visible));
  const known = [...expected.values()].map((usual) => usual.visible).filter((count) => count !== null);
  const reference = known.length > 0 ? sumOf(known) : requests * unreferencedErrorRatio;
  if (significantExcess(total, reference, bar) === 0) return;
  for (const [service, failures] of sums.failures) {
    const excess = failures.visible - (expected.get(service)?.visible ?? 0);
    if (excess > 0) visible.set(service, excess);
  }
}

/** Poisson likelihood ratio against the expected count; the excess, or 0 where it may be chance. */
function significantExcess(count: number, expected: number, bar: number): number {
  const mean = expected + expectedCountFloor;
  if (count <= mean) return 0;
  const g = 2 * (count * Math.log(count / mean) - (count - mean));
  return g > bar ? count - expected : 0;
}

function findingOf(entry: EntrySums, baseline: BlameSums | null): EntryFinding {
  const before = baseline?.entries.get(entryKey(entry.service, entry.operation));
  const { requests, failed } = entry.cell;
  const usualRatio = baseline === null ? unreferencedErrorRatio : (before?.cell.errorRatio ?? 0);
  const excessFailed = significantExcess(failed, requests * usualRatio, excessTestMin);
  const usualNanos = before?.meanNanos ?? 0;
  const isComparable =
    before !== undefined && before.finished >= usualRequestsMin && entry.finished >= usualRequestsMin;
  const addedNanos = isComparable ? significantlyAdded(entry, before) : 0;
  return { entry, excessFailed, addedNanos, usualNanos };
}

/** Welch's test of the means; 0 where the difference may be chance or too small to notice. */
function significantlyAdded(entry: EntrySums, before: EntrySums): number {
  const added = entry.meanNanos - before.meanNanos;
  const error = Math.sqrt(entry.varianceNanos2 / entry.finished + before.varianceNanos2 / before.finished);
  return added > before.meanNanos * addedLatencyShareMin && added > error * latencyTestMin ? added : 0;
}

interface LatencyBlames {
  /** added time of all requests by service */
  readonly added: Map<string, number>;
  readonly facts: Map<string, EvidenceFact[]>;
}

/** Of each slower entry, the services that its requests wait longer for share the added time. */
function latencyBlames(entries: readonly EntryFinding[], baseline: BlameSums | null): LatencyBlames {
  const added = new Map<string, number>();
  const facts = new Map<string, EvidenceFact[]>();
  const slower = entries.filter(({ addedNanos }) => addedNanos > 0);
  slower.sort((a, b) => b.addedNanos * b.entry.finished - a.addedNanos * a.entry.finished);
  for (const { entry, addedNanos } of slower) {
    const before = baseline?.entries.get(entryKey(entry.service, entry.operation));
    const growth = [...entry.path.keys()]
      .sort()
      .map((service) => [service, entry.pathNanosOf(service) - (before?.pathNanosOf(service) ?? 0)] as const)
      .filter(([, grown]) => grown > addedNanos * addedLatencyShareMin);
    const total = sumOf(growth.map(([, grown]) => grown));
    for (const [service, grown] of growth) {
      added.set(service, (added.get(service) ?? 0) + (entry.finished * addedNanos * grown) / total);
      const { service: entryService, operation } = entry;
      const fact = {
        kind: "window_latency",
        service: entryService,
        operation,
        nanos: entry.pathNanosOf(service),
        addedNanos: grown,
      } as const;
      facts.set(service, [...(facts.get(service) ?? []), fact]);
    }
  }
  return { added, facts };
}

/** Weighted by traffic: the maximum over entries would let one rare noisy entry outweigh a crash. */
function latencyStrengthOf(entries: readonly EntryFinding[]): number {
  const added = sumOf(entries.map(({ entry, addedNanos }) => entry.finished * addedNanos));
  if (added <= 0) return 0;
  const usual = sumOf(entries.map(({ entry, usualNanos }) => entry.finished * usualNanos));
  return Math.min(1, latencyStrength.base + added / Math.max(1, usual) / latencyStrength.fullAtShare);
}

interface CandidateParts {
  readonly service: string;
  readonly score: number;
  readonly sums: BlameSums;
  readonly failures: FailureBlames;
  readonly latency: LatencyBlames;
  readonly requests: number;
}

function candidateOf({ service, score, sums, failures, latency, requests }: CandidateParts): Candidate {
  const own = sums.failures.get(service);
  const expected = failures.expected.get(service);
  const evidence: EvidenceFact[] = [];
  const cause = own === undefined ? null : onlyKind(own);
  const add = (isVisible: boolean, count: number, usual: number | null): void => {
    evidence.push({ kind: "window_failures", isVisible, cause, failures: count, requests, expected: usual });
  };
  if (own !== undefined && failures.visible.has(service)) add(true, own.visible, expected?.visible ?? null);
  evidence.push(...(latency.facts.get(service) ?? []));
  if (own !== undefined && failures.hidden.has(service)) add(false, own.hidden, expected?.hidden ?? null);
  const failed = failures.visible.has(service) || failures.hidden.has(service) ? own : undefined;
  return {
    service,
    kind: failed === undefined ? "latency" : (mostFrequent(failed.kinds) ?? "error"),
    score,
    operation: failed === undefined ? null : mostFrequent(failed.operations),
    instance: null,
    edge: failed === undefined ? null : commonEdge(failed),
    evidence: evidence.slice(0, factCountMax),
  };
}

/** The sort of fault that all failures of a service began with; null where there are several. */
function onlyKind({ kinds }: FailureSums): CauseKind | null {
  const [only, ...others] = kinds.keys();
  return only === undefined || others.length > 0 ? null : only;
}

/** The edge that all failures of a service crossed; null where there are several. */
function commonEdge({ edges }: FailureSums): Candidate["edge"] {
  const [only, ...others] = edges.values();
  return only === undefined || others.length > 0 ? null : { caller: only.caller, callee: only.callee };
}

function onsetsOf(
  sums: BlameSums,
  { visible }: FailureBlames,
  { ratio, baseline }: Pick<Comparison, "ratio"> & { readonly baseline: BlameSums | null },
): ReadonlyMap<string, number> {
  const onsets = new Map<string, number>();
  for (const service of visible.keys()) {
    const minutes = [...(sums.failures.get(service)?.minutes ?? [])].sort(([a], [b]) => a - b);
    const [first, last] = [minutes[0]?.[0] ?? 0, minutes.at(-1)?.[0] ?? 0];
    const before = (baseline?.failures.get(service)?.visible ?? 0) * (ratio ?? 0);
    const usual = before / (last - first + 1);
    const onset = minutes.find(([, count]) => significantExcess(count, usual, 0) > 0);
    if (onset !== undefined) onsets.set(service, onset[0]);
  }
  return onsets;
}

/** Not calibrated yet: it orders windows, it is no probability. */
function confidenceOf(
  candidates: readonly Candidate[],
  units: number,
  { completeness }: BlameSums,
): number | null {
  const lead = leadOf(candidates);
  if (lead === null) return null;
  const enough = 1 - Math.exp(-units / unitsForConfidence);
  return Math.round(Math.min(windowConfidenceMax, lead * enough * completeness) * 1000) / 1000;
}

function requestsOf({ entries }: BlameSums): number {
  return sumOf([...entries.values()].map(({ cell }) => cell.requests));
}

/** Smallest first, so that the sum does not depend on order. */
function sumOf(values: Iterable<number>): number {
  return [...values].sort((a, b) => a - b).reduce((sum, value) => sum + value, 0);
}
