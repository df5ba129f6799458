import type { IncomingMessage, ServerResponse } from "node:http";
import type { ByteBudget } from "../engine/byte-budget.ts";
import type { Encoding, IngestPort, Signal } from "../engine/ports.ts";
import type { ReceiverCounters } from "../engine/receiver-counters.ts";
import { type Receipt, receiveExport, retrySeconds } from "../otlp/receive-export.ts";
import { exportResponse, statusBody } from "../otlp/responses.ts";
import { type BodyFailure, type ContentCoding, Reservation, readBody } from "./otlp-body.ts";
import type { HttpHandler } from "./server.ts";

export interface OtlpHttpOptions {
  readonly ingest: IngestPort;
  /** shared with the other receivers */
  readonly budget: ByteBudget;
  readonly counters: ReceiverCounters;
  /** one request, after decompression; the protocol recommends 64 MiB */
  readonly bodyBytesMax: number;
  /** called with each fault of ours, for the log; the sender is asked to try again */
  readonly onFault: (fault: unknown) => void;
}

/** OTLP/HTTP: POST /v1/traces, /v1/metrics and /v1/logs, protobuf and JSON, plain, gzip or deflate. */
export function createOtlpHttpHandler(options: OtlpHttpOptions): HttpHandler {
  return (request, response) => {
    options.counters.count("requests_total");
    void serve(request, response, options);
  };
}

/** Never rejects: what is received is always answered, and its room given back. */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: OtlpHttpOptions,
): Promise<void> {
  const reservation = new Reservation(options.budget);
  let outcome: Answer | null;
  try {
    outcome = await answer(request, reservation, options);
  } catch (fault) {
    outcome = internalFault(fault, options);
  }
  reservation.giveBackAll();
  if (outcome !== null) send(response, outcome);
}

