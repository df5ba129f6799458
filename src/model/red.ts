import { QuantileSketch } from "../base/quantile-sketch.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { EarliestStarts } from "./earliest-starts.ts";
import type { MinuteTime } from "./time.ts";

/** Weights are multiples of this, so that sums of them are exact and do not depend on order. */
const weightUnit = 1 / 1024;

/** A sampling weight as it enters sums. */
export function exactWeight(weight: number): number {
  return weight === 1 ? 1 : Math.max(weightUnit, Math.round(weight / weightUnit) * weightUnit);
}

/** Rate, errors and duration of one population of requests or calls. Counts are adjusted for sampling. */
export class RedCell {
  requests = 0;
  failed = 0;
  /** nanoseconds; unfinished requests are not in it */
  readonly latency: QuantileSketch;
  readonly #starts = new EarliestStarts();

  constructor(latency = new QuantileSketch()) {
    this.latency = latency;
  }

  /** The earliest start of its requests; null where there are none. */
  get firstStart(): MinuteTime | null {
    return this.#starts.first;
  }

  /** `weight` is exact: see `exactWeight`. */
  add(startTime: MinuteTime, { durationNanos, failed }: RedSample, weight: number): void {
    this.requests += weight;
    if (failed) this.failed += weight;
    if (durationNanos !== null) this.latency.add(durationNanos, weight);
    this.#starts.add(startTime);
  }

  /** Takes back what was added; what is not there changes nothing. */
  remove(startTime: MinuteTime, { durationNanos, failed }: RedSample, weight: number): void {
    if (this.requests < weight || (failed && this.failed < weight)) return;
    if (durationNanos !== null && !this.latency.remove(durationNanos, weight)) return;
    this.requests -= weight;
    if (failed) this.failed -= weight;
    if (this.requests === 0) this.#starts.clear();
    else this.#starts.remove(startTime);
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    return cellBytes + this.latency.byteLength + this.#starts.byteLength;
  }

  /** Takes as little room from now on as 1 % of error in latencies allows. */
  seal(): void {
    this.latency.seal();
  }

  /** All requests of the parts; the parts stay as they are. */
  static sum(parts: readonly RedCell[]): RedCell {
    const [only, ...others] = parts;
    if (only !== undefined && others.length === 0) return only;
    const sum = new RedCell(QuantileSketch.sum(parts.map(({ latency }) => latency)));
    for (const { requests, failed, firstStart } of parts) {
      sum.requests += requests;
      sum.failed += failed;
      if (firstStart !== null) sum.#starts.add(firstStart);
    }
    return sum;
  }

  save(out: SnapshotWriter): void {
    out.number(this.requests);
    out.number(this.failed);
    this.latency.save(out);
    this.#starts.save(out);
  }

  load(from: SnapshotReader): void {
    this.requests = from.number();
    this.failed = from.number();
    this.latency.load(from);
    this.#starts.load(from);
  }

  /** 0..1; 0 where there were no requests */
  get errorRatio(): number {
    return this.requests > 0 ? this.failed / this.requests : 0;
  }
}

const cellBytes = 100;

export interface RedSample {
  /** null = says nothing of latency */
  readonly durationNanos: number | null;
  readonly failed: boolean;
}
