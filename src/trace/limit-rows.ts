import { SpanKind } from "../model/span-table.ts";
import { compareContent } from "./same-id.ts";
import { semanticsOf } from "./semantics.ts";
import type { RowRef } from "./trace.ts";

/** The rows of a trace that are analysed, and how many spans there are besides. */
export interface LimitedRows {
  readonly rows: readonly RowRef[];
  readonly omitted: number;
}

/**
 * At most `spansMax` spans: those that failed, then those by which requests come and go, then the rest, the longest of
 * each first; so what is above a span mostly stays, and what the trace waited for. The same set of rows gives the same ones.
 */
export function limitRows(rows: readonly RowRef[], spansMax: number): LimitedRows {
  if (rows.length <= spansMax) return { rows, omitted: 0 };
  const ranked = rows.map(rankedRow).sort(compareRanked);
  const kept: RowRef[] = [];
  let spans = 0;
  let last: RankedRow | null = null;
  for (const row of ranked) {
    if (last === null || !isRepeat(last, row)) spans += 1;
    if (spans <= spansMax) kept.push(row.ref);
    last = row;
  }
  return { rows: kept, omitted: Math.max(0, spans - spansMax) };
}

interface RankedRow {
  readonly ref: RowRef;
  /** 0 = failed, 1 = comes in or goes out, 2 = works inside */
  readonly rank: number;
  /** nanoseconds, to some hundred */
  readonly duration: number;
  readonly start: number;
  readonly idHigh: number;
  readonly idLow: number;
}

function rankedRow(ref: RowRef): RankedRow {
  const { table, row } = ref;
  const semantics = semanticsOf(table);
  const isRoot = table.parentSpanId[row * 2] === 0 && table.parentSpanId[row * 2 + 1] === 0;
  const start = timeAt(table.startTime, row);
  return {
    ref,
    rank: semantics.failed(row) ? 0 : isRoot || semantics.kindOf(row) !== SpanKind.Internal ? 1 : 2,
    duration: Math.max(0, timeAt(table.endTime, row) - start),
    start,
    idHigh: table.spanId[row * 2] as number,
    idLow: table.spanId[row * 2 + 1] as number,
  };
}

function compareRanked(a: RankedRow, b: RankedRow): number {
  return (
    a.rank - b.rank ||
    b.duration - a.duration ||
    a.start - b.start ||
    a.idHigh - b.idHigh ||
    a.idLow - b.idLow ||
    compareContent(a.ref, b.ref)
  );
}

function isRepeat(a: RankedRow, b: RankedRow): boolean {
  return a.idLow === b.idLow && a.idHigh === b.idHigh;
}

function timeAt(times: Uint32Array, row: number): number {
  return (times[row * 2] as number) * 2 ** 32 + (times[row * 2 + 1] as number);
}
