/** A set of numbers by what tests of means need. */
export class Moments {
  count = 0;
  #sum = 0;
  #squares = 0;

  add(value: number): void {
    this.count += 1;
    this.#sum += value;
    this.#squares += value * value;
  }

  get mean(): number {
    return this.count === 0 ? 0 : this.#sum / this.count;
  }

  /** of the mean, squared */
  get errorSquared(): number {
    if (this.count < 2) return Number.POSITIVE_INFINITY;
    const variance = (this.#squares - this.#sum * this.mean) / (this.count - 1);
    return Math.max(variance, 1e-9) / this.count;
  }
}

/** Welch's z: how many standard errors the mean of `after` lies above that of `before`. */
export function welchZ(before: Moments, after: Moments): number {
  return (after.mean - before.mean) / Math.sqrt(before.errorSquared + after.errorSquared);
}

/** How many standard errors the share of `after` lies above that of `before`, of so many each. */
export function shareZ(before: number, beforeOf: number, after: number, afterOf: number): number {
  if (beforeOf === 0 || afterOf === 0) return 0;
  const share = (before + after) / (beforeOf + afterOf);
  const error = Math.sqrt(share * (1 - share) * (1 / beforeOf + 1 / afterOf));
  return error === 0 ? 0 : (after / afterOf - before / beforeOf) / error;
}

/** The items by what `keyOf` says, in the order in which keys come first. */
export function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
