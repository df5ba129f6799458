import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { ScopeRollup } from "../../src/analysis/scope.ts";
import { ProtobufRecords } from "../../src/formats/protobuf-records.ts";
import { decodeZipkinSpan, decodeZipkinV1Span } from "../../src/formats/zipkin-json.ts";
import { decodeZipkinSpans, isZipkinProtobuf } from "../../src/formats/zipkin-protobuf.ts";
import { meaningfulAttributes } from "../../src/model/semconv.ts";
import { Span } from "../../src/model/span.ts";
import { SpanKind, SpanTable, StatusCode } from "../../src/model/span-table.ts";
import type { DecodeResult } from "../../src/model/telemetry.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import type { TraceSpan } from "../../src/trace/trace.ts";
import { recorded } from "../data-folder.ts";
import { tableOf } from "../notation.ts";
import { picture, rawTracesOf } from "../scopes.ts";
import { collect, rowsOf, streamOf } from "./sources.ts";
import {
  appendZipkinSpans,
  appendZipkinV1Spans,
  protobufOf,
  v1Of,
  type ZipkinJson,
} from "./zipkin-formats.ts";

const traceId = "463ac35c9f6413ad48485a3953bb6124";
const start = 1_700_000_000_000_000;

/** A span of 10 ms of one trace, with what a test cares about. */
function span(id: number, fields: Partial<ZipkinJson> = {}): ZipkinJson {
  return {
    traceId,
    id: id.toString(16).padStart(16, "0"),
    name: "get /",
    timestamp: start,
    duration: 10_000,
    localEndpoint: { serviceName: "web" },
    ...fields,
  };
}

function idOf(id: number): string {
  return id.toString(16).padStart(16, "0");
}

function tableFrom(spans: unknown, table = new SpanTable(4)): SpanTable {
  appendZipkinSpans(spans, table);
  return table;
}

/** The only span, as it is read. */
function read(fields: Partial<ZipkinJson> | Record<string, unknown>): Span {
  const table = tableFrom({ ...span(1), ...fields });
  expect(table.rowCount).toBe(1);
  return new Span(table, 0);
}

function edgesOf(...tables: readonly SpanTable[]): readonly string[] {
  return graphJson(rollupOf(tables).scope(null)).edges.map(picture);
}

function rollupOf(tables: readonly SpanTable[]): ScopeRollup {
  const rollup = new ScopeRollup();
  for (const table of tables) rollup.observe(table);
  for (const trace of rawTracesOf(tables)) rollup.addTrace(trace);
  return rollup;
}

function counts({ accepted, rejected, reasons }: DecodeResult): object {
  return { accepted, rejected, reasons: Object.fromEntries(reasons) };
}

const samples = recorded("samples", "expected-edges.json");
const sampleNames = [
  "ascend",
  "envoy",
  "messaging",
  "messaging2",
  "messaging-kafka",
  "simple-db-p6",
  "skew",
  "smartthings-mobile-web-install",
  "smartthings-oauth-authorization",
  "yelp",
].map((name) => `zipkin-json/${name}.json`);

