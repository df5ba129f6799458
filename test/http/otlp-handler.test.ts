import { connect } from "node:net";
import { deflateSync, gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { halfBadRequests } from "../otlp/half-bad-requests.ts";
import { oracleDecode } from "../otlp/protobuf-oracle.ts";
import { otlpServer, type Reply } from "./otlp-server.ts";

const protobuf = { "content-type": "application/x-protobuf" };
const json = { "content-type": "application/json" };
const rows = rowsOf(
  tableOf(`
    web      GET /cart       0..90ms  server error
      cart   GET /items     10..80ms  client`),
);
const protobufBody = encodeTraces(rows);
const jsonBody = Buffer.from(tracesToJson(rows));

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

async function serve(...args: Parameters<typeof otlpServer>): ReturnType<typeof otlpServer> {
  const server = await otlpServer(...args);
  open.push(server);
  return server;
}

test.each([
  ["protobuf", protobuf, protobufBody, ""],
  ["JSON", { "content-type": "application/json; charset=utf-8" }, jsonBody, "{}"],
  ["application/protobuf", { "content-type": "application/protobuf" }, protobufBody, ""],
  ["gzip", { ...protobuf, "content-encoding": "gzip" }, gzipSync(protobufBody), ""],
  ["x-gzip", { ...json, "content-encoding": "X-GZIP" }, gzipSync(jsonBody), "{}"],
  ["deflate", { ...protobuf, "content-encoding": "deflate" }, deflateSync(protobufBody), ""],
  ["identity", { ...protobuf, "content-encoding": "identity" }, protobufBody, ""],
])("spans sent as %s are handed over and acknowledged", async (_, headers, body, answer) => {
  const server = await serve();
  const reply = await server.send("/v1/traces/", headers, body);
  expect(reply.status).toBe(200);
  expect(reply.body.toString()).toBe(answer);
  expect(reply.headers["content-type"]).toBe(
    answer === "{}" ? json["content-type"] : protobuf["content-type"],
  );
  expect(server.handed.map(({ decoded }) => decoded.signal === "traces" && decoded.table.rowCount)).toEqual([
    2,
  ]);
  expect(server.count("accepted_spans_total")).toBe(2);
  expect(server.budget.used).toBe(0);
});

test("a gzip body of several members is read to its end", async () => {
  const half = protobufBody.length >> 1;
  const body = Buffer.concat([
    gzipSync(protobufBody.subarray(0, half)),
    gzipSync(protobufBody.subarray(half)),
  ]);
  const server = await serve();
  await server.send("/v1/traces", { ...protobuf, "content-encoding": "gzip" }, body);
  expect(server.count("accepted_spans_total")).toBe(2);
});

test("what is handed over is the body as it was, decompressed", async () => {
  const server = await serve();
  await server.send("/v1/traces", { ...protobuf, "content-encoding": "gzip" }, gzipSync(protobufBody));
  expect(Buffer.from(server.handed[0]!.received.body).equals(Buffer.from(protobufBody))).toBe(true);
});

test.each([
  ["protobuf", protobuf, ""],
  ["JSON", json, "{}"],
])("an empty request in %s succeeds", async (_, headers, body) => {
  const server = await serve();
  for (const path of ["/v1/traces", "/v1/metrics", "/v1/logs"])
    expect((await server.send(path, headers, Buffer.from(body))).status).toBe(200);
  expect(server.handed).toEqual([]);
});

test("metrics and logs are accepted on their own paths", async () => {
  const server = await serve();
  const gauge = { name: "queue.depth", gauge: { dataPoints: [{ timeUnixNano: "5", asInt: "7" }] } };
  const record = { timeUnixNano: "5", body: { stringValue: "out of memory" } };
  await server.send(
    "/v1/metrics",
    json,
    jsonOf({ resourceMetrics: [{ scopeMetrics: [{ metrics: [gauge] }] }] }),
  );
  await server.send("/v1/logs", json, jsonOf({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] }));
  expect(server.handed.map(({ decoded }) => decoded.signal)).toEqual(["metrics", "logs"]);
  expect(server.count("accepted_metric_points_total")).toBe(1);
  expect(server.count("accepted_log_records_total")).toBe(1);
});

test("one span with a bad id costs only itself, and the answer counts it", async () => {
  const server = await serve();
  const reply = await server.send("/v1/traces", json, spansJson([{ traceId: "00", spanId: "zz" }, {}]));
  const answer = JSON.parse(reply.body.toString()) as { partialSuccess: Record<string, string> };
  expect(reply.status).toBe(200);
  expect(answer.partialSuccess["rejectedSpans"]).toBe("1");
  expect(answer.partialSuccess["errorMessage"]).toContain("trace id must be 16 bytes");
  expect(server.count("accepted_spans_total")).toBe(1);
  expect(server.count("rejected_spans_total")).toBe(1);
});

