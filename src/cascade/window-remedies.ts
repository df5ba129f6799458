import { type Share, signedG } from "../base/count-test.ts";
import { mapEntry } from "../base/map-entry.ts";
import { quantileOf } from "../base/quantile.ts";
import { sumOf } from "../base/sum.ts";
import { adviceRule, baselineRequestsMin, excessTestMin, exemplarCountMax } from "../model/scoring.ts";
import type { Candidate } from "./candidate.ts";
import type { Remedy, RemedyFigures } from "./remedy.ts";
import { requestsByTrace } from "./thinned-alike.ts";
import type { CallName, VisitSums } from "./visit-rollup.ts";

/**
 * What the calls of two windows suggest to do about a candidate. `before` is a healthy time. `isDatabase` says so of peers.
 * Everything is counted; where too few calls tell, nothing is suggested.
 */
export function windowRemedies(
  candidate: Candidate,
  { before, after, isDatabase }: { before: VisitSums; after: VisitSums; isDatabase: boolean },
): readonly Remedy[] {
  const { service } = candidate;
  const sides = { service, was: sideOf(before, service), is: sideOf(after, service) };
  const found: (Shown | null)[] = [
    isDatabase ? slowDatabase(candidate, sides) : null,
    capacity(candidate, sides),
    retryStorm(sides),
    ...egress(sides),
    ...deadlines(sides, before),
    failFast(sides),
    fallback(sides),
  ];
  return found
    .filter((each) => each !== null)
    .map(({ figures, rows, side }) => ({
      ...figures,
      about: service,
      spans: [],
      traceIds: exemplarsOf(side.sums, rows),
    }));
}

/** A suggestion, and the visits of callers that show it. */
interface Shown {
  readonly figures: RemedyFigures;
  readonly side: Side;
  readonly rows: readonly number[];
}

/** Calls of one window, by name; those to the service, and all others that its callers or it make. */
interface Side {
  readonly sums: VisitSums;
  /** by trace */
  readonly standFor: Float64Array;
  readonly to: readonly NamedCalls[];
  readonly from: readonly NamedCalls[];
  readonly elsewhere: readonly NamedCalls[];
}

interface NamedCalls extends CallName {
  /** rows of `VisitSums.calls` */
  readonly rows: readonly number[];
}

interface Sides {
  /** the candidate */
  readonly service: string;
  readonly was: Side;
  readonly is: Side;
}

function sideOf(sums: VisitSums, service: string): Side {
  const named = namedCallsOf(sums);
  return {
    sums,
    standFor: requestsByTrace(sums),
    to: named.filter(({ callee, rows }) => callee === service && rows.length > 0),
    from: named.filter(({ caller, rows }) => caller === service && rows.length > 0),
    elsewhere: named.filter(({ callee }) => callee !== service),
  };
}

/** Of sums that were asked about, for several candidates are looked at. */
const knownCalls = new WeakMap<VisitSums, readonly NamedCalls[]>();

/** All calls that are waited for, in the order of their names. */
function namedCallsOf(sums: VisitSums): readonly NamedCalls[] {
  const known = knownCalls.get(sums);
  if (known !== undefined) return known;
  const rows: number[][] = sums.callNames.map(() => []);
  const places = sums.calls.name;
  for (let row = 0; row < places.length; row += 1) rows[places[row] as number]?.push(row);
  const named = sums.callNames
    .map((name, i) => ({ text: nameOf(name), calls: { ...name, rows: rows[i] ?? [] } }))
    .filter(({ calls }) => calls.kind !== "message")
    .sort((a, b) => (a.text < b.text ? -1 : 1))
    .map(({ calls }) => calls);
  knownCalls.set(sums, named);
  return named;
}

function nameOf({ caller, callee, operation, kind }: CallName): string {
  return [caller, callee, operation, kind].join("\u0000");
}

/** How long the caller waited; NaN = unknown. */
function waitOf({ calls, visits }: VisitSums, row: number): number {
  const callee = calls.calleeVisit[row] as number;
  const nanos = calls.nanos[row] as number;
  return callee < 0 ? nanos : nanos + (visits.durationNanos[callee] as number);
}

function waitsOf(sums: VisitSums, rows: readonly number[]): Float64Array {
  return Float64Array.from(
    rows.map((row) => waitOf(sums, row)).filter((nanos) => !Number.isNaN(nanos)),
  ).sort();
}

function hasFailed({ calls }: VisitSums, row: number): boolean {
  return calls.failed[row] === 1;
}

