import * as fc from "fast-check";
import { expect, test } from "vitest";
import { analyzeTrace, servicesOf, type TraceOptions } from "../../src/analysis/analyze-trace.ts";
import type { TraceReport } from "../../src/analysis/report.ts";
import type { Scope } from "../../src/analysis/scope.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { rowsOf, tableOf, tracesOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { rollupOf, scopeOf } from "../scopes.ts";

/** The report of the first trace of a text, with all of the text as scope. */
function reportOf(text: string, options: Partial<TraceOptions> = {}): TraceReport {
  const { trace, scope } = seen(text);
  return analyzeTrace(trace, scope, { language: "en", ...options, scoring: "evidence" });
}

function seen(text: string): { readonly trace: Trace; readonly scope: Scope } {
  const scope = scopeOf(text);
  return { trace: tracesOf(text, scope.directory)[0] as Trace, scope };
}

/** The first candidate as `service kind`. */
function causeOf(text: string): string {
  const [first] = reportOf(text).root_cause_candidates;
  return first === undefined ? "none" : `${first.service} ${first.kind}`;
}

const failing = `
  web       GET /cart     0..90ms   server error
    web     GET           5..85ms   client error
      cart  GET /items   10..80ms   server error http.response.status_code=500
        cart SELECT      20..70ms   client error db.system=postgresql db.namespace=orders exception="Deadlock: retry"
        cart GET         72..74ms   client server.address=prices`;

test("who only passes an error on is not blamed", () => {
  expect(causeOf(failing)).toBe("orders error");
});

test("T9: what fails in another trace that a message set off is the answer for the trace that sent it", () => {
  const report = reportOf(`
    shop      POST /orders      0..20ms   server
      shop    send orders       5..8ms    producer id=7 messaging.system=kafka messaging.destination.name=orders
    packing   process orders  900..950ms  consumer trace=2 link=1/7 error messaging.system=kafka
    billing   process orders  900..950ms  consumer trace=3 link=1/7 messaging.system=kafka`);
  expect(report.verdict).toMatch(/^shop POST \/orders went through, but work that it set off failed\./);
  expect(report.root_cause_candidates).toMatchObject([
    { service: "packing", kind: "error", operation: "process orders", score: 1 },
  ]);
  const [evidence] = report.root_cause_candidates[0]!.evidence;
  const traceId = "2".padStart(32, "0");
  expect(evidence!.statement).toBe(
    `packing failed in process orders, which this request had set off (trace ${traceId})`,
  );
  expect(evidence!.spans).toEqual(["7".padStart(16, "0")]);
  expect(report.advice[0]).toMatchObject({ kind: "linked_trace", service: "packing" });
});

test("what fails in the trace itself comes before what it only set off", () => {
  expect(
    causeOf(`
    shop      POST /orders      0..20ms   server error
      shop    send orders       5..8ms    producer id=7 messaging.system=kafka messaging.destination.name=orders
    packing   process orders  900..950ms  consumer trace=2 link=1/7 error messaging.system=kafka`),
  ).toBe("shop error");
});

test("a caller that gives up on work without errors blames the work", () => {
  expect(
    causeOf(`
      web       GET /cart    0..1000ms  server error http.response.status_code=504
        web     GET          5..995ms   client error error.type=timeout
          cart  GET /items  10..3000ms  server
            cart SELECT     20..2900ms  client db.system=postgresql db.namespace=orders`),
  ).toBe("orders latency");
});

test("a peer that nobody can reach is unreachable, in the structural state too", () => {
  const report = reportOf(`
    web    GET /    0..90ms  server error
      web  GET      5..8ms   client error peer.service=auth error.type=ECONNREFUSED status="connect ECONNREFUSED"`);
  expect(report.root_cause_candidates[0]).toMatchObject({ service: "auth", kind: "unreachable" });
  expect(report.service_states.get("auth")).toEqual({
    healthy: false,
    issues: ["Service unreachable: connect ECONNREFUSED"],
    metrics: {},
  });
});

