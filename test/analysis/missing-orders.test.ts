import { expect, test } from "vitest";
import { analyzeTrace } from "../../src/analysis/analyze-trace.ts";
import type { StructuralReport } from "../../src/analysis/report.ts";
import { ScopeRollup } from "../../src/analysis/scope.ts";
import type { MetricPoint } from "../../src/model/telemetry.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { notationStart, tableOf } from "../notation.ts";
import { rawTracesOf } from "../scopes.ts";

// "Missing orders": 200 requests to each service (100 to the database) with the documented error rates and p99, the first
// order through all of them, and metrics for the rest.

const asked = `
  frontend              POST /checkout  0..190ms  server trace=1 id=1
    user-service        GET /user       1..9ms    server
    order-service       POST /orders   10..180ms  server
      payment-service   POST /payments 12..100ms  server
        payment-service POST /charges  14..90ms   client peer.service=external-payment-api
      inventory-service POST /reserve 105..170ms  server
        inventory-service UPDATE      110..160ms  client db.system=postgresql db.namespace=database`;

test("the missing orders come out exactly as documented", () => {
  expect(structuralReportOf("order-service")).toMatchObject({
    trace_id: "00000000000000000000000000000001",
    failed_service: "order-service",
    dependency_chain: [
      "order-service",
      "payment-service",
      "external-payment-api",
      "inventory-service",
      "database",
    ],
    root_cause_candidates: [
      {
        service: "external-payment-api",
        issues: ["High error rate: 15.00%", "Slow responses: p99 2.50s"],
        impact_score: 2.0999999999999996,
      },
    ],
    cascade_analysis: {
      failure_propagation: [
        {
          failed_service: "external-payment-api",
          affected_services: ["payment-service"],
          failure_reasons: ["High error rate: 15.00%", "Slow responses: p99 2.50s"],
        },
      ],
      blast_radius: 1,
      critical_path: ["external-payment-api"],
    },
    recommendations: [
      "external-payment-api: review recent changes and strengthen exception handling to bring the error rate down",
      "external-payment-api: optimise the slow operation and consider caching",
    ],
  });
});

test("the states of the chain have the documented metrics", () => {
  const { service_states: states } = structuralReportOf("order-service");
  expect(Object.fromEntries([...states].map(([service, { metrics }]) => [service, metrics]))).toEqual({
    "order-service": { error_rate: 0.005, response_time_p99: 0.2, cpu_usage: 0.4, memory_usage: 0.5 },
    "payment-service": {
      error_rate: 0.01,
      response_time_p99: 0.3,
      cpu_usage: 0.6,
      memory_usage: 0.7,
      queue_depth: 156,
    },
    "external-payment-api": {
      error_rate: 0.15,
      response_time_p99: 2.5,
      timeout_count: 23,
      rate_limit_hits: 5,
    },
    "inventory-service": { error_rate: 0.005, response_time_p99: 0.2, cpu_usage: 0.4, memory_usage: 0.5 },
    database: {
      error_rate: 0.02,
      response_time_p99: 0.8,
      connection_count: 45,
      max_connections: 100,
      deadlock_count: 12,
      slow_query_count: 8,
    },
  });
});

function structuralReportOf(failedService: string): StructuralReport {
  const table = tableOf([asked, ...requests()].join("\n"));
  const rollup = new ScopeRollup();
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  rollup.addMetricPoints(metricPoints());
  const scope = rollup.scope(null);
  const trace = assembleTrace(groupByTrace([table]).rowsOf(0), scope.directory);
  return analyzeTrace(trace, scope, { language: "en", scoring: "structural", failedService });
}

/** All requests but the asked one: the slow ones as many as lie above the p99, the failed ones first. */
function requests(): readonly string[] {
  let trace = 1;
  const population = (
    count: number,
    p99Ms: number,
    lines: (ms: number, i: number) => string,
  ): readonly string[] =>
    Array.from({ length: count - 1 }, (_, i) => {
      const above = count - Math.ceil(count * 0.99);
      const ms = i < above ? p99Ms + 50 : i === above ? p99Ms : 10;
      trace += 1;
      return lines(ms, i).replace("TRACE", `trace=${trace}`);
    });
  const simple = (service: string): readonly string[] =>
    population(200, 200, (ms, i) => `${service} work 0..${ms}ms server ${i < 1 ? "error" : ""} TRACE`);
  const providerError = (i: number): string =>
    i < 23
      ? "error error.type=timeout"
      : i < 28
        ? "error http.response.status_code=429"
        : i < 30
          ? "error"
          : "";
  return [
    ...["frontend", "user-service", "order-service"].flatMap(simple),
    ...population(200, 2500, (ms, i) => {
      const own = i < 2 ? 350 : i === 2 ? 300 : 20;
      return `payment-service POST /payments 0..${own}ms server ${i < 2 ? "error" : ""} TRACE
  payment-service POST /charges 1..${ms + 1}ms client peer.service=external-payment-api ${providerError(i)}`;
    }),
    ...population(
      100,
      800,
      (ms, i) => `inventory-service POST /reserve 0..${i === 0 ? 250 : 20}ms server TRACE
  inventory-service UPDATE 1..${ms + 1}ms client db.system=postgresql db.namespace=database ${i < 2 ? "error" : ""}`,
    ),
    ...population(
      101,
      200,
      (_, i) => `inventory-service GET /stock 0..${i < 2 ? 200 : 15}ms server ${i < 1 ? "error" : ""} TRACE`,
    ),
  ];
}

function metricPoints(): readonly MetricPoint[] {
  const point = (service: string, name: string, value: number, isCounter = false): MetricPoint => ({
    resource: new Map([["service.name", service]]),
    name,
    unit: "1",
    attributes: new Map(),
    startTime: notationStart as UnixNanos,
    time: (notationStart + 30_000_000_000n) as UnixNanos,
    value: isCounter
      ? { kind: "sum", value, isMonotonic: true, temporality: "cumulative" }
      : { kind: "gauge", value },
  });
  return [
    ...["frontend", "user-service", "order-service", "inventory-service"].flatMap((service) => [
      point(service, "process.cpu.utilization", 0.4),
      point(service, "process.memory.utilization", 0.5),
    ]),
    point("payment-service", "process.cpu.utilization", 0.6),
    point("payment-service", "process.memory.utilization", 0.7),
    point("payment-service", "queue.depth", 156),
    point("database", "db.client.connection.count", 45),
    point("database", "db.client.connection.max", 100),
    point("database", "postgresql.deadlocks", 12, true),
    point("database", "mysql.query.slow.count", 8, true),
  ];
}
