import * as fc from "fast-check";
import { expect, test } from "vitest";
import { latencySideOf } from "../../src/cascade/latency-series.ts";
import { latencySignal } from "../../src/cascade/latency-signal.ts";
import { requestsByTrace, thinnedAlike } from "../../src/cascade/thinned-alike.ts";
import { VisitRollup, type VisitSums } from "../../src/cascade/visit-rollup.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { directoryOf, tableOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { rawTracesOf } from "../scopes.ts";
import { tracesText } from "../visit-sums.ts";

const directory = directoryOf([]);
const joinsLogs = false;

/** One request in `every` is of a small system beside a busy one, which does the same all the time. */
const traffic =
  (every: number, mailMs = 20) =>
  (i: number): string =>
    i % every === 0
      ? `mail POST /send 0..${mailMs + 10 + (i % 3)}ms TRACE\n  disk write 5..${mailMs + 5 + (i % 5)}ms`
      : `web GET /${i % 3} 0..50ms TRACE\n  cart GET /items 5..${40 + (i % 7)}ms`;

function tracesOf(count: number, lines: (i: number) => string): readonly Trace[] {
  return rawTracesOf([tableOf(tracesText(count, lines))]);
}

function rollupOf(traces: readonly Trace[], capacity: number): VisitRollup {
  const rollup = new VisitRollup({ joinsLogs, capacity });
  for (const trace of traces) rollup.add(trace, callsOf(trace));
  return rollup;
}

function entriesOf({ visits, operations }: VisitSums): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [row, parent] of visits.parent.entries()) {
    const { service = "" } = operations[visits.operation[row] as number] ?? {};
    if (parent < 0) counts[service] = (counts[service] ?? 0) + 1;
  }
  return counts;
}

test("a small system beside a busy one keeps all its rows, and the busy one has the room that is left", () => {
  const sums = rollupOf(tracesOf(2_000, traffic(40)), 400).read(directory);
  expect(entriesOf(sums)).toMatchObject({ mail: 50 });
  expect(sums.visits.trace.length).toBeLessThanOrEqual(400);
  expect(entriesOf(sums)["web"]).toBeGreaterThan(60);
  // what was left out is told by the others
  const told = requestsByTrace(sums).reduce((sum, requests) => sum + requests, 0);
  expect(told / 2_000).toBeCloseTo(1, 0);
  expect(sums.traceIds.length + sums.omittedTraces).toBe(2_000);
});

test("which traces stay does not depend on their order, nor on what is added where", () => {
  const traces = tracesOf(600, traffic(15));
  const { visitOfSpan: _, ...expected } = rollupOf(traces, 200).read(directory);
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...traces], { minLength: traces.length }),
      fc.integer({ min: 0, max: traces.length }),
      (shuffled, cut) => {
        const kept = rollupOf(shuffled, 200).read(directory);
        expect([kept.traceIds, kept.levels]).toEqual([expected.traceIds, expected.levels]);
        const parts = [shuffled.slice(0, cut), shuffled.slice(cut)];
        const whole = VisitRollup.readAll(
          parts.map((part) => rollupOf(part, Number.POSITIVE_INFINITY)),
          directory,
          { joinsLogs, capacity: 200 },
        );
        expect([whole.traceIds, whole.levels]).toEqual([expected.traceIds, expected.levels]);
      },
    ),
    { numRuns: runs(20) },
  );
});

test("of more kinds of requests than there is room for, some traces stay", () => {
  const traces = tracesOf(900, (i) => `web GET /${i} 0..9ms TRACE\n  cart GET 1..8ms\n    user GET 2..7ms`);
  const sums = rollupOf(traces, 300).read(directory);
  expect(sums.visits.trace.length).toBeLessThanOrEqual(300);
  expect(sums.visits.trace.length).toBeGreaterThan(100);
});

test("windows that were thinned differently are thinned alike, and those of which nothing is missing stay as they are", () => {
  const before = rollupOf(tracesOf(3_000, traffic(30)), 300).read(directory);
  const after = rollupOf(tracesOf(500, traffic(20)), 300).read(directory);
  const [was, is] = thinnedAlike(before, after);
  const groups = new Set([...was.traceGroups, ...is.traceGroups]);
  const apart = [...groups].map((group) => (was.levels[group] ?? 0) - (is.levels[group] ?? 0));
  expect(new Set(apart).size).toBe(1);
  for (const sums of [was, is]) {
    expect(Math.max(...sums.visits.trace)).toBe(sums.traceIds.length - 1);
    for (const [row, parent] of sums.visits.parent.entries())
      expect(parent < 0 || sums.visits.trace[parent] === sums.visits.trace[row]).toBe(true);
    for (const [row, caller] of sums.calls.callerVisit.entries())
      expect(sums.visits.parent[sums.calls.calleeVisit[row] ?? -1]).toBe(caller);
  }
  expect(entriesOf(is)["mail"]).toBeGreaterThan(10);
  const whole = rollupOf(tracesOf(100, traffic(20)), 1_000).read(directory);
  expect(thinnedAlike(whole, whole)[0]).toBe(whole);
});

test("what a small system lost counts by its part of all requests, however many others were left out", () => {
  const strengthAt = (capacity: number): number => {
    const [before, after] = thinnedAlike(
      rollupOf(tracesOf(2_000, traffic(20)), capacity).read(directory),
      rollupOf(tracesOf(2_000, traffic(20, 60)), capacity).read(directory),
    );
    const options = { withFailed: true, byEntry: false };
    const { findings } = latencySignal(latencySideOf(before, options), latencySideOf(after, options));
    expect([...findings.keys()]).toEqual(["disk"]);
    return findings.get("disk")?.strength ?? 0;
  };
  const all = strengthAt(Number.POSITIVE_INFINITY);
  expect(strengthAt(600) / all).toBeGreaterThan(0.8);
  expect(strengthAt(600) / all).toBeLessThan(1.25);
});
