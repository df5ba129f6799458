/** The value at the share `q` (0..1) of sorted values, linear between neighbours (position `q * (n - 1)`); NaN of none. */
export function quantileOf(sorted: Float64Array, q: number): number {
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below];
  if (low === undefined) return Number.NaN;
  const high = sorted[below + 1] ?? low;
  return low + (high - low) * (position - below);
}

/** The same of values in any order. */
export function quantileOfUnsorted(values: readonly number[], q: number): number {
  return quantileOf(Float64Array.from(values).sort(), q);
}

/** How far a population moved: the mean difference of its quartiles. NaN where one of the two is empty. */
export function quartileShift(before: Float64Array, after: Float64Array): number {
  let sum = 0;
  for (const q of [0.25, 0.5, 0.75]) sum += quantileOf(after, q) - quantileOf(before, q);
  return sum / 3;
}
