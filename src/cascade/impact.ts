import { hitMin, independentCauseShare, requiredCallMin } from "../model/scoring.ts";
import type { BlameSums, FailureSums } from "./blame.ts";
import type { Edge, PropagationMechanism } from "./candidate.ts";
import { onsetOf, requestsOf, significantExcess } from "./error-signal.ts";
import { leftOutOf } from "./left-out.ts";
import { type SlowedSums, slowedBy } from "./slowed.ts";
import type { VisitSums } from "./visit-rollup.ts";
import { type Occurrences, type StepSums, stepKey, WaySums } from "./way-sums.ts";

/** A way that a fault took in many requests. */
export interface Way extends Edge {
  readonly mechanism: PropagationMechanism;
  /** beyond what is usual */
  readonly requests: number;
  /** of all that the cause hit */
  readonly share: number;
  /** minute from which on there were more than usual */
  readonly onset: number | null;
  /** whether it began no earlier than the trouble of the callee; null where it is not known */
  readonly isInOrder: boolean | null;
}

/** What one cause did to the requests of one entry operation. */
export interface EntryImpact {
  /** requests that failed beyond what is usual with a failure that began at the cause */
  readonly failed: number;
  /** of the others, those that waited longer for it */
  readonly slowed: number;
  /** on average, what was waited for the cause more than usual; below 0 where it was less */
  readonly addedNanos: number;
}

/** How far a fault reached. */
export interface Reach {
  /** the most requests first */
  readonly ways: readonly Way[];
  /** services that failed or became slower with it, sorted */
  readonly affected: readonly string[];
  /** by `entryKey` */
  readonly entries: ReadonlyMap<string, EntryImpact>;
  /** of all requests, those that failed or became slower */
  readonly trafficShare: number;
}

/** How far one cause reached. */
export interface CauseImpact extends Reach {
  readonly service: string;
  /** requests that it hit in any way */
  readonly requests: number;
}

interface Traces {
  readonly blame: BlameSums;
  readonly visits: VisitSums | null;
}

export interface ImpactQuestion {
  readonly window: Traces;
  readonly baseline: Traces | null;
  readonly service: string;
}

/**
 * What a cause did, from sums of what each trace says: failures are followed from their origins, time by who waited for whom.
 * What is usual in a healthy time is subtracted; without one, slowness is not known.
 */
export function impactOf({ window, baseline, service }: ImpactQuestion): CauseImpact {
  const failures = failedBy(window.blame, baseline?.blame ?? null, service);
  const [before, after] = [baseline?.visits ?? null, window.visits];
  const compared = before === null || after === null ? null : comparedVisits(service, before, after);
  const harms: readonly Harm[] = [failures, ...(compared?.harms ?? [])];
  const requests = Math.max(...harms.map((harm) => harm.requests));
  const least = Math.max(hitMin.requests, hitMin.share * requests);
  const isHit = (excess: Excess): boolean => excess.requests >= least && excess.isSignificant;
  const affected = harms.flatMap(({ hit }) => [...hit].filter(([, excess]) => isHit(excess)));
  const entries = entryImpacts(failures, compared?.slowed ?? null, window.blame);
  return {
    service,
    requests,
    ways: waysOf(
      harms.flatMap(({ steps }) => steps).filter(({ excess }) => isHit(excess)),
      requests,
    ),
    affected: namesOf(affected.map(([name]) => name)),
    entries,
    trafficShare: trafficShareOf(entries, requestsOf(window.blame)),
  };
}

function namesOf(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort();
}

/** How far several causes reached together. */
export function together(causes: readonly CauseImpact[]): Reach {
  const requests = causes.reduce((sum, cause) => sum + cause.requests, 0);
  const ways = new Map<string, Way>();
  const entries = new Map<string, EntryImpact>();
  for (const cause of causes) {
    for (const way of cause.ways) {
      const known = ways.get(wayKey(way));
      const counted = (known?.requests ?? 0) + way.requests;
      ways.set(wayKey(way), { ...(known ?? way), requests: counted, share: Math.min(1, counted / requests) });
    }
    for (const [key, impact] of cause.entries) {
      const { failed, slowed, addedNanos } = entries.get(key) ?? { failed: 0, slowed: 0, addedNanos: 0 };
      entries.set(key, {
        failed: failed + impact.failed,
        slowed: slowed + impact.slowed,
        addedNanos: addedNanos + impact.addedNanos,
      });
    }
  }
  return {
    ways: [...ways.values()].sort(byRequests),
    affected: namesOf(causes.flatMap(({ affected }) => affected)),
    entries,
    trafficShare: Math.min(
      1,
      causes.reduce((sum, { trafficShare }) => sum + trafficShare, 0),
    ),
  };
}

