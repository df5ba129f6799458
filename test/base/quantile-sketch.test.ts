import * as fc from "fast-check";
import { expect, test } from "vitest";
import { exactValuesMax, QuantileSketch } from "../../src/base/quantile-sketch.ts";
import { restored, snapshotOf } from "../../src/base/snapshot.ts";

const values = fc.array(fc.integer({ min: 0, max: 10_000_000_000 }), { minLength: 1, maxLength: 300 });
const ranks = [0, 0.01, 0.5, 0.9, 0.99, 1];

test("up to 4,096 values the nearest rank is exact", () => {
  fc.assert(
    fc.property(values, (all) => {
      expect(answersOf(sketchOf(all))).toEqual(exactAnswers(all));
    }),
  );
});

test("p99 of 100 values is the 99th, p50 the 50th", () => {
  const sketch = sketchOf(Array.from({ length: 100 }, (_, i) => 100 - i));
  expect([sketch.quantile(0.99), sketch.quantile(0.5)]).toEqual([99, 50]);
});

test("above 4,096 values answers are within 1.1 % of the exact ones", () => {
  const all = spreadValues(20_000);
  const exact = exactAnswers(all);
  answersOf(sketchOf(all)).forEach((answer, i) => {
    expect(Math.abs((answer as number) / (exact[i] as number) - 1)).toBeLessThan(0.011);
  });
});

test("neither order nor the way parts were added up shows", () => {
  for (const count of [50, 300, 4_000, 4_096, 4_097, 6_000, 9_000, 30_000]) {
    const all = spreadValues(count);
    const whole = answersOf(sketchOf(all));
    expect(answersOf(sketchOf(all.toReversed()))).toEqual(whole);
    for (const parts of [2, 7]) {
      const merged = QuantileSketch.sum(
        Array.from({ length: parts }, (_, p) => sketchOf(all.filter((__, i) => i % parts === p))),
      );
      expect([merged.count, ...answersOf(merged)]).toEqual([count, ...whole]);
    }
  }
});

test.each([50, 300, 4_000, 6_000, 9_000])(
  "a restored sketch of %i values goes on as the one that it was taken of",
  (count) => {
    const all = spreadValues(count);
    for (const weight of [1, 2.5])
      for (const isSealed of [false, true]) {
        const sketch = new QuantileSketch();
        for (const value of all) sketch.add(value, weight);
        sketch.add(0, weight);
        if (isSealed) sketch.seal();
        const copy = restored(new QuantileSketch(), snapshotOf(sketch));
        const answers = [sketch, copy].map((each) => {
          const first = [each.count, each.weight, each.weightAbove(all[0]!), ...answersOf(each)];
          for (const value of spreadValues(500)) each.add(value);
          for (const value of all.slice(0, count / 2)) each.remove(value, weight);
          const sum = QuantileSketch.sum([each, sketchOf(all)]);
          return [first, each.count, each.weight, ...answersOf(each), ...answersOf(sum)];
        });
        expect(answers[1]).toEqual(answers[0]);
      }
  },
);

test("a value that was added and taken back was never there", () => {
  fc.assert(
    fc.property(values, values, (kept, gone) => {
      const sketch = sketchOf([...kept, ...gone]);
      for (const value of gone) expect(sketch.remove(value)).toBe(true);
      expect([sketch.count, ...answersOf(sketch)]).toEqual([kept.length, ...answersOf(sketchOf(kept))]);
    }),
  );
});

test("a sketch that shrinks below 4,096 values is exact again", () => {
  const all = spreadValues(2 * exactValuesMax);
  const sketch = sketchOf(all);
  for (const value of all.slice(100)) sketch.remove(value);
  expect(answersOf(sketch)).toEqual(exactAnswers(all.slice(0, 100)));
});

