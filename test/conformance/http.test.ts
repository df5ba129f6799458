import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gunzipSync, gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { halfBadRequests } from "../otlp/half-bad-requests.ts";
import { oracleDecode, oracleEncode } from "../otlp/protobuf-oracle.ts";
import { runs } from "../runs.ts";
import type { Answered } from "./ask.ts";
import { exportPaths, framed, grpcServer } from "./grpc-server.ts";

// OTLP over HTTP (C-40 to C-50 of the checklist in checklist.test.ts).

const protobuf = { "content-type": "application/x-protobuf" };
const json = { "content-type": "application/json" };
const rows = rowsOf(
  tableOf(`
    web      GET /cart       0..90ms  server error
      cart   GET /items     10..80ms  client`),
);
const protobufBody = Buffer.from(encodeTraces(rows));
const jsonBody = Buffer.from(tracesToJson(rows));
const signals = ["traces", "metrics", "logs"] as const;

async function serve(...args: Parameters<typeof otlpServer>): ReturnType<typeof otlpServer> {
  const server = await otlpServer(...args);
  onTestFinished(() => server.close());
  return server;
}

type Server = Awaited<ReturnType<typeof otlpServer>>;

describe("C-40 paths", () => {
  const point = { resourceMetrics: [{ scopeMetrics: [{ metrics: [gauge("queue.depth")] }] }] };
  const record = { resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: "5" }] }] }] };
  const jsonOfSignal = { traces: jsonBody, metrics: jsonOf(point), logs: jsonOf(record) };
  const protobufOfSignal = {
    traces: protobufBody,
    metrics: oracleEncode("metrics", point),
    logs: oracleEncode("logs", record),
  };

  test.each(signals)("C-40 %s have one, with a slash at the end or a query too", async (signal) => {
    const server = await serve();
    for (const path of [`/v1/${signal}`, `/v1/${signal}/`, `/v1/${signal}?key=1`]) {
      expect((await server.send(path, json, jsonOfSignal[signal])).status).toBe(200);
      expect((await server.send(path, protobuf, protobufOfSignal[signal])).status).toBe(200);
    }
    expect(server.handed.map(({ decoded }) => decoded.signal)).toEqual(
      Array.from({ length: 6 }, () => signal),
    );
  });

  test.each(signals)("C-40 %s posted to / are known by their content", async (signal) => {
    const server = await serve();
    expect((await server.send("/", json, jsonOfSignal[signal])).status).toBe(200);
    expect((await server.send("/", protobuf, protobufOfSignal[signal])).status).toBe(200);
    expect(server.handed.map(({ decoded }) => decoded.signal)).toEqual([signal, signal]);
  });

  test("C-40 what is posted to / and is empty succeeds; what is of no signal, or malformed, is a 400", async () => {
    const server = await serve();
    expect((await server.send("/", json, Buffer.from("{}"))).status).toBe(200);
    expect((await server.send("/", protobuf, Buffer.alloc(0))).status).toBe(200);
    checkFailure(await server.send("/", json, Buffer.from('{"spans":[]}')), 400, "json");
    checkFailure(await server.send("/", json, Buffer.from('{"resourceSpans"')), 400, "json");
    checkFailure(await server.send("/", protobuf, Buffer.from("hello")), 400, "protobuf");
    expect(server.faults).toEqual([]);
  });

  test("C-40 with a prefix they are behind it, and without it too", async () => {
    const server = await serve({ pathPrefix: "/otlp" });
    for (const path of ["/otlp/v1/traces", "/otlp/v1/traces/", "/v1/traces", "/otlp", "/otlp/", "/"])
      expect((await server.send(path, json, jsonBody)).status).toBe(200);
    for (const path of ["/otlpv1/traces", "/otlp/otlp/v1/traces", "/other/v1/traces"])
      expect((await server.send(path, json, jsonBody)).status).toBe(404);
  });

  test("C-40 another path is a 404 that names the right ones, in the request's encoding", async () => {
    const server = await serve();
    checkFailure(await server.send("/v1/trace", protobuf, protobufBody), 404, "protobuf");
    const reply = await server.send("/api/v2/spans", json, jsonBody);
    checkFailure(reply, 404, "json");
    expect(reply.body.toString()).toContain("/v1/traces, /v1/metrics or /v1/logs");
    expect(server.count("unsupported_requests_total")).toBe(2);
  });
});

