import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type ElementOptions, JsonElements } from "../../src/formats/json-elements.ts";
import { runs } from "../runs.ts";

/** What is cut out of a text, the same for every size of chunk: elements as text, flaws as `line: why`, notes as `key=value`. */
function elements(text: string, ...path: readonly string[]): readonly string[] {
  return elementsBy({ path, noted: ["status"] }, text);
}

function elementsBy(options: ElementOptions, text: string): readonly string[] {
  const results = [1, 3, 100, 1 << 20].map((size) => cut(options, Buffer.from(text), size));
  for (const result of results) expect(result).toEqual(results[0]);
  return results[0]!;
}

function cut(options: ElementOptions, bytes: Uint8Array, size: number): readonly string[] {
  const found: string[] = [];
  const cutter = new JsonElements(options, {
    use(element, { offset }) {
      const text = Buffer.from(element).toString();
      expect(Buffer.from(bytes).toString("utf8", offset, offset + element.length)).toBe(text);
      try {
        JSON.parse(text);
      } catch {
        return "malformed";
      }
      found.push(text);
      return null;
    },
    skip: ({ line }, why) => void found.push(`${line}: ${why}`),
    note(values) {
      for (const [key, value] of values) found.push(`${key}=${Buffer.from(value).toString()}`);
    },
  });
  for (let at = 0; at < bytes.length; at += size) cutter.push(bytes.subarray(at, at + size));
  cutter.end();
  return found;
}

const a = `{"a":1}`;
const b = `{"b":[{"c":"}]{ \\" \\\\"}]}`;
const cutOff = "ends in the middle of a record";

test.each([
  ["a list", `[${a},${b}]`],
  ["lists in a list", `[[${a}],[${b}]]`],
  ["lines", `${a}\n${b}\n`],
  ["lines of Windows with a byte order mark", `\ufeff${a}\r\n${b}\r\n`],
  ["one behind another", `${a}${b}`],
  ["zeros that a crash left behind", `${a}\n${b}\n${"\0".repeat(300)}`],
])("%s: two elements", (_, text) => {
  expect(elements(text)).toEqual([a, b]);
});

test.each([
  ["a list under a key", `{"x":[${a}],"data":[${a},${b}],"y":{"data":[${a}]}}`, ["data"]],
  ["an object under a key in each line", `{"x":1,"_source":${a}}\n{"_source":${b}}`, ["_source"]],
  [
    "keys within keys",
    `{"hits":{"n":2,"hits":[{"_source":${a}},{"_id":"1","_source":${b}}]}}`,
    ["hits", "hits", "_source"],
  ],
])("%s: two elements", (_, text, path) => {
  expect(elements(text, ...path)).toEqual([a, b]);
  expect(
    elements(JSON.stringify(JSON.parse(`[${text.replaceAll("}\n{", "},{")}]`), null, 2), ...path),
  ).toHaveLength(2);
});

test("an element that its user refuses costs only itself", () => {
  expect(elements(`{"data":[${a},{"x":oops},\n${b}]}`, "data")).toEqual([a, "1: malformed", b]);
});

test("a line that was cut off costs only itself", () => {
  expect(elements(`${a}\n{"x":"half\n${b}\n{"y":[\n${a}\noops\n${b}`)).toEqual([
    a,
    `2: ${cutOff}`,
    b,
    `4: ${cutOff}`,
    a,
    '6: is no JSON object, but starts with "oops"',
    b,
  ]);
});

test("in a pretty text it goes on at what begins where the broken element began", () => {
  const text = `{"data":[\n  {\n    "x":"half\n  },\n    {"y":1},\n  ${a}\n]}`;
  expect(elements(text, "data")).toEqual([`2: ${cutOff}`, a]);
});

test("a record follows a broken one, however far in from the left", () => {
  const text = `[\n {\n  "data": [\n   {\n    "x": "half\n   }\n  ]\n },\n {\n  "data": [\n   ${a}\n  ]\n }\n]`;
  expect(elements(text, "data")).toEqual([`4: ${cutOff}`, a]);
});

test("half an element at the end is reported where it begins", () => {
  expect(elements(`{"data":[${a},\n{"x":[`, "data")).toEqual([a, `2: ${cutOff}`]);
});

test("a record without the key is reported with the keys that it has; an empty list is none", () => {
  expect(elements(`{"x":1,"y":2}\n{"data":null}\n{"data":[]}`, "data")).toEqual([
    "1: has no data (x, y)",
    "2: has no data (data)",
  ]);
});

