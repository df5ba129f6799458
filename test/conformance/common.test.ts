import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import type { Decoded } from "../../src/engine/ports.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { parseTraceId } from "../../src/model/ids.ts";
import { rawNaming } from "../../src/model/service-directory.ts";
import { Span } from "../../src/model/span.ts";
import { SpanKind } from "../../src/model/span-table.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { receiveExport } from "../../src/otlp/receive-export.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { lz4Bomb, lz4Frame } from "../compression/lz4-frames.ts";
import { skippableFrame, zstdBomb, zstdFrame } from "../compression/zstd-frames.ts";
import { live } from "../engine/live.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { halfBadRequests } from "../otlp/half-bad-requests.ts";
import { oracleEncode } from "../otlp/protobuf-oracle.ts";
import { type Request, success, transports } from "./transports.ts";

// What holds over every transport and in every encoding (C-1 to C-12 of the checklist in checklist.test.ts).

const rows = rowsOf(
  tableOf(`
    web      GET /cart       0..90ms  server error
      cart   GET /items     10..80ms  client`),
);
const request: Request = { protobuf: encodeTraces(rows), json: Buffer.from(tracesToJson(rows)) };

const zeros = (megabytes: number): Buffer => Buffer.alloc(megabytes << 20);

/** Bodies that are small, or not, until they are unpacked; each is made once for all transports. */
const bombs: readonly (readonly [after: string, coding: string | undefined, bytes: Uint8Array])[] = [
  ["as sent", undefined, zeros(3)],
  ["after gunzip", "gzip", gzipSync(zeros(60), { level: 1 })],
  ["after inflate", "deflate", deflateSync(zeros(60), { level: 1 })],
  ["after zstd", "zstd", zstdBomb(60 << 20)],
  ["after LZ4", "lz4", lz4Bomb(15)],
];

