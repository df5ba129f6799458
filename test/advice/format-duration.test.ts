import { expect, test } from "vitest";
import { formatDuration, formatPercent } from "../../src/advice/format-duration.ts";

test.each([
  [0, "0 ns"],
  [812, "812 ns"],
  [45_200, "45.2 µs"],
  [999_499, "999 µs"],
  [999_500, "1 ms"],
  [340_000_000, "340 ms"],
  [999_500_000, "1 s"],
  [2_312_000_000, "2.31 s"],
  [119_400_000_000, "119 s"],
  [210_000_000_000, "3.5 min"],
])("%d ns reads as %s", (nanos, text) => {
  expect(formatDuration(nanos)).toBe(text);
});

test.each([
  [0, "0 %"],
  [0.0004, "<0.1 %"],
  [0.004, "0.4 %"],
  [0.0995, "10 %"],
  [0.15, "15 %"],
  [0.996, ">99 %"],
  [1, "100 %"],
])("the ratio %d reads as %s", (ratio, text) => {
  expect(formatPercent(ratio)).toBe(text);
});
