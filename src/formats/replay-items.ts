import type { Signal } from "../engine/ports.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { encodeLogs } from "../otlp/encode-logs.ts";
import { encodeMetrics } from "../otlp/encode-metrics.ts";
import { encodeTraces } from "../otlp/encode-traces.ts";
import type { RowRef } from "../trace/trace.ts";
import { moveLog, movePoint, moveRow, rowTime, type TimeMove } from "./move-times.ts";

/** A span, a data point or a log record, with the time at which its sender knew it: Unix nanoseconds, 0 = unknown. */
export type ReplayItem =
  | { readonly signal: "traces"; readonly time: bigint; readonly ref: RowRef }
  | { readonly signal: "metrics"; readonly time: bigint; readonly point: MetricPoint }
  | { readonly signal: "logs"; readonly time: bigint; readonly record: LogRecord };

/** The spans of a table; a span is known when it is over. */
export function spanItems(table: SpanTable): ReplayItem[] {
  return Array.from({ length: table.rowCount }, (_, row) => ({
    signal: "traces",
    time: rowTime(table, row),
    ref: { table, row },
  }));
}

export function pointItems(points: readonly MetricPoint[]): ReplayItem[] {
  return points.map((point) => ({ signal: "metrics", time: point.time, point }));
}

/** Log records; one without a time of its own counts from when it was observed. */
export function logItems(records: readonly LogRecord[]): ReplayItem[] {
  return records.map((record) => ({ signal: "logs", time: record.time || record.observedTime, record }));
}

/** One export request. */
export interface ReplayRequest {
  readonly signal: Signal;
  readonly items: number;
  readonly body: Uint8Array;
}

/** One request for each signal of some items, with all times moved. Changes the tables of the spans: each item goes once. */
export function requestsOf(items: readonly ReplayItem[], move: TimeMove | null): readonly ReplayRequest[] {
  const rows: RowRef[] = [];
  const points: MetricPoint[] = [];
  const records: LogRecord[] = [];
  for (const item of items)
    if (item.signal === "traces") {
      if (move !== null) moveRow(item.ref.table, item.ref.row, move);
      rows.push(item.ref);
    } else if (item.signal === "metrics")
      points.push(move === null ? item.point : movePoint(item.point, move));
    else records.push(move === null ? item.record : moveLog(item.record, move));
  const requests: ReplayRequest[] = [];
  if (rows.length > 0) requests.push({ signal: "traces", items: rows.length, body: encodeTraces(rows) });
  if (points.length > 0)
    requests.push({ signal: "metrics", items: points.length, body: encodeMetrics(points) });
  if (records.length > 0) requests.push({ signal: "logs", items: records.length, body: encodeLogs(records) });
  return requests;
}
