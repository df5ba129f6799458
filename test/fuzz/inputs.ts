import { gzipSync } from "node:zlib";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { halfBadRequests } from "../otlp/half-bad-requests.ts";
import { oracleEncode, oracleJson } from "../otlp/protobuf-oracle.ts";

/** A trace with what spans may have: kinds, status, attributes of several types, an event, links, trace state, a lost parent. */
const rows = rowsOf(
  tableOf(`
    web      GET /cart        0..90ms  server error http.response.status_code=500 tracestate=ot=th:8 flags=257
      web    GET              5..85ms  client server.address=cart retries=3 share=0.5 cached=true dropped=2
        cart GET /items      10..80ms  server host=n1 namespace=shop exception="java.io.IOException: reset" link=2/7
          db SELECT items    20..70ms  client db.system=postgresql link=1
    mail     send            30..      consumer parent=77 messaging.system=kafka link=3
    web      GET /cart        0..1ms   server trace=2 id=7`),
);

const attributes = [
  { key: "list", value: { arrayValue: { values: [{ intValue: "7" }, { stringValue: "ü\u0000" }, {}] } } },
  { key: "map", value: { kvlistValue: { values: [{ key: "__proto__", value: { boolValue: true } }] } } },
  { key: "bytes", value: { bytesValue: "AAEC/w==" } },
  { key: "host.cpu", value: { doubleValue: 1.5e300 } },
];
const point = { startTimeUnixNano: "1700000000000000000", timeUnixNano: "1700000060000000000", attributes };
const metrics = [
  { name: "cpu", unit: "1", gauge: { dataPoints: [{ ...point, asDouble: 0.5 }, { ...point, asInt: "-7" }] } },
  { name: "calls", sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [{ ...point, asInt: "9007199254740993" }] } },
  {
    name: "duration",
    histogram: {
      aggregationTemporality: 1,
      dataPoints: [{ ...point, count: "3", sum: 0.4, bucketCounts: ["1", "2", "0"], explicitBounds: [0.1, 0.5], min: 0.1, max: 0.2 }],
    },
  },
  {
    name: "size",
    exponentialHistogram: {
      aggregationTemporality: 2,
      dataPoints: [
        { ...point, count: "6", sum: 9, scale: -10, zeroCount: "1", positive: { offset: 3, bucketCounts: ["1", "0", "2"] }, negative: { offset: -2, bucketCounts: ["2"] } },
      ],
    },
  },
  { name: "old", summary: { dataPoints: [{ ...point, count: "5", sum: 2, quantileValues: [{ quantile: 0.99, value: 1 }] }] } },
]; // biome-ignore format: one line a metric
const resource = { attributes: [{ key: "service.name", value: { stringValue: "cart" } }, ...attributes] };
const metricsRequest = { resourceMetrics: [{ resource, scopeMetrics: [{ scope: { name: "m" }, metrics }] }] };
const record = {
  timeUnixNano: "1700000000000000000",
  severityNumber: 17,
  severityText: "ERROR",
  body: { kvlistValue: { values: attributes } },
  attributes,
};
const logsRequest = {
  resourceLogs: [{ resource, scopeLogs: [{ scope: { name: "l" }, logRecords: [record, {}] }] }],
};

function halfBad(signal: string): (typeof halfBadRequests)[number] {
  return halfBadRequests.find((request) => request.signal === signal) as (typeof halfBadRequests)[number];
}

/** Valid request bodies by signal. */
export const protobufSeeds = {
  traces: [encodeTraces(rows), encodeTraces(rows.slice(0, 1)), halfBad("traces").protobuf],
  metrics: [oracleEncode("metrics", metricsRequest), halfBad("metrics").protobuf],
  logs: [oracleEncode("logs", logsRequest), halfBad("logs").protobuf],
};
export const jsonSeeds = {
  traces: [
    tracesToJson(rows),
    JSON.stringify(JSON.parse(tracesToJson(rows)), null, 1),
    halfBad("traces").json,
  ],
  metrics: [oracleJson("metrics", protobufSeeds.metrics[0] as Uint8Array), halfBad("metrics").json],
  logs: [oracleJson("logs", protobufSeeds.logs[0] as Uint8Array), halfBad("logs").json],
};

/** Groups, lengths that are too long, overlong varints, nested values. */
export const protobufWords = [
  Uint8Array.of(0x0b, 0x0c),
  Uint8Array.of(0x0b, 0x0b, 0x0b),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
  Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
  Uint8Array.of(0x80, 0x00),
  Uint8Array.of(0x0a, 0x00),
  Uint8Array.of(0x0a, 0x02, 0x0a, 0x00),
  Uint8Array.of(
    0x0a,
    0x10,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    0x12,
    0x08,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
  ),
  Uint8Array.of(0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f),
  Uint8Array.of(0x12, 0x06, 0x2a, 0x04, 0x0a, 0x02, 0x2a, 0x00),
  Uint8Array.of(0x12, 0x06, 0x32, 0x04, 0x0a, 0x02, 0x12, 0x00),
];

export const jsonWords = [
  "{}", "[]", "null", "true", '""', ",", ":", "[[[[[[[[", "]]]]]]]]", '{"a":{"a":{"a":', "\\u0000", "\\ud800", "\\udc00\\ud800", "\\", '"',
  "1e400", "-0", "0x10", "1.5", "18446744073709551616", "-9223372036854775809", '"NaN"', '"Infinity"', "\ufeff", "\u2028", "\r\n",
  '"resourceSpans":', '"scopeSpans":', '"spans":', '"instrumentationLibrarySpans":', '"resource_spans":', '"traceId":"', '"spanId":', '"parentSpanId":',
  '"kind":"SPAN_KIND_SERVER",', '"arrayValue":{"values":[', '"kvlistValue":{"values":[', '"bytesValue":"', '"attributes":[', '"__proto__":',
  '"dataPoints":[', '"bucketCounts":', '"explicitBounds":', '"scale":', '"logRecords":[', '"body":', '"timeUnixNano":"', '"asDouble":',
]; // biome-ignore format: a list

