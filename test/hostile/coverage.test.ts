import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Hostile and odd inputs are numbered P1 to P45; tests bear the numbers of what they show. */
const all = Array.from({ length: 45 }, (_, i) => `P${i + 1}`);

/** The numbers at the beginning of the names of tests, as in `test("P13, P16: …")`. */
function numbersIn(source: string): readonly string[] {
  const names = source.matchAll(/\btest(?:\.\w+\([^"`]*\))*\(\s*["`]((?:P\d+(?:, )?)+):/g);
  return [...names].flatMap(([, numbers = ""]) => numbers.split(", "));
}

test("every hostile input has a test that bears its number, and no other is borne", () => {
  const files = readdirSync("test", { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".test.ts"),
  );
  const shown = new Set(files.flatMap((name) => numbersIn(readFileSync(`test/${name}`, "utf8"))));
  expect(all.filter((number) => !shown.has(number))).toEqual([]);
  expect([...shown].filter((number) => !all.includes(number))).toEqual([]);
});

test("numbers are found in names of tests, and nowhere else", () => {
  const source = `test("P1: a", …); test.each(x)("P2, P3: %s"); test.skipIf(a.b)(\n  "P4: b"); expect("P5: c"); // P6: d`;
  expect(numbersIn(source)).toEqual(["P1", "P2", "P3", "P4"]);
});
