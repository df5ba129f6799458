import { type AnyValue, type Attributes, ValueType } from "../model/attributes.ts";
import { valueDepthMax } from "../model/limits.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { UnixNanos } from "../model/time.ts";
import { broken, type Wire } from "./protobuf-wire.ts";

const tooDeep = "…";
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** `key_strindex` of a KeyValue, `string_value_strindex` of an AnyValue. */
const keyStringIndexTag = 0x18;
const valueStringIndexTag = 0x40;

/** 2^53 / 2^32: int64 values whose upper half is in [-this, this) are exact as a double. */
const exactHigh = 0x200000;

/**
 * Appends one KeyValue message to the attribute pool and answers the id of its key, or `broken`. `previousKey` is the key
 * of the attribute before it: senders repeat themselves, so it tells which key comes next.
 */
export function appendAttribute(
  table: SpanTable,
  wire: Wire,
  start: number,
  end: number,
  previousKey: number,
): number {
  const { bytes } = wire;
  const { strings, attributes } = table;
  // The short way reads what every sender writes: 0a <key length> key 12 <value length> <one scalar field>, and no more.
  const keyEnd = start + 2 + (bytes[start + 1] as number);
  if (
    keyEnd + 2 > end ||
    bytes[start] !== 0x0a ||
    (bytes[start + 1] as number) >= 0x80 ||
    bytes[keyEnd] !== 0x12
  )
    return appendSlowly(table, wire, start, end);
  let at = keyEnd + 2;
  let length = bytes[keyEnd + 1] as number;
  if (length >= 0x80) {
    length = (length & 0x7f) | ((bytes[at] as number) << 7);
    at += 1;
  }
  if (at + length !== end || length < 2) return appendSlowly(table, wire, start, end);
  const key = strings.internAfter(previousKey * 2, bytes, start + 2, keyEnd);
  const isKept = attributes.keeps(key);
  const field = bytes[at] as number;
  const first = bytes[at + 1] as number;
  at += 2;
  if (field === 0x0a) {
    let textLength = first;
    if (first >= 0x80 && at < end) {
      textLength = (first & 0x7f) | ((bytes[at] as number) << 7);
      at += 1;
    }
    if (at + textLength === end) {
      if (isKept) attributes.add(key, ValueType.String, strings.internAfter(key * 2 + 1, bytes, at, end));
      return key;
    }
  } else if (field === 0x18) {
    if (first < 0x80 && at === end) {
      if (isKept) attributes.add(key, ValueType.Int, first);
      return key;
    }
    if (wire.varint(at - 1, end) === end) {
      if (isKept) addInt(table, key, wire);
      return key;
    }
  } else if (field === 0x10) {
    if (first < 0x80 && at === end) {
      if (isKept) attributes.add(key, ValueType.Bool, first === 0 ? 0 : 1);
      return key;
    }
  } else if (field === 0x21 && length === 9) {
    if (isKept) attributes.add(key, ValueType.Double, wire.view.getFloat64(at - 1, true));
    return key;
  }
  return appendSlowly(table, wire, start, end);
}

/** Reads all KeyValue messages of one kind of field (`attributesTag`) of the message from `start` to `end`. */
export function readAttributes(
  wire: Wire,
  start: number,
  end: number,
  attributesTag: number,
): Attributes | undefined {
  const attributes = new Map<string, AnyValue>();
  let at = start;
  while (at < end) {
    at = wire.tag(at, end);
    if (at === broken) return undefined;
    if (wire.low === attributesTag) {
      at = wire.length(at, end);
      if (at === broken || !readKeyValue(wire, at, wire.next, attributes, 1)) return undefined;
      at = wire.next;
    } else {
      at = wire.skip(wire.low, at, end);
      if (at === broken) return undefined;
    }
  }
  return attributes;
}

/**
 * Reads the AnyValue message from `start` to `end` on top of what came `before` (the same field may come twice, and is
 * merged); undefined if it is broken. An attribute's value has depth 1; what is deeper than `valueDepthMax` becomes "…",
 * so the recursion is bounded.
 */
