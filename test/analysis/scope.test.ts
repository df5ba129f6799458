import * as fc from "fast-check";
import { expect, test } from "vitest";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { type Scope, ScopeRollup } from "../../src/analysis/scope.ts";
import { servicesJson } from "../../src/analysis/services-json.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { minuteOf, type UnixNanos } from "../../src/model/time.ts";
import { notationStart, tableOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { rawTracesOf, rollupOf } from "../scopes.ts";

const services = ["web", "cart", "db", "mail"];

/** One span of a random forest: its line in the notation. */
const span = fc.record({
  service: fc.constantFrom(...services),
  trace: fc.integer({ min: 1, max: 4 }),
  parent: fc.integer({ min: 0, max: 14 }),
  startMs: fc.integer({ min: 0, max: 130_000 }),
  durationMs: fc.integer({ min: 0, max: 900 }),
  words: fc.constantFrom(
    "server",
    "client",
    "server error",
    "client error peer.service=db",
    "client db.system=mysql db.name=orders",
    "producer messaging.system=kafka messaging.destination.name=q",
    "consumer link=1/3",
    "consumer link=2/5 messaging.system=kafka messaging.destination.name=q",
    "internal",
    "client error error.type=ECONNREFUSED server.address=cart",
    "server tracestate=ot=th:8",
    "server namespace=a",
    "server namespace=b host=cart",
  ),
});
const lines = fc
  .array(span, { minLength: 1, maxLength: 24 })
  .map((spans) =>
    spans.map(
      ({ service, trace, parent, startMs, durationMs, words }, i) =>
        `${service} op${i % 3} ${startMs}..${startMs + durationMs}ms ${words} id=${i + 1} trace=${trace} parent=${parent === 0 ? "none" : parent}`,
    ),
  );

test("neither order, nor batches, nor repeats of spans show in what a scope says", () => {
  fc.assert(
    fc.property(lines, fc.infiniteStream(fc.nat(1000)), (all, random) => {
      const whole = answersOf(rollupOf(all.join("\n")));
      const keyed = all.map((line) => ({
        line,
        key: random.next().value as number,
        batch: (random.next().value as number) % 3,
      }));
      const shuffled = keyed.toSorted((a, b) => a.key - b.key);
      const batches = [0, 1, 2].map((batch) =>
        shuffled.filter((each) => each.batch === batch || each.key % 5 === 0).map(({ line }) => line),
      );
      expect(answersOf(rollupOf(...batches.map((batch) => batch.join("\n"))))).toEqual(whole);
    }),
    { numRuns: runs(25) },
  );
});

test("traces may be folded in any order", () => {
  fc.assert(
    fc.property(lines, fc.boolean(), (all, reverse) => {
      const table = tableOf(all.join("\n"));
      const traces = rawTracesOf([table]);
      const rollup = new ScopeRollup();
      rollup.observe(table);
      for (const trace of reverse ? traces.toReversed() : traces) rollup.addTrace(trace);
      expect(answersOf(rollup)).toEqual(answersOf(rollupOf(all.join("\n"))));
    }),
    { numRuns: runs(25) },
  );
});

test("a trace that was added and taken back was never there", () => {
  fc.assert(
    fc.property(lines, lines, (all, others) => {
      const table = tableOf(all.join("\n"));
      const otherTable = tableOf(others.map((line) => line.replace(/trace=(\d)/, "trace=1$1")).join("\n"));
      const without = new ScopeRollup();
      const withBoth = new ScopeRollup();
      for (const rollup of [without, withBoth]) for (const each of [table, otherTable]) rollup.observe(each);
      for (const trace of rawTracesOf([table])) without.addTrace(trace);
      for (const trace of rawTracesOf([table, otherTable])) withBoth.addTrace(trace);
      for (const trace of rawTracesOf([otherTable])) withBoth.removeTrace(trace);
      // the span that a link waited for may have come with what was taken back: the link stays joined
      const [a, b] = [answersOf(withBoth), answersOf(without)];
      expect(a.services).toEqual(b.services);
      expect(a.totals).toEqual(b.totals);
      expect(a.steps).toEqual(b.steps);
      if (!all.join().includes("link=")) expect(a.graph).toEqual(b.graph);
    }),
    { numRuns: runs(25) },
  );
});

test("the worst shift of a clock is forgotten with the trace that showed it", () => {
  const skewed = (trace: number, aheadMs: number): SpanTable =>
    tableOf(`
      web     GET  0..100  client host=a trace=${trace}
        cart  GET  ${aheadMs + 10}..${aheadMs + 90}  server host=b`);
  const [little, much] = [skewed(1, 50), skewed(2, 4000)];
  const rollup = new ScopeRollup();
  const shifts = (): readonly (number | undefined)[] =>
    rollup.scope(null).problems.map(({ shift_ms: shift }) => shift);
  for (const table of [little, much]) rollup.observe(table);
  for (const trace of rawTracesOf([little, much])) rollup.addTrace(trace);
  const [both] = shifts();
  for (const trace of rawTracesOf([much])) rollup.removeTrace(trace);
  const [one] = shifts();
  expect([one, both]).toEqual([50, 4000]);
});

test("what requests do is read from the minutes of a window alone", () => {
  const rollup = rollupOf(`
    web   GET /  0..90ms  server trace=1
      db  SELECT 1..20ms  server
    web   GET /  70..71s  server trace=2`);
  const stepsFrom = (minutes: bigint) => {
    const at = (notationStart + minutes * 60_000_000_000n) as UnixNanos;
    return rollup.scope({ from: at, to: at }).steps.of("web", "GET /");
  };
  const call = { kind: "call", callee: "db", operation: "SELECT" };
  expect(stepsFrom(0n)).toEqual({ visits: 1, steps: [{ step: call, visits: 1 }] });
  expect(stepsFrom(1n)).toEqual({ visits: 1, steps: [] });
  expect(stepsFrom(2n)).toBeNull();
});

test("of endless names of steps those are told that visits have in common", () => {
  const one = (trace: number): string => `
    web   GET /        0..90ms  server trace=${trace}
      web load         1..2ms   internal
      web id ${trace}  3..4ms   internal`;
  const rollup = rollupOf(Array.from({ length: 600 }, (_, i) => one(i + 1)).join(""));
  const steps = rollup.scope(null).steps.of("web", "GET /");
  const load = { kind: "step", callee: "", operation: "load" };
  expect(steps).toEqual({ visits: 600, steps: [{ step: load, visits: 600 }] });
});

test("minutes that were dropped are gone, and what belongs to them is ignored from then on", () => {
  const text = `
    web  GET /   0..90ms  server trace=1
    web  GET /  70..71s   server trace=2`;
  const rollup = rollupOf(text);
  rollup.dropBefore(minuteOf((notationStart + 60_000_000_000n) as UnixNanos));
  const requests = (): number => rollup.scope(null).red.service("web")?.cell.requests ?? 0;
  const visits = (): number | undefined => rollup.scope(null).steps.of("web", "GET /")?.visits;
  expect([requests(), visits()]).toEqual([1, 1]);
  const [old] = rawTracesOf([tableOf(text)]);
  rollup.removeTrace(old!);
  rollup.addTrace(old!);
  expect([requests(), visits(), rollup.scope(null).totals.traces]).toEqual([1, 1, 1]);
});

test("a clock far in the future does not crowd out the present", () => {
  const far = Array.from(
    { length: 200 },
    (_, i) => `web GET / ${1000 + i * 9}..${2000 + i * 9}m server trace=${i + 1}`,
  );
  const rollup = rollupOf(far.join("\n"));
  rollup.dropBefore(minuteOf(notationStart as UnixNanos));
  const [now] = rawTracesOf([tableOf("web GET / 0..90ms server trace=999")]);
  rollup.addTrace(now!);
  const window = { from: notationStart as UnixNanos, to: notationStart as UnixNanos };
  expect(rollup.scope(window).red.service("web")?.cell.requests).toBe(1);
});

/** What healthy visits of every operation do. */
function stepsOf({ red, steps }: Scope) {
  return red.services.flatMap((service) =>
    ["op0", "op1", "op2"].map((operation) => [service, operation, steps.of(service, operation)] as const),
  );
}

function answersOf(rollup: ScopeRollup) {
  const scope = rollup.scope(null);
  return {
    graph: graphJson(scope),
    services: servicesJson(scope, "en"),
    totals: scope.totals,
    problems: scope.problems,
    steps: stepsOf(scope),
    order: scope.red.servicesByStart,
    dependencies: scope.graph.dependencies(scope.red.servicesByStart),
  };
}
