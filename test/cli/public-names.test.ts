import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { runInProcess } from "./in-process.ts";

// The names that users' scripts read. A name may be added; one that is missing here breaks somebody.

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "traces.jsonl");
const requests = Array.from(
  { length: 40 },
  (_, i) => `
    web      GET /cart   ${i * 1000}..${i * 1000 + 90}ms  server error trace=${i + 1}
      cart   GET /items  ${i * 1000 + 10}..${i * 1000 + 80}ms  server error host=n1
        cart SELECT      ${i * 1000 + 20}..${i * 1000 + 70}ms  client error=true db.system.name=postgresql db.namespace=items`,
);
writeFileSync(file, tracesToJson(rowsOf(tableOf(requests.join("\n")))));

const structural =
  "trace_id failed_service dependency_chain service_states root_cause_candidates cascade_analysis recommendations";
const cascade = "failure_propagation blast_radius critical_path";
const propagation = "failed_service affected_services failure_reasons";
const candidate = "service rank score impact_score kind issues evidence";
const evidence = "statement direction spans value";
const node = "service kind inferred calls_in error_rate response_time_p50 response_time_p99";
const edge = "caller callee kind calls errors error_rate p50_ms p99_ms";

test.each([
  [
    `analyze FILE --trace ${"1".padStart(32, "0")}`,
    {
      "": `${structural} structural advice verdict confidence trace trace_critical_path dependency_graph problems`,
      "service_states.cart": "healthy issues metrics",
      "root_cause_candidates.0": candidate,
      "root_cause_candidates.0.evidence.0": evidence,
      "structural.root_cause_candidates.0": "service issues impact_score",
      cascade_analysis: cascade,
      "cascade_analysis.failure_propagation.0": propagation,
      "advice.0": "sentence kind service spans",
      trace: "root_service root_operation start duration_ms span_count error_count services",
      "trace_critical_path.0": "span_id service operation start duration_ms self_time_ms share",
      "dependency_graph.nodes.0": node,
      "dependency_graph.edges.0": edge,
    },
  ],
  [
    `analyze FILE --scoring structural --trace ${"1".padStart(32, "0")}`,
    { "": structural, cascade_analysis: cascade, "root_cause_candidates.0": "service issues impact_score" },
  ],
  [
    "analyze FILE",
    {
      "": "window baseline verdict confidence healthy root_cause_candidates failure_propagation affected_services entry_points blast_radius service_states dependency_graph onset_order recommendations exemplar_trace_ids totals problems",
      window: "from to",
      "root_cause_candidates.0": `${candidate} onset`,
      "root_cause_candidates.0.evidence.0": evidence,
      "failure_propagation.0": propagation,
      "entry_points.0": "service operation requests excess_failed added_latency_ms share",
      "onset_order.0": "service onset",
      totals: "spans traces services",
    },
  ],
  ["graph FILE", { "": "nodes edges", "nodes.0": node, "edges.0": edge }],
] as const)("%s", async (line, names) => {
  const { exitCode, stdout } = await runInProcess(line.replace("FILE", file));
  expect(exitCode).toBe(0);
  const report: unknown = JSON.parse(stdout);
  for (const [path, expected] of Object.entries(names))
    expect([path, Object.keys(at(report, path))]).toEqual([
      path,
      expect.arrayContaining(expected.split(" ")),
    ]);
  for (const name of allNames(report)) expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
});

test("the structural report is these names alone, in this order", async () => {
  const { stdout } = await runInProcess(
    `analyze ${file} --scoring structural --trace ${"1".padStart(32, "0")}`,
  );
  expect(Object.keys(JSON.parse(stdout) as object).join(" ")).toBe(structural);
});

function at(value: unknown, path: string): object {
  const found = path
    .split(".")
    .filter((part) => part !== "")
    .reduce((inner, part) => (inner as Record<string, unknown> | undefined)?.[part], value);
  expect(typeof found, path).toBe("object");
  return found as object;
}

function allNames(value: unknown): readonly string[] {
  if (value === null || typeof value !== "object") return [];
  const own = Array.isArray(value) ? [] : Object.keys(value);
  return [...own, ...Object.values(value).flatMap(allNames)];
}
