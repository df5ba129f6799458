import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { structuralReport } from "../../src/advice/structural-texts.ts";
import { runStructuralEngine, type StructuralInput } from "../../src/cascade/structural-engine.ts";
import type { HealthCheck } from "../../src/health/health.ts";
import { type OrderedJson, parseJsonOrdered } from "../../src/wire/parse-json-ordered.ts";
import { parseTopology } from "../../src/wire/topology.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { recorded } from "../data-folder.ts";

const failing: HealthCheck = { kind: "metrics", metrics: { error_rate: 0.5 } };

/** "a>b,c b>c" = a calls b and c, b calls c; the first service is the failed one. */
function engineInput(graph: string, unhealthy: readonly string[]): StructuralInput {
  const dependencies = new Map<string, readonly string[]>();
  for (const edge of graph.split(" ")) {
    const [caller = "", callees = ""] = edge.split(">");
    dependencies.set(caller, callees === "" ? [] : callees.split(","));
  }
  const [failedService = ""] = dependencies.keys();
  const health = new Map(unhealthy.map((service) => [service, failing]));
  return { traceId: "t", failedService, dependencies, health };
}

function checkChain(graph: string, chain: string): void {
  expect(runStructuralEngine(engineInput(graph, [])).chain.join(" ")).toBe(chain);
}

const golden = recorded("structural-engine", "cases.jsonl");

describe.skipIf(golden.missing)(`golden cases ${golden.reason}`, () => {
  const lines = golden.missing ? [] : readFileSync(golden.path, "utf8").trim().split("\n");
  test("are there", () => expect(lines).toHaveLength(120));
  test.each(lines.map((line, index) => [index + 1, line] as const))("line %d", (_, line) => {
    const { input, expected } = Object.fromEntries(parseJsonOrdered(line) as Map<string, OrderedJson>);
    const report = structuralReport(runStructuralEngine(parseTopology(writeJson(input))), "ko");
    expect(Object.keys(report).sort()).toEqual([...(expected as Map<string, OrderedJson>).keys()].sort());
    for (const [key, value] of expected as Map<string, OrderedJson>)
      expect(inOneOrder(report[key as keyof typeof report])).toBe(inOneOrder(value));
  });
});

/** JSON text; of records with fixed names the order is ours, of everything else that of the case. */
function inOneOrder(value: unknown): string {
  const names = ["failure_propagation", "blast_radius", "critical_path"];
  const entries: readonly [string, unknown][] =
    value instanceof Map ? [...value] : Object.entries(value as object);
  if (!entries.some(([key]) => names.includes(key))) return writeJson(value);
  return writeJson(new Map(names.map((name) => [name, new Map(entries).get(name)])));
}

describe("the chain", () => {
  test("goes depth-first in the order of the callees, each service once", () => {
    checkChain("a>c,b b>d c>d,e d>", "a c d e b");
  });
  test("ends at cycles and self-calls", () => {
    checkChain("a>a,b b>c c>a", "a b c");
  });
  test("of a service that calls nobody is the service", () => {
    checkChain("a", "a");
  });
  test("keeps the order of names that look like integers", () => {
    checkChain("10>9,2 2>1 9>3", "10 9 3 2 1");
  });
  test("of 100,000 services in a row, all failing, is walked in no time", () => {
    const names = Array.from({ length: 100_000 }, (_, i) => `s${i}`);
    const dependencies = new Map(names.map((name, i) => [name, i + 1 < names.length ? [`s${i + 1}`] : []]));
    const health = new Map(names.map((name) => [name, failing]));
    const result = runStructuralEngine({ traceId: "t", failedService: "s0", dependencies, health });
    expect(result.chain).toEqual(names);
    expect(result.candidates).toHaveLength(100_000);
    expect(result.candidates.at(-1)).toMatchObject({ service: "s99999", affectedServices: ["s99998"] });
  });
});

test("affected are the callers in the whole graph, in its order, also outside the chain", () => {
  const { candidates } = runStructuralEngine(engineInput("b>c z>c a>b,c c>c", ["c"]));
  expect(candidates).toMatchObject([{ service: "c", affectedServices: ["b", "z", "a", "c"] }]);
});

test("a callee that is listed twice counts once, in the score and among the affected", () => {
  const [first, second] = runStructuralEngine(engineInput("a>b,b", ["a", "b"])).candidates;
  expect(first?.impactScore).toBe(1 * 0.3 + 2 * 0.7);
  expect(second?.affectedServices).toEqual(["a"]);
});

test("recommendations go to the three with most impact, ties in chain order; general ones from three failures on", () => {
  const { recommendations } = runStructuralEngine(engineInput("a>b,c,d,e b>x", ["b", "c", "d", "e"]));
  expect(recommendations).toEqual([
    { kind: "fix_errors", service: "b" },
    { kind: "fix_errors", service: "c" },
    { kind: "fix_errors", service: "d" },
    { kind: "add_circuit_breakers" },
    { kind: "reduce_dependencies" },
  ]);
  expect(runStructuralEngine(engineInput("a>b,c", ["b", "c"])).recommendations).toHaveLength(2);
});

test("the missing orders of the shop come out as documented", () => {
  const usual: HealthCheck = {
    kind: "metrics",
    metrics: { error_rate: 0.005, response_time_p99: 0.2, cpu_usage: 0.4, memory_usage: 0.5 },
  };
  const health = new Map<string, HealthCheck>(
    ["frontend", "user-service", "order-service", "inventory-service"].map((name) => [name, usual]),
  );
  health.set("payment-service", {
    kind: "metrics",
    metrics: {
      error_rate: 0.01,
      response_time_p99: 0.3,
      cpu_usage: 0.6,
      memory_usage: 0.7,
      queue_depth: 156,
    },
  });
  health.set("external-payment-api", {
    kind: "metrics",
    metrics: { error_rate: 0.15, response_time_p99: 2.5, timeout_count: 23, rate_limit_hits: 5 },
  });
  health.set("database", {
    kind: "metrics",
    metrics: {
      error_rate: 0.02,
      response_time_p99: 0.8,
      connection_count: 45,
      max_connections: 100,
      deadlock_count: 12,
      slow_query_count: 8,
    },
  });
  const result = runStructuralEngine({
    traceId: "missing-orders",
    failedService: "order-service",
    dependencies: new Map([
      ["frontend", ["user-service", "order-service"]],
      ["order-service", ["payment-service", "inventory-service"]],
      ["payment-service", ["external-payment-api"]],
      ["inventory-service", ["database"]],
    ]),
    health,
  });
  const { service_states: states, ...report } = structuralReport(result, "en");
  expect([...states.keys()]).toEqual(report.dependency_chain);
  expect(report).toEqual({
    trace_id: "missing-orders",
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
