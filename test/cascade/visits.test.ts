import { expect, test } from "vitest";
import { visitsOf } from "../../src/cascade/visits.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { traceOf } from "../notation.ts";

/** -0 is no time either. */
const ms = (nanos: number | null): number | null => (nanos === null ? null : nanos / 1_000_000 + 0);

/** `service operation: own ms [what it did]` of each visit, and `caller -> callee kind: ms (request ms)` of each call. */
function pictures(text: string): { readonly visits: readonly string[]; readonly calls: readonly string[] } {
  const trace = traceOf(text);
  const { visits, calls } = visitsOf(trace, callsOf(trace));
  const step = ({ kind, callee, operation }: (typeof visits)[number]["steps"][number]): string =>
    kind === "step" ? operation : `${kind} ${callee}|${operation}`;
  return {
    visits: visits.map(
      ({ service, operation, ownNanos, steps }) =>
        `${service} ${operation}: ${ms(ownNanos)} [${[...steps]
          .sort((a, b) => a.start - b.start)
          .map(step)
          .join(", ")}]`,
    ),
    calls: calls.map(
      ({ kind, callerVisit, callee, nanos, requestNanos }) =>
        `${visits[callerVisit]?.service} -> ${callee} ${kind}: ${ms(nanos)} (${ms(requestNanos)})`,
    ),
  };
}

test("time in a call is not the caller's, and what the call loses has a way there and a way back", () => {
  expect(
    pictures(`
web    GET /cart   0..100ms
  web  validate    2..10ms
  web  call       12..60ms
    cart GET /items 15..50ms
      cart read    18..40ms
  web  render     70..95ms`),
  ).toEqual({
    visits: ["web GET /cart: 52 [validate, call cart|GET /items, render]", "cart GET /items: 35 [read]"],
    calls: ["web -> cart call: 13 (3)"],
  });
});

test("of calls side by side the time is counted once, and none is measured", () => {
  expect(
    pictures(`
web    GET /     0..100ms
  web  local    10..80ms
    a  A        12..40ms
    b  B        20..78ms`),
  ).toEqual({
    visits: ["web GET /: 34 [call a|A, call b|B]", "a A: 28 []", "b B: 58 []"],
    calls: ["web -> a call: null (null)", "web -> b call: null (null)"],
  });
});

test("where no kinds are known, a span that only calls is the call; a server is none", () => {
  expect(pictures("web GET / 0..100ms\n  a A 5..90ms")).toEqual({
    visits: ["web GET /: 0 [call a|A]", "a A: 85 []"],
    calls: ["web -> a call: 15 (5)"],
  });
  expect(pictures("web GET / 0..100ms server\n  a A 5..90ms server")).toEqual({
    visits: ["web GET /: 15 [call a|A]", "a A: 85 []"],
    calls: ["web -> a call: null (null)"],
  });
});

test("clocks that run apart are read as they were sent", () => {
  const { calls } = pictures(`
web    GET /     0..100ms server host=h1
  web  GET      10..60ms  client
    a  A      1013..1050ms server host=h2`);
  expect(calls).toEqual(["web -> a call: 13 (1003)"]);
});

test("a database without spans is a callee, and its time is not the caller's", () => {
  expect(
    pictures(`
web    GET /     0..100ms server
  web  SELECT   10..60ms  client db.system=mysql db.name=orders`),
  ).toEqual({
    visits: ["web GET /: 50 [peer orders|SELECT]"],
    calls: ["web -> orders peer: 50 (null)"],
  });
});

test("a sender waits for the broker, and nobody for who works on the message", () => {
  expect(
    pictures(`
web    POST /    0..100ms server
  web  send     10..12ms  producer messaging.system=kafka messaging.destination.name=orders
    mail work  500..900ms consumer messaging.system=kafka messaging.destination.name=orders`),
  ).toEqual({
    visits: ["web POST /: 98 [peer kafka:orders|send, message mail|work]", "mail work: 400 []"],
    calls: ["web -> mail message: 490 (null)", "web -> kafka:orders peer: 2 (null)"],
  });
});

test("a visit's own time and what it waited for add up to its duration, and each call knows what was waited for it alone", () => {
  const trace = traceOf(`
web   GET / 0..100ms
  a   A    10..40ms
  b   B    30..70ms
  c   C    45..60ms
  d   D    80..100ms`);
  const { visits, calls } = visitsOf(trace, callsOf(trace));
  expect(
    calls.map(({ callee, waitedNanos, aloneNanos }) => [callee, ms(waitedNanos), ms(aloneNanos)]),
  ).toEqual([
    ["a", 20, 20],
    ["b", 40, 10],
    ["c", 0, 0],
    ["d", 20, 20],
  ]);
  expect(ms(visits[0]?.ownNanos ?? null)).toBe(20);
});
