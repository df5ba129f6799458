import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { setImmediate } from "node:timers/promises";
import {
  type BodyFailure,
  type ContentCoding,
  collectBody,
  type Reservation,
  type UnpackedBody,
  unpackBody,
} from "../compression/request-body.ts";
import { retryInfoStatus } from "../otlp/responses.ts";

// One call of gRPC on a stream of HTTP/2: a message is its length in five bytes, then its content; how the call ended stands
// in headers behind the last message ("trailers"), or in the only ones if there is no message.

/** How a call fails; with `retrySeconds` its sender comes back after them. */
export interface GrpcFailure {
  readonly code: number;
  readonly message: string;
  readonly retrySeconds?: number;
}

/** The value of a header that comes once. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  return [headers[name]].flat()[0];
}

/** Whether a request claims to be gRPC with protobuf messages. */
export function isGrpc(headers: IncomingHttpHeaders): boolean {
  const [type = ""] = (headers["content-type"] ?? "").split(";", 1);
  return /^application\/grpc(\+proto)?$/i.test(type.trim());
}

/** The one message that a caller sends, unpacked; both sizes are bounded while bytes come in. */
export async function receiveMessage(
  stream: ServerHttp2Stream,
  coding: ContentCoding,
  { reservation, bytesMax }: { readonly reservation: Reservation; readonly bytesMax: number },
): Promise<UnpackedBody | BodyFailure> {
  const framed = await collectBody(stream, reservation, bytesMax + prefixBytes);
  if (isGone(stream)) return { kind: "aborted" };
  if (!(framed instanceof Uint8Array)) return framed;
  const problem = framingProblem(framed, coding);
  if (problem !== null) {
    // Clients that give up may end a message first, and reset its stream right after.
    await setImmediate();
    return isGone(stream) ? { kind: "aborted" } : { kind: "corrupt", message: problem };
  }
  const bytes = framed.subarray(prefixBytes);
  if (framed[0] === 0) return { body: bytes };
  return unpackBody({ coding, bytes, bytesMax, isGone: () => isGone(stream) }, reservation);
}

/** Ends a call well. */
export function sendMessage(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (isGone(stream)) return;
  stream.respond(responseHeaders, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(framedMessage(message));
}

/** Ends a call badly; what is still to come of its message is not waited for. */
export function sendFailure(stream: ServerHttp2Stream, failure: GrpcFailure): void {
  if (isGone(stream) || stream.headersSent) return;
  stream.respond({ ...responseHeaders, ...statusHeaders(failure) }, { endStream: true });
  if (!stream.readableEnded) setTimeout(() => stream.close());
}

/** An answer of any number of messages, until it is ended or its caller goes. */
export class MessageStream {
  readonly #stream: ServerHttp2Stream;
  #failure: GrpcFailure = { code: 0, message: "" };

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
    stream.respond(responseHeaders, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers(statusHeaders(this.#failure)));
  }

  send(message: Uint8Array): void {
    if (!isGone(this.#stream)) this.#stream.write(framedMessage(message));
  }

  end(failure: GrpcFailure): void {
    this.#failure = failure;
    this.#stream.end();
  }

  onGone(tell: () => void): void {
    this.#stream.once("close", tell);
  }
}

const prefixBytes = 5;

const responseHeaders: OutgoingHttpHeaders = {
  ":status": 200,
  "content-type": "application/grpc+proto",
  "grpc-accept-encoding": "identity,gzip,deflate,zstd",
};

function isGone(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed || stream.aborted;
}

function framingProblem(framed: Uint8Array, coding: ContentCoding): string | null {
  if (framed.length === 0) return "the call has no message";
  const length = framed.length < prefixBytes ? Number.POSITIVE_INFINITY : lengthIn(framed);
  const isCompressed = framed[0] === 1;
  if (length > framed.length - prefixBytes) return "the message is cut off";
  if (length < framed.length - prefixBytes) return "the call has more than one message";
  if (!isCompressed && framed[0] !== 0) return "the message has flags that gRPC does not know";
  if (isCompressed && coding === "identity")
    return "grpc-encoding does not say how the message is compressed";
  return null;
}

function lengthIn(framed: Uint8Array): number {
  return new DataView(framed.buffer, framed.byteOffset).getUint32(1);
}

function framedMessage(message: Uint8Array): Buffer {
  const framed = Buffer.alloc(prefixBytes + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, prefixBytes);
  return framed;
}

/** UTF-16 units of a message in headers: some clients take no more than 8 KB of them in all. */
const messageLengthMax = 400;

function statusHeaders({ code, message, retrySeconds }: GrpcFailure): OutgoingHttpHeaders {
  const text = message.length <= messageLengthMax ? message : `${message.slice(0, messageLengthMax)}…`;
  const headers = { "grpc-status": String(code), "grpc-message": percentEncoded(text) };
  if (retrySeconds === undefined) return headers;
  const details = Buffer.from(retryInfoStatus(code, text, retrySeconds)).toString("base64");
  return { ...headers, "grpc-status-details-bin": details };
}

/** UTF-8 of which only printable ASCII but for `%` stands as it is. */
function percentEncoded(text: string): string {
  const encoded = (byte: number): string =>
    byte >= 0x20 && byte < 0x7f && byte !== 0x25
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return Array.from(Buffer.from(text), encoded).join("");
}
