import { expect, test } from "vitest";
import { analyzeWindow, WindowRollup } from "../../src/analysis/analyze-window.ts";
import type { WindowReport } from "../../src/analysis/report.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { tableOf } from "../notation.ts";
import { rawTracesOf } from "../scopes.ts";
import { tracesText } from "../visit-sums.ts";

type Request = (i: number) => string;

interface Windows {
  /** null = nothing to compare with */
  readonly before: Request | null;
  readonly after: Request;
  readonly isReversed?: boolean;
  readonly requests?: number;
}

/** The report of some requests, against as many of the healthy time. */
function reportOf({ before, after, isReversed = false, requests = 60 }: Windows): WindowReport {
  const table = tableOf(tracesText(requests, after));
  const rollup = new WindowRollup({ isCompared: before !== null });
  const { directory } = rollup;
  const usual = before === null ? null : tableOf(tracesText(requests, before));
  for (const each of [table, ...(usual === null ? [] : [usual])]) rollup.observe(each);
  const fold = (to: WindowRollup, from: SpanTable): WindowRollup => {
    const traces = rawTracesOf([from]);
    for (const trace of isReversed ? traces.toReversed() : traces) to.addTrace(trace);
    return to;
  };
  const baseline = usual === null ? null : fold(new WindowRollup({ directory }), usual).window();
  return analyzeWindow(fold(rollup, table).window(), baseline, { language: "en" });
}

/** `callee -> caller mechanism requests`, and who is affected. */
function checkReach(windows: Windows, ways: readonly string[], affected: readonly string[]): WindowReport {
  const report = reportOf(windows);
  const told = report.propagation.map(
    ({ caller, callee, mechanism, requests }) =>
      `${callee} -> ${caller} ${mechanism} ${Math.round(requests)}`,
  );
  expect([told, report.affected_services]).toEqual([ways, affected]);
  return report;
}

/** The shop; `cart` may fail, and its work takes `ms`. `stock` is asked first and has nothing to do with it. */
function shop({ ms = 20, failed = false }: { ms?: number; failed?: boolean } = {}): Request {
  return (i) => {
    const error = failed && i % 2 === 0 ? "error" : "";
    const end = 40 + ms + (i % 4);
    return `
web     GET /cart  0..${end + 20}ms server ${error} TRACE
  web   GET stock  5..25ms client
    stock GET /stock 8..22ms server
  web   GET cart   30..${end + 10}ms client ${error}
    cart GET /items 35..${end}ms server ${error}`;
  };
}

test("failures are followed from where they began up to the user", () => {
  const report = checkReach(
    { before: shop(), after: shop({ failed: true }) },
    ["cart -> web error 30"],
    ["cart", "web"],
  );
  expect(report.propagation[0]).toMatchObject({ share: 1, onset: "2024-01-01T00:00:00.000000000Z" });
  expect(report.entry_points[0]).toMatchObject({ excess_failed: 30, failed_by_cause: 30 });
  expect(report.traffic_share).toBe(0.5);
  expect(report.what_if).toMatchObject([
    { service: "cart", entry_points: [{ service: "web", error_rate: 0.5, error_rate_without: 0 }] },
  ]);
});

test("what failed as often before is no way of the fault", () => {
  const usual: Request = (i) =>
    i % 3 === 0
      ? shop()(i).replace("stock GET /stock 8..22ms server", "stock GET /stock 8..22ms server error")
      : shop()(i);
  const worse: Request = (i) => (i % 2 === 0 ? shop({ failed: true })(i) : usual(i));
  checkReach({ before: usual, after: worse }, ["cart -> web error 30"], ["cart", "web"]);
});

test("without a healthy time failures are followed, and nobody is said to be slower", () => {
  const after: Request = (i) => shop({ failed: true, ms: i < 30 ? 20 : 500 })(i);
  const report = checkReach({ before: null, after }, ["cart -> web error 30"], ["cart", "web"]);
  expect(report.entry_points[0]).toMatchObject({ failed_by_cause: 30, latency_by_cause_ms: 0 });
});

