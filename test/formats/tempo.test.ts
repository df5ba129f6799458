import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { Span } from "../../src/model/span.ts";
import { type Collected, collect, request, rowsOf, streamOf } from "./sources.ts";

const hexTrace = "0af7651916cd43dd8448eb211c80319c";
const base64 = (hex: string): string => Buffer.from(hex, "hex").toString("base64");

/** A batch as Tempo writes it: ids in base64, enums by name, times as text. */
const batch = {
  resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
  scopeSpans: [
    {
      scope: { name: "test" },
      spans: [
        {
          traceId: base64(hexTrace),
          spanId: base64("b7ad6b7169203331"),
          parentSpanId: base64("00f067aa0ba902b7"),
          name: "GET /cart",
          kind: "SPAN_KIND_CLIENT",
          startTimeUnixNano: "1700000000000000000",
          endTimeUnixNano: "1700000000050000000",
          links: [{ traceId: base64(hexTrace), spanId: base64("00f067aa0ba902b7") }],
          status: { code: "STATUS_CODE_ERROR", message: "refused" },
        },
      ],
    },
  ],
};
const { scopeSpans, ...rest } = batch;
const oldBatch = {
  ...rest,
  instrumentationLibrarySpans: [{ instrumentationLibrary: { name: "test" }, spans: scopeSpans[0]!.spans }],
};

async function read(content: string): Promise<Collected> {
  const whole = await collect([streamOf(content)]);
  for (const parts of [
    await collect([streamOf(content, 100)]),
    await collect([streamOf(gzipSync(content), 100)]),
  ]) {
    expect(rowsOf(parts.tables)).toEqual(rowsOf(whole.tables));
    expect(parts.problems).toEqual(whole.problems);
  }
  return whole;
}

const whole = await read(JSON.stringify({ batches: [batch] }));

test("ids in base64 and enums by name are read", () => {
  const span = new Span(whole.tables[0]!, 0);
  expect(span).toMatchObject({
    traceId: hexTrace,
    spanId: "b7ad6b7169203331",
    parentSpanId: "00f067aa0ba902b7",
    kind: 3,
    statusCode: 2,
    statusMessage: "refused",
    scopeName: "test",
  });
  expect(span.links).toMatchObject([{ traceId: hexTrace, spanId: "00f067aa0ba902b7" }]);
  expect(whole.summary.files).toMatchObject([{ format: "Tempo JSON (v1)", records: 1 }]);
});

test.each([
  ["v1, pretty", JSON.stringify({ batches: [batch] }, null, 2)],
  ["v1 of old versions, with instrumentation libraries", JSON.stringify({ batches: [oldBatch] })],
  [
    "v2",
    JSON.stringify({
      trace: { resourceSpans: [batch] },
      metrics: { inspectedBytes: "17" },
      status: "COMPLETE",
    }),
  ],
  ["v2, pretty", JSON.stringify({ trace: { resourceSpans: [batch] }, metrics: {} }, null, 2)],
  ["Jaeger's API v3", JSON.stringify({ result: { resourceSpans: [batch] } })],
])("%s", async (_, content) => {
  const { tables, problems } = await read(content);
  expect(rowsOf(tables)).toEqual(rowsOf(whole.tables));
  expect(problems).toEqual([]);
});

test("ids in hex are read, too", async () => {
  const { resourceSpans } = request("a", "b") as { resourceSpans: unknown };
  const { tables } = await read(JSON.stringify({ batches: resourceSpans }));
  expect(rowsOf(tables)).toEqual(rowsOf((await read(JSON.stringify({ resourceSpans }))).tables));
});

test("an answer of Jaeger's API v3 in several pieces is read whole", async () => {
  const pieces = ["a", "b", "c"].map((name) => `${JSON.stringify({ result: request(name) })}\n`);
  expect((await read(pieces.join(""))).summary.spans.accepted).toBe(3);
});

test("a trace that the server calls PARTIAL is used and marked", async () => {
  const { summary, problems } = await read(
    JSON.stringify({ trace: { resourceSpans: [batch] }, status: "PARTIAL", message: "too large" }),
  );
  expect(summary.spans.accepted).toBe(1);
  expect(problems).toMatchObject([
    { kind: "truncated_trace", message: expect.stringMatching(/PARTIAL\): too large$/) },
  ]);
});

test("a broken batch costs only itself", async () => {
  const text = JSON.stringify({ batches: [{ resource: 0 }, batch, batch] }).replace(
    '"resource":0',
    '"resource":oops',
  );
  const { summary, problems } = await read(text);
  expect(summary).toMatchObject({ spans: { accepted: 2 }, malformedRecords: 1 });
  expect(problems).toMatchObject([
    { kind: "malformed_record", message: expect.stringContaining("broken JSON") },
  ]);
});

test("base64 of another length, or of zeros, is no id", async () => {
  for (const traceId of [base64("0af765"), base64("00".repeat(16)), "====", "!".repeat(22).concat("==")]) {
    const spans = [{ ...batch.scopeSpans[0]!.spans[0], traceId }];
    const { summary } = await read(
      JSON.stringify({ batches: [{ ...batch, scopeSpans: [{ spans }] }, batch] }),
    );
    expect(summary.spans).toEqual({ accepted: 1, rejected: 1 });
  }
});

test("a batch may nest as deep as it likes", async () => {
  let value: unknown = { stringValue: "deep" };
  for (let level = 0; level < 300; level += 1) value = { arrayValue: { values: [value] } };
  const resource = { attributes: [{ key: "bomb", value }] };
  expect((await read(JSON.stringify({ batches: [{ ...batch, resource }] }))).summary.spans.accepted).toBe(1);
});
