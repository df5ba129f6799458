import type { IncomingMessage, ServerResponse } from "node:http";
import type { Encoding, Signal } from "../engine/ports.ts";
import {
  type Receipt,
  type ReceiverOptions,
  receiveExport,
  refusedByFault,
  retrySeconds,
} from "../otlp/receive-export.ts";
import { exportResponse, rpcCode, statusBody } from "../otlp/responses.ts";
import { type BodyFailure, type ContentCoding, Reservation, readBody } from "./otlp-body.ts";
import type { HttpHandler } from "./server.ts";

/** OTLP/HTTP: POST /v1/traces, /v1/metrics and /v1/logs, protobuf and JSON, plain, gzip or deflate. */
export function createOtlpHttpHandler(options: ReceiverOptions): HttpHandler {
  return (request, response) => {
    options.counters.count("requests_total");
    void serve(request, response, options);
  };
}

/** Never rejects: what is received is always answered, and its room given back. */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: ReceiverOptions,
): Promise<void> {
  const reservation = new Reservation(options.budget);
  let outcome: Answer | null;
  try {
    outcome = await answer(request, reservation, options);
  } catch (fault) {
    outcome = retryLater(refusedByFault(fault, options).message, "json");
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
  options: ReceiverOptions,
): Promise<Answer | null> {
  const target = targetOf(request);
  if ("status" in target) {
    options.counters.count("unsupported_requests_total");
    return target;
  }
  const { signal, encoding, coding } = target;
  const body = await readBody(request, coding, reservation, options.bodyBytesMax);
  if (!(body instanceof Uint8Array)) return answerWithoutBody(body, encoding, options);
  return answerOf(await receiveExport(options, { signal, encoding, body }), signal, encoding);
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
  { counters, bodyBytesMax }: ReceiverOptions,
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

function answerOf(receipt: Receipt, signal: Signal, encoding: Encoding): Answer {
  switch (receipt.kind) {
    case "accepted":
      return {
        status: 200,
        encoding,
        body: exportResponse(signal, encoding, receipt.rejected, receipt.message),
      };
    case "malformed":
      return {
        status: 400,
        encoding,
        body: statusBody(encoding, rpcCode.invalidArgument, receipt.message, [
          { field: "body", description: receipt.message },
        ]),
      };
    case "refused":
      return retryLater(receipt.message, encoding);
    default:
      return receipt satisfies never;
  }
}

/** Senders repeat what is answered with 503; with 500, even for a bug of ours, they would drop it. */
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
