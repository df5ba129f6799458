import { expect, test } from "vitest";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { ScopeRollup } from "../../src/analysis/scope.ts";
import { overflowName } from "../../src/model/limits.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { notationStart, tableOf } from "../notation.ts";
import { edgeOf, edgesOf, nodeOf, picture, rawTracesOf, rollupOf, scopeOf } from "../scopes.ts";

// What other graph builders get wrong: D1..D19 of their pairing of client and server spans, T10..T17 of their reports.

test("D1, T13: a partner that arrives in a much later batch makes the edge all the same", () => {
  const early = `
    web   GET /cart    0..90ms   server id=1
      web GET          5..85ms   client id=2`;
  const late = `
    cart  GET /items  10..80ms   server id=3 parent=2`;
  expect(edgesOf(early, late)).toEqual(["web -> cart: 1 sync"]);
  expect(edgesOf(late, early)).toEqual(["web -> cart: 1 sync"]);
});

test("D1: late spans change what was folded before, whatever it looked like then", () => {
  const early = tableOf(`
    web   GET /cart   0..90ms  server id=1
      web GET         5..85ms  client id=2 server.address=cart.internal`);
  const late = tableOf(`
    cart  GET /items 10..80ms  server id=3 parent=2`);
  const rollup = new ScopeRollup();
  rollup.observe(early);
  const [before] = rawTracesOf([early]);
  rollup.addTrace(before!);
  expect(graphJson(rollup.scope(null)).edges.map(picture)).toEqual(["web -> cart.internal: 1 inferred"]);
  rollup.observe(late);
  rollup.removeTrace(before!);
  for (const trace of rawTracesOf([early, late])) rollup.addTrace(trace);
  expect(graphJson(rollup.scope(null)).edges.map(picture)).toEqual(["web -> cart: 1 sync"]);
});

test("D2: every consumer of a fan-out has its edge", () => {
  expect(
    edgesOf(`
      shop    send orders   0..5ms    producer messaging.system=kafka messaging.destination.name=orders
        mail  process      10..20ms   consumer messaging.system=kafka messaging.destination.name=orders
        stock process      10..30ms   consumer messaging.system=kafka messaging.destination.name=orders
        stock process      12..30ms   consumer messaging.system=kafka messaging.destination.name=orders host=b`),
  ).toEqual([
    "kafka:orders -> mail: 1 inferred",
    "kafka:orders -> stock: 2 inferred",
    "shop -> kafka:orders: 1 inferred",
    "shop -> mail: 1 async",
    "shop -> stock: 2 async",
  ]);
});

const producer = `
  shop  send orders  0..5ms   producer trace=1 id=1 messaging.system=kafka messaging.destination.name=orders`;
const consumer = `
  mail  process     10..20ms  consumer trace=2 id=2 link=1/1`;
const linked = [
  "kafka:orders -> mail: 1 inferred",
  "shop -> kafka:orders: 1 inferred",
  "shop -> mail: 1 async",
];

test("D3, T9: a link to another trace is an asynchronous call, whichever trace comes first", () => {
  expect(edgesOf(producer, consumer)).toEqual(linked);
  const [tables, order] = [
    [tableOf(producer), tableOf(consumer)],
    [1, 0],
  ];
  const rollup = new ScopeRollup();
  for (const table of tables) rollup.observe(table);
  const traces = rawTracesOf(tables);
  for (const i of order) rollup.addTrace(traces[i]!);
  expect(graphJson(rollup.scope(null)).edges.map(picture)).toEqual(linked);
});

test("D3: taking the linking trace back takes its asynchronous call back", () => {
  const rollup = rollupOf(producer, consumer);
  const [linking] = rawTracesOf([tableOf(consumer)]);
  rollup.removeTrace(linking!);
  expect(graphJson(rollup.scope(null)).edges.map(picture)).toEqual(["shop -> kafka:orders: 1 inferred"]);
  rollup.addTrace(linking!);
  expect(graphJson(rollup.scope(null)).edges.map(picture)).toEqual(linked);
});

