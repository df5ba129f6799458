import * as fc from "fast-check";
import { expect, test } from "vitest";
import { zipkinJson } from "../../src/formats/write-zipkin.ts";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { telemetry } from "../pipeline/telemetry-generator.ts";
import { runs } from "../runs.ts";
import { answersOfTables, withTimesToHold } from "./same-answers.ts";
import { appendZipkinSpans } from "./zipkin-formats.ts";

test("whatever happened, the graph and the reports are the same after a way through Zipkin's format", () => {
  fc.assert(
    fc.property(telemetry(), ({ text }) => {
      const table = withoutOwnParents(withTimesToHold(tableOf(text), 1000n));
      expect(answersOfTables([throughZipkin(table)])).toEqual(answersOfTables([table]));
    }),
    { numRuns: runs(10) },
  );
});

test("a span is written in Zipkin's words", () => {
  const table = tableOf(`
    web  POST /cart  0..90ms    server host=n1 instance=i1
      db SELECT      10.5..20ms client error status="no such table" peer.service=items server.address=10.0.0.7 server.port=3306
      db compute     10.5..11ms internal ok`);
  const [root, ...others] = written(table);
  const start = 1_704_067_200_000_000;
  expect(root).toEqual({
    traceId: hex(1, 32),
    id: hex(1, 16),
    name: "POST /cart",
    kind: "SERVER",
    timestamp: start,
    duration: 90_000,
    localEndpoint: { serviceName: "web" },
    annotations: [],
    tags: { "host.name": "n1", "service.instance.id": "i1" },
  });
  expect(others).toMatchObject([
    {
      id: hex(2, 16),
      parentId: hex(1, 16),
      kind: "CLIENT",
      timestamp: start + 10_500,
      duration: 9500,
      remoteEndpoint: { serviceName: "items", ipv4: "10.0.0.7", port: 3306 },
      tags: { error: "no such table", "otel.status_code": "ERROR", "server.port": "3306" },
    },
    { tags: { "span.kind": "internal", "otel.status_code": "OK" } },
  ]);
});

test("events and links keep their attributes, and values of every type become text", () => {
  const table = ofJson(
    {
      traceId: hex(1, 32),
      spanId: hex(1, 16),
      startTimeUnixNano: "1700000000000001000",
      endTimeUnixNano: "1700000000000005000",
      traceState: "ot=th:8",
      attributes: [
        { key: "n", value: { intValue: "500" } },
        { key: "ratio", value: { doubleValue: 0.5 } },
        { key: "yes", value: { boolValue: true } },
        { key: "list", value: { arrayValue: { values: [{ intValue: "1" }, { stringValue: "a|b" }] } } },
        { key: "__proto__", value: { stringValue: "only a key" } },
      ],
      droppedAttributesCount: 1,
      events: [
        { timeUnixNano: "1700000000000002000", name: "plain" },
        {
          timeUnixNano: "1700000000000003000",
          name: "exception",
          attributes: [{ key: "exception.type", value: { stringValue: 'E|{"}' } }],
          droppedAttributesCount: 2,
        },
      ],
      links: [
        {
          traceId: hex(2, 32),
          spanId: hex(3, 16),
          traceState: "a=b",
          attributes: [{ key: "k", value: { stringValue: "v" } }],
        },
        { traceId: hex(4, 32), spanId: hex(5, 16) },
      ],
      status: { code: 2 },
    },
    [{ key: "team", value: { stringValue: "shop" } }],
  );
  const before = new Span(table, 0);
  const after = new Span(throughZipkin(table), 0);
  expect(after.events).toEqual(before.events);
  expect(after.links).toEqual(before.links);
  expect([after.traceState, after.scopeName, after.statusCode, after.dropped]).toEqual([
    before.traceState,
    before.scopeName,
    before.statusCode,
    before.dropped,
  ]);
  expect([...after.attributes]).toEqual([
    ["n", "500"],
    ["ratio", "0.5"],
    ["yes", "true"],
    ["list", '[1,"a|b"]'],
    ["__proto__", "only a key"],
    ["team", "shop"],
  ]);
});

test("what a resource says of its sender stays with it, whatever the span says of others", () => {
  const table = tableOf(
    "web GET / 0..9ms server host=n1 host.name=n2 resource.peer.service=db resource.error=true",
  );
  expect(written(table)).toMatchObject([{ tags: { "host.name": "n1" } }]);
  expect(answersOfTables([throughZipkin(table)])).toEqual(answersOfTables([table]));
});

test("a message in an attribute `error` is the error that it is to Zipkin, and what denies one is none", () => {
  const table = tableOf(`
    web a 0..9ms error=ClientSideError
    web b 0..9ms error=true
    web c 0..9ms error=none
    web d 0..9ms error=true ok`);
  const read = throughZipkin(table);
  expect([...read.statusCode.subarray(0, 4)]).toEqual([2, 2, 0, 1]);
  expect(new Span(read, 0).statusMessage).toBe("ClientSideError");
});

test("no span is shorter than a microsecond, and one that has not ended has no duration", () => {
  const table = tableOf("web a 5..5ms\nweb b 5..3ms\nweb c 5..\nweb d ..");
  const times = (written(table) as { timestamp?: number; duration?: number }[]).map(
    ({ timestamp, duration }) => [timestamp !== undefined, duration],
  );
  expect(times).toEqual([
    [true, 1],
    [true, 1],
    [true, undefined],
    [false, undefined],
  ]);
});

test("spans are one a line", () => {
  const table = tableOf("web a 0..1\nweb b 0..1\nweb c 0..1");
  const lines = zipkinJson(rowsOf(table)).split("\n");
  expect(lines.length).toBe(3);
  for (const line of lines) expect(line).toMatch(/^\{.*\},?$/);
});

function written(table: SpanTable): readonly unknown[] {
  return JSON.parse(`[${zipkinJson(rowsOf(table))}]`) as readonly unknown[];
}

function throughZipkin(table: SpanTable): SpanTable {
  const again = new SpanTable();
  appendZipkinSpans(written(table), again);
  return again;
}

function ofJson(span: object, resource: readonly object[]): SpanTable {
  const table = new SpanTable();
  const scopeSpans = [{ scope: { name: "lib", version: "1.2" }, spans: [span] }];
  const request = { resourceSpans: [{ resource: { attributes: resource }, scopeSpans }] };
  decodeTracesJson(Buffer.from(JSON.stringify(request)), table);
  return table;
}

function hex(id: number, length: number): string {
  return id.toString(16).padStart(length, "0");
}

/** Zipkin knows no such thing; a span that names itself as its parent is a root there. */
function withoutOwnParents(table: SpanTable): SpanTable {
  const { spanId, parentSpanId } = table;
  for (let at = 0; at < table.rowCount * 2; at += 2)
    if (spanId[at] === parentSpanId[at] && spanId[at + 1] === parentSpanId[at + 1])
      parentSpanId.fill(0, at, at + 2);
  return table;
}
