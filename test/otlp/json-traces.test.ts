import { readdirSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { MalformedBodyError } from "../../src/model/telemetry.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { decodeTraces } from "../../src/otlp/protobuf-traces.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { recorded } from "../data-folder.ts";
import { runs } from "../runs.ts";
import { anyRequest, expectedView, requestNode, viewOf, writeAnyhow } from "./json-text.ts";

const ids = '"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174"';

describe("any request, written in any way", () => {
  test("is read as it was meant", () => {
    fc.assert(
      fc.property(anyRequest, fc.nat(), (request, seed) => {
        const { table, result } = decode(writeAnyhow(requestNode(request), seed));
        const expected = expectedView(request);
        expect(viewOf(table)).toEqual(expected);
        expect(result).toEqual({ accepted: expected.length, rejected: 0, reasons: new Map() });
      }),
      { numRuns: runs(75) },
    );
  });

  test("is the same again after being written as JSON and after being written as protobuf", () => {
    fc.assert(
      fc.property(anyRequest, fc.nat(), (request, seed) => {
        const { table } = decode(writeAnyhow(requestNode(request), seed));
        const fromJson = decode(tracesToJson(rowsOf(table)));
        const fromProtobuf = new SpanTable();
        decodeTraces(encodeTraces(rowsOf(table)), fromProtobuf);
        expect(viewOf(fromJson.table)).toEqual(expectedView(request));
        expect(viewOf(fromProtobuf)).toEqual(expectedView(request));
      }),
      { numRuns: runs(38) },
    );
  });

  test("reads the same whatever was read into the table before", () => {
    fc.assert(
      fc.property(fc.array(anyRequest, { maxLength: 4 }), fc.nat(), (requests, seed) => {
        const table = new SpanTable();
        for (const request of requests)
          decodeTracesJson(Buffer.from(writeAnyhow(requestNode(request), seed)), table);
        expect(viewOf(table)).toEqual(requests.flatMap(expectedView));
      }),
      { numRuns: runs(15) },
    );
  });
});

test("names of before OTLP 1.0 are understood", () => {
  const { table } = decode(
    `{"resourceSpans":[{"instrumentationLibrarySpans":[{"instrumentationLibrary":{"name":"lib"},"spans":[{${ids}}]}]}]}`,
  );
  expect(new Span(table, 0).scopeName).toBe("lib");
});

describe("a bad span costs only itself", () => {
  const good = `{${ids},"attributes":[{"key":"k","value":{"stringValue":"v"}}],"events":[{"name":"e"}]}`;
  const bad: readonly (readonly [string, string])[] = [
    ["{}", "invalid_trace_id"],
    ["null", "invalid_trace_id"],
    ['{"traceId":"00000000000000000000000000000000","spanId":"eee19b7ec3c1b174"}', "invalid_trace_id"],
    ['{"traceId":"5b8efff798038103","spanId":"eee19b7ec3c1b174"}', "invalid_trace_id"],
    ['{"traceId":"5b8efff798038103d269b633813fc60x","spanId":"eee19b7ec3c1b174"}', "invalid_trace_id"],
    ['{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"0000000000000000"}', "invalid_span_id"],
    ['{"traceId":"5b8efff798038103d269b633813fc60c"}', "invalid_span_id"],
    ["5", "malformed_span"],
    ["[]", "malformed_span"],
    [`{${ids},"name":5}`, "malformed_span"],
    [`{${ids},"kind":"CLIENT"}`, "malformed_span"],
    [`{${ids},"kind":{}}`, "malformed_span"],
    [`{${ids},"startTimeUnixNano":"now"}`, "malformed_span"],
    [`{${ids},"startTimeUnixNano":"18446744073709551616"}`, "malformed_span"],
    [`{${ids},"startTimeUnixNano":-1}`, "malformed_span"],
    [`{${ids},"startTimeUnixNano":1.5}`, "malformed_span"],
    [`{${ids},"attributes":{}}`, "malformed_span"],
    [`{${ids},"attributes":[{"key":"k","value":{"intValue":"9223372036854775808"}}]}`, "malformed_span"],
    [`{${ids},"attributes":[{"key":"k","value":{"bytesValue":"a"}}]}`, "malformed_span"],
    [`{${ids},"attributes":[{"key":"k","value":"v"}]}`, "malformed_span"],
    [`{${ids},"events":[{"name":"e","attributes":[{"key":1}]}]}`, "malformed_span"],
    [`{${ids},"links":[{"traceId":5}],"droppedLinksCount":1}`, "malformed_span"],
    [`{${ids},"droppedEventsCount":4294967296}`, "malformed_span"],
  ];
  test.each(bad)("%s: %s", (text, reason) => {
    const { table, result } = decode(
      `{"resourceSpans":[{"scopeSpans":[{"spans":[${good},${text},${good}]}],"resource":{"attributes":[{"key":"r"}]}}]}`,
    );
    expect(result).toEqual({ accepted: 2, rejected: 1, reasons: new Map([[reason, 1]]) });
    const [first, second] = viewOf(table);
    expect(second).toEqual(first);
    expect(new Span(table, 1).events).toHaveLength(1);
    expect(new Span(table, 1).resourceAttributes).toEqual(new Map([["r", null]]));
    expect(table.dropped.size).toBe(0);
  });
});

describe("what is no request leaves the table as it was", () => {
  test("a body cut off at any byte", () => {
    const request = fc.sample(anyRequest, { numRuns: 20, seed: 7 }).find((one) => one.length > 0);
    const body = Buffer.from(writeAnyhow(requestNode(request ?? []), 1).trim());
    const step = Math.ceil(200 / runs(50));
    for (let length = 0; length < body.length; length += step) checkRefused(body.subarray(0, length));
  });

  test.each([
    ["", 0, "an object expected but the text ends"],
    ["null", 0, "an object expected"],
    ["[]", 0, "an object expected"],
    ["{} {}", 3, "end of the text"],
    ['{"resourceSpans":[}', 18, "a value"],
    ['{"resourceSpans":5}', 17, "an array expected"],
    ['{"resourceSpans":[{"resource":{"attributes":"x"}}]}', 44, "an array expected"],
    ['{"a":01}', 5, "a number"],
    ['{"a":tru}', 5, "a value"],
    ['{"a" 1}', 5, '":"'],
    ['{"resourceSpans":[{"schemaUrl":"\\x"}]}', 32, "an escape"],
    ['{"resourceSpans":[{"schemaUrl":"\\u12g4"}]}', 32, "four hex digits"],
  ])("%s is refused at byte %i", (text, offset, message) => {
    const error = checkRefused(Buffer.from(text));
    expect(error.offset).toBe(offset);
    expect(error.message).toContain(message);
  });
});

test("a body with any bytes changed is read or refused, never half read", () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(anyRequest, fc.nat(), edits, (request, seed, changes) => {
      const body = Buffer.from(writeAnyhow(requestNode(request), seed));
      for (const [at, byte] of changes) body[at % body.length] = byte;
      const table = new SpanTable();
      try {
        const { accepted } = decodeTracesJson(body, table);
        expect(viewOf(table)).toHaveLength(accepted);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedBodyError);
        expect(table.mark()).toEqual(new SpanTable().mark());
      }
    }),
    { numRuns: runs(250) },
  );
});