test("D3: a link whose span never comes is counted, not guessed", () => {
  const scope = scopeOf(consumer);
  expect(graphJson(scope).edges).toEqual([]);
  expect(scope.problems.map(({ kind, count }) => [kind, count])).toEqual([["unresolved_link", 1]]);
});

test("D4, T14: local spans between client and server do not hide the edge", () => {
  expect(
    edgesOf(`
      web      GET /cart    0..90ms  server
        web    render       2..88ms  internal
          web  GET          5..85ms  client
            cart work      10..80ms
              cart query   20..70ms  client
                db  answer 30..60ms  server`),
  ).toEqual(["cart -> db: 1 sync", "web -> cart: 1 sync"]);
});

test("D4, T14: server to server, client to client, and no kinds at all make edges", () => {
  const kinds = [
    ["server", "server"],
    ["client", "client"],
    ["", ""],
    ["internal", "internal"],
  ];
  for (const [above, below] of kinds)
    expect(
      edgesOf(`
        web    a   0..90ms  ${above}
          cart b  10..80ms  ${below} peer.service=cart`),
      `${above} -> ${below}`,
    ).toContain("web -> cart: 1 sync");
});

test("D5: halves that share one span id are one call, and nobody is skipped", () => {
  expect(
    edgesOf(`
      a  call b    0..90ms  client id=1
      b  serve     5..85ms  server id=1
        b  call c 10..80ms  client id=2
        c  serve  15..75ms  server id=2 parent=1`),
  ).toEqual(["a -> b: 1 sync", "b -> c: 1 sync"]);
});

test("D6, T11: a database or proxy with spans of its own is one node with one edge", () => {
  const scope = scopeOf(`
    web     GET /       0..90ms  server
      web   SELECT     10..50ms  client db.system=postgresql db.name=orders peer.service=orders
        orders query   12..48ms  server`);
  expect(graphJson(scope).edges.map(picture)).toEqual(["web -> orders: 1 sync"]);
  expect(nodeOf(scope, "orders")).toMatchObject({ kind: "service", inferred: false, calls_in: 1 });
});

test("D7, T10: old and new database attributes make the same node", () => {
  expect(
    edgesOf(`
      web    GET /    0..90ms  server
        web  SELECT   5..15ms  client db.system=postgresql db.name=orders
        web  SELECT  20..30ms  client db.system.name=postgresql db.namespace=orders`),
  ).toEqual(["web -> orders: 2 inferred"]);
});

test("D8: a side that was not seen has no latency, rather than zero", () => {
  const scope = scopeOf(`
    web    GET /    0..90ms  server
      web  SELECT   5..55ms  client db.system=postgresql db.name=orders`);
  const edge = edgeOf(scope, "web", "orders");
  expect(edge).toMatchObject({ p50_ms: 50, p99_ms: 50, client_p99_ms: 50 });
  expect(edge).not.toHaveProperty("server_p99_ms");
});

test("D9: an end before its start is no latency of centuries", () => {
  const scope = scopeOf(`
    web    GET /  0..90ms   server
      cart work  50..10ms   server`);
  expect(edgeOf(scope, "web", "cart").p99_ms ?? 0).toBeLessThan(100);
});

test("D10: when there are too many services, calls are counted under one name rather than dropped", () => {
  const rollup = new ScopeRollup();
  const lines = Array.from({ length: 10_050 }, (_, i) => `s${i} work ${i % 50}..60ms server trace=${i + 1}`);
  const table = tableOf(lines.join("\n"));
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  const { red } = rollup.scope(null);
  expect(red.services).toHaveLength(10_001);
  expect(red.service(overflowName)?.cell.requests).toBe(50);
});

