import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MalformedBodyError } from "../../src/model/telemetry.ts";
import { endOfObject, KeySet, unknownKey } from "../../src/otlp/json-keys.ts";
import { JsonScanner } from "../../src/otlp/json-scanner.ts";
import { anyText } from "../any-text.ts";
import { runs } from "../runs.ts";

describe("JSON is JSON exactly where JSON.parse says so", () => {
  test("for any value, written with any white space", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("", " ", "\n\t"), (value, space) => {
        expect(isSkipped(JSON.stringify(value, null, space))).toBe(true);
      }),
    );
  });

  test("for texts with a few bytes changed", () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}[],:"\\ 01.eE+-tn'.split(""))), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), changes, (value, edits) => {
        let text = JSON.stringify(value);
        for (const [at, byte] of edits) {
          const place = at % text.length;
          text = text.slice(0, place) + byte + text.slice(place + (at % 2));
        }
        fc.pre(!/\\(?!["\\/bfnrtu]|$)|\\u/.test(text));
        expect(isSkipped(text), text).toBe(parses(text));
      }),
      { numRuns: runs(750) },
    );
  });
});

describe("numbers", () => {
  test("doubles are those of JSON.parse", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer()),
        fc.constantFrom(0, 1, 2, 3),
        (value, form) => {
          const text = [String(value), value.toExponential(), value.toFixed(5), value.toPrecision(15)][form]!;
          expect(scan(text, (scanner) => scanner.double() && scanner.number)).toBe(JSON.parse(text));
          expect(scan(`"${text}"`, (scanner) => scanner.double() && scanner.number)).toBe(JSON.parse(text));
        },
      ),
      { numRuns: runs(500) },
    );
  });

  test("64-bit integers are those of BigInt, in range or not", () => {
    const edges = [0n, 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n];
    const near = fc.tuple(fc.constantFrom(...edges), fc.bigInt(-2n, 2n)).map(([edge, off]) => edge + off);
    const any = fc.oneof(
      near,
      near.map((value) => -value),
      fc.bigInt(-(2n ** 65n), 2n ** 65n),
    );
    fc.assert(
      fc.property(any, fc.boolean(), fc.nat(3), (value, isBare, zeros) => {
        const digits = `${value < 0n ? "-" : ""}${isBare ? "" : "0".repeat(zeros)}${value < 0n ? -value : value}`;
        const text = isBare ? digits : `"${digits}"`;
        const isUnsigned = value >= 0n && value < 2n ** 64n;
        const isSigned = value >= -(2n ** 63n) && value < 2n ** 63n;
        expect(scan(text, (scanner) => scanner.uint64() && wordsOf(scanner))).toBe(isUnsigned && value);
        expect(scan(text, (scanner) => scanner.int64() && BigInt.asIntN(64, wordsOf(scanner)))).toBe(
          isSigned && value,
        );
      }),
      { numRuns: runs(500) },
    );
  });

  test("an integer may be written with a fraction or an exponent if it is one", () => {
    expect(uint64In("12.50e1")).toBe(125n);
    expect(uint64In("1.0")).toBe(1n);
    expect(uint64In("1200e-2")).toBe(12n);
    expect(uint64In("0e50")).toBe(0n);
    expect(uint64In('"1e19"')).toBe(10n ** 19n);
    expect(uint64In("1.5")).toBe(false);
    expect(uint64In("1e20")).toBe(false);
    expect(uint64In("1e999999999999")).toBe(false);
    expect(uint64In('" 1"')).toBe(false);
    expect(uint64In('""')).toBe(false);
  });

  test("a number in a string with escapes ends where the string ends", () => {
    const scanner = new JsonScanner();
    scanner.reset(Buffer.from('"\\u0031234567" "\\u0031.5"'));
    scanner.string();
    scanner.at += 1;
    expect(scanner.double() && scanner.number).toBe(1.5);
  });

  test("32-bit integers are checked against their range", () => {
    expect(scan("4294967295", (scanner) => scanner.uint32() && scanner.number)).toBe(4294967295);
    expect(scan("4294967296", (scanner) => scanner.uint32())).toBe(false);
    expect(scan("-2147483648", (scanner) => scanner.int32() && scanner.number)).toBe(-2147483648);
    expect(scan("2147483648", (scanner) => scanner.int32())).toBe(false);
  });
});

test("strings are those of JSON.parse, lone surrogates replaced", () => {
  fc.assert(
    fc.property(anyText(), (value) => {
      const text = JSON.stringify(value);
      const wellFormed = Buffer.from(value).toString();
      expect(scan(text, (scanner) => scanner.string() && scanner.textString())).toBe(wellFormed);
    }),
  );
});

test("keys are known by camelCase, snake_case, alias and with escapes", () => {
  const keys = new KeySet(["traceId", "name"], { title: "name" });
  const found = scan('{"traceId":1,"trace_id":2,"title":3,"n\\u0061me":4,"traceID":5,"":6}', (scanner) => {
    const ids: number[] = [];
    for (let key = scanner.firstKey(keys); key !== endOfObject; key = scanner.nextKey(keys, key)) {
      ids.push(key);
      scanner.skipValue();
    }
    return ids;
  });
  expect(found).toEqual([0, 0, 1, 1, unknownKey, unknownKey]);
});

function scan<T>(text: string, read: (scanner: JsonScanner) => T): T {
  const scanner = new JsonScanner();
  scanner.reset(Buffer.from(text));
  const result = read(scanner);
  scanner.requireEnd();
  return result;
}

function uint64In(text: string): unknown {
  return scan(text, (scanner) => scanner.uint64() && wordsOf(scanner));
}

function wordsOf({ words }: JsonScanner): bigint {
  return (BigInt(words[0]!) << 32n) | BigInt(words[1]!);
}

function isSkipped(text: string): boolean {
  try {
    scan(text, (scanner) => {
      scanner.skipValue();
    });
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedBodyError);
    return false;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
