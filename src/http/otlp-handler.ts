import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type BodyFailure,
  type ContentCoding,
  collectBody,
  contentCodingNames,
  contentCodingOf,
  Reservation,
  type UnpackedBody,
  unpackBody,
} from "../compression/request-body.ts";
import type { Encoding, Signal } from "../engine/ports.ts";
import { MalformedBodyError } from "../model/telemetry.ts";
import {
  overShareMessage,
  profilesRefusal,
  type Receipt,
  type ReceiverOptions,
  receiveExport,
  refusedByFault,
  retrySeconds,
  signalRefusal,
} from "../otlp/receive-export.ts";
import { signalOfRequest } from "../otlp/request-shape.ts";
import { exportResponse, rpcCode, statusBody } from "../otlp/responses.ts";
import type { HttpAnswer, UnreadableReason } from "./server.ts";

export interface OtlpHttpOptions extends ReceiverOptions {
  /** The paths of OTLP are there behind this one too, such as `/otlp`; "" or absent = none. */
  readonly pathPrefix?: string;
}

/**
 * OTLP/HTTP: POST /v1/traces, /v1/metrics and /v1/logs, protobuf and JSON, plain or compressed; and POST /, where the content
 * says which of them it is.
 */
export function createOtlpHttpHandler(options: OtlpHttpOptions): OtlpHttpHandler {
  return (request, response, client = "") => {
    options.counters.count("requests_total");
    void serve({ request, response, client: client || (request.socket.remoteAddress ?? ""), options });
  };
}

/** `client` = the name that credentials gave it; none or "" = it goes by its address */
export type OtlpHttpHandler = (request: IncomingMessage, response: ServerResponse, client?: string) => void;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly client: string;
  readonly options: OtlpHttpOptions;
}

/** Answers what is no request, or not in time, in OTLP's way: whoever was merely slow is to send it again. */
export function answerUnreadable(reason: UnreadableReason): HttpAnswer {
  const refusal = refusalOf(reason);
  return { ...refusal, headers: headersOf(refusal) };
}

function refusalOf(reason: UnreadableReason): Answer {
  if (reason === "too_slow") return retryLater("the request took too long to arrive", "json");
  return reason === "malformed"
    ? failure(400, "json", rpcCode.invalidArgument, "this is no HTTP request")
    : failure(431, "json", rpcCode.invalidArgument, "the headers are too large");
}

