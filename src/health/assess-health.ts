import { defaultHealthLimits } from "../model/scoring.ts";
import type { HealthCheck, HealthMetrics } from "./health.ts";

/** What is wrong with a service, free of language. Ratios 0..1, seconds. */
export type HealthIssue =
  | { readonly kind: "check_failed"; readonly message: string }
  | { readonly kind: "unreachable"; readonly message: string }
  | { readonly kind: "high_error_rate"; readonly errorRate: number }
  | { readonly kind: "slow_response"; readonly p99Seconds: number }
  | { readonly kind: "high_cpu"; readonly cpuUsage: number };

/** What a health check means: whether the service is a suspect, and all that is noticeable about it. */
export interface HealthState {
  readonly healthy: boolean;
  readonly issues: readonly HealthIssue[];
  /** as the check gave them; empty where it failed */
  readonly metrics: HealthMetrics;
}

/** A value above its limit is a breach; one that meets it is not. */
export interface HealthLimits {
  readonly errorRateMax: number;
  readonly responseTimeP99SecondsMax: number;
  readonly cpuUsageMax: number;
}

/**
 * The state of a service. Errors, a failed check and being out of reach make it unhealthy; slow responses and a busy CPU
 * are issues but no verdict. Nothing known is healthy: absence of evidence does not make a suspect.
 */
export function assessHealth(
  check: HealthCheck | undefined,
  limits: HealthLimits = defaultHealthLimits,
): HealthState {
  if (check === undefined) return { healthy: true, issues: [], metrics: {} };
  if (check.kind !== "metrics")
    return { healthy: false, issues: [{ kind: check.kind, message: check.message }], metrics: {} };
  const { metrics } = check;
  const { error_rate: errorRate, response_time_p99: p99Seconds, cpu_usage: cpuUsage } = metrics;
  const hasErrors = errorRate !== undefined && errorRate > limits.errorRateMax;
  const issues: HealthIssue[] = [];
  if (hasErrors) issues.push({ kind: "high_error_rate", errorRate });
  if (p99Seconds !== undefined && p99Seconds > limits.responseTimeP99SecondsMax)
    issues.push({ kind: "slow_response", p99Seconds });
  if (cpuUsage !== undefined && cpuUsage > limits.cpuUsageMax) issues.push({ kind: "high_cpu", cpuUsage });
  return { healthy: !hasErrors, issues, metrics };
}
