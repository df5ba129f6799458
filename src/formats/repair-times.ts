import type { Problem } from "../model/problems.ts";
import type { SpanTable } from "../model/span-table.ts";
import { nanosFromWords } from "../model/time.ts";

/** From 2000 to 2100, in seconds: what a time in another unit is recognised by. */
const [firstSecond, lastSecond] = [946_684_800n, 4_102_444_800n];

const nanosHighMin = Number((firstSecond * 1_000_000_000n) >> 32n);

const units: readonly (readonly [name: string, nanos: bigint])[] = [
  ["seconds", 1_000_000_000n],
  ["milliseconds", 1_000_000n],
  ["microseconds", 1_000n],
];

/**
 * Mends spans of saved files whose times are not in nanoseconds: read as another unit, their start lies in this century, and
 * so does their end. Others, and those of the 1970s, stay as they are. Answers what was done.
 */
export function repairTimes(table: SpanTable): readonly Problem[] {
  const counts = new Map<string, number>();
  for (let row = 0; row < table.rowCount; row += 1) {
    // nanoseconds of this century have a high word far above those of any other unit
    if ((table.startTime[row * 2] as number) >= nanosHighMin) continue;
    const start = timeAt(table.startTime, row);
    const end = timeAt(table.endTime, row);
    const unit = units.find(([, nanos]) => isInUnit(start, nanos) && (end === 0n || isInUnit(end, nanos)));
    if (unit === undefined) continue;
    const [name, nanos] = unit;
    multiply(table.startTime, row, nanos);
    multiply(table.endTime, row, nanos);
    for (let i = table.eventStart[row] as number; i < (table.eventEnd[row] as number); i += 1)
      if (isInUnit(timeAt(table.events.time, i), nanos)) multiply(table.events.time, i, nanos);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => ({
    kind: "repaired_time",
    message: `Times of spans are in ${name} instead of nanoseconds; they were read as such`,
    count,
    spans: [],
  }));
}

/** Whether a time in this unit lies in this century. */
function isInUnit(time: bigint, nanos: bigint): boolean {
  const perSecond = 1_000_000_000n / nanos;
  return time >= firstSecond * perSecond && time < lastSecond * perSecond;
}

function timeAt(words: Uint32Array, at: number): bigint {
  return nanosFromWords(words[at * 2] as number, words[at * 2 + 1] as number);
}

function multiply(words: Uint32Array, at: number, factor: bigint): void {
  const time = timeAt(words, at) * factor;
  words[at * 2] = Number(time >> 32n);
  words[at * 2 + 1] = Number(time & 0xffffffffn);
}
