import * as fc from "fast-check";
import { expect, test } from "vitest";
import { formatDecimal } from "../../src/base/format-decimal.ts";

test.each([
  [2.625, 2, "2.62"],
  [2.635, 2, "2.63"], // the double lies below 2.635
  [0.125, 2, "0.12"],
  [0.375, 2, "0.38"],
  [0.5, 0, "0"],
  [1.5, 0, "2"],
  [99.995, 2, "100.00"], // the double lies above
  [1e21, 1, "1000000000000000000000.0"],
  [5e-324, 2, "0.00"],
  [0, 1, "0.0"],
  [-2.625, 2, "-2.62"],
  [Number.POSITIVE_INFINITY, 2, "Infinity"],
])("%d with %d decimals is %s", (value, decimals, text) => {
  expect(formatDecimal(value, decimals)).toBe(text);
});

/** The decimals that are cut off are exactly one half. */
function isTie(value: number, decimals: number): boolean {
  const [, fraction = ""] = value.toFixed(60).split(".");
  return /^50*$/.test(fraction.slice(decimals));
}

test("differs from toFixed at exact ties only", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      fc.integer({ min: 0, max: 4 }),
      (value, decimals) => {
        fc.pre(!isTie(value, decimals));
        expect(formatDecimal(value, decimals)).toBe(value.toFixed(decimals));
      },
    ),
  );
});
