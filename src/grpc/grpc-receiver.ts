import {
  logVerbosity,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  setLogVerbosity,
  status,
} from "@grpc/grpc-js";
import { formatAddress, type Listener, listenError } from "../engine/listener.ts";
import { type Signal, signals } from "../engine/ports.ts";
import { grpcServices } from "../otlp/grpc-services.ts";
import { type ReceiverOptions, receiveExport, retrySeconds } from "../otlp/receive-export.ts";
import { exportResponse, retryInfoStatus } from "../otlp/responses.ts";

export interface GrpcReceiverOptions extends ReceiverOptions {
  readonly host: string;
  /** 0 = any free one */
  readonly port: number;
}

/**
 * OTLP/gRPC for traces, metrics and logs, and the health check. Messages are taken as bytes and decoded by us: a
 * malformed one is then INVALID_ARGUMENT, and what is kept is what was received.
 */
export async function startGrpcReceiver(options: GrpcReceiverOptions): Promise<Listener> {
  const { host, port, bodyBytesMax } = options;
  // What the library would print reaches our callers as errors and counters.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    "grpc.max_receive_message_length": bodyBytesMax,
    "grpc.max_concurrent_streams": concurrentStreamsMax,
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
  });
  for (const signal of signals)
    server.addService(
      { export: unaryMethod(`/${grpcServices[signal]}/Export`) },
      { export: exportHandler(signal, options) },
    );
  const health = { isServing: true };
  server.addService(healthService, { check: healthHandler(health) });
  const asked = formatAddress(host, port);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(asked, ServerCredentials.createInsecure(), (error, boundPort) => {
      if (error === null) resolve(boundPort);
      else reject(listenError(error, asked));
    });
  });
  return {
    port: bound,
    address: formatAddress(host, bound),
    close: (graceMs) =>
      new Promise<void>((resolve) => {
        health.isServing = false;
        const cut = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(cut);
          resolve();
        });
      }),
  };
}

/** Calls at once on one connection. */
const concurrentStreamsMax = 1_000;

type Bytes = Uint8Array;

const healthService: ServiceDefinition = { check: unaryMethod("/grpc.health.v1.Health/Check") };

function unaryMethod(path: string): ServiceDefinition[string] {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: toBuffer,
    responseDeserialize: asIs,
  };
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function toBuffer(bytes: Bytes): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function exportHandler(signal: Signal, options: GrpcReceiverOptions) {
  return (call: ServerUnaryCall<Bytes, Bytes>, callback: sendUnaryData<Bytes>): void => {
    const { budget, counters } = options;
    const body = call.request;
    counters.count("requests_total");
    if (!budget.take(body.length)) {
      counters.count("refused_requests_total");
      callback(unavailable("too many requests are being received at once"));
      return;
    }
    void answer(signal, body, options, callback);
  };
}

/** Never rejects: what is received is always answered, and its room given back. */
async function answer(
  signal: Signal,
  body: Bytes,
  options: GrpcReceiverOptions,
  callback: sendUnaryData<Bytes>,
): Promise<void> {
  const { error, response } = await respond(signal, body, options);
  options.budget.giveBack(body.length);
  callback(error, response);
}

interface Answer {
  readonly error: Parameters<sendUnaryData<Bytes>>[0];
  readonly response?: Bytes;
}

async function respond(signal: Signal, body: Bytes, options: GrpcReceiverOptions): Promise<Answer> {
  const receipt = await receiveExport(options, { signal, encoding: "protobuf", body });
  switch (receipt.kind) {
    case "accepted":
      return {
        error: null,
        response: exportResponse(signal, "protobuf", receipt.rejected, receipt.message),
      };
    case "malformed":
      return { error: { code: status.INVALID_ARGUMENT, details: receipt.message } };
    case "refused":
      return { error: unavailable(receipt.message) };
    default:
      return receipt satisfies never;
  }
}

function unavailable(message: string): Answer["error"] {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", toBuffer(retryInfoStatus(message, retrySeconds)));
  return { code: status.UNAVAILABLE, details: message, metadata };
}

/** `grpc.health.v1`: the server as a whole (the empty name) and each of our services serve or do not, all alike. */
function healthHandler(health: { readonly isServing: boolean }) {
  const names = new Set<string>(["", ...Object.values(grpcServices)]);
  return (call: ServerUnaryCall<Bytes, Bytes>, callback: sendUnaryData<Bytes>): void => {
    // HealthCheckRequest { string service = 1 }, names shorter than 128 bytes
    const service = toBuffer(call.request).toString("utf8", 2);
    if (!names.has(service)) callback({ code: status.NOT_FOUND, details: `no service "${service}" here` });
    // HealthCheckResponse { ServingStatus status = 1 }: 1 = SERVING, 2 = NOT_SERVING
    else callback(null, Uint8Array.of(0x08, health.isServing ? 1 : 2));
  };
}
