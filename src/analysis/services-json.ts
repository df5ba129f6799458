import { issueText } from "../advice/structural-texts.ts";
import type { RedCell } from "../model/red.ts";
import { formatTime, NANOS_PER_MS, startOfMinute } from "../model/time.ts";
import { scaledQuantile } from "./graph-json.ts";
import type { Language, OperationJson, ServiceJson } from "./report.ts";
import type { Scope } from "./scope.ts";
import { healthStateOf } from "./service-health.ts";

/** Every service and peer of a scope that received requests, by name. */
export function servicesJson(scope: Scope, language: Language): readonly ServiceJson[] {
  return scope.red.services.flatMap((service) => serviceJson(scope, service, language) ?? []);
}

/** One service of a scope, null for a name that received no requests in it. */
export function serviceJson(scope: Scope, service: string, language: Language): ServiceJson | null {
  const red = scope.red.service(service);
  if (red === undefined) return null;
  const { healthy, issues, metrics } = healthStateOf(scope, service);
  return {
    service,
    kind: red.kind,
    inferred: red.isInferred,
    healthy,
    issues: issues.map((issue) => issueText(issue, language)),
    ...figuresOf(red.cell),
    metrics,
    operations: [...red.operations]
      .map(([operation, cell]): OperationJson => ({ operation, ...figuresOf(cell) }))
      .sort((a, b) => b.requests - a.requests || (a.operation < b.operation ? -1 : 1)),
    minutes: red.minutes.map(({ minute, cell }) => ({
      start: formatTime(startOfMinute(minute)),
      requests: cell.requests,
      errors: cell.failed,
      p99_ms: scaledQuantile(cell.latency, 0.99, NANOS_PER_MS),
    })),
  };
}

function figuresOf(cell: RedCell): Omit<OperationJson, "operation"> {
  return {
    requests: cell.requests,
    errors: cell.failed,
    error_rate: cell.errorRatio,
    p50_ms: scaledQuantile(cell.latency, 0.5, NANOS_PER_MS),
    p90_ms: scaledQuantile(cell.latency, 0.9, NANOS_PER_MS),
    p99_ms: scaledQuantile(cell.latency, 0.99, NANOS_PER_MS),
  };
}
