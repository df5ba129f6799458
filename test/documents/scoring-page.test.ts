import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { exportedNames, scoringConstants, scoringPage, scoringPagePath } from "./scoring-page.ts";

test("the page about scoring has every constant as it is now (npm run docs writes it)", () => {
  expect(readFileSync(scoringPagePath, "utf8")).toBe(scoringPage());
});

test("every scoring constant has a reason", () => {
  const explained = scoringConstants();
  expect(explained.flatMap(({ constants }) => constants.map(({ name }) => name))).toEqual(exportedNames());
  for (const { reason } of explained) expect(reason.split(" ").length).toBeGreaterThan(5);
});
