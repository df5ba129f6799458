import { expect, test } from "vitest";
import { structureSignal } from "../../src/cascade/structure-signal.ts";
import { tracesText, visitSumsOf } from "../visit-sums.ts";

/** `service: strength` by name; one trace is what `lines` says. */
function strengthsOf(before: Window, after: Window): Readonly<Record<string, number>> {
  const [was, is] = [before, after].map(([count, lines]) => visitSumsOf(tracesText(count, lines)));
  const { findings } = structureSignal(was!, is!, { withStatus: true, blamed: new Set<string>() });
  return Object.fromEntries(
    [...findings].map(([service, { strength }]) => [service, Number(strength.toFixed(4))]),
  );
}

type Window = readonly [traces: number, lines: (i: number) => string];

const step = (name: string, isThere: boolean): string => (isThere ? `\n    cart ${name} 15..18ms` : "");

const request =
  (hasStep: (i: number) => boolean, name = "load price") =>
  (i: number): string =>
    `
web    GET /cart    0..90ms TRACE
  cart GET /items  10..80ms${step(name, hasStep(i))}`;

const always = (): boolean => true;
const never = (): boolean => false;

test("a step that all visits made and most now lack speaks for its service", () => {
  expect(strengthsOf([20, request(always)], [10, request((i) => i < 2)])).toEqual({ cart: 21.5075 });
});

test("of visits that call each other, the lowest one with a new error step is blamed", () => {
  const failing = (i: number): string =>
    i < 6
      ? `
web    GET /cart    0..90ms TRACE
  web  onError     82..85ms
  cart GET /items  10..80ms
    cart handleException 15..18ms`
      : request(never)(i);
  expect(strengthsOf([20, request(never)], [10, failing])).toEqual({ cart: 14.0113 });
});

test.each<readonly [Window, Window, Readonly<Record<string, number>>]>([
  [[20, request((i) => i % 2 === 0)], [20, request((i) => i < 2)], {}],
  [[40, request((i) => i % 2 === 0)], [40, request((i) => i < 2)], {}],
  [[60, request((i) => i % 2 === 0)], [60, request((i) => i < 3)], { cart: expect.any(Number) as number }],
])("a branch that only some visits took must become much rarer", (before, after, strengths) => {
  expect(strengthsOf(before, after)).toEqual(strengths);
});

/** `caller` calls pay and then some others in this order, or only pay. */
const order =
  (callers: readonly string[], isWhole: (i: number) => boolean, others = ["mail", "ship"]) =>
  (i: number): string => {
    const caller = callers[i % callers.length];
    const rest = others.map((other, at) => `\n  ${other} do ${40 + at * 10}..${48 + at * 10}ms`).join("");
    return `\n${caller} POST /order 0..90ms TRACE\n  pay charge 10..30ms${isWhole(i) ? rest : ""}`;
  };

test("visits that stop after one call: caller and callee share, and two callers make it the callee", () => {
  const one = strengthsOf([20, order(["web"], always)], [10, order(["web"], (i) => i < 2)]);
  expect(one).toEqual({ web: 10.7538, pay: 10.7538 });
  const two = strengthsOf([40, order(["app", "web"], always)], [20, order(["app", "web"], (i) => i < 4)]);
  expect(Object.keys(two)).toEqual(["pay"]);
});

test("one thing that is left undone is rather the caller's doing, a whole rest of the work rather the callee's", () => {
  const leftUndone = (others: readonly string[]): Readonly<Record<string, number>> => {
    const orders = (isWhole: (i: number) => boolean) => order(["web"], isWhole, [...others]);
    return strengthsOf([20, orders(always)], [10, orders((i) => i < 2)]);
  };
  expect(leftUndone(["mail"])).toEqual({ web: 14.3384, pay: 7.1692 });
  expect(leftUndone(["mail", "ship", "bill", "note"])).toEqual({ web: 7.1692, pay: 14.3384 });
});

test("a message that is sent and no longer worked on is its consumer's", () => {
  const message =
    (isConsumed: (i: number) => boolean) =>
    (i: number): string =>
      `
web    POST /      0..100ms server TRACE
  web  send       10..12ms  producer messaging.system=kafka messaging.destination.name=orders${
    isConsumed(i)
      ? "\n    mail work  500..900ms consumer messaging.system=kafka messaging.destination.name=orders"
      : ""
  }`;
  expect(Object.keys(strengthsOf([20, message(always)], [20, message((i) => i < 2)]))).toEqual(["mail"]);
});

test("calls to a service that no span answers any more are that service's", () => {
  const call =
    (isAnswered: (i: number) => boolean) =>
    (i: number): string =>
      `
web    GET /       0..100ms server TRACE
  web  GET        10..90ms  client server.address=cart${isAnswered(i) ? "\n    cart GET /items 20..80ms server" : ""}`;
  expect(Object.keys(strengthsOf([20, call(always)], [20, call((i) => i < 4)]))).toEqual(["cart"]);
});
