import * as fc from "fast-check";
import { expect, test } from "vitest";
import { JsonSyntaxError, parseJsonOrdered } from "../../src/wire/parse-json-ordered.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { runs } from "../runs.ts";

function parsesOrNull(parse: (text: string) => unknown, text: string): string | null {
  try {
    return writeJson(parse(text));
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof SyntaxError) return null;
    throw error;
  }
}

function parsed(json: string | null): unknown {
  return json === null ? null : JSON.parse(json);
}

test("keys keep their order; of a repeated key the last value counts, at the first one's place", () => {
  const value = parseJsonOrdered('{"10":1,"9":2,"__proto__":3,"10":4}');
  expect([...(value as Map<string, unknown>)]).toEqual([
    ["10", 4],
    ["9", 2],
    ["__proto__", 3],
  ]);
});

test.each([
  ["", "line 1, column 1: the text ends early"],
  ['{"a":\n  1,}', "line 2, column 5: expected a key in double quotes"],
  ['{"a" 1}', 'line 1, column 6: expected ":"'],
  ["[1 2]", 'line 1, column 4: expected "," or "]"'],
  ["[1,]", "line 1, column 4: expected a value"],
  ["[01]", 'line 1, column 3: expected "," or "]"'],
  ["nul", "line 1, column 1: expected a value"],
  ["1e999", "line 1, column 1: this number is too large"],
  ['"abc', "line 1, column 1: this string is not closed"],
  ['"a\tb"', "line 1, column 3: a control character in a string must be escaped"],
  ['"a\\\\\\x"', "line 1, column 5: this escape is not one of JSON"],
  ["{} {}", "line 1, column 4: expected the end of the text"],
])("says where %j goes wrong", (text, message) => {
  expect(() => parseJsonOrdered(text)).toThrow(JsonSyntaxError);
  expect(() => parseJsonOrdered(text)).toThrow(message);
});

test("nesting is bounded, so that no text exhausts the stack", () => {
  const message = "line 1, column 65: nested deeper than 64 levels";
  expect(() => parseJsonOrdered("[".repeat(1_000_000))).toThrow(message);
  expect(() => parseJsonOrdered('{"a":'.repeat(1_000_000))).toThrow("nested deeper than 64 levels");
});

test("a string of a megabyte, escapes included, is read", () => {
  const text = JSON.stringify('\\"\n'.repeat(400_000));
  expect(parseJsonOrdered(text)).toBe(JSON.parse(text));
});

test("accepts and reads what JSON.parse does", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.integer({ min: 0, max: 2 }), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(writeJson(parseJsonOrdered(text))).toBe(JSON.stringify(value));
    }),
  );
});

test("rejects what JSON.parse rejects: every small mutation of a text", () => {
  const noise = fc.constantFrom(...'{}[]",:\\u0e+-. \n\u0001tf'.split(""));
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), fc.nat(200), noise, fc.nat(2), (value, at, character, cut) => {
      const text = JSON.stringify(value);
      const place = at % (text.length + 1);
      const mutant = text.slice(0, place) + character + text.slice(place + cut);
      fc.pre(!/e\+?\d{3}/i.test(mutant)); // numbers too large for a double are Infinity there, an error here
      expect(parsed(parsesOrNull(parseJsonOrdered, mutant))).toEqual(
        parsed(parsesOrNull(JSON.parse, mutant)),
      );
    }),
    { numRuns: runs(125) },
  );
});
