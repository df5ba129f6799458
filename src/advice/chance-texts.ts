import { formatCount } from "./format-duration.ts";

/** What a test of two populations said, raw; only what there is. */
export interface TestFigures {
  /** how often chance alone would make such a difference, 0..1 */
  readonly chance?: number;
  /** of times: the rank test in standard deviations; of a metric: its rise in robust standard deviations */
  readonly z?: number;
  /** likelihood ratio of four counts; below 0 = less often than before */
  readonly g?: number;
  /** of requests that show something unusual, the share below which nothing does, 0..1 */
  readonly leaf_share?: number;
  /** of the comparisons that were made, those that became slower */
  readonly slower?: number;
  readonly compared?: number;
}

const oneIn = 1_000_000;

/** How rare a difference is where nothing has changed: "less than 1 in 1,000,000 by chance", "1 in 70 by chance". */
export function chanceText(chance: number, ko: boolean): string {
  if (chance < 1 / oneIn)
    return ko
      ? `우연일 확률 ${formatCount(oneIn)}분의 1 미만`
      : `less than 1 in ${formatCount(oneIn)} by chance`;
  const times = formatCount(Number((1 / chance).toPrecision(2)));
  return ko ? `우연일 확률 약 ${times}분의 1` : `about 1 in ${times} by chance`;
}

/** Raw figures are no more exact than that. */
export function rounded(figure: number): number {
  return Number(figure.toPrecision(3));
}
