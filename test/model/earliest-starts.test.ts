import * as fc from "fast-check";
import { expect, test } from "vitest";
import { EarliestStarts } from "../../src/model/earliest-starts.ts";
import { earliestStartsMax } from "../../src/model/limits.ts";
import type { MinuteTime } from "../../src/model/time.ts";

const nanos = (value: number): MinuteTime => ({ minute: Math.floor(value / 20), nanos: value % 20 });

test("the earliest is right after any that were added are taken back, as long as not all that were kept go", () => {
  const added = fc.array(fc.nat(30), { minLength: 1, maxLength: 30 });
  const takenBack = fc.array(fc.nat(29), { maxLength: earliestStartsMax - 1 });
  fc.assert(
    fc.property(added, takenBack, added, (starts, indexes, more) => {
      const earliest = new EarliestStarts();
      for (const start of starts) earliest.add(nanos(start));
      const gone = new Set(indexes.map((at) => at % starts.length));
      for (const at of gone) earliest.remove(nanos(starts[at]!));
      const left = starts.filter((_, at) => !gone.has(at));
      expect(earliest.first).toEqual(left.length === 0 ? null : nanos(Math.min(...left)));
      for (const start of more) earliest.add(nanos(start));
      expect(earliest.first).toEqual(nanos(Math.min(...left, ...more)));
    }),
  );
});

test("when all that were kept are gone, the answer is not later than any other", () => {
  const earliest = new EarliestStarts();
  for (let start = 0; start < 20; start += 1) earliest.add(nanos(start));
  for (let start = 0; start < 10; start += 1) earliest.remove(nanos(start));
  expect(earliest.first).toEqual(nanos(earliestStartsMax));
  earliest.clear();
  expect(earliest.first).toBeNull();
});