test("values of noted keys are handed over once their record is over, those at its top alone", () => {
  const noted = `{"status":"PARTIAL","data":{"status":1,"x":[${a}]}}`;
  expect(elements(`${noted}\n${noted}\n{"status":1,"half":`, "data", "x")).toEqual([
    a,
    'status="PARTIAL"',
    a,
    'status="PARTIAL"',
    `3: ${cutOff}`,
    "status=1",
  ]);
});

test("a list of elements has nothing in it that its user does not see", () => {
  expect(elements(`{"data":[${a},7,oops,"x" ,${b}]}`, "data")).toEqual([a, "7", "1: malformed", '"x"', b]);
});

test("what a line begins with tells a record from an element", () => {
  expect(elements(`{"data":[\n${a},\n${b}\n]}\n{"data":[${a},{"half":\n{"data":[${b}]}`, "data")).toEqual([
    a,
    b,
    a,
    `5: ${cutOff}`,
    b,
  ]);
  expect(elements(`{"n":1,"data":${a}}\n{"n":1,"data":{"half\n{"n":2,"data":[\n${b}\n]}`, "data")).toEqual([
    a,
    `2: ${cutOff}`,
    b,
  ]);
});

test("an element that is too large is skipped, and memory for it given back", () => {
  const large = `{"x":"${"y".repeat(200)}"}`;
  expect(elementsBy({ path: [], bytesMax: 100 }, `[${a},${large},${b}]`)).toEqual([
    a,
    "1: is larger than 100 bytes",
    b,
  ]);
});

test("a string ends at its quote, wherever that stands and whatever is before it", () => {
  const ends = ["", '\\"', "\\\\", "\t", "!", "#", "\u007f", "é", "🙂", "\u00a2", "\u00dc", "]}"];
  for (const end of ends)
    for (let length = 0; length < 9; length += 1) {
      const one = `{"${"x".repeat(length)}${end}":"${end}","y":["${end}","","${end}"]}`;
      expect(elements(`{"d":[${one},7]}`, "d")).toEqual([end === "\t" ? "1: malformed" : one, "7"]);
    }
});

test("a million brackets are no trouble", () => {
  expect(cut({ path: ["data"] }, Buffer.from(`{"data":${"[".repeat(1e6)}`), 1 << 16)).toHaveLength(1);
});

test("any values in any layout come out whole, and any damage comes out the same in all chunks", () => {
  const value = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }));
  fc.assert(
    fc.property(fc.array(value, { maxLength: 4 }), fc.constantFrom(0, 1, "\t"), (values, space) => {
      const texts = values.map((one) => JSON.stringify(one));
      expect(
        elements(JSON.stringify(values, null, space)).map((text) => JSON.stringify(JSON.parse(text))),
      ).toEqual(texts);
      expect(elements(texts.join("\n"))).toEqual(texts);
      const data = JSON.stringify({ data: values }, null, space);
      expect(elements(data, "data").map((text) => JSON.stringify(JSON.parse(text)))).toEqual(texts);
    }),
    { numRuns: runs(25) },
  );
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(1000), fc.constantFrom(0, 10, 34, 44, 91, 92, 93, 123, 125)), {
        maxLength: 4,
      }),
      fc.constantFrom("data", ""),
      (values, changes, key) => {
        const text =
          key === ""
            ? values.map((one) => JSON.stringify(one)).join("\n")
            : JSON.stringify({ data: values }, null, 1);
        const bytes = Buffer.from(text);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        elementsBy({ path: key === "" ? [] : [key] }, bytes.toString("latin1"));
      },
    ),
    { numRuns: runs(75) },
  );
});

test.each([
  ["a record that is its whole line", `${a}\n${b}\n`, [a, b]],
  ["one that begins its line, but is not all of it", `${a}${b}${a}\n${b}`, [`${a}${b}${a}`, b]],
  ["none in a list on one line, whose end would be looked for with each", `[${a},${b},${a}]`, []],
])("offered as a line: %s", (_, text, expected) => {
  const lines: string[] = [];
  const cutter = new JsonElements(
    { path: [] },
    {
      use: () => null,
      skip: (_place, why) => expect.fail(why),
      useLine: (line) => {
        lines.push(line.toString());
        return line.equals(Buffer.from(a)) || line.equals(Buffer.from(b));
      },
    },
  );
  cutter.push(Buffer.from(text));
  cutter.end();
  expect(lines).toEqual(expected);
});
