import { quantileOfUnsorted } from "../base/quantile.ts";

// Arithmetic on plain lists of numbers. A list that is too short for a question gives NaN, which no comparison is true for.

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of the population; 0 for one value. */
export function deviationOf(values: readonly number[]): number {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(values.map((value) => (value - mean) ** 2)));
}

/**
 * Random numbers from 0 up to 1 that are the same for the same seed (Marsaglia's xorshift with 32 bits): what is drawn for an
 * interval must not make two runs differ. The seed is a whole number above 0.
 */
function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4_294_967_296;
  };
}

/** Draws of an interval: the ends move by less than 0.01 from seed to seed. */
const bootstrapDraws = 2000;
const bootstrapSeed = 20_240_101;
const intervalShare = 0.95;

export type Interval = readonly [low: number, high: number];

/**
 * Where the mean would lie in 95 of 100 cases if other cases of the same kind had been at hand: percentiles of means over
 * clusters drawn with replacement. Values that are not independent (cases of one generated system) share a cluster.
 * null = fewer than two clusters.
 */
export function bootstrapInterval(
  values: readonly { readonly cluster: string; readonly value: number }[],
): Interval | null {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const { cluster, value } of values) {
    const known = sums.get(cluster) ?? { sum: 0, count: 0 };
    sums.set(cluster, { sum: known.sum + value, count: known.count + 1 });
  }
  const clusters = [...sums.values()];
  if (clusters.length < 2) return null;
  const random = seededRandom(bootstrapSeed);
  const means = Array.from({ length: bootstrapDraws }, () => {
    let [sum, count] = [0, 0];
    for (let i = 0; i < clusters.length; i += 1) {
      const drawn = clusters[Math.floor(random() * clusters.length)];
      sum += drawn?.sum ?? 0;
      count += drawn?.count ?? 0;
    }
    return sum / count;
  });
  const tail = (1 - intervalShare) / 2;
  return [quantileOfUnsorted(means, tail), quantileOfUnsorted(means, 1 - tail)];
}

/**
 * How often chance alone would part `wins + losses` differing pairs as unevenly (McNemar's exact test, two-sided); 1 where
 * nothing differs.
 */
export function pairedTestP(wins: number, losses: number): number {
  const n = wins + losses;
  let logTerm = n * Math.log(0.5);
  let tail = 0;
  for (let k = 0; k <= Math.min(wins, losses); k += 1) {
    tail += Math.exp(logTerm);
    logTerm += Math.log(n - k) - Math.log(k + 1);
  }
  return Math.min(1, 2 * tail);
}
