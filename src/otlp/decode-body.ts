import type { Decoded, Encoding, Signal } from "../engine/ports.ts";
import type { AttributeNames } from "../model/attributes.ts";
import { SpanTable } from "../model/span-table.ts";
import type { DecodeResult } from "../model/telemetry.ts";
import { decodeLogsJson } from "./json-logs.ts";
import { decodeMetricsJson } from "./json-metrics.ts";
import { decodeTracesJson } from "./json-traces.ts";
import { decodeLogs } from "./protobuf-logs.ts";
import { decodeMetrics } from "./protobuf-metrics.ts";
import { decodeTraces } from "./protobuf-traces.ts";

/**
 * Decodes one whole request body; the same bytes always give the same rows. Spans go to `table`, or to one of their own.
 * Throws `MalformedBodyError`; a table that was given is as before then.
 */
export function decodeBody(
  signal: Signal,
  encoding: Encoding,
  body: Uint8Array,
  table?: SpanTable,
): { readonly decoded: Decoded; readonly result: DecodeResult } {
  const isJson = encoding === "json";
  if (signal === "traces") {
    const { table: filled, result } = decodeSpans(encoding, body, table);
    return { decoded: { signal, table: filled }, result };
  }
  if (signal === "metrics") {
    const { points, result } = isJson ? decodeMetricsJson(body) : decodeMetrics(body);
    return { decoded: { signal, points }, result };
  }
  const { records, result } = isJson ? decodeLogsJson(body) : decodeLogs(body);
  return { decoded: { signal, records }, result };
}

/** The same for a body of spans. */
export function decodeSpans(
  encoding: Encoding,
  body: Uint8Array,
  table = newTableFor(encoding, body, null),
): { readonly table: SpanTable; readonly result: DecodeResult } {
  const result = encoding === "json" ? decodeTracesJson(body, table) : decodeTraces(body, table);
  return { table, result };
}

/** A table for the spans of a body, with room for about as many: one of three spans does not pay for the columns of 512. */
export function newTableFor(
  encoding: Encoding,
  { length }: Uint8Array,
  kept: AttributeNames | null,
): SpanTable {
  const rows = Math.ceil(length / (encoding === "json" ? 700 : 350));
  return new SpanTable(Math.min(16_384, Math.max(8, rows)), kept);
}
