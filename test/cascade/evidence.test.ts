import { expect, test } from "vitest";
import { type TraceEvidence, traceEvidence, usualDurationIn } from "../../src/cascade/trace-evidence.ts";
import { failureOrigins } from "../../src/trace/error-origin.ts";
import { tracesOf } from "../notation.ts";
import { scopeOf } from "../scopes.ts";

/** What the first trace of a text shows, with all of the text as scope. */
function evidenceOf(text: string): TraceEvidence {
  const { red, directory } = scopeOf(text);
  const [trace] = tracesOf(text, directory);
  return traceEvidence(trace!, failureOrigins(trace!, usualDurationIn(red)), red);
}

/** Candidates as `service kind score`. */
function candidatesOf(text: string): readonly string[] {
  return evidenceOf(text).candidates.map(
    ({ service, kind, score }) => `${service} ${kind} ${score.toFixed(2)}`,
  );
}

/** Twenty-five good requests of the shop, to know what is usual. */
const usual = Array.from(
  { length: 25 },
  (_, i) => `
  web    GET /cart   0..90ms  server trace=${i + 100}
    web  GET         5..85ms  client
      cart GET /items 10..80ms server`,
).join("");

test("failures side by side share the blame", () => {
  expect(
    candidatesOf(`
      web    GET /   0..90ms  server error
        a    GET     5..80ms  server error
        b    GET     5..79ms  server error`),
  ).toEqual(["a error 0.50", "b error 0.50"]);
});

test("a failure that a retry made good never outranks a visible one", () => {
  const [first, second] = candidatesOf(`
      web     GET /   0..90ms   server error
        cart  GET     1..20ms   server
          cart GET    2..5ms    client error peer.service=flaky http.response.status_code=503
          cart GET    6..19ms   client peer.service=flaky
        web   GET    21..80ms   client error peer.service=broken http.response.status_code=500`);
  expect([first, second]).toEqual(["broken error 0.94", "flaky error 0.06"]);
});

test("scores of the candidates add up to one", () => {
  const { candidates } = evidenceOf(`
      web    GET /   0..90ms  server error
        a    GET     5..80ms  server error
        b    GET     5..79ms  server error
        web  GET     6..7ms   client error peer.service=c`);
  expect(candidates.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 12);
});

test("a slow request is compared with what is usual, and only what grew is blamed", () => {
  const slow = `
  web    GET /cart   0..990ms  server trace=1
    web  GET         5..985ms  client
      cart GET /items 10..980ms server`;
  const { candidates, usualRootNanos } = evidenceOf(slow + usual);
  expect(usualRootNanos).toBe(90_000_000);
  expect(candidates.map(({ service, kind }) => [service, kind])[0]).toEqual(["cart", "latency"]);
});

test("a request that takes what it always takes has no candidate", () => {
  const { candidates, confidence } = evidenceOf(usual);
  expect([candidates, confidence]).toEqual([[], null]);
});

test("one trace alone is never certain; a scope that shows the same makes it surer", () => {
  const failed = (trace: number): string => `
  web    GET /cart   0..90ms   server error trace=${trace}
    cart GET /items  5..80ms   server error`;
  expect(evidenceOf(failed(1)).confidence).toBe(0.6);
  const often = Array.from({ length: 30 }, (_, i) => failed(i + 1)).join("");
  expect(evidenceOf(often).confidence).toBe(0.9);
});

test("missing spans speak against, and lower confidence", () => {
  const { candidates, confidence } = evidenceOf(`
      web    GET /   0..90ms  server error
        cart GET     5..80ms  server error
      mail   POST   10..20ms  server parent=99`);
  expect(candidates[0]?.evidence.map(({ kind }) => kind)).toContain("incomplete_trace");
  expect(confidence).toBeLessThan(0.6);
});

test("the way of a failure is told from its origin up", () => {
  const { propagation } = evidenceOf(`
      web      GET /      0..900ms  server error
        web    GET        1..890ms  client error error.type=timeout
          cart GET       10..2000ms server
            db  query    20..1900ms server`);
  expect(propagation.map(({ caller, callee, mechanism }) => [caller, callee, mechanism])).toEqual([
    ["cart", "db", "slow"],
    ["web", "cart", "timeout"],
  ]);
});

test("where no kinds are marked, local work that only has another service work is the call to it", () => {
  expect(
    candidatesOf(`
      web      GET /   0..90ms
        web    fetch   1..89ms
          cart GET    40..45ms`)[0],
  ).toBe("cart network 1.00");
});