test.each([
  ["application/x-protobuf", protobufBody, "application/x-protobuf", ""],
  ["application/protobuf", protobufBody, "application/x-protobuf", ""],
  ["Application/X-Protobuf; messageType=x", protobufBody, "application/x-protobuf", ""],
  ["application/json", jsonBody, "application/json", "{}"],
  ["application/json; charset=utf-8", jsonBody, "application/json", "{}"],
  ["application/json;charset=UTF-8", jsonBody, "application/json", "{}"],
])("C-41 C-42 %s is taken, and answered in kind", async (type, body, answered, response) => {
  const server = await serve();
  const reply = await server.send("/v1/traces", { "content-type": type }, body);
  expect([reply.status, reply.headers["content-type"], reply.body.toString()]).toEqual([
    200,
    answered,
    response,
  ]);
  expect(server.count("accepted_spans_total")).toBe(2);
});

test.each([
  ["no content type", {}],
  ["text", { "content-type": "text/plain" }],
  ["a form", { "content-type": "application/x-www-form-urlencoded" }],
  ["JSON of another kind", { "content-type": "application/problem+json" }],
])("C-41 %s is a 415", async (_, headers) => {
  const server = await serve();
  checkFailure(await server.send("/v1/traces", headers, jsonBody), 415, "json");
});

