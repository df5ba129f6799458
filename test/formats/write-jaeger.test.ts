import * as fc from "fast-check";
import { expect, test } from "vitest";
import { appendJaegerTrace } from "../../src/formats/jaeger-json.ts";
import { jaegerJson } from "../../src/formats/write-jaeger.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { rowsOf as rowRefs, tableOf } from "../notation.ts";
import { telemetry } from "../pipeline/telemetry-generator.ts";
import { runs } from "../runs.ts";
import { answersOfTables, graphOfTables, withTimesToHold } from "./same-answers.ts";
import { rowsOf } from "./sources.ts";

test("whatever happened, the graph and the reports are the same after a way through Jaeger's format", () => {
  fc.assert(
    fc.property(telemetry(), ({ text }) => {
      const table = withTimesToHold(tableOf(text), 0n);
      expect(answersOfTables([throughJaeger(table)])).toEqual(answersOfTables([table]));
    }),
    { numRuns: runs(10) },
  );
});

test("a span is written in Jaeger's words", () => {
  const table = tableOf(`
    web  POST /cart  0..90ms    server host=n1 flags=3
      db SELECT      10.5..20ms client error status="no such table" db.system=mysql rows=12 link=2/7 exception="E: gone"`);
  const start = 1_704_067_200_000_000;
  const text = (key: string, value: string) => ({ key, type: "string", value });
  expect(written(table)).toEqual({
    traceID: hex(1, 32),
    spans: [
      {
        traceID: hex(1, 32),
        spanID: hex(1, 16),
        flags: 1,
        operationName: "POST /cart",
        references: [],
        startTime: start,
        duration: 90_000,
        tags: [text("span.kind", "server")],
        logs: [],
        processID: "p1",
        warnings: null,
      },
      {
        traceID: hex(1, 32),
        spanID: hex(2, 16),
        operationName: "SELECT",
        references: [
          { refType: "CHILD_OF", traceID: hex(1, 32), spanID: hex(1, 16) },
          { refType: "FOLLOWS_FROM", traceID: hex(2, 32), spanID: hex(7, 16) },
        ],
        startTime: start + 10_500,
        duration: 9500,
        tags: [
          text("db.system", "mysql"),
          { key: "rows", type: "int64", value: 12 },
          text("span.kind", "client"),
          text("otel.status_code", "ERROR"),
          text("otel.status_description", "no such table"),
          { key: "error", type: "bool", value: true },
        ],
        logs: [
          {
            timestamp: 0,
            fields: [
              text("event", "exception"),
              text("exception.type", "E"),
              text("exception.message", "gone"),
            ],
          },
        ],
        processID: "p2",
        warnings: null,
      },
    ],
    processes: {
      p1: { serviceName: "web", tags: [text("host.name", "n1")] },
      p2: { serviceName: "db", tags: [] },
    },
    warnings: null,
  });
});

test("what Jaeger has a type or a tag for comes back as it was", () => {
  const span = {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    parentSpanId: "00f067aa0ba902b7",
    traceState: "ot=th:8",
    flags: 1,
    name: "GET /",
    kind: 4,
    startTimeUnixNano: "1700000000000001000",
    endTimeUnixNano: "1700000000000005000",
    attributes: [
      { key: "big", value: { intValue: "9223372036854775807" } },
      { key: "whole", value: { doubleValue: 3 } },
      { key: "nan", value: { doubleValue: "NaN" } },
      { key: "zero", value: { doubleValue: "-0" } },
      { key: "yes", value: { boolValue: true } },
      { key: "bytes", value: { bytesValue: "AP8=" } },
      { key: "__proto__", value: { stringValue: "ü\u0000\ud83d\ude00" } },
    ],
    droppedAttributesCount: 1,
    events: [
      {
        timeUnixNano: "1700000000000002000",
        name: "retry",
        attributes: [{ key: "n", value: { intValue: 2 } }],
        droppedAttributesCount: 2,
      },
    ],
    droppedEventsCount: 3,
    links: [{ traceId: "1".repeat(32), spanId: "2".repeat(16) }],
    droppedLinksCount: 4,
    status: { code: 1 },
  };
  const table = ofJson(span);
  expect(rowsOf([throughJaeger(table)])).toEqual(rowsOf([table]));
});

