import { describe, expect, test } from "vitest";
import { analyzeWindow, WindowRollup, type WindowSums } from "../../src/analysis/analyze-window.ts";
import type { WindowReport } from "../../src/analysis/report.ts";
import { metricSignal } from "../../src/cascade/metric-signal.ts";
import type { LogRecord, MetricPoint } from "../../src/model/telemetry.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { notationStart, tableOf } from "../notation.ts";
import { rawTracesOf } from "../scopes.ts";

/** `count` requests of the shop; `lines` says what one looks like. */
function windowOf(count: number, lines: (i: number) => string): WindowSums {
  const text = Array.from({ length: count }, (_, i) => lines(i).replace("TRACE", `trace=${i + 1}`)).join(
    "\n",
  );
  const table = tableOf(text);
  const rollup = new WindowRollup();
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  return rollup.window();
}

function request(i: number, { failed = false, dbMs = 20 }: { failed?: boolean; dbMs?: number } = {}): string {
  const error = failed ? "error" : "";
  const at = i * 1000;
  const jitter = i % 5;
  const end = dbMs + jitter + 20;
  return `
web      GET /cart  ${at}..${at + end + 10}ms  server ${error} TRACE
  cart   GET /items ${at + 5}..${at + end}ms   server ${error}
    cart SELECT     ${at + 10}..${at + 10 + dbMs + jitter}ms client ${error} db.system=mysql db.name=orders`;
}

const healthy = windowOf(200, (i) => request(i));

const reportOf = (window: WindowSums, baseline: WindowSums | null = null): WindowReport =>
  analyzeWindow(window, baseline, { language: "en" });

test("a quiet window is healthy and has no candidates", () => {
  for (const baseline of [null, healthy]) {
    const report = reportOf(
      windowOf(150, (i) => request(i)),
      baseline,
    );
    expect([report.healthy, report.root_cause_candidates, report.confidence]).toEqual([true, [], null]);
    expect(report.verdict).toBe("Nothing significant in 150 requests.");
  }
});

test("one span that claims to stand for 10^16 others breaks nothing and makes no figure endless", () => {
  const hostile = (i: number): string => request(i).replace("TRACE", "TRACE tracestate=ot=th:ffffffffffffff");
  const report = reportOf(windowOf(20, (i) => (i === 3 ? hostile(i) : request(i))));
  expect(report.entry_points[0]?.requests).toBeLessThan(2 ** 21);
  expect(
    report.dependency_graph.nodes.every((node) => Number.isFinite(node.calls_in + node.error_rate)),
  ).toBe(true);
});

test("failures that were as frequent before are no finding", () => {
  const failing = (count: number) => windowOf(count, (i) => request(i, { failed: i % 10 === 0 }));
  expect(reportOf(failing(200), failing(400)).healthy).toBe(true);
  expect(reportOf(failing(200), healthy).healthy).toBe(false);
});

test("who fails beyond what is usual is the cause, with its share of the entry's requests", () => {
  const report = reportOf(
    windowOf(200, (i) => request(i, { failed: i >= 130 && i % 2 === 0 })),
    healthy,
  );
  expect(report.root_cause_candidates.map(({ service, kind }) => [service, kind])).toEqual([
    ["orders", "error"],
  ]);
  expect(report.entry_points).toEqual([
    {
      service: "web",
      operation: "GET /cart",
      requests: 200,
      failed: 35,
      excess_failed: 35,
      added_latency_ms: 0,
      share: 1,
      failed_by_cause: 35,
      latency_by_cause_ms: 0,
    },
  ]);
  expect(report.affected_services).toEqual(["cart", "web"]);
  expect(report.onset_order).toEqual([{ service: "orders", onset: "2024-01-01T00:02:00.000000000Z" }]);
  expect(report.exemplar_trace_ids).toHaveLength(3);
  expect(report.verdict).toBe(
    "35 of 200 requests failed (usually 0). Root cause: orders (errors) - 35 of 200 requests failed with an error that began here (usually 0).",
  );
});

