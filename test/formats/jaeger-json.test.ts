import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { appendJaegerTrace } from "../../src/formats/jaeger-json.ts";
import { meaningfulAttributes } from "../../src/model/semconv.ts";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { collect, rowsOf, streamOf } from "./sources.ts";

const traceID = "0af7651916cd43dd8448eb211c80319c";

function jaegerSpan(fields: object = {}): object {
  const span = { traceID, spanID: "b7ad6b7169203331", operationName: "GET /cart", processID: "p1" };
  return {
    ...span,
    startTime: 1_700_000_000_123_456,
    duration: 250,
    references: [],
    tags: [],
    logs: [],
    ...fields,
  };
}

const processes = {
  p1: { serviceName: "cart", tags: [{ key: "hostname", type: "string", value: "node-1" }] },
};

/** The spans of one trace in Jaeger's JSON. */
function spansOf(...spans: readonly unknown[]): readonly Span[] {
  const table = new SpanTable();
  appendJaegerTrace(bytesOf({ traceID, spans, processes }), table);
  return spansIn([table]);
}

function bytesOf(json: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(json));
}

function spansIn(tables: readonly SpanTable[]): readonly Span[] {
  return tables.flatMap((table) => Array.from({ length: table.rowCount }, (_, row) => new Span(table, row)));
}

function oneSpan(fields: object): Span {
  return spansOf(jaegerSpan(fields))[0]!;
}

function tag(key: string, value: unknown, type?: string): object {
  return { key, type, value };
}

test("a span keeps its times to the microsecond, its name, its service and its host", () => {
  const span = oneSpan({ flags: 1 });
  expect(span).toMatchObject({
    traceId: traceID,
    spanId: "b7ad6b7169203331",
    parentSpanId: null,
    name: "GET /cart",
    startTime: 1_700_000_000_123_456_000n,
    endTime: 1_700_000_000_123_706_000n,
    flags: 1,
  });
  expect([...span.resourceAttributes]).toEqual([
    ["service.name", "cart"],
    ["host.name", "node-1"],
  ]);
});

describe("ids", () => {
  test.each([
    ["64 bits", "8448eb211c80319c", "00000000000000008448eb211c80319c"],
    ["leading zeros left out", "a1", "000000000000000000000000000000a1"],
    ["upper case", traceID.toUpperCase(), traceID],
    ["a number", 17, "00000000000000000000000000000017"],
  ])("%s", (_, id, expected) => {
    expect(oneSpan({ traceID: id }).traceId).toBe(expected);
  });

  test("what is not hex is hashed: the same text is the same id, others are others", () => {
    const spans = spansOf(
      ...["span-1", "span-2", "g", "x".repeat(40)].map((spanID) =>
        jaegerSpan({ spanID, traceID: "trace-1" }),
      ),
      jaegerSpan({
        spanID: "child",
        traceID: "trace-1",
        references: [{ refType: "CHILD_OF", traceID: "trace-1", spanID: "span-2" }],
      }),
    );
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(5);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    expect(spans[4]!.parentSpanId).toBe(spans[1]!.spanId);
  });

  test("spans without usable ids are counted, and cost nothing but themselves", () => {
    const table = new SpanTable();
    const spans = [
      jaegerSpan({ traceID: "0" }),
      jaegerSpan({ spanID: "" }),
      jaegerSpan({ spanID: "0000" }),
      null,
      7,
      jaegerSpan(),
    ];
    expect(appendJaegerTrace(bytesOf({ spans, processes }), table)).toEqual({
      accepted: 1,
      rejected: 5,
      reasons: new Map([
        ["invalid_trace_id", 1],
        ["invalid_span_id", 2],
        ["malformed_span", 2],
      ]),
    });
    expect(table.rowCount).toBe(1);
  });
});