describe.each(halfBadRequests)("$signal of which some are bad", (request) => {
  const { signal, response, rejectedKey, reason } = request;

  test("are a partial success that counts them, in JSON", async () => {
    const server = await serve();
    const reply = await server.send(`/v1/${signal}`, json, request.json);
    const { partialSuccess } = JSON.parse(reply.body.toString()) as {
      partialSuccess: Record<string, string>;
    };
    expect([reply.status, partialSuccess[rejectedKey]]).toEqual([200, "2"]);
    expect(partialSuccess["errorMessage"]).toContain(reason);
    expect(server.handed).toHaveLength(1);
  });

  test("are a partial success that counts them, in protobuf", async () => {
    const server = await serve();
    const reply = await server.send(`/v1/${signal}`, protobuf, request.protobuf);
    const { partialSuccess } = oracleDecode(response, reply.body);
    expect([reply.status, partialSuccess[rejectedKey]]).toEqual([200, "2"]);
    expect(partialSuccess.errorMessage).toContain(reason);
    expect(server.handed).toHaveLength(1);
  });
});

test("one byte that is not UTF-8 costs nothing but itself", async () => {
  const server = await serve();
  const body = Buffer.from(protobufBody);
  body[body.indexOf("/items")] = 0xff;
  const reply = await server.send("/v1/traces", protobuf, body);
  expect([reply.status, reply.body.length]).toEqual([200, 0]);
  const { decoded } = server.handed[0]!;
  expect(decoded.signal === "traces" && decoded.table.rowCount).toBe(2);
});

test.each([
  ["truncated protobuf", protobuf, protobufBody.subarray(0, 20), "protobuf"],
  ["JSON that ends early", json, jsonBody.subarray(0, 40), "json"],
  ["nothing where JSON was said", json, Buffer.alloc(0), "json"],
  ["gzip that is none", { ...json, "content-encoding": "gzip" }, jsonBody, "json"],
  [
    "gzip that ends early",
    { ...json, "content-encoding": "gzip" },
    gzipSync(jsonBody).subarray(0, 30),
    "json",
  ],
])("%s is a 400 with a Status", async (_, headers, body, encoding) => {
  const server = await serve();
  checkFailure(await server.send("/v1/traces", headers, body), 400, encoding);
  expect(server.count("malformed_requests_total")).toBe(1);
  expect(server.budget.used).toBe(0);
});

test("a body whose type is not what its header says gets a hint", async () => {
  const server = await serve();
  const reply = await server.send("/v1/traces", protobuf, jsonBody);
  expect(reply.status).toBe(400);
  expect(reply.body.toString()).toContain("looks like json");
});

test.each([
  ["no content type", {}, 415],
  ["text", { "content-type": "text/plain" }, 415],
  ["an unknown coding", { ...json, "content-encoding": "br" }, 415],
  ["two codings", { ...json, "content-encoding": "gzip, gzip" }, 415],
])("%s is a 415 with a Status", async (_, headers, status) => {
  const server = await serve();
  checkFailure(await server.send("/v1/traces", headers, jsonBody), status, "json");
});

test("another method is a 405 that names POST", async () => {
  const server = await serve();
  const reply = await server.send("/v1/traces", json, Buffer.alloc(0), "GET");
  checkFailure(reply, 405, "json");
  expect(reply.headers["allow"]).toBe("POST");
});

test("another path is a 404 with a Status in the request's encoding", async () => {
  const server = await serve();
  checkFailure(await server.send("/v1/profiles", protobuf, protobufBody), 404, "protobuf");
  checkFailure(await server.send("/", json, jsonBody), 404, "json");
});

test.each([
  ["as sent", protobuf, Buffer.alloc(2_000_000)],
  ["after decompression", { ...protobuf, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(50_000_000))],
  ["after decompression of a large upload", { ...protobuf, "content-encoding": "gzip" }, largeBomb()],
  ["as sent in chunks", { ...protobuf, "transfer-encoding": "chunked" }, Buffer.alloc(2_000_000)],
])("a body too large %s is a 413, and the connection lives on", async (_, headers, body) => {
  const server = await serve({ bodyBytesMax: 1_000_000 });
  checkFailure(await server.send("/v1/traces", headers, body), 413, "protobuf");
  expect(server.count("oversize_requests_total")).toBe(1);
  expect(server.budget.used).toBe(0);
  expect((await server.send("/v1/traces", protobuf, protobufBody)).status).toBe(200);
});

