import type { ByteBudget } from "../engine/byte-budget.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { WorkObserver } from "../engine/own-work.ts";
import type { Decoded, IngestPort, ReceivedBody, Signal } from "../engine/ports.ts";
import type { ReceiverCounters } from "../engine/receiver-counters.ts";
import { contentKindOf } from "../model/content-kind.ts";
import { meaningfulAttributes } from "../model/semconv.ts";
import {
  type DecodeResult,
  MalformedBodyError,
  type RejectReason,
  stringIndexFields,
} from "../model/telemetry.ts";
import { decodeBody, newTableFor } from "./decode-body.ts";

/** What every receiver needs, whatever transport it speaks. */
export interface ReceiverOptions {
  readonly ingest: IngestPort;
  /** shared with the other receivers */
  readonly budget: ByteBudget;
  readonly counters: ReceiverCounters;
  /** one request, after decompression; the protocol recommends 64 MiB */
  readonly bodyBytesMax: number;
  /** what is taken; absent = all */
  readonly signals?: readonly Signal[];
  /** How long the taking in of a request may take before its sender is asked to send it again; absent = 4 seconds. */
  readonly acknowledgeMsMax?: number;
  /** called once with what is odd about a sender and costs nobody but it, for the log; absent = nobody is told */
  readonly onOddity?: (message: string) => void;
  /** called with each fault of ours, for the log; the sender is asked to try again */
  readonly onFault: (fault: unknown) => void;
  /** absent = nobody wants to know */
  readonly observer?: WorkObserver | undefined;
}

/** What became of one export request; each transport says it in its own words. */
export type Receipt =
  | {
      readonly kind: "accepted";
      readonly rejected: number;
      /** why records were rejected; "" = none were */
      readonly message: string;
    }
  /** The sender must not send it again. */
  | { readonly kind: "malformed"; readonly message: string }
  /** The sender should send it again. */
  | { readonly kind: "refused"; readonly message: string };

/** To a client that holds more than its share of the memory for requests. */
export const overShareMessage =
  "this client has too many requests under way at once, others need room too; please send it again";

/** Seconds after which a refused sender should try again. */
export const retrySeconds = 1;

/**
 * Decodes a body, hands it over and counts what became of it. Never throws: whatever goes wrong unexpectedly must be
 * retryable, or data is lost. `client` = who sent it, as the log names it.
 */
export async function receiveExport(
  options: ReceiverOptions,
  received: ReceivedBody,
  client: string,
): Promise<Receipt> {
  const { counters, observer } = options;
  const { signal, encoding, body } = received;
  counters.count("body_bytes_total", body.length);
  if (observer === undefined) return await receive(options, received, { client, seen: null });
  const startMs = performance.now();
  const seen: Seen = { decoded: null, accepted: 0, rejected: 0 };
  const receipt = await receive(options, received, { client, seen });
  observer.received({
    ...seen,
    startMs,
    endMs: performance.now(),
    transport: counters.transport,
    signal,
    encoding,
    bodyBytes: body.length,
    outcome: receipt.kind,
  });
  return receipt;
}

/** What was found in a body. */
interface Seen {
  decoded: Decoded | null;
  accepted: number;
  rejected: number;
}

async function receive(
  options: ReceiverOptions,
  received: ReceivedBody,
  { client, seen }: { readonly client: string; readonly seen: Seen | null },
): Promise<Receipt> {
  const { ingest, counters } = options;
  const { signal } = received;
  try {
    const { decoded, result } = decodeTimed(received, counters);
    if (seen !== null) Object.assign(seen, { decoded, accepted: result.accepted, rejected: result.rejected });
    if (result.accepted > 0 && !(await isTakenIn(ingest.ingest(received, decoded), options))) {
      counters.count("refused_requests_total");
      return { kind: "refused", message: "taking it in takes too long; please send it again" };
    }
    if (result.stringIndices !== undefined) noteStringIndices(result.stringIndices, client, options);
    counters.countItems(signal, result.accepted, result.rejected);
    return { kind: "accepted", rejected: result.rejected, message: rejectionMessage(signal, result) };
  } catch (error) {
    if (error instanceof MalformedBodyError) {
      counters.count("malformed_requests_total");
      return { kind: "malformed", message: malformedMessage(error, received) };
    }
    if (!isRefusal(error)) return refusedByFault(error, options);
    counters.count("refused_requests_total");
    return { kind: "refused", message: error.message };
  }
}

function decodeTimed(
  { signal, encoding, body }: ReceivedBody,
  counters: ReceiverCounters,
): ReturnType<typeof decodeBody> {
  const startMs = performance.now();
  try {
    // what nobody asks of many traces is read from the body when somebody asks about one
    const table = signal === "traces" ? newTableFor(encoding, body, meaningfulAttributes) : undefined;
    return decodeBody(signal, encoding, body, table);
  } finally {
    counters.count("decode_seconds_total", (performance.now() - startMs) / 1000);
  }
}

function noteStringIndices(count: number, client: string, { counters, onOddity }: ReceiverOptions): void {
  if (counters.count("string_indices_total", count) > count) return;
  onOddity?.(
    `${client} names texts in attributes of spans by their number in a table (${stringIndexFields}), which OTLP has for profiles only: they are read as absent. This is said once; /metrics counts them.`,
  );
}

/** OpenTelemetry's collector gives an attempt up after 5 seconds and then counts it as failed anyway. */
const acknowledgeMsDefault = 4_000;

/** Whether a request is as safe as the store makes it, in time; what comes too late is not lost, only taken in twice. */
async function isTakenIn(
  ingested: Promise<void>,
  { acknowledgeMsMax, onFault }: ReceiverOptions,
): Promise<boolean> {
  let late: NodeJS.Timeout | undefined;
  const isLate = new Promise<"late">((resolve) => {
    late = setTimeout(() => resolve("late"), acknowledgeMsMax ?? acknowledgeMsDefault);
  });
  const first = await Promise.race([ingested, isLate]).finally(() => clearTimeout(late));
  if (first !== "late") return true;
  ingested.catch((error: unknown) => {
    if (!isRefusal(error)) onFault(error);
  });
  return false;
}

/** Whether an ingest says by an error that it takes nothing now. */
function isRefusal(error: unknown): error is OperationError {
  return error instanceof OperationError && (error.code === "overloaded" || error.code === "shutting_down");
}

/** Counts and reports a bug of ours; it must not cost data, so the sender is asked to try again. */
export function refusedByFault(
  fault: unknown,
  { counters, onFault }: ReceiverOptions,
): Extract<Receipt, { readonly kind: "refused" }> {
  counters.count("faults_total");
  onFault(fault);
  return { kind: "refused", message: "an internal fault; please send it again" };
}

/** Why a signal is not taken; null = it is. What is not taken is refused, never dropped in silence. */
export function signalRefusal(signal: Signal, { signals }: ReceiverOptions): string | null {
  if (signals === undefined || signals.includes(signal)) return null;
  return `this server takes no ${signal}; its setting "signals" names what it takes (${signals.join(", ")})`;
}

export const profilesRefusal = "profiles are not analysed; send traces, metrics or logs";

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
  const kind = contentKindOf(body);
  if (kind === null || kind === encoding) return place;
  const isPacked = kind === "gzip" || kind === "zstd";
  return `${place} (the body looks like ${kind}${isPacked ? "; was Content-Encoding forgotten?" : ""})`;
}
