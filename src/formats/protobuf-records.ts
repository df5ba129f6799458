import type { Signal } from "../engine/ports.ts";
import { recordBytesMax } from "../model/limits.ts";
import type { RecordUser } from "./json-records.ts";

/**
 * Cuts a stream of OTLP protobuf into records, whatever its chunks. `delimited`: as the collector's file exporter writes
 * them, each behind its length in four bytes, big-endian. `raw`: the bytes of one request (or several, which is the same in
 * protobuf), cut into the elements of `resource_spans` and the like, each of them a valid request. A record that cannot be
 * decoded is skipped; where a length makes no sense the rest of the stream is lost, for nothing says where the next one is.
 */
export class ProtobufRecords {
  readonly #user: RecordUser;
  readonly #framing: "delimited" | "raw";
  #buffer = new Uint8Array(1 << 16);
  #start = 0;
  #end = 0;
  /** offset in the stream of the buffer's first byte */
  #base = 0;
  #isLost = false;

  constructor(framing: "delimited" | "raw", user: RecordUser) {
    this.#framing = framing;
    this.#user = user;
  }

  push(chunk: Uint8Array): void {
    if (this.#isLost) return;
    this.#append(chunk);
    while (this.#start < this.#end && !this.#isLost && this.#next());
  }

  end(): void {
    if (this.#start < this.#end && !this.#isLost) this.#skip("ends in the middle of a record");
  }

  /** Takes the next record; false when more bytes are needed. */
  #next(): boolean {
    const payload = this.#framing === "delimited" ? this.#delimited() : this.#field();
    if (payload === null) return false;
    const { start, length, size } = payload;
    if (size > recordBytesMax) this.#lose(`claims to be ${size} bytes long`);
    if (this.#isLost || this.#start + size > this.#end) return false;
    const record = this.#buffer.subarray(start, start + length);
    if (length > 0) this.#useRecord(record);
    this.#start += size;
    return true;
  }

  #useRecord(record: Uint8Array): void {
    const shape = requestShape(record);
    // An element without spans, points or logs is the same in all signals: nothing.
    const signal = shape === "empty" ? "traces" : shape;
    const why = signal === null ? "is no OTLP trace, metric or log request" : this.#user.use(signal, record);
    if (why !== null) this.#skip(why);
  }

  #delimited(): Payload | null {
    const at = this.#start;
    if (this.#end - at < 4) return null;
    const view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset + at, 4);
    const length = view.getUint32(0);
    return { start: at + 4, length, size: 4 + length };
  }

  /** A top-level field with its tag; fields that are no list of resources have the length 0. */
  #field(): Payload | null {
    const at = this.#start;
    if (this.#buffer[at] === 0) return { start: at, length: 0, size: 1 };
    const field = readField(this.#buffer, at, this.#end);
    if (field === "short") return null;
    if (field === "invalid") {
      this.#lose("is no protobuf from here on");
      return null;
    }
    const size = field.end - at;
    return { start: at, length: field.number === 1 && field.wireType === 2 ? size : 0, size };
  }

  #skip(why: string): void {
    this.#user.skip({ line: null, offset: this.#base + this.#start }, why);
  }

  #lose(why: string): void {
    this.#skip(`${why}; what follows is skipped`);
    this.#isLost = true;
    this.#buffer = new Uint8Array(0);
  }

  #append(chunk: Uint8Array): void {
    const kept = this.#end - this.#start;
    if (this.#end + chunk.length > this.#buffer.length) {
      const needed = kept + chunk.length;
      const buffer = needed > this.#buffer.length ? new Uint8Array(needed * 2) : this.#buffer;
      buffer.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = buffer;
      this.#base += this.#start;
      this.#start = 0;
      this.#end = kept;
    }
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }
}

/** Where a record's bytes are in the buffer, and how many bytes it takes up with what frames it. */
interface Payload {
  readonly start: number;
  readonly length: number;
  readonly size: number;
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
function readField(bytes: Uint8Array, at: number, end: number): Field | "invalid" | "short" {
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