test("without a healthy time to compare with, many failures are a finding, a few are not", () => {
  expect(
    reportOf(windowOf(200, (i) => request(i, { failed: i % 4 === 0 }))).root_cause_candidates[0]?.service,
  ).toBe("orders");
  expect(reportOf(windowOf(200, (i) => request(i, { failed: i === 7 }))).healthy).toBe(true);
});

test("the service that slower requests wait longer for is the cause", () => {
  const report = reportOf(
    windowOf(200, (i) => request(i, { dbMs: 60 })),
    healthy,
  );
  expect(report.root_cause_candidates[0]).toMatchObject({ service: "orders", kind: "latency" });
  expect(report.entry_points[0]).toMatchObject({ excess_failed: 0, added_latency_ms: 40 });
  expect(report.verdict).toContain("web GET /cart takes 92 ms on average (usually 52 ms)");
});

test("what is slow because more is asked of it is overloaded, and slow work where the load is as before", () => {
  const slow = (everyMs: number): WindowReport =>
    reportOf(
      windowOf(200, (i) => request(i * (everyMs / 1000), { dbMs: 60 })),
      healthy,
    );
  expect(slow(250).root_cause_candidates[0]).toMatchObject({ service: "orders", kind: "overload" });
  expect(slow(1000).root_cause_candidates[0]).toMatchObject({ service: "orders", kind: "latency" });
});

test("failures hidden from users are a finding where their service is unhealthy by itself", () => {
  const hidden = (every: number) =>
    windowOf(200, (i) =>
      request(i, { failed: i % every === 0 })
        .replace("server error", "server")
        .replace("server error", "server"),
    );
  const report = reportOf(hidden(10));
  expect(report.root_cause_candidates[0]?.service).toBe("orders");
  expect(report.verdict).toContain("Failures were hidden from users");
  expect(reportOf(hidden(40)).healthy).toBe(true);
});

test("the structural part starts at the entry that suffers most", () => {
  const report = reportOf(
    windowOf(200, (i) => request(i, { failed: i % 2 === 0 })),
    healthy,
  );
  expect([...report.service_states.keys()]).toEqual(["web", "cart", "orders"]);
  expect(report.blast_radius).toBe(3);
});

describe("beside its traces", () => {
  const cart = new Map([
    ["service.name", "cart"],
    ["service.instance.id", "cart-1"],
  ]);
  const at = (second: number): UnixNanos => (notationStart + BigInt(second) * 1_000_000_000n) as UnixNanos;
  const cpu = (second: number, value: number): MetricPoint => ({
    resource: cart,
    name: "k8s.pod.cpu_limit_utilization",
    unit: "1",
    attributes: new Map(),
    startTime: 0n as UnixNanos,
    time: at(second),
    value: { kind: "gauge", value },
  });
  const line = (second: number, traceId: string): LogRecord => ({
    resource: cart,
    scopeName: "",
    time: at(second),
    observedTime: 0n as UnixNanos,
    severityNumber: 17,
    severityText: "",
    body: `item ${second} is gone`,
    attributes: new Map(),
    traceId,
    spanId: "",
    eventName: "",
  });
  const rollupOf = (isCompared: boolean): WindowRollup => {
    const rollup = new WindowRollup({ isCompared });
    const table = tableOf(request(600).replace("TRACE", "trace=1"));
    rollup.observe(table);
    for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
    rollup.addMetricCourses([...[0, 60, 120, 180].map((second) => cpu(second, 0.2)), cpu(610, 0.9)]);
    rollup.addLogRecords([line(601, "a".repeat(32)), line(700, "b".repeat(32)), line(601, "")]);
    return rollup;
  };

  test("a window holds its log lines, and the metrics of the time around it to compare with", () => {
    const rollup = rollupOf(true);
    const whole = rollup.window();
    expect(whole.logLines.lines).toBe(2);
    expect(metricSignal(whole.metrics, null).get("cart")).toMatchObject({
      instance: "cart-1",
      strength: 0.7,
    });
    expect([...rollup.window([{ from: at(600), to: at(660) }]).logLines.byTrace]).toEqual([
      ["a".repeat(32), [{ service: "cart", spanId: "", text: "item # is gone", isError: true }]],
    ]);
    expect(metricSignal(rollup.window([{ from: at(0), to: at(660) }]).metrics, null).size).toBe(0);
  });

  test("log records that belong to no request are a problem of the input", () => {
    const { scope } = rollupOf(true).window();
    expect(scope.problems.map(({ kind, count }) => [kind, count])).toEqual([["missing_trace_id", 1]]);
  });

  test("without anything to compare with, log lines are not kept", () => {
    const { scope, logLines } = rollupOf(false).window();
    expect([logLines.lines, scope.problems]).toEqual([0, []]);
  });
});

