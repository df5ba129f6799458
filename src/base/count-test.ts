/** `count` of `of` had something. */
export interface Share {
  readonly count: number;
  readonly of: number;
}

/**
 * How surprising a change of a share is: the likelihood ratio of a table of four counts, each raised by one half so that
 * none is empty. Above 0 the share grew, below 0 it fell. 6 is p 0.014, 12 is p 0.0005.
 */
export function signedG(before: Share, after: Share): number {
  const yes = [before.count + 0.5, after.count + 0.5] as const;
  const no = [before.of - before.count + 0.5, after.of - after.count + 0.5] as const;
  const rows = [yes[0] + no[0], yes[1] + no[1]] as const;
  const columns = [yes[0] + yes[1], no[0] + no[1]] as const;
  const total = rows[0] + rows[1];
  const term = (observed: number, row: number, column: number): number =>
    observed * Math.log((observed * total) / (row * column));
  const sum =
    term(yes[1], rows[1], columns[0]) +
    term(no[1], rows[1], columns[1]) +
    term(yes[0], rows[0], columns[0]) +
    term(no[0], rows[0], columns[1]);
  const g = Math.max(0, 2 * sum);
  return yes[1] / rows[1] > yes[0] / rows[0] ? g : -g;
}

/**
 * How often chance alone makes a likelihood ratio of one degree of freedom so large: the upper tail of chi-square, which is
 * erfc(sqrt(g / 2)), by the rational approximation of Abramowitz and Stegun 7.1.26 (off by 1.5e-7 at most, and from g = 25
 * on by the leading term of its tail). 1 for g <= 0.
 */
export function chanceOfG(g: number): number {
  if (g <= 0) return 1;
  const x = Math.sqrt(g / 2);
  if (g > 25) return Math.exp(-x * x) / (x * Math.sqrt(Math.PI));
  const t = 1 / (1 + 0.3275911 * x);
  const terms = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];
  return terms.reduceRight((sum, term) => (sum + term) * t, 0) * Math.exp(-x * x);
}

/**
 * Which of several comparisons are no chance, if of those that are named at most the share `falseShare` may be (Benjamini and
 * Hochberg 1995): the `chances` up to the answer; 0 = none.
 */
export function discoveryLimit(chances: readonly number[], falseShare: number): number {
  const sorted = chances.toSorted((a, b) => a - b);
  let limit = 0;
  for (const [i, chance] of sorted.entries())
    if (chance <= ((i + 1) / sorted.length) * falseShare) limit = chance;
  return limit;
}