describe("bombs", () => {
  const levels = 500_000;
  test.each([
    ["arrays in an unknown key", `"x":${"[".repeat(levels)}${"]".repeat(levels)}`],
    ["objects in an unknown key", `"x":${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`],
    [
      "values",
      `"attributes":[{"key":"k","value":${'{"arrayValue":{"values":['.repeat(levels)}${"]}}".repeat(levels)}}]`,
    ],
  ])("%s, half a million deep, need no stack", (_, field) => {
    expect(decode(bodyOf(`${ids},${field}`)).result.accepted).toBe(1);
  });
});

describe("recorded files", () => {
  const capture = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");
  test.skipIf(capture.missing)(`the demo capture has 547 spans ${capture.reason}`, () => {
    const table = new SpanTable();
    for (const line of readFileSync(capture.path, "utf8").split("\n"))
      if (line !== "") expect(decodeTracesJson(Buffer.from(line), table).rejected).toBe(0);
    expect(table.rowCount).toBe(547);
    expect(viewOf(decode(tracesToJson(rowsOf(table))).table).length).toBe(547);
  });

  const folder = recorded("samples", "otlp-json");
  test.skipIf(folder.missing)(`every sample is read as JSON.parse reads it ${folder.reason}`, () => {
    const names = readdirSync(folder.path, { recursive: true, encoding: "utf8" });
    for (const name of names.filter((one) => one.endsWith(".json"))) {
      const body = readFileSync(`${folder.path}/${name}`);
      const plain = JSON.parse(body.toString()) as {
        resourceSpans?: { scopeSpans?: { spans?: { name: string; traceId: string }[] }[] }[];
      };
      const spans = (plain.resourceSpans ?? [])
        .flatMap((one) => one.scopeSpans ?? [])
        .flatMap((one) => one.spans ?? []);
      const { table } = decode(body.toString());
      expect(
        rowsOf(table).map(({ row }) => [new Span(table, row).name, new Span(table, row).traceId]),
        name,
      ).toEqual(spans.map((span) => [span.name, span.traceId.toLowerCase()]));
    }
  });
});

function decode(text: string): { table: SpanTable; result: ReturnType<typeof decodeTracesJson> } {
  const table = new SpanTable();
  return { table, result: decodeTracesJson(Buffer.from(text), table) };
}

function rowsOf(table: SpanTable): readonly RowRef[] {
  return Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
}

function bodyOf(fields: string): string {
  return `{"resourceSpans":[{"scopeSpans":[{"spans":[{${fields}}]}]}]}`;
}

function checkRefused(body: Uint8Array): MalformedBodyError {
  const table = new SpanTable();
  decodeTracesJson(Buffer.from(bodyOf(`${ids},"attributes":[{"key":"k"}],"droppedLinksCount":1`)), table);
  const before = viewOf(table);
  const mark = table.mark();
  let thrown: unknown;
  try {
    decodeTracesJson(body, table);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(MalformedBodyError);
  expect(table.mark()).toEqual(mark);
  expect(viewOf(table)).toEqual(before);
  return thrown as MalformedBodyError;
}