/** Never rejects: what is received is always answered, and its room given back. */
async function serve(exchange: Exchange): Promise<void> {
  const { response, client, options } = exchange;
  const reservation = new Reservation(options.budget, client);
  let outcome: Answer | null;
  try {
    outcome = await answer(exchange, reservation);
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

/** What is sent to a path; `any` = the content says it. */
type Kind = Signal | "profiles" | "any";

const kindOfPath: ReadonlyMap<string, Kind> = new Map([
  ["/v1/traces", "traces"],
  ["/v1/metrics", "metrics"],
  ["/v1/logs", "logs"],
  ["/v1development/profiles", "profiles"],
  ["/v1/profiles", "profiles"],
  // Exporters take an endpoint for one signal as it is, even where it has no path.
  ["/", "any"],
]);

export const contentTypes: Readonly<Record<Encoding, string>> = {
  protobuf: "application/x-protobuf",
  json: "application/json",
};

/** null = nobody is there any more to answer to */
async function answer(
  { request, client, options }: Exchange,
  reservation: Reservation,
): Promise<Answer | null> {
  const target = targetOf(request, options);
  if ("status" in target) {
    options.counters.count("unsupported_requests_total");
    return target;
  }
  const { kind, encoding, coding } = target;
  const unpacked = await readBody(request, coding, reservation, options.bodyBytesMax);
  if ("kind" in unpacked) return answerWithoutBody(unpacked, encoding, options);
  const signal = kind === "any" ? signalOfContent(encoding, unpacked.body) : kind;
  const refusal = signal === null ? null : signalRefusal(signal, options);
  if (signal !== null && refusal === null)
    return answerOf(
      await receiveExport(options, { signal, encoding, ...unpacked }, client),
      signal,
      encoding,
    );
  options.counters.count("unsupported_requests_total");
  const message = refusal ?? `the content is no OTLP traces, metrics or logs; ${whereTo}`;
  return signal === null
    ? failure(400, encoding, rpcCode.invalidArgument, message)
    : failure(404, encoding, rpcCode.unimplemented, message);
}

interface Target {
  readonly kind: Signal | "any";
  readonly encoding: Encoding;
  readonly coding: ContentCoding;
}

/** What a request is, by its head alone; an answer if it cannot be served. */
function targetOf(request: IncomingMessage, options: OtlpHttpOptions): Target | Answer {
  const { method = "nothing", headers } = request;
  const path = pathOf(request.url ?? "/", options.pathPrefix ?? "");
  const encoding = encodingOf(headers["content-type"]);
  const inReply = encoding ?? "json";
  const kind = kindOfPath.get(path);
  if (kind === undefined) return failure(404, inReply, rpcCode.notFound, `nothing at ${path}; ${whereTo}`);
  if (kind === "profiles") return failure(404, inReply, rpcCode.unimplemented, profilesRefusal);
  const refusal = kind === "any" ? null : signalRefusal(kind, options);
  if (refusal !== null) return failure(404, inReply, rpcCode.unimplemented, refusal);
  if (method !== "POST") {
    const message = `${path} takes POST, not ${method}`;
    return { ...failure(405, inReply, rpcCode.unimplemented, message), headers: { Allow: "POST" } };
  }
  if (encoding === null) {
    const message = `Content-Type must be application/x-protobuf or application/json, not "${headers["content-type"] ?? ""}"`;
    return failure(415, "json", rpcCode.invalidArgument, message);
  }
  const coding = contentCodingOf(headers["content-encoding"]);
  if (coding === null) {
    const message = `Content-Encoding must be ${contentCodingNames}, not "${headers["content-encoding"] ?? ""}"`;
    return failure(415, encoding, rpcCode.invalidArgument, message);
  }
  return { kind, encoding, coding };
}

const whereTo = "OTLP goes to /v1/traces, /v1/metrics or /v1/logs";

async function readBody(
  request: IncomingMessage,
  coding: ContentCoding,
  reservation: Reservation,
  bytesMax: number,
): Promise<UnpackedBody | BodyFailure> {
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) return { kind: "too_large" };
  const bytes = await collectBody(request, reservation, bytesMax);
  if (!(bytes instanceof Uint8Array)) return bytes;
  return unpackBody({ coding, bytes, bytesMax, isGone: () => request.socket.destroyed }, reservation);
}

/** null = of none; what is malformed, or empty, is so as traces too */
function signalOfContent(encoding: Encoding, body: Uint8Array): Signal | null {
  try {
    const signal = signalOfRequest(encoding, body);
    return signal === "empty" ? "traces" : signal;
  } catch (error) {
    if (error instanceof MalformedBodyError) return "traces";
    throw error;
  }
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
    case "over_share":
      counters.count("throttled_requests_total");
      return tooMany(encoding);
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

/** The same, for one that sends more than its share. */
function tooMany(encoding: Encoding): Answer {
  return {
    ...failure(429, encoding, rpcCode.resourceExhausted, overShareMessage),
    headers: { "Retry-After": String(retrySeconds) },
  };
}

function failure(status: number, encoding: Encoding, code: number, message: string): Answer {
  return { status, encoding, body: statusBody(encoding, code, message) };
}

function send(response: ServerResponse, outcome: Answer): void {
  if (response.destroyed) return;
  response.writeHead(outcome.status, { ...headersOf(outcome), "Content-Length": outcome.body.length });
  response.end(outcome.body);
}

function headersOf({ encoding, headers }: Answer): Record<string, string> {
  return { "Content-Type": contentTypes[encoding], ...headers };
}

/** Without the query, a slash at the end and the prefix, where there is one. */
function pathOf(url: string, prefix: string): string {
  const query = url.indexOf("?");
  const path = (query < 0 ? url : url.slice(0, query)).replace(/\/$/, "");
  const isBehindPrefix = prefix !== "" && (path === prefix || path.startsWith(`${prefix}/`));
  const plain = isBehindPrefix ? path.slice(prefix.length) : path;
  return plain === "" ? "/" : plain;
}

/** The encoding that a Content-Type names; null = none of OTLP's */
export function encodingOf(contentType: string | undefined): Encoding | null {
  const [type = ""] = (contentType ?? "").split(";", 1);
  const name = type.trim().toLowerCase();
  if (name === "application/x-protobuf" || name === "application/protobuf") return "protobuf";
  return name === "application/json" ? "json" : null;
}
