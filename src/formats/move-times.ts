import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { nanosFromWords, type UnixNanos } from "../model/time.ts";

/** Where times go: `from` becomes `to`, and what lies between two times is divided by `speed`. Unix nanoseconds. */
export interface TimeMove {
  readonly from: bigint;
  readonly to: bigint;
  readonly speed: number;
}

/** When a span was over (or began, where it never ended), in Unix nanoseconds; 0 = unknown. */
export function rowTime(table: SpanTable, row: number): bigint {
  return timeAt(table.endTime, row) || timeAt(table.startTime, row);
}

/** The newest time of a span up to `latest`, 0 if there is none. */
export function newestTime(table: SpanTable, latest: bigint): bigint {
  let newest = 0n;
  for (const words of [table.startTime, table.endTime])
    for (let row = 0; row < table.rowCount; row += 1) {
      const time = timeAt(words, row);
      if (time > newest && time <= latest) newest = time;
    }
  return newest;
}

/** Moves all times of a row that nobody else holds; unknown times (0) stay unknown. */
export function moveRow(table: SpanTable, row: number, move: TimeMove): void {
  moveWords(table.startTime, row, move);
  moveWords(table.endTime, row, move);
  const end = table.eventEnd[row] as number;
  for (let at = table.eventStart[row] as number; at < end; at += 1) moveWords(table.events.time, at, move);
}

export function movePoint(point: MetricPoint, move: TimeMove): MetricPoint {
  return { ...point, startTime: moved(point.startTime, move), time: moved(point.time, move) };
}

export function moveLog(record: LogRecord, move: TimeMove): LogRecord {
  return { ...record, time: moved(record.time, move), observedTime: moved(record.observedTime, move) };
}

function timeAt(words: Uint32Array, at: number): UnixNanos {
  return nanosFromWords(words[at * 2] as number, words[at * 2 + 1] as number);
}

function moveWords(words: Uint32Array, at: number, move: TimeMove): void {
  const time = moved(timeAt(words, at), move);
  words[at * 2] = Number(time >> 32n);
  words[at * 2 + 1] = Number(time & 0xffffffffn);
}

const latestNanos = 2n ** 64n - 1n;

function moved(time: UnixNanos, { from, to, speed }: TimeMove): UnixNanos {
  if (time === 0n) return time;
  const distance = time - from;
  const after = to + (speed === 1 ? distance : BigInt(Math.round(Number(distance) / speed)));
  return (after < 1n ? 1n : after > latestNanos ? latestNanos : after) as UnixNanos;
}
