import { expect, test } from "vitest";
import { analyzeWindow, WindowRollup } from "../../src/analysis/analyze-window.ts";
import { tableOf } from "../notation.ts";
import { rawTracesOf } from "../scopes.ts";
import { causeOf, evidenceOf, times } from "./evidence-of.ts";

const refused = `
  web   GET /    0..10ms  server error
    web GET      5..9ms   client error error.type=ECONNREFUSED peer.service=cart`;
const shopGets = `
  shop     GET /s     0..50ms  server
    shop   GET        1..40ms  client
      cart GET /items 2..39ms  server`;
const shopReaches = times(30, shopGets, 400);
const shopDoesNot = times(
  30,
  `
  shop     GET /s     0..50ms  server error
    shop   GET        1..40ms  client error error.type=ECONNREFUSED peer.service=cart`,
  500,
);

/** The fact that tells who else reaches whom, as `reached by, unreached by, also unreached`. */
function reachOf(text: string): readonly number[] {
  const fact = evidenceOf(text).candidates[0]?.evidence.find(({ kind }) => kind === "reach");
  return fact?.kind === "reach" ? [fact.reachedBy, fact.unreachedBy, fact.alsoUnreached] : [];
}

test("a callee that others cannot reach either is down", () => {
  const text = `${refused}\n${times(10, refused, 200)}${shopDoesNot}`;
  expect([causeOf(text), reachOf(text)]).toEqual(["cart unreachable", [0, 1, 0]]);
});

test("a caller that alone does not reach what others do has lost its way", () => {
  const text = `${refused}\n${times(10, refused, 200)}${shopReaches}`;
  expect([causeOf(text), reachOf(text)]).toEqual(["web network", [1, 0, 0]]);
});

test("one connection that did not come about among many that did says nothing of its caller", () => {
  const fine = `
  web      GET /      0..50ms  server
    web    GET        1..40ms  client
      cart GET /items 2..39ms  server`;
  expect(causeOf(`${refused}\n${times(40, fine, 300)}${shopReaches}`)).toBe("cart unreachable");
});

test("a caller that does not get through every fourth time, where others always do, has lost its way too", () => {
  const fine = `
  web      GET /      0..50ms  server
    web    GET        1..40ms  client
      cart GET /items 2..39ms  server`;
  const text = `${refused}\n${times(9, refused, 200)}${times(30, fine, 300)}${shopReaches}`;
  expect(causeOf(text)).toBe("web network");
});

test("a caller that reaches neither of two callees has lost its way, unless others do not reach them", () => {
  const both = `
  web   GET /  0..10ms  server error
    web GET    1..2ms   client error error.type=ENOTFOUND peer.service=user
    web GET    3..9ms   client error error.type=ENOTFOUND peer.service=cart\n`;
  expect([causeOf(both), reachOf(both)]).toEqual(["web network", [0, 0, 1]]);
  expect(causeOf(both + shopDoesNot)).toBe("cart unreachable");
});

test("with nobody to compare with, the callee is named", () => {
  expect([causeOf(refused), reachOf(refused)]).toEqual(["cart unreachable", []]);
});

test("around the request counts too, but not the ordinary errors of a peer without spans", () => {
  const userUnreached = times(
    10,
    `
  web   GET /    0..10ms  server error
    web GET      5..9ms   client error error.type=ENOTFOUND peer.service=user`,
    600,
  );
  const userAnswers = times(
    30,
    `
  shop     GET /u  0..50ms  server
    shop   GET     1..40ms  client
      user GET /u  2..39ms  server`,
    700,
  );
  expect(causeOf(`${refused}\n${userUnreached}${userAnswers}`)).toBe("web network");
  const paymentErrors = userUnreached.replaceAll("error.type=ENOTFOUND", "http.response.status_code=500");
  expect(causeOf(`${refused}\n${paymentErrors}`)).toBe("cart unreachable");
});

test("a name that cannot be looked up is the caller's trouble, unless others do not reach the callee either", () => {
  const unknown = refused.replace("ECONNREFUSED", "ENOTFOUND");
  expect(causeOf(`${unknown}\n${times(10, unknown, 200)}`)).toBe("web network");
  expect(causeOf(`${unknown}\n${times(10, unknown, 200)}${shopDoesNot}`)).toBe("cart unreachable");
});

/** What all requests of a text together say, as `service kind`. */
function windowCauseOf(text: string): string {
  const table = tableOf(text);
  const rollup = new WindowRollup();
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  const [first] = analyzeWindow(rollup.window(), null, { language: "en" }).root_cause_candidates;
  return `${first?.service} ${first?.kind}`;
}

test.each([
  ["nobody else calls the callee", refused, "", "cart unreachable"],
  ["others reach it", refused, shopReaches, "web network"],
  ["only two calls of others reach it", refused, times(2, shopGets, 400), "cart unreachable"],
  ["its name cannot be looked up", refused.replace("ECONNREFUSED", "ENOTFOUND"), "", "web network"],
])("a window and one trace of it name the same where %s", (_, request, others, cause) => {
  const text = `${request}\n${times(20, request, 200)}${others}`;
  expect([causeOf(text), windowCauseOf(text)]).toEqual([cause, cause]);
});
