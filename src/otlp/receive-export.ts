import { OperationError } from "../engine/errors/operation-error.ts";
import type { IngestPort, ReceivedBody, Signal } from "../engine/ports.ts";
import { type DecodeResult, MalformedBodyError, type RejectReason } from "../model/telemetry.ts";
import { decodeBody } from "./decode-body.ts";

/** What became of one export request; each transport says it in its own words. */
export type Receipt =
  | {
      readonly kind: "accepted";
      readonly accepted: number;
      readonly rejected: number;
      /** why records were rejected; "" = none were */
      readonly message: string;
    }
  /** The sender must not send it again. */
  | { readonly kind: "malformed"; readonly message: string }
  /** The sender should send it again; `fault` is set when the reason is a bug of ours. */
  | {
      readonly kind: "refused";
      readonly message: string;
      readonly retrySeconds: number;
      readonly fault?: unknown;
    };

/** Seconds after which a refused sender should try again. */
export const retrySeconds = 1;

/** Decodes a body and hands it over. Never throws: whatever goes wrong unexpectedly must be retryable, or data is lost. */
export async function receiveExport(ingest: IngestPort, received: ReceivedBody): Promise<Receipt> {
  try {
    const { decoded, result } = decodeBody(received.signal, received.encoding, received.body);
    if (result.accepted > 0) await ingest.ingest(received, decoded);
    return {
      kind: "accepted",
      accepted: result.accepted,
      rejected: result.rejected,
      message: rejectionMessage(received.signal, result),
    };
  } catch (error) {
    if (error instanceof MalformedBodyError)
      return { kind: "malformed", message: malformedMessage(error, received) };
    if (error instanceof OperationError && (error.code === "overloaded" || error.code === "shutting_down"))
      return { kind: "refused", message: error.message, retrySeconds };
    return {
      kind: "refused",
      message: "an internal fault; please send it again",
      retrySeconds,
      fault: error,
    };
  }
}

const itemNames = { traces: "spans", metrics: "metric data points", logs: "log records" } as const;

const reasonTexts: Readonly<Record<RejectReason, string>> = {
  invalid_trace_id: "a trace id must be 16 bytes, not all zero",
  invalid_span_id: "a span id must be 8 bytes, not all zero",
  malformed_span: "a span could not be read",
  malformed_data_point: "a data point could not be read",
  malformed_log_record: "a log record could not be read",
};

function rejectionMessage(signal: Signal, { rejected, reasons }: DecodeResult): string {
  if (rejected === 0) return "";
  const counts = [...reasons].map(([reason, count]) => `${count} × ${reason} (${reasonTexts[reason]})`);
  return `${rejected} ${itemNames[signal]} rejected: ${counts.join(", ")}`;
}

function malformedMessage(error: MalformedBodyError, { encoding, body }: ReceivedBody): string {
  const place = `malformed ${encoding} body at byte ${error.offset}: ${error.message}`;
  const looksLike = typeOfContent(body);
  return looksLike === null || looksLike === encoding ? place : `${place} (the body looks like ${looksLike})`;
}

/** What the first byte says, for senders whose headers lie. */
function typeOfContent(body: Uint8Array): string | null {
  if (body[0] === 0x1f && body[1] === 0x8b) return "gzip; was Content-Encoding forgotten?";
  if (body[0] === 0x28 && body[1] === 0xb5 && body[2] === 0x2f) return "zstd, which is not supported";
  if (body[0] === 0x7b || body[0] === 0x5b) return "json";
  return body[0] === 0x0a ? "protobuf" : null;
}
