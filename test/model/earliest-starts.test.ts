import * as fc from "fast-check";
import { expect, test } from "vitest";
import { restored, snapshotOf } from "../../src/base/snapshot.ts";
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

test("restored ones go on as those that they were taken of, also where not all were kept", () => {
  const times = fc.array(fc.nat(30), { maxLength: 30 });
  fc.assert(
    fc.property(times, times, times, (starts, gone, more) => {
      const earliest = new EarliestStarts();
      for (const start of starts) earliest.add(nanos(start));
      const copy = restored(new EarliestStarts(), snapshotOf(earliest));
      const answers = [earliest, copy].map((each) => {
        for (const start of gone) each.remove(nanos(start));
        const between = each.first;
        for (const start of more) each.add(nanos(start));
        return [between, each.first];
      });
      expect(answers[1]).toEqual(answers[0]);
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
