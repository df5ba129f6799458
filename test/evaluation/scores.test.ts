import { expect, test } from "vitest";
import { rankingOf } from "../../src/evaluation/ranking.ts";
import {
  accuracyAt,
  boundedFigures,
  f1Of,
  figuresOfScores,
  jaccardOf,
  macroFigures,
  type Score,
  scoreOf,
} from "../../src/evaluation/scores.ts";
import { parseTruth } from "../../src/evaluation/truth.ts";

const scored = (...ranks: (number | null)[]): Score => ({
  ranks,
  rank: ranks.find((rank) => rank !== null) ?? null,
  cluster: String(ranks),
});

test("figures over ranks 1, 3, 6 and none", () => {
  // AC@1 = 1/4, AC@2 = 1/4, AC@3 = AC@4 = AC@5 = 2/4; MRR = (1 + 1/3 + 1/6 + 0) / 4
  expect(figuresOfScores([scored(1), scored(3), scored(6), scored(null)])).toEqual({
    cases: 4,
    ac1: 0.25,
    ac3: 0.5,
    ac5: 0.5,
    avg5: 0.4,
    mrr: 0.375,
  });
});

test("two that are tied for the first place are right in neither first place, and half a reciprocal rank more than second", () => {
  const tied = scored(1.5);
  expect([accuracyAt(tied, 1), accuracyAt(tied, 2)]).toEqual([0, 1]);
  expect(figuresOfScores([tied]).mrr).toBeCloseTo(2 / 3);
});

test("of several causes as many count as fit among the first k", () => {
  const both = scored(1, 3);
  expect([1, 2, 3].map((k) => accuracyAt(both, k))).toEqual([1, 0.5, 1]);
  expect([1, 2, 3].map((k) => accuracyAt(scored(1, null), k))).toEqual([1, 0.5, 0.5]);
});

test("a macro figure counts every group once", () => {
  const large = figuresOfScores(Array.from({ length: 9 }, () => scored(1)));
  const small = figuresOfScores([scored(null)]);
  expect(macroFigures([large, small])).toMatchObject({ cases: 2, ac1: 0.5, mrr: 0.5 });
});

test("an interval is the same in every run, holds the mean, and is none for a single cluster", () => {
  const scores = Array.from({ length: 40 }, (_, i) => ({
    ...scored(i % 4 === 0 ? 1 : null),
    cluster: `${i}`,
  }));
  const { ac1, ac1_interval: interval } = boundedFigures(scores);
  expect(ac1).toBe(0.25);
  expect(boundedFigures(scores).ac1_interval).toEqual(interval);
  const [low = 0, high = 0] = interval ?? [];
  // for 40 independent cases: 0.25 +- 1.96 * sqrt(0.25 * 0.75 / 40) = 0.25 +- 0.134
  expect(low).toBeCloseTo(0.116, 1);
  expect(high).toBeCloseTo(0.384, 1);
  expect(boundedFigures(scores.map((score) => ({ ...score, cluster: "one" }))).ac1_interval).toBeNull();
});

test("cases of one system widen the interval", () => {
  const width = (scores: readonly Score[]): number => {
    const [low = 0, high = 0] = boundedFigures(scores).ac1_interval ?? [];
    return high - low;
  };
  const cases = Array.from({ length: 40 }, (_, i) => scored(i % 20 < 10 ? 1 : null));
  expect(width(cases.map((score, i) => ({ ...score, cluster: `${Math.floor(i / 10)}` })))).toBeGreaterThan(
    1.5 * width(cases.map((score, i) => ({ ...score, cluster: `${i}` }))),
  );
});

test("sets are compared by what they share", () => {
  const set = (text: string) => new Set(text.split(" ").filter((name) => name !== ""));
  // precision 1/2, recall 1/3
  expect(f1Of(set("a b"), set("a c d"))).toBeCloseTo(0.4);
  expect(f1Of(set("a"), set(""))).toBeNull();
  expect(jaccardOf(set("a b"), set("a c d"))).toBe(0.25);
  expect(jaccardOf(set(""), set(""))).toBeNull();
});

test("a case is its own cluster unless its label names one", () => {
  const scoreWith = (text: string): Score => {
    const truth = parseTruth(text);
    if (truth.kind !== "window") throw new Error("no window");
    return scoreOf(rankingOf([["cart", 1]]), truth.label, "case-7");
  };
  expect(scoreWith('{"root_cause_service":"cart"}')).toEqual({ ranks: [1], rank: 1, cluster: "case-7" });
  expect(scoreWith('{"root_cause_service":"cart","topology_seed":12}').cluster).toBe("12");
});
