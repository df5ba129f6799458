/**
 * Random numbers without a state: each is a function of a key (which request, which call, which attempt) and of what it is drawn
 * for. So a fault changes the draws of what it acts on and of nothing else, and two runs can be compared request by request.
 */

/** What a number is drawn for. */
export const Purpose = {
  Arrival: 1, Work: 2, OwnError: 4, ClientError: 5, Happens: 6, Balance: 7, LinkOut: 8, LinkBack: 9, PeerWork: 10,
  CacheMiss: 11, Backoff: 12, Poll: 13, FaultError: 14, Dns: 15, Poison: 16, TraceId: 17, SpanId: 18, Path: 19, LossOut: 20,
  LossBack: 21, Log: 22, PeerError: 23, BodyError: 24, Cpu: 25, Memory: 26, Port: 27, Pause: 28, Tail: 29, Drift: 30, Lost: 31,
} as const; // biome-ignore format: a list

/** A 32-bit hash of two 32-bit numbers: the key of a part within a whole. */
export function mix(a: number, b: number): number {
  let hash = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash ^ b, 0xc2b2ae35);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x27d4eb2f);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** In (0, 1). */
export function uniform(key: number, purpose: number): number {
  return (mix(key, purpose) + 0.5) / 4_294_967_296;
}

/** Around `median`; `sigma` is the deviation of its logarithm. */
export function logNormal(key: number, purpose: number, median: number, sigma: number): number {
  const radius = Math.sqrt(-2 * Math.log(uniform(key, purpose)));
  const angle = 2 * Math.PI * uniform(mix(key, 0x5bd1e995), purpose);
  return median * Math.exp(sigma * radius * Math.cos(angle));
}

/** Time until the next of events that happen `mean` apart. */
export function exponential(key: number, purpose: number, mean: number): number {
  return -mean * Math.log(uniform(key, purpose));
}

/** Draws one after the other, for what is made once and in a fixed order: the topology and the choice of a fault. */
export class Sequence {
  readonly #key: number;
  #count = 0;

  constructor(seed: number, purpose: number) {
    this.#key = mix(seed, purpose);
  }

  /** In (0, 1). */
  next(): number {
    this.#count += 1;
    return uniform(this.#key, this.#count);
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor((high - low + 1) * this.next());
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.next() * items.length)] as Item;
  }

  /** One of the items, each as likely as its weight says. */
  pickWeighted<Item>(items: readonly Item[], weightOf: (item: Item) => number): Item {
    const total = items.reduce((sum, item) => sum + weightOf(item), 0);
    let left = this.next() * total;
    for (const item of items) {
      left -= weightOf(item);
      if (left <= 0) return item;
    }
    return items[items.length - 1] as Item;
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i -= 1) {
      const j = Math.floor(this.next() * (i + 1));
      [result[i], result[j]] = [result[j] as Item, result[i] as Item];
    }
    return result;
  }
}
