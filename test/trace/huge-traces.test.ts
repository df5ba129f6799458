import { describe, expect, test } from "vitest";
import { rawNaming } from "../../src/model/service-directory.ts";
import { SpanKind, type SpanTable } from "../../src/model/span-table.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { criticalPath } from "../../src/trace/critical-path.ts";
import { failureOrigins } from "../../src/trace/error-origin.ts";
import { callsInParts, callsOf } from "../../src/trace/extract-calls.ts";
import { selfTimes } from "../../src/trace/self-time.ts";
import { hugeTrace, type Shape } from "../huge-trace.ts";
import { rowsOf } from "../notation.ts";
import { isThorough } from "../runs.ts";

const count = isThorough ? 100_000 : 20_000;
const chain: Shape = {
  parent: (i) => i - 1,
  start: (i) => i,
  end: (i) => 1_000_000 - i,
  kind: () => SpanKind.Server,
  failed: () => true,
};
const fan: Shape = {
  parent: (i) => (i === 1 ? 0 : 1),
  start: (i) => (i === 1 ? 0 : i * 10),
  end: (i) => (i === 1 ? 2_000_000 : i * 10 + 15),
  kind: (i) => (i === 1 ? SpanKind.Server : SpanKind.Client),
  failed: (i) => i % 1000 === 1,
};

function checkAll(table: SpanTable): void {
  const trace = assembleTrace(rowsOf(table), rawNaming);
  expect(trace.spans.length).toBe(count);
  const path = criticalPath(trace, trace.roots[0]!);
  expect(path.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(trace.spans[trace.roots[0]!]!.end);
  expect(selfTimes(trace, new Set(trace.spans.keys())).size).toBe(count);
  const calls = callsOf(trace);
  expect(calls.entries.length).toBeGreaterThan(count / 2);
  const parts = [...callsInParts(trace)];
  expect(parts.length).toBeGreaterThan(1);
  expect(parts.flatMap(({ entries }) => entries)).toEqual(calls.entries);
  expect(parts.flatMap((part) => part.calls)).toEqual(calls.calls);
  expect(failureOrigins(trace, () => null).length).toBeGreaterThan(0);
}

describe("huge traces", () => {
  test("T5: a chain of 100,000 spans, or of 20,000 while somebody waits", () =>
    checkAll(hugeTrace(count, chain)));
  test("T5: 100,000 children of one span, or 20,000 while somebody waits", () =>
    checkAll(hugeTrace(count, fan)));
  test("a chain in which every other span gives up on the next", () => {
    const trace = assembleTrace(
      rowsOf(hugeTrace(count, { ...chain, end: (i) => 1_000_000 + i, failed: (i) => i % 2 === 0 })),
      rawNaming,
    );
    expect(failureOrigins(trace, () => null).length).toBe(1000);
  });
  test("a circle of parents is opened once", () => {
    const trace = assembleTrace(
      rowsOf(hugeTrace(count, { ...chain, parent: (i) => (i === 1 ? count : i - 1) })),
      rawNaming,
    );
    expect(trace.roots).toEqual([0]);
    expect(trace.problems.map(({ kind }) => kind)).toEqual(["parent_cycle"]);
  });
  test("as many records of one id", () => {
    const trace = assembleTrace(
      rowsOf(hugeTrace(count, { ...chain, kind: () => SpanKind.Internal })).map(({ table, row }) => {
        table.spanId[row * 2 + 1] = 1;
        return { table, row };
      }),
      rawNaming,
    );
    expect(trace.spans.length).toBe(3);
  });
});
