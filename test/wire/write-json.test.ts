import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseJsonOrdered } from "../../src/wire/parse-json-ordered.ts";
import { writeJson } from "../../src/wire/write-json.ts";

test("a Map is an object in the Map's order, also where keys look like integers", () => {
  expect(
    writeJson(
      new Map<string, unknown>([
        ["10", 1],
        [
          "9",
          new Map([
            ["b", []],
            ["a", {}],
          ]),
        ],
      ]),
    ),
  ).toBe('{"10":1,"9":{"b":[],"a":{}}}');
});

test("undefined members are left out, and what JSON cannot say is null", () => {
  expect(writeJson({ a: undefined, b: null, c: [undefined, Number.NaN], d: -0 })).toBe(
    '{"b":null,"c":[null,null],"d":0}',
  );
});

test("plain data is written as JSON.stringify writes it, compact and pretty", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(writeJson(value)).toBe(JSON.stringify(value));
      expect(writeJson(value, { pretty: true })).toBe(JSON.stringify(value, null, 2));
    }),
  );
});

test("what is written reads back in the same order", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string()), (keys) => {
      const text = writeJson(new Map(keys.map((key, index) => [key, index])));
      expect([...(parseJsonOrdered(text) as Map<string, number>).keys()]).toEqual(keys);
    }),
  );
});
