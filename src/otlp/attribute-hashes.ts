import type { AttributeFilter } from "../engine/ports.ts";
import { broken, Wire } from "./protobuf-wire.ts";

/** Nobody looks for one of many long texts: they are told apart by reading them. */
const hashedBytesMax = 128;

/** What comes between key and value, so that the text 1 and the number 1 differ. */
const Kind = { Text: 1, Int: 2, Bool: 3, Double: 4, Other: 5 } as const;

/** Stands for an attribute in a form that no encoder writes: whatever is looked for may be there. */
const anything = 0x5bd1e995;

/**
 * Calls `note` with a hash of each attribute of the spans and resources of an export request; equal ones have equal hashes. Reads
 * nothing else, so it takes half of what decoding takes. False = the body is not read to its end, and anything may be in it.
 */
export function eachAttributeHash(body: Uint8Array, note: (hash: number) => void): boolean {
  return new AttributeWalk(body, note).message(0, body.length, Level.Request);
}

/** The hashes of all attributes that may be what is sought; null = it cannot be told by hashes. */
export function hashesOfSought({ key, text }: AttributeFilter): readonly number[] | null {
  // Ill-formed bytes are read as this.
  if (key.includes("\ufffd") || text.includes("\ufffd")) return null;
  const keyBytes = Buffer.from(key);
  const bytes = Buffer.from(text);
  const ofKey = hashOfBytes(keyBytes, 0, keyBytes.length, 0);
  const isLong = bytes.length > hashedBytesMax;
  const other = otherKindsOf(text);
  const hashes = [anything];
  if (!isLong) hashes.push(hashOfBytes(bytes, 0, bytes.length, mixed(ofKey, Kind.Text)));
  if (isLong || other.has("other")) hashes.push(mixed(ofKey, Kind.Other));
  if (other.has("bool")) hashes.push(mixed(mixed(ofKey, Kind.Bool), text === "true" ? 1 : 0));
  if (other.has("int")) hashes.push(hashOfInt(ofKey, BigInt(text)));
  if (other.has("double")) hashes.push(mixed(ofKey, Kind.Double));
  return hashes.map((hash) => hash >>> 0);
}