describe("references", () => {
  const parent = { refType: "CHILD_OF", traceID, spanID: "00f067aa0ba902b7" };
  const other = { refType: "CHILD_OF", traceID: "ff", spanID: "a" };
  const followed = { refType: "FOLLOWS_FROM", traceID, spanID: "b" };

  test("the first CHILD_OF in the same trace is the parent, the others are links", () => {
    const span = oneSpan({ references: [other, followed, parent, { ...parent, spanID: "c" }] });
    expect(span.parentSpanId).toBe("00f067aa0ba902b7");
    expect(span.links.map(({ traceId, spanId, attributes }) => [traceId, spanId, attributes.size])).toEqual([
      ["000000000000000000000000000000ff", "000000000000000a", 1],
      [traceID, "000000000000000b", 0],
      [traceID, "000000000000000c", 1],
    ]);
    expect([...span.links[0]!.attributes]).toEqual([["opentracing.ref_type", "child_of"]]);
  });

  test("FOLLOWS_FROM alone is a link, not a parent", () => {
    const span = oneSpan({ references: [followed] });
    expect([span.parentSpanId, span.links.length]).toEqual([null, 1]);
  });

  test("ids of the same trace may be written differently", () => {
    const span = oneSpan({
      traceID: "a1",
      references: [{ refType: "CHILD_OF", traceID: "00A1", spanID: "7" }],
    });
    expect(span.parentSpanId).toBe("0000000000000007");
  });

  test("the field of old versions is read where no reference says it", () => {
    expect(oneSpan({ references: null, parentSpanID: "7" }).parentSpanId).toBe("0000000000000007");
  });
});

test("tags keep their types, also where a value is text", () => {
  const big = 9_223_372_036_854_775_222n;
  const { attributes } = oneSpan({
    tags: [
      tag("s", "x", "string"),
      tag("n", 5, "string"),
      tag("b", true, "bool"),
      tag("b2", "false", "bool"),
      tag("i", 200, "int64"),
      tag("i2", "-200", "int64"),
      tag("i3", String(big), "int64"),
      tag("f", 72, "float64"),
      tag("f2", "NaN", "float64"),
      tag("y", "AAAwOQ==", "binary"),
      tag("u", 3),
      tag("o", { a: [1] }, "string"),
      tag("__proto__", "p", "string"),
    ],
  });
  expect([...attributes]).toEqual([
    ["s", "x"],
    ["n", "5"],
    ["b", true],
    ["b2", false],
    ["i", 200n],
    ["i2", -200n],
    ["i3", big],
    ["f", 72],
    ["f2", Number.NaN],
    ["y", Uint8Array.of(0, 0, 0x30, 0x39)],
    ["u", 3n],
    ["o", '{"a":[1]}'],
    ["__proto__", "p"],
  ]);
});

test("bare integers keep all digits, whatever their size", () => {
  const tags = ["9007199254740993", "-9223372036854775808", "9223372036854775808", "1e3", "1e300", "2.5"];
  const json = JSON.stringify({ traceID, spans: [jaegerSpan({ tags: ["TAGS"] })], processes });
  const texts = tags.map((value, at) => `{"key":"k${at}","type":"int64","value":${value}}`);
  const table = new SpanTable();
  appendJaegerTrace(Buffer.from(json.replace('"TAGS"', texts.join(","))), table);
  expect([...spansIn([table])[0]!.attributes.values()]).toEqual([
    9_007_199_254_740_993n,
    -9_223_372_036_854_775_808n,
    "9223372036854775808",
    1000n,
    1e300,
    2.5,
  ]);
});

