import { quantileOf, quartileShift } from "../base/quantile.ts";
import { cliffsDelta, rankTest } from "../base/rank-test.ts";
import { driftFactor, latencyShift, smallSample, valuesPerHalfMin } from "../model/scoring.ts";

/** How the times of one thing changed between two windows. Nanoseconds. */
export interface Shift {
  /** values before and after */
  readonly n: number;
  readonly m: number;
  /** of the rank test */
  readonly z: number;
  readonly delta: number;
  /** medians */
  readonly beforeNanos: number;
  readonly afterNanos: number;
  /** mean change of the quartiles, beyond what is common */
  readonly addedNanos: number;
  /** interquartile range before */
  readonly spreadNanos: number;
  /** change between the two halves of the time before */
  readonly driftNanos: number;
  /** whether it is slower by more than chance, noise and drift */
  readonly isShifted: boolean;
  /** whether so few values were so clearly apart that their number does not matter */
  readonly isApart: boolean;
}

/** What a shift must exceed. */
export interface UsualChange {
  /** the values of the first and second half of the traces before, sorted */
  readonly halves: readonly [Float64Array, Float64Array];
  /** by what share of itself everything became slower */
  readonly commonShare: number;
}

/** `before` and `after` are sorted. */
export function shiftOf(
  before: Float64Array,
  after: Float64Array,
  { halves, commonShare }: UsualChange,
): Shift {
  const [n, m] = [before.length, after.length];
  const z = rankTest(before, after);
  const delta = cliffsDelta(z, { n, m });
  const [beforeNanos, afterNanos] = [quantileOf(before, 0.5), quantileOf(after, 0.5)];
  const addedNanos = quartileShift(before, after) - commonShare * Math.max(0, beforeNanos);
  const spreadNanos = quantileOf(before, 0.75) - quantileOf(before, 0.25);
  const driftNanos = driftOf(halves);
  const grown = afterNanos - beforeNanos;
  const isApart =
    z >= smallSample.zMin &&
    afterNanos >= smallSample.factorMin * beforeNanos &&
    grown >= smallSample.factorMin * spreadNanos;
  const isShifted =
    delta >= latencyShift.deltaMin &&
    addedNanos > latencyShift.shareMin * Math.max(beforeNanos, latencyShift.floorNanos) &&
    addedNanos > driftFactor * driftNanos &&
    (z >= latencyShift.zMin || isApart);
  return {
    n,
    m,
    z,
    delta,
    beforeNanos,
    afterNanos,
    addedNanos,
    spreadNanos,
    driftNanos,
    isShifted,
    isApart,
  };
}

function driftOf([first, second]: readonly [Float64Array, Float64Array]): number {
  if (Math.min(first.length, second.length) < valuesPerHalfMin) return 0;
  return Math.abs(quartileShift(first, second));
}
