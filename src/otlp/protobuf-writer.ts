import { grow } from "../base/grow.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import type { AnyValue, Attributes } from "../model/attributes.ts";
import { valueDepthMax } from "../model/limits.ts";

/** A buffer that has grown beyond this is not kept for the next message. */
const keptBytesMax = 1 << 20;

/**
 * Writes the protobuf wire format to a buffer that grows. Inner messages are written first and get their length
 * afterwards. One writer serves many messages, one after the other.
 */
export class ProtobufWriter {
  bytes = new Uint8Array(1 << 14);
  view = new DataView(this.bytes.buffer);
  at = 0;

  /** Makes room for `length` more bytes. Whoever writes to `bytes` itself asks first; the methods here do it on their own. */
  reserve(length: number): void {
    if (this.at + length <= this.bytes.length) return;
    this.bytes = grow(this.bytes, this.at + length);
    this.view = new DataView(this.bytes.buffer);
  }

  /** The finished message; the writer starts anew. */
  finish(): Uint8Array {
    const message = this.bytes.slice(0, this.at);
    this.at = 0;
    if (this.bytes.length > keptBytesMax) {
      this.bytes = new Uint8Array(1 << 14);
      this.view = new DataView(this.bytes.buffer);
    }
    return message;
  }

  /** Starts an inner message that is expected to need `width` bytes for its length; give what it answers to `end`. */
  begin(tag: number, width: number): number {
    this.reserve(10);
    this.bytes[this.at] = tag;
    this.at += 1 + width;
    return this.at;
  }

  /** Ends the inner message whose content started at `start`; moves it where the guess of `width` was wrong. */
  end(start: number, width: number): void {
    const length = this.at - start;
    const needed = varintLength(length);
    if (needed !== width) {
      this.reserve(5);
      this.bytes.copyWithin(start + needed - width, start, this.at);
      this.at += needed - width;
    }
    putVarint(this.bytes, start - width, length);
  }

  /** An unsigned number below 2^53. */
  varint(value: number): void {
    this.reserve(10);
    this.at = putVarint(this.bytes, this.at, value);
  }

  /** A field of type uint32, enum or bool, left out where it is 0. */
  uint(tag: number, value: number): void {
    if (value === 0) return;
    this.varint(tag);
    this.varint(value);
  }

  /** An int64 as ten-byte varint where it is negative. */
  int64(value: bigint): void {
    this.reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest >= 0x80n) {
      this.bytes[this.at] = Number(rest & 0x7fn) | 0x80;
      this.at += 1;
      rest >>= 7n;
    }
    this.bytes[this.at] = Number(rest);
    this.at += 1;
  }

  /** A field of type sint32 or an element of such a type: zigzag. */
  sint(tag: number, value: number): void {
    this.uint(tag, ((value << 1) ^ (value >> 31)) >>> 0);
  }

  fixed64(tag: number, value: bigint): void {
    this.reserve(9);
    this.bytes[this.at] = tag;
    this.view.setBigUint64(this.at + 1, BigInt.asUintN(64, value), true);
    this.at += 9;
  }

  double(tag: number, value: number): void {
    this.reserve(9);
    this.bytes[this.at] = tag;
    this.view.setFloat64(this.at + 1, value, true);
    this.at += 9;
  }

  /** A field of type bytes, also where it is empty. */
  bytesField(tag: number, value: Uint8Array): void {
    this.reserve(10 + value.length);
    this.bytes[this.at] = tag;
    this.at = putVarint(this.bytes, this.at + 1, value.length);
    this.bytes.set(value, this.at);
    this.at += value.length;
  }

  /** A field of type string, left out where it is empty. */
  text(tag: number, value: string): void {
    if (value.length > 0) this.bytesField(tag, encodeUtf8(value));
  }

  /** A field of type bytes from hex digits, left out where there are none. */
  hex(tag: number, value: string): void {
    if (value.length === 0) return;
    const bytes = new Uint8Array(value.length >> 1);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = Number.parseInt(value.slice(i * 2, i * 2 + 2), 16);
    this.bytesField(tag, bytes);
  }

  /** A Resource with nothing but attributes. */
  resource(tag: number, attributes: Attributes): void {
    const start = this.begin(tag, 2);
    this.attributes(0x0a, attributes);
    this.end(start, 2);
  }

  attributes(tag: number, attributes: Attributes, depth = 1): void {
    for (const [key, value] of attributes) {
      const start = this.begin(tag, 1);
      this.text(0x0a, key);
      this.value(0x12, value, depth);
      this.end(start, 1);
    }
  }

  /** A field of type AnyValue. What decoders leave of nesting is all that is written; deeper values become "…". */
  value(tag: number, value: AnyValue, depth: number): void {
    const start = this.begin(tag, 1);
    if (depth > valueDepthMax) this.text(0x0a, "…");
    else if (typeof value === "string") this.bytesField(0x0a, encodeUtf8(value));
    else if (typeof value === "boolean") {
      this.varint(0x10);
      this.varint(value ? 1 : 0);
    } else if (typeof value === "bigint") {
      this.varint(0x18);
      this.int64(value);
    } else if (typeof value === "number") this.double(0x21, value);
    else if (value instanceof Uint8Array) this.bytesField(0x3a, value);
    else if (value instanceof Map) this.#list(0x32, value, depth);
    else if (Array.isArray(value)) this.#list(0x2a, value, depth);
    this.end(start, 1);
  }

  #list(tag: number, values: Attributes | readonly AnyValue[], depth: number): void {
    const start = this.begin(tag, 1);
    if (values instanceof Map) this.attributes(0x0a, values, depth + 1);
    else for (const value of values as readonly AnyValue[]) this.value(0x0a, value, depth + 1);
    this.end(start, 1);
  }
}

/** How many bytes a number below 2^53 takes as a varint. */
export function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  if (value < 0x800000000) return 5;
  if (value < 0x40000000000) return 6;
  return value < 0x2000000000000 ? 7 : 8;
}

/** Writes a number below 2^53 as a varint and answers where it ends. */
export function putVarint(bytes: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80000000) {
    bytes[at] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
    at += 1;
  }
  while (rest >= 0x80) {
    bytes[at] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
    at += 1;
  }
  bytes[at] = rest;
  return at + 1;
}
