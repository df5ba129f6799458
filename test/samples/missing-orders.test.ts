import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  analyzeTrace,
  assembleTrace,
  decodeMetricsJson,
  decodeTracesJson,
  groupByTrace,
  parseTraceId,
  rawNaming,
  ScopeRollup,
  SpanTable,
  servicesOf,
  writeJson,
} from "../../src/index.ts";

import { decodeBody } from "../../src/otlp/decode-body.ts";
import { runInProcess } from "../cli/in-process.ts";
import { live } from "../engine/live.ts";

const folder = "samples/missing-orders";
const asked = "02a76975869a420a8fbfed962a3e67bd";
const usual = { error_rate: 0.005, response_time_p99: 0.2, cpu_usage: 0.4, memory_usage: 0.5 };
const metrics = {
  frontend: usual,
  "user-service": usual,
  "order-service": usual,
  "payment-service": {
    error_rate: 0.01,
    response_time_p99: 0.3,
    cpu_usage: 0.6,
    memory_usage: 0.7,
    queue_depth: 156,
  },
  "external-payment-api": { error_rate: 0.15, response_time_p99: 2.5, timeout_count: 23, rate_limit_hits: 5 },
  "inventory-service": usual,
  database: {
    error_rate: 0.02,
    response_time_p99: 0.8,
    connection_count: 45,
    max_connections: 100,
    deadlock_count: 12,
    slow_query_count: 8,
  },
};

const texts = {
  en: {
    issues: ["High error rate: 15.00%", "Slow responses: p99 2.50s"],
    recommendations: [
      "external-payment-api: review recent changes and strengthen exception handling to bring the error rate down",
      "external-payment-api: optimise the slow operation and consider caching",
    ],
  },
  ko: {
    issues: ["높은 에러율: 15.00%", "느린 응답시간: P99 2.50s"],
    recommendations: [
      "external-payment-api: 에러율 개선을 위한 코드 리뷰 및 예외 처리 강화",
      "external-payment-api: 성능 최적화 및 캐싱 도입 검토",
    ],
  },
};

/** The documented result, written down by hand. */
function documented({ issues, recommendations }: (typeof texts)["en"]): object {
  const healthy = (service: keyof typeof metrics) => ({
    [service]: { healthy: true, issues: [], metrics: metrics[service] },
  });
  return {
    trace_id: asked,
    failed_service: "order-service",
    dependency_chain: [
      "order-service",
      "payment-service",
      "external-payment-api",
      "inventory-service",
      "database",
    ],
    service_states: {
      ...healthy("order-service"),
      ...healthy("payment-service"),
      "external-payment-api": { healthy: false, issues, metrics: metrics["external-payment-api"] },
      ...healthy("inventory-service"),
      ...healthy("database"),
    },
    root_cause_candidates: [{ service: "external-payment-api", issues, impact_score: 2.0999999999999996 }],
    cascade_analysis: {
      failure_propagation: [
        {
          failed_service: "external-payment-api",
          affected_services: ["payment-service"],
          failure_reasons: issues,
        },
      ],
      blast_radius: 1,
      critical_path: ["external-payment-api"],
    },
    recommendations,
  };
}

test.each([
  ["en", "expected-structural.json"],
  ["ko", "expected-structural.ko.json"],
] as const)("the structural report is the documented one, to the last byte: %s", async (language, file) => {
  const expected = readFileSync(`${folder}/${file}`, "utf8");
  const { stdout, exitCode } = await runInProcess(
    `analyze ${folder} --trace ${asked} --scoring structural --lang ${language} --format json`,
  );
  expect(exitCode).toBe(0);
  expect(stdout).toBe(expected);
  expect(JSON.parse(stdout)).toEqual(documented(texts[language]));
  expect(Object.keys(JSON.parse(stdout).service_states)).toEqual([
    "order-service",
    "payment-service",
    "external-payment-api",
    "inventory-service",
    "database",
  ]);
});