test("an empty window is said to be one", () => {
  const report = reportOf(new WindowRollup().window());
  expect([report.healthy, report.verdict, report.totals.traces]).toEqual([
    true,
    "There are no requests in this window.",
    0,
  ]);
});

test("few failures at each of several services are a finding together", () => {
  const report = reportOf(
    windowOf(
      6,
      (i) => `
web   GET /  0..90ms  server error TRACE
  s${i} GET  5..80ms  server error`,
    ),
  );
  expect(report.root_cause_candidates.map(({ service }) => service)).toEqual([
    "s0",
    "s1",
    "s2",
    "s3",
    "s4",
    "s5",
  ]);
});

test("the order of traces does not show", () => {
  const table = tableOf(
    Array.from({ length: 60 }, (_, i) =>
      request(i, { failed: i % 3 === 0 }).replace("TRACE", `trace=${i + 1} tracestate=ot=th:5`),
    ).join("\n"),
  );
  const reports = [false, true].map((reverse) => {
    const rollup = new WindowRollup();
    rollup.observe(table);
    const traces = rawTracesOf([table]);
    for (const trace of reverse ? traces.toReversed() : traces) rollup.addTrace(trace);
    return reportOf(rollup.window(), healthy);
  });
  expect(reports[1]).toEqual(reports[0]);
});

/** `count` requests of a shop of six services; `ms` = how long each of them works itself. */
function shop(
  count: number,
  ms: (service: string, i: number) => number,
  entry = (i: number) => i % 2,
): WindowSums {
  return windowOf(count, (i) => {
    const at = i * 1000;
    const took = (service: string): number => ms(service, i) * (1 + (i % 7) / 20);
    const line = (depth: number, what: string, start: number, length: number, kind: string): string =>
      `${"  ".repeat(depth)}${what} ${(at + start).toFixed(3)}..${(at + start + length).toFixed(3)}ms ${kind}`;
    const callees = entry(i) === 0 ? ["cart", "price"] : ["user", "mail", "stock"];
    let end = took("web");
    const calls = callees.flatMap((service) => {
      const own = took(service);
      const start = end;
      end += own + 2;
      return [
        line(1, "web call", start, own + 2, `client server.address=${service}`),
        line(2, `${service} work`, start + 1, own, `server instance=${service}-${i % 3}`),
      ];
    });
    const root = entry(i) === 0 ? "web GET /" : "web POST /";
    return [line(0, root, 0, end, "server TRACE"), ...calls].join("\n");
  });
}

const usual = shop(200, () => 10);

test("one slow instance of a service is named", () => {
  const report = reportOf(
    shop(200, (service, i) => (service === "user" && i % 3 === 1 ? 90 : 10)),
    usual,
  );
  expect(report.root_cause_candidates[0]).toMatchObject({
    service: "user",
    instance: "user-1",
    kind: "latency",
  });
});

test.each([
  ["the same", shop(150, () => 10)],
  [
    "another mix of requests",
    shop(
      200,
      () => 10,
      (i) => (i % 8 === 0 ? 1 : 0),
    ),
  ],
  ["a little slower everywhere, as with more load", shop(300, () => 13)],
])("%s: healthy", (_, window) => {
  expect(reportOf(window, usual)).toMatchObject({ healthy: true, root_cause_candidates: [] });
});

