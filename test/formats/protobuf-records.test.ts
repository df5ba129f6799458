import { expect, test } from "vitest";
import { ProtobufRecords } from "../../src/formats/protobuf-records.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import type { LogRecord, MetricPoint, MetricValue } from "../../src/model/telemetry.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { encodeLogs } from "../../src/otlp/encode-logs.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { requestShape } from "../../src/otlp/request-shape.ts";

const unknown = 0n as UnixNanos;

/** A span that has its ids, and what `write` adds. */
function span(write: (table: SpanTable, row: number) => void = () => {}): Uint8Array {
  const table = new SpanTable(8);
  const row = table.addRow(table.resources.add(), table.scopes.add());
  table.traceId.set([0x0af76519, 0x16cd43dd, 0x8448eb21, 0x1c80319c]);
  table.spanId.set([0xb7ad6b71, 0x69203331]);
  write(table, row);
  return encodeTraces([{ table, row }]);
}

function metric(name: string, value: MetricValue): Uint8Array {
  const point: MetricPoint = {
    resource: new Map(),
    name,
    unit: "By",
    attributes: new Map([["host", "a"]]),
    startTime: unknown,
    time: unknown,
    value,
  };
  return encodeMetrics([point]);
}

function log(parts: Partial<LogRecord>): Uint8Array {
  const empty: LogRecord = {
    resource: new Map(),
    scopeName: "",
    time: unknown,
    observedTime: unknown,
    severityNumber: 0,
    severityText: "",
    body: null,
    attributes: new Map(),
    traceId: "",
    spanId: "",
    eventName: "",
  };
  return encodeLogs([{ ...empty, ...parts }]);
}

test.each([
  ["nothing but its ids", span()],
  ["no times, but a name", span((table, row) => (table.name[row] = table.strings.intern("GET")))],
  [
    "no times, but an event",
    span((table, row) => {
      table.events.add();
      table.eventEnd[row] = 1;
    }),
  ],
  ["a kind only", span((table, row) => (table.kind[row] = 3))],
])("a span with %s is a span", (_, bytes) => {
  expect(requestShape(bytes)).toBe("traces");
});

test.each([
  ["a gauge", metric("memory", { kind: "gauge", value: 1 })],
  ["a gauge whose name is as long as a trace id", metric("redis.memory.lua", { kind: "gauge", value: 1 })],
  ["a sum", metric("requests", { kind: "sum", value: 1, isMonotonic: true, temporality: "delta" })],
  ["a summary", metric("latency", { kind: "summary", count: 1, sum: 2, quantiles: [] })],
])("%s is a metric", (_, bytes) => {
  expect(requestShape(bytes)).toBe("metrics");
});

test.each([
  ["a body", log({ body: "started" })],
  [
    "ids and an event name",
    log({ traceId: "0a".repeat(16), spanId: "0b".repeat(8), eventName: "exception" }),
  ],
  ["a severity", log({ severityNumber: 9 })],
  ["attributes", log({ attributes: new Map([["a", "b"]]) })],
])("a log record with nothing but %s is a log record", (_, bytes) => {
  expect(requestShape(bytes)).toBe("logs");
});

test("requests without content are empty, text is no request", () => {
  expect(requestShape(new Uint8Array(0))).toBe("empty");
  expect(requestShape(Buffer.from("\n\u0003\n\u0001a"))).toBe("empty");
  expect(requestShape(Buffer.from("\nhello, this is text\n"))).toBeNull();
});

test("a record that claims to be endless ends the file, and says so", () => {
  const flaws: string[] = [];
  const records = new ProtobufRecords("delimited", {
    use: () => null,
    skip: ({ offset }, why) => void flaws.push(`${offset}: ${why}`),
  });
  records.push(Buffer.concat([Buffer.from([0, 0, 0, 0]), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0a])]));
  records.end();
  expect(flaws).toEqual(["4: claims to be 4294967299 bytes long; what follows is skipped"]);
});
