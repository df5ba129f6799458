/** In the order in which they stand: whoever asks keeps it, so that the last bits stay the same. */
export function sumOf(values: readonly number[] | Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

/** Smallest first, so that the sum does not depend on order. */
export function orderlessSum(values: Iterable<number>): number {
  return sumOf([...values].sort((a, b) => a - b));
}