export function readValue(
  wire: Wire,
  start: number,
  end: number,
  before: AnyValue,
  depth: number,
): AnyValue | undefined {
  if (depth > valueDepthMax) {
    wire.next = end;
    return tooDeep;
  }
  let value = before;
  let at = start;
  while (at < end) {
    at = wire.tag(at, end);
    if (at === broken) return undefined;
    value = readVariant(wire, wire.low, at, end, value, depth) ?? value;
    at = wire.next;
    if (at === broken) return undefined;
  }
  wire.next = end;
  return value;
}

/**
 * Calls `visit` for each field of a message, with where its content starts and ends; a varint is in `wire` then. False if
 * the message is broken or `visit` says so. Not for the hot path.
 */
export function eachField(
  wire: Wire,
  start: number,
  end: number,
  visit: (tag: number, start: number, end: number) => boolean,
): boolean {
  let at = start;
  while (at < end) {
    at = wire.tag(at, end);
    if (at === broken) return false;
    const tag = wire.low;
    const isLengthDelimited = (tag & 7) === 2;
    if (isLengthDelimited) at = wire.length(at, end);
    const contentStart = at;
    const contentEnd = isLengthDelimited ? wire.next : wire.skip(tag, at, end);
    if (at === broken || contentEnd === broken || !visit(tag, contentStart, contentEnd)) return false;
    at = contentEnd;
  }
  return true;
}

/** The attributes of field 1, a Resource, wherever it is in its envelope; undefined if the envelope is broken. */
export function readResource(wire: Wire, start: number, end: number): Attributes | undefined {
  const resource = new Map<string, AnyValue>();
  const isWhole = eachField(wire, start, end, (tag, at, next) => {
    if (tag !== 0x0a) return true;
    const attributes = readAttributes(wire, at, next, 0x0a);
    if (attributes === undefined) return false;
    for (const [key, value] of attributes) resource.set(key, value);
    return true;
  });
  return isWhole ? resource : undefined;
}

/** A fixed64 as nanoseconds. */
export function nanosAt(wire: Wire, at: number): UnixNanos {
  return wire.view.getBigUint64(at, true) as UnixNanos;
}

/** The text of a string field. Ill-formed bytes become U+FFFD. */
export function textAt(wire: Wire, start: number, end: number): string {
  return utf8.decode(wire.bytes.subarray(start, end));
}

/** The varint that was read last as an unsigned number; beyond 2^53 it loses its last digits. */
export function uint64Of(wire: Wire): number {
  return wire.high * 0x100000000 + wire.low;
}

/** The varint that was read last as an int64. */
function int64Of(wire: Wire): bigint {
  return BigInt.asIntN(64, (BigInt(wire.high) << 32n) | BigInt(wire.low));
}

/**
 * One field of an AnyValue after its tag; undefined if it says nothing (an unknown field, or an index into a string table
 * that trace data does not have). Leaves in `wire.next` where the field ends, or `broken`.
 */
function readVariant(
  wire: Wire,
  tag: number,
  start: number,
  end: number,
  before: AnyValue,
  depth: number,
): AnyValue | undefined {
  switch (tag) {
    case 0x10:
      wire.next = wire.varint(start, end);
      return wire.low !== 0 || wire.high !== 0;
    case 0x18:
      wire.next = wire.varint(start, end);
      return int64Of(wire);
    case 0x21:
      wire.next = wire.skip(tag, start, end);
      return wire.next === broken ? undefined : wire.view.getFloat64(start, true);
    case 0x0a:
    case 0x2a:
    case 0x32:
    case 0x3a: {
      const at = wire.length(start, end);
      if (at !== broken) return readLengthDelimited(wire, tag, at, wire.next, before, depth);
      wire.next = broken;
      return undefined;
    }
    default:
      if (tag === valueStringIndexTag) wire.stringIndices += 1;
      wire.next = wire.skip(tag, start, end);
      return undefined;
  }
}

function readLengthDelimited(
  wire: Wire,
  tag: number,
  start: number,
  end: number,
  before: AnyValue,
  depth: number,
): AnyValue {
  if (tag === 0x0a) return textAt(wire, start, end);
  if (tag === 0x3a) return wire.bytes.slice(start, end);
  if (tag === 0x2a) {
    const values: AnyValue[] = Array.isArray(before) ? before : [];
    readElements(wire, start, end, values, depth + 1);
    return values;
  }
  const entries: Map<string, AnyValue> = before instanceof Map ? before : new Map<string, AnyValue>();
  readEntries(wire, start, end, entries, depth + 1);
  return entries;
}

