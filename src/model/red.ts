import { QuantileSketch } from "../base/quantile-sketch.ts";
import type { UnixNanos } from "./time.ts";

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
  /** the earliest start seen; taking requests back does not move it, except the last one */
  firstStart: UnixNanos | null = null;

  constructor(latency = new QuantileSketch()) {
    this.latency = latency;
  }

  add(request: RedSample): void {
    const weight = exactWeight(request.weight);
    this.requests += weight;
    if (request.failed) this.failed += weight;
    if (request.durationNanos !== null) this.latency.add(request.durationNanos, weight);
    this.#startAt(request.startTime);
  }

  /** Takes back what was added; what is not there changes nothing. */
  remove(request: RedSample): void {
    const weight = exactWeight(request.weight);
    if (this.requests < weight || (request.failed && this.failed < weight)) return;
    if (request.durationNanos !== null && !this.latency.remove(request.durationNanos, weight)) return;
    this.requests -= weight;
    if (request.failed) this.failed -= weight;
    if (this.requests === 0) this.firstStart = null;
  }

  /** All requests of the parts; the parts stay as they are. */
  static sum(parts: readonly RedCell[]): RedCell {
    const [only, ...others] = parts;
    if (only !== undefined && others.length === 0) return only;
    const sum = new RedCell(QuantileSketch.sum(parts.map(({ latency }) => latency)));
    for (const { requests, failed, firstStart } of parts) {
      sum.requests += requests;
      sum.failed += failed;
      if (firstStart !== null) sum.#startAt(firstStart);
    }
    return sum;
  }

  /** 0..1; 0 where there were no requests */
  get errorRatio(): number {
    return this.requests > 0 ? this.failed / this.requests : 0;
  }

  #startAt(start: UnixNanos): void {
    if (this.firstStart === null || start < this.firstStart) this.firstStart = start;
  }
}

export interface RedSample {
  readonly startTime: UnixNanos;
  readonly durationNanos: number | null;
  readonly failed: boolean;
  /** see `exactWeight` */
  readonly weight: number;
}