describe.skipIf(samples.missing)(`recorded samples ${samples.reason}`, () => {
  const readSample = (name: string) => JSON.parse(readFileSync(recorded("samples", name).path, "utf8"));

  test.each(sampleNames)("the edges of %s are exactly the expected ones", (name) => {
    const expected = JSON.parse(readFileSync(samples.path, "utf8")).files[name];
    const table = new SpanTable();
    expect(counts(appendZipkinSpans(readSample(name), table))).toEqual({
      accepted: expected.records,
      rejected: 0,
      reasons: {},
    });
    const traces = rawTracesOf([table]);
    expect(traces.length).toBe(expected.traces);
    expect(traces.reduce((sum, { spans }) => sum + spans.length, 0)).toBe(expected.spansAfterMerge);
    const edges = graphJson(rollupOf([table]).scope(null)).edges.filter(({ kind }) => kind !== "inferred");
    const found = edges.map(({ caller, callee, calls }) => ({ caller, callee, calls }));
    expect(found.sort(byEdge)).toEqual(
      expected.edges
        .map(({ caller, callee, calls }: { caller: string; callee: string; calls: number }) => ({
          caller,
          callee,
          calls,
        }))
        .sort(byEdge),
    );
  });

  test.each(sampleNames)("%s says the same in all three encodings", (name) => {
    // Whoever made these addresses anonymous left zeros in front, which bytes cannot have.
    const text = readFileSync(recorded("samples", name).path, "utf8").replace(/\.0(\d)"/g, '.$1"');
    const spans: readonly ZipkinJson[] = JSON.parse(text);
    const tables = [new SpanTable(), new SpanTable(), new SpanTable()] as const;
    appendZipkinSpans(spans, tables[0]);
    decodeZipkinSpans(protobufOf(spans), tables[1]);
    appendZipkinV1Spans(spans.map(v1Of), tables[2]);
    const [v2, proto, v1] = tables;
    expect(rowsOf([proto])).toEqual(rowsOf([v2]));
    expect(rowsOf([v1])).toEqual(rowsOf([v2]));
    expect(graphJson(rollupOf([v1]).scope(null))).toEqual(graphJson(rollupOf([v2]).scope(null)));
  });
});

function byEdge(a: { caller: string; callee: string }, b: { caller: string; callee: string }): number {
  return `${a.caller} ${a.callee}` < `${b.caller} ${b.callee}` ? -1 : 1;
}

test("a span is read with its ids, microseconds, kind, service and annotations", () => {
  const frontend = read({
    id: "a2fb4a1d1a96d312",
    parentId: "0020000000000001",
    kind: "CLIENT",
    timestamp: 1_472_470_996_199_001,
    duration: 207_000,
    localEndpoint: { serviceName: "frontend", ipv4: "192.168.0.1", port: 8080 },
    annotations: [{ timestamp: 1_472_470_996_238_000, value: "ws" }],
    tags: { "http.path": "/api" },
  });
  expect(frontend).toMatchObject({
    traceId,
    spanId: "a2fb4a1d1a96d312",
    parentSpanId: "0020000000000001",
    name: "get /",
    kind: SpanKind.Client,
    startTime: 1_472_470_996_199_001_000n,
    endTime: 1_472_470_996_406_001_000n,
  });
  expect([...frontend.attributes]).toEqual([
    ["http.path", "/api"],
    ["network.local.port", 8080n],
  ]);
  expect([...frontend.resourceAttributes]).toEqual([
    ["service.name", "frontend"],
    ["host.ip", "192.168.0.1"],
  ]);
  expect(frontend.events).toEqual([
    { time: 1_472_470_996_238_000_000n, name: "ws", attributes: new Map(), droppedAttributesCount: 0 },
  ]);
});

test("short ids are padded on the left, upper case is lower case", () => {
  expect(read({ traceId: "48485A3953BB6124", id: "AB" })).toMatchObject({
    traceId: "000000000000000048485a3953bb6124",
    spanId: "00000000000000ab",
  });
});

test.each([
  ["of the right length but no hex", "zzzzzzzzzzzzzzzz"],
  ["all zero", "0000000000000000"],
  ["of the wrong type", 7],
  ["its own", idOf(1)],
])("a parent that is %s is none", (_, parentId) => {
  expect(read({ parentId }).parentSpanId).toBe(null);
});

test.each([
  ["true", StatusCode.Error, ""],
  ["", StatusCode.Error, ""],
  ["500", StatusCode.Error, "500"],
  ["java.net.ConnectException: refused", StatusCode.Error, "java.net.ConnectException: refused"],
  ["false", StatusCode.Unset, ""],
])("a tag error=%o gives the status %i with the message %o", (error, statusCode, statusMessage) => {
  expect(read({ tags: { error } })).toMatchObject({ statusCode, statusMessage });
});

test("status codes in tags, which are text, tell who failed", () => {
  const failed = (kind: string, code: string) =>
    rawTracesOf([tableFrom(span(1, { kind, tags: { "http.status_code": code } }))])[0]!.spans[0]!.failed;
  expect(failed("SERVER", "503")).toBe(true);
  expect(failed("SERVER", "404")).toBe(false);
  expect(failed("CLIENT", "404")).toBe(true);
  expect(failed("CLIENT", "204")).toBe(false);
});

test("two halves of a call that share an id are one call", () => {
  const table = tableFrom([
    span(1, { kind: "SERVER" }),
    span(2, { kind: "CLIENT", parentId: idOf(1) }),
    span(2, { kind: "SERVER", parentId: idOf(1), shared: true, localEndpoint: { serviceName: "cart" } }),
    span(3, { kind: "SERVER", parentId: idOf(2), localEndpoint: { serviceName: "db" } }),
  ]);
  expect(edgesOf(table)).toEqual(["cart -> db: 1 sync", "web -> cart: 1 sync"]);
});

test("who shares an id without saying what it is is the server", () => {
  const table = tableFrom([
    span(1, { kind: "CLIENT" }),
    span(1, { shared: true, localEndpoint: { serviceName: "cart" } }),
  ]);
  expect(new Span(table, 1).kind).toBe(SpanKind.Server);
  expect(edgesOf(table)).toEqual(["web -> cart: 1 sync"]);
});

test("a partial report of a span is not another call, whichever comes first", () => {
  const {
    timestamp: _,
    duration: __,
    kind: ___,
    ...partial
  } = span(2, {
    parentId: idOf(1),
    localEndpoint: { serviceName: "cart" },
    annotations: [{ timestamp: start + 5, value: "flushed" }],
  });
  const whole = [
    span(1, { kind: "CLIENT" }),
    span(2, { kind: "SERVER", parentId: idOf(1), localEndpoint: { serviceName: "cart" } }),
  ];
  for (const spans of [
    [...whole, partial],
    [partial, ...whole],
  ]) {
    const table = tableFrom(spans);
    expect(edgesOf(table)).toEqual(["web -> cart: 1 sync"]);
    expect(rawTracesOf([table])[0]!.spans.length).toBe(2);
  }
});

test("the start and the end of a span may come in two reports, whichever comes first", () => {
  const { duration: _, ...first } = span(1, { kind: "CLIENT", tags: { "http.path": "/" } });
  const second = span(1, { kind: "CLIENT", tags: { error: "refused", retries: "2" } });
  const flushed = {
    ...first,
    timestamp: undefined,
    annotations: [{ timestamp: start + 5, value: "flushed" }],
  };
  const reports = [first, second, flushed];
  for (const order of [reports, reports.toReversed(), [second, flushed, first]]) {
    const [trace] = rawTracesOf([tableFrom(order)]);
    expect(trace!.problems).toEqual([]);
    const [{ table, row, ...merged }] = trace!.spans as [TraceSpan];
    expect(merged).toMatchObject({ start: 0, end: 10_000_000, isUnfinished: false, failed: true });
    const { attributes, events } = new Span(table, row);
    expect(Object.fromEntries(attributes)).toEqual({ "http.path": "/", retries: "2" });
    expect(events.map(({ name }) => name)).toEqual(["flushed"]);
  }
});

test("an annotation is no end", () => {
  const { duration: _, ...open } = span(1, { kind: "CLIENT" });
  const flushed = {
    ...open,
    timestamp: undefined,
    annotations: [{ timestamp: start + 5, value: "flushed" }],
  };
  expect(rawTracesOf([tableFrom([open, flushed])])[0]!.spans).toMatchObject([{ isUnfinished: true }]);
});

test("a span without a start stands where its first annotation is, and has no duration", () => {
  const { timestamp: _, ...late } = span(2, {
    parentId: idOf(1),
    annotations: [
      { timestamp: start + 7000, value: "b" },
      { timestamp: start + 4000, value: "a" },
    ],
  });
  const [trace] = rawTracesOf([tableFrom([span(1), late])]);
  expect(trace!.spans[1]).toMatchObject({ start: 4_000_000, end: 4_000_000, isUnfinished: true });
  expect(trace!.problems.map(({ kind }) => kind)).toContain("missing_time");
});

test("a span without a duration has not ended; one of 0 has", () => {
  expect(read({ duration: undefined }).endTime).toBe(0n);
  expect(read({ duration: 0 }).endTime).toBe(BigInt(start) * 1000n);
});

test("the remote endpoint is the far side of the call", () => {
  const call = (serviceName: string | undefined, fields: Partial<ZipkinJson> = {}) =>
    edgesOf(
      tableFrom(
        span(1, { kind: "CLIENT", remoteEndpoint: { serviceName, ipv4: "10.0.0.7", port: 80 }, ...fields }),
      ),
    );
  expect(call("billing")).toEqual(["web -> billing: 1 inferred"]);
  expect(call(undefined)).toEqual(["web -> 10.0.0.7: 1 inferred"]);
  expect(call(undefined, { tags: { "peer.service": "billing" } })).toEqual(["web -> billing: 1 inferred"]);
  expect(call("billing", { kind: undefined })).toEqual(["web -> billing: 1 inferred"]);
});

test.each([
  ["mysql", {}],
  ["orders", { "sql.query": "select 1" }],
  ["users", { "cassandra.query": "select" }],
])("%s is known as a database", (serviceName, tags) => {
  const table = tableFrom(span(1, { kind: "CLIENT", remoteEndpoint: { serviceName }, tags }));
  expect(graphJson(rollupOf([table]).scope(null)).nodes).toContainEqual(
    expect.objectContaining({ service: serviceName, kind: "database", inferred: true }),
  );
});

test("a message goes by way of its broker", () => {
  const remoteEndpoint = { serviceName: "kafka" };
  const tags = { "kafka.topic": "orders" };
  const table = tableFrom([
    span(1, { kind: "PRODUCER", remoteEndpoint, tags }),
    span(2, {
      kind: "CONSUMER",
      parentId: idOf(1),
      remoteEndpoint,
      tags,
      localEndpoint: { serviceName: "mail" },
    }),
  ]);
  expect(edgesOf(table)).toEqual([
    "kafka -> mail: 1 inferred",
    "web -> kafka: 1 inferred",
    "web -> mail: 1 async",
  ]);
  expect(new Span(table, 0).attributes.get("messaging.destination.name")).toBe("orders");
});

test("without a broker's name the topic is the destination", () => {
  const table = tableFrom(span(1, { kind: "PRODUCER", tags: { "kafka.topic": "orders" } }));
  expect(edgesOf(table)).toEqual(["web -> kafka:orders: 1 inferred"]);
});

test("what OpenTelemetry's exporters put into tags and annotations comes back out of them", () => {
  const exported = read({
    tags: {
      "span.kind": "internal",
      "otel.status_code": "ERROR",
      "otel.status_description": "no stock",
      error: "no stock",
      "otel.scope.name": "shop-lib",
      "w3c.tracestate": "ot=th:8",
      "service.namespace": "shop",
      "k8s.pod.name": "web-1",
      "otel.dropped_events_count": "3",
      "otlp.link.0": `${traceId}|00000000000000aa|a=b|{"kind":"retry"}|2`,
      plain: "stays",
    },
    annotations: [
      { timestamp: start, value: '"exception": {"exception.type": "Oops"}' },
      { timestamp: start, value: 'retry|{"attempt":2}|1' },
      { timestamp: start, value: "not {really| an event}" },
    ],
  });
  expect(exported).toMatchObject({
    kind: SpanKind.Internal,
    statusCode: StatusCode.Error,
    statusMessage: "no stock",
    scopeName: "shop-lib",
    traceState: "ot=th:8",
    dropped: { attributes: 0, events: 3, links: 0 },
    attributes: new Map([["plain", "stays"]]),
    resourceAttributes: new Map([
      ["service.name", "web"],
      ["service.namespace", "shop"],
      ["k8s.pod.name", "web-1"],
    ]),
  });
  expect(exported.links).toMatchObject([
    {
      traceId,
      spanId: "00000000000000aa",
      traceState: "a=b",
      attributes: new Map([["kind", "retry"]]),
      droppedAttributesCount: 2,
    },
  ]);
  expect(exported.events).toMatchObject([
    { name: "exception", attributes: new Map([["exception.type", "Oops"]]) },
    { name: "retry", attributes: new Map([["attempt", 2n]]), droppedAttributesCount: 1 },
    { name: "not {really| an event}", attributes: new Map() },
  ]);
});

test("attributes that nobody asked for are left out, what the span means stays", () => {
  const spans = [
    span(1, { kind: "CLIENT", remoteEndpoint: { serviceName: "mysql" }, tags: { error: "", noise: "x" } }),
  ];
  const all = tableFrom(spans);
  const kept = tableFrom(spans, new SpanTable(4, meaningfulAttributes));
  expect(new Span(kept, 0).attributes.has("noise")).toBe(false);
  expect(graphJson(rollupOf([kept]).scope(null))).toEqual(graphJson(rollupOf([all]).scope(null)));
});

test("a tag's value that only looks like JSON spoils the span", () => {
  const body = Buffer.from(`{"traceId":"${traceId}","id":"1","tags":{"a":["\t"]}}`);
  expect(() => decodeZipkinSpan(body, new SpanTable(4))).toThrow("broken JSON");
});

test("keys that objects have of their own are keys like any other", () => {
  const json = `{"traceId":"${traceId}","id":"1","kind":"constructor","remoteEndpoint":{"serviceName":"constructor"},
    "tags":{"__proto__":"a","constructor":"b","hasOwnProperty":"c","":"d"}}`;
  expect([...new Span(tableFrom(JSON.parse(json)), 0).attributes]).toEqual([
    ["__proto__", "a"],
    ["constructor", "b"],
    ["hasOwnProperty", "c"],
    ["", "d"],
    ["service.peer.name", "constructor"],
  ]);
});

test.each([decodeZipkinSpan, decodeZipkinV1Span])(
  "a text that is no object leaves the table as it was, and the next is read",
  (decode) => {
    const table = tableFrom(span(1));
    const before = rowsOf([table]);
    const whole = JSON.stringify(span(2, { tags: { a: "b" } }));
    for (const text of ["null", '"span"', `[${whole}]`, whole.slice(0, -1), `${whole},`, ""])
      expect(() => decode(Buffer.from(text), table)).toThrow("broken JSON");
    expect(rowsOf([table])).toEqual(before);
    decode(Buffer.from(whole), table);
    expect(table.rowCount).toBe(2);
  },
);

test.each([
  ["Zipkin v2 JSON", (spans: readonly ZipkinJson[]) => JSON.stringify(spans)],
  [
    "Zipkin v2 JSON",
    (spans: readonly ZipkinJson[]) =>
      JSON.stringify(
        spans.map((one) => [one]),
        null,
        2,
      ),
  ],
  ["Zipkin v2 JSON", (spans: readonly ZipkinJson[]) => spans.map((one) => JSON.stringify(one)).join("\n")],
  ["Zipkin v1 JSON", (spans: readonly ZipkinJson[]) => JSON.stringify(spans.map(v1Of))],
  ["Zipkin v2 protobuf", protobufOf],
])("a file of %s is recognised and read in chunks of 100 bytes", async (format, write) => {
  const spans = [
    span(1, { kind: "SERVER" }),
    span(2, { kind: "CLIENT", parentId: idOf(1), tags: { text: "é".repeat(300) } }),
    span(3, { kind: "SERVER", parentId: idOf(2), localEndpoint: { serviceName: "cart" } }),
  ];
  const { tables, summary, problems } = await collect([streamOf(write(spans), 100)]);
  expect(summary.files).toMatchObject([{ format, malformedRecords: 0 }]);
  expect(problems).toEqual([]);
  expect(rowsOf(tables)).toEqual(rowsOf([tableFrom(spans)]));
});

test("a bad span costs only itself, and is counted by what is wrong with it", () => {
  const table = new SpanTable(4);
  const bad = [
    { ...span(9), traceId: "" },
    { ...span(9), traceId: "x".repeat(32) },
    { ...span(9), traceId: "1".repeat(33) },
    { ...span(9), traceId: undefined },
    { ...span(9), id: "0" },
    { ...span(9), id: "1".repeat(17) },
    { ...span(9), name: 7 },
    { ...span(9), timestamp: "soon" },
    { ...span(9), timestamp: 1e300 },
    { ...span(9), duration: 1e18 },
    { ...span(9), tags: ["error"] },
    { ...span(9), annotations: [null] },
    { ...span(9), localEndpoint: "web" },
  ];
  const spans = bad.flatMap((one, i) => [span(i + 1), one]);
  expect(counts(appendZipkinSpans(spans, table))).toEqual({
    accepted: bad.length,
    rejected: bad.length,
    reasons: { invalid_trace_id: 4, invalid_span_id: 2, malformed_span: 7 },
  });
  expect(rowsOf([table])).toEqual(rowsOf([tableFrom(bad.map((_, i) => span(i + 1)))]));
});

test("a value nested a hundred thousand levels deep is cut", () => {
  const table = new SpanTable(4);
  const bomb = "[".repeat(100_000) + "]".repeat(100_000);
  decodeZipkinSpan(Buffer.from(`{"traceId":"${traceId}","id":"1","tags":{"bomb":${bomb}}}`), table);
  expect(JSON.stringify(new Span(table, 0).attributes.get("bomb"))).toBe(
    `${"[".repeat(64)}"…"${"]".repeat(64)}`,
  );
});

test("texts that begin like many events or links take no time to refuse", () => {
  const text = `x${"|{".repeat(1_000_000)}}|0x`;
  const links = Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`otlp.link.${i}`, "no link"]));
  const hostile = read({
    annotations: [{ timestamp: start, value: text }],
    tags: { ...links, "otlp.link.7": text },
  });
  expect(hostile.events[0]!.name).toBe(text);
  expect(hostile.links).toEqual([]);
});

