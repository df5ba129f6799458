import { expect, test } from "vitest";
import { servicesJson } from "../../src/analysis/services-json.ts";
import { RedRollup } from "../../src/metrics/red-metrics.ts";
import type { TraceId } from "../../src/model/ids.ts";
import {
  operationsPerMinuteMax,
  operationsPerServiceMax,
  overflowName,
  servicesMax,
} from "../../src/model/limits.ts";
import { ServiceDirectory } from "../../src/model/service-directory.ts";
import { minuteOf, minuteTimeOf, type UnixNanos } from "../../src/model/time.ts";
import type { Entry } from "../../src/trace/calls.ts";
import { notationStart } from "../notation.ts";
import { scopeOf } from "../scopes.ts";

test("requests are counted by service and operation, in minutes", () => {
  const [web] = servicesJson(
    scopeOf(`
      web GET /a    0..10ms       server trace=1
      web GET /a   20..50ms       server error trace=2
      web GET /b   61..61.5s      server trace=3`),
    "en",
  );
  expect(web).toMatchObject({ service: "web", requests: 3, errors: 1, p50_ms: 30, p99_ms: 500 });
  expect(web?.operations.map(({ operation, requests, errors }) => [operation, requests, errors])).toEqual([
    ["GET /a", 2, 1],
    ["GET /b", 1, 0],
  ]);
  expect(web?.minutes).toEqual([
    { start: "2024-01-01T00:00:00.000000000Z", requests: 2, errors: 1, p99_ms: 30 },
    { start: "2024-01-01T00:01:00.000000000Z", requests: 1, errors: 0, p99_ms: 500 },
  ]);
});

test("only entry spans are requests: local work and calls to others are not", () => {
  const { red } = scopeOf(`
    web    GET /    0..90ms  server
      web  render   1..2ms   internal
      web  GET      5..80ms  client
        cart GET   10..70ms  server
          cart sum 11..12ms  internal`);
  expect(["web", "cart"].map((name) => red.service(name)?.cell.requests)).toEqual([1, 1]);
});

test("an unfinished request counts, but not in latencies", () => {
  const cell = scopeOf("web GET / 0.. server").red.service("web")?.cell;
  expect([cell?.requests, cell?.latency.quantile(0.5)]).toEqual([1, null]);
});

test("a peer without spans has the figures of its callers; with spans of its own they win", () => {
  const peer = `
    web    GET /   0..90ms  server trace=1
      web  GET     5..80ms  client error peer.service=pay`;
  expect(scopeOf(peer).red.service("pay")).toMatchObject({
    isInferred: true,
    cell: { requests: 1, failed: 1 },
  });
  const own = `
    pay  POST /   10..20ms  server trace=2`;
  expect(scopeOf(peer, own).red.service("pay")).toMatchObject({
    isInferred: false,
    kind: "service",
    cell: { requests: 1, failed: 0 },
  });
});

test("timeouts and rate-limit answers are counted as callers see them", () => {
  const scope = scopeOf(`
    web    GET /   0..90ms  server
      web  GET     1..10ms  client error peer.service=pay error.type=timeout
      web  GET    11..20ms  client error peer.service=pay http.response.status_code=429
      web  GET    21..30ms  client peer.service=pay`);
  expect(scope.red.service("pay")).toMatchObject({ timeouts: 1, rateLimitHits: 1, unreachable: null });
});

test("a service that no call reached says why, with the most frequent message", () => {
  const call = (trace: number, message: string): string => `
    web    GET /   0..90ms  server trace=${trace}
      web  GET     1..10ms  client error peer.service=pay error.type=ECONNREFUSED status="${message}"`;
  const refused = [1, 2].map((trace) => call(trace, "connect ECONNREFUSED")).join("");
  const scope = scopeOf(refused + call(3, "getaddrinfo ENOTFOUND"));
  expect(scope.red.service("pay")?.unreachable).toBe("connect ECONNREFUSED");
});

test("span names without end fill one overflow operation, not the memory (T22)", () => {
  const lines = Array.from(
    { length: operationsPerServiceMax + 100 },
    (_, i) => `web work-${i} 0..1ms server trace=${i + 1}`,
  );
  const web = scopeOf(lines.join("\n")).red.service("web");
  expect([web?.operations.size, web?.operations.get(overflowName)?.requests]).toEqual([
    operationsPerServiceMax + 1,
    100,
  ]);
});

test("operations of many services share a room too, and what went into the overflow is found there again", () => {
  const entries = Array.from({ length: operationsPerMinuteMax + 5_000 }, (_, i) =>
    entryOf(`s${i % 100}`, `GET/${i}`),
  );
  const noCalls = { traceId: "0".repeat(32) as TraceId, calls: [], openLinks: [] };
  const rollup = new RedRollup(servicesMax);
  rollup.add({ entries, ...noCalls });
  const services = () => {
    const window = rollup.window(null, null, new ServiceDirectory());
    return window.services.map((name) => window.service(name)!);
  };
  const operations = services().reduce((sum, service) => sum + service.operations.size, 0);
  expect(operations).toBeLessThanOrEqual(operationsPerMinuteMax + 100);
  expect(services().reduce((sum, service) => sum + service.cell.requests, 0)).toBe(entries.length);
  rollup.remove({ entries, ...noCalls });
  expect(services()).toEqual([]);
});

test("services are in the order of their first start, then by name", () => {
  expect(
    scopeOf(`
      z  a  5..90ms  server trace=1
      b  a  1..90ms  server trace=2
      a  a  5..90ms  server trace=3`).red.servicesByStart,
  ).toEqual(["b", "a", "z"]);
});

test("a minute begins with its first nanosecond and ends with its last", () => {
  const start = 1_704_067_200_000_000_000n;
  const minute = 28_401_120;
  expect(
    [start - 1n, start, start + 59_999_999_999n, start + 60_000_000_000n].map((time) =>
      minuteOf(time as UnixNanos),
    ),
  ).toEqual([minute - 1, minute, minute, minute + 1]);
});

function entryOf(service: string, operation: string): Entry {
  const startTime = minuteTimeOf(notationStart as UnixNanos);
  const figures = { durationNanos: 1e6, failed: false, weight: 1, span: 0, startTime };
  const calls = { unreachable: null, timedOut: false, rateLimited: false };
  return { service, operation, nodeKind: "service", isInferred: false, ...figures, ...calls };
}
