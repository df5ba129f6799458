import { type Share, signedG } from "../base/count-test.ts";
import { orderlessSum, sumOf } from "../base/sum.ts";
import {
  almostAlways,
  chanceOf,
  driftFactor,
  excessTestMin,
  expectedCountFloor,
  hiddenStrength,
  manyServicesMin,
  manyServicesTestBase,
  onsetTestMin,
  pieceRule,
  unreferencedErrorRatio,
} from "../model/scoring.ts";
import type { BlameSums, FailureSums } from "./blame.ts";
import { mostFrequent } from "./blame.ts";
import type { Candidate, CauseKind, EvidenceFact } from "./candidate.ts";
import { pieceOf, shareChangeAmong } from "./piece-changes.ts";
import type { ResolvedBlame } from "./resolve-blame.ts";
import { type SignalFinding, type SignalFindings, type SignalResult, withoutTest } from "./signals.ts";

export interface ErrorQuestion {
  readonly sums: BlameSums;
  readonly unreached: ResolvedBlame["unreached"];
  /** a healthy time, null where none is known */
  readonly baseline: BlameSums | null;
  /** whether so many of a service's own requests fail that it is unhealthy by itself */
  readonly isFailing: (service: string) => boolean;
  /** requests to a service (or peer) for one of the healthy time, where both times have enough */
  readonly trafficRatioOf: (service: string) => number | null;
  /** whether requests of the window went to more than one instance, as far as that is known */
  readonly hasInstances: (service: string) => boolean;
}

/**
 * Failures beyond what is usual, by the service (or peer) where they began. The strength of a finding is the share of requests
 * that failed beyond what is usual; hidden failures count a part.
 */
export interface ErrorSignal extends SignalResult {
  readonly excessFailed: number;
  /** failures in work that no request waited for, of services that have more failures than usual */
  readonly failedAside: number;
  /** whose failures users saw, and in which minute they first exceeded what was to be expected */
  readonly onsets: ReadonlyMap<string, number>;
}

/** Every excess is significant by itself; how sure it is among as many services as fail at all, its margin says. */
export function errorSignal(question: ErrorQuestion): ErrorSignal {
  const { sums, baseline } = question;
  const requests = requestsOf(sums);
  const ratio = baseline === null ? null : requests / Math.max(1, requestsOf(baseline));
  const failures = failureBlames(question, { requests, ratio });
  const findings = new Map<string, SignalFinding>();
  for (const service of [...new Set([...failures.visible.keys(), ...failures.hidden.keys()])].sort())
    findings.set(service, findingOf(service, question, { failures, requests }));
  return {
    findings,
    margins: marginsOf(findings, question, requests),
    excessFailed: orderlessSum(failures.visible.values()),
    failedAside: orderlessSum(
      [...failures.visible.keys()].map((name) => sums.failures.get(name)?.aside ?? 0),
    ),
    onsets: onsetsOf(sums, failures, { ratio, baseline }),
  };
}

/**
 * Both times are samples: that nothing failed before does not mean that nothing ever does. Without a healthy time the
 * failures are taken to be usual up to `unreferencedErrorRatio`, which is beyond doubt.
 */
function marginsOf(
  findings: SignalFindings,
  { sums, baseline, trafficRatioOf }: ErrorQuestion,
  requests: number,
): ReadonlyMap<string, number> {
  if (baseline === null) return new Map([...findings.keys()].map((service) => [service, withoutTest]));
  const before = requestsOf(baseline);
  const chance = chanceOf(sums.failures.size);
  const sure = (service: string, count: (failures: FailureSums) => number): number => {
    const [was, is] = [baseline.failures.get(service), sums.failures.get(service)];
    const traffic = trafficRatioOf(service) ?? requests / Math.max(1, before);
    const usual = shareOf(was === undefined ? 0 : count(was), requests / traffic);
    return signedG(usual, shareOf(is === undefined ? 0 : count(is), requests));
  };
  return new Map(
    [...findings.keys()].map((service) => {
      const g = Math.max(
        sure(service, ({ visible }) => visible),
        sure(service, ({ hidden }) => hidden),
      );
      return [service, g - chance];
    }),
  );
}

/** Attempts may fail more often than requests were made: all of a population is the most that a share can be. */
function shareOf(count: number, of: number): Share {
  return { count: Math.min(count, of), of };
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
  { sums, baseline, isFailing, trafficRatioOf }: ErrorQuestion,
  { requests, ratio }: Comparison,
): FailureBlames {
  const visible = new Map<string, number>();
  const hidden = new Map<string, number>();
  const expected: FailureBlames["expected"] = new Map();
  const bar = excessBar(sums.failures.size);
  for (const [service, failures] of [...sums.failures].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const before = baseline?.failures.get(service);
    // with another mix of requests some services get more of them than before, and their usual failures with them
    const ownRatio = ratio === null ? null : (trafficRatioOf(service) ?? ratio);
    const usual = {
      visible: ownRatio === null ? null : (before?.visible ?? 0) * ownRatio,
      hidden: ownRatio === null ? null : (before?.hidden ?? 0) * ownRatio,
    };
    expected.set(service, usual);
    const reference = usual.visible ?? requests * unreferencedErrorRatio;
    const excess = significantExcess(failures.visible, reference, bar);
    if (excess > 0 && !isUsualChange(excess / requests, baseline, [service])) visible.set(service, excess);
    // what retries and fallbacks usually hide is not known without a healthy time: then only what is unhealthy counts
    if (usual.hidden === null && !isFailing(service)) continue;
    const hiddenReference = usual.hidden ?? requests * unreferencedErrorRatio;
    const hiddenExcess = significantExcess(failures.hidden, hiddenReference, bar);
    if (hiddenExcess > 0) hidden.set(service, hiddenExcess);
  }
  if (visible.size === 0) addTogether(visible, { sums, baseline, expected, requests, bar });
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
    baseline,
    expected,
    requests,
    bar,
  }: { requests: number; bar: number } & Pick<ErrorQuestion, "sums" | "baseline"> &
    Pick<FailureBlames, "expected">,
): void {
  const total = orderlessSum([...sums.failures.values()].map((failures) => failures.visible));
  const known = [...expected.values()].map((usual) => usual.visible).filter((count) => count !== null);
  const reference = known.length > 0 ? orderlessSum(known) : requests * unreferencedErrorRatio;
  const beyond = significantExcess(total, reference, bar);
  if (beyond === 0 || isUsualChange(beyond / requests, baseline, [...sums.failures.keys()])) return;
  for (const [service, failures] of sums.failures) {
    const excess = failures.visible - (expected.get(service)?.visible ?? 0);
    if (excess > 0) visible.set(service, excess);
  }
}

