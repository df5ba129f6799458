import { assert } from "./assert.ts";
import { grow } from "./grow.ts";
import { selectRank } from "./select-rank.ts";
import type { SnapshotReader, SnapshotWriter } from "./snapshot.ts";

/** Up to this many values quantiles are exact (nearest rank). */
export const exactValuesMax = 4096;

/**
 * Up to this many the values themselves are kept beside the buckets, so that a sketch from which values are taken back
 * becomes exact again: only one that has held more than this and shrinks below `exactValuesMax` stays with its buckets.
 */
const keptValuesMax = 2 * exactValuesMax;

/**
 * Above this many values there are buckets too once somebody asks, so that adding up large sketches is a matter of buckets.
 * A sealed sketch lets its values go there: that many take as much room as buckets do.
 */
const bucketsFrom = 256;

/** Buckets of OTLP exponential histograms at scale 5: each is 2^(1/32) times as wide as the one before, about 1 % error. */
const bucketsPerDoubling = 32;

/**
 * Quantiles of non-negative values, each with a weight: exact (nearest rank) for up to 4,096 values, from log buckets
 * above. What it answers depends on the set of values alone, never on their order or on how parts were added up. Values can
 * be taken back. Weights are multiples of one power of two, so that their sums are exact. A sealed sketch is exact up to 256
 * values only. Source of the buckets: the OpenTelemetry data model for exponential histograms.
 */
