import { expect, test } from "vitest";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { ScopeRollup } from "../../src/analysis/scope.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { decodeLogsJson } from "../../src/otlp/json-logs.ts";
import { decodeMetricsJson } from "../../src/otlp/json-metrics.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import { rawTracesOf } from "../scopes.ts";
import type { SimulatedCase } from "./case.ts";
import { hasEnded } from "./recording.ts";
import { smallCase } from "./seen.ts";
import { filesOf } from "./write-case.ts";

/** Half as long as what is simulated for other tests: writing and reading takes longer than simulating. */
const shortCase = (faultType: string, seed = 1): SimulatedCase => smallCase(faultType, seed, 60_000);

const healthy = shortCase("healthy_plain");
const output = { dataset: "test", lostShare: 0 };

test("equal options give equal bytes", () => {
  const write = (): string => JSON.stringify(filesOf(shortCase("db_lock", 3), output));
  expect(write()).toBe(write());
});

test("every span, point and record is read by the project's readers", () => {
  const simulated = shortCase("pool_exhausted", 2);
  const files = filesOf(simulated, output);
  const { table, rejected } = readSpans(files.incident);
  expect(rejected).toBe(0);
  expect(table.rowCount).toBe(simulated.incident.spans.filter(hasEnded).length);

  const metrics = files.metrics.map((line) => decodeMetricsJson(Buffer.from(line)));
  expect(metrics.map(({ result }) => result.rejected)).toEqual(metrics.map(() => 0));
  const names = new Set(metrics.flatMap(({ points }) => points.map(({ name }) => name)));
  for (const name of [
    "k8s.pod.cpu_limit_utilization",
    "db.client.connection.pending_requests",
    "jvm.gc.duration",
  ])
    expect(names).toContain(name);

  const logs = files.logs.map((line) => decodeLogsJson(Buffer.from(line)));
  expect(logs.map(({ result }) => result.rejected)).toEqual(logs.map(() => 0));
  const records = logs.flatMap((line) => line.records);
  expect(records).toHaveLength(simulated.baseline.logs.length + simulated.incident.logs.length);
  const spanIds = new Set(
    [...files.baseline, ...files.incident].flatMap((line) => line.match(/"spanId":"[0-9a-f]{16}"/g)),
  );
  const joined = records.filter(({ spanId }) => spanIds.has(`"spanId":"${spanId}"`));
  expect(joined.length).toBeGreaterThan(records.length * 0.95);
});

test("nothing is wrong with the spans of a healthy window but clocks", () => {
  const scope = scopeOf(healthy);
  expect(new Set(scope.problems.map(({ kind }) => kind))).toEqual(new Set(["clock_skew"]));
});

test("spans that never arrive leave gaps", () => {
  const whole = readSpans(filesOf(healthy, output).incident).table.rowCount;
  const part = readSpans(filesOf(healthy, { ...output, lostShare: 0.2 }).incident).table.rowCount;
  expect(part / whole).toBeGreaterThan(0.75);
  expect(part / whole).toBeLessThan(0.85);
});

// one of each way that a fault travels
test.each([
  "two_faults",
  "crash",
  "breaker_open",
  "cache_down",
  "db_down",
  "external_down",
  "consumer_stalled",
  "edge_loss",
])("truth is told in the names and edges of the service graph: %s", (faultType) => {
  const simulated = shortCase(faultType);
  const { nodes, edges } = graphJson(scopeOf(simulated));
  const known = new Set(nodes.map(({ service }) => service));
  for (const { name } of simulated.scenario.causes) expect(known).toContain(name);
  const pairs = new Set(edges.map(({ caller, callee }) => `${caller} -> ${callee}`));
  const told = simulated.impact?.edges ?? [];
  expect(told.length).toBeGreaterThan(0);
  expect(
    told.map(({ caller, callee }) => `${caller} -> ${callee}`).filter((pair) => !pairs.has(pair)),
  ).toEqual([]);
  for (const { service } of simulated.impact?.affected ?? []) expect(known).toContain(service);
});

test("truth.json tells the windows, the cause and what it did", () => {
  const simulated = shortCase("cache_down");
  const { truth, incident } = filesOf(simulated, output);
  const [cause] = simulated.scenario.causes;
  expect(truth).toMatchObject({
    dataset: "test",
    case_id: "test-0001-cache_down",
    fault_type: "cache_down",
    root_cause_service: cause?.name,
    visibility: simulated.impact?.visibility,
  });
  const { windows, accept } = truth as {
    windows: { baseline: [string, string][]; incident: [string, string] };
    accept: string[];
  };
  expect(accept.length).toBeGreaterThan(0);
  expect(accept).not.toContain(cause?.name);
  const [from, to] = windows.incident.map(BigInt);
  expect(to! - from!).toBe(60_000_000_000n);
  expect(BigInt(windows.baseline[0]![1])).toBeLessThan(from!);
  const skewMax = 1_000_000_000n;
  const starts = incident
    .join("")
    .match(/"startTimeUnixNano":"(\d+)"/g)!
    .map((text) => BigInt(text.slice(21, -1)));
  expect(starts.every((start) => start >= from! - skewMax)).toBe(true);
});

test("two causes stand in the order of what each did alone", () => {
  const { truth } = filesOf(shortCase("two_faults"), output);
  const { root_cause_services, root_cause_service, causes, accept_by_root } = truth as {
    root_cause_services: string[];
    root_cause_service: string;
    accept_by_root: Record<string, string[]>;
    causes: { name: string; alone: { failed_requests: number } }[];
  };
  expect(root_cause_services).toHaveLength(2);
  expect(root_cause_service).toBe(root_cause_services[0]);
  expect(Object.keys(accept_by_root)).toEqual(root_cause_services);
  expect(causes[0]!.alone.failed_requests).toBeGreaterThanOrEqual(causes[1]!.alone.failed_requests);
});

test("a healthy window has no cause", () => {
  const { truth } = filesOf(shortCase("healthy_deploy"), output);
  expect(truth).toMatchObject({ fault_type: "healthy_deploy", harmless: [{ kind: "deploy" }] });
  expect(truth).not.toHaveProperty("root_cause_service");
  expect(truth).not.toHaveProperty("causes");
});

function readSpans(lines: readonly string[]): { readonly table: SpanTable; readonly rejected: number } {
  const table = new SpanTable(1000);
  const results = lines.map((line) => decodeTracesJson(Buffer.from(line), table));
  return { table, rejected: results.reduce((sum, result) => sum + result.rejected, 0) };
}

/** What the project makes of both windows of a case. */
function scopeOf(simulated: SimulatedCase) {
  const files = filesOf(simulated, output);
  const { table } = readSpans([...files.baseline, ...files.incident]);
  const rollup = new ScopeRollup();
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  return rollup.scope(null);
}
