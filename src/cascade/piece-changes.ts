import { type Share, signedG } from "../base/count-test.ts";
import { quantileOf, quartileShift } from "../base/quantile.ts";
import { rankTest } from "../base/rank-test.ts";
import { pieceRule, valuesPerHalfMin } from "../model/scoring.ts";

// A healthy time is cut into pieces of equally many traces, in order of their start. What differs between these differs by itself:
// by the hour, by the day where the time is made of several recordings, or because it drifts.
//
//   pieces   low  high  low  high  low  high        halves are alike, pieces are not
//   second   |____|                                 one piece alone may have had an incident, or hold the beginning of this one

/** The piece that a trace is in, by its place among all. */
export function pieceOf(trace: number, traces: number): number {
  return Math.min(pieceRule.count - 1, Math.floor((trace * pieceRule.count) / traces));
}

/** By how much times changed among pieces by more than chance, in their unit; 0 = they did not. Each piece is sorted. */
export function timeChangeAmong(pieces: readonly Float64Array[]): number {
  const [low, high] = spreadOf(
    pieces.filter(({ length }) => length >= valuesPerHalfMin),
    (values) => quantileOf(values, 0.5),
  );
  if (low === undefined || high === undefined || rankTest(low, high) < pieceRule.zMin) return 0;
  return Math.max(0, quartileShift(low, high));
}

/** The same of shares, 0..1. */
export function shareChangeAmong(pieces: readonly Share[]): number {
  const [low, high] = spreadOf(
    pieces.filter(({ of }) => of >= valuesPerHalfMin),
    ratioOf,
  );
  if (low === undefined || high === undefined || signedG(low, high) < pieceRule.zMin ** 2) return 0;
  return ratioOf(high) - ratioOf(low);
}

/** The pieces with the second-smallest and the second-largest figure; none where there are too few. */
function spreadOf<Piece>(pieces: readonly Piece[], figureOf: (piece: Piece) => number): readonly Piece[] {
  if (pieces.length < pieceRule.countMin) return [];
  const sorted = pieces.toSorted((a, b) => figureOf(a) - figureOf(b));
  return [sorted[1], sorted.at(-2)].filter((piece) => piece !== undefined);
}

function ratioOf({ count, of }: Share): number {
  return of === 0 ? 0 : count / of;
}