/**
 * The causes of a window among its first candidates: the first one, and those nearly as sure that no earlier one explains,
 * because nothing of what it did goes by way of them.
 */
export function causesAmong<Impact extends CauseImpact & { readonly score: number }>(
  impacts: readonly Impact[],
): readonly Impact[] {
  const explained = new Set<string>();
  const least = independentCauseShare * (impacts[0]?.score ?? 0);
  return impacts.filter(({ service, score, ways, affected }) => {
    if (score < least || explained.has(service)) return false;
    for (const name of [...affected, ...ways.flatMap(({ caller, callee }) => [caller, callee])])
      explained.add(name);
    return true;
  });
}

interface Excess {
  readonly requests: number;
  readonly isSignificant: boolean;
  readonly onset: number | null;
}

/** One sort of harm against a healthy time. */
interface Harm {
  /** that it did to any */
  readonly requests: number;
  readonly steps: readonly { readonly step: StepSums; readonly excess: Excess }[];
  readonly hit: ReadonlyMap<string, Excess>;
}

interface FailureHarm extends Harm {
  readonly entries: ReadonlyMap<string, number>;
}

function failedBy(window: BlameSums, baseline: BlameSums | null, service: string): FailureHarm {
  const ways = waysFrom(window, service);
  const usual = baseline === null ? undefined : waysFrom(baseline, service);
  const ratio = baseline === null ? 0 : requestsOf(window) / Math.max(1, requestsOf(baseline));
  const entries = new Map<string, number>();
  for (const [key, count] of ways.entries) {
    const [is, was] = [window.entries.get(key), baseline?.entries.get(key)];
    const expected =
      was === undefined || is === undefined || was.cell.requests === 0
        ? 0
        : ((usual?.entries.get(key) ?? 0) * is.cell.requests) / was.cell.requests;
    if (count > expected) entries.set(key, count - expected);
  }
  return {
    requests: Math.max(0, ways.requests - (usual?.requests ?? 0) * ratio),
    ...comparedSteps(ways, usual, { ratio, bar: hitMin.failuresTest }),
    entries,
  };
}

/** Of failures that began at a service, or with calls that it made. */
function waysFrom({ failures }: BlameSums, service: string): WaySums {
  const sums = new WaySums();
  for (const [blamed, { ways }] of failures)
    for (const [caller, own] of ways) if (blamed === service || caller === service) sums.merge(own);
  return sums;
}

/** What only visits tell, and only against those of a healthy time. */
function comparedVisits(
  cause: string,
  before: VisitSums,
  after: VisitSums,
): { readonly slowed: Slowed; readonly harms: readonly Harm[] } {
  const measure = measureOf(before, after);
  const slowed = slowedBy({ cause, before, after });
  const leftOut = leftOutOf(cause, { before, after });
  return { slowed, harms: [slowed, leftOut].map((sums) => comparedSums(sums, measure)) };
}

function comparedSums(
  { before, after }: { readonly before: CountedSums; readonly after: CountedSums },
  measure: Measure,
): Harm {
  return {
    requests:
      Math.max(0, after.traces - before.traces * measure.ratio) * eachOf(after.requests, after.traces),
    ...comparedSteps(after, before, measure),
  };
}

/** Of visits: traces of both windows were thinned alike, so that those that were kept are compared. */
function measureOf({ traceIds }: VisitSums, after: VisitSums): Measure {
  return {
    ratio: Math.max(1, after.traceIds.length) / Math.max(1, traceIds.length),
    bar: hitMin.othersTest,
  };
}

/** How many requests one that was counted stands for. */
function eachOf(requests: number, count: number): number {
  return count === 0 ? 1 : requests / count;
}

type Slowed = ReturnType<typeof slowedBy>;
type CountedSums = Pick<SlowedSums, "traces" | "requests" | "steps" | "hit">;
type Counted = Pick<SlowedSums, "steps" | "hit">;

function comparedSteps(
  after: Counted,
  before: Counted | undefined,
  measure: Measure,
): Pick<Harm, "steps" | "hit"> {
  return {
    steps: [...after.steps].map(([key, step]) => ({
      step,
      excess: excessOf(step, before?.steps.get(key), measure),
    })),
    hit: new Map([...after.hit].map(([name, hit]) => [name, excessOf(hit, before?.hit.get(name), measure)])),
  };
}

