import { expect, test } from "vitest";
import { type RankerName, rankerNames } from "../../src/evaluation/ranker-names.ts";
import { rankers } from "../../src/evaluation/rankers.ts";
import type { CaseFigures } from "../../src/evaluation/window-figures.ts";
import { caseOf, repeated, sideOf } from "./figures.ts";

interface Request {
  readonly cartMs?: number;
  readonly dbMs?: number;
  /** between web and cart, each way */
  readonly gapMs?: number;
  readonly error?: boolean;
  readonly dbCalls?: number;
}

/** web -> cart -> orders (a database without spans of its own), and web -> auth beside it. */
function request({ cartMs = 10, dbMs = 20, gapMs = 1, error = false, dbCalls = 1 }: Request = {}): string {
  const failed = error ? "error" : "";
  const cartAt = 20 + gapMs;
  const dbAt = cartAt + cartMs / 2;
  const cartEnd = cartAt + cartMs + dbMs * dbCalls;
  const calls = Array.from({ length: dbCalls }, (_, i) => {
    const [from, to] = [dbAt + i * dbMs, dbAt + (i + 1) * dbMs];
    return `
    cart   SELECT     ${from}..${to}ms client ${failed} db.system.name=mysql db.namespace=orders`;
  });
  return `
web        GET /cart  0..${cartEnd + gapMs + 10}ms server ${failed} TRACE
  web      GET /token 5..18ms client
    auth   GET /token 6..17ms server
  web      GET /items 20..${cartEnd + gapMs}ms client ${failed}
    cart   GET /items ${cartAt}..${cartEnd}ms server ${failed}${calls.join("").replaceAll("\n    ", "\n      ")}`;
}

/** Real requests never take the same time twice. */
const jitter = (i: number): number => (i % 5) * 0.4;
const usual = (more: Request = {}) =>
  repeated(40, (i) => request({ ...more, cartMs: (more.cartMs ?? 10) + jitter(i) }));

const healthy = usual();
const cases = {
  "slow cart": caseOf(usual({ cartMs: 200 }), healthy),
  "slow database": caseOf(usual({ dbMs: 300 }), healthy),
  "slow network to cart": caseOf(usual({ gapMs: 80 }), healthy),
  "failing database": caseOf(
    repeated(40, (i) => request({ error: i % 2 === 0, cartMs: 10 + jitter(i) })),
    healthy,
  ),
  "more calls to the database": caseOf(usual({ dbCalls: 3 }), healthy),
  "nothing wrong": caseOf(usual(), healthy),
} as const satisfies Record<string, CaseFigures>;

function namesBy(ranker: RankerName, figures: CaseFigures): readonly string[] {
  return rankers[ranker](figures).map(({ name }) => name);
}

test.each([
  ["self_time_p95", "slow cart", "cart"],
  ["self_time_p95", "slow database", "orders"],
  // a rule that knows no gaps blames who waits
  ["self_time_p95", "slow network to cart", "web"],
  ["self_gap", "slow cart", "cart"],
  ["self_gap", "slow database", "orders"],
  ["self_gap", "slow network to cart", "cart"],
  ["shared_endpoint", "slow cart", "cart"],
  ["shared_endpoint", "slow network to cart", "cart"],
  ["p95_ratio", "slow database", "orders"],
  ["deepest_error", "failing database", "orders"],
  ["call_structure", "more calls to the database", "cart"],
  ["traversal", "slow cart", "cart"],
  ["traversal", "slow database", "orders"],
  ["traversal", "failing database", "orders"],
  ["n_sigma", "slow database", "orders"],
  ["robust_scorer", "slow database", "orders"],
  ["trace_rca_like", "slow database", "orders"],
  ["shapley_like", "slow cart", "cart"],
  ["shapley_like", "slow database", "orders"],
] as const)("%s names the culprit of: %s", (ranker, kind, culprit) => {
  expect(namesBy(ranker, cases[kind])[0]).toBe(culprit);
});

test("all that failed as often as each other are tied for the rise of the error rate", () => {
  expect(rankers.error_rate_delta(cases["failing database"])).toEqual([
    { name: "cart", score: 0.5 },
    { name: "orders", score: 0.5 },
    { name: "web", score: 0.5 },
  ]);
});

test("chance ties everybody", () => {
  expect(rankers.random(cases["nothing wrong"])).toEqual(
    ["auth", "cart", "orders", "web"].map((name) => ({ name, score: 1 })),
  );
});

test("rules that look for a change have nothing against services that are as usual", () => {
  const silent = rankerNames.filter((name) => namesBy(name, cases["nothing wrong"]).length === 0);
  expect(silent).toEqual([
    "error_rate_delta",
    "p95_ratio",
    "self_time_p95",
    "self_gap",
    "shared_endpoint",
    "deepest_error",
    "simple_rca",
    "call_structure",
    "cpu_gain",
    "traversal",
    "n_sigma",
    "robust_scorer",
    "trace_rca_like",
    "microrank_like",
  ]);
});