test("more bytes at once than the budget holds are to be sent again later", async () => {
  const server = await serve({ budget: new ByteBudget(100) });
  checkRetryable(await server.send("/v1/traces", protobuf, protobufBody));
  checkRetryable(
    await server.send(
      "/v1/traces",
      { ...protobuf, "content-encoding": "gzip" },
      gzipSync(Buffer.alloc(9_000)),
    ),
  );
  expect(server.count("refused_requests_total")).toBe(2);
  expect(server.budget.used).toBe(0);
});

test.each(["overloaded", "shutting_down"] as const)("an engine that is %s asks for a retry", async (code) => {
  const ingest = { ingest: () => Promise.reject(new OperationError(code, "not now")) };
  const server = await serve({ ingest });
  checkRetryable(await server.send("/v1/traces", json, jsonBody));
  expect(server.faults).toEqual([]);
});

test("a bug of ours asks for a retry and is reported, never a 500", async () => {
  const bug = new TypeError("boom");
  const server = await serve({ ingest: { ingest: () => Promise.reject(bug) } });
  checkRetryable(await server.send("/v1/traces", protobuf, protobufBody));
  expect(server.faults).toEqual([bug]);
  expect(server.count("faults_total")).toBe(1);
});

test("an upload that breaks off is closed quietly and counted", async () => {
  const server = await serve();
  const socket = connect(server.listener.port, "127.0.0.1");
  socket.write(
    'POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"reso',
  );
  await expect.poll(() => server.budget.used).toBe(6);
  socket.destroy();
  await expect.poll(() => server.count("aborted_requests_total")).toBe(1);
  expect(server.budget.used).toBe(0);
});

test("whatever bytes come in, they are accepted or refused for good, and nothing of ours breaks", async () => {
  const server = await serve();
  const damage = fc.record({ at: fc.double({ min: 0, max: 0.999, noNaN: true }), byte: fc.nat(255) });
  const bodies = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .tuple(fc.constantFrom(protobufBody, jsonBody, gzipSync(jsonBody)), fc.array(damage, { maxLength: 3 }))
      .map(([body, damages]) => {
        const damaged = Uint8Array.from(body);
        for (const { at, byte } of damages) damaged[Math.floor(at * damaged.length)] = byte;
        return damaged;
      }),
  );
  const types = fc.constantFrom(protobuf, json);
  const codings = fc.constantFrom("identity", "gzip", "deflate");
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("traces", "metrics", "logs"),
      types,
      codings,
      bodies,
      async (signal, type, coding, body) => {
        const reply = await server.send(`/v1/${signal}`, { ...type, "content-encoding": coding }, body);
        expect([200, 400]).toContain(reply.status);
      },
    ),
    { numRuns: 500 },
  );
  expect(server.faults).toEqual([]);
  expect(server.budget.used).toBe(0);
});

test("headers larger than 16 KB are refused", async () => {
  const server = await serve();
  expect((await server.send("/v1/traces", { ...json, "x-long": "x".repeat(17_000) }, jsonBody)).status).toBe(
    431,
  );
});

function jsonOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** Spans with good ids, each changed as given. */
function spansJson(changes: readonly object[]): Buffer {
  const spans = changes.map((change, i) => ({
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: `00f067aa0ba902b${i}`,
    name: "work",
    ...change,
  }));
  return jsonOf({ resourceSpans: [{ scopeSpans: [{ spans }] }] });
}

/** Compressed far above what is decompressed at once on the event loop. */
function largeBomb(): Buffer {
  const noise = Buffer.alloc(600_000);
  for (let i = 0, seed = 1; i < noise.length; i += 1) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    noise[i] = seed >>> 16;
  }
  return gzipSync(Buffer.concat([noise, Buffer.alloc(50_000_000)]));
}

function checkFailure(reply: Reply, status: number, encoding: string): void {
  expect(reply.status).toBe(status);
  expect(reply.body.length).toBeGreaterThan(0);
  if (encoding === "json") {
    expect(reply.headers["content-type"]).toBe("application/json");
    const answer = JSON.parse(reply.body.toString()) as { code: number; message: string };
    expect(answer.code).toBeGreaterThan(0);
    expect(answer.message).not.toBe("");
  } else {
    expect(reply.headers["content-type"]).toBe("application/x-protobuf");
    expect(reply.body[0]).toBe(0x08);
  }
}

function checkRetryable(reply: Reply): void {
  expect(reply.status).toBe(503);
  expect(reply.headers["retry-after"]).toMatch(/^[1-9]\d*$/);
}