interface Measure {
  /** of the window for one of the healthy time */
  readonly ratio: number;
  /** likelihood ratio */
  readonly bar: number;
}

function excessOf(after: Occurrences, before: Occurrences | undefined, { ratio, bar }: Measure): Excess {
  const expected = (before?.count ?? 0) * ratio;
  return {
    requests: (after.count - expected) * eachOf(after.requests, after.count),
    isSignificant: significantExcess(after.count, expected, bar) > 0,
    onset: onsetOf(after.minutes, expected),
  };
}

/** By requests, then name, each with its place in time. */
function waysOf(found: Harm["steps"], most: number): readonly Way[] {
  const onsets = new Map<string, number>();
  for (const { step, excess } of found) {
    const known = onsets.get(step.edge.caller) ?? Number.POSITIVE_INFINITY;
    if (excess.onset !== null) onsets.set(step.edge.caller, Math.min(known, excess.onset));
  }
  const ways = found.map(({ step: { edge, mechanism }, excess: { requests, onset } }) => {
    const below = onsets.get(edge.callee);
    return {
      ...edge,
      mechanism,
      requests,
      share: Math.min(1, requests / most),
      onset,
      isInOrder: onset === null || below === undefined ? null : onset >= below,
    };
  });
  return ways.sort(byRequests);
}

function byRequests(a: Way, b: Way): number {
  return b.requests - a.requests || (wayKey(a) < wayKey(b) ? -1 : 1);
}

function wayKey({ caller, callee, mechanism }: Way): string {
  return stepKey({ caller, callee }, mechanism);
}

function entryImpacts(
  { entries: failed }: FailureHarm,
  slowed: Slowed | null,
  window: BlameSums,
): CauseImpact["entries"] {
  const entries = new Map<string, EntryImpact>();
  for (const key of [...new Set([...failed.keys(), ...(slowed?.after.entries.keys() ?? [])])].sort()) {
    const [was, is] = [slowed?.before.entries.get(key), slowed?.after.entries.get(key)];
    const share =
      is === undefined ? 0 : is.slowed / is.requests - (was === undefined ? 0 : was.slowed / was.requests);
    entries.set(key, {
      failed: failed.get(key) ?? 0,
      slowed: Math.max(0, share) * (window.entries.get(key)?.cell.requests ?? 0),
      addedNanos: is?.addedNanos ?? 0,
    });
  }
  return entries;
}

function trafficShareOf(entries: CauseImpact["entries"], requests: number): number {
  const hit = [...entries.values()].reduce((sum, { failed, slowed }) => sum + failed + slowed, 0);
  return requests === 0 ? 0 : Math.min(1, hit / requests);
}

/**
 * Who would fail with a service, though it does not show it yet: callers, and theirs, that more often than not fail when what
 * they call does. Where no such failure was seen, calls are taken to be needed.
 */
export function dependentsOf(
  service: string,
  {
    callersOf,
    failures,
  }: { readonly callersOf: (service: string) => Iterable<string>; readonly failures: BlameSums["failures"] },
): readonly string[] {
  const passes = passedOn(failures);
  const found = new Set<string>();
  const open = [service];
  for (let callee = open.pop(); callee !== undefined; callee = open.pop())
    for (const caller of callersOf(callee)) {
      const { passed, hidden } = passes.get(`${caller}\u0000${callee}`) ?? { passed: 0, hidden: 0 };
      if (found.has(caller) || caller === service) continue;
      if ((passed + 2) / (passed + hidden + 3) <= requiredCallMin) continue;
      found.add(caller);
      open.push(caller);
    }
  return [...found].sort();
}

/** By edge, how often callers failed with their callees, and how often they did not. */
function passedOn(
  failures: ReadonlyMap<string, FailureSums>,
): ReadonlyMap<string, { passed: number; hidden: number }> {
  const counts = new Map<string, { passed: number; hidden: number }>();
  const steps = [...failures.values()].flatMap(({ ways }) =>
    [...ways.values()].flatMap((own) => [...own.steps.values()]),
  );
  for (const { edge, count, hidden } of steps) {
    const key = `${edge.caller}\u0000${edge.callee}`;
    const known = counts.get(key) ?? { passed: 0, hidden: 0 };
    counts.set(key, { passed: known.passed + count - hidden, hidden: known.hidden + hidden });
  }
  return counts;
}
