import type { Signal } from "../engine/ports.ts";

/** What became of one export request at the other end. */
export type Delivery =
  | {
      readonly kind: "accepted";
      /** spans, points or records that the receiver did not take */
      readonly rejected: number;
      readonly message: string;
    }
  /** It may work later: the receiver is busy, or the connection broke. */
  | { readonly kind: "retry"; readonly afterMs: number | null; readonly message: string }
  /** Nobody answers there at all. */
  | { readonly kind: "unreachable"; readonly message: string }
  /** It will never work. */
  | { readonly kind: "refused"; readonly message: string };

/** An OTLP receiver, over HTTP or gRPC. */
export interface OtlpTarget {
  /** Sends a protobuf request once. Rejects only when `signal` is aborted. */
  send(signal: Signal, request: Uint8Array, abort?: AbortSignal): Promise<Delivery>;
  close(): void;
}

/** How long an answer may take before the request is sent again. */
export const answerMsMax = 30_000;

/** Rejected count and message of an Export…ServiceResponse: the same fields in all signals. */
export function readPartialSuccess(response: Uint8Array): {
  readonly rejected: number;
  readonly message: string;
} {
  let rejected = 0;
  let message = "";
  for (const { number, value } of fieldsOf(response)) {
    if (number !== 1 || !(value instanceof Uint8Array)) continue;
    for (const field of fieldsOf(value)) {
      if (field.number === 1 && typeof field.value === "number") rejected = field.value;
      else if (field.number === 2 && field.value instanceof Uint8Array) message = textOfBytes(field.value);
    }
  }
  return { rejected, message };
}

/** Message and retry delay of a google.rpc.Status. */
export function readStatus(status: Uint8Array): {
  readonly message: string;
  readonly retryMs: number | null;
} {
  let message = "";
  let retryMs: number | null = null;
  for (const { number, value } of fieldsOf(status)) {
    if (!(value instanceof Uint8Array)) continue;
    if (number === 2) message = textOfBytes(value);
    else if (number === 3) retryMs = retryDelay(value) ?? retryMs;
  }
  return { message, retryMs };
}

/** The delay of a RetryInfo in an Any; null for other details. */
function retryDelay(any: Uint8Array): number | null {
  const parts = [...fieldsOf(any)];
  const type = parts.find(({ number }) => number === 1)?.value;
  const info = parts.find(({ number }) => number === 2)?.value;
  if (!(type instanceof Uint8Array) || !textOfBytes(type).endsWith("google.rpc.RetryInfo")) return null;
  if (!(info instanceof Uint8Array)) return 0;
  let ms = 0;
  for (const { value } of fieldsOf(info))
    if (value instanceof Uint8Array)
      for (const part of fieldsOf(value))
        if (typeof part.value === "number") ms += part.number === 1 ? part.value * 1000 : part.value / 1e6;
  return ms;
}

/** Fields of a small answer; ends at whatever is no protobuf. */
function* fieldsOf(
  bytes: Uint8Array,
): Iterable<{ readonly number: number; readonly value: number | Uint8Array }> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; at < bytes.length; shift += 7) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return value;
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    if (tag % 8 === 0) yield { number, value: varint() };
    else if (tag % 8 === 2) {
      const length = varint();
      yield { number, value: bytes.subarray(at, at + length) };
      at += length;
    } else return;
  }
}

function textOfBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
