import type { Signal } from "../engine/ports.ts";
import { eachField, textAt, uint64Of } from "../otlp/protobuf-values.ts";
import { Wire } from "../otlp/protobuf-wire.ts";

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
  | { readonly kind: "unreachable"; readonly message: string; readonly hint?: string }
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

/** Rejected count and message of an Export…ServiceResponse: the same fields in all signals. What is no protobuf says nothing. */
export function readPartialSuccess(response: Uint8Array): {
  readonly rejected: number;
  readonly message: string;
} {
  const wire = new Wire(response);
  let rejected = 0;
  let message = "";
  eachField(wire, 0, wire.bytes.length, (tag, start, end) => {
    if (tag !== 0x0a) return true;
    return eachField(wire, start, end, (partTag, at, next) => {
      if (partTag === 0x08) rejected = uint64Of(wire);
      else if (partTag === 0x12) message = textAt(wire, at, next);
      return true;
    });
  });
  return { rejected, message };
}

/** Message and retry delay of a google.rpc.Status. */
export function readStatus(status: Uint8Array): {
  readonly message: string;
  readonly retryMs: number | null;
} {
  const wire = new Wire(status);
  let message = "";
  let retryMs: number | null = null;
  eachField(wire, 0, wire.bytes.length, (tag, start, end) => {
    if (tag === 0x12) message = textAt(wire, start, end);
    else if (tag === 0x1a) retryMs = retryDelay(wire, start, end) ?? retryMs;
    return true;
  });
  return { message, retryMs };
}

/** The delay of a RetryInfo in an Any; null for other details. */
function retryDelay(wire: Wire, start: number, end: number): number | null {
  let type = "";
  let ms = 0;
  eachField(wire, start, end, (tag, at, next) => {
    if (tag === 0x0a) type = textAt(wire, at, next);
    else if (tag === 0x12)
      return eachField(
        wire,
        at,
        next,
        (infoTag, delayAt, delayEnd) =>
          infoTag !== 0x0a ||
          eachField(wire, delayAt, delayEnd, (partTag) => {
            if (partTag === 0x08) ms += uint64Of(wire) * 1000;
            else if (partTag === 0x10) ms += uint64Of(wire) / 1e6;
            return true;
          }),
      );
    return true;
  });
  return type.endsWith("google.rpc.RetryInfo") ? ms : null;
}
