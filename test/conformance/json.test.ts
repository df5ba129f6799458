import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AnyValue } from "../../src/model/attributes.ts";
import { rawNaming } from "../../src/model/service-directory.ts";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { decodeTraces } from "../../src/otlp/protobuf-traces.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { viewOf } from "../otlp/json-text.ts";

// OTLP in JSON (C-60 to C-70 of the checklist in checklist.test.ts), as it comes over HTTP.

let server: Awaited<ReturnType<typeof otlpServer>>;
beforeAll(async () => {
  server = await otlpServer();
});
afterAll(() => server.close());

const ids = '"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"';

describe("C-60 ids and bytes", () => {
  test("C-60 ids are hex of any case, in spans, parents and links", async () => {
    const upper = ids.replace(/[0-9a-f]{16,}/g, (id) => id.toUpperCase());
    const span = await spanOf(
      `${upper},"parentSpanId":"00F067AA0BA902B7","links":[{"traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","spanId":"00F067AA0BA902B7"}]`,
    );
    expect([span.traceId, span.spanId]).toEqual(["5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"]);
    expect(span.parentSpanId).toBe("00f067aa0ba902b7");
    expect(span.links).toMatchObject([
      { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" },
    ]);
  });

  test("C-60 ids of log records are hex of any case", async () => {
    const record =
      '{"body":{"stringValue":"x"},"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"}';
    await post("logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[${record}]}]}]}`);
    expect(server.handed.at(-1)!.decoded).toMatchObject({
      records: [{ traceId: "5b8efff798038103d269b633813fc60c", spanId: "eee19b7ec3c1b174" }],
    });
  });

  test("C-60 a parent id that is no id makes a root", async () => {
    for (const parent of ["", "0000000000000000", "abc", "zzzzzzzzzzzzzzzz"])
      expect((await spanOf(`${ids},"parentSpanId":"${parent}"`)).parentSpanId).toBeNull();
  });

  test("C-60 bytes are base64 of either alphabet, padded or not", async () => {
    for (const text of ["-_-_-w==", "+/+/+w==", "-_-_-w", "+/+/+w", "+\\/+\\/+w=="])
      expect(await attributeOf(`{"bytesValue":"${text}"}`)).toEqual(Uint8Array.of(0xfb, 0xff, 0xbf, 0xfb));
    expect(await attributeOf('{"bytesValue":""}')).toEqual(new Uint8Array(0));
  });
});

test("C-61 keys may be in snake_case", async () => {
  const camel = `{"resourceSpans":[{"schemaUrl":"s","scopeSpans":[{"spans":[{${ids},"parentSpanId":"00f067aa0ba902b7","startTimeUnixNano":"5","endTimeUnixNano":"7","traceState":"a=b","droppedAttributesCount":1,"droppedEventsCount":2,"droppedLinksCount":3,"attributes":[{"key":"k","value":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"1"}}]}}}],"events":[{"timeUnixNano":"6","name":"e","droppedAttributesCount":4}]}]}]}]}`;
  const snake = camel.replace(/"[a-z]+(?:[A-Z][a-z]+)+":/g, (key) =>
    key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  expect(snake).toContain('"start_time_unix_nano"');
  expect(viewOf(await tableFrom(snake))).toEqual(viewOf(await tableFrom(camel)));
});

test.each([
  [
    "metrics",
    `{"resourceMetrics":[{"schemaUrl":"s","scopeMetrics":[{"metrics":[{"name":"m","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"startTimeUnixNano":"5","timeUnixNano":"7","asInt":"9"}]}},{"name":"h","histogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"7","count":"3","explicitBounds":[1],"bucketCounts":["1","2"]}]}}]}]}]}`,
  ],
  [
    "logs",
    `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"5","observedTimeUnixNano":"6","severityNumber":17,"severityText":"E","body":{"stringValue":"x"},${ids},"eventName":"e"}]}]}]}`,
  ],
])("C-61 keys of %s may be in snake_case too", async (signal, camel) => {
  const snake = camel.replace(/"[a-z]+(?:[A-Z][a-z]+)+":/g, (key) =>
    key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  expect(snake).toContain('"time_unix_nano"');
  for (const body of [camel, snake]) await post(signal, body);
  const [first, second] = server.handed.slice(-2).map(({ decoded }) => decoded);
  expect(second).toEqual(first);
  expect(first).toMatchObject(
    signal === "metrics"
      ? { points: [{ name: "m" }, { name: "h" }] }
      : { records: [{ severityNumber: 17, eventName: "e" }] },
  );
});

test("C-62 temporalities and severities may be numbers or names", async () => {
  const sum = (temporality: string): string =>
    `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"aggregationTemporality":${temporality},"dataPoints":[{"asInt":"9"}]}}]}]}]}`;
  for (const temporality of ["1", '"AGGREGATION_TEMPORALITY_DELTA"']) {
    await post("metrics", sum(temporality));
    expect(server.handed.at(-1)!.decoded).toMatchObject({ points: [{ value: { temporality: "delta" } }] });
  }
  for (const severity of ["17", '"SEVERITY_NUMBER_ERROR"']) {
    await post("logs", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":${severity}}]}]}]}`);
    expect(server.handed.at(-1)!.decoded).toMatchObject({ records: [{ severityNumber: 17 }] });
  }
});

test("C-62 kinds and codes may be numbers, numeric strings or names; unknown numbers are kept", async () => {
  for (const kind of ["3", '"3"', '"SPAN_KIND_CLIENT"'])
    expect((await spanOf(`${ids},"kind":${kind}`)).kind).toBe(3);
  expect((await spanOf(`${ids},"kind":99`)).kind).toBe(99);
  for (const code of ["2", '"2"', '"STATUS_CODE_ERROR"'])
    expect((await spanOf(`${ids},"status":{"code":${code}}`)).statusCode).toBe(2);
});

describe("C-63 64-bit integers", () => {
  test("C-63 times are exact, as strings, as numbers and with an exponent", async () => {
    for (const time of ['"1750000000123456789"', "1750000000123456789", "1.750000000123456789e18"])
      expect((await spanOf(`${ids},"startTimeUnixNano":${time}`)).startTime).toBe(1750000000123456789n);
    expect((await spanOf(`${ids},"endTimeUnixNano":"18446744073709551615"`)).endTime).toBe(2n ** 64n - 1n);
  });

  test("C-63 values are exact, as strings and as numbers, to both ends", async () => {
    for (const number of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 0n]) {
      expect(await attributeOf(`{"intValue":"${number}"}`)).toBe(number);
      expect(await attributeOf(`{"intValue":${number}}`)).toBe(number);
    }
  });
});

test("C-64 doubles and 32-bit integers may be strings", async () => {
  expect(await attributeOf('{"doubleValue":"NaN"}')).toBe(Number.NaN);
  expect(await attributeOf('{"doubleValue":"Infinity"}')).toBe(Number.POSITIVE_INFINITY);
  expect(await attributeOf('{"doubleValue":"-Infinity"}')).toBe(Number.NEGATIVE_INFINITY);
  expect(await attributeOf('{"doubleValue":"1.5e3"}')).toBe(1500);
  expect(await attributeOf('{"doubleValue":7}')).toBe(7);
  const span = await spanOf(`${ids},"droppedEventsCount":"4294967295","flags":"257"`);
  expect([span.dropped.events, span.flags]).toEqual([2 ** 32 - 1, 257]);
});

describe("C-65 what is null or unknown", () => {
  const names = [
    "parentSpanId",
    "name",
    "kind",
    "startTimeUnixNano",
    "attributes",
    "events",
    "links",
    "status",
  ];

  test("C-65 null is as good as absent, wherever it stands", async () => {
    const withNulls = await tableFrom(bodyOf(`${ids},${names.map((name) => `"${name}":null`).join(",")}`));
    expect(viewOf(withNulls)).toEqual(viewOf(await tableFrom(bodyOf(ids))));
    for (const body of [
      '{"resourceSpans":null}',
      '{"resourceSpans":[null,{"resource":null,"scopeSpans":null}]}',
      '{"resourceSpans":[{"scopeSpans":[null,{"scope":null,"spans":null}]}]}',
    ])
      expect(await post("traces", body)).toBe("{}");
  });

  test("C-65 unknown keys are passed over, whatever they hold", async () => {
    const unknown = '"news":[{"a":"}"},[[]],1e9,true,null,"\\"]"]';
    const body = `{${unknown},"resourceSpans":[{${unknown},"scopeSpans":[{${unknown},"spans":[{${unknown},${ids},${unknown}}],${unknown}}]}]}`;
    expect(viewOf(await tableFrom(body))).toEqual(viewOf(await tableFrom(bodyOf(ids))));
  });

  test("C-65 a status of {} is unset, as none is", async () => {
    for (const status of ["", ',"status":{}', ',"status":{"code":0}'])
      expect((await spanOf(`${ids}${status}`)).statusCode).toBe(0);
  });
});

test("C-66 empty values, lists and lists of keys are what they are", async () => {
  expect(await attributeOf("{}")).toBeNull();
  expect(await attributeOf('{"arrayValue":{}}')).toEqual([]);
  expect(await attributeOf('{"arrayValue":{"values":[{},{"boolValue":false}]}}')).toEqual([null, false]);
  expect(await attributeOf('{"kvlistValue":{}}')).toEqual(new Map());
  expect(await attributeOf('{"kvlistValue":{"values":[{"key":"a","value":{}},{"key":"b"}]}}')).toEqual(
    new Map([
      ["a", null],
      ["b", null],
    ]),
  );
});

describe("C-67 nesting", () => {
  test("C-67 values deeper than 64 levels become an ellipsis, as from protobuf", async () => {
    const nested = `${'{"arrayValue":{"values":['.repeat(70)}{"intValue":1}${"]}}".repeat(70)}`;
    const table = await tableFrom(bodyOf(`${ids},"attributes":[{"key":"k","value":${nested}}]`));
    expect(JSON.stringify(new Span(table, 0).attributes.get("k"))).toBe(
      `${"[".repeat(64)}"…"${"]".repeat(64)}`,
    );
    const again = new SpanTable();
    decodeTraces(encodeTraces([{ table, row: 0 }]), again);
    expect(viewOf(again)).toEqual(viewOf(table));
  });

  const levels = 200_000;
  test.each([
    ["arrays where nobody looks", `"x":${"[".repeat(levels)}${"]".repeat(levels)}`],
    ["objects where nobody looks", `"x":${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`],
    [
      "values",
      `"attributes":[{"key":"k","value":${'{"arrayValue":{"values":['.repeat(levels)}${"]}}".repeat(levels)}}]`,
    ],
    [
      "lists of keys",
      `"attributes":[{"key":"k","value":${'{"kvlistValue":{"values":[{"key":"k","value":'.repeat(levels)}{}${"}]}}".repeat(levels)}}]`,
    ],
  ])("C-67 %s, two hundred thousand deep, cost the batch nothing", async (_, field) => {
    const table = await tableFrom(
      `{"resourceSpans":[{"scopeSpans":[{"spans":[{${ids},${field}},{${ids}}]}]}]}`,
    );
    expect(table.rowCount).toBe(2);
  });

  test("C-67 brackets that never close are a 400", async () => {
    const headers = { "content-type": "application/json" };
    for (const open of ["[", '{"a":'])
      expect(
        (await server.send("/v1/traces", headers, Buffer.from(`{"x":${open.repeat(levels)}`))).status,
      ).toBe(400);
  });
});

test("C-68 keys that objects have of their own are keys like any other", async () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", ""];
  const list = names.map((key) => `{"key":"${key}","value":{"stringValue":"polluted"}}`).join(",");
  const nested = `{"key":"nested","value":{"kvlistValue":{"values":[${list}]}}}`;
  const table = await tableFrom(
    bodyOf(`${ids},"__proto__":{"polluted":true},"attributes":[${list},${nested}]`),
  );
  const { attributes } = new Span(table, 0);
  expect([...attributes.keys()]).toEqual([...names, "nested"]);
  expect(attributes.get("nested")).toEqual(new Map(names.map((name) => [name, "polluted"])));
  expect([({} as Record<string, unknown>)["polluted"], JSON.stringify({})]).toEqual([undefined, "{}"]);
  const written = JSON.parse(tracesToJson([{ table, row: 0 }])) as object;
  expect(JSON.stringify(written)).toContain('"key":"__proto__"');
});

describe("C-69 characters", () => {
  test("C-69 a byte order mark is passed over", async () => {
    expect((await tableFrom(`\ufeff${bodyOf(ids)}`)).rowCount).toBe(1);
  });

  test("C-69 a lone surrogate becomes U+FFFD, a pair its character", async () => {
    const name = `${ids},"name":"a\\ud800b\\udc00\\ud83d\\ude00"`;
    expect((await spanOf(name)).name).toBe("a\ufffdb\ufffd😀");
  });

  test("C-69 bytes that are no UTF-8 cost their string only", async () => {
    const body = Buffer.from(bodyOf(`${ids},"name":"\xff\xfe"`), "latin1");
    expect(new Span(await tableFrom(body), 0).name).toBe("\ufffd\ufffd");
  });

  test("C-69 UTF-16 is a 400", async () => {
    const headers = { "content-type": "application/json" };
    const body = Buffer.from(`\ufeff${bodyOf(ids)}`, "utf16le");
    expect((await server.send("/v1/traces", headers, body)).status).toBe(400);
  });
});

describe("C-70 what occurs twice", () => {
  test("C-70 of two attributes of one name the last wins, and both are kept as they came", async () => {
    const entry = (value: string): string => `{"key":"k","value":{"stringValue":"${value}"}}`;
    const table = await tableFrom(bodyOf(`${ids},"attributes":[${entry("first")},${entry("last")}]`));
    expect([...new Span(table, 0).attributes]).toEqual([["k", "last"]]);
    expect(table.attributeEnd[0]! - table.attributeStart[0]!).toBe(2);
    expect(tracesToJson([{ table, row: 0 }])).toContain("first");
  });

  test("C-70 spans that repeat an attribute which means something are counted, of both encodings", async () => {
    const entry = (value: string): string => `{"key":"http.status_code","value":{"intValue":"${value}"}}`;
    const table = await tableFrom(bodyOf(`${ids},"attributes":[${entry("200")},${entry("500")}]`));
    const binary = new SpanTable(1);
    decodeTraces(encodeTraces([{ table, row: 0 }]), binary);
    for (const decoded of [table, binary])
      expect(assembleTrace([{ table: decoded, row: 0 }], rawNaming).problems).toContainEqual(
        expect.objectContaining({ kind: "duplicate_attribute", count: 1 }),
      );
  });

  test("C-70 of two keys of one object the last wins", async () => {
    const span = await spanOf(
      `${ids},"name":"a","name":"b","attributes":[{"key":"x"}],"attributes":[{"key":"y"}]`,
    );
    expect([span.name, [...span.attributes.keys()]]).toEqual(["b", ["y"]]);
    expect(await attributeOf('{"stringValue":"a","intValue":"1"}')).toBe(1n);
  });
});

async function post(signal: string, body: string | Uint8Array): Promise<string> {
  const headers = { "content-type": "application/json" };
  const reply = await server.send(`/v1/${signal}`, headers, Buffer.from(body));
  expect(reply.status).toBe(200);
  return reply.body.toString();
}

/** The spans of a request as the engine is handed them; none may have been rejected. */
async function tableFrom(body: string | Uint8Array): Promise<SpanTable> {
  expect(await post("traces", body)).toBe("{}");
  const { decoded } = server.handed.at(-1)!;
  if (decoded.signal !== "traces") throw new Error("no spans were handed over");
  return decoded.table;
}

async function spanOf(fields: string): Promise<Span> {
  return new Span(await tableFrom(bodyOf(fields)), 0);
}

async function attributeOf(value: string): Promise<AnyValue | undefined> {
  return (await spanOf(`${ids},"attributes":[{"key":"k","value":${value}}]`)).attributes.get("k");
}

function bodyOf(fields: string): string {
  return `{"resourceSpans":[{"scopeSpans":[{"spans":[{${fields}}]}]}]}`;
}