export class QuantileSketch {
  #count = 0;
  #weight = 0;
  /** null = more than `#keptMax` were held once */
  #values: Float64Array | null = noValues;
  /** `keptValuesMax`, or `bucketsFrom` once sealed */
  #keptMax = keptValuesMax;
  /** beside `#values`; null = all weights are 1 */
  #weights: Float64Array | null = null;
  /** of the first `#bucketed` values, or of all where no values are kept; made when asked for, never for a few values */
  #buckets: LogBuckets | null = null;
  #bucketed = 0;
  /** what `quantile` answered since the values last changed: every report asks the same of a window; null = nothing */
  #answers: Map<number, number | null> | null = null;

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
    const at = this.#count;
    if (at >= this.#keptMax) this.#forgetValues();
    this.#count = at + 1;
    this.#weight += weight;
    this.#answers = null;
    if (this.#values === null) {
      this.#buckets?.add(value, weight);
      return;
    }
    if (at === this.#values.length) this.#values = grow(this.#values, at + 1);
    this.#values[at] = value;
    if (weight !== 1 || this.#weights !== null) this.#setWeight(at, weight);
  }

  /** Takes back a value that was added with the same weight; false, and nothing changes, where there is none. */
  remove(value: number, weight = 1): boolean {
    const values = this.#values;
    const last = this.#count - 1;
    const at = values === null ? -1 : this.#indexOf(value, weight, last);
    if (values === null ? !this.#buckets?.holds(value, weight) : at < 0) return false;
    this.#count = last;
    this.#weight -= weight;
    this.#answers = null;
    if (values === null) {
      this.#buckets?.add(value, -weight);
      if (last === 0) this.#reset();
      return true;
    }
    if (last <= bucketsFrom) this.#letBucketsGo();
    // The last value moves into the gap, so the first ones are to be those in the buckets from there on.
    else if (at < this.#bucketed) this.#takeFromBuckets(at, last);
    values[at] = values[last] as number;
    if (this.#weights !== null) this.#weights[at] = this.#weights[last] as number;
    return true;
  }

  /** What it takes in memory, roughly: objects of an engine have no exact size. */
  get byteLength(): number {
    return sketchBytes + bytesOf(this.#values) + bytesOf(this.#weights) + (this.#buckets?.byteLength ?? 0);
  }

  /** Takes as little room from now on as 1 % of error allows: for sketches that hardly change any more. */
  seal(): void {
    this.#answers = null;
    this.#keptMax = bucketsFrom;
    if (this.#count > bucketsFrom) this.#forgetValues();
    if (this.#values === null) this.#buckets?.trim();
    else {
      this.#values = this.#values.slice(0, this.#count);
      this.#weights = this.#weights?.slice(0, this.#count) ?? null;
    }
  }

  /** One sketch of all values of the parts; the parts stay as they are. */
  static sum(parts: readonly QuantileSketch[]): QuantileSketch {
    const sum = new QuantileSketch();
    const count = parts.reduce((total, part) => total + part.#count, 0);
    if (count > exactValuesMax || parts.some((part) => part.#values === null)) {
      sum.#forgetValues();
      for (const part of parts) sum.#mergeBuckets(part);
      return sum;
    }
    sum.#values = new Float64Array(count);
    for (const part of parts) sum.#appendValues(part);
    return sum;
  }

  /** The value at the nearest rank of `q` in 0..1, or null where there is none. */
  quantile(q: number): number | null {
    if (this.#count === 0) return null;
    this.#answers ??= new Map();
    let answer = this.#answers.get(q);
    if (answer === undefined) {
      answer = this.#findQuantile(q);
      this.#answers.set(q, answer);
    }
    return answer;
  }

  /** The weight of the values above one: exact where quantiles are, else as exact as the buckets. */
  weightAbove(value: number): number {
    if (this.#values === null || this.#count > exactValuesMax)
      return this.#upToDateBuckets().weightAbove(value);
    let weight = 0;
    for (let i = 0; i < this.#count; i += 1)
      if ((this.#values[i] as number) > value) weight += this.#weights?.[i] ?? 1;
    return weight;
  }

  /** Buckets beside values are made again when they are asked for. */
  save(out: SnapshotWriter): void {
    out.number(this.#keptMax);
    out.number(this.#count);
    out.number(this.#weight);
    out.optional(this.#values, (values) => out.numbers(values.subarray(0, this.#count)));
    out.optional(this.#weights, (weights) => out.numbers(weights.subarray(0, this.#count)));
    if (this.#values === null) this.#upToDateBuckets().save(out);
  }

  load(from: SnapshotReader): void {
    this.#keptMax = from.number();
    this.#count = from.number();
    this.#weight = from.number();
    this.#values = from.optional(() => from.numbers());
    this.#weights = from.optional(() => from.numbers());
    if (this.#values === null) this.#upToDateBuckets().load(from);
  }

  #findQuantile(q: number): number | null {
    if (this.#values === null || this.#count > exactValuesMax)
      return this.#upToDateBuckets().quantile(q, this.#weight);
    const values = (this.#values ?? noValues).subarray(0, this.#count);
    if (this.#weights !== null) return weightedQuantile(values, this.#weights, q * this.#weight);
    const rank = Math.max(1, Math.ceil(q * this.#count * (1 - rounding)));
    return selectRank(values, Math.min(this.#count, rank) - 1);
  }

  #mergeBuckets(part: QuantileSketch): void {
    if (part.#values === null || part.#count > bucketsFrom) this.#buckets?.merge(part.#upToDateBuckets());
    else
      for (let i = 0; i < part.#count; i += 1)
        this.#buckets?.add(part.#values?.[i] ?? 0, part.#weights?.[i] ?? 1);
    this.#count += part.#count;
    this.#weight += part.#weight;
  }

  #appendValues(part: QuantileSketch): void {
    const at = this.#count;
    this.#values?.set((part.#values ?? noValues).subarray(0, part.#count), at);
    if (part.#weights !== null || this.#weights !== null)
      for (let i = 0; i < part.#count; i += 1) this.#setWeight(at + i, part.#weights?.[i] ?? 1);
    this.#count = at + part.#count;
    this.#weight += part.#weight;
  }

  #setWeight(at: number, weight: number): void {
    this.#weights ??= new Float64Array((this.#values ?? noValues).length).fill(1);
    if (at >= this.#weights.length) this.#weights = grow(this.#weights, at + 1);
    this.#weights[at] = weight;
  }

  /** From the end, where what was added last lies: that is what is taken back most often. */
  #indexOf(value: number, weight: number, last: number): number {
    const values = this.#values ?? noValues;
    const weights = this.#weights;
    for (let i = last; i >= 0; i -= 1)
      if (values[i] === value && (weights === null || weights[i] === weight)) return i;
    return -1;
  }

  /** One sketch at a time in one go: looking for a bucket with each value that is added costs a walk through memory. */
  #upToDateBuckets(): LogBuckets {
    this.#buckets ??= new LogBuckets();
    if (this.#values === null) return this.#buckets;
    for (let i = this.#bucketed; i < this.#count; i += 1)
      this.#buckets.add(this.#values[i] as number, this.#weights?.[i] ?? 1);
    this.#bucketed = this.#count;
    return this.#buckets;
  }

  /** Value `at` goes, and value `last`, which may not be in the buckets yet, takes its place. */
  #takeFromBuckets(at: number, last: number): void {
    const values = this.#values ?? noValues;
    this.#buckets?.add(values[at] as number, -(this.#weights?.[at] ?? 1));
    if (last < this.#bucketed) this.#bucketed = last;
    else this.#buckets?.add(values[last] as number, this.#weights?.[last] ?? 1);
  }

  #letBucketsGo(): void {
    this.#buckets = null;
    this.#bucketed = 0;
  }

  #forgetValues(): void {
    if (this.#values === null) return;
    this.#upToDateBuckets();
    this.#values = null;
    this.#weights = null;
  }

  #reset(): void {
    this.#values = noValues;
    this.#letBucketsGo();
  }
}

const noValues = new Float64Array(0);

/** The sketch itself, and what a typed array takes besides its elements. */
const sketchBytes = 120;
const arrayBytes = 200;

function bytesOf(array: Float64Array | null): number {
  return array === null || array.length === 0 ? 0 : arrayBytes + array.byteLength;
}

/** What `q * count` may be off by. */
const rounding = 1e-12;

/** Sums of weights by logarithmic bucket, in one typed array that covers the buckets in use. */
class LogBuckets {
  #zero = 0;
  /** the bucket of `#sums[0]` */
  #first = 0;
  #sums = new Float64Array(0);

  get byteLength(): number {
    return bytesOf(this.#sums);
  }

  add(value: number, weight: number): void {
    if (value === 0) this.#zero += weight;
    else this.#addTo(bucketOf(value), weight);
  }

  holds(value: number, weight: number): boolean {
    const held = value === 0 ? this.#zero : (this.#sums[bucketOf(value) - this.#first] ?? 0);
    return held >= weight;
  }

  merge(other: LogBuckets): void {
    this.#zero += other.#zero;
    for (let i = 0; i < other.#sums.length; i += 1) {
      const weight = other.#sums[i] as number;
      if (weight !== 0) this.#addTo(other.#first + i, weight);
    }
  }

  quantile(q: number, total: number): number {
    const rank = Math.max(Number.MIN_VALUE, q * total * (1 - rounding));
    let passed = this.#zero;
    if (passed >= rank) return 0;
    let last = 0;
    for (let i = 0; i < this.#sums.length; i += 1) {
      const weight = this.#sums[i] as number;
      if (weight === 0) continue;
      passed += weight;
      last = this.#first + i;
      if (passed >= rank) break;
    }
    return middleOf(last);
  }

  weightAbove(value: number): number {
    const from = value === 0 ? this.#first : bucketOf(value) + 1;
    let weight = 0;
    for (let i = Math.max(0, from - this.#first); i < this.#sums.length; i += 1)
      weight += this.#sums[i] as number;
    return weight;
  }

  /** Lets the empty buckets at both ends go. */
  trim(): void {
    let start = 0;
    let end = this.#sums.length;
    while (start < end && this.#sums[start] === 0) start += 1;
    while (end > start && this.#sums[end - 1] === 0) end -= 1;
    if (end - start === this.#sums.length) return;
    this.#sums = this.#sums.slice(start, end);
    this.#first += start;
  }

  save(out: SnapshotWriter): void {
    this.trim();
    out.number(this.#zero);
    out.number(this.#first);
    out.column(this.#sums);
  }

  load(from: SnapshotReader): void {
    this.#zero = from.number();
    this.#first = from.number();
    this.#sums = from.column(Float64Array);
  }

  #addTo(bucket: number, weight: number): void {
    const at = bucket - this.#first;
    if (at < 0 || at >= this.#sums.length) {
      this.#cover(bucket);
      this.#addTo(bucket, weight);
      return;
    }
    this.#sums[at] = (this.#sums[at] as number) + weight;
  }

  #cover(bucket: number): void {
    const sums = this.#sums;
    const margin = bucketsPerDoubling * 2;
    const first = sums.length === 0 ? bucket - margin : Math.min(this.#first, bucket - margin);
    const end = Math.max(this.#first + sums.length, bucket + margin);
    this.#sums = new Float64Array((sums.length === 0 ? bucket + margin : end) - first);
    this.#sums.set(sums, sums.length === 0 ? 0 : this.#first - first);
    this.#first = first;
  }
}

/** What was asked for last: one duration mostly goes into several sketches. */
let lastValue = 1;
let lastBucket = 0;

function bucketOf(value: number): number {
  if (value === lastValue) return lastBucket;
  lastValue = value;
  lastBucket = Math.ceil(Math.log2(value) * bucketsPerDoubling);
  return lastBucket;
}

/** The geometric middle of a bucket. */
function middleOf(bucket: number): number {
  return 2 ** ((bucket - 0.5) / bucketsPerDoubling);
}

function weightedQuantile(values: Float64Array, weights: Float64Array, rank: number): number | null {
  const order = Array.from(values.keys()).sort((a, b) => (values[a] as number) - (values[b] as number));
  let passed = 0;
  for (const at of order) {
    passed += weights[at] as number;
    if (passed >= rank * (1 - rounding)) return values[at] as number;
  }
  return values[order.at(-1) ?? 0] ?? null;
}
