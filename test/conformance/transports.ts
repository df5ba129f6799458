import { onTestFinished } from "vitest";
import type { Decoded, Signal } from "../../src/engine/ports.ts";
import type { ReceiverOptions } from "../../src/otlp/receive-export.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { oracleDecode } from "../otlp/protobuf-oracle.ts";
import { exportPaths, framed, grpcServer } from "./grpc-server.ts";

/** One request, to be sent in the encoding of each transport. */
export interface Request {
  readonly protobuf: Uint8Array;
  readonly json: Uint8Array;
  readonly signal?: Signal;
  /** how the bytes above are to be packed, and what says so */
  readonly pack?: (bytes: Uint8Array) => Uint8Array;
  readonly coding?: string;
}

/** What a sender makes of an answer, by the rules of OTLP. */
export type Outcome =
  | {
      readonly kind: "success";
      readonly partial: { readonly rejected: number; readonly message: string } | null;
    }
  /** The sender has to give up. */
  | { readonly kind: "dropped"; readonly status: number; readonly message: string }
  | { readonly kind: "retried"; readonly status: number; readonly afterSeconds: number };

interface Receiver {
  send(request: Request): Promise<Outcome>;
  readonly handed: readonly Decoded[];
  readonly faults: readonly unknown[];
  readonly budget: { readonly used: number };
  count(name: string): number | undefined;
}

type Start = (changes?: Partial<ReceiverOptions>) => Promise<Receiver>;

/** OTLP in each of its three forms; the server ends with the test. */
export const transports: readonly (readonly [name: string, start: Start])[] = [
  ["HTTP protobuf", (changes) => http("protobuf", changes)],
  ["HTTP JSON", (changes) => http("json", changes)],
  ["gRPC", grpc],
];

/** The answer to a request that was taken whole. */
export const success: Outcome = { kind: "success", partial: null };

const responseTypes: Readonly<Record<Signal, string>> = {
  traces: "opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse",
  metrics: "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse",
  logs: "opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse",
};

const rejectedKeys: Readonly<Record<Signal, string>> = {
  traces: "rejectedSpans",
  metrics: "rejectedDataPoints",
  logs: "rejectedLogRecords",
};

async function http(
  encoding: "protobuf" | "json",
  changes: Partial<ReceiverOptions> = {},
): Promise<Receiver> {
  const server = await otlpServer(changes);
  onTestFinished(() => server.close());
  const type = encoding === "json" ? "application/json" : "application/x-protobuf";
  return {
    ...server,
    get handed() {
      return server.handed.map(({ decoded }) => decoded);
    },
    send: async ({ signal = "traces", pack = asTheyAre, coding, ...bodies }) => {
      const headers = {
        "content-type": type,
        ...(coding === undefined ? {} : { "content-encoding": coding }),
      };
      const {
        status,
        headers: answered,
        body,
      } = await server.send(`/v1/${signal}`, headers, pack(bodies[encoding]));
      if (status === 200) {
        const response =
          encoding === "json" ? JSON.parse(body.toString()) : oracleDecode(responseTypes[signal], body);
        return { kind: "success", partial: partialOf(signal, response) };
      }
      if ([429, 502, 503, 504].includes(status))
        return { kind: "retried", status, afterSeconds: Number(answered["retry-after"]) };
      const { message } =
        encoding === "json" ? JSON.parse(body.toString()) : oracleDecode("google.rpc.Status", body);
      return { kind: "dropped", status, message };
    },
  };
}

/** CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS */
const retryableCodes = [1, 4, 10, 11, 14, 15];

async function grpc(changes: Partial<ReceiverOptions> = {}): Promise<Receiver> {
  const server = await grpcServer(changes);
  onTestFinished(() => server.close());
  return {
    ...server,
    send: async ({ signal = "traces", pack, coding, protobuf }) => {
      const bytes = framed(
        pack?.(protobuf) ?? protobuf,
        coding === undefined || coding === "identity" ? 0 : 1,
      );
      const headers = coding === undefined ? {} : { "grpc-encoding": coding };
      const { code, message, details, body } = await server.raw(exportPaths[signal], bytes, headers);
      if (code === 0)
        return { kind: "success", partial: partialOf(signal, oracleDecode(responseTypes[signal], body)) };
      const afterSeconds = details === null ? Number.NaN : retrySecondsIn(details);
      // RESOURCE_EXHAUSTED comes back only with RetryInfo
      if (retryableCodes.includes(code) || (code === 8 && details !== null))
        return { kind: "retried", status: code, afterSeconds };
      return { kind: "dropped", status: code, message };
    },
  };
}

/** The delay of the RetryInfo in a google.rpc.Status. */
export function retrySecondsIn(statusBytes: Uint8Array): number {
  const { details } = oracleDecode("google.rpc.Status", statusBytes);
  const [{ type_url: type, value }] = details.length > 0 ? details : [{}];
  if (type !== "type.googleapis.com/google.rpc.RetryInfo") return Number.NaN;
  const { retryDelay } = oracleDecode("google.rpc.RetryInfo", Uint8Array.from(value));
  return Number(retryDelay.seconds) + retryDelay.nanos / 1e9;
}

function asTheyAre(bytes: Uint8Array): Uint8Array {
  return bytes;
}

// biome-ignore lint/suspicious/noExplicitAny: what a schema library answers has the shape of the schema
function partialOf(signal: Signal, response: any): { rejected: number; message: string } | null {
  const { partialSuccess } = response;
  if (partialSuccess === undefined || partialSuccess === null) return null;
  return { rejected: Number(partialSuccess[rejectedKeys[signal]]), message: partialSuccess.errorMessage };
}
