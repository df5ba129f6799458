/** What is known of a service's health, in the names and units of reports: ratios 0..1, seconds, counts. All optional. */
export interface HealthMetrics {
  readonly error_rate?: number;
  readonly response_time_p99?: number;
  readonly cpu_usage?: number;
  readonly memory_usage?: number;
  readonly queue_depth?: number;
  readonly connection_count?: number;
  readonly max_connections?: number;
  readonly deadlock_count?: number;
  readonly slow_query_count?: number;
  readonly timeout_count?: number;
  readonly rate_limit_hits?: number;
}

/** The result of looking at one service: its metrics, or why there are none. */
export type HealthCheck =
  | { readonly kind: "metrics"; readonly metrics: HealthMetrics }
  | { readonly kind: "check_failed"; readonly message: string }
  | { readonly kind: "unreachable"; readonly message: string };
