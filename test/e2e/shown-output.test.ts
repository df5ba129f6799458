import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { documentsWithOutput, withCurrentOutput } from "../documents/shown-output.ts";

test.each(documentsWithOutput)("%s shows what its commands print (npm run docs writes it)", async (path) => {
  const text = readFileSync(path, "utf8");
  expect(text).toContain("<!-- output: ");
  expect(text).toBe(await withCurrentOutput(path));
});
