import { QuantileSketch } from "../base/quantile-sketch.ts";
import type { UnixNanos } from "./time.ts";

/** Weights are multiples of this, so that sums of them are exact and do not depend on order. */
const weightUnit = 1 / 1024;

/** A sampling weight as it enters sums. */
export function exactWeight(weight: number): number {
  return Math.max(weightUnit, Math.round(weight / weightUnit) * weightUnit);
}

/** Rate, errors and duration of one population of requests or calls. Counts are adjusted for sampling. */
export class RedCell {
  requests = 0;
  failed = 0;
  /** nanoseconds; unfinished requests are not in it */
  readonly latency = new QuantileSketch();
  /** the earliest start seen; taking requests back does not move it */
  firstStart: UnixNanos | null = null;

  add(request: RedSample): void {
    this.requests += request.weight;
    if (request.failed) this.failed += request.weight;
    if (request.durationNanos !== null) this.latency.add(request.durationNanos, request.weight);
    if (this.firstStart === null || request.startTime < this.firstStart) this.firstStart = request.startTime;
  }

  remove(request: RedSample): void {
    this.requests -= request.weight;
    if (request.failed) this.failed -= request.weight;
    if (request.durationNanos !== null) this.latency.remove(request.durationNanos, request.weight);
  }

  merge(other: RedCell): void {
    this.requests += other.requests;
    this.failed += other.failed;
    this.latency.merge(other.latency);
    if (other.firstStart !== null && (this.firstStart === null || other.firstStart < this.firstStart))
      this.firstStart = other.firstStart;
  }

  /** 0..1; 0 where there were no requests */
  get errorRatio(): number {
    return this.requests > 0 ? this.failed / this.requests : 0;
  }
}

export interface RedSample {
  readonly startTime: UnixNanos;
  readonly durationNanos: number | null;
  readonly failed: boolean;
  /** see `exactWeight` */
  readonly weight: number;
}
