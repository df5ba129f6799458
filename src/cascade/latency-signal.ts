import { quantileOf, quantileOfUnsorted, quartileShift } from "../base/quantile.ts";
import { sumOf } from "../base/sum.ts";
import {
  chanceOf,
  clockSlackShare,
  commonServicesMin,
  factsPerSignalMax,
  latencyFloorNanos,
  latencyShift,
  legShareMin,
  messageQuantile,
  otherEndDiscount,
  otherInstancesPart,
  pieceRule,
  valuesPerSeriesMin,
} from "../model/scoring.ts";
import type { EvidenceFact, SlowerFact } from "./candidate.ts";
import { type Carriers, carriersOf, type SeriesPair, type Sides } from "./carriers.ts";
import type { LatencySide, Series } from "./latency-series.ts";
import { pieceOf } from "./piece-changes.ts";
import { type Shift, shiftOf } from "./shift.ts";
import { type SignalFinding, type SignalResult, withoutTest } from "./signals.ts";

/**
 * Which services became slower, as a share of what a request took before. Own work speaks for its service. What a call
 * loses on the way speaks for both ends: more for the end whose connections all became slower together, and a little more
 * for the one on whose side the time is lost (the callee, where answers arrive late).
 */
export function latencySignal(before: LatencySide, after: LatencySide): SignalResult {
  const pairs = pairsOf(before, after);
  const commonShare = commonShareOf(pairs);
  const compared = pairs.map((pair) => compare(pair, commonShare));
  const groups = groupsOf(compared);
  const requestNanos = Math.max(before.requestNanos, latencyFloorNanos);
  const findings = new Map<string, SignalFinding>();
  const margins = new Map<string, number>();
  const chance = chanceOf(compared.length);
  for (const [service, roles] of groups) {
    const finding = findingOf(service, roles, requestNanos);
    if (finding === null) continue;
    findings.set(service, finding);
    const slower = [...roles.values()].flat().filter(({ effectNanos }) => effectNanos > 0);
    // what is clearly apart was asked for more than a rank test of few values can say
    const ratios = slower.map(({ shift }) => shift.z ** 2 - chance);
    const floor = slower.some(({ shift }) => shift.isApart) ? withoutTest : Number.NEGATIVE_INFINITY;
    margins.set(service, Math.max(floor, ...ratios));
  }
  return { findings, margins };
}

/** One series before and after. */
interface Compared {
  readonly series: Series;
  readonly shift: Shift;
  /** added to a request of the window on average */
  readonly effectNanos: number;
  /** whether answers arrive late, rather than requests */
  readonly isAnswerLate: boolean;
  /** the only end of a call at which some instances are slow and the others are not */
  readonly slowEnd: "caller" | "callee" | null;
  /** the only instances at either end that carry the shift */
  readonly callerInstance: string | null;
  readonly calleeInstance: string | null;
}

type SlowRole = SlowerFact["role"];

/** A series as it counts for one end. */
interface Member extends Compared {
  readonly factor: number;
  readonly instance: string | null;
}

/** The series of both windows that can be compared, in order of their names. */
function pairsOf(before: LatencySide, after: LatencySide): readonly SeriesPair[] {
  const pairs: SeriesPair[] = [];
  const placesBefore = new Map(before.instances.map((instance, place) => [instance, place]));
  const sides: Sides = { before, after, placesBefore };
  for (const key of [...before.series.keys()].sort()) {
    const [was, is] = [before.series.get(key), after.series.get(key)];
    if (was === undefined || is === undefined) continue;
    if (Math.min(was.values.length, is.values.length) < valuesPerSeriesMin) continue;
    const middle = before.traces / 2;
    const [early, late] = partsOf(was, 2, (trace) => (trace < middle ? 0 : 1)) as [
      Float64Array,
      Float64Array,
    ];
    const sorted = {
      halves: [early, late] as const,
      before: merged(early, late),
      after: is.values.toSorted(),
    };
    pairs.push({ before: was, after: is, sorted, sides });
  }
  return pairs;
}

/**
 * By what share of itself the own work of half of the services became slower: more load on shared machines slows down
 * everybody a little, and that is nobody's fault. 0 where there are too few services to tell.
 */
