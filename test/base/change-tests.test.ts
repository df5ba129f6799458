import { expect, test } from "vitest";
import { signedG } from "../../src/base/count-test.ts";
import { quantileOf, quantileOfUnsorted, quartileShift } from "../../src/base/quantile.ts";
import { cliffsDelta, rankTest } from "../../src/base/rank-test.ts";

const sorted = (...values: readonly number[]): Float64Array => Float64Array.from(values).sort();

test("quantiles lie between the order statistics", () => {
  expect(quantileOfUnsorted([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(quantileOfUnsorted([10, 20], 0.95)).toBeCloseTo(19.5);
  expect(quantileOfUnsorted([7], 0.95)).toBe(7);
  expect(quantileOfUnsorted([], 0.5)).toBeNaN();
});

test("the rank test on 3 against 3 values without overlap", () => {
  // U = 9, mean 4.5, variance 3 * 3 * 7 / 12 = 5.25
  expect(rankTest(sorted(1, 2, 3), sorted(4, 5, 6))).toBeCloseTo(4.5 / Math.sqrt(5.25));
  expect(rankTest(sorted(4, 5, 6), sorted(1, 2, 3))).toBeCloseTo(-4.5 / Math.sqrt(5.25));
});

test("the rank test takes ties into account, and says nothing of equal or missing values", () => {
  // ranks of 1, 2, 2, 3 are 1, 2.5, 2.5, 4; U = 6.5 - 3 = 3.5; variance 4 / 12 * (5 - 6 / 12) = 1.5
  expect(rankTest(sorted(1, 2), sorted(2, 3))).toBeCloseTo(1.5 / Math.sqrt(1.5));
  expect(rankTest(sorted(5, 5), sorted(5, 5))).toBe(0);
  expect(rankTest(sorted(), sorted(1, 2))).toBe(0);
});

test("ranks of equal values are shared, and the variance is corrected for them", () => {
  expect(rankTest(sorted(1, 1, 2, 2), sorted(2, 3, 3, 3))).toBeCloseTo(2.138535, 6);
  expect(rankTest(sorted(5, 5, 5), sorted(5, 5))).toBe(0);
});

test("six values that are all above eight others", () => {
  const [before, after] = [sorted(10, 11, 12, 13, 14, 15, 16, 17), sorted(50, 52, 54, 56, 58, 60)];
  const z = rankTest(before, after);
  expect(z).toBeCloseTo(3.098387, 6);
  expect(cliffsDelta(z, { n: 8, m: 6 })).toBeCloseTo(1, 12);
  expect(quartileShift(before, after)).toBeCloseTo(41.5, 12);
  expect([quantileOf(before, 0.5), quantileOf(after, 0.5)]).toEqual([13.5, 55]);
  expect(quantileOf(before, 0.75) - quantileOf(before, 0.25)).toBeCloseTo(3.5, 12);
});

test("the rank test is that of every pair of values", () => {
  const pairwise = (before: Float64Array, after: Float64Array): number => {
    let u = 0;
    for (const x of before) for (const y of after) u += y > x ? 1 : y === x ? 0.5 : 0;
    return u - (before.length * after.length) / 2;
  };
  for (let seed = 1; seed < 60; seed += 1) {
    const value = (i: number): number => (i * seed * 7919) % (seed % 2 === 0 ? 5 : 97);
    const before = sorted(...Array.from({ length: 3 + (seed % 11) }, (_, i) => value(i + 1)));
    const after = sorted(...Array.from({ length: 3 + (seed % 7) }, (_, i) => value(i + 20)));
    expect(Math.sign(rankTest(before, after))).toBe(Math.sign(pairwise(before, after)));
    expect(rankTest(after, before)).toBeCloseTo(-rankTest(before, after), 9);
  }
});

test.each([
  [0, 20, 8, 8, 28.064124],
  [20, 20, 0, 8, -28.064124],
  [20, 20, 0, 6, -23.162638],
  [1, 20, 5, 10, 7.563944],
  [1, 100, 2, 100, 0.257722],
])("from %i of %i to %i of %i is a change of %f", (k0, n0, k1, n1, g) => {
  expect(signedG({ count: k0, of: n0 }, { count: k1, of: n1 })).toBeCloseTo(g, 6);
});

test("a share that stays the same is no change", () => {
  expect(Math.abs(signedG({ count: 3, of: 10 }, { count: 3, of: 10 }))).toBeLessThan(1e-9);
});
