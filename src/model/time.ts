import type { Brand } from "../base/brand.ts";

/** Nanoseconds since 1970-01-01T00:00:00Z. */
export type UnixNanos = Brand<bigint, "UnixNanos">;

export const NANOS_PER_MS = 1_000_000;
export const NANOS_PER_SECOND = 1_000_000_000;
export const NANOS_PER_MINUTE = 60 * NANOS_PER_SECOND;

export function nanosFromWords(high: number, low: number): UnixNanos {
  return ((BigInt(high) << 32n) | BigInt(low)) as UnixNanos;
}

/** RFC 3339 in UTC with nine decimals; years beyond 9999 (a hostile clock) are written with their digits. */
export function formatTime(time: UnixNanos): string {
  const seconds = time / 1_000_000_000n;
  const nanos = (time % 1_000_000_000n).toString().padStart(9, "0");
  const ms = Number(seconds) * 1000;
  const date = new Date(ms);
  return `${date.toISOString().slice(0, -5)}.${nanos}Z`;
}

/** An RFC 3339 time with up to nine decimals, or null. */
export function parseTime(text: string): UnixNanos | null {
  const match = /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(
    text.trim(),
  );
  if (match === null) return null;
  const ms = Date.parse(
    `${(match[1] as string).replace(" ", "T").toUpperCase()}${(match[3] as string).toUpperCase()}`,
  );
  if (Number.isNaN(ms) || ms < 0) return null;
  return (BigInt(ms) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"))) as UnixNanos;
}
