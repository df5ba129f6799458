import * as fc from "fast-check";
import { expect, test } from "vitest";
import { TraceIdTable } from "../../src/engine/trace-id-table.ts";

test("the table agrees with a map of strings, whatever is added and removed", () => {
  const step = fc.record({ id: fc.integer({ min: 0, max: 40 }), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new TraceIdTable();
      const twin = new Map<number, number>();
      for (const { id, remove } of steps) {
        const words = wordsFor(id);
        const known = twin.get(id);
        expect(table.find(words, 0)).toBe(known ?? -1);
        if (!remove) twin.set(id, table.add(words, 0));
        else if (known !== undefined) {
          table.remove(known);
          twin.delete(id);
        }
        expect(table.size).toBe(twin.size);
      }
      for (const [known, entry] of twin) {
        expect(table.find(wordsFor(known), 0)).toBe(entry);
        expect([...table.wordsOf(entry)]).toEqual(wordsFor(known));
      }
    }),
  );
});

test("a hundred thousand ids that differ in one word only are all told apart", () => {
  const table = new TraceIdTable();
  for (let i = 0; i < 100_000; i += 1) table.add([7, 7, 7, i], 0);
  expect(table.size).toBe(100_000);
  for (let i = 0; i < 100_000; i += 7)
    expect([...table.wordsOf(table.find([7, 7, 7, i], 0))]).toEqual([7, 7, 7, i]);
});

test("a removed entry's number is used again", () => {
  const table = new TraceIdTable();
  const first = table.add([0, 0, 0, 1], 0);
  table.remove(first);
  expect(table.add([0, 0, 0, 2], 0)).toBe(first);
  expect(table.end).toBe(1);
});

/** Few distinct home slots, so that entries push each other aside. */
function wordsFor(id: number): number[] {
  return [id % 3, 0, 0, id * 1024];
}
