import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutMiddle, headOf, visible, widthOf, wrap } from "../../src/cli/render/text-width.ts";
import { anyText } from "../any-text.ts";

test.each([
  ["plain text 123", "plain text 123"],
  ["\u001b[31mred", "\\x1b[31mred"],
  ["a\nb\tc\r", "a\\nb\\tc\\r"],
  ["\u009b2J", "\\x9b2J"],
  ["abc\u202ecba", "abc\\u{202e}cba"],
  ["zero\u200bwidth\ufeff", "zero\\u{200b}width\\u{feff}"],
  ["\ud800", "\\u{d800}"],
  ["❤\ufe0f", "❤"],
  ["결제 서비스", "결제 서비스"],
])("%j is shown as %j", (text, shown) => {
  expect(visible(text)).toBe(shown);
});

test.each([
  ["abc", 3],
  ["é", 1],
  ["e\u0301", 1],
  ["결제", 4],
  ["\u1112\u1161\u11ab", 2], // conjoining jamo
  ["日本", 4],
  ["Ａ", 2],
  ["🚀", 2],
  ["✗ ─ █ …", 7],
])("%s takes %d columns", (text, columns) => {
  expect(widthOf(text)).toBe(columns);
});

test("names are cut in the middle, where they differ least", () => {
  expect(cutMiddle("inventory-service-7f9c", 11, "…")).toBe("inven…-7f9c");
  expect(cutMiddle("결제서비스입니다", 9, "…")).toBe("결제…니다");
  expect(cutMiddle("short", 5, "…")).toBe("short");
});

test("sentences are broken at blanks, words that are too long anywhere, and the rest is cut", () => {
  const limits = { width: 10, linesMax: 3, ellipsis: "…" };
  expect(wrap("one two three four", limits)).toEqual(["one two", "three four"]);
  expect(wrap("abcdefghijklmno p", limits)).toEqual(["abcdefghij", "klmno p"]);
  expect(wrap("a b c d e f g h i j k l m n o p q r s t u", limits)).toEqual([
    "a b c d e",
    "f g h i j",
    "k l m n o…",
  ]);
});

describe("laws", () => {
  const text = anyText(200).map(visible);
  const width = fc.integer({ min: 1, max: 60 });
  test("what is cut or wrapped fits", () => {
    fc.assert(
      fc.property(text, width, (value, columns) => {
        expect(widthOf(headOf(value, columns))).toBeLessThanOrEqual(columns);
        expect(widthOf(cutMiddle(value, columns, "…"))).toBeLessThanOrEqual(columns);
        if (columns > 1)
          for (const line of wrap(value, { width: columns, linesMax: 5, ellipsis: "…" }))
            expect(widthOf(line)).toBeLessThanOrEqual(columns);
      }),
    );
  });
  test("what is visible already stays as it is", () => {
    fc.assert(
      fc.property(text, (value) => {
        expect(visible(value)).toBe(value);
      }),
    );
  });
});
