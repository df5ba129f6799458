import { connect as connectHttp2 } from "node:http2";
import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import type { Decoded } from "../../src/engine/ports.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { type GrpcReceiverOptions, startGrpcReceiver } from "../../src/grpc/grpc-receiver.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { halfBadRequests } from "../otlp/half-bad-requests.ts";
import { oracleDecode } from "../otlp/protobuf-oracle.ts";

const tracesMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const body = Buffer.from(encodeTraces(rowsOf(tableOf("web  GET /cart  0..90ms  server"))));

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

test.each([
  ["plain", compressionAlgorithms.identity],
  ["gzip", compressionAlgorithms.gzip],
])("spans sent %s are handed over and acknowledged with an empty message", async (_, compression) => {
  const server = await serve({}, { "grpc.default_compression_algorithm": compression });
  expect(await server.call(tracesMethod, body)).toHaveLength(0);
  expect(server.handed.map((decoded) => decoded.signal === "traces" && decoded.table.rowCount)).toEqual([1]);
  expect(server.count("accepted_spans_total")).toBe(1);
  expect(server.budget.used).toBe(0);
});

test.each(["metrics.v1.MetricsService", "logs.v1.LogsService"])(
  "%s answers an empty request",
  async (name) => {
    const server = await serve();
    const path = `/opentelemetry.proto.collector.${name}/Export`;
    expect(await server.call(path, Buffer.alloc(0))).toHaveLength(0);
  },
);

test.each(halfBadRequests)(
  "$signal of which some are bad are a partial success that counts them",
  async (request) => {
    const server = await serve();
    const service = request.response.replace(/Export\w+Response$/, "");
    const name = `${{ traces: "Trace", metrics: "Metrics", logs: "Logs" }[request.signal]}Service`;
    const answer = await server.call(`/${service}${name}/Export`, request.protobuf);
    const { partialSuccess } = oracleDecode(request.response, answer);
    expect(partialSuccess[request.rejectedKey]).toBe("2");
    expect(partialSuccess.errorMessage).toContain(request.reason);
    expect(server.handed.map(({ signal }) => signal)).toEqual([request.signal]);
  },
);

test("one byte that is not UTF-8 costs nothing but itself", async () => {
  const server = await serve();
  const damaged = Buffer.from(body);
  damaged[damaged.indexOf("/cart")] = 0xff;
  expect(await server.call(tracesMethod, damaged)).toHaveLength(0);
  expect(server.count("accepted_spans_total")).toBe(1);
});

test("a malformed message is INVALID_ARGUMENT", async () => {
  const server = await serve();
  const error = await server.failure(tracesMethod, body.subarray(0, 20));
  expect(error.code).toBe(status.INVALID_ARGUMENT);
  expect(error.details).toContain("malformed protobuf body at byte");
});

test.each(["overloaded", "shutting_down"] as const)("%s is UNAVAILABLE with RetryInfo", async (code) => {
  const server = await serve({
    ingest: { ingest: () => Promise.reject(new OperationError(code, "not now")) },
  });
  checkRetryable(await server.failure(tracesMethod, body));
  expect(server.faults).toEqual([]);
});

test("a bug of ours is UNAVAILABLE with RetryInfo and is reported", async () => {
  const bug = new TypeError("boom");
  const server = await serve({ ingest: { ingest: () => Promise.reject(bug) } });
  checkRetryable(await server.failure(tracesMethod, body));
  expect(server.faults).toEqual([bug]);
});

test("more bytes at once than the budget holds are UNAVAILABLE with RetryInfo", async () => {
  const server = await serve({ budget: new ByteBudget(10) });
  checkRetryable(await server.failure(tracesMethod, body));
});

test.each([
  ["as sent", compressionAlgorithms.identity],
  ["after decompression", compressionAlgorithms.gzip],
])("a message too large %s is RESOURCE_EXHAUSTED without RetryInfo", async (_, compression) => {
  const server = await serve(
    { bodyBytesMax: 100_000 },
    { "grpc.default_compression_algorithm": compression },
  );
  const error = await server.failure(tracesMethod, Buffer.alloc(2_000_000));
  expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
  expect(error.metadata.get("grpc-status-details-bin")).toEqual([]);
});

test("an unknown method is UNIMPLEMENTED", async () => {
  const server = await serve();
  expect((await server.failure("/no.such.Service/Export", body)).code).toBe(status.UNIMPLEMENTED);
});

test("the health check says that the server and its services serve", async () => {
  const server = await serve();
  const check = "/grpc.health.v1.Health/Check";
  expect([...(await server.call(check, Buffer.alloc(0)))]).toEqual([0x08, 1]);
  const traces = Buffer.from("opentelemetry.proto.collector.trace.v1.TraceService");
  expect([...(await server.call(check, Buffer.concat([Buffer.of(0x0a, traces.length), traces])))]).toEqual([
    0x08, 1,
  ]);
  expect((await server.failure(check, Buffer.from("\x0a\x01x"))).code).toBe(status.NOT_FOUND);
});

test("a request that is not gRPC is refused with HTTP 415", async () => {
  const server = await serve();
  const session = connectHttp2(`http://${server.address}`);
  const stream = session.request({
    ":method": "POST",
    ":path": tracesMethod,
    "content-type": "application/json",
  });
  stream.end();
  const code = await new Promise((resolve) =>
    stream.on("response", (headers) => resolve(headers[":status"])),
  );
  session.destroy();
  expect(code).toBe(415);
});

test("a port in use is named with the way out", async () => {
  const server = await serve();
  await expect(serve({ port: server.port })).rejects.toMatchObject({ code: "address_in_use" });
});

async function serve(changes: Partial<GrpcReceiverOptions> = {}, channel: Record<string, number> = {}) {
  const handed: Decoded[] = [];
  const faults: unknown[] = [];
  const options: GrpcReceiverOptions = {
    host: "127.0.0.1",
    port: 0,
    ingest: { ingest: async (_, decoded) => void handed.push(decoded) },
    budget: new ByteBudget(256 * 1024 * 1024),
    counters: new ReceiverCounters("grpc"),
    bodyBytesMax: 64 * 1024 * 1024,
    onFault: (fault) => faults.push(fault),
    ...changes,
  };
  const receiver = await startGrpcReceiver(options);
  const client = new Client(receiver.address, credentials.createInsecure(), channel);
  const call = (path: string, message: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, asIs, asIs, message, new Metadata(), (error, response) => {
        if (error === null) resolve(response!);
        else reject(error);
      });
    });
  open.push({
    close: async () => {
      client.close();
      await receiver.close(1_000);
    },
  });
  return {
    ...options,
    ...receiver,
    handed,
    faults,
    call,
    count: (name: string) => options.counters.stats()[`otlp_grpc_${name}`],
    failure: (path: string, message: Buffer): Promise<ServiceError> =>
      call(path, message).then(
        () => Promise.reject(new Error("the call succeeded")),
        (error: ServiceError) => error,
      ),
  };
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function checkRetryable(error: ServiceError): void {
  expect(error.code).toBe(status.UNAVAILABLE);
  const [details] = error.metadata.get("grpc-status-details-bin");
  expect(String(details)).toContain("type.googleapis.com/google.rpc.RetryInfo");
}
