/** One name with what a ranker gave it. */
export interface Ranked {
  readonly name: string;
  readonly score: number;
}

/** Each name once, highest score first; equal scores by name. Names that a ranker has nothing against are not in it. */
export type Ranking = readonly Ranked[];

/** One cause as its label names it: any of these names is right. */
export interface Cause {
  readonly service: string;
  /** other names of the same thing */
  readonly accept: readonly string[];
}

/** What scored above 0, in order. Scores that are no number (nothing to compare with) are left out. */
export function rankingOf(scores: Iterable<readonly [name: string, score: number]>): Ranking {
  const listed: Ranked[] = [];
  for (const [name, score] of scores) if (score > 0) listed.push({ name, score });
  return listed.sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
}

/**
 * The rank of each cause, from 1; names of equal score share the mean of their places (two at the top: 1.5). null = not listed.
 */
export function ranksOf(ranking: Ranking, causes: readonly Cause[]): readonly (number | null)[] {
  return causes.map(({ service, accept }) => {
    const names = new Set([service, ...accept]);
    const place = ranking.findIndex(({ name }) => names.has(name));
    const found = ranking[place];
    if (found === undefined) return null;
    let [first, last] = [place, place];
    while (ranking[first - 1]?.score === found.score) first -= 1;
    while (ranking[last + 1]?.score === found.score) last += 1;
    return (first + last) / 2 + 1;
  });
}

/** The best rank of any cause; null = none is listed. */
export function bestRank(ranks: readonly (number | null)[]): number | null {
  return ranks.reduce((best, rank) => (rank !== null && (best === null || rank < best) ? rank : best), null);
}