test("keys may stand in any order, and white space anywhere", () => {
  const spans = [
    jaegerSpan({
      tags: [tag("http.route", "/a", "string"), tag("span.kind", "server", "string"), tag("n", "5", "int64")],
      warnings: ["w"],
      logs: [{ timestamp: 1_700_000_000_123_500, fields: [tag("event", "error"), tag("message", "m")] }],
      references: [
        { refType: "CHILD_OF", traceID, spanID: "7" },
        { refType: "FOLLOWS_FROM", traceID: "ab", spanID: "8" },
      ],
    }),
    jaegerSpan({ traceID: undefined, spanID: "9", process: processes.p1 }),
  ];
  const rows = [false, true].flatMap((isReversed) =>
    [0, 1].map((space) => {
      const table = new SpanTable();
      const trace = { traceID, spans, processes };
      appendJaegerTrace(
        Buffer.from(JSON.stringify(isReversed ? reversed(trace) : trace, null, space)),
        table,
      );
      return spansIn([table]).map((span) => [
        [span.traceId, span.spanId, span.parentSpanId, span.kind, span.startTime],
        [span.events, span.links, span.attributes, span.resourceAttributes],
      ]);
    }),
  );
  for (const one of rows) expect(one).toEqual(rows[0]);
  expect(rows[0]).toHaveLength(2);
});

