import type { Encoding, Signal } from "../engine/ports.ts";
import { endOfObject, KeySet } from "./json-keys.ts";
import { JsonScanner } from "./json-scanner.ts";

/** Which signal a request brings by its content, for senders that do not say it in the path; null as in `requestShape`. */
export function signalOfRequest(encoding: Encoding, body: Uint8Array): Signal | "empty" | null {
  return encoding === "protobuf" ? requestShape(body) : signalOfJson(body);
}

const topKeys = new KeySet(["resourceSpans", "resourceMetrics", "resourceLogs"]);

/** Throws `MalformedBodyError` where the text up to the first key that tells is no JSON. */
function signalOfJson(body: Uint8Array): Signal | "empty" | null {
  const scanner = new JsonScanner();
  scanner.reset(body);
  let hasKeys = false;
  let key = scanner.topKey(topKeys);
  for (; key !== endOfObject; key = scanner.nextKey(topKeys, key)) {
    if (key === 0) return "traces";
    if (key === 1) return "metrics";
    if (key === 2) return "logs";
    hasKeys = true;
    scanner.skipValue();
  }
  return hasKeys ? null : "empty";
}

/**
 * Which signal a request brings, by the shape of its first spans, data points or log records: the outer messages of all
 * three look alike. `empty` = it brings nothing; null = it is no such request. `end` may cut the message anywhere.
 */
export function requestShape(bytes: Uint8Array, end = bytes.length): Signal | "empty" | null {
  let found: Signal | "empty" | null = "empty";
  for (const resourceItem of fields(bytes, 0, end)) {
    if (resourceItem === "invalid" || resourceItem.wireType !== 2 || resourceItem.number !== 1) return null;
    for (const scopeItem of fields(bytes, resourceItem.start, Math.min(resourceItem.end, end))) {
      if (scopeItem === "invalid" || scopeItem.wireType !== 2) return null;
      if (scopeItem.number !== 2) continue;
      for (const item of fields(bytes, scopeItem.start, Math.min(scopeItem.end, end))) {
        if (item === "invalid" || (item.number <= 3 && item.wireType !== 2)) return null;
        if (item.number !== 2) continue;
        const signal = itemShape(bytes, item.start, Math.min(item.end, end));
        if (signal !== "unclear") return signal;
        found = null;
      }
    }
  }
  return found;
}

/** Tags (number * 8 + wire type) that only one of the three messages has. */
const spanTags = new Set([
  4 * 8 + 2,
  6 * 8,
  7 * 8 + 1,
  8 * 8 + 1,
  10 * 8,
  12 * 8,
  13 * 8 + 2,
  14 * 8,
  15 * 8 + 2,
  16 * 8 + 5,
]);
const logTags = new Set([1 * 8 + 1, 2 * 8, 6 * 8 + 2, 7 * 8, 8 * 8 + 5, 11 * 8 + 1]);
const metricTags = new Set([7 * 8 + 2]);

/**
 * A span with times, kind or status, a metric with a sum and a log record with times or a severity show by a tag of their
 * own. The others differ in their first fields: ids of 16 and 8 bytes, a name that is text, or neither.
 */
function itemShape(bytes: Uint8Array, start: number, end: number): Signal | null | "unclear" {
  let first: Field | null = null;
  let second: Field | null = null;
  let hasContent = false;
  for (const field of fields(bytes, start, end)) {
    if (field === "invalid") return null;
    const tag = field.number * 8 + field.wireType;
    if (spanTags.has(tag)) return "traces";
    if (logTags.has(tag)) return "logs";
    if (metricTags.has(tag)) return "metrics";
    if (field.number === 1) first = field;
    else if (field.number === 2) second = field;
    else if (field.number === 5 || field.number >= 9) hasContent = true;
  }
  const isIdFirst = first !== null && lengthOf(first) === 16 && !isText(bytes, first);
  if (isIdFirst && second !== null && lengthOf(second) === 8) return "traces";
  if (!hasContent) return "unclear";
  return first === null ? "logs" : "metrics";
}

function lengthOf({ start, end }: Field): number {
  return end - start;
}

/** Whether all of a value is printable ASCII: one of ten million ids is. */
function isText(bytes: Uint8Array, { start, end }: Field): boolean {
  return bytes.subarray(start, end).every((byte) => byte >= 0x20 && byte < 0x7f);
}

interface Field {
  readonly number: number;
  readonly wireType: number;
  /** of the value */
  readonly start: number;
  readonly end: number;
}

/** The fields of a message as far as their tags lie within [at, end); a value may reach beyond. */
function* fields(bytes: Uint8Array, at: number, end: number): Iterable<Field | "invalid"> {
  let next = at;
  while (next < end) {
    const field = readField(bytes, next, end);
    if (field === "short") return;
    yield field;
    if (field === "invalid") return;
    next = field.end;
  }
}

/** The field whose tag starts at `at`; `end` of its value may lie beyond the bytes given. */
export function readField(bytes: Uint8Array, at: number, end: number): Field | "invalid" | "short" {
  const tag = readVarint(bytes, at, end);
  if (typeof tag === "string") return tag;
  const number = Math.floor(tag.value / 8);
  const wireType = tag.value % 8;
  if (number === 0 || number > 0x1fffffff) return "invalid";
  const start = tag.end;
  if (wireType === 1) return { number, wireType, start, end: start + 8 };
  if (wireType === 5) return { number, wireType, start, end: start + 4 };
  if (wireType !== 0 && wireType !== 2) return "invalid";
  const varint = readVarint(bytes, start, end);
  if (typeof varint === "string") return varint;
  return wireType === 0
    ? { number, wireType, start, end: varint.end }
    : { number, wireType, start: varint.end, end: varint.end + varint.value };
}

function readVarint(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly value: number; readonly end: number } | "invalid" | "short" {
  let value = 0;
  for (let i = 0; i < 10; i += 1) {
    if (at + i >= end) return "short";
    const byte = bytes[at + i] as number;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  return "invalid";
}
