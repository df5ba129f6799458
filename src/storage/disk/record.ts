import { readSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { Encoding } from "../../engine/ports.ts";
import type { UnixNanos } from "../../model/time.ts";

// docs/storage.md describes this format; a change of it needs a new number in the names of files.

/** What stands in front of a body. */
export interface RecordHead {
  /** of the record within its segment, from 0 */
  readonly number: number;
  /** spans, points or log records in all records before it: what damage has cost can be told by the next whole record */
  readonly itemsBefore: number;
  readonly items: number;
  readonly storedBytes: number;
  readonly plainBytes: number;
  readonly encoding: Encoding;
  readonly isGzip: boolean;
  readonly arrivalTime: UnixNanos;
  /** CRC-32 of the body as it is stored */
  readonly bodyCrc: number;
}

export const headBytes = 44;
const headCrcAt = 40;
const jsonFlag = 1;
const gzipFlag = 2;

/** `mark` = four random bytes that every record of a segment begins with: no sender can make a body that looks like a record. */
export function writeHead(head: RecordHead, mark: number): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes);
  bytes.writeUInt32LE(mark, 0);
  bytes.writeUInt32LE(head.number, 4);
  bytes.writeUInt32LE(head.itemsBefore, 8);
  bytes.writeUInt32LE(head.items, 12);
  bytes.writeUInt32LE(head.storedBytes, 16);
  bytes.writeUInt32LE(head.plainBytes, 20);
  bytes.writeUInt32LE((head.encoding === "json" ? jsonFlag : 0) | (head.isGzip ? gzipFlag : 0), 24);
  bytes.writeBigUInt64LE(head.arrivalTime, 28);
  bytes.writeUInt32LE(head.bodyCrc, 36);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, headCrcAt)), headCrcAt);
  return bytes;
}

/** The head that stands at `at`; null = there is none, or it is damaged. */
export function readHead(bytes: Buffer, at: number, mark: number): RecordHead | null {
  if (at + headBytes > bytes.length || bytes.readUInt32LE(at) !== mark) return null;
  if (crc32(bytes.subarray(at, at + headCrcAt)) !== bytes.readUInt32LE(at + headCrcAt)) return null;
  const flags = bytes.readUInt32LE(at + 24);
  return {
    number: bytes.readUInt32LE(at + 4),
    itemsBefore: bytes.readUInt32LE(at + 8),
    items: bytes.readUInt32LE(at + 12),
    storedBytes: bytes.readUInt32LE(at + 16),
    plainBytes: bytes.readUInt32LE(at + 20),
    encoding: (flags & jsonFlag) === 0 ? "protobuf" : "json",
    isGzip: (flags & gzipFlag) !== 0,
    arrivalTime: bytes.readBigUInt64LE(at + 28) as UnixNanos,
    bodyCrc: bytes.readUInt32LE(at + 36),
  };
}

export function isWhole(head: RecordHead, body: Uint8Array): boolean {
  return body.length === head.storedBytes && crc32(body) === head.bodyCrc;
}

/** A whole record, and where in its segment it begins. */
export interface StoredRecord {
  readonly offset: number;
  readonly head: RecordHead;
  /** as stored; valid until the next record is asked for */
  readonly body: Buffer;
}

/** The whole records in some bytes of a segment, whatever stands between them. */
export function* wholeRecords(bytes: Buffer, mark: number): Generator<StoredRecord> {
  const markBytes = Buffer.alloc(4);
  markBytes.writeUInt32LE(mark);
  for (let at = bytes.indexOf(markBytes); at >= 0; ) {
    const head = readHead(bytes, at, mark);
    const end = head === null ? at : at + headBytes + head.storedBytes;
    const body = head === null ? null : bytes.subarray(at + headBytes, end);
    const isGood = head !== null && body !== null && isWhole(head, body);
    if (isGood) yield { offset: at, head, body };
    at = bytes.indexOf(markBytes, isGood ? end : at + 1);
  }
}

/** What of a segment cannot be read any more. */
export interface Loss {
  readonly records: number;
  /** spans, points or log records in them */
  readonly items: number;
  readonly bytes: number;
  /** bytes of them behind the last whole record; what was cut off there is in no other figure, for it may never have been acknowledged */
  readonly tailBytes: number;
}