test("of two services on one slow way, the one that all slow ways lead to is named", () => {
  const shape = (gapMs: number) => (i: number) => {
    const at = 20 + gapMs + jitter(i);
    return `
web     GET /a 0..300ms server TRACE
  web   GET /b 10..${at + gapMs + 20}ms client
    hub GET /b ${at}..${at + 20}ms server
  web   GET /c 200..232ms client
    api GET /c 201..231ms server
shop    GET /d 0..300ms server TRACE
  shop  GET /b 10..${at + gapMs + 20}ms client
    hub GET /b ${at}..${at + 20}ms server
  shop  GET /c 200..232ms client
    api GET /c 201..231ms server`;
  };
  const twoRoots = (gapMs: number) => repeated(20, shape(gapMs)).replaceAll("TRACE", "");
  expect(namesBy("shared_endpoint", caseOf(twoRoots(60), twoRoots(2)))[0]).toBe("hub");
});

test("the spectrum names what slow traces cover and others do not; where all cover the same it cannot tell", () => {
  const mixed = (dbMs: number) =>
    repeated(30, (i) => {
      const end = 20 + dbMs + jitter(i);
      if (i % 3 === 0) return `\nweb GET / 0..${20 + jitter(i)}ms server TRACE\n  auth GET / 5..15ms server`;
      if (i % 3 === 1) return `\nweb GET / 0..${20 + jitter(i)}ms server TRACE\n  cart GET / 5..15ms server`;
      return `
web      GET /  0..${end}ms server TRACE
  cart   GET /  5..${end - 5}ms server
    cart SELECT 8..${8 + dbMs}ms client db.system.name=mysql db.namespace=orders`;
    });
  expect(namesBy("microrank_like", caseOf(mixed(300), mixed(20)))[0]).toBe("orders");
  expect(namesBy("microrank_like", cases["slow database"])[0]).not.toBe("orders");
});

test("the CPU ranker orders by gain, not by use", () => {
  const cpu = (web: number, cart: number) => new Map(Object.entries({ web, cart }));
  const figures = {
    incident: sideOf(healthy, { cpu: cpu(0.95, 0.7) }),
    baseline: sideOf(healthy, { cpu: cpu(0.9, 0.2) }),
  };
  expect(namesBy("cpu_gain", figures)).toEqual(["cart", "web"]);
});

test("SimpleRCA counts alerts: slices, p95, error logs, CPU", () => {
  const incident = sideOf(usual({ dbMs: 300 }), {
    cpu: new Map([["cart", 0.9]]),
    errorLogs: new Map([["cart", 50]]),
  });
  const baseline = sideOf(healthy, { errorLogs: new Map([["cart", 10]]) });
  const [first] = rankers.simple_rca({ incident, baseline });
  // latency of its slices, p95, error logs, CPU
  expect(first).toEqual({ name: "cart", score: 4 });
});

test("the structural score alone puts the busiest entry first, whatever failed", () => {
  expect(rankers.impact_score(cases["failing database"])).toEqual([
    { name: "web", score: 2 * 0.3 + 4 * 0.7 },
    { name: "auth", score: 3 * 0.7 },
    { name: "cart", score: 1 * 0.3 + 2 * 0.7 },
    { name: "orders", score: 1 * 0.7 },
  ]);
});

test("parallel work shares the added end by how far each reaches beyond the rest", () => {
  const parallel = (aEnd: number, bEnd: number) =>
    repeated(
      5,
      () => `
web GET / 0..${Math.max(aEnd, bEnd)}ms server TRACE
  a GET / 0..${aEnd}ms server
  b GET / 0..${bEnd}ms server`,
    );
  // both ended at 40: a now reaches 100, b 70; from 40 to 70 both are needed, from 70 to 100 a alone
  const ranking = rankers.shapley_like(caseOf(parallel(100, 70), parallel(40, 40)));
  expect(ranking).toEqual([
    { name: "a", score: expect.closeTo(45e6, -1) },
    { name: "b", score: expect.closeTo(15e6, -1) },
  ]);
});

test("without a baseline, times themselves are compared", () => {
  const alone = caseOf(usual({ dbMs: 300 }), "");
  for (const ranker of ["self_time_p95", "self_gap", "shapley_like"] as const)
    expect(namesBy(ranker, alone)[0]).toBe("orders");
  for (const ranker of ["traversal", "n_sigma", "robust_scorer", "call_structure"] as const)
    expect(namesBy(ranker, alone)).toEqual([]);
});

test.each(rankerNames)("%s gives the same order whatever the order of the traces", (name) => {
  const lines = usual({ dbMs: 300 }).split("\nweb").slice(1);
  const shuffled = lines.map((text) => `\nweb${text}`).toReversed();
  const reversed = caseOf(shuffled.join(""), healthy);
  expect(rankers[name](reversed)).toEqual(rankers[name](cases["slow database"]));
});

test.each(rankerNames)("%s bears an empty window", (name) => {
  expect(rankers[name](caseOf("", ""))).toEqual([]);
  expect(rankers[name](caseOf("", healthy))).toEqual([]);
});