function failedShare({ sums }: Side, rows: readonly number[]): Share {
  return { count: rows.filter((row) => hasFailed(sums, row)).length, of: rows.length };
}

function exemplarsOf({ calls, visits, traceIds }: VisitSums, rows: readonly number[]): readonly string[] {
  const traces = new Set(rows.map((row) => visits.trace[calls.callerVisit[row] as number] as number));
  return [...traces]
    .sort((a, b) => a - b)
    .slice(0, exemplarCountMax)
    .map((trace) => traceIds[trace] ?? "");
}

/** Calls by their caller, in the order of names. */
function byCaller(
  calls: readonly NamedCalls[],
): readonly (readonly [caller: string, rows: readonly number[]])[] {
  const rows = new Map<string, number[]>();
  for (const { caller, rows: own } of calls) {
    const known = mapEntry(rows, caller, () => []);
    for (const row of own) known.push(row);
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The caller that waits longest in all. */
function failFast({ service, was, is }: Sides): Shown | null {
  const usualCalls = new Map(byCaller(was.to));
  let longest = 0;
  let found: Shown | null = null;
  for (const [caller, rows] of byCaller(is.to)) {
    const failed = rows.filter((row) => hasFailed(is.sums, row));
    const waits = waitsOf(is.sums, failed);
    const before = usualCalls.get(caller) ?? [];
    const usual = waitsOf(
      was.sums,
      before.filter((row) => !hasFailed(was.sums, row)),
    );
    if (waits.length < adviceRule.requestsMin || usual.length < baselineRequestsMin) continue;
    const waitedNanos = quantileOf(waits, 0.5);
    const total = waitedNanos * waits.length;
    if (waitedNanos < adviceRule.waitFactorMin * quantileOf(usual, 0.5) || total <= longest) continue;
    longest = total;
    const edge = { caller, callee: service };
    found = {
      figures: { kind: "fail_fast", edge, calls: waits.length, waitedNanos },
      side: is,
      rows: failed,
    };
  }
  return found;
}

/** Waits that failed and end alike: somebody gave up, though the callee takes longer in a healthy time. Most calls first. */
function deadlines({ is }: Sides, before: VisitSums): readonly Shown[] {
  const found = [...is.to, ...is.from].flatMap((calls): readonly Shown[] => {
    const { caller, callee, operation } = calls;
    const failed = calls.rows.filter((row) => {
      const visit = is.sums.calls.calleeVisit[row] as number;
      return hasFailed(is.sums, row) && visit >= 0 && is.sums.visits.answerFailed[visit] === 0;
    });
    const waits = waitsOf(is.sums, failed);
    if (waits.length < adviceRule.requestsMin) return [];
    const [low, deadlineNanos, high] = [0.25, 0.5, 0.75].map((q) => quantileOf(waits, q)) as [
      number,
      number,
      number,
    ];
    if (high - low > adviceRule.deadlineSpreadMax * deadlineNanos) return [];
    const usual = usualDurations(before, callee, operation);
    const neededNanos = usual.length < baselineRequestsMin ? 0 : quantileOf(usual, adviceRule.highQuantile);
    if (deadlineNanos >= neededNanos) return [];
    const edge = { caller, callee };
    return [
      {
        figures: { kind: "deadline", edge, operation, deadlineNanos, neededNanos, by: "usual" },
        side: is,
        rows: failed,
      },
    ];
  });
  return found.sort((a, b) => b.rows.length - a.rows.length);
}

function usualDurations({ visits, operations }: VisitSums, service: string, operation: string): Float64Array {
  const wanted = operations.findIndex((each) => each.service === service && each.operation === operation);
  return visits.durationNanos
    .filter(
      (nanos, row) => visits.operation[row] === wanted && visits.failed[row] === 0 && !Number.isNaN(nanos),
    )
    .sort();
}

/** The caller whose calls for each request rose most. */
function retryStorm({ service, was, is }: Sides): Shown | null {
  const requests = [was, is].map(({ standFor }) => Math.max(1, sumOf(standFor))) as [number, number];
  const usualCalls = new Map(byCaller(was.to));
  let most: Shown | null = null;
  let mostAdded = 0;
  for (const [caller, rows] of byCaller(is.to)) {
    const usual = usualCalls.get(caller) ?? [];
    const rates = {
      before: callsFor(was, usual) / requests[0],
      after: callsFor(is, rows) / requests[1],
    };
    const failedRows = rows.filter((row) => hasFailed(is.sums, row));
    const added = rates.after - rates.before;
    const isStorm =
      usual.length >= baselineRequestsMin &&
      rates.after >= adviceRule.amplificationMin * rates.before &&
      callsFor(is, failedRows) / requests[1] >= adviceRule.retriedShareMin * added;
    if (!isStorm || added <= mostAdded) continue;
    mostAdded = added;
    const edge = { caller, callee: service };
    most = {
      figures: { kind: "retry_storm", edge, ...rates, failed: failedShare(is, rows) },
      side: is,
      rows: failedRows,
    };
  }
  return most;
}

/** So many calls some stand for. */
function callsFor({ sums: { calls, visits }, standFor }: Side, rows: readonly number[]): number {
  return sumOf(
    rows.map((row) => standFor[visits.trace[calls.callerVisit[row] as number] as number] as number),
  );
}

/** What one caller cannot reach and others can, whichever of the two ends is the candidate. */
function egress({ service, is }: Sides): readonly Shown[] {
  const callees = new Set([service, ...is.from.map(({ callee }) => callee)]);
  return [...callees].sort().flatMap((callee): readonly Shown[] => {
    const callers = byCaller([...is.to, ...is.elsewhere].filter((calls) => calls.callee === callee));
    if (callers.length < 2) return [];
    const shares = callers.map(([caller, rows]) => ({ caller, rows, failed: failedShare(is, rows) }));
    const broken = shares.filter(
      ({ failed: { count, of } }) => count >= Math.max(adviceRule.requestsMin, adviceRule.optionalMax * of),
    );
    const [only] = broken;
    if (only === undefined || broken.length > 1) return [];
    if (callee !== service && only.caller !== service) return [];
    const rest = shares.filter((each) => each !== only).map(({ failed }) => failed);
    const others = { count: sumOf(rest.map(({ count }) => count)), of: sumOf(rest.map(({ of }) => of)) };
    if (others.of < adviceRule.requestsMin || others.count > adviceRule.aloneMax * others.of) return [];
    if (signedG(others, only.failed) < excessTestMin) return [];
    const edge = { caller: only.caller, callee };
    // who answers with an error was reached
    const unanswered = only.rows.filter(
      (row) => hasFailed(is.sums, row) && (is.sums.calls.calleeVisit[row] as number) < 0,
    );
    if (unanswered.length < adviceRule.neededMin * only.failed.count) return [];
    return [{ figures: { kind: "egress", edge, failed: only.failed, others }, side: is, rows: unanswered }];
  });
}

function isMost({ count, of }: Share): boolean {
  return count >= adviceRule.neededMin * of;
}

/** An operation that fails whenever the callee does, beside one that copes. A visit has lost the callee if all its calls failed. */
function fallback({ service, is }: Sides): Shown | null {
  const { calls, visits, operations } = is.sums;
  const visitFailed = new Map<number, boolean>();
  const rowOf = new Map<number, number>();
  for (const row of is.to.flatMap(({ rows }) => rows)) {
    const visit = calls.callerVisit[row] as number;
    visitFailed.set(visit, (visitFailed.get(visit) ?? true) && hasFailed(is.sums, row));
    rowOf.set(visit, row);
  }
  const shares = new Map<number, { count: number; of: number; readonly rows: number[] }>();
  for (const [visit, isLost] of visitFailed) {
    if (!isLost) continue;
    const share = mapEntry(shares, visits.operation[visit] as number, () => ({ count: 0, of: 0, rows: [] }));
    share.of += 1;
    if (visits.answerFailed[visit] === 0) continue;
    share.count += 1;
    share.rows.push(rowOf.get(visit) as number);
  }
  const known = [...shares]
    .map(([at, share]) => ({ ...share, service: "", operation: "", ...operations[at] }))
    .filter(({ of }) => of >= adviceRule.requestsMin)
    .sort((a, b) => b.of - a.of || (a.service + a.operation < b.service + b.operation ? -1 : 1));
  const needed = known.find((share) => isMost(share));
  const copes = known.find(({ count, of }) => count <= adviceRule.optionalMax * of);
  if (needed === undefined || copes === undefined) return null;
  const edge = { caller: needed.service, callee: service };
  const failed = { count: needed.count, of: needed.of };
  const coping = {
    service: copes.service,
    operation: copes.operation,
    failed: { count: copes.count, of: copes.of },
  };
  return { figures: { kind: "fallback", edge, failed, coping }, side: is, rows: needed.rows };
}

/**
 * More requests of users a second than before that reach a service which is short of something or slow. A request counts
 * once, however often its calls are tried again.
 */
function capacity({ evidence }: Candidate, { was, is }: Sides): Shown | null {
  const isBusy = evidence.some(({ kind }) => kind === "metric_rise" || kind === "became_slower");
  const rows = is.to.flatMap((each) => each.rows);
  const traces = [
    tracesWith(
      was,
      was.to.flatMap((each) => each.rows),
    ),
    tracesWith(is, rows),
  ] as const;
  if (!isBusy || traces.some(({ length }) => length < baselineRequestsMin)) return null;
  const perSecond = (kept: readonly number[], { standFor, sums: { extentNanos } }: Side): number =>
    sumOf(kept.map((trace) => standFor[trace] as number)) / (extentNanos / 1e9);
  const rates = { before: perSecond(traces[0], was), after: perSecond(traces[1], is) };
  if (!(rates.after >= adviceRule.amplificationMin * rates.before) || !Number.isFinite(rates.after))
    return null;
  return { figures: { kind: "capacity", ...rates }, side: is, rows };
}

function tracesWith({ sums: { calls, visits } }: Side, rows: readonly number[]): readonly number[] {
  return [...new Set(rows.map((row) => visits.trace[calls.callerVisit[row] as number] as number))];
}

/** The caller that calls the database most; what else the callers of the database call, or else their own work. */
function slowDatabase({ service, evidence }: Candidate, { was, is }: Sides): Shown | null {
  if (!evidence.some((fact) => fact.kind === "became_slower" && fact.isPeer && fact.callee === service))
    return null;
  const [most] = byCaller(is.to).toSorted(([, a], [, b]) => b.length - a.length);
  if (most === undefined) return null;
  const [caller, rows] = most;
  const slower = is.to.filter((calls) => calls.caller === caller && isSlower(calls, { service, was, is }));
  const operation = slower.length === 1 ? (slower[0]?.operation ?? null) : null;
  const waits = ({ sums, to }: Side): Float64Array =>
    waitsOf(
      sums,
      to
        .filter((each) => each.caller === caller && (operation === null || each.operation === operation))
        .flatMap((each) => each.rows),
    );
  const callers = new Set([...was.to, ...is.to].map((each) => each.caller));
  const calls = [was, is].map((side) => elsewhere(side, callers));
  const hasCalls = calls.every(({ length }) => length >= adviceRule.requestsMin);
  const others = hasCalls ? calls : [was, is].map((side) => ownWork(side, callers));
  const compared = [waits(was), waits(is), ...others];
  if (compared.some(({ length }) => length < adviceRule.requestsMin)) return null;
  const medians = compared.map((times) => quantileOf(times, 0.5));
  const [beforeNanos = 0, afterNanos = 0, othersBeforeNanos = 0, othersAfterNanos = 0] = medians;
  const areOthersInOrder = othersAfterNanos <= adviceRule.inOrderFactorMax * othersBeforeNanos;
  if (!areOthersInOrder || afterNanos < adviceRule.inOrderFactorMax * beforeNanos) return null;
  const times = { beforeNanos, afterNanos, othersBeforeNanos, othersAfterNanos };
  const edge = { caller, callee: service };
  return {
    figures: { kind: "slow_database", edge, operation, others: hasCalls ? "calls" : "own_work", ...times },
    side: is,
    rows,
  };
}

function elsewhere({ sums, elsewhere: calls }: Side, callers: ReadonlySet<string>): Float64Array {
  return waitsOf(
    sums,
    calls.filter(({ caller }) => callers.has(caller)).flatMap(({ rows }) => rows),
  );
}

function ownWork({ sums: { visits, operations } }: Side, services: ReadonlySet<string>): Float64Array {
  const isOwn = operations.map(({ service }) => services.has(service));
  return visits.ownNanos
    .filter((nanos, row) => isOwn[visits.operation[row] as number] === true && !Number.isNaN(nanos))
    .sort();
}

function isSlower({ caller, operation, rows }: NamedCalls, { was, is }: Sides): boolean {
  const before = was.to.filter((each) => each.caller === caller && each.operation === operation);
  const usual = waitsOf(
    was.sums,
    before.flatMap((each) => each.rows),
  );
  const now = waitsOf(is.sums, rows);
  if (Math.min(usual.length, now.length) < adviceRule.requestsMin) return false;
  return quantileOf(now, 0.5) >= adviceRule.inOrderFactorMax * quantileOf(usual, 0.5);
}
