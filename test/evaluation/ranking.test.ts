import { expect, test } from "vitest";
import { bestRank, rankingOf, ranksOf } from "../../src/evaluation/ranking.ts";

const cause = (service: string, ...accept: string[]) => ({ service, accept });

test("names come by score, then by name; what has no score is left out", () => {
  const scores = [
    ["cart", 1],
    ["web", 3],
    ["auth", 1],
    ["idle", 0],
    ["faster", -2],
    ["unknown", Number.NaN],
  ] as const;
  expect(rankingOf(scores).map(({ name }) => name)).toEqual(["web", "auth", "cart"]);
});

test("names that are tied share the mean of their places", () => {
  const ranking = rankingOf([
    ["first", 9],
    ["a", 5],
    ["b", 5],
    ["c", 5],
    ["last", 1],
  ]);
  const causes = ["first", "a", "c", "last", "nobody"].map((name) => cause(name));
  expect(ranksOf(ranking, causes)).toEqual([1, 3, 3, 5, null]);
});

test("any accepted name of a cause is right, the best one counts", () => {
  const ranking = rankingOf([
    ["web", 3],
    ["orders@db1", 2],
    ["mysql", 1],
  ]);
  expect(ranksOf(ranking, [cause("database", "mysql", "orders@db1")])).toEqual([2]);
});

test("the rank of a case is that of its best cause", () => {
  expect(bestRank([null, 4, 2.5])).toBe(2.5);
  expect(bestRank([null, null])).toBeNull();
});
