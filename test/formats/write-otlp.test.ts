import { inspect } from "node:util";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { ByteSource } from "../../src/formats/byte-source.ts";
import type { LogRecord, MetricPoint } from "../../src/model/telemetry.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { logsToJson } from "../../src/otlp/json-write-logs.ts";
import { metricsToJson } from "../../src/otlp/json-write-metrics.ts";
import { recorded } from "../data-folder.ts";
import { rowsOf as rowsOfTable, tableOf } from "../notation.ts";
import { telemetry } from "../pipeline/telemetry-generator.ts";
import { runs } from "../runs.ts";
import { converted } from "./converted.ts";
import { collect, rowsOf, streamOf } from "./sources.ts";

const formats = ["otlp-jsonl", "otlp-proto"] as const;

test("OTLP comes out of OTLP as it went in, in both encodings", async () => {
  await fc.assert(
    fc.asyncProperty(telemetry(), async ({ text, metrics }) => {
      const lines = `${tracesToJson(rowsOfTable(tableOf(text)))}\n${metricsToJson(metrics)}\n`;
      await checkSameAgain([streamOf(lines)]);
    }),
    { numRuns: runs(7) },
  );
});

test("all that a span can hold survives, and so do values that JSON has no word for", async () => {
  const span = {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    parentSpanId: "00f067aa0ba902b7",
    traceState: "ot=th:8",
    flags: 0x301,
    name: "GET /",
    kind: 3,
    startTimeUnixNano: "1700000000000000123",
    endTimeUnixNano: "1700000000000000456",
    attributes: [
      { key: "big", value: { intValue: "9223372036854775807" } },
      { key: "negative", value: { intValue: "-3" } },
      { key: "ratio", value: { doubleValue: "NaN" } },
      { key: "zero", value: { doubleValue: "-0" } },
      { key: "bytes", value: { bytesValue: "AP8=" } },
      { key: "nothing", value: {} },
      { key: "list", value: { arrayValue: { values: [{ boolValue: true }, { stringValue: "ü" }] } } },
      { key: "twice", value: { stringValue: "a" } },
      { key: "twice", value: { stringValue: "b" } },
      { key: "map", value: { kvlistValue: { values: [{ key: "__proto__", value: { intValue: "1" } }] } } },
    ],
    droppedAttributesCount: 1,
    events: [{ timeUnixNano: "1700000000000000200", name: "e", droppedAttributesCount: 2 }],
    droppedEventsCount: 3,
    links: [{ traceId: "1".repeat(32), spanId: "2".repeat(16), traceState: "a=b", flags: 1 }],
    droppedLinksCount: 4,
    status: { code: 2, message: "broken" },
  };
  const scope = { name: "lib", version: "1.2", attributes: [{ key: "s", value: { stringValue: "t" } }] };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
  const line = JSON.stringify({
    resourceSpans: [
      {
        resource: { ...resource, droppedAttributesCount: 5 },
        scopeSpans: [{ scope, spans: [span], schemaUrl: "https://a" }],
        schemaUrl: "https://b",
      },
    ],
  });
  const [, again] = await checkSameAgain([streamOf(line)]);
  const there = await converted([streamOf(line)], "otlp-jsonl");
  expect(again.toString()).toBe(there.bytes.toString());
  expect(JSON.parse(there.bytes.toString())).toMatchObject({
    resourceSpans: [
      {
        resource: { droppedAttributesCount: 5 },
        scopeSpans: [{ scope, schemaUrl: "https://a", spans: [{ droppedLinksCount: 4 }] }],
        schemaUrl: "https://b",
      },
    ],
  });
});

test("metrics and logs of every kind survive", async () => {
  const logs = sources.logs.map((record, at) => ({ ...record, severityNumber: at }));
  const lines = `${metricsToJson(sources.points)}\n${logsToJson(logs)}\n`;
  const read = await collect([streamOf(lines)]);
  expect(sorted(read.points)).toEqual(sorted(sources.points));
  expect(sorted(read.logs)).toEqual(sorted(logs));
  await checkSameAgain([streamOf(lines)]);
});

test("many spans are written as records of bounded size, in their order", async () => {
  const text = Array.from({ length: 2500 }, (_, i) => `web GET /${i} 0..1ms id=${i + 1} trace=${i + 1}`);
  const input = tracesToJson(rowsOfTable(tableOf(text.join("\n"))));
  const { bytes, summary } = await converted([streamOf(input)], "otlp-jsonl");
  const records = bytes.toString().trimEnd().split("\n");
  expect(records.length).toBe(3);
  expect(summary).toMatchObject({ spans: 2500, traces: 2500, points: 0, logs: 0 });
  expect(records[2]).toContain('"name":"GET /2499"');
});

