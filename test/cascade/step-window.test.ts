import * as fc from "fast-check";
import { expect, test } from "vitest";
import { StepWindow } from "../../src/cascade/step-window.ts";
import { VisitRollup } from "../../src/cascade/visit-rollup.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { directoryOf, tableOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { rawTracesOf } from "../scopes.ts";
import { tracesText } from "../visit-sums.ts";

/** Nineteen of twenty requests come in at the web and have cart check them, each in its own way; the rest come by mail. */
const mixed = rawTracesOf([
  tableOf(
    tracesText(1_000, (i) =>
      i % 20 === 0
        ? "mail POST /send 0..50ms server TRACE\n  cart GET /items 5..40ms server"
        : `web GET /busy 0..50ms server TRACE\n  cart GET /items 5..40ms server\n    cart check 6..7ms internal\n    cart way${i % 7} 8..9ms internal`,
    ),
  ),
]);

test.each([
  ["with room for all", Number.POSITIVE_INFINITY],
  ["thinned", 300],
])("what requests do does not depend on the order in which they come, %s", (_, capacity) => {
  const expected = cartSteps([rollupOf(mixed, capacity)]);
  expect(expected?.steps).toHaveLength(8);
  const places = mixed.map((__, place) => place);
  fc.assert(
    fc.property(fc.shuffledSubarray(places, { minLength: places.length }), (order) => {
      const traces = order.map((place) => mixed[place] as Trace);
      expect(cartSteps([rollupOf(traces, capacity)])).toEqual(expected);
    }),
    { numRuns: runs(10) },
  );
});

test("several rollups say together what one of all traces says", () => {
  const expected = cartSteps([rollupOf(mixed)]);
  expect(expected?.visits).toBe(1_000);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: mixed.length }), (cut) => {
      const parts = [mixed.slice(0, cut), mixed.slice(cut)];
      expect(cartSteps(parts.map((part) => rollupOf(part)))).toEqual(expected);
    }),
    { numRuns: runs(10) },
  );
});

test("what was taken back does not show, also where it showed before", () => {
  const rollup = rollupOf(mixed);
  const whole = cartSteps([rollup]);
  for (const trace of mixed.slice(0, 400)) rollup.remove(trace);
  expect(cartSteps([rollup])).toEqual(cartSteps([rollupOf(mixed.slice(400))]));
  for (const trace of mixed.slice(0, 400)) rollup.add(trace, callsOf(trace));
  expect(cartSteps([rollup])).toEqual(whole);
});

test("where busy requests are thinned, shares are still those of all", () => {
  const rollup = rollupOf(mixed, 300);
  const looked = cartSteps([rollup]);
  const check = looked?.steps.find(({ step }) => step.operation === "check");
  // the fifty by mail are all there, so that of those that were looked at far fewer have it
  expect(looked?.visits).toBeLessThan(200);
  expect((check?.visits ?? 0) / (looked?.visits ?? 1)).toBeCloseTo(0.95, 1);
});

test("failed and refused requests, and traces that are not whole, are no example", () => {
  const [whole, failed, refused] = rawTracesOf([
    tableOf(`
      web GET / 0..9ms server trace=1
      web GET / 0..9ms server error trace=2
      web GET / 0..9ms server trace=3 http.response.status_code=404`),
  ]);
  const visits = (...traces: readonly Trace[]) => stepsOf([rollupOf(traces)], "web", "GET /")?.visits ?? 0;
  expect(visits(whole!)).toBe(1);
  expect(visits(failed!, refused!)).toBe(0);
  expect(visits({ ...whole!, omittedSpans: 1 })).toBe(0);
});

function rollupOf(traces: readonly Trace[], capacity = Number.POSITIVE_INFINITY): VisitRollup {
  const rollup = new VisitRollup({ joinsLogs: false, capacity });
  for (const trace of traces) rollup.add(trace, callsOf(trace));
  return rollup;
}

function stepsOf(rollups: readonly VisitRollup[], service: string, operation: string) {
  const read = () => rollups.map((rollup) => rollup.plainVisits());
  return new StepWindow(read, directoryOf([])).of(service, operation);
}

function cartSteps(rollups: readonly VisitRollup[]) {
  return stepsOf(rollups, "cart", "GET /items");
}