test("a port that cannot be one is none", () => {
  for (const port of [0, -1, 80.5, 70_000, 1e300])
    expect(read({ localEndpoint: { serviceName: "web", port } }).attributes.size).toBe(0);
});

describe("the first model", () => {
  const web = { serviceName: "web", ipv4: "10.0.0.1" };
  const cart = { serviceName: "cart", ipv4: "10.0.0.2" };
  const both = {
    traceId: "463ac35c9f6413ad",
    id: "463ac35c9f6413ad",
    name: "get",
    timestamp: start,
    duration: 10_000,
    annotations: [
      { timestamp: start, value: "cs", endpoint: web },
      { timestamp: start + 1_000, value: "sr", endpoint: cart },
      { timestamp: start + 2_000, value: "cache miss", endpoint: cart },
      { timestamp: start + 8_000, value: "ss", endpoint: cart },
      { timestamp: start + 10_000, value: "cr", endpoint: web },
    ],
    binaryAnnotations: [
      { key: "http.path", value: "/items", endpoint: web },
      { key: "attempt", value: 2, type: "I32", endpoint: web },
      { key: "error", value: "boom", endpoint: cart },
      { key: "sa", value: true, endpoint: cart },
    ],
  };

  test("a span with both sides of a call is two spans", () => {
    const table = new SpanTable(4);
    expect(appendZipkinV1Spans([both], table).accepted).toBe(2);
    const [client, server] = [new Span(table, 0), new Span(table, 1)];
    expect(client).toMatchObject({ kind: SpanKind.Client, statusCode: StatusCode.Unset, events: [] });
    expect(client.endTime - client.startTime).toBe(10_000_000n);
    expect([...client.attributes]).toEqual([
      ["http.path", "/items"],
      ["attempt", 2n],
      ["service.peer.name", "cart"],
      ["network.peer.address", "10.0.0.2"],
    ]);
    expect(server).toMatchObject({ kind: SpanKind.Server, statusMessage: "boom" });
    expect(server.endTime - server.startTime).toBe(7_000_000n);
    expect(server.events.map(({ name }) => name)).toEqual(["cache miss"]);
    expect(edgesOf(table)).toEqual(["web -> cart: 1 sync"]);
  });

  test("the halves may come in two spans, and the parts of a half too", () => {
    const { timestamp: _, duration: __, ...untold } = both;
    const of = (...values: string[]) => ({
      ...untold,
      annotations: both.annotations.filter(({ value }) => values.includes(value)),
      binaryAnnotations: [],
    });
    const table = new SpanTable(4);
    appendZipkinV1Spans([of("ss", "sr"), of("cs"), of("cr")], table);
    expect(edgesOf(table)).toEqual(["web -> cart: 1 sync"]);
    const [trace] = rawTracesOf([table]);
    expect(trace!.problems).toEqual([]);
    expect(trace!.spans.map((one) => one.end - one.start)).toEqual([10_000_000, 7_000_000]);
  });

  test.each([
    [{ serviceName: "web" }, { serviceName: "wec" }],
    [
      { serviceName: "web", port: 8_080 },
      { serviceName: "web", port: 8_081 },
    ],
    [{}, { serviceName: "web" }],
    [{ serviceName: "web" }, {}],
  ])("endpoints that are nearly the same are told apart: %j, %j", (caller, callee) => {
    const endpoints = new Map<object, object>([
      [web, caller],
      [cart, callee],
    ]);
    const annotations = both.annotations.map((item) => ({ ...item, endpoint: endpoints.get(item.endpoint) }));
    const table = new SpanTable(4);
    appendZipkinV1Spans([{ ...both, annotations, binaryAnnotations: [] }], table);
    const seen = [new Span(table, 0), new Span(table, 1)].map(({ resourceAttributes, attributes }) => [
      resourceAttributes.get("service.name"),
      attributes.get("network.local.port"),
    ]);
    const said = [caller, callee].map(({ serviceName, port }: { serviceName?: string; port?: number }) => [
      serviceName,
      port === undefined ? undefined : BigInt(port),
    ]);
    expect(seen).toEqual(said);
  });

  test("the order of an annotation's keys says nothing", () => {
    const reversed = (item: object) => Object.fromEntries(Object.entries(item).toReversed());
    const annotations = both.annotations.map(reversed);
    const binaryAnnotations = both.binaryAnnotations.map(reversed);
    const table = new SpanTable(4);
    appendZipkinV1Spans([both, { ...both, annotations, binaryAnnotations }], table);
    const rows = [0, 1, 2, 3].map((row) => {
      const { kind, statusMessage, resourceAttributes, attributes, events } = new Span(table, row);
      return { kind, statusMessage, attributes: [...resourceAttributes, ...attributes], events };
    });
    expect(rows.slice(2)).toEqual(rows.slice(0, 2));
  });

  test("an address without annotations tells a call", () => {
    const table = new SpanTable(4);
    const { annotations: _, ...bare } = both;
    const binaryAnnotations = [
      { key: "lc", value: "", endpoint: web },
      { key: "sa", value: true, endpoint: { serviceName: "mysql" } },
    ];
    appendZipkinV1Spans([{ ...bare, binaryAnnotations }], table);
    expect(edgesOf(table)).toEqual(["web -> mysql: 1 inferred"]);
    expect(new Span(table, 0).attributes.has("lc")).toBe(false);
  });

  test("a bad span costs only itself", () => {
    const table = new SpanTable(4);
    const bad = [
      { ...both, annotations: {} },
      { ...both, binaryAnnotations: [3] },
      {
        ...both,
        binaryAnnotations: [12_345, 123_456].map((endpoint) => ({ key: "a", value: "b", endpoint })),
      },
      { ...both, id: "" },
    ];
    const result = counts(appendZipkinV1Spans([...bad, both], table));
    expect(result).toMatchObject({ accepted: 2, reasons: { malformed_span: 3, invalid_span_id: 2 } });
  });
});