test("who waits for slow work is slower, who is called beside it is not", () => {
  const report = checkReach(
    { before: shop(), after: shop({ ms: 120 }) },
    ["cart -> web slow 60"],
    ["cart", "web"],
  );
  expect(report.entry_points[0]?.latency_by_cause_ms).toBeCloseTo(100, 6);
  expect(report.what_if[0]?.entry_points[0]).toMatchObject({ error_rate: 0, mean_ms: 181.5 });
  expect(report.what_if[0]?.entry_points[0]?.mean_ms_without).toBeCloseTo(81.5, 6);
});

test("of calls side by side only what was waited for the cause alone could be saved", () => {
  const beside =
    (cartMs: number): Request =>
    (i) =>
      `
web     GET /cart  0..${Math.max(80, cartMs) + 20 + (i % 4)}ms server TRACE
  stock GET /stock 10..90ms server
  cart  GET /items 10..${cartMs + 10 + (i % 4)}ms server`;
  const report = reportOf({ before: beside(20), after: beside(120) });
  expect(report.root_cause_candidates[0]?.service).toBe("cart");
  // 100 ms slower, but without that the request would wait for stock
  expect(report.entry_points[0]?.latency_by_cause_ms).toBeCloseTo(41.5, 6);
  expect(report.what_if[0]?.entry_points[0]?.mean_ms_without).toBeCloseTo(100, 6);
  expect(report.propagation).toMatchObject([
    { caller: "web", callee: "cart", mechanism: "slow", requests: 60 },
  ]);
});

test("a caller that hides failures and takes long over it is slower, and nobody above it failed", () => {
  const hiding =
    (isDown: boolean): Request =>
    (i) =>
      `
web      GET /cart  0..${isDown ? 290 : 90}ms server TRACE
  web    GET cart   5..${isDown ? 285 : 85}ms client
    cart GET /items 10..${isDown ? 280 : 80}ms server
      cart GET    15..${(isDown ? 20 : 30) + (i % 4)}ms client ${isDown ? "error" : ""} db.system=redis server.address=cache-1
      cart SELECT 40..${isDown ? 270 : 70}ms client db.system=mysql db.name=orders`;
  const report = reportOf({ before: hiding(false), after: hiding(true) });
  const [first] = report.what_if;
  expect(
    report.propagation.map(({ caller, callee, mechanism }) => [callee, caller, mechanism]),
  ).toContainEqual(["cart", "web", "slow"]);
  expect(report.affected_services).toEqual(["cart", "web"]);
  expect(first?.entry_points[0]).toMatchObject({ error_rate: 0, mean_ms: 290 });
});

test("callers that fail at once instead of calling a broken service were kept from it by a breaker", () => {
  const after: Request = (i) => {
    const lines = shop({ failed: true })(i).split("\n");
    return i % 4 === 0 ? lines.slice(0, 4).join("\n") : lines.join("\n");
  };
  checkReach({ before: shop(), after }, ["cart -> web breaker 15", "cart -> web error 15"], ["cart", "web"]);
});

test("who made a breaker open answers for what it held back, also through a service in between", () => {
  const after: Request = (i) =>
    i % 2 === 0
      ? `
web     GET /cart  0..80ms server error TRACE
  web   GET cart   5..70ms client error
    cart GET /items 10..60ms server error
      cart GET stock 15..50ms client error
        stock GET /stock 20..40ms server error exception="IllegalState: no shelf"`
      : `
web     GET /cart  0..8ms server error TRACE exception="CallNotPermittedException: circuit breaker of cart is open"`;
  const before: Request = (i) => after(i * 2).replaceAll(/ error( exception=.*)?/g, "");
  const report = reportOf({ before, after });
  expect(report.root_cause_candidates[0]?.service).toBe("stock");
  expect(report.root_cause_candidates[0]?.evidence[0]?.statement).toContain("60 of 60 requests failed");
});

