import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { type LogRecord, MalformedBodyError, type MetricPoint } from "../../src/model/telemetry.ts";
import { encodeLogs } from "../../src/otlp/encode-logs.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { decodeLogsJson } from "../../src/otlp/json-logs.ts";
import { decodeMetricsJson } from "../../src/otlp/json-metrics.ts";
import { decodeLogs } from "../../src/otlp/protobuf-logs.ts";
import { decodeMetrics } from "../../src/otlp/protobuf-metrics.ts";
import { recorded } from "../data-folder.ts";
import { logsToJson, metricsToJson } from "./request-json.ts";

describe("metrics", () => {
  test("points of every kind are read, in any order of keys", () => {
    const body = `{"resourceMetrics":[{
      "scopeMetrics":[{"metrics":[
        {"gauge":{"dataPoints":[{"asInt":"7","timeUnixNano":"1750000000123456789","attributes":[{"key":"cpu","value":{"intValue":1}}]}]},
         "unit":"1","name":"g"},
        {"name":"s","sum":{"dataPoints":[{"asDouble":1.5,"start_time_unix_nano":5}],"isMonotonic":true,
         "aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA"}},
        {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[
          {"count":"3","sum":4,"bucketCounts":["1",2],"explicitBounds":[0.5],"min":"-Infinity","max":null}]}},
        {"name":"e","exponentialHistogram":{"aggregation_temporality":2,"dataPoints":[
          {"count":3,"scale":-2,"zeroCount":"1","positive":{"offset":-1,"bucketCounts":["2"]},"negative":null}]}},
        {"name":"q","summary":{"dataPoints":[{"count":2,"sum":3,"quantileValues":[{"quantile":0.5,"value":1}]}]}}
      ]}],
      "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"db"}}]}}]}`;
    const { points, result } = decodeMetricsJson(Buffer.from(body));
    const resource = new Map([["service.name", "db"]]);
    const none = new Map();
    const zero = { resource, unit: "", attributes: none, startTime: 0n, time: 0n };
    const distribution = { count: 3, sum: 4, min: -Infinity, max: null, temporality: "cumulative" };
    expect(points).toEqual([
      {
        ...zero,
        name: "g",
        unit: "1",
        attributes: new Map([["cpu", 1n]]),
        time: 1750000000123456789n,
        value: { kind: "gauge", value: 7 },
      },
      {
        ...zero,
        name: "s",
        startTime: 5n,
        value: { kind: "sum", value: 1.5, isMonotonic: true, temporality: "delta" },
      },
      {
        ...zero,
        name: "h",
        value: { kind: "histogram", ...distribution, bounds: [0.5], bucketCounts: [1, 2] },
      },
      {
        ...zero,
        name: "e",
        value: {
          kind: "exponential_histogram",
          ...distribution,
          sum: null,
          min: null,
          scale: -2,
          zeroCount: 1,
          positive: { offset: -1, bucketCounts: [2] },
          negative: { offset: 0, bucketCounts: [] },
        },
      },
      {
        ...zero,
        name: "q",
        value: { kind: "summary", count: 2, sum: 3, quantiles: [{ quantile: 0.5, value: 1 }] },
      },
    ]);
    expect(result).toEqual({ accepted: 5, rejected: 0, reasons: new Map() });
    checkSameAgain(points);
  });

  test("a bad point and a bad metric cost only themselves; a point may say that it has no value", () => {
    const good = '{"asInt":1}';
    const { points, result } = decodeMetricsJson(
      Buffer.from(
        `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
          {"name":"a","gauge":{"dataPoints":[${good},{"asInt":"x"},5,{"flags":1},{"asInt":3,"flags":1},${good}]}},
          {"name":5,"gauge":{"dataPoints":[${good},${good}]}},
          {"name":"c","gauge":{"dataPoints":[${good}]}}]}]}]}`,
      ),
    );
    expect(points.map(({ name, value }) => [name, value.kind])).toEqual([
      ["a", "gauge"],
      ["a", "none"],
      ["a", "none"],
      ["a", "gauge"],
      ["c", "gauge"],
    ]);
    expect(result).toEqual({ accepted: 5, rejected: 4, reasons: new Map([["malformed_data_point", 4]]) });
  });

  test("a body cut off at any byte is refused", () => {
    const body = Buffer.from(
      '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","sum":{"dataPoints":[{"asInt":"1"}]}}]}]}]}',
    );
    for (let length = 0; length < body.length; length += 1)
      expect(() => decodeMetricsJson(body.subarray(0, length))).toThrow(MalformedBodyError);
  });
});

