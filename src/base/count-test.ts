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