describe("protobuf", () => {
  const spans = [span(1, { kind: "SERVER" }), span(2, { parentId: idOf(1), tags: { a: "b" } })];

  test("any span is read as its JSON is", () => {
    const text = fc.string({ maxLength: 12, unit: "grapheme" });
    const endpoint = fc.record(
      {
        serviceName: text,
        ipv4: fc.constantFrom("10.0.0.1", "0.0.0.0"),
        ipv6: fc.constantFrom("::1", "2001:db8::c001", "fe80::1:0:0:1", "1:2:3:4:5:6:7:8"),
        port: fc.integer({ min: 1, max: 65_535 }),
      },
      { requiredKeys: [] },
    );
    const micros = fc.integer({ min: 1, max: 2 ** 50 });
    const hex = (length: number) =>
      fc
        .array(fc.constantFrom(...Array.from("0123456789abcdef")), { minLength: length, maxLength: length })
        .map((digits) => digits.join(""));
    const anySpan = fc.record(
      {
        traceId: fc.oneof(hex(16), hex(32)),
        id: hex(16),
        parentId: hex(16),
        kind: fc.constantFrom("CLIENT", "SERVER", "PRODUCER", "CONSUMER"),
        name: text,
        timestamp: micros,
        duration: micros,
        localEndpoint: endpoint,
        remoteEndpoint: endpoint,
        annotations: fc.array(fc.record({ timestamp: micros, value: text }), { maxLength: 3 }),
        tags: fc.dictionary(fc.oneof(text, fc.constantFrom("error", "host.name", "kafka.topic")), text),
        shared: fc.boolean(),
      },
      { requiredKeys: ["traceId", "id"] },
    );
    fc.assert(
      fc.property(fc.array(anySpan, { maxLength: 4 }), (some) => {
        const table = new SpanTable(4);
        // Some JSON cannot say: a lone surrogate becomes U+FFFD on its way through bytes.
        decodeZipkinSpans(protobufOf(some), table);
        expect(rowsOf([table])).toEqual(rowsOf([tableFrom(JSON.parse(JSON.stringify(some)))]));
      }),
    );
  });

  test.each([1, 7, 100])("a stream in chunks of %i bytes is cut into its spans", (size) => {
    const bytes = protobufOf(spans);
    const table = new SpanTable(4);
    const records = new ProtobufRecords("zipkin", {
      use(_, record) {
        decodeZipkinSpans(record, table);
        return null;
      },
      skip(_, why) {
        throw new Error(why);
      },
    });
    for (let at = 0; at < bytes.length; at += size) records.push(bytes.subarray(at, at + size));
    records.end();
    expect(rowsOf([table])).toEqual(rowsOf([tableFrom(spans)]));
  });

  test("a bad span costs only itself, and is counted by what is wrong with it", () => {
    const broken = Uint8Array.of(0x0a, 0x03, 0x0a, 0x10, 0x01);
    const parts = [
      protobufOf([span(1)]),
      broken,
      protobufOf([{ ...span(3), traceId: "0102" }]),
      protobufOf([{ ...span(3), id: "" }]),
      protobufOf([{ ...span(3), id: traceId }]),
      protobufOf([span(2)]),
    ];
    const table = new SpanTable(4);
    expect(counts(decodeZipkinSpans(Buffer.concat(parts), table))).toEqual({
      accepted: 2,
      rejected: 4,
      reasons: { malformed_span: 1, invalid_trace_id: 1, invalid_span_id: 2 },
    });
    expect(rowsOf([table])).toEqual(rowsOf([tableFrom([span(1), span(2)])]));
  });

  test("a broken list leaves the table as it was, and fit for the next", () => {
    const table = new SpanTable(4);
    decodeZipkinSpans(protobufOf([span(1)]), table);
    const before = rowsOf([table]);
    const other = span(2, { localEndpoint: { serviceName: "other" } });
    const cut = protobufOf([other, span(3)]).subarray(0, -1);
    expect(() => decodeZipkinSpans(cut, table)).toThrow("not a protobuf list of Zipkin spans");
    expect(rowsOf([table])).toEqual(before);
    decodeZipkinSpans(protobufOf([other]), table);
    expect(rowsOf([table])).toEqual(rowsOf([tableFrom([span(1), other])]));
  });

  test("it is told from OTLP by its first bytes", () => {
    const long = span(1, { parentId: idOf(7), tags: { text: "x".repeat(50_000) } });
    for (const one of [...spans, long, { ...span(1), traceId: traceId.slice(16) }])
      expect(isZipkinProtobuf(protobufOf([one]).subarray(0, 300))).toBe(true);
    const table = tableOf("web GET / 0..9ms server");
    expect(isZipkinProtobuf(encodeTraces([{ table, row: 0 }]))).toBe(false);
    expect(isZipkinProtobuf(new Uint8Array(0))).toBe(false);
  });
});