test("D11: spans that were sent twice count once", () => {
  const text = `
    web    GET /cart   0..90ms  server id=1
      cart GET /items 10..80ms  server id=2`;
  expect(edgesOf(text, text)).toEqual(["web -> cart: 1 sync"]);
  expect(nodeOf(scopeOf(text, text), "cart").calls_in).toBe(1);
});

test("D12: a trace in pieces is whole again", () => {
  const lines = `
    web          GET     0..90ms  server id=1
      web        GET     5..85ms  client id=2
        cart     GET    10..80ms  server id=3
          cart   SELECT 20..70ms  client id=4 db.system=redis server.address=cache`
    .split("\n")
    .slice(1);
  const pieces = lines.map((line, i) => `${line.trim()} parent=${i === 0 ? "none" : i}`);
  expect(edgesOf(...pieces)).toEqual(["cart -> redis@cache: 1 inferred", "web -> cart: 1 sync"]);
  expect(edgesOf(...pieces.toReversed())).toEqual(["cart -> redis@cache: 1 inferred", "web -> cart: 1 sync"]);
});

test("D13: what nobody named is one node per caller, no hub", () => {
  const edges = edgesOf(`
    a   GET /  0..90ms  server trace=1
      a call   5..80ms  client
    b   GET /  0..90ms  server trace=2
      b call   5..80ms  client`);
  expect(edges).toEqual(["a -> unknown (called by a): 1 inferred", "b -> unknown (called by b): 1 inferred"]);
});

test("D14: the caller's 404 counts neither against the callee nor against the edge", () => {
  const scope = scopeOf(`
    web    GET /cart   0..90ms  server
      web  GET         5..85ms  client error http.response.status_code=404
        cart GET /x   10..80ms  server http.response.status_code=404`);
  expect(nodeOf(scope, "cart")).toMatchObject({ calls_in: 1, error_rate: 0 });
  expect(edgeOf(scope, "web", "cart")).toMatchObject({ errors: 0 });
});

test("D14: a caller that gave up waiting is an error of the edge, not of the callee", () => {
  const scope = scopeOf(`
    web    GET /cart   0..90ms   server
      web  GET         5..50ms   client error error.type=timeout
        cart GET /x   10..300ms  server http.response.status_code=200`);
  expect(nodeOf(scope, "cart")).toMatchObject({ error_rate: 0 });
  expect(edgeOf(scope, "web", "cart")).toMatchObject({ errors: 1, client_p99_ms: 45, server_p99_ms: 290 });
  expect(scope.red.service("cart")?.timeouts).toBe(1);
});

test("D15, T12: a broker's destinations are nodes of their own", () => {
  const scope = scopeOf(`
    shop    send  0..5ms   producer trace=1 messaging.system=kafka messaging.destination.name=orders
    shop    send  0..5ms   producer trace=2 messaging.system=kafka messaging.destination.name=bills`);
  expect(graphJson(scope).nodes.map(({ service, kind }) => [service, kind])).toEqual([
    ["kafka:bills", "messaging"],
    ["kafka:orders", "messaging"],
    ["shop", "service"],
  ]);
});

test("T12: two servers with a database of the same name are two nodes", () => {
  expect(
    edgesOf(`
      web    GET /    0..90ms  server
        web  SELECT   5..15ms  client db.system=postgresql db.name=orders server.address=db1
        web  SELECT  20..30ms  client db.system=postgresql db.name=orders server.address=db2`),
  ).toEqual(["web -> orders@db1: 1 inferred", "web -> orders@db2: 1 inferred"]);
});

test("D16, T17: a sampled trace counts for those that it stands for", () => {
  const scope = scopeOf(`
    web    GET /cart   0..90ms  server error trace=1 tracestate=ot=th:f
      cart GET /items 10..80ms  server error
    web    GET /cart   0..90ms  server trace=2
      cart GET /items 10..80ms  server`);
  expect(nodeOf(scope, "web")).toMatchObject({ calls_in: 17, error_rate: 16 / 17 });
  expect(edgeOf(scope, "web", "cart")).toMatchObject({ calls: 17, errors: 16 });
});

