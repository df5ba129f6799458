import { expect, test } from "vitest";
import { JsonElements } from "../../src/formats/json-elements.ts";
import { elementUserOf, otlpJson } from "../../src/formats/json-formats.ts";

/** What becomes of OTLP JSON, the same for every size of chunk: records as text, flaws as `line: why`. */
function records(text: string): readonly string[] {
  const results = [1, 7, 100, 1 << 20].map((size) => cut(Buffer.from(text), size));
  for (const result of results) expect(result).toEqual(results[0]);
  return results[0]!;
}

function cut(bytes: Uint8Array, size: number): readonly string[] {
  const found: string[] = [];
  const user = elementUserOf(otlpJson, {
    use(signal, record) {
      const text = Buffer.from(record).toString();
      try {
        JSON.parse(text);
      } catch {
        return "malformed";
      }
      found.push(`${signal} ${text}`);
      return null;
    },
    skip: ({ line }, why) => void found.push(`${line}: ${why}`),
  });
  const cutter = new JsonElements(otlpJson.elements, user);
  for (let at = 0; at < bytes.length; at += size) cutter.push(bytes.subarray(at, at + size));
  cutter.end();
  return found;
}

const a = `{"resourceSpans":[{"a":1}]}`;
const b = `{"resourceSpans":[{"b":"}]{ \\" \\\\"}]}`;
const cutOff = "ends in the middle of a record";

test.each([
  ["lines", `${a}\n${b}\n`],
  ["lines without a last newline", `${a}\n${b}`],
  ["lines of Windows", `${a}\r\n${b}\r\n`],
  ["a byte order mark", `\ufeff${a}\n${b}`],
  ["empty lines", `\n\n${a}\n\n  \n${b}\n\n`],
  ["zeros that a crash left behind", `${a}\n${b}\n${"\0".repeat(300)}`],
  ["zeros between records", `${a}\n${"\0".repeat(300)}${b}\n`],
  ["an array", `[${a},${b}]`],
  ["an array over lines", `[\n  ${a},\n  ${b}\n]\n`],
  ["an array on each line", `[${a}]\n[${b}]`],
  ["objects one behind another", `${a}${b}`],
  ["objects with spaces between them", `${a} ${b}`],
])("%s: two records", (_, text) => {
  expect(records(text)).toEqual([`traces ${a}`, `traces ${b}`]);
});

test("a pretty-printed object is cut into its elements", () => {
  const text = JSON.stringify({ resourceSpans: [{ a: [1, { b: "]" }] }, { c: 2 }] }, null, 2);
  expect(records(text).map((record) => JSON.stringify(JSON.parse(record.slice(7))))).toEqual([
    `{"resourceSpans":[{"a":[1,{"b":"]"}]}]}`,
    `{"resourceSpans":[{"c":2}]}`,
  ]);
});

test("an object with several signals gives each to its own", () => {
  expect(
    records(`{"resourceSpans":[{"a":1}],"resourceLogs":[{"b":2}], "resource_metrics" : [{"c":3}]}`),
  ).toEqual([
    `traces {"resourceSpans":[{"a":1}]}`,
    `logs {"resourceLogs":[{"b":2}]}`,
    `metrics {"resourceMetrics":[{"c":3}]}`,
  ]);
});

test("keys before the signal are passed over", () => {
  expect(records(`{"x":{"y":[1,"}"]},"n":null,"s":"a,b","resourceSpans":[{"a":1}]}`)).toEqual([
    `traces ${a}`,
  ]);
});

test("no signal and no keys is an empty record", () => {
  expect(records(`{}\n{"resourceSpans":[]}\n{"resourceSpans":null}`)).toEqual([
    `traces {"resourceSpans":[]}`,
    `traces {"resourceSpans":null}`,
  ]);
});

test("a bad line costs itself alone", () => {
  expect(records(`${a}\n{"resourceSpans":[{"x":}]}\n${b}\n`)).toEqual([
    `traces ${a}`,
    "2: malformed",
    `traces ${b}`,
  ]);
});

test("a bad element costs itself alone", () => {
  expect(records(`{"resourceSpans":[{"a":1},{"x":},{"a":1}]}\n`)).toEqual([
    `traces ${a}`,
    "1: malformed",
    `traces ${a}`,
  ]);
});

test.each([
  ["within its structure", `{"resourceSpans":[{"x":1`],
  ["within a string", `{"resourceSpans":[{"x":"half`],
  ["behind its list", `{"resourceSpans":[{"x":`],
  ["within a key", `{"resourceSp`],
])("a line that is cut off %s does not cost the next", (_, half) => {
  expect(records(`${a}\n${half}\n${b}\n`)).toContain(`traces ${b}`);
  expect(records(`${a}\n${half}\n${b}\n`).filter((record) => record.startsWith("2: "))).toHaveLength(1);
});

test("half a last line is reported", () => {
  expect(records(`${a}\n{"resourceSpans":[{"x":1`)).toEqual([`traces ${a}`, `2: ${cutOff}`]);
});

test("the end of a rotated line at the beginning is skipped", () => {
  expect(records(`alue":1}]}]}\n${a}\n`)).toEqual([
    expect.stringContaining("1: is no JSON object"),
    `traces ${a}`,
  ]);
});

test("text between records is skipped", () => {
  expect(records(`${a}\nhello\n${b}`)).toEqual([
    `traces ${a}`,
    expect.stringContaining("2: is no JSON object, but starts with"),
    `traces ${b}`,
  ]);
});

test("an object of something else is named by its keys", () => {
  expect(records(`${a}\n{"level":"info","msg":"started"}\n`)).toEqual([
    `traces ${a}`,
    "2: has no resourceSpans, resourceMetrics or resourceLogs (level, msg)",
  ]);
});

test("a line beyond the limit is cut into elements instead of being held whole", () => {
  const many = Array.from({ length: 60_000 }, (_, at) => `{"a":"${String(at).padStart(100, "x")}"}`);
  const bytes = Buffer.from(`{"resourceSpans":[${many.join(",")}]}\n${a}`);
  const found = cut(bytes, 1 << 16);
  expect(found).toHaveLength(60_001);
  expect(found[0]).toBe(`traces {"resourceSpans":[${many[0]}]}`);
});
