import { assert } from "./assert.ts";

/** Up to this many values a sketch keeps each of them, and quantiles are exact. */
export const exactValuesMax = 4096;

/** Buckets of OTLP exponential histograms at scale 5: each is 2^(1/32) times as wide as the one before, about 1 % error. */
const bucketsPerDoubling = 32;

/**
 * Quantiles of non-negative values, each with a weight: exact (nearest rank) for up to 4,096 values, from log buckets
 * above. What it answers depends on the set of values alone, never on their order or on how parts were merged. Values can
 * be taken back. Source of the buckets: the OpenTelemetry data model for exponential histograms.
 */
export class QuantileSketch {
  #values: number[] | null = [];
  #weights: number[] | null = null;
  readonly #buckets = new Map<number, number>();
  #count = 0;
  #weight = 0;

  /** How many values were added. */
  get count(): number {
    return this.#count;
  }

  /** The sum of their weights. */
  get weight(): number {
    return this.#weight;
  }

  add(value: number, weight = 1): void {
    assert(value >= 0, "a sketch takes non-negative values");
    this.#count += 1;
    this.#weight += weight;
    if (this.#values === null) {
      this.#addToBucket(value, weight);
      return;
    }
    if (weight !== 1 && this.#weights === null) this.#weights = this.#values.map(() => 1);
    this.#values.push(value);
    this.#weights?.push(weight);
    if (this.#values.length > exactValuesMax) this.#toBuckets();
  }

  /** Takes back a value that was added with the same weight. */
  remove(value: number, weight = 1): void {
    this.#count -= 1;
    this.#weight -= weight;
    if (this.#values === null) {
      this.#addToBucket(value, -weight);
      return;
    }
    const weights = this.#weights;
    const at = this.#values.findIndex(
      (known, i) => known === value && (weights === null || weights[i] === weight),
    );
    assert(at >= 0, "only a value that was added is taken back");
    this.#values.splice(at, 1);
    weights?.splice(at, 1);
  }

  /** Adds all of another sketch's values; the other stays as it is. */
  merge(other: QuantileSketch): void {
    if (other.#values !== null) {
      for (let i = 0; i < other.#values.length; i += 1)
        this.add(other.#values[i] as number, other.#weights === null ? 1 : (other.#weights[i] as number));
      return;
    }
    if (this.#values !== null) this.#toBuckets();
    this.#count += other.#count;
    this.#weight += other.#weight;
    for (const [bucket, weight] of other.#buckets)
      this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + weight);
  }

  /** The value at the nearest rank of `q` in 0..1, or null where there is none. */
  quantile(q: number): number | null {
    if (this.#count === 0) return null;
    const rank = Math.max(Number.MIN_VALUE, q * this.#weight);
    let passed = 0;
    let last: number | null = null;
    for (const [value, weight] of this.#sorted()) {
      passed += weight;
      last = value;
      if (passed >= rank * (1 - 1e-12)) return value;
    }
    return last;
  }

  #sorted(): readonly (readonly [value: number, weight: number])[] {
    if (this.#values !== null) {
      const weights = this.#weights;
      return this.#values
        .map((value, i) => [value, weights === null ? 1 : (weights[i] as number)] as const)
        .sort((a, b) => a[0] - b[0]);
    }
    return [...this.#buckets]
      .sort((a, b) => a[0] - b[0])
      .map(([bucket, weight]) => [middleOf(bucket), weight]);
  }

  #addToBucket(value: number, weight: number): void {
    const bucket = bucketOf(value);
    const sum = (this.#buckets.get(bucket) ?? 0) + weight;
    if (sum <= 0) this.#buckets.delete(bucket);
    else this.#buckets.set(bucket, sum);
  }

  #toBuckets(): void {
    const values = this.#values ?? [];
    const weights = this.#weights;
    this.#values = null;
    this.#weights = null;
    for (let i = 0; i < values.length; i += 1)
      this.#addToBucket(values[i] as number, weights === null ? 1 : (weights[i] as number));
  }
}

const zeroBucket = Number.MIN_SAFE_INTEGER;

function bucketOf(value: number): number {
  return value === 0 ? zeroBucket : Math.ceil(Math.log2(value) * bucketsPerDoubling);
}

/** The geometric middle of a bucket. */
function middleOf(bucket: number): number {
  return bucket === zeroBucket ? 0 : 2 ** ((bucket - 0.5) / bucketsPerDoubling);
}
