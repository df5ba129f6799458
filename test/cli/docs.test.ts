import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { documentationPages } from "../../src/cli/doc-pages.ts";
import { settingKeys } from "../../src/config/settings.ts";

test.each([...documentationPages().keys()])("%s is what `npm run docs` writes", (path) => {
  expect(readFileSync(path, "utf8")).toBe(documentationPages().get(path));
});

test("every configuration key is documented", () => {
  const page = readFileSync("docs/configuration.md", "utf8");
  for (const key of settingKeys) expect(page).toContain(`HYPOCENTER_${key.toUpperCase()}`);
});