test("usual failures of a service that now gets more of the requests are no finding", () => {
  const window = (count: number, isOrder: (i: number) => boolean): WindowSums =>
    windowOf(count, (i) => {
      const failed = i % 9 === 0 ? "error" : "";
      const root = isOrder(i)
        ? `web POST / ${i}..${i + 9}s server ${failed} TRACE`
        : `web GET / ${i}..${i + 9}s server TRACE`;
      return isOrder(i) ? `${root}\n  order POST / ${i}.1..${i}.9s server ${failed}` : root;
    });
  const [few, many] = [window(900, (i) => i % 5 === 0), window(900, (i) => i % 5 !== 0)];
  expect(reportOf(many, few).healthy).toBe(true);
});

test("a call that is left out is told, though nothing failed or took longer", () => {
  const isThere = (i: number): string => `\n  cart DELETE /items ${i * 1000 + 30}..${i * 1000 + 40}ms server`;
  const order = (count: number, hasCall: (i: number) => boolean): WindowSums =>
    windowOf(
      count,
      (i) => `\nweb POST /order ${i * 1000}..${i * 1000 + 90}ms server TRACE${hasCall(i) ? isThere(i) : ""}`,
    );
  const report = reportOf(
    order(40, (i) => i < 4),
    order(60, () => true),
  );
  expect(report.root_cause_candidates[0]).toMatchObject({ service: "web", kind: "missing_call" });
  expect(report.verdict).toContain(
    "call web → cart DELETE /items less often: in 4 of 40 POST /order requests, usually in 60 of 60",
  );
  expect(
    analyzeWindow(
      order(40, (i) => i < 4),
      order(60, () => true),
      { language: "ko" },
    ).verdict,
  ).toContain("POST /order 요청 40건 중 4건, 평소 60건 중 60건");
});

describe("a healthy time that has little to do with the window", () => {
  const other = windowOf(200, (i) => `\nmail POST /send ${i * 1000}..${i * 1000 + 20}ms server TRACE`);
  const failing = windowOf(150, (i) => request(i, { failed: i % 3 === 0 }));

  test("with no service in common it is not compared with, and the report names both sides", () => {
    const report = reportOf(failing, other);
    expect(report.baseline).toBeNull();
    expect(report.problems).toEqual([
      {
        kind: "unlike_baseline",
        message:
          "The baseline has no service in common with what is analysed, so nothing is compared with it. Analysed: cart, web. Baseline: mail",
        count: 2,
        spans: [],
      },
    ]);
    expect({ ...report, problems: [] }).toEqual({ ...reportOf(failing), problems: [] });
  });

  test("with none of the entry operations of most requests it is compared as far as it goes, and the report says so", () => {
    const renamed = windowOf(150, (i) => request(i).replace("/cart", i % 3 === 0 ? "/cart" : "/basket"));
    const report = reportOf(renamed, healthy);
    expect(report.baseline).not.toBeNull();
    expect(report.problems).toMatchObject([
      {
        kind: "unlike_baseline",
        message: expect.stringMatching(/Not in the baseline: web GET \/basket$/),
        count: 100,
      },
    ]);
    const mostlyKnown = windowOf(150, (i) => request(i).replace("/cart", i % 3 > 0 ? "/cart" : "/basket"));
    expect(reportOf(mostlyKnown, healthy).problems).toEqual([]);
  });

  test("without spans it is none; a window without spans lacks nothing", () => {
    const empty = windowOf(0, () => "");
    expect(reportOf(failing, empty)).toMatchObject({
      baseline: null,
      problems: [{ kind: "unlike_baseline", message: expect.stringContaining("no spans") }],
    });
    expect(reportOf(empty, healthy).problems).toEqual([]);
  });

  test("all of that is told in Korean too", () => {
    const renamed = windowOf(150, (i) => request(i).replace("/cart", "/basket"));
    for (const [window, baseline] of [
      [failing, other],
      [renamed, healthy],
      [failing, windowOf(0, () => "")],
    ] as const) {
      const { problems } = analyzeWindow(window, baseline, { language: "ko" });
      expect(problems).toMatchObject([
        { kind: "unlike_baseline", message: expect.stringMatching(/^\p{Script=Hangul}/u) },
      ]);
    }
  });
});