describe("logs", () => {
  test("records are read, in any order of keys", () => {
    const body = `{"resourceLogs":[{
      "scopeLogs":[{"logRecords":[
        {"timeUnixNano":"1750000000123456789","observedTimeUnixNano":2,"severityNumber":"SEVERITY_NUMBER_ERROR2","severityText":"ERR",
         "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","eventName":"exception",
         "body":{"kvlistValue":{"values":[{"key":"__proto__","value":{"boolValue":true}}]}},
         "attributes":[{"key":"code","value":{"doubleValue":"NaN"}}]},
        {"traceId":"","spanId":"xyz","body":{"stringValue":"second"}}],
        "scope":{"name":"lib"}}],
      "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"db"}}]}}]}`;
    const { records, result } = decodeLogsJson(Buffer.from(body));
    const shared = { resource: new Map([["service.name", "db"]]), scopeName: "lib" };
    expect(records).toEqual([
      {
        ...shared,
        time: 1750000000123456789n,
        observedTime: 2n,
        severityNumber: 18,
        severityText: "ERR",
        body: new Map([["__proto__", true]]),
        attributes: new Map([["code", Number.NaN]]),
        traceId: "5b8efff798038103d269b633813fc60c",
        spanId: "eee19b7ec3c1b174",
        eventName: "exception",
      },
      {
        ...shared,
        time: 0n,
        observedTime: 0n,
        severityNumber: 0,
        severityText: "",
        body: "second",
        attributes: new Map(),
        traceId: "",
        spanId: "",
        eventName: "",
      },
    ]);
    expect(result).toEqual({ accepted: 2, rejected: 0, reasons: new Map() });
    checkSameLogsAgain(records);
  });

  test("a bad record costs only itself", () => {
    const { records, result } = decodeLogsJson(
      Buffer.from(
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"a"},{"severityText":1},[],{"severityText":"b"}]}]}]}',
      ),
    );
    expect(records.map(({ severityText }) => severityText)).toEqual(["a", "b"]);
    expect(result).toEqual({ accepted: 2, rejected: 2, reasons: new Map([["malformed_log_record", 2]]) });
  });

  test("a wrong type around the records is refused with its place", () => {
    expect(() => decodeLogsJson(Buffer.from('{"resourceLogs":{}}'))).toThrow("an array expected at byte 16");
  });
});

const capture = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");
test.skipIf(capture.missing)(`the demo capture has 4,551 points and 23 records ${capture.reason}`, () => {
  const lines = readFileSync(capture.path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  const points = lines.flatMap((line) => decodeMetricsJson(Buffer.from(line)).points);
  const records = lines.flatMap((line) => decodeLogsJson(Buffer.from(line)).records);
  // that they survive every encoding is seen in write-otlp.test.ts
  expect([points.length, records.length]).toEqual([4551, 23]);
});

/** Writing brings together what belongs together, so the order may change. */
function checkSameAgain(points: readonly MetricPoint[]): void {
  const expected = sorted(points);
  expect(sorted(decodeMetricsJson(Buffer.from(metricsToJson(points))).points)).toEqual(expected);
  expect(sorted(decodeMetrics(encodeMetrics(points)).points)).toEqual(expected);
}

function checkSameLogsAgain(records: readonly LogRecord[]): void {
  const expected = sorted(records);
  expect(sorted(decodeLogsJson(Buffer.from(logsToJson(records))).records)).toEqual(expected);
  expect(sorted(decodeLogs(encodeLogs(records)).records)).toEqual(expected);
}

function sorted<T>(items: readonly T[]): readonly T[] {
  const keyed = items.map((item) => [inspect(item, { depth: 9, maxArrayLength: null }), item] as const);
  return keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, item]) => item);
}