/** What a value may be of which this is the text, besides that text itself. */
export function otherKindsOf(text: string): ReadonlySet<"int" | "double" | "bool" | "other"> {
  const kinds = new Set<"int" | "double" | "bool" | "other">();
  if (text === "true" || text === "false") kinds.add("bool");
  if (/^(0|-?[1-9]\d{0,18})$/.test(text)) kinds.add("int");
  if (String(Number(text)) === text) kinds.add("double");
  // bytes as hex digits, lists, nothing at all
  if (/^([0-9a-f]{2})*$|^[[{]/.test(text)) kinds.add("other");
  return kinds;
}

function hashOfInt(ofKey: number, value: bigint): number {
  const word = (bits: bigint): number => Number(BigInt.asUintN(32, bits));
  return mixed(mixed(mixed(ofKey, Kind.Int), word(value)), word(value >> 32n));
}

const Level = { Request: 0, ResourceSpans: 1, ScopeSpans: 2, Span: 3, Resource: 4 } as const;

class AttributeWalk {
  readonly #wire: Wire;
  readonly #note: (hash: number) => void;

  constructor(body: Uint8Array, note: (hash: number) => void) {
    this.#wire = new Wire(body);
    this.#note = note;
  }

  /** Messages are four deep, so the recursion is bounded. */
  message(start: number, end: number, level: number): boolean {
    const wire = this.#wire;
    const { bytes } = wire;
    let at = start;
    while (at < end) {
      let tag = bytes[at] as number;
      at += 1;
      if (tag >= 0x80) {
        at = wire.tag(at - 1, end);
        if (at === broken) return false;
        tag = wire.low;
      }
      if ((tag & 7) !== 2) {
        at = wire.skip(tag, at, end);
        if (at === broken) return false;
        continue;
      }
      if (at >= end) return false;
      let length = bytes[at] as number;
      at += 1;
      if (length >= 0x80) {
        at = wire.length(at - 1, end);
        if (at === broken) return false;
        length = wire.next - at;
      }
      const next = at + length;
      if (next > end || !this.#field(tag, at, next, level)) return false;
      at = next;
    }
    return true;
  }

  #field(tag: number, start: number, end: number, level: number): boolean {
    switch (level) {
      case Level.Span:
        if (tag === 0x4a) this.#attribute(start, end);
        return true;
      case Level.Resource:
        if (tag === 0x0a) this.#attribute(start, end);
        return true;
      case Level.Request:
        return tag !== 0x0a || this.message(start, end, Level.ResourceSpans);
      case Level.ResourceSpans:
        if (tag === 0x0a) return this.message(start, end, Level.Resource);
        return tag !== 0x12 || this.message(start, end, Level.ScopeSpans);
      default:
        // A span that is broken is left out when it is read; what it had before that does no harm here.
        if (tag === 0x12 && !this.message(start, end, Level.Span)) this.#note(anything);
        return true;
    }
  }

  /** A KeyValue as every sender writes it: 0a <key length> key 12 <value length> <one field>, and no more. */
  #attribute(start: number, end: number): void {
    const { bytes } = this.#wire;
    const keyEnd = start + 2 + (bytes[start + 1] as number);
    const isPlain =
      keyEnd + 2 <= end &&
      bytes[start] === 0x0a &&
      (bytes[start + 1] as number) < 0x80 &&
      bytes[keyEnd] === 0x12;
    let at = keyEnd + 2;
    let length = isPlain ? (bytes[keyEnd + 1] as number) : 0;
    if (length >= 0x80 && at < end) {
      length = (length & 0x7f) | ((bytes[at] as number) << 7);
      at += 1;
    }
    if (!isPlain || at + length !== end) {
      this.#note(anything);
      return;
    }
    const ofKey = hashOfBytes(bytes, start + 2, keyEnd, 0);
    this.#note(length < 2 ? mixed(ofKey, Kind.Other) : this.#valueHash(ofKey, at, end));
  }

  #valueHash(ofKey: number, start: number, end: number): number {
    const wire = this.#wire;
    const { bytes } = wire;
    const field = bytes[start] as number;
    let at = start + 2;
    let length = bytes[start + 1] as number;
    if (field === 0x0a) {
      if (length >= 0x80 && at < end) {
        length = (length & 0x7f) | ((bytes[at] as number) << 7);
        at += 1;
      }
      if (at + length !== end) return anything;
      return length > hashedBytesMax
        ? mixed(ofKey, Kind.Other)
        : hashOfBytes(bytes, at, end, mixed(ofKey, Kind.Text));
    }
    if (field === 0x18) {
      if (wire.varint(start + 1, end) !== end) return anything;
      return mixed(mixed(mixed(ofKey, Kind.Int), wire.low), wire.high);
    }
    if (field === 0x10) {
      if (wire.varint(start + 1, end) !== end) return anything;
      return mixed(mixed(ofKey, Kind.Bool), (wire.low | wire.high) === 0 ? 0 : 1);
    }
    if (field === 0x21) return end - start === 9 ? mixed(ofKey, Kind.Double) : anything;
    // One field that says something else may be followed by one that does not.
    const isOther = field === 0x2a || field === 0x32 || field === 0x3a;
    return isOther && wire.skip(field, start + 1, end) === end ? mixed(ofKey, Kind.Other) : anything;
  }
}

function mixed(hash: number, word: number): number {
  const mix = Math.imul(hash ^ word ^ (hash >>> 15), 0x2c1b3c6d);
  return Math.imul(mix ^ (mix >>> 12), 0x297a2d39) ^ (mix >>> 15);
}

/** Four bytes at a time. */
function hashOfBytes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    hash = Math.imul(hash ^ word ^ (hash >>> 15), 0x2c1b3c6d);
  }
  for (; at < end; at += 1) hash = Math.imul(hash ^ (bytes[at] as number) ^ (hash >>> 15), 0x2c1b3c6d);
  return mixed(hash, 0);
}
