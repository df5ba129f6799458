/** In the order in which they stand: whoever asks keeps it, so that the last bits stay the same. */
export function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Smallest first, so that the sum does not depend on order. */
export function orderlessSum(values: Iterable<number>): number {
  return sumOf([...values].sort((a, b) => a - b));
}