test.each(["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])(
  "C-41 %s is a 405 that allows POST",
  async (method) => {
    const server = await serve();
    for (const path of ["/v1/traces", "/"]) {
      const reply = await server.send(path, json, Buffer.alloc(0), method);
      checkFailure(reply, 405, "json");
      expect(reply.headers["allow"]).toBe("POST");
    }
  },
);

test.each(halfBadRequests)(
  "C-42 a partial success of $signal is in the encoding of the request",
  async (half) => {
    const server = await serve();
    const path = `/v1/${half.signal}`;
    const inJson = await server.send(path, json, half.json);
    expect(JSON.parse(inJson.body.toString())).toEqual({
      partialSuccess: { [half.rejectedKey]: "2", errorMessage: expect.stringContaining(half.reason) },
    });
    const inProtobuf = await server.send(path, protobuf, half.protobuf);
    expect(oracleDecode(half.response, inProtobuf.body).partialSuccess).toMatchObject({
      [half.rejectedKey]: "2",
    });
    expect([inJson.status, inProtobuf.status]).toEqual([200, 200]);
  },
);

describe("C-43 every refusal has a Status in the encoding of the request, or in JSON where that is unknown", () => {
  test.each(["json", "protobuf"] as const)("C-43 in %s", async (encoding) => {
    const type = encoding === "json" ? json : protobuf;
    const server = await serve({ bodyBytesMax: 1_000 });
    const nothing = Buffer.alloc(0);
    checkFailure(await server.send("/v1/traces", type, Buffer.from("x")), 400, encoding);
    checkFailure(await server.send("/elsewhere", type, nothing), 404, encoding);
    checkFailure(await server.send("/v1/traces", type, nothing, "GET"), 405, encoding);
    checkFailure(await server.send("/v1/traces", type, Buffer.alloc(1_001)), 413, encoding);
    checkFailure(
      await server.send("/v1/traces", { ...type, "content-encoding": "br" }, nothing),
      415,
      encoding,
    );
    const busy = await serve({ budget: new ByteBudget(1) });
    checkFailure(await busy.send("/v1/traces", type, Buffer.alloc(2)), 503, encoding);
  });

  test.each([
    ["headers without end", `GET / HTTP/1.1\r\nX-Long: ${"x".repeat(17_000)}`, 431],
    ["what is no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
    [
      "two lengths",
      "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
      400,
    ],
    [
      "a length and chunks",
      "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
    ],
    ["a length that is no number", "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400],
    [
      "chunks that are none",
      "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      400,
    ],
  ])("C-43 %s: status, type, body; and the next client is served", async (_, bytes, status) => {
    const { socket, server, received } = await open();
    socket.write(bytes, "latin1");
    await once(socket, "close");
    const [head = "", body = ""] = received().split("\r\n\r\n");
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toContain("Content-Type: application/json");
    expect(JSON.parse(body)).toMatchObject({ code: 3, message: expect.any(String) });
    expect((await server.send("/v1/traces", protobuf, protobufBody)).status).toBe(200);
  });

  test("C-43 what comes behind a request that is being taken in is not answered in its place", async () => {
    let finish = (): void => {};
    const ingest = (): Promise<void> =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const { socket, received, server } = await open({ ingest: { ingest } });
    socket.write(Buffer.concat([whole, Buffer.from("\x16\x03\x01 no request\r\n\r\n")]));
    await once(socket, "close");
    finish();
    expect(received()).toBe("");
    expect(server.count("body_bytes_total")).toBe(protobufBody.length);
  });
});

describe("C-44 what a sender should send again is a 503 with Retry-After, and nothing else is", () => {
  test.each([
    ["too many bytes at once", { budget: new ByteBudget(100) }],
    ["an engine that is overloaded", failingWith(new OperationError("overloaded", "not now"))],
    ["an engine that is ending", failingWith(new OperationError("shutting_down", "not now"))],
    ["a bug of ours", failingWith(new TypeError("boom"))],
    ["a bug that throws no error", failingWith("boom")],
  ])("C-44 %s", async (_, changes) => {
    const server = await serve(changes);
    for (const [headers, body] of [
      [json, jsonBody],
      [protobuf, protobufBody],
      [{ ...protobuf, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(9_000))],
    ] as const) {
      const reply = await server.send("/v1/traces", headers, body);
      if (reply.status === 400) expect(headers).toHaveProperty("content-encoding");
      else checkRetryable(reply);
      expect(reply.body.toString()).not.toContain("boom");
    }
    expect(server.budget.used).toBe(0);
  });

  test("C-44 a bug of ours is reported and counted", async () => {
    const bug = new TypeError("boom");
    const server = await serve(failingWith(bug));
    checkRetryable(await server.send("/v1/traces", protobuf, protobufBody));
    expect(server.faults).toEqual([bug]);
    expect(server.count("faults_total")).toBe(1);
  });

  test("C-44 a request that comes too slowly is no fault of its sender's data: 503, not 408", async () => {
    const { socket, received } = await open({ timeouts });
    socket.write(head);
    await once(socket, "close");
    expect(received()).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After: 1\r\n/);
  });
});

test.each([
  ["truncated protobuf", protobuf, protobufBody.subarray(0, 20), "protobuf"],
  ["JSON that ends early", json, jsonBody.subarray(0, 40), "json"],
  ["nothing where JSON was said", json, Buffer.alloc(0), "json"],
])("C-45 %s is a 400 that says what is wrong and where", async (_, headers, body, encoding) => {
  const server = await serve();
  const reply = await server.send("/v1/traces", headers, body);
  const answer = checkFailure(reply, 400, encoding);
  expect(answer.message).toMatch(/malformed (json|protobuf) body at byte \d+/);
  expect(JSON.stringify(answer.details)).toContain("type.googleapis.com/google.rpc.BadRequest");
  expect(server.count("malformed_requests_total")).toBe(1);
  expect([server.budget.used, server.handed.length]).toEqual([0, 0]);
});

test.each([
  ["gzip that is none", jsonBody],
  ["gzip that ends early", gzipSync(jsonBody).subarray(0, 30)],
  ["gzip with a wrong checksum", withChange(gzipSync(jsonBody), -8)],
])("C-45 %s is a 400", async (_, body) => {
  const server = await serve();
  checkFailure(await server.send("/v1/traces", { ...json, "content-encoding": "gzip" }, body), 400, "json");
  expect(server.count("malformed_requests_total")).toBe(1);
});

test("C-45 a body whose type is not what its header says gets a hint", async () => {
  const server = await serve();
  const reply = await server.send("/v1/traces", protobuf, jsonBody);
  expect(reply.status).toBe(400);
  expect(reply.body.toString()).toContain("looks like json");
});

test.each([
  ["as sent", protobuf, Buffer.alloc(2_000_000)],
  ["after decompression", { ...protobuf, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(50_000_000))],
  ["as sent in chunks", { ...protobuf, "transfer-encoding": "chunked" }, Buffer.alloc(2_000_000)],
])("C-45 a body too large %s is a 413, and the connection lives on", async (_, headers, body) => {
  const server = await serve({ bodyBytesMax: 1_000_000 });
  checkFailure(await server.send("/v1/traces", headers, body), 413, "protobuf");
  expect(server.count("oversize_requests_total")).toBe(1);
  expect(server.budget.used).toBe(0);
  expect((await server.send("/v1/traces", protobuf, protobufBody)).status).toBe(200);
});

test.each([
  ["plain", "", jsonBody],
  ["of gzip members", "Content-Encoding: gzip\r\n", Buffer.concat([gzipSync("{"), gzipSync("}")])],
])("C-45 an upload %s that breaks off is closed quietly and counted", async (_, coding, body) => {
  const { socket, server, received } = await open();
  socket.write(
    `POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${coding}Content-Length: ${body.length}\r\n\r\n`,
  );
  socket.write(body.subarray(0, -5));
  await expect.poll(() => server.budget.used).toBe(body.length - 5);
  socket.destroy();
  await expect.poll(() => server.count("aborted_requests_total")).toBe(1);
  expect([server.budget.used, server.handed.length, received()]).toEqual([0, 0, ""]);
});

test("C-45 whatever bytes come in, they are accepted or refused for good, and nothing of ours breaks", async () => {
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
  const paths = fc.constantFrom("/v1/traces", "/v1/metrics", "/v1/logs", "/");
  const types = fc.constantFrom(protobuf, json);
  const codings = fc.constantFrom("identity", "gzip", "deflate", "zstd", "snappy", "lz4");
  await fc.assert(
    fc.asyncProperty(paths, types, codings, bodies, async (path, type, coding, body) => {
      const reply = await server.send(path, { ...type, "content-encoding": coding }, body);
      expect([200, 400, 413]).toContain(reply.status);
    }),
    { numRuns: runs(150) },
  );
  expect(server.faults).toEqual([]);
  expect(server.budget.used).toBe(0);
});

// Code of gRPC, status of HTTP: those that the collector's receiver pairs.
test.each<[string, number, number, Parameters<typeof otlpServer>[0], Uint8Array, string]>([
  ["a malformed body", 3, 400, {}, protobufBody.subarray(0, 20), "traces"],
  [
    "a busy engine",
    14,
    503,
    failingWith(new OperationError("overloaded", "not now")),
    protobufBody,
    "traces",
  ],
  ["a bug", 14, 503, failingWith(new Error("boom")), protobufBody, "traces"],
  ["a signal that is not taken", 12, 404, { signals: ["logs"] }, protobufBody, "traces"],
  ["profiles", 12, 404, {}, protobufBody, "profiles"],
  ["a body too large", 8, 413, { bodyBytesMax: 10 }, protobufBody, "traces"],
])("C-46 %s is gRPC %i and HTTP %i", async (_, code, status, changes, body, signal) => {
  const server = await serve(changes);
  const grpc = await grpcServer(changes);
  onTestFinished(() => grpc.close());
  const path = signal === "profiles" ? "/v1development/profiles" : "/v1/traces";
  const reply = await server.send(path, protobuf, body);
  expect([reply.status, oracleDecode("google.rpc.Status", reply.body).code]).toEqual([status, code]);
  expect(await grpc.raw(exportPaths[signal as "traces"], framed(body))).toMatchObject({
    code,
    httpStatus: 200,
  });
});

describe("C-47 connections", () => {
  test("C-47 stay open, for longer than the pools of clients keep theirs", async () => {
    const { socket, received, server } = await open();
    socket.write(whole);
    await expect.poll(received).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*Keep-Alive: timeout=120\r\n/);
    socket.write(whole);
    await expect.poll(() => server.count("accepted_spans_total")).toBe(4);
  });

  test("C-47 take requests one behind the other, and answer them in order", async () => {
    const { socket, server, received } = await open();
    const other = Buffer.from("GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.write(Buffer.concat([whole, other, whole]));
    await expect
      .poll(() => received().match(/HTTP\/1\.1 \d+/g))
      .toEqual(["200", "404", "200"].map((status) => `HTTP/1.1 ${status}`));
    expect(server.count("accepted_spans_total")).toBe(4);
  });

  test("C-47 take a body in chunks of one byte as one body", async () => {
    const { socket, server, received } = await open();
    socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    for (const byte of protobufBody) socket.write(Buffer.from([0x31, 13, 10, byte, 13, 10]));
    socket.write("0\r\n\r\n");
    await expect.poll(received).toMatch(/^HTTP\/1\.1 200 /);
    expect(Buffer.from(server.handed[0]!.received.body).equals(protobufBody)).toBe(true);
  });

  test("C-47 tell a client to go on that asks first", async () => {
    const { socket, received } = await open();
    socket.write(`${head}Expect: 100-continue\r\nContent-Length: ${protobufBody.length}\r\n\r\n`);
    await expect.poll(received).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    socket.write(protobufBody);
    await expect.poll(received).toMatch(/HTTP\/1\.1 200 [\s\S]*keep-alive/);
  });

  test.each([
    ["is too large", `${head}Content-Length: 99000000`, 413],
    ["is of an unknown type", "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 9", 415],
    ["goes to nobody", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9", 404],
  ])("C-47 spare a client that asks first the upload of what %s", async (_, request, status) => {
    const { socket, received } = await open();
    socket.write(`${request.replace(/\r\n$/, "")}\r\nExpect: 100-continue\r\n\r\n`);
    await once(socket, "close");
    expect(received()).toMatch(/^HTTP\/1\.1 \d+ [\s\S]*\r\nConnection: close\r\n/);
    expect(received()).toContain(`HTTP/1.1 ${status} `);
  });

  test("C-47 are cut where headers come by drips", async () => {
    const { socket, received } = await open({ timeouts });
    socket.write("POST /v1/traces HTTP/1.1\r\n");
    const drip = setInterval(() => socket.write("X: y\r\n"), 10);
    await once(socket, "close");
    clearInterval(drip);
    expect(received()).toMatch(/^HTTP\/1\.1 503 /);
  });

  test("C-47 are cut where a body comes by drips, and what it took is given back", async () => {
    const { socket, server, received } = await open({ timeouts });
    socket.write(`${head}Content-Length: 1000\r\n\r\n`);
    const drip = setInterval(() => socket.write("x"), 20);
    await once(socket, "close");
    clearInterval(drip);
    expect(received()).toMatch(/^HTTP\/1\.1 503 [\s\S]*"code":14/);
    await expect.poll(() => server.count("aborted_requests_total")).toBe(1);
    expect(server.budget.used).toBe(0);
  });
});

test("C-47 a body in 300,000 chunks of one byte takes no memory for each", async () => {
  setFlagsFromString("--expose-gc");
  const heapBytes = (): number => {
    runInNewContext("gc()");
    return process.memoryUsage().heapUsed;
  };
  const count = 300_000;
  const { socket, server } = await open();
  socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
  const before = heapBytes();
  for (let i = 0; i < 30; i += 1)
    if (!socket.write(Buffer.alloc(60_000, "1\r\nx\r\n"))) await once(socket, "drain");
  await expect.poll(() => server.budget.used, { timeout: 10_000 }).toBe(count);
  // a chunk kept as it came takes 190 bytes
  expect(heapBytes() - before).toBeLessThan(20 * count);
});

test("C-48 an answer is understood by whoever takes gzip: it comes as it is", async () => {
  const server = await serve();
  const reply = await server.send("/v1/traces", { ...json, "accept-encoding": "gzip" }, jsonBody);
  const coded = reply.headers["content-encoding"] === "gzip" ? gunzipSync(reply.body) : reply.body;
  expect([reply.headers["content-encoding"], coded.toString()]).toEqual([undefined, "{}"]);
});

test("C-49 the ports are two, as by default everywhere; who mixes them up is told so", async () => {
  const grpc = await grpcServer();
  onTestFinished(() => grpc.close());
  const reply = await grpc.raw("/v1/traces", protobufBody, protobuf);
  expect(reply.httpStatus).toBe(415);
  expect(grpc.handed).toEqual([]);
  const { socket, received } = await open();
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await once(socket, "close");
  expect(received()).toMatch(/^HTTP\/1\.1 400 /);
});

test("C-50 metrics and logs are taken in", async () => {
  const server = await serve();
  const record = { timeUnixNano: "5", body: { stringValue: "out of memory" } };
  await server.send(
    "/v1/metrics",
    json,
    jsonOf({ resourceMetrics: [{ scopeMetrics: [{ metrics: [gauge("queue.depth")] }] }] }),
  );
  await server.send("/v1/logs", json, jsonOf({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] }));
  expect(server.handed.map(({ decoded }) => decoded.signal)).toEqual(["metrics", "logs"]);
  expect(server.count("accepted_metric_points_total")).toBe(1);
  expect(server.count("accepted_log_records_total")).toBe(1);
});

test("C-50 a signal that is not taken is refused in words, by path and by content, never dropped in silence", async () => {
  const server = await serve({ signals: ["metrics"] });
  for (const path of ["/v1/traces", "/"]) {
    const answer = checkFailure(await server.send(path, json, jsonBody), 404, "json");
    expect(answer).toMatchObject({
      code: 12,
      message: expect.stringContaining('takes no traces; its setting "signals"'),
    });
  }
  expect((await server.send("/v1/metrics", json, Buffer.from("{}"))).status).toBe(200);
  expect([server.handed, server.count("unsupported_requests_total")]).toEqual([[], 2]);
});

test("C-50 profiles are refused in words", async () => {
  const server = await serve();
  for (const path of ["/v1development/profiles", "/v1/profiles"]) {
    const answer = checkFailure(await server.send(path, protobuf, protobufBody), 404, "protobuf");
    expect(answer).toMatchObject({ code: 12, message: expect.stringContaining("profiles are not analysed") });
  }
});

const head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
const whole = Buffer.concat([
  Buffer.from(`${head}Content-Length: ${protobufBody.length}\r\n\r\n`),
  protobufBody,
]);
const timeouts = { headersMs: 50, requestMs: 100, keepAliveMs: 5_000, checkMs: 20 };

async function open(options: Parameters<typeof otlpServer>[0] = {}): Promise<{
  readonly socket: Socket;
  readonly server: Server;
  readonly received: () => string;
}> {
  const server = await serve(options);
  const socket = connect(server.listener.port, "127.0.0.1");
  let received = "";
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    received += text;
  });
  socket.on("error", () => {});
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, "connect");
  return { socket, server, received: () => received };
}