test("messages that nobody works on any more do not hurt who sends them", () => {
  const sending =
    (isConsumed: boolean): Request =>
    () =>
      `
web     POST /order 0..50ms server TRACE
  web   send orders 10..12ms producer messaging.system=kafka messaging.destination.name=orders
    ${isConsumed ? "mail process orders 20..40ms consumer messaging.system=kafka messaging.destination.name=orders" : ""}`;
  const report = reportOf({ before: sending(true), after: sending(false) });
  const lag = report.propagation.filter(({ callee }) => callee === "mail");
  expect(report.root_cause_candidates[0]?.service).toBe("mail");
  expect(lag).toMatchObject([{ caller: "web", mechanism: "queue_lag", requests: 60 }]);
  expect(report.affected_services).toEqual(["mail"]);
});

test("a caller that shows nothing yet is at risk, unless it is known to do without", () => {
  const others = (i: number, failed: boolean): string => `
${shop({ failed })(i)}
admin   GET /carts 100..190ms server trace=${1000 + i}
  cart  GET /all   110..180ms server
search  GET /find  200..290ms server trace=${2000 + i}
  cart  GET /some  210..280ms server ${failed && i % 2 === 0 ? "error" : ""}`;
  const report = reportOf({ before: (i) => others(i, false), after: (i) => others(i, true) });
  expect(report.affected_services).toEqual(["cart", "web"]);
  expect(report.services_at_risk).toEqual(["admin"]);
});

test("two faults that have nothing to do with each other are both told", () => {
  const two =
    (isFaulty: boolean): Request =>
    (i) => {
      const own = i % 2 === 0 ? "cart" : "stock";
      const error = isFaulty && i % 4 < 2 ? "error" : "";
      return `
${own}-page GET /page 0..90ms server ${error} TRACE
  ${own}    GET /data 10..80ms server ${error}`;
    };
  checkReach(
    { before: two(false), after: two(true) },
    ["cart -> cart-page error 15", "stock -> stock-page error 15"],
    ["cart", "cart-page", "stock", "stock-page"],
  );
});

test("a quiet window reaches nobody", () => {
  expect(reportOf({ before: shop(), after: shop() })).toMatchObject({
    propagation: [],
    affected_services: [],
    services_at_risk: [],
    traffic_share: 0,
    what_if: [],
  });
});

test("traces that there was no room for count as those that were kept", () => {
  const [before, after] = [shop(), shop({ ms: 120 })].map((request) => {
    const table = tableOf(tracesText(60, request));
    const rollup = new WindowRollup();
    rollup.observe(table);
    for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
    return rollup.window();
  });
  const thinned = { ...after!, visits: { ...after!.visits!, levels: after!.visits!.levels.map(() => 1) } };
  const report = analyzeWindow(thinned, before!, { language: "en" });
  expect(report.propagation).toMatchObject([{ callee: "cart", caller: "web", requests: 120, share: 1 }]);
});

test("the order of traces does not show", () => {
  for (const after of [shop({ failed: true }), shop({ ms: 120 })])
    expect(reportOf({ before: shop(), after, isReversed: true })).toEqual(
      reportOf({ before: shop(), after }),
    );
});

test("what a slow service costs is the same to the last digit whatever the order of many requests", () => {
  // durations far apart, so that a sum of fractions would depend on the order
  const told: Request = (i) => shop({ ms: 20 + ((i * i * 7919) % 997) / 7 })(i);
  const slow: Request = (i) => shop({ ms: 900 + ((i * i * 6007) % 9973) / 3 })(i);
  const windows = { before: told, after: slow, requests: 700 };
  const report = reportOf(windows);
  expect(report.what_if).toMatchObject([{ service: "cart" }]);
  expect(reportOf({ ...windows, isReversed: true })).toEqual(report);
});
