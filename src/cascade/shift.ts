import { chanceOfG, type Share, signedG } from "../base/count-test.ts";
import { quantileOf, quartileShift } from "../base/quantile.ts";
import { cliffsDelta, rankTest } from "../base/rank-test.ts";
import {
  driftFactor,
  latencyShift,
  slowTail,
  smallSample,
  usualRequestsMin,
  valuesPerHalfMin,
} from "../model/scoring.ts";
import { shareChangeAmong, timeChangeAmong } from "./piece-changes.ts";

/** How the times of one thing changed between two windows. Nanoseconds. */
export interface Shift {
  /** values before and after */
  readonly n: number;
  readonly m: number;
  /** of the rank test, or if that says more, the root of the likelihood ratio of the tail */
  readonly z: number;
  /** medians */
  readonly beforeNanos: number;
  readonly afterNanos: number;
  /** mean change of the quartiles, beyond what is common; of a tail, what it adds to the mean */
  readonly addedNanos: number;
  /** interquartile range before */
  readonly spreadNanos: number;
  /** whether it is slower by more than chance, noise and drift */
  readonly isShifted: boolean;
  /** whether so few values were so clearly apart that their number does not matter */
  readonly isApart: boolean;
  /** the few that became far slower, where the many did not */
  readonly tail: Tail | null;
}

/** How many values lie beyond what hardly any value did before. */
export interface Tail {
  readonly limitNanos: number;
  readonly before: Share;
  readonly after: Share;
}

/** What a shift must exceed. */
export interface UsualChange {
  /** the values of the first and second half of the traces before, sorted */
  readonly halves: readonly [Float64Array, Float64Array];
  /** the same of smaller pieces; asked for only where something became slower */
  readonly pieces: () => readonly Float64Array[];
  /** by what share of itself everything became slower */
  readonly commonShare: number;
  /** up to which median nothing is unusual, in nanoseconds */
  readonly noticedNanos: number;
}

/** `before` and `after` are sorted. */
export function shiftOf(before: Float64Array, after: Float64Array, usual: UsualChange): Shift {
  const { halves, pieces, commonShare, noticedNanos } = usual;
  const [n, m] = [before.length, after.length];
  const z = rankTest(before, after);
  const [beforeNanos, afterNanos] = [quantileOf(before, 0.5), quantileOf(after, 0.5)];
  const commonNanos = commonShare * Math.max(0, beforeNanos);
  const addedNanos = quartileShift(before, after) - commonNanos;
  const spreadNanos = quantileOf(before, 0.75) - quantileOf(before, 0.25);
  const driftNanos = driftOf(halves);
  const grown = afterNanos - beforeNanos;
  const isApart =
    z >= smallSample.zMin &&
    afterNanos >= smallSample.factorMin * beforeNanos &&
    grown >= smallSample.factorMin * spreadNanos;
  const addedMin = latencyShift.shareMin * Math.max(beforeNanos, latencyShift.floorNanos);
  const isNoticed = afterNanos > noticedNanos;
  const isShifted =
    isNoticed &&
    cliffsDelta(z, { n, m }) >= latencyShift.deltaMin &&
    addedNanos > addedMin &&
    addedNanos > driftFactor * driftNanos &&
    (z >= latencyShift.zMin || isApart) &&
    addedNanos > driftFactor * timeChangeAmong(pieces());
  const shift = { n, m, z, beforeNanos, afterNanos, addedNanos, spreadNanos, isShifted, isApart, tail: null };
  if (!isNoticed) return shift;
  const slow = tailOf(before, after, halves);
  if (
    slow === null ||
    chanceOfG(slow.z ** 2) > slowTail.chanceMax ||
    slow.addedNanos - commonNanos <= addedMin ||
    isUsualTail(slow.tail, pieces())
  )
    return shift;
  // where half are far slower and half are not, ranks see a change, but the tail is what is certain
  if (isShifted) return { ...shift, z: Math.max(z, slow.z) };
  return { ...shift, ...slow, addedNanos: slow.addedNanos - commonNanos, isShifted: true };
}

/**
 * Where most are as fast as before and some are far slower: lost packets, pauses, locks. Null unless their share rose by more
 * than what it changed before by itself.
 */
function tailOf(
  before: Float64Array,
  after: Float64Array,
  halves: UsualChange["halves"],
): { readonly tail: Tail; readonly z: number; readonly addedNanos: number } | null {
  if (Math.min(before.length, after.length) < usualRequestsMin) return null;
  const usual = Math.max(quantileOf(before, slowTail.quantile), latencyShift.floorNanos);
  const limitNanos = slowTail.factor * usual;
  const [was, is, first, second] = [before, after, ...halves].map((values) => beyond(values, limitNanos));
  if (was === undefined || is === undefined || first === undefined || second === undefined) return null;
  const rise = shareOf(is) - shareOf(was);
  if (rise <= driftFactor * Math.abs(shareOf(second) - shareOf(first))) return null;
  const middle = quantileOf(before, 0.5);
  const addedOf = (slow: Beyond): number => (slow.sumNanos - slow.count * middle) / slow.of;
  return {
    tail: { limitNanos, before: { count: was.count, of: was.of }, after: { count: is.count, of: is.of } },
    z: Math.sqrt(Math.max(0, signedG(was, is))),
    addedNanos: addedOf(is) - addedOf(was),
  };
}

/** Whether pieces of the time before differed as much in how many values were so slow. */
function isUsualTail({ limitNanos, before, after }: Tail, pieces: readonly Float64Array[]): boolean {
  const change = shareChangeAmong(pieces.map((values) => beyond(values, limitNanos)));
  return shareOf(after) - shareOf(before) <= driftFactor * change;
}

interface Beyond extends Share {
  readonly sumNanos: number;
}

/** The values above a limit, from the largest down. */
function beyond(sorted: Float64Array, limit: number): Beyond {
  let sumNanos = 0;
  let at = sorted.length;
  for (; at > 0 && (sorted[at - 1] as number) > limit; at -= 1) sumNanos += sorted[at - 1] as number;
  return { count: sorted.length - at, of: sorted.length, sumNanos };
}

function shareOf({ count, of }: Share): number {
  return of === 0 ? 0 : count / of;
}

function driftOf([first, second]: readonly [Float64Array, Float64Array]): number {
  if (Math.min(first.length, second.length) < valuesPerHalfMin) return 0;
  return Math.abs(quartileShift(first, second));
}
