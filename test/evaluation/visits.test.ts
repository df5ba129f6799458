import { expect, test } from "vitest";
import type { Visit } from "../../src/evaluation/visits.ts";
import { sideOf } from "./figures.ts";

/** `service own+gap, in ms` of each visit by start, with who called it and what began there. */
function pictures(text: string): readonly string[] {
  const [trace] = sideOf(text).traces;
  const visits = trace?.visits ?? [];
  return [...visits]
    .sort((a, b) => a.start - b.start)
    .map(({ service, own, gap, caller, failed, errorOrigins }: Visit) => {
      const from = visits[caller]?.service ?? "outside";
      const errors = `${failed ? " failed" : ""}${errorOrigins > 0 ? `, ${errorOrigins} began` : ""}`;
      return `${from} > ${service} ${own / 1e6}+${gap / 1e6}${errors}`;
    });
}

test("the time between caller and callee is told of the callee, the rest of the wait of nobody", () => {
  expect(
    pictures(`
      web      GET /cart    0..100ms server
        web    GET         10..90ms  client
          cart GET /items  15..85ms  server
            cart work      20..50ms  internal`),
  ).toEqual(["outside > web 20+0", "web > cart 70+10"]);
});

test("a peer without spans of its own is visited by the call to it", () => {
  expect(
    pictures(`
      web    GET /cart 0..100ms  server error
        web  SELECT   20..70ms   client error db.system.name=mysql db.namespace=orders`),
  ).toEqual(["outside > web 50+0 failed", "web > orders 50+0 failed, 1 began"]);
});

test("where kinds are unknown, a span with nothing but one remote child is the call to it", () => {
  expect(
    pictures(`
      web      GET /cart    0..100ms
        web    GET         10..90ms
          cart GET /items  20..80ms`),
  ).toEqual(["outside > web 20+0", "web > cart 60+20"]);
});

test("a server that calls without client spans keeps its own time, whoever it calls", () => {
  expect(
    pictures(`
      web      GET /cart    0..100ms server
        cart   GET /items  20..80ms  server`),
  ).toEqual(["outside > web 40+0", "web > cart 60+0"]);
});

test("an error that is only passed on began below", () => {
  expect(
    pictures(`
      web      GET /cart    0..100ms server error
        web    GET         10..90ms  client error
          cart GET /items  20..80ms  server error
            cart parse     30..40ms  internal error`),
  ).toEqual(["outside > web 20+0 failed", "web > cart 60+20 failed, 1 began"]);
});

test("traces that start together come by their ids", () => {
  const { traces } = sideOf("web GET / 0..10ms server trace=2\nweb GET / 0..10ms server trace=1");
  expect(traces.map(({ traceId }) => traceId.at(-1))).toEqual(["1", "2"]);
});