/** Whether the share of failures that began at some services rose no more than it changed by itself in the healthy time. */
function isUsualChange(rise: number, baseline: BlameSums | null, services: readonly string[]): boolean {
  if (baseline === null) return false;
  const all = sumOf([...baseline.minutes.values()]);
  let requests = 0;
  const pieces = Array.from({ length: pieceRule.count }, () => ({ count: 0, of: 0 }));
  for (const [minute, count] of [...baseline.minutes].sort(([a], [b]) => a - b)) {
    const piece = pieces[pieceOf(requests, all)];
    if (piece === undefined) continue;
    requests += count;
    piece.of += count;
    for (const service of services) piece.count += baseline.failures.get(service)?.minutes.get(minute) ?? 0;
  }
  const shares = pieces.map(({ count, of }) => shareOf(count, of));
  // minutes count the requests of all systems, also where the sums are about one of them
  return rise * requestsOf(baseline) <= driftFactor * shareChangeAmong(shares) * all;
}

/** Poisson likelihood ratio against the expected count; the excess, or 0 where it may be chance. */
export function significantExcess(count: number, expected: number, bar: number): number {
  const mean = expected + expectedCountFloor;
  if (count <= mean) return 0;
  const g = 2 * (count * Math.log(count / mean) - (count - mean));
  return g > bar ? count - expected : 0;
}

function findingOf(
  service: string,
  { sums, unreached, hasInstances }: ErrorQuestion,
  { failures, requests }: { readonly failures: FailureBlames; readonly requests: number },
): SignalFinding {
  const { visible, hidden, expected } = failures;
  const own = sums.failures.get(service) as FailureSums;
  const usual = expected.get(service);
  const evidence: EvidenceFact[] = [];
  const alone = unreached.get(service) ?? [];
  for (const each of alone) evidence.push({ kind: "alone_unreached", service, ...each });
  const add = (isVisible: boolean, count: number, before: number | null): void => {
    const cause = alone.length > 0 ? null : onlyKind(own);
    const aside = isVisible ? own.aside : 0;
    evidence.push({
      kind: "window_failures",
      isVisible,
      cause,
      failures: count,
      aside,
      requests,
      expected: before,
    });
  };
  if (visible.has(service)) add(true, own.visible, usual?.visible ?? null);
  if (hidden.has(service)) add(false, own.hidden, usual?.hidden ?? null);
  const excess = (visible.get(service) ?? 0) + hiddenStrength * (hidden.get(service) ?? 0);
  return {
    service,
    strength: excess / Math.max(1, requests),
    kind: alone.length > 0 ? "network" : (mostFrequent(own.kinds) ?? "error"),
    operation: mostFrequent(own.operations),
    instance: hasInstances(service) ? failingInstance(own) : null,
    edge: commonEdge(own),
    evidence,
  };
}

/** The sort of fault that all failures of a service began with; null where there are several. */
function onlyKind({ kinds }: FailureSums): CauseKind | null {
  const [only, ...others] = kinds.keys();
  return only === undefined || others.length > 0 ? null : only;
}

/** The instance that nearly all failures began at; null where it is not known. */
function failingInstance({ instances, visible, hidden }: FailureSums): string | null {
  const most = mostFrequent(instances);
  if (most === null || most === "") return null;
  return (instances.get(most) ?? 0) >= almostAlways * (visible + hidden) ? most : null;
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
    const before = (baseline?.failures.get(service)?.visible ?? 0) * (ratio ?? 0);
    const onset = onsetOf(sums.failures.get(service)?.minutes ?? [], before);
    if (onset !== null) onsets.set(service, onset);
  }
  return onsets;
}

/**
 * The first minute in which something happened more often than `expected` of all of them, evenly spread, lets expect; null =
 * in none. Where no minute is beyond chance, the first one that is above.
 */
export function onsetOf(
  counts: Iterable<readonly [minute: number, count: number]>,
  expected: number,
): number | null {
  const minutes = [...counts].sort(([a], [b]) => a - b);
  const [first, last] = [minutes[0]?.[0] ?? 0, minutes.at(-1)?.[0] ?? 0];
  const usual = expected / (last - first + 1);
  const firstAbove = (bar: number): number | null =>
    minutes.find(([, count]) => significantExcess(count, usual, bar) > 0)?.[0] ?? null;
  return (usual > 0 ? firstAbove(onsetTestMin) : null) ?? firstAbove(0);
}

export function requestsOf({ entries }: BlameSums): number {
  return orderlessSum([...entries.values()].map(({ cell }) => cell.requests));
}