/** The same with the keys of all objects in reverse order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

describe("tags that stand for fields", () => {
  test.each([
    ["server", 2],
    ["CLIENT", 3],
    ["producer", 4],
    ["consumer", 5],
    ["internal", 1],
  ])("span.kind %s", (word, kind) => {
    const span = oneSpan({ tags: [tag("span.kind", word, "string")] });
    expect([span.kind, span.attributes.size]).toEqual([kind, 0]);
  });

  test("a kind that nobody knows stays a tag", () => {
    const span = oneSpan({ tags: [tag("span.kind", "constructor", "string")] });
    expect([span.kind, span.attributes.get("span.kind")]).toEqual([0, "constructor"]);
  });

  test.each([
    ["error true", [tag("error", true, "bool")], 2],
    ['error "true"', [tag("error", "true", "string")], 2],
    ["error false", [tag("error", false, "bool")], 0],
    ["a status code", [tag("otel.status_code", "ERROR", "string")], 2],
    ["status OK", [tag("otel.status_code", "OK", "string")], 1],
    ["error wins over OK", [tag("otel.status_code", "OK", "string"), tag("error", true, "bool")], 2],
  ])("status: %s", (_, tags, status) => {
    const span = oneSpan({ tags });
    expect([span.statusCode, span.attributes.size]).toEqual([status, 0]);
  });

  test("an error that is a text stays a tag", () => {
    expect(oneSpan({ tags: [tag("error", "refused", "string")] }).attributes.get("error")).toBe("refused");
  });

  test("scope, message of the status, trace state and counts of what was dropped", () => {
    const span = oneSpan({
      tags: [
        tag("otel.library.name", "http", "string"),
        tag("otel.status_code", "ERROR", "string"),
        tag("otel.status_description", "no stock", "string"),
        tag("w3c.tracestate", "a=1", "string"),
        tag("otel.dropped_attributes_count", "2", "int64"),
        tag("otel.dropped_links_count", 1, "int64"),
      ],
    });
    expect(span).toMatchObject({ scopeName: "http", statusMessage: "no stock", traceState: "a=1" });
    expect([span.dropped, span.attributes.size]).toEqual([{ attributes: 2, events: 0, links: 1 }, 0]);
  });
});

test("logs are events; OpenTracing's way to log an error is an exception", () => {
  const [first, second] = oneSpan({
    logs: [
      {
        timestamp: 1_700_000_000_123_500,
        fields: [tag("event", "retry", "string"), tag("attempt", 2, "int64")],
      },
      {
        timestamp: 1_700_000_000_123_600,
        fields: [
          tag("message", "refused", "string"),
          tag("event", "error", "string"),
          tag("error.kind", "IOError", "string"),
        ],
      },
    ],
  }).events;
  expect(first).toMatchObject({ name: "retry", time: 1_700_000_000_123_500_000n });
  expect([...first!.attributes]).toEqual([["attempt", 2n]]);
  expect([second!.name, ...second!.attributes]).toEqual([
    "exception",
    ["exception.message", "refused"],
    ["exception.type", "IOError"],
  ]);
});

test("a trace whose clock begins at 0 keeps its distances; one start of 0 among dates is an unknown one", () => {
  const relative = spansOf(
    jaegerSpan({ startTime: 0, duration: 100 }),
    jaegerSpan({ startTime: 10, duration: 5 }),
  );
  expect(relative.map(({ startTime, endTime }) => [startTime, endTime])).toEqual([
    [1_000n, 101_000n],
    [11_000n, 16_000n],
  ]);
  expect(spansOf(jaegerSpan({ startTime: 0 }), jaegerSpan())[0]!.startTime).toBe(0n);
});

test.each([
  [
    "a string",
    { startTime: "1700000000123456", duration: "250" },
    1_700_000_000_123_456_000n,
    1_700_000_000_123_706_000n,
  ],
  ["a fraction", { startTime: 1_000_000_000.5, duration: 1 }, 1_000_000_000_500n, 1_000_000_001_500n],
  [
    "milliseconds alone",
    { startTime: undefined, startTimeMillis: 1_700_000_000_123 },
    1_700_000_000_123_000_000n,
    1_700_000_000_123_250_000n,
  ],
  ["no duration", { duration: undefined }, 1_700_000_000_123_456_000n, 0n],
  ["no time at all", { startTime: null }, 0n, 0n],
  ["beyond all dates", { startTime: 1e300 }, 0n, 0n],
])("times: %s", (_, fields, start, end) => {
  const span = oneSpan(fields);
  expect([span.startTime, span.endTime]).toEqual([start, end]);
});

test("a process may be missing, or inline, or have Jaeger's word for no name", () => {
  const inline = { serviceName: "pay", tags: [] };
  const noName = { serviceName: "OTLPResourceNoServiceName", tags: [] };
  const services = spansOf(
    jaegerSpan({ processID: "p9" }),
    jaegerSpan({ process: inline }),
    jaegerSpan({ process: noName }),
  );
  expect(services.map(({ resourceAttributes }) => resourceAttributes.get("service.name"))).toEqual([
    undefined,
    "pay",
    undefined,
  ]);
});

test("warnings of a span stay with it", () => {
  expect(oneSpan({ warnings: ["clock skew"] }).attributes.get("@jaeger@warnings")).toEqual(["clock skew"]);
});

const trace = { traceID, spans: [jaegerSpan(), jaegerSpan({ spanID: "2" })], processes, warnings: null };
const answer = { data: [trace, { ...trace, traceID: "ab" }], total: 0, limit: 0, offset: 0, errors: null };
const oneTrace = await rowsIn(JSON.stringify(trace));

async function rowsIn(text: string | Uint8Array): Promise<readonly string[]> {
  const whole = await collect([streamOf(text)]);
  const parts = await collect([streamOf(gzipSync(text), 100)]);
  expect(rowsOf(parts.tables)).toEqual(rowsOf(whole.tables));
  expect(parts.problems).toEqual(whole.problems);
  expect(whole.problems).toEqual([]);
  return rowsOf(whole.tables);
}

test.each([
  ["as the UI saves it", { data: [trace] }],
  ["as the API gives it", { ...answer, data: [trace] }],
  ["with processes before spans", { data: [{ processes, spans: trace.spans, traceID }] }],
  ["a list of bare traces", [trace]],
])("one trace %s", async (_, content) => {
  expect(oneTrace).toHaveLength(2);
  expect(await rowsIn(JSON.stringify(content))).toEqual(oneTrace);
  expect(await rowsIn(JSON.stringify(content, null, 2))).toEqual(oneTrace);
});

test("several traces, in one answer or in lines of answers", async () => {
  expect(await rowsIn(JSON.stringify(answer))).toHaveLength(4);
  expect(await rowsIn(`${JSON.stringify(answer)}\n${JSON.stringify({ data: [trace] })}\n`)).toHaveLength(6);
});

test("a broken trace costs only itself", async () => {
  const text = JSON.stringify(answer)
    .replace('"total"', '"x"')
    .replace("[{", '[{"spans":7},{"traceID":oops},{');
  const { summary, problems } = await collect([streamOf(text)]);
  expect(summary).toMatchObject({ spans: { accepted: 4 }, malformedRecords: 2 });
  expect(problems.map(({ message }) => message)).toEqual([
    "is no trace: it has no list of spans",
    expect.stringContaining("broken JSON"),
  ]);
});

test("an answer that says that there is no trace is an error in the server's words", async () => {
  const none = { data: null, total: 0, limit: 0, offset: 0, errors: [{ code: 404, msg: "trace not found" }] };
  await expect(collect([streamOf(JSON.stringify(none))])).rejects.toThrow(/without a trace: trace not found/);
  const v3 = { error: { grpcCode: 5, httpCode: 404, message: "trace not found", httpStatus: "Not Found" } };
  await expect(collect([streamOf(JSON.stringify(v3))])).rejects.toThrow(/without a trace: trace not found/);
});

test("an answer without traces is nothing wrong", async () => {
  expect(await rowsIn(JSON.stringify({ ...answer, data: [] }))).toEqual([]);
});

test("attributes that nobody asked for are left out", async () => {
  const tags = [
    tag("http.status_code", 503, "int64"),
    tag("user.id", "u1", "string"),
    tag("span.kind", "client", "string"),
  ];
  const content = JSON.stringify({ traceID, spans: [jaegerSpan({ tags, warnings: ["w"] })], processes });
  const [span] = spansIn((await collect([streamOf(content)], { attributes: meaningfulAttributes })).tables);
  expect([[...span!.attributes], span!.kind]).toEqual([[["http.status_code", 503n]], 3]);
});

describe("documents of Elasticsearch", () => {
  const document = {
    ...jaegerSpan({ processID: undefined, startTimeMillis: 1_700_000_000_123 }),
    process: { serviceName: "cart", tags: [], tag: { hostname: "node-1", "k8s@pod@name": "cart-0" } },
    tags: [tag("http.status_code", "503", "int64"), tag("error", "true", "bool")],
    tag: { "span@kind": "server", "http@route": "/cart", retried: true, attempts: 2 },
  };
  const lines = [document, { ...document, spanID: "2" }].map((one) => JSON.stringify(one));

  test("a span with its process inline, tags as text, and tags as an object", async () => {
    const { tables } = await collect([streamOf(lines.join("\n"))]);
    const [span] = spansIn(tables);
    expect(span).toMatchObject({ kind: 2, statusCode: 2, name: "GET /cart" });
    expect([...span!.attributes]).toEqual([
      ["http.status_code", 503n],
      ["http.route", "/cart"],
      ["retried", true],
      ["attempts", 2n],
    ]);
    expect([...span!.resourceAttributes]).toEqual([
      ["service.name", "cart"],
      ["host.name", "node-1"],
      ["k8s.pod.name", "cart-0"],
    ]);
    expect(tables[0]!.resources.length).toBe(1);
  });

  test("lines, dumps with the document inside, answers of a search", async () => {
    const plain = await rowsIn(lines.join("\n"));
    expect(plain).toHaveLength(2);
    expect(
      await rowsIn(lines.map((line) => `{"_index":"jaeger-span","_id":"1","_source":${line}}\n`).join("")),
    ).toEqual(plain);
    const hits = lines.map((line) => `{"_index":"jaeger-span","_source":${line}}`).join(",");
    expect(await rowsIn(`{"took":3,"hits":{"total":{"value":2},"hits":[${hits}]}}`)).toEqual(plain);
    expect(await rowsIn(`[${lines.join(",")}]`)).toEqual(plain);
  });

  test("a line that is no span costs only itself", async () => {
    const { summary, problems } = await collect([streamOf([lines[0], '{"x":1}', lines[1]].join("\n"))]);
    expect(summary).toMatchObject({ spans: { accepted: 2 }, malformedRecords: 1 });
    expect(problems).toMatchObject([
      { source: expect.stringMatching(/:2, byte/), message: expect.stringContaining("no spanID") },
    ]);
  });
});
