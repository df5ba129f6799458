/**
 * Whether one population is larger than another, by ranks (Mann and Whitney 1947), in standard deviations: above 0 the
 * second one is larger. Equal values share their mean rank, and the variance is corrected for ties; 0 where all values are
 * equal. Both are sorted.
 */
export function rankTest(before: Float64Array, after: Float64Array): number {
  const [n, m] = [before.length, after.length];
  const total = n + m;
  let rankSum = 0;
  let ties = 0;
  for (let i = 0, j = 0; i + j < total; ) {
    const value = Math.min(before[i] ?? Number.POSITIVE_INFINITY, after[j] ?? Number.POSITIVE_INFINITY);
    const [fromBefore, fromAfter] = [i, j];
    while (i < n && before[i] === value) i += 1;
    while (j < m && after[j] === value) j += 1;
    const alike = i - fromBefore + (j - fromAfter);
    rankSum += (j - fromAfter) * (fromBefore + fromAfter + (alike + 1) / 2);
    ties += alike ** 3 - alike;
  }
  const u = rankSum - (m * (m + 1)) / 2;
  const variance = ((n * m) / 12) * (total + 1 - ties / (total * (total - 1)));
  return variance > 0 ? (u - (n * m) / 2) / Math.sqrt(variance) : 0;
}

/** Cliff's delta (-1..1: how often a value of one population exceeds one of the other) of a `rankTest` of n and m values. */
export function cliffsDelta(z: number, { n, m }: { readonly n: number; readonly m: number }): number {
  return 2 * z * Math.sqrt((n + m + 1) / (12 * n * m));
}
