import { type Signal, signals } from "../engine/ports.ts";

const keyOf = { traces: "resourceSpans", metrics: "resourceMetrics", logs: "resourceLogs" } as const;
const snakeKeyOf = { traces: "resource_spans", metrics: "resource_metrics", logs: "resource_logs" } as const;

/** The keys that bring telemetry in OTLP JSON, in both spellings. */
export const signalKeys: readonly string[] = signals.flatMap((signal) => [keyOf[signal], snakeKeyOf[signal]]);
/** The same for people. */
export const signalKeysInWords = "resourceSpans, resourceMetrics or resourceLogs";

/** Which signal a top-level key of OTLP JSON brings. */
export function signalOfKey(key: string): Signal | null {
  return signals.find((signal) => keyOf[signal] === key || snakeKeyOf[signal] === key) ?? null;
}

const recordStarts = signalKeys.map((key) => Buffer.from(`{"${key}"`));

/** Whether a record starts at `at`, written as exporters write it: the brace, then at once the key of a signal. */
export function startsRecord(bytes: Uint8Array, at: number, end: number): boolean {
  return recordStarts.some((start) => at + start.length <= end && isEqual(bytes, at, start));
}

/** The keys as they stand in the text. */
const quotedKeys = signals.map((signal) => ({
  signal,
  spellings: [Buffer.from(`"${keyOf[signal]}"`), Buffer.from(`"${snakeKeyOf[signal]}"`)],
}));

/** The signal of an object that brings one alone, or null: more than one, or none at its start. */
export function onlySignalOf(record: Buffer): Signal | null {
  let at = 1;
  while ((record[at] as number) <= 0x20) at += 1;
  const first = quotedKeys.find(({ spellings }) => spellings.some((key) => isEqual(record, at, key)));
  if (first === undefined) return null;
  for (;;) {
    // One search for what all six keys begin with; `"resource":` itself is met once an element.
    at = record.indexOf('"resource', at + 1, "latin1");
    if (at < 0) return first.signal;
    const other = quotedKeys.find(({ spellings }) => spellings.some((key) => isEqual(record, at, key)));
    if (other !== undefined && other.signal !== first.signal) return null;
  }
}

function isEqual(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i += 1) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

/** An element of a signal's list as a request of its own. */
export function requestOf(signal: Signal, element: Uint8Array): Uint8Array {
  const before = `{"${keyOf[signal]}":[`;
  const bytes = Buffer.allocUnsafe(before.length + element.length + 2);
  bytes.write(before, 0, "latin1");
  bytes.set(element, before.length);
  bytes.write("]}", before.length + element.length, "latin1");
  return bytes;
}
