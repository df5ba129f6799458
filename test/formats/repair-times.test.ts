import { expect, test } from "vitest";
import { repairTimes } from "../../src/formats/repair-times.ts";
import { Span } from "../../src/model/span.ts";
import { notationStart, tableOf } from "../notation.ts";

/** Start and end of a span that lasts 5 s, in a unit of so many nanoseconds. */
function inUnit(nanos: bigint, start = notationStart): Span {
  const table = tableOf("web GET / 0..5000ms");
  for (const [column, time] of [
    [table.startTime, start / nanos],
    [table.endTime, (start + 5_000_000_000n) / nanos],
  ] as const) {
    column[0] = Number(time >> 32n);
    column[1] = Number(time & 0xffffffffn);
  }
  return new Span(table, 0);
}

test.each([
  ["microseconds", 1_000n],
  ["milliseconds", 1_000_000n],
  ["seconds", 1_000_000_000n],
])("P20: times of a file in %s are read as such, with a note", (name, nanos) => {
  const span = inUnit(nanos);
  expect(repairTimes(span.table)).toMatchObject([
    { kind: "repaired_time", count: 1, message: expect.stringContaining(name) },
  ]);
  expect([span.startTime, span.endTime]).toEqual([notationStart, notationStart + 5_000_000_000n]);
  expect(repairTimes(span.table)).toEqual([]);
});

test.each([notationStart, 5n, 86_400_000_000_000n, 2n ** 64n - 6_000_000_000n])(
  "P20: %d ns is no time in another unit",
  (start) => {
    const span = inUnit(1n, start);
    expect(repairTimes(span.table)).toEqual([]);
    expect(span.startTime).toBe(start);
  },
);