export const noLoss: Loss = { records: 0, items: 0, bytes: 0, tailBytes: 0 };

const windowBytes = 1 << 20;

/**
 * Reads the whole records of a segment one after the other, and finds the next one behind damage of any kind: a torn end, flipped
 * bits, zeroed pages. Reads synchronously, about a megabyte at a time.
 */
export class SegmentScanner {
  readonly #fd: number;
  readonly #size: number;
  readonly #markBytes: Buffer;
  readonly #mark: number;
  #window = Buffer.alloc(0);
  #windowAt = 0;
  #at = 0;
  #nextNumber = 0;
  #nextItems = 0;
  #loss = { records: 0, items: 0, bytes: 0, tailBytes: 0 };

  constructor(fd: number, size: number, mark: number) {
    this.#fd = fd;
    this.#size = size;
    this.#mark = mark;
    this.#markBytes = Buffer.alloc(4);
    this.#markBytes.writeUInt32LE(mark);
  }

  /** Complete when there is no next record. */
  get loss(): Loss {
    return this.#loss;
  }
  /** Of all records there were, as far as whole ones tell. */
  get total(): { readonly records: number; readonly items: number } {
    return { records: this.#nextNumber, items: this.#nextItems };
  }

  next(): StoredRecord | null {
    const damageFrom = this.#at;
    let damaged: RecordHead | null = null;
    for (;;) {
      const offset = this.#findHead();
      const head = offset < 0 ? null : readHead(this.#bytes(offset, headBytes), 0, this.#mark);
      if (head === null) {
        this.#noteTail(damageFrom, damaged);
        return null;
      }
      const end = offset + headBytes + head.storedBytes;
      const body = end > this.#size ? null : this.#bytes(offset + headBytes, head.storedBytes);
      if (body !== null && isWhole(head, body)) {
        this.#loss.bytes += offset - damageFrom;
        this.#noteMissing(head.number, head.itemsBefore);
        this.#nextNumber = head.number + 1;
        this.#nextItems = head.itemsBefore + head.items;
        this.#at = end;
        return { offset, head, body };
      }
      // Its head says where the next one should be, but a body that was cut short has the next one inside.
      this.#at = offset + headBytes;
      if (body !== null) damaged = head;
    }
  }

  /** `damaged` = the last record there of which the head is whole and the body has its length */
  #noteTail(from: number, damaged: RecordHead | null): void {
    this.#loss.tailBytes = this.#size - from;
    this.#loss.bytes += this.#size - from;
    this.#at = this.#size;
    if (damaged !== null) this.#noteMissing(damaged.number + 1, damaged.itemsBefore + damaged.items);
  }

  /** The record that comes next has this number and so many items before it. */
  #noteMissing(number: number, itemsBefore: number): void {
    this.#loss.records += Math.max(0, number - this.#nextNumber);
    this.#loss.items += Math.max(0, itemsBefore - this.#nextItems);
    this.#nextNumber = Math.max(number, this.#nextNumber);
    this.#nextItems = Math.max(itemsBefore, this.#nextItems);
  }

  /** The next place where a whole head stands; -1 = none. */
  #findHead(): number {
    let from = this.#at;
    while (from + headBytes <= this.#size) {
      if (readHead(this.#bytes(from, headBytes), 0, this.#mark) !== null) return from;
      const bytes = this.#bytes(from + 1, Math.min(windowBytes, this.#size - from - 1));
      const found = bytes.indexOf(this.#markBytes);
      // The mark may lie across the end of what was looked at.
      from += found >= 0 ? found + 1 : Math.max(1, bytes.length - 2);
    }
    return -1;
  }

  #bytes(offset: number, length: number): Buffer {
    const from = offset - this.#windowAt;
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from, from + length);
    const window = Buffer.allocUnsafe(Math.min(Math.max(length, windowBytes), this.#size - offset));
    let filled = 0;
    while (filled < window.length) {
      const read = readSync(this.#fd, window, filled, window.length - filled, offset + filled);
      if (read === 0) break;
      filled += read;
    }
    this.#window = window.subarray(0, filled);
    this.#windowAt = offset;
    return this.#window.subarray(0, Math.min(length, filled));
  }
}
