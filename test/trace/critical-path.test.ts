import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { criticalPath } from "../../src/trace/critical-path.ts";
import { selfTimes } from "../../src/trace/self-time.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { traceOf } from "../notation.ts";
import { runs } from "../runs.ts";

function pathOf(trace: Trace, unit = 1e6): readonly string[] {
  return criticalPath(trace, trace.roots[0]!).map(
    ({ span, start, end, isContested }) =>
      `${trace.spans[span]!.operation} ${start / unit}-${end / unit}${isContested ? " ?" : ""}`,
  );
}

/** The path as `operation start-end`, `?` where other work ran beside it. */
function checkPath(text: string, ...path: readonly string[]): void {
  expect(pathOf(traceOf(text))).toEqual(path);
}

function checkSelf(text: string, self: Readonly<Record<string, number>>): void {
  const trace = traceOf(text);
  const times = selfTimes(trace, new Set(trace.spans.keys()));
  const found = Object.fromEntries(trace.spans.map((span) => [span.operation, times.get(span.index)! / 1e6]));
  expect(found).toEqual(self);
}

describe("critical path", () => {
  test("T1: back-to-back siblings leave nothing to the parent", () => {
    checkPath(
      `
      a   P   0..100
        a A   0..50
        a B  50..100`,
      "A 0-50",
      "B 50-100",
    );
  });

  test("T2: the sibling that ends exactly where the next starts comes before it", () => {
    checkPath(
      `
      a   P       0..200
        a early   0..120
        a exact   0..150
        a over    0..151
        a last  150..200`,
      "exact 0-150 ?",
      "last 150-200 ?",
    );
  });

  test("a call that seems to end a clock tick after the local work around it was waited for; later it was not", () => {
    const calls = (end: string): string => `
      a   handle   0..400ms   server host=h1
        a call  2000..${end}us client host=h1`;
    checkPath(calls("400900"), "handle 0-2", "call 2-400");
    checkPath(calls("401100"), "handle 0-400");
  });

  test("T3: overlapping siblings: the earlier one counts until the later one starts", () => {
    checkPath(
      `
      a   P   0..100
        a A   0..60
        a B  50..100`,
      "A 0-50",
      "B 50-100 ?",
    );
  });

  test("T4: work beside the path is marked: one trace cannot tell which was waited for", () => {
    checkPath(
      `
      a   main    0..500
        a foo1    0..100
        a foo2    0..200
        a foo3  200..500`,
      "foo2 0-200 ?",
      "foo3 200-500",
    );
  });

  test("time between and around children is the parent's", () => {
    checkPath(
      `
      a    P   0..100
        a  A  10..40
        b  B  60..90
          b C 70..80`,
      "P 0-10",
      "A 10-40",
      "P 40-60",
      "B 60-70",
      "C 70-80",
      "B 80-90",
      "P 90-100",
    );
  });

  test("T6: a call that ran into its deadline is followed into the callee up to the deadline", () => {
    checkPath(
      `
      web      GET     0..50  client error error.type=timeout
        cart   serve   5..90  server
          cart sql    10..80  client`,
      "GET 0-5",
      "serve 5-10",
      "sql 10-50",
    );
  });

  test("T7: nobody waits for the consumer of a message", () => {
    checkPath(
      `
      shop     send     0..10  producer
        mail   process  2..9   consumer`,
      "send 0-10",
    );
  });

  test("T8: a child that starts before its parent is cut, one that outlives it was not waited for", () => {
    checkPath(
      `
      z     Z    0..90
        a   P   10..50
          a A    5..30
          a B   40..90`,
      "Z 0-10",
      "A 10-30",
      "P 30-50",
      "Z 50-90",
    );
  });

  test("the drawing of its description", () => {
    checkPath(
      `
      root   root   0..19
        root a      3..12
        root b     11..17`,
      "root 0-3",
      "a 3-11",
      "b 11-17 ?",
      "root 17-19",
    );
  });

  test("a failed attempt is charged with the pause before the next one", () => {
    checkPath(
      `
      web   GET   0..100  server
        web pay  10..30   client error server.address=pay
        web pay  60..90   client server.address=pay`,
      "GET 0-10",
      "pay 10-30",
      "pay 30-60",
      "pay 60-90",
      "GET 90-100",
    );
  });

  test("between different clocks a child may end a little after its parent, within one process not", () => {
    const late = (host: string): string => `
      a   P    0..1000 client host=h1
        b A  100..1001 host=${host}`;
    checkPath(late("h1"), "P 0-100", "A 100-1000");
    checkPath(
      `
      a   P    0..1000 internal host=h1
        a A  100..1001 internal host=h1`,
      "P 0-1000",
    );
  });

  test("sections cover the root exactly, without gap or overlap", () => {
    const interval = fc.record({
      start: fc.integer({ min: 0, max: 60 }),
      length: fc.integer({ min: 0, max: 60 }),
    });
    const spans = fc.array(
      fc.record({
        interval,
        parent: fc.nat(20),
        words: fc.constantFrom("client", "server error", "", "consumer"),
      }),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(spans, (children) => {
        const lines = children.map(
          ({ interval: { start, length }, parent, words }, i) =>
            `s${parent % 3} op ${start}..${start + length} ${words} parent=${1 + (parent % (i + 1))} id=${i + 2}`,
        );
        const trace = traceOf(["s0 root 0..100 id=1", ...lines].join("\n"));
        const self = selfTimes(trace, new Set(trace.spans.keys()));
        for (const { index, start, end } of trace.spans) {
          let cursor = start;
          for (const section of criticalPath(trace, index)) {
            expect(section.start).toBe(cursor);
            expect(section.end).toBeGreaterThan(section.start);
            cursor = section.end;
          }
          expect(cursor).toBe(end);
          expect(self.get(index)).toBeGreaterThanOrEqual(0);
          expect(self.get(index)).toBeLessThanOrEqual(end - start);
        }
      }),
      { numRuns: runs(75) },
    );
  });
});

describe("self time", () => {
  test("children count once where they overlap, and only within the parent", () => {
    checkSelf(
      `
      z   Z     0..100
        a A    10..30
        a B    20..50
        a C    40..45
        z D    90..120
        m M    60..70  consumer`,
      { Z: 60, A: 20, B: 30, C: 5, D: 30, M: 10 },
    );
  });

  test("a client waits for its server until its own end", () => {
    checkSelf(
      `
      a   call    0..50  client error
        b serve  10..90  server`,
      { call: 10, serve: 80 },
    );
  });
});