describe.each(transports)("over %s", (transport, start) => {
  test.each([
    ["none", undefined, undefined],
    ["identity", "identity", undefined],
    ["gzip", "gzip", gzipSync],
    ["deflate (zlib)", "deflate", deflateSync],
    ["zstd", "zstd", zstdFrame],
    ["snappy", "snappy", unpackedSnappy],
    ["lz4", "lz4", (bytes: Uint8Array) => lz4Frame(bytes)],
  ])("C-1 a request compressed with %s is taken", async (_, coding, pack) => {
    const receiver = await start();
    expect(await receiver.send({ ...request, ...packing(coding, pack) })).toEqual(success);
    expect(receiver.handed.map(rowsIn)).toEqual([2]);
  });

  test.each(["br", "compress", "no-such-coding"])(
    "C-1 a compression that is not unpacked here, %s, is refused for good, by its name",
    async (coding) => {
      const receiver = await start();
      const outcome = await receiver.send({ ...request, coding });
      expect(outcome).toMatchObject({ kind: "dropped", status: transport === "gRPC" ? 12 : 415 });
      expect(outcome).toMatchObject({ message: expect.stringContaining(`"${coding}"`) });
      expect(receiver.handed).toEqual([]);
    },
  );

  test.each([
    ["gzip members", "gzip", (bytes: Uint8Array) => inHalves(bytes, gzipSync)],
    ["gzip members, by the alias", "x-gzip", (bytes: Uint8Array) => inHalves(bytes, gzipSync)],
    [
      "zstd frames, with one to be passed over",
      "zstd",
      (bytes: Uint8Array) => Buffer.concat([skippableFrame(Buffer.from("x")), inHalves(bytes, zstdFrame)]),
    ],
  ])("C-2 several %s are read to the end", async (_, coding, pack) => {
    const receiver = await start();
    expect(await receiver.send({ ...request, coding, pack })).toEqual(success);
    expect(receiver.handed.map(rowsIn)).toEqual([2]);
  });

  test("C-2 a list of codings is refused", async () => {
    const receiver = await start();
    const outcome = await receiver.send({ ...request, coding: "gzip, gzip", pack: gzipSync });
    expect(outcome).toMatchObject({ kind: "dropped", status: transport === "gRPC" ? 12 : 415 });
  });

  test.each(bombs)(
    "C-3 what is larger than the limit %s is refused for good, and its bytes are given back",
    async (_, coding, bytes) => {
      const receiver = await start({ bodyBytesMax: 2 << 20 });
      const outcome = await receiver.send({ protobuf: bytes, json: bytes, ...packing(coding, undefined) });
      expect(outcome).toMatchObject({ kind: "dropped", status: transport === "gRPC" ? 8 : 413 });
      expect(outcome).toMatchObject({ message: expect.stringContaining("larger than 2097152 bytes") });
      expect(receiver.count("oversize_requests_total")).toBe(1);
      expect(receiver.budget.used).toBe(0);
    },
  );

  test("C-3 all requests together hold no more than the budget, however many bombs come at once", async () => {
    const budget = new WatchedBudget(12 << 20);
    const receiver = await start({ bodyBytesMax: 8 << 20, budget });
    const bomb = gzipSync(zeros(7));
    const answers = Array.from({ length: 8 }, () =>
      receiver.send({ protobuf: bomb, json: bomb, coding: "gzip" }),
    );
    for (const outcome of await Promise.all(answers)) expect(outcome.kind).not.toBe("success");
    expect(budget.usedMax).toBeLessThanOrEqual(12 << 20);
    expect(budget.used).toBe(0);
    expect(await receiver.send(request)).toEqual(success);
  });

  test.each([
    ["nothing at all", "{}", Buffer.alloc(0)],
    ["no resources", '{"resourceSpans":[]}', Buffer.alloc(0)],
    ["a resource without scopes", '{"resourceSpans":[{}]}', Buffer.of(0x0a, 0)],
    ["a scope without spans", '{"resourceSpans":[{"scopeSpans":[{}]}]}', Buffer.of(0x0a, 2, 0x12, 0)],
  ])("C-4 a request of %s succeeds", async (_, json, protobuf) => {
    const receiver = await start();
    for (const signal of ["traces", "metrics", "logs"] as const) {
      const named = json.replaceAll("Spans", { traces: "Spans", metrics: "Metrics", logs: "Logs" }[signal]);
      expect(await receiver.send({ signal, json: Buffer.from(named), protobuf })).toEqual(success);
    }
    expect(receiver.handed).toEqual([]);
  });

  test.each(halfBadRequests)(
    "C-5 C-10 $signal of which some are bad: those are counted, the others taken",
    async (half) => {
      const receiver = await start();
      const outcome = await receiver.send(half);
      expect(outcome).toMatchObject({ kind: "success", partial: { rejected: 2 } });
      expect(outcome).toMatchObject({ partial: { message: expect.stringContaining(half.reason) } });
      expect(receiver.handed.map(({ signal }) => signal)).toEqual([half.signal]);
    },
  );

  test("C-5 what a repetition would cure is never a partial success", async () => {
    const busy = { ingest: () => Promise.reject(new OperationError("overloaded", "too much at once")) };
    const receiver = await start({ ingest: busy });
    const half = halfBadRequests.find(({ signal }) => signal === "traces");
    expect(await receiver.send(half!)).toMatchObject({ kind: "retried", afterSeconds: 1 });
  });

  test("C-6 the answer to a hundred thousand bad spans is short", async () => {
    const receiver = await start();
    const count = 100_000;
    const spans = Buffer.alloc(2 * count, Buffer.of(0x12, 0));
    const json = `{"resourceSpans":[{"scopeSpans":[{"spans":[${"{},".repeat(count)}{}]}]}]}`;
    const outcome = await receiver.send({ json: Buffer.from(json), protobuf: inScope(spans) });
    expect(outcome).toMatchObject({
      kind: "success",
      partial: { rejected: transport === "HTTP JSON" ? count + 1 : count },
    });
    expect(JSON.stringify(outcome).length).toBeLessThan(1_000);
  });

  test("C-7 fields and kinds that nobody knows yet cost nothing", async () => {
    const receiver = await start();
    const json = `{"fromTheFuture":{"a":[1]},"resourceSpans":[{"news":null,"scopeSpans":[{"spans":[{${idsJson},"kind":99,"mood":"good"}]}]}]}`;
    const span = Buffer.concat([ids, Buffer.from("3063", "hex"), Buffer.from("fa3e0474657874", "hex")]);
    const protobuf = Buffer.concat([inScope(lengthPrefixed(0x12, span)), Buffer.from("c83e05", "hex")]);
    expect(await receiver.send({ json: Buffer.from(json), protobuf })).toEqual(success);
    const taken = spanIn(receiver.handed[0]);
    expect(taken.kind).toBe(99);
    // the analysis takes it for work within a service
    const [read] = assembleTrace([{ table: taken.table, row: 0 }], rawNaming).spans;
    expect(read?.kind).toBe(SpanKind.Internal);
  });

  test("C-8 indices into a string table, which traces have none of, are as good as absent, and said once", async () => {
    const said: string[] = [];
    const receiver = await start({ onOddity: (message) => said.push(message) });
    const attributes = `[{"keyStrindex":3,"value":{"stringValue":"kept"}},{"key":"k","value":{"stringValueStrindex":7}}]`;
    const json = `{"resourceSpans":[{"scopeSpans":[{"spans":[{${idsJson},"attributes":${attributes}}]}]}]}`;
    const withIndexedKey = Buffer.concat([
      Buffer.from("1803", "hex"),
      lengthPrefixed(0x12, lengthPrefixed(0x0a, Buffer.from("kept"))),
    ]);
    const withIndexedValue = Buffer.concat([
      Buffer.from("0a016b", "hex"),
      lengthPrefixed(0x12, Buffer.from("4007", "hex")),
    ]);
    const span = Buffer.concat([
      ids,
      ...[withIndexedKey, withIndexedValue].map((one) => lengthPrefixed(0x4a, one)),
    ]);
    const sent = { json: Buffer.from(json), protobuf: inScope(lengthPrefixed(0x12, span)) };
    for (let i = 0; i < 3; i += 1) expect(await receiver.send(sent)).toEqual(success);
    expect(said).toEqual([
      expect.stringMatching(/^127\.0\.0\.1 names texts .* \(key_strindex, string_value_strindex\)/),
    ]);
    expect(receiver.count("string_indices_total")).toBe(6);
    expect([...spanIn(receiver.handed[0]).attributes]).toEqual([
      ["", "kept"],
      ["k", null],
    ]);
  });

  test("C-9 what is sent again is there once", async () => {
    const { engine } = live();
    const receiver = await start({ ingest: engine });
    for (let i = 0; i < 3; i += 1) expect(await receiver.send(request)).toEqual(success);
    const traceId = parseTraceId(new Span(rows[0]!.table, rows[0]!.row).traceId);
    const analysis = await engine.analyzeTrace(traceId!, { language: "en", scoring: "evidence" });
    expect(analysis?.report).toMatchObject({ trace: { span_count: 2, error_count: 1 } });
  });

  test("C-10 a span of which one id is bad costs only itself", async () => {
    const receiver = await start();
    const spans = [
      { traceId: "", spanId: "11".repeat(8) },
      { traceId: "00".repeat(16), spanId: "11".repeat(8) },
      { traceId: "11".repeat(8), spanId: "11".repeat(8) },
      { traceId: "11".repeat(16), spanId: "" },
      { traceId: "11".repeat(16), spanId: "00".repeat(8) },
      { traceId: "11".repeat(16), spanId: "11".repeat(16) },
      { traceId: "11".repeat(16), spanId: "11".repeat(8) },
    ];
    const inBytes = spans.map(({ traceId, spanId }) => ({
      traceId: fromHex(traceId),
      spanId: fromHex(spanId),
    }));
    const outcome = await receiver.send({
      json: Buffer.from(JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] })),
      protobuf: oracleEncode("traces", { resourceSpans: [{ scopeSpans: [{ spans: inBytes }] }] }),
    });
    expect(outcome).toMatchObject({ kind: "success", partial: { rejected: 6 } });
    expect(outcome).toMatchObject({
      partial: { message: expect.stringMatching(/3 × invalid_trace_id.*3 × invalid_span_id/) },
    });
    expect(receiver.handed.map(rowsIn)).toEqual([1]);
  });

  test("C-11 two hundred requests on their way at once are all answered", async () => {
    const receiver = await start();
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => receiver.send(request)));
    expect(outcomes.filter(({ kind }) => kind === "success")).toHaveLength(200);
    expect(receiver.count("accepted_spans_total")).toBe(400);
  });

  test("C-12 nothing is acknowledged before it is safe", async () => {
    let makeSafe = (): void => {};
    const ingest = (): Promise<void> =>
      new Promise((resolve) => {
        makeSafe = resolve;
      });
    const receiver = await start({ ingest: { ingest } });
    let isAnswered = false;
    const answer = receiver.send(request).finally(() => {
      isAnswered = true;
    });
    await expect.poll(() => receiver.count("body_bytes_total")).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(isAnswered).toBe(false);
    makeSafe();
    expect(await answer).toEqual(success);
  });

  test("C-12 a sender is asked to come back before it gives up on a store that takes too long", async () => {
    const receiver = await start({ ingest: { ingest: () => new Promise(() => {}) }, acknowledgeMsMax: 20 });
    expect(await receiver.send(request)).toMatchObject({ kind: "retried", afterSeconds: 1 });
    expect([receiver.budget.used, receiver.faults.length]).toEqual([0, 0]);
  });
});

