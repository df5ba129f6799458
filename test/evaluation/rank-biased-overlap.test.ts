import { expect, test } from "vitest";
import { rankBiasedOverlap } from "../../bench/rank-biased-overlap.ts";

const overlap = (one: string, other: string): number =>
  Math.round(rankBiasedOverlap(one.split(""), other.split("")) * 1000) / 1000;

test("equal rankings agree, and those without a common name do not", () => {
  expect([overlap("abc", "abc"), overlap("", ""), overlap("abc", "xyz"), overlap("a", "")]).toEqual([
    1, 1, 0, 0,
  ]);
});

test("a swap at the top costs more than one below", () => {
  expect([overlap("abcd", "bacd"), overlap("abcd", "abdc")]).toEqual([0.9, 0.973]);
});

test("a list that goes on where the other ends agrees as far as both are known", () => {
  expect([overlap("a", "ab"), overlap("ab", "a"), overlap("ab", "abcd"), overlap("ab", "cdab")]).toEqual([
    1, 1, 1, 0.392,
  ]);
});

test("by hand: names in common 0, 1, 2 of the first 1, 2, 3", () => {
  // 0.1/0.9 × (0/1×0.9 + 1/2×0.81 + 2/3×0.729) + 2/3×0.729
  expect(rankBiasedOverlap("abc".split(""), "bdc".split(""))).toBeCloseTo(0.045 + 0.054 + 0.486, 10);
});
