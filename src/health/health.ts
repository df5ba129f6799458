import type { ResourceHealth } from "../metrics/resource-health.ts";

/** What is known of a service's health, in the names and units of reports: ratios 0..1, seconds, counts. All optional. */
export interface HealthMetrics extends ResourceHealth {
  readonly error_rate?: number;
  readonly response_time_p99?: number;
}

/** All of them, in the order of reports. */
export const healthMetricNames = [
  "error_rate",
  "response_time_p99",
  "cpu_usage",
  "memory_usage",
  "queue_depth",
  "connection_count",
  "max_connections",
  "deadlock_count",
  "slow_query_count",
  "timeout_count",
  "rate_limit_hits",
] as const satisfies readonly (keyof HealthMetrics)[];

/** The result of looking at one service: its metrics, or why there are none. */
export type HealthCheck =
  | { readonly kind: "metrics"; readonly metrics: HealthMetrics }
  | { readonly kind: "check_failed"; readonly message: string }
  | { readonly kind: "unreachable"; readonly message: string };
