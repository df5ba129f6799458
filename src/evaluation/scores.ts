import { bestRank, type Ranking, ranksOf } from "./ranking.ts";
import { bootstrapInterval, type Interval, meanOf } from "./statistics.ts";
import type { Label } from "./truth.ts";

/** How well one ranking names the causes of one case. */
export interface Score {
  /** one per cause; null = not listed */
  readonly ranks: readonly (number | null)[];
  /** the best of them */
  readonly rank: number | null;
  /** cases that are not independent share it */
  readonly cluster: string;
}

/** Accuracy over some cases, 0..1. */
export interface Figures {
  readonly cases: number;
  /** mean share of the causes among the first k, of those that fit in there */
  readonly ac1: number;
  readonly ac3: number;
  readonly ac5: number;
  /** mean of ac1 to ac5 */
  readonly avg5: number;
  /** mean of 1 / rank of the best cause */
  readonly mrr: number;
}

export interface BoundedFigures extends Figures {
  /** of 95 %; null = too few cases */
  readonly ac1_interval: Interval | null;
  readonly mrr_interval: Interval | null;
}

export function scoreOf(ranking: Ranking, { causes, cluster }: Label, caseId: string): Score {
  const ranks = ranksOf(ranking, causes);
  return { ranks, rank: bestRank(ranks), cluster: cluster ?? caseId };
}

/** The share of the causes among the first k; of more causes than k, all k places are enough. */
export function accuracyAt({ ranks }: Score, k: number): number {
  const hits = ranks.filter((rank) => rank !== null && rank <= k).length;
  return Math.min(1, hits / Math.min(k, ranks.length));
}

function reciprocalRank({ rank }: Score): number {
  return rank === null ? 0 : 1 / rank;
}

/** NaN for no cases. */
export function figuresOfScores(scores: readonly Score[]): Figures {
  const [ac1 = Number.NaN, ac2 = 0, ac3 = Number.NaN, ac4 = 0, ac5 = Number.NaN] = [1, 2, 3, 4, 5].map((k) =>
    meanOf(scores.map((score) => accuracyAt(score, k))),
  );
  const avg5 = meanOf([ac1, ac2, ac3, ac4, ac5]);
  return { cases: scores.length, ac1, ac3, ac5, avg5, mrr: meanOf(scores.map(reciprocalRank)) };
}

export function boundedFigures(scores: readonly Score[]): BoundedFigures {
  const interval = (measure: (score: Score) => number): Interval | null =>
    bootstrapInterval(scores.map((score) => ({ cluster: score.cluster, value: measure(score) })));
  return {
    ...figuresOfScores(scores),
    ac1_interval: interval((score) => accuracyAt(score, 1)),
    mrr_interval: interval(reciprocalRank),
  };
}

/** Every group counts the same, however many cases it has; `cases` is their number of groups. */
export function macroFigures(groups: Iterable<Figures>): Figures {
  const all = [...groups];
  const mean = (read: (figures: Figures) => number): number => meanOf(all.map(read));
  return {
    cases: all.length,
    ac1: mean(({ ac1 }) => ac1),
    ac3: mean(({ ac3 }) => ac3),
    ac5: mean(({ ac5 }) => ac5),
    avg5: mean(({ avg5 }) => avg5),
    mrr: mean(({ mrr }) => mrr),
  };
}

/** How well a set was found: precision and recall in one number; null where the truth is empty. */
export function f1Of(found: ReadonlySet<string>, truth: ReadonlySet<string>): number | null {
  if (truth.size === 0) return null;
  return (2 * sharedCount(found, truth)) / (found.size + truth.size);
}

/** What two sets share of all that is in either; null where both are empty. */
export function jaccardOf(found: ReadonlySet<string>, truth: ReadonlySet<string>): number | null {
  const shared = sharedCount(found, truth);
  const all = found.size + truth.size - shared;
  return all === 0 ? null : shared / all;
}

function sharedCount(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  return [...a].filter((name) => b.has(name)).length;
}