/** What other tools write, by hand: one small file of each. */
const jaegerSpan = {
  traceID: "0af7651916cd43dd8448eb211c80319c",
  spanID: "00f067aa0ba902b7",
  operationName: "GET /cart",
  references: [
    { refType: "CHILD_OF", traceID: "0af7651916cd43dd8448eb211c80319c", spanID: "00f067aa0ba902b8" },
  ],
  startTime: 1700000000000000,
  duration: 90000,
  tags: [
    { key: "span.kind", type: "string", value: "server" },
    { key: "error", type: "bool", value: true },
    { key: "http.status_code", type: "int64", value: 500 },
  ],
  logs: [{ timestamp: 1700000000000100, fields: [{ key: "event", type: "string", value: "error" }] }],
  processID: "p1",
  warnings: null,
};
const jaeger = {
  data: [
    {
      traceID: jaegerSpan.traceID,
      spans: [jaegerSpan],
      processes: { p1: { serviceName: "web", tags: [{ key: "hostname", type: "string", value: "n1" }] } },
    },
  ],
};
const jaegerDocument = {
  ...jaegerSpan,
  startTimeMillis: 1700000000000,
  process: { serviceName: "web", tags: [], tag: { "host@name": "n1" } },
  tag: { "span@kind": "server" },
};
const zipkin = [
  {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    id: "00f067aa0ba902b7",
    parentId: "00f067aa0ba902b8",
    kind: "SERVER",
    name: "get /cart",
    timestamp: 1700000000000000,
    duration: 90000,
    localEndpoint: { serviceName: "web", ipv4: "10.0.0.1" },
    remoteEndpoint: { serviceName: "cart", port: 80 },
    annotations: [{ timestamp: 1700000000000100, value: "retry" }],
    tags: { error: "true", "http.status_code": "500" },
    shared: true,
  },
];
const zipkin1 = [
  {
    traceId: "8448eb211c80319c",
    id: "00f067aa0ba902b7",
    name: "get",
    timestamp: 1700000000000000,
    duration: 5,
    annotations: [
      { timestamp: 1700000000000000, value: "sr", endpoint: { serviceName: "web", ipv4: "10.0.0.1" } },
    ],
    binaryAnnotations: [{ key: "http.path", value: "/cart", endpoint: { serviceName: "web" } }],
  },
];
const spans = JSON.parse(tracesToJson(rows.slice(0, 2))) as { resourceSpans: unknown };

const lines = `${tracesToJson(rows)}\n${oracleJson("metrics", protobufSeeds.metrics[0] as Uint8Array)}\n${oracleJson("logs", protobufSeeds.logs[0] as Uint8Array)}\n`;

/** Files of every format, plain and packed. */
export const fileSeeds: readonly (Uint8Array | string)[] = [
  lines,
  JSON.stringify([spans, spans], null, 1),
  `\ufeff${lines.replaceAll("\n", "\r\n")}`,
  encodeTraces(rows),
  delimited([encodeTraces(rows), encodeTraces(rows.slice(1))]),
  delimited([protobufSeeds.metrics[0] as Uint8Array]),
  gzipSync(lines),
  zstdStored(tracesToJson(rows)),
  Buffer.concat([zstdStored(`${JSON.stringify(spans)}\n`), zstdStored(JSON.stringify(spans))]),
  JSON.stringify(jaeger),
  JSON.stringify(jaeger.data[0]),
  JSON.stringify(jaegerDocument),
  JSON.stringify({ hits: { hits: [{ _source: jaegerDocument }] } }),
  JSON.stringify({ result: spans }),
  JSON.stringify({ batches: spans.resourceSpans }),
  JSON.stringify({ trace: spans }),
  JSON.stringify(zipkin),
  JSON.stringify([zipkin]),
  JSON.stringify(zipkin1),
  zipkinProtobuf(),
];

export const fileWords = [
  ...jsonWords,
  ...protobufWords,
  '"traceID":"', '"spanID":"', '"operationName":', '"references":[', '"processes":{', '"processID":"p1",', '"startTimeMillis":1,', '"_source":{', '"hits":{',
  '"batches":[', '"result":{', '"id":"', '"traceId":"', '"parentId":"', '"localEndpoint":{', '"annotations":[', '"binaryAnnotations":[', '"shared":true,', '"timestamp":',
  Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0), Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd), Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0), new Uint8Array(64),
]; // biome-ignore format: a list

function delimited(requests: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    requests.flatMap((request) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(request.length);
      return [length, request];
    }),
  );
}

/** A Zipkin ListOfSpans: trace id, id, kind, name, timestamp, duration, local endpoint. */
function zipkinProtobuf(): Uint8Array {
  const span = Buffer.from(
    "0a100af7651916cd43dd8448eb211c80319c1a0800f067aa0ba902b720022a036765743100c0a8d1f10a0600388cbf0542050a03776562",
    "hex",
  );
  return Buffer.concat([Uint8Array.of(0x0a, span.length), span, Uint8Array.of(0x0a, span.length), span]);
}

/** A frame of zstd that holds its content as it is: 256 bytes to 64 KB. */
function zstdStored(text: string): Uint8Array {
  const content = Buffer.from(text);
  const head = Buffer.from("28b52ffd600000000000", "hex");
  head.writeUInt16LE(content.length - 256, 5);
  // the last block, stored
  head.writeUIntLE(content.length * 8 + 1, 7, 3);
  return Buffer.concat([head, content]);
}