function commonShareOf(pairs: readonly SeriesPair[]): number {
  const shares = new Map<string, number[]>();
  for (const { before, sorted } of pairs) {
    if (before.kind !== "own") continue;
    const usual = Math.max(quantileOf(sorted.before, 0.5), latencyShift.floorNanos);
    const share = quartileShift(sorted.before, sorted.after) / usual;
    shares.set(before.callee, [...(shares.get(before.callee) ?? []), share]);
  }
  if (shares.size < commonServicesMin) return 0;
  const ofServices = [...shares.values()].map((own) => quantileOfUnsorted(own, 0.5));
  return Math.max(0, quantileOfUnsorted(ofServices, 0.5));
}

function compare(pair: SeriesPair, commonShare: number): Compared {
  const { before, after, sorted, sides } = pair;
  const isWaitedFor = before.kind !== "message";
  const noticedNanos = isWaitedFor ? 0 : quantileOf(sorted.before, messageQuantile);
  const pieces = (): readonly Float64Array[] =>
    partsOf(before, pieceRule.count, (trace) => pieceOf(trace, sides.before.traces));
  const usual = { halves: sorted.halves, pieces, commonShare, noticedNanos };
  const shift = shiftOf(sorted.before, sorted.after, usual);
  const callee = carriersOf(pair, "calleeInstances", usual);
  const caller = after.kind === "own" ? callee : carriersOf(pair, "callerInstances", usual);
  const counted = countedShift(shift, (callee ?? caller)?.shift ?? null);
  return {
    series: after,
    shift: counted,
    effectNanos: counted.isShifted
      ? (counted.addedNanos * counted.m * after.requestsEach) / sides.after.requests
      : 0,
    // what became no slower is nobody's
    isAnswerLate: !counted.isShifted || isAnswerLate(before, after, counted),
    slowEnd: slowEndOf(caller, callee),
    calleeInstance: callee?.instance ?? null,
    callerInstance: caller?.instance ?? null,
  };
}

/** What a series counts for: where some of its instances became slower, those may say it with more certainty. */
function countedShift(all: Shift, carried: Shift | null): Shift {
  if (carried === null) return all;
  return all.isShifted ? { ...all, z: Math.max(all.z, carried.z) } : carried;
}

function slowEndOf(caller: Carriers | null, callee: Carriers | null): Compared["slowEnd"] {
  if (caller?.isAlone === true && callee === null) return "caller";
  return callee?.isAlone === true && caller === null ? "callee" : null;
}

/** The values of each part of the traces, sorted; `partOf` = which part a trace is in, from 0. */
function partsOf(
  { values, traces }: Series,
  count: number,
  partOf: (trace: number) => number,
): readonly Float64Array[] {
  const ends = new Int32Array(count);
  for (const trace of traces) ends[partOf(trace)] = (ends[partOf(trace)] as number) + 1;
  for (let part = 1; part < count; part += 1)
    ends[part] = (ends[part] as number) + (ends[part - 1] as number);
  const starts = ends.slice();
  const parted = new Float64Array(values.length);
  for (let i = values.length - 1; i >= 0; i -= 1) {
    const part = partOf(traces[i] as number);
    const at = (starts[part] as number) - 1;
    starts[part] = at;
    parted[at] = values[i] as number;
  }
  return Array.from(ends, (end, part) => parted.subarray(starts[part], end).sort());
}

/** All values of two sorted lists, sorted. */
function merged(a: Float64Array, b: Float64Array): Float64Array {
  const all = new Float64Array(a.length + b.length);
  for (let i = 0, j = 0; i + j < all.length; ) {
    const isNextOfA = j === b.length || (i < a.length && (a[i] as number) <= (b[j] as number));
    all[i + j] = (isNextOfA ? a[i] : b[j]) as number;
    if (isNextOfA) i += 1;
    else j += 1;
  }
  return all;
}

/**
 * Clocks that differ do so before and after, and what they differ by falls out. Where one was set in between, requests would have
 * to arrive before they were sent, or later than calls took: then clocks tell nothing, and the callee leads.
 */
function isAnswerLate(before: Series, after: Series, { beforeNanos, afterNanos }: Shift): boolean {
  const [was, is] = [before.requestNanos(), after.requestNanos()];
  if (was === null || is === null) return true;
  const grown = afterNanos - beforeNanos;
  const requests = quantileOf(is.toSorted(), 0.5) - quantileOf(was.toSorted(), 0.5);
  const slack = Math.max(0, grown) * clockSlackShare;
  if (requests < -beforeNanos - slack || requests > afterNanos + slack) return true;
  return grown - requests >= legShareMin * grown;
}

