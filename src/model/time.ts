import type { Brand } from "../base/brand.ts";

/** Nanoseconds since 1970-01-01T00:00:00Z. */
export type UnixNanos = Brand<bigint, "UnixNanos">;

/** First and last instant, both included. */
export interface TimeRange {
  readonly from: UnixNanos;
  readonly to: UnixNanos;
}

export const NANOS_PER_MS = 1_000_000;
export const NANOS_PER_SECOND = 1_000_000_000;
export const NANOS_PER_MINUTE = 60 * NANOS_PER_SECOND;

export function nanosFromWords(high: number, low: number): UnixNanos {
  return ((BigInt(high) << 32n) | BigInt(low)) as UnixNanos;
}

/** The second that was written last: reports write many times of the same one. */
let lastSecond = -1;
let lastSecondText = "";

/** RFC 3339 in UTC with nine decimals; years beyond 9999 (a hostile clock) are written with their digits. */
export function formatTime(time: UnixNanos): string {
  const second = Number(time / 1_000_000_000n);
  if (second !== lastSecond) {
    lastSecondText = new Date(second * 1000).toISOString().slice(0, -5);
    lastSecond = second;
  }
  return `${lastSecondText}.${String(Number(time % 1_000_000_000n)).padStart(9, "0")}Z`;
}

/** An RFC 3339 time with up to nine decimals, or null. A leap second (`:60`) is the second after it, as Unix time counts. */
export function parseTime(text: string): UnixNanos | null {
  const match = /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(
    text.trim(),
  );
  if (match === null) return null;
  const told = (match[1] as string).replace(" ", "T").toUpperCase();
  const isLeap = told.endsWith(":59:60");
  const date = isLeap ? `${told.slice(0, -2)}59` : told;
  const ms = Date.parse(`${date}${(match[3] as string).toUpperCase()}`) + (isLeap ? 1000 : 0);
  if (Number.isNaN(ms) || ms < 0) return null;
  return (BigInt(ms) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"))) as UnixNanos;
}

/** Minutes since 1970 (rounded down). */
export function minuteOf(time: UnixNanos): number {
  const nanos = Number(time);
  const minute = Math.floor(nanos / NANOS_PER_MINUTE);
  const into = nanos - minute * NANOS_PER_MINUTE;
  // a double of this size is exact to 256 ns: only near a full minute the slow way is needed
  if (into > 1024 && into < NANOS_PER_MINUTE - 1024) return minute;
  return Number(time / 60_000_000_000n);
}

/** A moment in two exact numbers, for loops over spans: whole minutes since 1970, and nanoseconds into that minute. */
export interface MinuteTime {
  readonly minute: number;
  readonly nanos: number;
}

/** What was asked for last: several sums ask about the start of one trace. */
let lastTime: UnixNanos | null = null;
let lastMinuteTime: MinuteTime = { minute: 0, nanos: 0 };

export function minuteTimeOf(time: UnixNanos): MinuteTime {
  if (time === lastTime) return lastMinuteTime;
  const minute = minuteOf(time);
  lastTime = time;
  lastMinuteTime = { minute, nanos: Number(time - startOfMinute(minute)) };
  return lastMinuteTime;
}

/** `nanos` whole nanoseconds later; never before 1970. */
export function laterBy(time: MinuteTime, nanos: number): MinuteTime {
  // one way for all of them: a second one that is rarely taken makes everything that is compiled with this start anew
  const into = time.nanos + nanos;
  const minutes = Math.floor(into / NANOS_PER_MINUTE);
  const minute = time.minute + minutes;
  return minute < 0 ? { minute: 0, nanos: 0 } : { minute, nanos: into - minutes * NANOS_PER_MINUTE };
}

export function isEarlier(a: MinuteTime, b: MinuteTime): boolean {
  return a.minute < b.minute || (a.minute === b.minute && a.nanos < b.nanos);
}

export function unixNanosOf({ minute, nanos }: MinuteTime): UnixNanos {
  return (startOfMinute(minute) + BigInt(nanos)) as UnixNanos;
}

/** The start of a minute that `minuteOf` gave. */
export function startOfMinute(minute: number): UnixNanos {
  return (BigInt(minute) * 60_000_000_000n) as UnixNanos;
}