interface Answer {
  readonly status: number;
  readonly encoding: Encoding;
  readonly body: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** google.rpc.Code, as far as it is said here. */
const rpcCode = {
  invalidArgument: 3,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
} as const;

const signalOfPath = new Map<string, Signal>([
  ["/v1/traces", "traces"],
  ["/v1/metrics", "metrics"],
  ["/v1/logs", "logs"],
]);

const contentTypes: Readonly<Record<Encoding, string>> = {
  protobuf: "application/x-protobuf",
  json: "application/json",
};

/** null = nobody is there any more to answer to */
async function answer(
  request: IncomingMessage,
  reservation: Reservation,
  options: OtlpHttpOptions,
): Promise<Answer | null> {
  const { counters, ingest, bodyBytesMax } = options;
  const target = targetOf(request);
  if ("status" in target) {
    counters.count("unsupported_requests_total");
    return target;
  }
  const { signal, encoding, coding } = target;
  const body = await readBody(request, coding, reservation, bodyBytesMax);
  if (!(body instanceof Uint8Array)) return answerWithoutBody(body, encoding, options);
  counters.count("body_bytes_total", body.length);
  const receipt = await receiveExport(ingest, { signal, encoding, body });
  return answerOf(receipt, signal, encoding, options);
}

/** What a request is, by its head alone; an answer if it cannot be served. */
function targetOf(
  request: IncomingMessage,
): { readonly signal: Signal; readonly encoding: Encoding; readonly coding: ContentCoding } | Answer {
  const path = pathOf(request.url ?? "/");
  const signal = signalOfPath.get(path);
  const encoding = encodingOf(request.headers["content-type"]);
  const inReply = encoding ?? "json";
  if (signal === undefined)
    return failure(
      404,
      inReply,
      rpcCode.notFound,
      `nothing at ${path}; OTLP goes to /v1/traces, /v1/metrics or /v1/logs`,
    );
  if (request.method !== "POST")
    return {
      ...failure(
        405,
        inReply,
        rpcCode.unimplemented,
        `${path} takes POST, not ${request.method ?? "nothing"}`,
      ),
      headers: { Allow: "POST" },
    };
  if (encoding === null)
    return failure(
      415,
      "json",
      rpcCode.invalidArgument,
      `Content-Type must be application/x-protobuf or application/json, not "${request.headers["content-type"] ?? ""}"`,
    );
  const coding = codingOf(request.headers["content-encoding"]);
  if (coding === null)
    return failure(
      415,
      encoding,
      rpcCode.invalidArgument,
      `Content-Encoding must be gzip, deflate or identity, not "${request.headers["content-encoding"] ?? ""}"`,
    );
  return { signal, encoding, coding };
}

function answerWithoutBody(
  reason: BodyFailure,
  encoding: Encoding,
  { counters, bodyBytesMax }: OtlpHttpOptions,
): Answer | null {
  switch (reason.kind) {
    case "aborted":
      counters.count("aborted_requests_total");
      return null;
    case "too_large":
      counters.count("oversize_requests_total");
      return failure(
        413,
        encoding,
        rpcCode.resourceExhausted,
        `the body is larger than ${bodyBytesMax} bytes after decompression; send smaller batches`,
      );
    case "busy":
      counters.count("refused_requests_total");
      return retryLater("too many requests are being received at once", encoding);
    case "corrupt":
      counters.count("malformed_requests_total");
      return failure(
        400,
        encoding,
        rpcCode.invalidArgument,
        `the body cannot be decompressed: ${reason.message}`,
      );
    default:
      return reason satisfies never;
  }
}

function answerOf(receipt: Receipt, signal: Signal, encoding: Encoding, options: OtlpHttpOptions): Answer {
  const { counters } = options;
  switch (receipt.kind) {
    case "accepted":
      counters.countItems(signal, receipt.accepted, receipt.rejected);
      return {
        status: 200,
        encoding,
        body: exportResponse(signal, encoding, receipt.rejected, receipt.message),
      };
    case "malformed":
      counters.count("malformed_requests_total");
      return {
        status: 400,
        encoding,
        body: statusBody(encoding, rpcCode.invalidArgument, receipt.message, [
          { field: "body", description: receipt.message },
        ]),
      };
    case "refused":
      if (receipt.fault !== undefined) return internalFault(receipt.fault, options, encoding);
      counters.count("refused_requests_total");
      return retryLater(receipt.message, encoding);
    default:
      return receipt satisfies never;
  }
}

/** Senders drop what is answered with 500 and repeat what is answered with 503: a bug of ours must not cost data. */
function internalFault(fault: unknown, options: OtlpHttpOptions, encoding: Encoding = "json"): Answer {
  options.counters.count("faults_total");
  options.onFault(fault);
  return retryLater("an internal fault; please send it again", encoding);
}

function retryLater(message: string, encoding: Encoding): Answer {
  return {
    ...failure(503, encoding, rpcCode.unavailable, message),
    headers: { "Retry-After": String(retrySeconds) },
  };
}

function failure(status: number, encoding: Encoding, code: number, message: string): Answer {
  return { status, encoding, body: statusBody(encoding, code, message) };
}

function send(response: ServerResponse, { status, encoding, body, headers }: Answer): void {
  if (response.destroyed) return;
  response.writeHead(status, {
    "Content-Type": contentTypes[encoding],
    "Content-Length": body.length,
    ...headers,
  });
  response.end(body);
}

function pathOf(url: string): string {
  const query = url.indexOf("?");
  const path = query < 0 ? url : url.slice(0, query);
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

function encodingOf(contentType: string | undefined): Encoding | null {
  const [type = ""] = (contentType ?? "").split(";", 1);
  const name = type.trim().toLowerCase();
  if (name === "application/x-protobuf" || name === "application/protobuf") return "protobuf";
  return name === "application/json" ? "json" : null;
}

function codingOf(contentEncoding: string | undefined): ContentCoding | null {
  const name = (contentEncoding ?? "").trim().toLowerCase();
  if (name === "" || name === "identity") return "identity";
  if (name === "gzip" || name === "x-gzip") return "gzip";
  return name === "deflate" ? "deflate" : null;
}
