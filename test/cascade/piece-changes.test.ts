import { expect, test } from "vitest";
import { pieceOf, shareChangeAmong, timeChangeAmong } from "../../src/cascade/piece-changes.ts";

const times = (middle: number): Float64Array => Float64Array.from({ length: 40 }, (_, i) => middle + i / 10);
const share = (count: number) => ({ count, of: 100 });

test("traces are cut into pieces of equally many, in their order", () => {
  const pieces = Array.from({ length: 12 }, (_, trace) => pieceOf(trace, 12));
  expect(pieces).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
});

test("what two pieces have in common against two others is how much a figure changes by itself", () => {
  expect(timeChangeAmong([10, 15, 10, 15, 10, 15].map(times))).toBeCloseTo(5);
  expect(shareChangeAmong([0, 20, 0, 20, 0, 20].map(share))).toBeCloseTo(0.2);
  expect(timeChangeAmong([10, 11, 12, 13, 14, 15].map(times))).toBeCloseTo(3);
});

test("one piece that is unlike all others says nothing, and neither does chance", () => {
  expect(timeChangeAmong([10, 10, 10, 90, 10, 10].map(times))).toBe(0);
  expect(shareChangeAmong([0, 0, 90, 0, 0, 0].map(share))).toBe(0);
  expect(shareChangeAmong([1, 3, 2, 4, 1, 3].map(share))).toBe(0);
});

test("too few pieces, or too few values in them, say nothing", () => {
  expect(timeChangeAmong([10, 15, 20].map(times))).toBe(0);
  expect(timeChangeAmong([10, 15, 10, 15, 10, 15].map((at) => times(at).subarray(0, 4)))).toBe(0);
  expect(shareChangeAmong([0, 4, 0, 4, 0, 4].map((count) => ({ count, of: 4 })))).toBe(0);
  expect(shareChangeAmong([])).toBe(0);
});