function readElements(wire: Wire, start: number, end: number, values: AnyValue[], depth: number): void {
  let at = start;
  while (at < end) {
    at = wire.tag(at, end);
    if (at !== broken && wire.low === 0x0a) {
      at = wire.length(at, end);
      if (at !== broken) {
        const value = readValue(wire, at, wire.next, null, depth);
        if (value !== undefined) values.push(value);
        at = value === undefined ? broken : wire.next;
      }
    } else if (at !== broken) at = wire.skip(wire.low, at, end);
    if (at === broken) break;
  }
  wire.next = at;
}

function readEntries(
  wire: Wire,
  start: number,
  end: number,
  entries: Map<string, AnyValue>,
  depth: number,
): void {
  let at = start;
  while (at < end) {
    at = wire.tag(at, end);
    if (at !== broken && wire.low === 0x0a) {
      at = wire.length(at, end);
      if (at !== broken) at = readKeyValue(wire, at, wire.next, entries, depth) ? wire.next : broken;
    } else if (at !== broken) at = wire.skip(wire.low, at, end);
    if (at === broken) break;
  }
  wire.next = at;
}

/** Adds one KeyValue message to `entries`; leaves its end in `wire.next`. False if it is broken. */
function readKeyValue(
  wire: Wire,
  start: number,
  end: number,
  entries: Map<string, AnyValue>,
  depth: number,
): boolean {
  let key = "";
  let value: AnyValue = null;
  let at = start;
  while (at < end) {
    at = wire.tag(at, end);
    if (at === broken) return false;
    if (wire.low === 0x0a || wire.low === 0x12) {
      const isKey = wire.low === 0x0a;
      at = wire.length(at, end);
      if (at === broken) return false;
      const fieldEnd = wire.next;
      if (isKey) key = textAt(wire, at, fieldEnd);
      else {
        const merged = readValue(wire, at, fieldEnd, value, depth);
        if (merged === undefined) return false;
        value = merged;
      }
      at = fieldEnd;
    } else {
      if (wire.low === keyStringIndexTag) wire.stringIndices += 1;
      at = wire.skip(wire.low, at, end);
      if (at === broken) return false;
    }
  }
  entries.set(key, value);
  wire.next = end;
  return true;
}

/** As `appendAttribute` for every shape of a KeyValue. A text stays bytes, so that nothing is lost. */
function appendSlowly(table: SpanTable, wire: Wire, start: number, end: number): number {
  const { strings, attributes } = table;
  let key = 0;
  let value: AnyValue = null;
  let textStart = -1;
  let textEnd = -1;
  let at = start;
  while (at < end) {
    at = wire.tag(at, end);
    if (at === broken) return broken;
    const tag = wire.low;
    if (tag !== 0x0a && tag !== 0x12) {
      if (tag === keyStringIndexTag) wire.stringIndices += 1;
      at = wire.skip(tag, at, end);
      if (at === broken) return broken;
      continue;
    }
    at = wire.length(at, end);
    if (at === broken) return broken;
    const fieldEnd = wire.next;
    if (tag === 0x0a) key = strings.internBytes(wire.bytes, at, fieldEnd);
    else
      while (at < fieldEnd) {
        at = wire.tag(at, fieldEnd);
        if (at === broken) return broken;
        if (wire.low === 0x0a) {
          textStart = wire.length(at, fieldEnd);
          if (textStart === broken) return broken;
          textEnd = wire.next;
        } else {
          const variant = readVariant(wire, wire.low, at, fieldEnd, textStart < 0 ? value : null, 1);
          if (variant !== undefined) {
            value = variant;
            textStart = -1;
          }
        }
        at = wire.next;
        if (at === broken) return broken;
      }
    at = fieldEnd;
  }
  if (!attributes.keeps(key)) return key;
  if (textStart < 0) attributes.addValue(key, value);
  else attributes.add(key, ValueType.String, strings.internBytes(wire.bytes, textStart, textEnd));
  return key;
}

/** Adds the varint that was read last, as an int64. */
function addInt(table: SpanTable, key: number, wire: Wire): void {
  const high = wire.high | 0;
  if (high >= -exactHigh && high < exactHigh)
    table.attributes.add(key, ValueType.Int, high * 0x100000000 + wire.low);
  else table.attributes.addValue(key, int64Of(wire));
}
