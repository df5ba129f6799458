import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { nanosFromWords, type UnixNanos } from "../model/time.ts";

const wordSize = 2 ** 32;

/** When each span was over (or began, where it never ended), in Unix milliseconds; 0 = unknown. */
export function tableTimesMs(table: SpanTable): Float64Array {
  const times = new Float64Array(table.rowCount);
  for (let row = 0; row < table.rowCount; row += 1)
    times[row] = (nanosAt(table.endTime, row) || nanosAt(table.startTime, row)) / 1e6;
  return times;
}

function nanosAt(words: Uint32Array, row: number): number {
  return (words[row * 2] as number) * wordSize + (words[row * 2 + 1] as number);
}

/** The newest time of a span up to `latest`, 0 if there is none. */
export function newestTime(table: SpanTable, latest: bigint): bigint {
  let newest = 0n;
  for (const words of [table.startTime, table.endTime])
    for (let row = 0; row < table.rowCount; row += 1) {
      const time = nanosFromWords(words[row * 2] as number, words[row * 2 + 1] as number);
      if (time > newest && time <= latest) newest = time;
    }
  return newest;
}

/** Moves all times of a table that nobody else holds; unknown times (0) stay unknown. */
export function shiftTable(table: SpanTable, shift: bigint): void {
  if (shift === 0n) return;
  shiftWords(table.startTime, table.rowCount, shift);
  shiftWords(table.endTime, table.rowCount, shift);
  shiftWords(table.events.time, table.events.length, shift);
}

function shiftWords(words: Uint32Array, count: number, shift: bigint): void {
  for (let i = 0; i < count; i += 1) {
    const time = shifted(nanosFromWords(words[i * 2] as number, words[i * 2 + 1] as number), shift);
    words[i * 2] = Number(time >> 32n);
    words[i * 2 + 1] = Number(time & 0xffffffffn);
  }
}

export function shiftPoints(points: readonly MetricPoint[], shift: bigint): readonly MetricPoint[] {
  if (shift === 0n) return points;
  return points.map((point) => ({
    ...point,
    startTime: shifted(point.startTime, shift),
    time: shifted(point.time, shift),
  }));
}

export function shiftLogs(records: readonly LogRecord[], shift: bigint): readonly LogRecord[] {
  if (shift === 0n) return records;
  return records.map((record) => ({
    ...record,
    time: shifted(record.time, shift),
    observedTime: shifted(record.observedTime, shift),
  }));
}

const latestNanos = 2n ** 64n - 1n;

function shifted(time: UnixNanos, shift: bigint): UnixNanos {
  if (time === 0n) return time;
  const moved = time + shift;
  return (moved < 1n ? 1n : moved > latestNanos ? latestNanos : moved) as UnixNanos;
}