test("D18: a service that was given no name is a node all the same", () => {
  const scope = scopeOf(`
    web    GET /   0..90ms  server
      -    work   10..80ms  server`);
  expect(graphJson(scope).edges.map(picture)).toEqual(["web -> unknown_service: 1 sync"]);
});

test("T15: spans without their root are requests of their service", () => {
  const scope = scopeOf(`
    cart   GET /items 10..80ms  server parent=99
      cart SELECT     20..70ms  client db.system=postgresql db.name=orders`);
  expect(nodeOf(scope, "cart")).toMatchObject({ calls_in: 1, inferred: false });
  expect(graphJson(scope).edges.map(picture)).toEqual(["cart -> orders: 1 inferred"]);
});

test("T16: a node with two callers keeps both; a system of one service is one node", () => {
  expect(
    edgesOf(`
      web    GET /   0..90ms  server
        cart GET     5..40ms  server
          db query  10..20ms  server
        user GET    50..80ms  server
          db query  60..70ms  server`),
  ).toEqual(["cart -> db: 1 sync", "user -> db: 1 sync", "web -> cart: 1 sync", "web -> user: 1 sync"]);
  const alone = graphJson(scopeOf("web  GET /  0..90ms  server"));
  expect([alone.nodes.map(({ service }) => service), alone.edges]).toEqual([["web"], []]);
});

test("calls inside one service make no edge", () => {
  expect(
    edgesOf(`
      web    GET /  0..90ms  server
        web  GET    5..80ms  client
          web GET  10..70ms  server`),
  ).toEqual([]);
});

test("a call to the address of a known service is an inferred edge to it, beside the paired ones", () => {
  expect(
    edgesOf(`
      web    GET /   0..90ms  server trace=1
        web  GET     5..40ms  client server.address=cart-host
          cart GET  10..30ms  server host=cart-host
      web    GET /   0..90ms  server trace=2
        web  GET     5..40ms  client error server.address=cart-host`),
  ).toEqual(["web -> cart: 1 inferred, 1 failed", "web -> cart: 1 sync"]);
});

test("edges are in the order of their first call, callees of a caller each once", () => {
  const { graph, red } = scopeOf(`
    web    GET /   0..90ms  server
      user GET     5..10ms  server
      cart GET    20..30ms  server
      auth GET    20..30ms  server
      user GET    40..50ms  server`);
  expect(graph.dependencies(red.servicesByStart)).toEqual(
    new Map([
      ["web", ["user", "auth", "cart"]],
      ["user", []],
      ["auth", []],
      ["cart", []],
    ]),
  );
});

test("D17: minutes add up to the whole, and a span without times is in no minute but in the whole", () => {
  const rollup = rollupOf(`
    web    GET /    0..1s     server trace=1
      cart GET     10..80ms   server
    web    GET /   65..66s    server trace=2
      cart GET     65.1..65.2s server
    web    GET /   ..         server trace=3
      cart GET     ..         server`);
  const minute = (n: number) => ({ from: time(n * 60), to: time(n * 60 + 59) });
  const callsIn = (window: { from: UnixNanos; to: UnixNanos } | null): readonly string[] =>
    graphJson(rollup.scope(window)).edges.map(picture);
  expect([callsIn(minute(0)), callsIn(minute(1)), callsIn(minute(2))]).toEqual([
    ["web -> cart: 1 sync"],
    ["web -> cart: 1 sync"],
    [],
  ]);
  expect(callsIn(null)).toEqual(["web -> cart: 3 sync"]);
});

test("D19: a graph of nothing but peers without spans has edges", () => {
  expect(edgesOf("web  SELECT  0..9ms  client db.system=mysql db.name=orders")).toEqual([
    "web -> orders: 1 inferred",
  ]);
});

function time(seconds: number): UnixNanos {
  return (notationStart + BigInt(seconds) * 1_000_000_000n) as UnixNanos;
}