test("asking in between changes no answer, whatever is added and taken back around it", () => {
  const many = spreadValues(exactValuesMax + 500);
  const steps = fc.array(fc.constantFrom("ask", "add", "takeFirst", "takeLast"), { maxLength: 12 });
  fc.assert(
    fc.property(steps, (todo) => {
      const sketch = sketchOf(many);
      const held = [...many];
      for (const step of todo) {
        if (step === "ask") sketch.quantile(0.5);
        else if (step === "add") sketch.add(held[held.push(held.length * 1e6) - 1] as number);
        else sketch.remove((step === "takeFirst" ? held.shift() : held.pop()) as number);
      }
      expect(answersOf(sketch)).toEqual(answersOf(sketchOf(held)));
    }),
    { numRuns: 50 },
  );
});

test("after it has held very many values, emptying it makes it exact again", () => {
  const all = spreadValues(20_000);
  const sketch = sketchOf(all);
  for (const value of all) sketch.remove(value);
  expect([sketch.count, sketch.weight, sketch.quantile(0.5)]).toEqual([0, 0, null]);
  sketch.add(7);
  expect(sketch.quantile(0.5)).toBe(7);
});

test("taking back what is not there changes nothing", () => {
  const sketch = sketchOf([1, 2, 3]);
  expect(sketch.remove(4)).toBe(false);
  expect([sketch.count, ...answersOf(sketch)]).toEqual([3, ...exactAnswers([1, 2, 3])]);
});

test("a weight counts as so many values", () => {
  const sketch = new QuantileSketch();
  sketch.add(10, 1);
  sketch.add(20, 98);
  sketch.add(30, 1.5);
  expect([sketch.weight, sketch.quantile(0.01), sketch.quantile(0.5), sketch.quantile(0.99)]).toEqual([
    100.5, 20, 20, 30,
  ]);
  expect(sketch.remove(20, 98)).toBe(true);
  expect([sketch.weight, sketch.quantile(0.5)]).toEqual([2.5, 30]);
});

test("weights survive the change to buckets", () => {
  const heavy = new QuantileSketch();
  const plain = new QuantileSketch();
  for (let i = 1; i <= 5_000; i += 1) {
    heavy.add(i, 4);
    for (let copy = 0; copy < 4; copy += 1) plain.add(i);
  }
  expect(answersOf(heavy)).toEqual(answersOf(plain));
  expect(heavy.weight).toBe(plain.weight);
});

test("a sealed sketch is exact up to 256 values and within 1.1 % above, and takes the room of its buckets", () => {
  for (const count of [1, 256, 257, 8_000, 20_000]) {
    const all = spreadValues(count);
    const sketch = sketchOf(all);
    sketch.seal();
    const exact = exactAnswers(all);
    answersOf(sketch).forEach((answer, i) => {
      const error = Math.abs((answer as number) / (exact[i] as number) - 1);
      expect(error).toBeLessThan(count <= 256 ? 1e-9 : 0.011);
    });
    expect(sketch.byteLength).toBeLessThan(12_000);
  }
});

test("what is added to a sealed sketch and taken back was never there", () => {
  fc.assert(
    fc.property(values, values, values, (before, after, gone) => {
      const sketch = sketchOf(before);
      sketch.seal();
      for (const value of [...after, ...gone]) sketch.add(value);
      for (const value of gone) expect(sketch.remove(value)).toBe(true);
      expect(sketch.remove(1e12)).toBe(false);
      const kept = [...before, ...after];
      expect([sketch.count, sketch.weight]).toEqual([kept.length, kept.length]);
      const exact = exactAnswers(kept);
      answersOf(sketch).forEach((answer, i) => {
        expect(Math.abs((answer as number) - (exact[i] as number))).toBeLessThanOrEqual(
          (exact[i] as number) * 0.011,
        );
      });
    }),
  );
});

function sketchOf(all: readonly number[]): QuantileSketch {
  const sketch = new QuantileSketch();
  for (const value of all) sketch.add(value);
  return sketch;
}

function answersOf(sketch: QuantileSketch): readonly (number | null)[] {
  return ranks.map((q) => sketch.quantile(q));
}

function exactAnswers(all: readonly number[]): readonly number[] {
  const sorted = all.toSorted((a, b) => a - b);
  return ranks.map((q) => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] as number);
}

/** From 1 to about 10^9, many small and few large, in no order. */
function spreadValues(count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(10 ** (((i * 7919) % count) * (9 / count))));
}