test("C-12 a sender is asked to come back after four seconds, before the collector gives an attempt up", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const receipts: unknown[] = [];
  void receiveExport(
    {
      ingest: { ingest: () => new Promise(() => {}) },
      budget: new ByteBudget(1_000),
      counters: new ReceiverCounters("http"),
      bodyBytesMax: 1_000,
      onFault: (fault) => receipts.push(fault),
    },
    { signal: "traces", encoding: "protobuf", body: request.protobuf },
    "somebody",
  ).then((receipt) => receipts.push(receipt));
  await vi.advanceTimersByTimeAsync(3_999);
  expect(receipts).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(receipts).toMatchObject([{ kind: "refused" }]);
});

/** Remembers the most that was held at once. */
class WatchedBudget extends ByteBudget {
  usedMax = 0;

  override take(bytes: number): boolean {
    const isTaken = super.take(bytes);
    this.usedMax = Math.max(this.usedMax, this.used);
    return isTaken;
  }
}

const idsJson = `"traceId":"${"11".repeat(16)}","spanId":"${"22".repeat(8)}"`;
const ids = Buffer.from(`0a10${"11".repeat(16)}1208${"22".repeat(8)}`, "hex");

function packing(coding: string | undefined, pack: Request["pack"]): Pick<Request, "coding" | "pack"> {
  return { ...(coding === undefined ? {} : { coding }), ...(pack === undefined ? {} : { pack }) };
}

