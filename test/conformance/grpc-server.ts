import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import type { Decoded } from "../../src/engine/ports.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { type GrpcReceiverOptions, startGrpcReceiver } from "../../src/grpc/grpc-receiver.ts";
import { wholeOf } from "../http/otlp-server.ts";

export const exportPaths = {
  traces: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
  metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
  logs: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
  profiles: "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
} as const;

/** What came back for one call, as it stood on the wire. */
export interface GrpcReply {
  readonly httpStatus: number;
  /** grpc-status, from the trailers or the only headers */
  readonly code: number;
  readonly message: string;
  /** grpc-status-details-bin */
  readonly details: Buffer | null;
  readonly headers: IncomingHttpHeaders;
  /** without the five bytes in front of a message */
  readonly body: Buffer;
}

/** An OTLP/gRPC server on a free port that remembers what it was handed, with two clients: grpc-js, and bare HTTP/2. */
export async function grpcServer(
  changes: Partial<GrpcReceiverOptions> = {},
  channel: Record<string, number> = {},
) {
  const handed: Decoded[] = [];
  const faults: unknown[] = [];
  const options: GrpcReceiverOptions = {
    host: "127.0.0.1",
    port: 0,
    ingest: { ingest: async (received, decoded) => void handed.push(wholeOf(received, decoded)) },
    budget: new ByteBudget(256 * 1024 * 1024),
    counters: new ReceiverCounters("grpc"),
    bodyBytesMax: 64 * 1024 * 1024,
    onFault: (fault) => faults.push(fault),
    ...changes,
  };
  const receiver = await startGrpcReceiver(options);
  const client = new Client(receiver.address, credentials.createInsecure(), channel);
  const session = connect(`http://${receiver.address}`);
  session.on("error", () => {});
  const call = (path: string, message: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, asIs, asIs, message, new Metadata(), (error, response) => {
        if (error === null) resolve(response!);
        else reject(error);
      });
    });
  return {
    ...options,
    ...receiver,
    handed,
    faults,
    client,
    session,
    call,
    count: (name: string) => options.counters.stats()[`otlp_grpc_${name}`],
    failure: (path: string, message: Buffer): Promise<ServiceError> =>
      call(path, message).then(
        () => Promise.reject(new Error("the call succeeded")),
        (error: ServiceError) => error,
      ),
    /** Any bytes with any headers. */
    raw: (path: string, bytes: Uint8Array, headers: OutgoingHttpHeaders = {}) =>
      rawCall(session, { ":path": path, ...headers }, bytes),
    close: async (): Promise<void> => {
      client.close();
      session.destroy();
      await receiver.close(1_000);
    },
  };
}

/** A message as it stands on the wire: whether it is compressed, its length, its bytes. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function rawCall(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  bytes: Uint8Array,
): Promise<GrpcReply> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let head: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on("response", (received) => {
      head = received;
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      const end = { ...head, ...trailers };
      const details = end["grpc-status-details-bin"];
      resolve({
        httpStatus: Number(head[":status"]),
        code: Number(end["grpc-status"]),
        message: decodeURIComponent(String(end["grpc-message"] ?? "")),
        details: details === undefined ? null : Buffer.from(String(details), "base64"),
        headers: end,
        body: Buffer.concat(chunks).subarray(5),
      });
    });
    stream.end(bytes);
  });
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
