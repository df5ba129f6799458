import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 20;
/** Whoever asks more often than this sees the same time again, not only the moment since the last question. */
const windowMs = 10_000;

let histogram: IntervalHistogram | null = null;
let since = 0;

/**
 * How late the event loop came to what was due, in seconds, since the question before (at least ten seconds), in the names that
 * Prometheus client libraries share. Watched from the first question on: a server that nobody asks pays nothing.
 */
export function loopDelay(): readonly (readonly [string, number])[] {
  if (histogram === null) {
    histogram = monitorEventLoopDelay({ resolution: resolutionMs });
    histogram.enable();
    since = performance.now();
    return [];
  }
  if (histogram.count === 0) return [];
  const { mean, max } = histogram;
  const values = [
    ["nodejs_eventloop_lag_mean_seconds", mean],
    ["nodejs_eventloop_lag_p50_seconds", histogram.percentile(50)],
    ["nodejs_eventloop_lag_p99_seconds", histogram.percentile(99)],
    ["nodejs_eventloop_lag_max_seconds", max],
  ] as const;
  if (performance.now() - since >= windowMs) {
    histogram.reset();
    since = performance.now();
  }
  // what is recorded is the time from one tick to the next
  return values.map(([name, nanos]) => [name, Math.max(0, nanos / 1e9 - resolutionMs / 1000)] as const);
}