/** Snappy as it is for bytes that nothing in them repeats: the length, then one literal. */
function unpackedSnappy(bytes: Uint8Array): Buffer {
  const length = lengthPrefixed(0, bytes).subarray(1, -bytes.length);
  const literal = Buffer.of(61 << 2, (bytes.length - 1) & 0xff, (bytes.length - 1) >> 8);
  return Buffer.concat([length, literal, bytes]);
}

function inHalves(bytes: Uint8Array, pack: (bytes: Uint8Array) => Uint8Array): Buffer {
  const half = bytes.length >> 1;
  return Buffer.concat([pack(bytes.subarray(0, half)), pack(bytes.subarray(half))]);
}

/** Fields of a ScopeSpans message as a whole request. */
function inScope(fields: Uint8Array): Buffer {
  return lengthPrefixed(0x0a, lengthPrefixed(0x12, fields));
}

function lengthPrefixed(tag: number, content: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = content.length;
  for (; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.of(tag, ...length, rest), content]);
}

function rowsIn(decoded: Decoded): number {
  return decoded.signal === "traces" ? decoded.table.rowCount : 0;
}

function spanIn(decoded: Decoded | undefined): Span {
  if (decoded?.signal !== "traces") throw new Error("no spans were handed over");
  return new Span(decoded.table, 0);
}

function fromHex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits, "hex"));
}