type Roles = ReadonlyMap<SlowRole, readonly Member[]>;

/** By service, in order of name, and by role, all series that count for it, shifted or not. */
function groupsOf(compared: readonly Compared[]): ReadonlyMap<string, Roles> {
  const groups = new Map<string, Map<SlowRole, Member[]>>();
  const put = (service: string, role: SlowRole, member: Member): void => {
    const roles = groups.get(service) ?? new Map<SlowRole, Member[]>();
    groups.set(service, roles);
    const members = roles.get(role) ?? [];
    roles.set(role, members);
    members.push(member);
  };
  for (const each of compared) {
    const { series, isAnswerLate: isCallee, slowEnd, calleeInstance, callerInstance } = each;
    if (series.kind === "own") {
      put(series.callee, "own", { ...each, factor: 1, instance: calleeInstance });
      continue;
    }
    // a peer's time is its own, and a message waits for who works on it
    const leader = slowEnd ?? (isCallee || series.kind !== "call" ? "callee" : "caller");
    const other = slowEnd === null ? 1 - otherEndDiscount : otherInstancesPart;
    put(series.callee, "called", {
      ...each,
      factor: leader === "callee" ? 1 : other,
      instance: calleeInstance,
    });
    if (series.kind === "message") continue;
    put(series.caller, "calling", {
      ...each,
      factor: leader === "caller" ? 1 : other,
      instance: callerInstance,
    });
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function findingOf(service: string, roles: Roles, requestNanos: number): SignalFinding | null {
  let strength = 0;
  const parts: { readonly part: number; readonly role: SlowRole; readonly members: readonly Member[] }[] = [];
  for (const role of ["own", "called", "calling"] as const) {
    const members = roles.get(role) ?? [];
    const part =
      consistencyOf(members) * sumOf(members.map(({ effectNanos, factor }) => effectNanos * factor));
    if (part <= 0) continue;
    strength += part;
    parts.push({ part, role, members });
  }
  const [first] = parts.sort((a, b) => b.part - a.part);
  if (first === undefined) return null;
  const largest = largestOf(first.members);
  const isOwn = parts.some(({ role }) => role === "own") || largest.series.kind === "peer";
  const isEdge =
    first.role !== "own" && first.members.filter(({ effectNanos }) => effectNanos > 0).length === 1;
  const { caller, callee, operation } = largest.series;
  return {
    service,
    strength: strength / requestNanos,
    kind: isOwn || largest.series.kind !== "call" ? "latency" : "network",
    operation: callee === service ? operation : null,
    instance: commonInstance(parts.flatMap(({ members }) => members)),
    edge: isEdge ? { caller, callee } : null,
    evidence: parts.map(({ role, members }) => factOf(service, role, members)).slice(0, factsPerSignalMax),
  };
}

/** The part of the series that became slower, those of many values counting more. */
function consistencyOf(members: readonly Member[]): number {
  let shifted = 0;
  let all = 0;
  for (const { shift, effectNanos } of members) {
    const weight = Math.sqrt(Math.min(shift.n, shift.m));
    all += weight;
    if (effectNanos > 0) shifted += weight;
  }
  return all === 0 ? 0 : shifted / all;
}

function largestOf(members: readonly Member[]): Member {
  return members.reduce((a, b) => (b.effectNanos * b.factor > a.effectNanos * a.factor ? b : a));
}

/** The instance that all slower series of a service share, null where there are several. */
function commonInstance(members: readonly Member[]): string | null {
  const instances = new Set(
    members.filter(({ effectNanos }) => effectNanos > 0).map(({ instance }) => instance),
  );
  const [only] = instances;
  return instances.size === 1 ? (only ?? null) : null;
}

function factOf(service: string, role: SlowRole, members: readonly Member[]): EvidenceFact {
  const { series, shift } = largestOf(members);
  return {
    kind: "became_slower",
    role,
    service,
    caller: series.caller,
    callee: series.callee,
    operation: series.operation,
    isPeer: series.kind === "peer",
    isMessage: series.kind === "message",
    addedNanos: sumOf(members.map(({ effectNanos }) => effectNanos)),
    slower: members.filter(({ effectNanos }) => effectNanos > 0).length,
    series: members.length,
    beforeNanos: shift.beforeNanos,
    afterNanos: shift.afterNanos,
    before: shift.n,
    after: shift.m,
    tail: shift.tail,
    z: shift.z,
  };
}