test("a service that some calls reached has an error rate instead", () => {
  const { service_states: states } = reportOf(`
    web    GET /    0..90ms  server error trace=1
      web  GET      5..8ms   client error peer.service=auth error.type=ECONNREFUSED
    web    GET /    0..90ms  server trace=2
      web  GET      5..8ms   client peer.service=auth`);
  expect(states.get("auth")?.metrics).toMatchObject({ error_rate: 0.5 });
});

test("the structural engine starts at the failed entry nearest the root", () => {
  expect(reportOf(failing).failed_service).toBe("web");
  const accepted = failing
    .replace("0..90ms   server error", "0..90ms   server")
    .replace("client error\n", "client\n");
  expect(reportOf(accepted).failed_service).toBe("cart");
  expect(reportOf(failing, { failedService: "cart" }).dependency_chain).toEqual(["cart", "orders", "prices"]);
});

test("a name that the trace does not know is answered, and `servicesOf` tells which it does", () => {
  expect(reportOf(failing, { failedService: "nobody" }).dependency_chain).toEqual(["nobody"]);
  expect(servicesOf(seen(failing).trace)).toEqual(["cart", "orders", "prices", "web"]);
});

test("the failing path leads from the root to the origin and counts what it leaves out", () => {
  const path = reportOf(failing).failing_path;
  expect(
    path.map(({ depth, service, role, hidden_siblings: hidden }) => [depth, service, role, hidden]),
  ).toEqual([
    [0, "web", "reporter", 0],
    [1, "web", "reporter", 0],
    [2, "cart", "reporter", 0],
    [3, "cart", "origin", 1],
  ]);
  expect(path.at(-1)?.error).toBe("Deadlock: retry");
});

test("of several attempts the path shows the last", () => {
  const path = reportOf(`
    web    GET /   0..90ms  server error
      web  GET     5..15ms  client error peer.service=pay http.response.status_code=503
      web  GET    20..30ms  client error peer.service=pay http.response.status_code=503
      web  GET    40..50ms  client error peer.service=pay http.response.status_code=503`).failing_path;
  expect(path.map(({ depth, start_ms: start, hidden_siblings: hidden }) => [depth, start, hidden])).toEqual([
    [0, 0, 0],
    [1, 40, 2],
  ]);
});

test("P10: siblings of one operation are told together, with how many failed and how long they took", () => {
  const calls = Array.from({ length: 1000 }, (_, i) => `web POST ${i}..${i + 2}ms client peer.service=pay`);
  const path = reportOf(
    `web GET / 0..2000ms server error\n  ${calls.join("\n  ")}\n  web GET 1500..1900ms client error peer.service=stock`,
  ).failing_path;
  expect(path.map(({ operation, hidden_siblings: hidden }) => [operation, hidden])).toEqual([
    ["GET /", 0],
    ["GET", 1000],
  ]);
  expect(path[1]?.hidden_groups).toEqual([
    { service: "web", operation: "POST", spans: 1000, failed: 0, total_ms: 2000, max_ms: 2 },
  ]);
});

test("where nothing failed, the path leads to where the time went", () => {
  const report = reportOf(`
    web    GET /      0..90ms  server
      cart GET /items 5..85ms  server
        cart SELECT  10..80ms  client db.system=mysql db.name=orders`);
  expect(report.failing_path.map(({ operation, role }) => [operation, role])).toEqual([
    ["GET /", "none"],
    ["GET /items", "none"],
    ["SELECT", "origin"],
  ]);
  expect(report.verdict).toContain("nothing failed");
});

test("the dependency graph of a trace has the figures of the scope", () => {
  const report = reportOf(`
    web    GET /      0..90ms  server trace=1
      cart GET /items 5..85ms  server
    web    GET /      0..90ms  server trace=2
      cart GET /items 5..85ms  server error
      mail POST /    86..88ms  server`);
  expect(report.dependency_graph.edges.map(({ callee, calls, errors }) => [callee, calls, errors])).toEqual([
    ["cart", 2, 1],
  ]);
});