function gauge(name: string): object {
  return { name, gauge: { dataPoints: [{ timeUnixNano: "5", asInt: "7" }] } };
}

function jsonOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function failingWith(error: unknown): Parameters<typeof otlpServer>[0] {
  return {
    ingest: {
      ingest: async () => {
        throw error;
      },
    },
  };
}

function withChange(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[changed.length + at]! ^= 0xff;
  return changed;
}

function checkFailure(
  reply: Answered,
  status: number,
  encoding: string,
): { readonly code: number; readonly message: string; readonly details?: unknown } {
  const type = encoding === "json" ? json : protobuf;
  expect([reply.status, reply.headers["content-type"]]).toEqual([status, type["content-type"]]);
  const answer =
    encoding === "json" ? JSON.parse(reply.body.toString()) : oracleDecode("google.rpc.Status", reply.body);
  expect(answer).toMatchObject({ code: expect.any(Number), message: expect.stringMatching(/./) });
  expect(answer.code).toBeGreaterThan(0);
  return {
    ...answer,
    details: (answer.details ?? []).map((one: { type_url?: string }) => one.type_url ?? one),
  };
}

function checkRetryable(reply: Answered): void {
  expect(reply.status).toBe(503);
  expect(reply.headers["retry-after"]).toMatch(/^[1-9]\d*$/);
}