const capture = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");
test.skipIf(capture.missing)(`a demo's capture of all signals survives ${capture.reason}`, async () => {
  await checkSameAgain([capture.path]);
});

/** Through each encoding, and through one after the other. */
async function checkSameAgain(inputs: readonly (string | ByteSource)[]): Promise<readonly [Buffer, Buffer]> {
  const expected = await collect(inputs);
  let bytes: Buffer | null = null;
  const results: Buffer[] = [];
  const [rows, points, logs] = [rowsOf(expected.tables), sorted(expected.points), sorted(expected.logs)];
  const { summary } = expected;
  const isSomething = summary.spans.accepted + summary.points.accepted + summary.logs.accepted > 0;
  for (const format of [...formats, "otlp-jsonl"] as const) {
    bytes = (await converted(bytes === null ? inputs : [streamOf(bytes)], format)).bytes;
    results.push(bytes);
    expect(bytes.length > 0).toBe(isSomething);
    if (bytes.length === 0) continue;
    const read = await collect([streamOf(bytes, 100_003)]);
    expect(read.problems).toEqual([]);
    expect(rowsOf(read.tables)).toEqual(rows);
    expect(sorted(read.points)).toEqual(points);
    expect(sorted(read.logs)).toEqual(logs);
  }
  return [results[1]!, results[2]!];
}

const attributes = new Map<string, string | bigint>([
  ["cpu", 1n],
  ["state", "idle"],
]);
const resource = new Map([["service.name", "db"]]);
const at = { resource, unit: "1", attributes, startTime: 5n, time: 1_750_000_000_123_456_789n };
const distribution = { count: 3, sum: 4.5, min: Number.NEGATIVE_INFINITY, max: null } as const;
const sources = {
  points: [
    { ...at, name: "g", value: { kind: "gauge", value: 7.25 } },
    { ...at, name: "nan", value: { kind: "gauge", value: Number.NaN } },
    ...(["gauge", "sum", "histogram", "exponential_histogram", "summary"] as const).map((of) => ({
      ...at,
      name: `ended ${of}`,
      value: { kind: "none", of } as const,
    })),
    { ...at, name: "s", value: { kind: "sum", value: -0, isMonotonic: true, temporality: "delta" } },
    {
      ...at,
      name: "u",
      startTime: 0n,
      value: { kind: "sum", value: 1, isMonotonic: false, temporality: "cumulative" },
    },
    {
      ...at,
      name: "h",
      value: {
        kind: "histogram",
        ...distribution,
        bounds: [0.5],
        bucketCounts: [1, 2],
        temporality: "cumulative",
      },
    },
    {
      ...at,
      name: "e",
      value: {
        kind: "exponential_histogram",
        ...distribution,
        sum: null,
        scale: -2,
        zeroCount: 1,
        positive: { offset: -1, bucketCounts: [2] },
        negative: { offset: 0, bucketCounts: [] },
        temporality: "unspecified",
      },
    },
    {
      ...at,
      name: "q",
      value: { kind: "summary", count: 2, sum: 3, quantiles: [{ quantile: 0.5, value: 1 }] },
    },
  ] as unknown as MetricPoint[],
  logs: Array.from({ length: 3 }, (_, i) => ({
    resource,
    scopeName: i === 0 ? "" : "lib",
    time: BigInt(i),
    observedTime: 9n,
    severityNumber: 0,
    severityText: i === 0 ? "" : "ERR",
    body: i === 0 ? null : i === 1 ? "text" : new Map<string, unknown>([["a", [1n, null]]]),
    attributes,
    traceId: i === 0 ? "" : "5b8efff798038103d269b633813fc60c",
    spanId: i === 0 ? "" : "eee19b7ec3c1b174",
    eventName: i === 0 ? "exception" : "",
  })) as unknown as LogRecord[],
};

/** Writing brings together what belongs together, so the order may change; that of keys means nothing. */
function sorted(items: readonly (MetricPoint | LogRecord)[]): readonly string[] {
  return items.map((item) => inspect(item, { depth: 9, maxArrayLength: null, sorted: true })).sort();
}
