import { once } from "node:events";
import { connect as connectHttp2, constants, type OutgoingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { Client, compressionAlgorithms, credentials, status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import { defaultConnectionTimes } from "../../src/grpc/grpc-server.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { zstdFrame } from "../compression/zstd-frames.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { exportPaths, framed, grpcServer } from "./grpc-server.ts";
import { retrySecondsIn } from "./transports.ts";

// OTLP over gRPC (C-20 to C-30 of the checklist in checklist.test.ts).

const body = Buffer.from(encodeTraces(rowsOf(tableOf("web  GET /cart  0..90ms  server"))));
const { traces: tracesPath } = exportPaths;

async function serve(...args: Parameters<typeof grpcServer>): ReturnType<typeof grpcServer> {
  const server = await grpcServer(...args);
  onTestFinished(() => server.close());
  return server;
}

test.each([
  ["plain", compressionAlgorithms.identity],
  ["gzip", compressionAlgorithms.gzip],
])("C-20 spans sent %s are handed over and acknowledged with an empty message", async (_, compression) => {
  const server = await serve({}, { "grpc.default_compression_algorithm": compression });
  expect(await server.call(tracesPath, body)).toHaveLength(0);
  expect(server.handed.map((decoded) => decoded.signal === "traces" && decoded.table.rowCount)).toEqual([1]);
  expect(server.count("accepted_spans_total")).toBe(1);
  expect(server.budget.used).toBe(0);
});

test.each(["traces", "metrics", "logs"] as const)(
  "C-20 the service of %s answers an empty request",
  async (signal) => {
    const server = await serve();
    expect(await server.call(exportPaths[signal], Buffer.alloc(0))).toHaveLength(0);
  },
);

test("C-20 profiles are refused in words", async () => {
  const server = await serve();
  const error = await server.failure(exportPaths.profiles, Buffer.alloc(0));
  expect([error.code, error.details]).toEqual([
    status.UNIMPLEMENTED,
    "profiles are not analysed; send traces, metrics or logs",
  ]);
});

test.each([
  ["application/grpc", 200],
  ["application/grpc+proto", 200],
  ["Application/gRPC; charset=utf-8", 200],
  ["application/grpc+json", 415],
  ["application/grpc-web", 415],
  ["application/json", 415],
  ["application/x-protobuf", 415],
])("C-21 a call of content type %s is answered with %i", async (type, httpStatus) => {
  const server = await serve();
  const reply = await server.raw(tracesPath, framed(body), { "content-type": type });
  expect(reply.httpStatus).toBe(httpStatus);
  expect(server.handed).toHaveLength(httpStatus === 200 ? 1 : 0);
});

test("C-22 the answer names what may come, and zstd may", async () => {
  const server = await serve();
  const reply = await server.raw(tracesPath, framed(zstdFrame(body), 1), { "grpc-encoding": "zstd" });
  expect([reply.code, reply.headers["grpc-accept-encoding"]]).toEqual([0, "identity,gzip,deflate,zstd"]);
});

test("C-22 with grpc-encoding, a message may still come as it is", async () => {
  const server = await serve();
  expect((await server.raw(tracesPath, framed(body), { "grpc-encoding": "gzip" })).code).toBe(0);
});

test("C-22 another compression is UNIMPLEMENTED, with what to use instead", async () => {
  const server = await serve();
  const reply = await server.raw(tracesPath, framed(body, 1), { "grpc-encoding": "br" });
  expect(reply.code).toBe(status.UNIMPLEMENTED);
  expect(reply.message).toMatch(/"br" is not unpacked here; send gzip/);
});

test("C-23 a message far above the 4 MiB that gRPC libraries allow is taken", async () => {
  const server = await serve();
  const many = Buffer.concat(Array.from({ length: Math.ceil((20 << 20) / body.length) }, () => body));
  expect(await server.call(tracesPath, many)).toHaveLength(0);
});

test.each([
  ["as sent", compressionAlgorithms.identity],
  ["after decompression", compressionAlgorithms.gzip],
])("C-23 a message too large %s is RESOURCE_EXHAUSTED without RetryInfo", async (_, compression) => {
  const server = await serve(
    { bodyBytesMax: 100_000 },
    { "grpc.default_compression_algorithm": compression },
  );
  const error = await server.failure(tracesPath, Buffer.alloc(2_000_000));
  expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
  expect(error.metadata.get("grpc-status-details-bin")).toEqual([]);
});

test("C-23 the sender of a message too large is told before it has sent it all, and its connection lives on", async () => {
  const server = await serve({ bodyBytesMax: 100_000 });
  const error = await server.failure(tracesPath, Buffer.alloc(40_000_000));
  expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
  expect(await server.call(tracesPath, body)).toHaveLength(0);
});

const packed = framed(gzipSync(body), 1);
test.each<[string, Buffer, OutgoingHttpHeaders, string]>([
  ["protobuf that is cut off", framed(body.subarray(0, 20)), {}, "malformed protobuf body at byte"],
  ["gzip that is none", framed(body, 1), { "grpc-encoding": "gzip" }, "incorrect header check"],
  [
    "gzip that is cut off",
    framed(gzipSync(body).subarray(0, 40), 1),
    { "grpc-encoding": "gzip" },
    "unexpected end",
  ],
  ["compressed with nobody knows what", packed, {}, "grpc-encoding does not say"],
  ["a message cut off", framed(body).subarray(0, -1), {}, "the message is cut off"],
  ["four bytes", Buffer.alloc(4), {}, "the message is cut off"],
  ["no message", Buffer.alloc(0), {}, "the call has no message"],
  ["two messages", Buffer.concat([framed(body), framed(body)]), {}, "more than one message"],
  ["unknown flags", framed(body, 2), {}, "flags that gRPC does not know"],
])("C-24 %s is INVALID_ARGUMENT, with the reason", async (_, bytes, headers, reason) => {
  const server = await serve();
  const reply = await server.raw(tracesPath, bytes, headers);
  expect([reply.httpStatus, reply.code]).toEqual([200, status.INVALID_ARGUMENT]);
  expect(reply.message).toContain(reason);
  expect(server.count("malformed_requests_total")).toBe(1);
  expect([server.budget.used, server.handed.length]).toEqual([0, 0]);
});

test("C-24 a reason is short enough for the headers of any client, and of any letters", async () => {
  const server = await serve();
  const path = `/${"ü".repeat(3_000)}.Service/Export`;
  const reply = await server.raw(encodeURI(path), framed(body));
  expect(reply.code).toBe(status.UNIMPLEMENTED);
  expect(JSON.stringify(reply.headers).length).toBeLessThan(8_192);
});

test.each([
  ["a rejection", () => Promise.reject(new TypeError("boom"))],
  ["something thrown", () => thrown(new RangeError("boom"))],
  ["something thrown that is no error", () => thrown("boom")],
])("C-25 a bug of ours, %s, is UNAVAILABLE with RetryInfo and is reported", async (_, ingest) => {
  const server = await serve({ ingest: { ingest } });
  const reply = await server.raw(tracesPath, framed(body));
  expect([reply.code, retrySecondsIn(reply.details!)]).toEqual([status.UNAVAILABLE, 1]);
  expect(reply.message).not.toContain("boom");
  expect(server.faults).toHaveLength(1);
  expect(server.count("faults_total")).toBe(1);
});

test("C-25 a bug outside of what takes requests in is UNAVAILABLE too", async () => {
  const counters = {
    count: (name: string) => (name === "body_bytes_total" ? thrown(new Error("boom")) : undefined),
  };
  const server = await serve({ counters: counters as never });
  expect((await server.raw(tracesPath, framed(body))).code).toBe(status.UNAVAILABLE);
  expect(server.budget.used).toBe(0);
});

test.each(["overloaded", "shutting_down"] as const)("C-26 %s is UNAVAILABLE with RetryInfo", async (code) => {
  const server = await serve({
    ingest: { ingest: () => Promise.reject(new OperationError(code, "not now")) },
  });
  const error = await server.failure(tracesPath, body);
  const [details] = error.metadata.get("grpc-status-details-bin");
  expect([error.code, error.details, retrySecondsIn(details as Buffer)]).toEqual([
    status.UNAVAILABLE,
    "not now",
    1,
  ]);
  expect(server.faults).toEqual([]);
});

test("C-26 more bytes at once than the budget holds are UNAVAILABLE with RetryInfo", async () => {
  const server = await serve({ budget: new ByteBudget(10) });
  const reply = await server.raw(tracesPath, framed(body));
  expect([reply.code, retrySecondsIn(reply.details!)]).toEqual([status.UNAVAILABLE, 1]);
  expect([server.budget.used, server.count("refused_requests_total")]).toEqual([0, 1]);
});

test("C-26 a message that takes too long to arrive is to be sent again, and what came of it is forgotten", async () => {
  const server = await serve({ messageMsMax: 50 });
  const stream = server.session.request(headersOf(tracesPath));
  stream.write(framed(body).subarray(0, 20));
  const [headers] = (await once(stream, "response")) as [Record<string, string>];
  expect(headers["grpc-status"]).toBe(String(status.UNAVAILABLE));
  await expect.poll(() => server.budget.used).toBe(0);
});

test("C-27 a client that asks all the time whether we are there gets its answers", async () => {
  const server = await serve();
  await once(server.session, "connect");
  const ping = promisify(server.session.ping.bind(server.session));
  for (let i = 0; i < 200; i += 1) await ping();
  expect((await server.raw(tracesPath, framed(body))).code).toBe(0);
  expect(server.session.closed).toBe(false);
});

test("C-27 a client that does not say that it is there is cut", async () => {
  const server = await serve({ times: { ...defaultConnectionTimes, pingMs: 20, pongMs: 20 } });
  const socket = connect(server.port, "127.0.0.1");
  socket.resume();
  socket.write(
    Buffer.concat([
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      Buffer.from("000000040000000000", "hex"),
    ]),
  );
  await once(socket, "close");
  expect((await server.raw(tracesPath, framed(body))).code).toBe(0);
});

test("C-27 an old connection is ended without a call being lost", async () => {
  const times = { ...defaultConnectionTimes, ageMs: 60, ageGraceMs: 5_000 };
  const held: (() => void)[] = [];
  const server = await serve({
    times,
    ingest: { ingest: () => new Promise((resolve) => held.push(resolve)) },
  });
  const underWay = server.raw(tracesPath, framed(body));
  await once(server.session, "goaway");
  held.pop()?.();
  expect((await underWay).code).toBe(0);
  await expect.poll(() => server.session.destroyed).toBe(true);
  const later = server.call(tracesPath, body);
  await expect.poll(() => held.length).toBe(1);
  held.pop()?.();
  expect(await later).toHaveLength(0);
});

test("C-27 a client that calls all the time notices nothing of connections that grow old", async () => {
  const server = await serve({ times: { ...defaultConnectionTimes, ageMs: 50 } });
  for (let i = 0; i < 300; i += 1) expect(await server.call(tracesPath, body)).toHaveLength(0);
  expect(server.count("accepted_spans_total")).toBe(300);
});

test("C-27 calls that go on after the grace of an old connection are cut with it", async () => {
  const times = { ...defaultConnectionTimes, ageMs: 20, ageGraceMs: 20 };
  const server = await serve({ times, ingest: { ingest: () => new Promise(() => {}) } });
  await server.raw(tracesPath, framed(body)).catch(() => {});
  expect(server.session.destroyed).toBe(true);
});

test("C-28 a connection may have a thousand calls at once", async () => {
  const server = await serve();
  await expect.poll(() => server.session.remoteSettings.maxConcurrentStreams).toBe(1_000);
});

test("C-28 messages on their way count towards what all receivers may hold", async () => {
  const server = await serve({ budget: new ByteBudget(1_000) });
  const slow = server.session.request(headersOf(tracesPath));
  slow.on("error", () => {});
  slow.write(Buffer.alloc(990));
  await expect.poll(() => server.budget.used).toBe(990);
  expect((await server.raw(tracesPath, framed(body))).code).toBe(status.UNAVAILABLE);
  slow.close(constants.NGHTTP2_CANCEL);
  await expect.poll(() => server.budget.used).toBe(0);
  expect((await server.raw(tracesPath, framed(body))).code).toBe(0);
  expect(server.count("aborted_requests_total")).toBe(1);
});

describe("C-29 the health service", () => {
  const check = "/grpc.health.v1.Health/Check";
  const watch = "/grpc.health.v1.Health/Watch";
  const traces = "opentelemetry.proto.collector.trace.v1.TraceService";
  const serving = Buffer.of(0x08, 1);

  test.each(["", traces])('C-29 says that "%s" serves', async (service) => {
    const server = await serve();
    expect(await server.call(check, asking(service))).toEqual(serving);
    expect(server.count("requests_total")).toBe(0);
  });

  test("C-29 does not know a service that is not there or is not taken", async () => {
    const server = await serve({ signals: ["traces"] });
    for (const service of ["x", "opentelemetry.proto.collector.logs.v1.LogsService"])
      expect((await server.failure(check, asking(service))).code).toBe(status.NOT_FOUND);
  });

  test("C-29 passes over fields that it does not know, and refuses what is no message", async () => {
    const server = await serve();
    expect(await server.call(check, Buffer.concat([Buffer.of(0x10, 1), asking(traces)]))).toEqual(serving);
    expect((await server.failure(check, Buffer.of(0x0a, 9))).code).toBe(status.INVALID_ARGUMENT);
    expect((await server.failure(watch, Buffer.of(0x0a, 9))).code).toBe(status.INVALID_ARGUMENT);
  });

  test("C-29 tells whoever watches how it is, and when the server ends", async () => {
    const server = await serve();
    const seen: number[] = [];
    const watching = server.client.makeServerStreamRequest(watch, asIs, asIs, asking(traces));
    watching.on("data", (answer: Buffer) => seen.push(answer[1]!));
    const ended = once(watching, "error");
    await expect.poll(() => seen).toEqual([1]);
    await server.close();
    expect(seen).toEqual([1, 2]);
    expect(await ended).toMatchObject([{ code: status.UNAVAILABLE }]);
  });

  test("C-29 tells whoever watches a service that is not there that it is unknown, and stays", async () => {
    const server = await serve();
    const watching = server.client.makeServerStreamRequest(watch, asIs, asIs, asking("x"));
    watching.on("error", () => {});
    expect(await once(watching, "data")).toEqual([Buffer.of(0x08, 3)]);
    watching.cancel();
    expect(await server.call(check, asking(""))).toEqual(serving);
  });
});

test.each([
  "/no.such.Service/Export",
  "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "/",
])("C-30 %s is UNIMPLEMENTED, by its name", async (path) => {
  const server = await serve();
  const reply = await server.raw(path, framed(body));
  expect([reply.code, reply.message]).toEqual([status.UNIMPLEMENTED, `no method ${path} here`]);
  expect(server.count("unsupported_requests_total")).toBe(1);
});

test("C-30 a server without a client that goes on is closed at once, whatever else is connected", async () => {
  const server = await serve();
  const idle = new Client(server.address, credentials.createInsecure());
  onTestFinished(() => idle.close());
  await new Promise((resolve) => idle.waitForReady(Date.now() + 5_000, resolve));
  const startedAt = performance.now();
  await server.close();
  expect(performance.now() - startedAt).toBeLessThan(900);
});

test("a port in use is named with the way out", async () => {
  const server = await serve();
  await expect(serve({ port: server.port })).rejects.toMatchObject({ code: "address_in_use" });
});

test("a client of another protocol costs nobody else anything", async () => {
  const server = await serve();
  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(socket, "close");
  const other = connectHttp2(`http://${server.address}`);
  other.destroy();
  expect((await server.raw(tracesPath, framed(body))).code).toBe(0);
});

function thrown(what: unknown): never {
  throw what;
}

function headersOf(path: string): OutgoingHttpHeaders {
  return { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
}

/** HealthCheckRequest { string service = 1 } */
function asking(service: string): Buffer {
  return service === ""
    ? Buffer.alloc(0)
    : Buffer.concat([Buffer.of(0x0a, service.length), Buffer.from(service)]);
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
