import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { detectFormat } from "../../src/formats/detect.ts";
import { otlpJson } from "../../src/formats/json-formats.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { recorded } from "../data-folder.ts";
import { rowsOf, tableOf } from "../notation.ts";

function kindOf(content: string | Uint8Array, isWhole = true): string {
  const format = detectFormat(typeof content === "string" ? Buffer.from(content) : content, isWhole);
  if (format.kind === "unsupported") return format.name;
  if (format.kind === "json" && format.format !== otlpJson)
    return `${format.format.name} at ${format.format.elements.path.join(".") || "top"}`;
  return format.kind === "protobuf" ? `protobuf ${format.framing}` : format.kind;
}

const span = `{"resourceSpans":[{"scopeSpans":[{"spans":[]}]}]}`;

test.each([
  ["an object", span],
  ["a pretty object", JSON.stringify(JSON.parse(span), null, 4)],
  ["an array", `[${span}]`],
  ["a byte order mark and white space before", `\ufeff \r\n${span}`],
  ["zeros before", `\0\0\0\0\0\0${span}`],
  ["metrics", `{"resourceMetrics":[]}`],
  ["logs in snake case", `{"resource_logs":[]}`],
  ["another key first", `{"comment":"x","resourceSpans":[]}`],
  ["an empty object", "{}"],
  ["an empty array", "[ ]"],
  ["half a line first, from a rotated file", `e":1}]}]}\n${span}\n`],
])("OTLP JSON: %s", (_, text) => {
  expect(kindOf(text)).toBe("json");
});

test("lengths that look like brackets do not make protobuf JSON", () => {
  const seen = new Set<number>();
  for (let length = 1; length < 80; length += 1) {
    const spans = rowsOf(tableOf(`web ${"x".repeat(length)} 0..1ms`));
    const request = encodeTraces(spans);
    seen.add(request.length).add(request[1]!);
    expect(kindOf(request)).toBe("protobuf raw");
    expect(kindOf(Buffer.concat([Buffer.from([0, 0, 0, request.length]), request]))).toBe(
      "protobuf delimited",
    );
    expect(kindOf(`\n${tracesToJson(spans)}`)).toBe("json");
  }
  expect([seen.has(0x5b), seen.has(0x7b)]).toEqual([true, true]);
});

test.each([
  ["nothing", ""],
  ["white space", " \n\n"],
  ["zeros", "\0".repeat(100)],
])("%s is empty", (_, text) => {
  expect(kindOf(text)).toBe("empty");
});

test.each([
  ["a zip archive", Buffer.from("PK\u0003\u0004 and so on")],
  ["UTF-16 text", Buffer.from("\ufeff{}", "utf16le")],
  ["AWS X-Ray JSON", `{"Traces":[{"Id":"1","Segments":[{"Document":"{}"}]}]}`],
  ["a Chrome trace", `{"traceEvents":[]}`],
  ["OTLP profiles", `{"resourceProfiles":[]}`],
  ["a topology for the structural engine", `{"failed_service":"a","dependencies":{"a":["b"]},"services":{}}`],
])("%s is named, and not read", (name, content) => {
  expect(kindOf(content)).toBe(name);
});

const zipkinSpan = `{"traceId":"1","id":"2","name":"get"}`;

test.each([
  ["Jaeger JSON at data", `{"data":[{"traceID":"1","spans":[{"traceID":"1","spanID":"2"}],"processes":{}}]}`],
  ["Jaeger JSON at data", `{"total":0,"data":[{"processes":{"p1":{}},"traceID":"1","spans":[`],
  ["Jaeger JSON at data", `{"data":[],"total":0,"limit":0,"offset":0,"errors":null}`],
  ["Jaeger JSON at top", `{"traceID":"1","processes":{},"spans":[]}`],
  ["Jaeger JSON at top", `[{"spans":[{"spanID":"2"}]}]`],
  ["Jaeger API v3 JSON at result.resourceSpans", `{"result":{"resourceSpans":[]}}`],
  ["Jaeger documents from Elasticsearch at top", `{"traceID":"1","spanID":"2","startTimeMillis":1}`],
  ["Jaeger documents from Elasticsearch at _source", `{"_index":"a","_source":{"traceID":"1","spanID":"2"}}`],
  [
    "Jaeger documents from Elasticsearch at hits.hits._source",
    `{"took":1,"hits":{"total":{"value":1},"hits":[{"_id":"a","_source":{"traceID":"1","spanID":"2"}}]}}`,
  ],
  ["Zipkin v2 JSON at top", `[${zipkinSpan}]`],
  ["Zipkin v2 JSON at top", `[[${zipkinSpan}]]`],
  ["Zipkin v2 JSON at top", `${zipkinSpan}\n${zipkinSpan}\n`],
  ["Zipkin v2 JSON at top", `me":"get"}\n${zipkinSpan}\n`],
  ["Zipkin v1 JSON at top", `[{"traceId":"1","id":"2","binaryAnnotations":[]}]`],
  ["Zipkin v1 JSON at top", `[{"traceId":"1","id":"2","annotations":[{"endpoint":{},"value":"cs"}]}]`],
  ["Tempo JSON (v1) at batches", `{"batches":[{"resource":{},"scopeSpans":[]}]}`],
  ["Tempo JSON (v2) at trace.resourceSpans", `{"trace":{"resourceSpans":[]},"status":"COMPLETE"}`],
])("%s", (name, content) => {
  expect(kindOf(content)).toBe(name);
});

test("a list of Zipkin's spans in protobuf is told from OTLP", () => {
  for (const idLength of [8, 16])
    for (const parent of [[], [0x12, 8, ...Array(8).fill(1)]]) {
      const bare = [0x0a, idLength, ...Array(idLength).fill(7), ...parent, 0x1a, 8, ...Array(8).fill(2)];
      const named = [...bare, 0x2a, 100, ...Array(100).fill(0x61)];
      expect(kindOf(Uint8Array.from([0x0a, bare.length, ...bare]))).toBe("protobuf zipkin");
      expect(kindOf(Uint8Array.from([0x0a, named.length | 0x80, named.length >> 7, ...named]))).toBe(
        "protobuf zipkin",
      );
    }
});

test("unknown content is shown, with what was tried", () => {
  const format = detectFormat(Buffer.from("\u0001\u00ff<html>"), true);
  expect(format).toMatchObject({
    kind: "unknown",
    hint: expect.stringContaining(`"\\u0001\\u00c3\\u00bf<html>"`),
  });
  expect(format).toMatchObject({ hint: expect.stringContaining("OTLP protobuf") });
});

test("a table of comma-separated values is called so", () => {
  expect(detectFormat(Buffer.from("trace_id,span_id,name\n1,2,3\n"), true)).toMatchObject({
    kind: "unknown",
    hint: expect.stringContaining("looks like CSV"),
  });
});

const samples = recorded("samples");
describe.skipIf(samples.missing)(`recorded samples ${samples.reason}`, () => {
  test.each([
    ["otlp-json", /^json$/],
    ["otlp-jsonl", /^json$/],
    ["jaeger-json", /^Jaeger JSON at (data|top)$/],
    ["zipkin-json", /^Zipkin v2 JSON at top$/],
    ["tempo-json", /^Tempo JSON \(v1\) at batches$/],
  ])("%s are all recognised", (folder, expected) => {
    const kinds = filesIn(join(samples.path, folder)).map(
      (file) => [file, kindOf(readFileSync(file))] as const,
    );
    expect(kinds.filter(([, kind]) => !expected.test(kind))).toEqual([]);
  });
});

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesIn(path) : [path]));
}