test("the shares of the critical path make one", () => {
  const path = reportOf(failing).trace_critical_path;
  expect(path.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
});

test("of an endless critical path the longest sections are listed, in order, and the rest is counted", () => {
  const calls = Array.from(
    { length: 6_000 },
    (_, i) => `\n  web a ${i * 10}..${i * 10 + 4 + (i % 2)} client`,
  );
  const { trace_critical_path: path, problems } = reportOf(`web GET 0..60000 server${calls.join("")}`);
  expect(path).toHaveLength(10_000);
  const shortest = path.filter(({ duration_ms: ms }) => ms === 4);
  expect(shortest).toHaveLength(1_000);
  // of equal ones the earliest: of every other call, up to number 1,998
  expect(Date.parse(shortest.at(-1)!.start) - Date.parse(path[0]!.start)).toBe(19_980);
  expect(path.map(({ start }) => start)).toEqual(path.map(({ start }) => start).toSorted());
  expect(problems.find(({ kind }) => kind === "overflow")?.count).toBe(2_000);
});

test("structural scoring gives the structural fields alone, unchanged", () => {
  const { trace, scope } = seen(failing);
  const structural = analyzeTrace(trace, scope, { language: "en", scoring: "structural" });
  expect(Object.keys(structural)).toEqual([
    "trace_id",
    "failed_service",
    "dependency_chain",
    "service_states",
    "root_cause_candidates",
    "cascade_analysis",
    "recommendations",
  ]);
  const evidence = reportOf(failing);
  expect(evidence.structural.root_cause_candidates).toEqual(structural.root_cause_candidates);
  expect(evidence.recommendations).toEqual(structural.recommendations);
});

test("whatever the spans, there is a report in both languages", () => {
  const span = fc.record({
    parent: fc.integer({ min: 0, max: 12 }),
    interval: fc.constantFrom("0..90ms", "10..5ms", "5..", "..", "20..20ms", "0..100m"),
    words: fc.constantFrom(
      "server error",
      "client error",
      "client",
      "producer",
      "consumer error",
      "",
      "client error error.type=timeout peer.service=x",
    ),
    service: fc.constantFrom("a", "b", "-"),
  });
  fc.assert(
    fc.property(fc.array(span, { minLength: 1, maxLength: 12 }), (spans) => {
      const text = spans
        .map(
          ({ service, interval, words, parent }, i) =>
            `${service} op ${interval} ${words} id=${i + 1} parent=${parent || "none"}`,
        )
        .join("\n");
      for (const language of ["en", "ko"] as const) {
        const report = reportOf(text, { language });
        expect(report.trace.span_count).toBeGreaterThan(0);
        expect(report.root_cause_candidates.every(({ score }) => score > 0 && score <= 1)).toBe(true);
      }
    }),
    { numRuns: runs(25) },
  );
});

test.each([
  ["a chain", (i: number) => i],
  ["children of one span", () => 1],
])("30,000 spans, %s, take no more than linear time", (_, parentOf) => {
  const lines = Array.from({ length: 30_000 }, (__, i) => {
    const words = i % 3 === 0 ? "client error" : "server error";
    return `s${i % 50} op${i % 7} ${i / 1000}..${i % 3 === 0 ? 300 : 400 - i / 1000}ms ${words} id=${i + 1} parent=${i === 0 ? "none" : parentOf(i)}`;
  });
  const table = tableOf(lines.join("\n"));
  const rollup = rollupOf("web GET / 0..1ms server trace=2");
  rollup.observe(table);
  const scope = rollup.scope(null);
  const before = process.cpuUsage();
  const report = analyzeTrace(assembleTrace(rowsOf(table), scope.directory), scope, { language: "en" });
  const { user, system } = process.cpuUsage(before);
  expect(report.trace.span_count).toBe(30_000);
  // a third of a second on an idle machine; CPU time, because other tests run beside this one
  expect((user + system) / 1e6).toBeLessThan(1.5);
});