test("the library gives the same report", () => {
  const table = new SpanTable();
  const rollup = new ScopeRollup();
  for (const line of gunzipSync(readFileSync(`${folder}/traces.jsonl.gz`))
    .toString()
    .split("\n"))
    if (line !== "") decodeTracesJson(Buffer.from(line), table);
  for (const line of readFileSync(`${folder}/metrics.jsonl`, "utf8").split("\n"))
    if (line !== "") rollup.addMetricPoints(decodeMetricsJson(Buffer.from(line)).points);
  rollup.observe(table);
  const groups = groupByTrace([table]);
  const indexes = Array.from({ length: groups.count }, (_, i) => i);
  for (const i of indexes) rollup.addTrace(assembleTrace(groups.rowsOf(i), rawNaming));
  const scope = rollup.scope(null);
  const trace = indexes
    .map((i) => assembleTrace(groups.rowsOf(i), scope.directory))
    .find(({ traceId }) => traceId === asked)!;
  expect(servicesOf(trace)).toEqual(Object.keys(metrics).sort());
  const report = analyzeTrace(trace, scope, { language: "en", scoring: "structural" });
  expect(writeJson(report, { pretty: true })).toBe(
    readFileSync(`${folder}/expected-structural.json`, "utf8").trimEnd(),
  );
});

test("a server that received the same gives the same report", async () => {
  const server = live();
  for (const [signal, lines] of [
    ["traces", traceLines()],
    ["metrics", metricLines()],
  ] as const)
    for (const line of lines) {
      const body = Buffer.from(line);
      const { decoded } = decodeBody(signal, "json", body);
      await server.engine.ingest({ signal, encoding: "json", body }, decoded);
    }
  await server.wait(10_000);
  const traceId = parseTraceId(asked)!;
  const analysis = await server.engine.analyzeTrace(traceId, { language: "en", scoring: "structural" });
  expect(writeJson(analysis?.report, { pretty: true })).toBe(
    readFileSync(`${folder}/expected-structural.json`, "utf8").trimEnd(),
  );
});

test("errors, latencies and resources of every service are the documented ones", async () => {
  const { stdout } = await runInProcess(`services ${folder} --format json`);
  const { services } = JSON.parse(stdout) as {
    readonly services: readonly { readonly service: string; readonly metrics: object }[];
  };
  expect(Object.fromEntries(services.map((each) => [each.service, each.metrics]))).toEqual(metrics);
});

test("the evidence names the external service too, which sends no spans of its own, and says who hid the failure", async () => {
  const { stdout } = await runInProcess(`analyze ${folder} --trace ${asked} --format json`);
  expect(JSON.parse(stdout)).toMatchObject({
    root_cause_candidates: [
      {
        service: "external-payment-api",
        rank: 1,
        edge: { caller: "payment-service", callee: "external-payment-api" },
      },
    ],
    structural: {
      root_cause_candidates: [{ service: "external-payment-api", impact_score: 2.0999999999999996 }],
    },
    propagation: [
      { callee: "external-payment-api", caller: "payment-service" },
      { callee: "payment-service", caller: "order-service" },
      { callee: "order-service", caller: "frontend" },
    ],
    trace: { root_service: "frontend", root_operation: "POST /checkout" },
  });
});

test("the folder holds telemetry, what to expect of it, and a text whose first id is the trace to ask about", () => {
  expect(readdirSync(folder).sort()).toEqual([
    "README.md",
    "expected-structural.json",
    "expected-structural.ko.json",
    "metrics.jsonl",
    "traces.jsonl.gz",
  ]);
  const text = readFileSync(`${folder}/README.md`, "utf8");
  expect(/\b[0-9a-f]{32}\b/.exec(text)?.[0]).toBe(asked);
});

function traceLines(): readonly string[] {
  const text = gunzipSync(readFileSync(`${folder}/traces.jsonl.gz`)).toString();
  return text.trimEnd().split("\n");
}

function metricLines(): readonly string[] {
  return readFileSync(`${folder}/metrics.jsonl`, "utf8").trimEnd().split("\n");
}