test("lists and empty values become text, and a list of addresses is still understood", () => {
  const list = { arrayValue: { values: [{ stringValue: "10.0.0.1" }, { stringValue: "fe80::1" }] } };
  const table = ofJson(
    {
      traceId: hex(1, 32),
      spanId: hex(1, 16),
      attributes: [
        { key: "list", value: list },
        { key: "map", value: { kvlistValue: { values: [{ key: "a", value: { intValue: "1" } }] } } },
        { key: "empty", value: {} },
      ],
    },
    [{ key: "host.ip", value: list }],
  );
  const { spans, processes } = written(table) as {
    spans: { tags: unknown[] }[];
    processes: { p1: { serviceName: string; tags: unknown } };
  };
  expect(spans[0]!.tags.slice(0, 3)).toEqual([
    { key: "list", type: "string", value: '["10.0.0.1","fe80::1"]' },
    { key: "map", type: "string", value: '{"a":1}' },
    { key: "empty", type: "string", value: "" },
  ]);
  expect(processes.p1.serviceName).toBe("OTLPResourceNoServiceName");
  const called = (address: string) =>
    tableOf(`
      web GET / 0..9ms client server.address=${address}
      db  GET / 1..8ms server resource.host.ip=10.0.0.1 trace=2`);
  const graph = (some: SpanTable) => graphOfTables([some]);
  const withList = called("10.0.0.1");
  const at = withList.attributes;
  for (let i = 0; i < at.length; i += 1)
    if (at.keyAt(i) === "host.ip") at.value[i] = withList.strings.intern('["10.0.0.1","fe80::1"]');
  expect(graph(withList)).toEqual(graph(called("10.0.0.1")));
  expect(graph(withList)).not.toEqual(graph(called("10.0.0.2")));
});

test("a status that is set beats an attribute that says the same or the opposite", () => {
  const table = tableOf(`
    a x 0..9ms ok error=true
    a x 0..9ms error error=false id=2
    a x 0..9ms error=true id=3`);
  expect([...throughJaeger(table).statusCode.subarray(0, 3)]).toEqual([1, 2, 2]);
});

test("times are cut to microseconds, so that what lay within a span still does", () => {
  const times = fc.tuple(fc.nat(5000), fc.nat(5000), fc.nat(5000), fc.nat(5000));
  fc.assert(
    fc.property(times, (unordered) => {
      const [a, b, c, d] = unordered.sort((x, y) => x - y);
      const { spans } = written(tableOf(`web outer ${a}..${d}ns\n  web inner ${b}..${c}ns`)) as {
        spans: { startTime: number; duration: number }[];
      };
      const [outer, inner] = spans as [(typeof spans)[0], (typeof spans)[0]];
      expect(inner.startTime).toBeGreaterThanOrEqual(outer.startTime);
      expect(inner.startTime + inner.duration).toBeLessThanOrEqual(outer.startTime + outer.duration);
    }),
  );
});

test("times of any year are exact to the microsecond where numbers are", () => {
  for (const nanos of [
    1n,
    999n,
    1000n,
    2n ** 32n - 1n,
    2n ** 32n,
    1_750_000_000_123_456_789n,
    9n * 10n ** 18n,
  ]) {
    const table = ofJson({ traceId: hex(1, 32), spanId: hex(1, 16), startTimeUnixNano: String(nanos) });
    const { spans } = written(table) as { spans: { startTime?: number }[] };
    expect(BigInt(spans[0]!.startTime ?? 0)).toBe(nanos / 1000n);
  }
});

test("a span that has not ended has no duration, and gets none", () => {
  const table = tableOf("web a 5..\nweb b ..\nweb c 5..3ms\nweb d 5..5ms");
  const { spans } = written(table) as { spans: { duration?: number }[] };
  expect(spans.map(({ duration }) => duration)).toEqual([undefined, undefined, 0, 0]);
  const again = throughJaeger(table);
  expect([...again.endTime.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
});

test("a trace of many parts is one trace", () => {
  const text = Array.from({ length: 2001 }, (_, i) => `web GET /${i} 0..1ms id=${i + 1} parent=none`);
  const table = tableOf(text.join("\n"));
  const parts = [...jaegerJson(rowRefs(table))];
  expect(parts.length).toBe(5);
  expect(rowsOf([throughJaeger(table)])).toEqual(rowsOf([table]));
});

/** The only trace of a table as Jaeger has it. */
function written(table: SpanTable): unknown {
  return JSON.parse([...jaegerJson(rowRefs(table))].join(""));
}

function throughJaeger(table: SpanTable): SpanTable {
  const again = new SpanTable();
  const groups = groupByTrace([table]);
  for (let i = 0; i < groups.count; i += 1)
    appendJaegerTrace(Buffer.from([...jaegerJson(groups.rowsOf(i))].join("")), again);
  return again;
}

function ofJson(span: object, resource: readonly object[] = []): SpanTable {
  const table = new SpanTable();
  const scope = { name: "lib", version: "1.2" };
  const request = {
    resourceSpans: [{ resource: { attributes: resource }, scopeSpans: [{ scope, spans: [span] }] }],
  };
  decodeTracesJson(Buffer.from(JSON.stringify(request)), table);
  return table;
}

function hex(id: number, length: number): string {
  return id.toString(16).padStart(length, "0");
}
