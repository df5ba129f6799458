import type { Encoding, Signal } from "../engine/ports.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** UTF-16 units of a message in a response. OTLP allows 4 MiB for all of it; what a person reads is far shorter. */
const messageLengthMax = 4096;

/** google.rpc.Code, as far as it is said by us. */
export const rpcCode = {
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const;

const rejectedNames: Readonly<Record<Signal, string>> = {
  traces: "rejectedSpans",
  metrics: "rejectedDataPoints",
  logs: "rejectedLogRecords",
};

/** What is wrong with one field of a request: google.rpc.BadRequest.FieldViolation. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/**
 * The Export…ServiceResponse of a signal. Full success without a warning leaves partial_success unset, as OTLP demands.
 */
export function exportResponse(
  signal: Signal,
  encoding: Encoding,
  rejected: number,
  message: string,
): Uint8Array {
  const isFull = rejected === 0 && message.length === 0;
  const errorMessage = cut(message);
  if (encoding === "json") {
    if (isFull) return jsonBytes({});
    return jsonBytes({ partialSuccess: { [rejectedNames[signal]]: String(rejected), errorMessage } });
  }
  const writer = new ProtobufWriter();
  if (!isFull) {
    const start = writer.begin(0x0a, 1);
    writer.uint(0x08, rejected);
    writer.text(0x12, errorMessage);
    writer.end(start, 1);
  }
  return writer.finish();
}

/** A google.rpc.Status, the body of every HTTP error answer; `violations` say which part of the request is at fault. */
export function statusBody(
  encoding: Encoding,
  code: number,
  message: string,
  violations: readonly FieldViolation[] = [],
): Uint8Array {
  const shortened = violations.slice(0, 16).map(({ field, description }) => ({
    field: cut(field),
    description: cut(description),
  }));
  if (encoding === "json") {
    const details = [{ "@type": typeUrl("BadRequest"), fieldViolations: shortened }];
    return jsonBytes({ code, message: cut(message), ...(shortened.length > 0 ? { details } : {}) });
  }
  return statusBytes(code, message, (writer) => {
    if (shortened.length > 0) writer.bytesField(0x1a, anyOf("BadRequest", badRequest(shortened)));
  });
}

/**
 * The google.rpc.Status with RetryInfo that goes into the gRPC trailer `grpc-status-details-bin`: the sender comes back
 * after that many seconds.
 */
export function retryInfoStatus(code: number, message: string, retrySeconds: number): Uint8Array {
  return statusBytes(code, message, (writer) => {
    writer.bytesField(0x1a, anyOf("RetryInfo", retryInfo(retrySeconds)));
  });
}

function statusBytes(code: number, message: string, details: (writer: ProtobufWriter) => void): Uint8Array {
  const writer = new ProtobufWriter();
  writer.uint(0x08, code);
  writer.text(0x12, cut(message));
  details(writer);
  return writer.finish();
}

function anyOf(name: string, value: Uint8Array): Uint8Array {
  const writer = new ProtobufWriter();
  writer.text(0x0a, typeUrl(name));
  writer.bytesField(0x12, value);
  return writer.finish();
}

function badRequest(violations: readonly FieldViolation[]): Uint8Array {
  const writer = new ProtobufWriter();
  for (const { field, description } of violations) {
    const start = writer.begin(0x0a, 1);
    writer.text(0x0a, field);
    writer.text(0x12, description);
    writer.end(start, 1);
  }
  return writer.finish();
}

/** RetryInfo { retry_delay: Duration { seconds, nanos } } */
function retryInfo(seconds: number): Uint8Array {
  const whole = Math.floor(seconds);
  const writer = new ProtobufWriter();
  const start = writer.begin(0x0a, 1);
  writer.uint(0x08, whole);
  writer.uint(0x10, Math.round((seconds - whole) * 1e9));
  writer.end(start, 1);
  return writer.finish();
}

function typeUrl(name: string): string {
  return `type.googleapis.com/google.rpc.${name}`;
}

function cut(message: string): string {
  return message.length <= messageLengthMax ? message : `${message.slice(0, messageLengthMax)}…`;
}

function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
