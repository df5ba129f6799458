import { parseTime, type UnixNanos } from "./time.ts";

/** A point in time as a user gives it: absolute, or counted back from when it is used. */
export type TimePoint =
  | { readonly kind: "absolute"; readonly time: UnixNanos }
  | { readonly kind: "before_now"; readonly nanos: bigint };

/** What a time may look like, to go after "expected". */
export const timePointExpectation = "a time such as 2026-05-01T12:00:00Z, now or now-1h";

/** RFC 3339, `now`, or `now-` and a duration; else null. */
export function parseTimePoint(text: string): TimePoint | null {
  if (text === "now") return { kind: "before_now", nanos: 0n };
  if (text.startsWith("now-")) {
    const ms = parseDurationMs(text.slice("now-".length));
    return ms === null ? null : { kind: "before_now", nanos: BigInt(Math.round(ms * 1000)) * 1000n };
  }
  const time = parseTime(text);
  return time === null ? null : { kind: "absolute", time };
}

/** The time that a point means when it is `now`. */
export function resolveTime(point: TimePoint, now: UnixNanos): UnixNanos {
  if (point.kind === "absolute") return point.time;
  return (now > point.nanos ? now - point.nanos : 0n) as UnixNanos;
}

/** The units of durations, smallest first. */
export const msPerUnit: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `500ms`, `10s`, `1.5m`, `1h`, `7d` in milliseconds; else null. */
export function parseDurationMs(text: string): number | null {
  const match = /^(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)$/.exec(text);
  const unit = msPerUnit[match?.[2] ?? ""];
  return match === null || unit === undefined ? null : Number(match[1]) * unit;
}
