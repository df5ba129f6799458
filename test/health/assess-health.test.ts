import { expect, test } from "vitest";
import { assessHealth } from "../../src/health/assess-health.ts";
import type { HealthMetrics } from "../../src/health/health.ts";

function checkIssues(metrics: HealthMetrics, healthy: boolean, kinds: readonly string[]): void {
  const state = assessHealth({ kind: "metrics", metrics });
  expect(state.issues.map(({ kind }) => kind)).toEqual(kinds);
  expect(state.healthy).toBe(healthy);
  expect(state.metrics).toBe(metrics);
}

test("a limit that is met exactly is not a breach", () => {
  checkIssues({ error_rate: 0.05, response_time_p99: 1, cpu_usage: 0.8 }, true, []);
});

test("only errors make a service unhealthy; slow responses and a busy CPU are noted", () => {
  checkIssues({ response_time_p99: 1.0001, cpu_usage: 0.801 }, true, ["slow_response", "high_cpu"]);
  checkIssues({ cpu_usage: 1, error_rate: 0.0501, response_time_p99: 30 }, false, [
    "high_error_rate",
    "slow_response",
    "high_cpu",
  ]);
});

test("a service that nobody looked at is healthy; one whose check failed or that is out of reach is not", () => {
  expect(assessHealth(undefined)).toEqual({ healthy: true, issues: [], metrics: {} });
  for (const kind of ["check_failed", "unreachable"] as const) {
    const issue = { kind, message: "connect ECONNREFUSED" };
    expect(assessHealth(issue)).toEqual({ healthy: false, issues: [issue], metrics: {} });
  }
});

test("limits can be given", () => {
  const limits = { errorRateMax: 0.5, responseTimeP99SecondsMax: 5, cpuUsageMax: 0.9 };
  const metrics = { error_rate: 0.4, response_time_p99: 4, cpu_usage: 0.95 };
  expect(assessHealth({ kind: "metrics", metrics }, limits)).toMatchObject({
    healthy: true,
    issues: [{ kind: "high_cpu", cpuUsage: 0.95 }],
  });
});
