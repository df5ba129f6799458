import { expect, test } from "vitest";
import { calibrationOf } from "../../src/evaluation/calibration.ts";
import { deviationOf, pairedTestP } from "../../src/evaluation/statistics.ts";

test("the deviation is that of the population", () => {
  expect(deviationOf([2, 4, 4, 4, 5, 5, 7, 9])).toBe(2);
});

test("the paired test on 8 wins against 1 loss", () => {
  // 2 * (1 + 9) / 512
  expect(pairedTestP(8, 1)).toBeCloseTo(0.0390625);
  expect(pairedTestP(0, 0)).toBe(1);
  expect(pairedTestP(3, 3)).toBe(1);
  expect(pairedTestP(1500, 600)).toBeLessThan(1e-50);
  expect(pairedTestP(1050, 1050)).toBe(1);
});

test("calibration of answers in two bins", () => {
  const calibration = calibrationOf([
    { confidence: 0.95, right: 1 },
    { confidence: 1, right: 1 },
    { confidence: 0.91, right: 0 },
    { confidence: 0.4, right: 0 },
    { confidence: 0.44, right: 1 },
  ]);
  // |2.86/3 - 2/3| * 3/5 + |0.42 - 0.5| * 2/5
  expect(calibration?.ece).toBeCloseTo(0.204);
  expect(calibration?.bins).toEqual([
    { from: 0.4, to: 0.5, answers: 2, confidence: expect.closeTo(0.42), accuracy: 0.5 },
    { from: 0.9, to: 1, answers: 3, confidence: expect.closeTo(2.86 / 3), accuracy: expect.closeTo(2 / 3) },
  ]);
  // the surest 4 of 5
  expect(calibration?.accuracy_at_coverage).toBe(0.75);
  expect(calibrationOf([])).toBeNull();
});

test("answers that are equally sure at the line of coverage count in part", () => {
  const answers = [1, 0, 0, 0, 1].map((right, i) => ({ confidence: i === 0 ? 0.9 : 0.5, right }));
  // the surest, and 3 of the 4 that are right in 1 of 4 cases
  expect(calibrationOf(answers)?.accuracy_at_coverage).toBeCloseTo((1 + 3 / 4) / 4);
});
