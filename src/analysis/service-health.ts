import { assessHealth, type HealthState } from "../health/assess-health.ts";
import { type HealthCheck, type HealthMetrics, healthMetricNames } from "../health/health.ts";
import { NANOS_PER_SECOND } from "../model/time.ts";
import type { Scope } from "./scope.ts";

/**
 * What a scope knows of the health of a service or peer: errors and p99 of its requests, the rest from OTLP metrics.
 * Timeouts and rate-limit answers that its callers saw stand in where no metric counts them. Undefined for a name that
 * the scope does not know.
 */
export function healthCheckOf(scope: Scope, service: string): HealthCheck | undefined {
  const red = scope.red.service(service);
  const resource = scope.health.service(service);
  if (red === undefined && resource === undefined) return undefined;
  if (red !== undefined && red.unreachable !== null) return { kind: "unreachable", message: red.unreachable };
  const p99Nanos = red?.cell.latency.quantile(0.99) ?? null;
  const metrics: HealthMetrics = {
    ...(red === undefined ? {} : { error_rate: red.cell.errorRatio }),
    ...(p99Nanos === null ? {} : { response_time_p99: p99Nanos / NANOS_PER_SECOND }),
    ...(red === undefined || red.timeouts === 0 ? {} : { timeout_count: red.timeouts }),
    ...(red === undefined || red.rateLimitHits === 0 ? {} : { rate_limit_hits: red.rateLimitHits }),
    ...resource,
  };
  return { kind: "metrics", metrics: inReportOrder(metrics) };
}

export function healthStateOf(scope: Scope, service: string): HealthState {
  return assessHealth(healthCheckOf(scope, service));
}

function inReportOrder(metrics: HealthMetrics): HealthMetrics {
  return Object.fromEntries(
    healthMetricNames.flatMap((name) => (metrics[name] === undefined ? [] : [[name, metrics[name]]])),
  );
}
