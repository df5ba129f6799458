import { crc32 } from "node:zlib";
import type { Encoding } from "../../engine/ports.ts";
import type { SpanTable } from "../../model/span-table.ts";
import { eachAttributeHash } from "../../otlp/attribute-hashes.ts";
import { latestMsOf } from "../attribute-search.ts";

// docs/storage.md describes the file.

/** Records behind each other that have one filter. */
export interface BlockRange {
  readonly start: number;
  readonly end: number;
  /** no trace of these spans is found at a later time, Unix milliseconds */
  readonly latestMs: number;
}

/** What of the attributes of a segment is known without reading it, by block in order. */
export interface AttributeBlocks {
  readonly ranges: readonly BlockRange[];
  /** the words of each filter; none = anything may be there */
  readonly filters: readonly Uint32Array[];
}

/** A block has at least so many spans: small requests share what each would need for itself. */
const itemsPerBlock = 256;
/** Of a span that has two or three attributes that others of its block do not have: one in twenty blocks passes in vain. */
const bitsPerSpan = 15;
const bitsPerHash = 4;

/** A record as blocks are made of it. */
export interface BlockRecord {
  readonly start: number;
  readonly end: number;
  readonly encoding: Encoding;
  /** null = it cannot be read */
  readonly plain: Uint8Array | null;
  readonly table: SpanTable;
}

/** Makes the blocks of a segment as its records come. */
export class BlockBuilder {
  readonly #ranges: BlockRange[] = [];
  readonly #filters: Uint32Array[] = [];
  #hashes = new Uint32Array(4096);
  #length = 0;
  #start = 0;
  #end = 0;
  #items = 0;
  #latestMs = 0;
  #isKnown = true;
  /** hashes that were noted lately: most attributes of a span are those of the one before */
  readonly #recent = new Uint32Array(1024);

  add({ start, end, encoding, plain, table }: BlockRecord): void {
    if (this.#items === 0) this.#begin(start);
    this.#end = end;
    this.#items += table.rowCount;
    this.#latestMs = Math.max(this.#latestMs, latestMsOf(table));
    // To tell what is in JSON it would have to be read once more.
    const isRead = encoding === "protobuf" && plain !== null && eachAttributeHash(plain, this.#note);
    if (!isRead) this.#isKnown = false;
    if (this.#items >= itemsPerBlock) this.#close();
  }

  /** The blocks until now. */
  take(): AttributeBlocks {
    if (this.#items === 0) return { ranges: [...this.#ranges], filters: [...this.#filters] };
    const open = { start: this.#start, end: this.#end, latestMs: this.#latestMs };
    return { ranges: [...this.#ranges, open], filters: [...this.#filters, this.#filter()] };
  }

  #begin(start: number): void {
    this.#start = start;
    this.#latestMs = 0;
    this.#length = 0;
    this.#isKnown = true;
    this.#recent.fill(0);
  }

  #close(): void {
    this.#ranges.push({ start: this.#start, end: this.#end, latestMs: this.#latestMs });
    this.#filters.push(this.#filter());
    this.#items = 0;
  }

  #filter(): Uint32Array {
    if (!this.#isKnown) return new Uint32Array(0);
    const words = new Uint32Array(Math.max(1, Math.ceil((this.#items * bitsPerSpan) / 32)));
    for (let i = 0; i < this.#length; i += 1) addHash(words, this.#hashes[i] as number);
    return words;
  }

  readonly #note = (hash: number): void => {
    const place = hash & 1023;
    if (this.#recent[place] === hash >>> 0) return;
    this.#recent[place] = hash;
    if (this.#length === this.#hashes.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#hashes[this.#length++] = hash;
  };
}

/** Whether a block may hold something of which one of the hashes is; without a filter it always may. */
export function mayHold(words: Uint32Array, hashes: readonly number[]): boolean {
  return words.length === 0 || hashes.some((hash) => hasHash(words, hash));
}

function addHash(words: Uint32Array, hash: number): void {
  const bits = words.length * 32;
  let at = hash;
  for (let i = 0; i < bitsPerHash; i += 1) {
    at = (Math.imul(at ^ (at >>> 16), 0x7feb352d) + hash) >>> 0;
    const bit = Math.floor((at / 2 ** 32) * bits);
    words[bit >>> 5] = (words[bit >>> 5] as number) | (1 << (bit & 31));
  }
}

function hasHash(words: Uint32Array, hash: number): boolean {
  const bits = words.length * 32;
  let at = hash;
  for (let i = 0; i < bitsPerHash; i += 1) {
    at = (Math.imul(at ^ (at >>> 16), 0x7feb352d) + hash) >>> 0;
    const bit = Math.floor((at / 2 ** 32) * bits);
    if (((words[bit >>> 5] as number) & (1 << (bit & 31))) === 0) return false;
  }
  return true;
}

const magic = 0x31415948; // "HYA1"
export const attributeHeaderBytes = 32;
const rangeBytes = 24;

/** The bytes of a file of blocks; `segmentBytes` = of the segment that they are about. */
export function writeAttributeFile({ ranges, filters }: AttributeBlocks, segmentBytes: number): Buffer {
  const wordCount = filters.reduce((sum, { length }) => sum + length, 0);
  const table = Buffer.alloc(ranges.length * rangeBytes);
  const words = new Uint32Array(wordCount);
  let at = 0;
  for (const [i, { start, end, latestMs }] of ranges.entries()) {
    const filter = filters[i] as Uint32Array;
    table.writeDoubleLE(latestMs, i * rangeBytes);
    table.writeUInt32LE(start, i * rangeBytes + 8);
    table.writeUInt32LE(end, i * rangeBytes + 12);
    table.writeUInt32LE(filter.length, i * rangeBytes + 16);
    words.set(filter, at);
    at += filter.length;
  }
  const body = Buffer.from(words.buffer);
  const header = Buffer.alloc(attributeHeaderBytes);
  for (const [i, word] of [
    magic,
    ranges.length,
    wordCount,
    segmentBytes,
    crc32(table),
    crc32(body),
  ].entries())
    header.writeUInt32LE(word, i * 4);
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  return Buffer.concat([header, table, body]);
}

/** What is held in memory of a file of blocks. */
export interface AttributeFileFront {
  readonly segmentBytes: number;
  readonly ranges: readonly BlockRange[];
  /** where the words of each filter begin and, last, where those of all end, counted from the first */
  readonly wordStarts: readonly number[];
  /** where the words begin in the file, and their checksum */
  readonly wordsAt: number;
  readonly wordsCrc: number;
}

/** How long the front is, by its first bytes; null = damaged. */
export function attributeFrontBytes(header: Buffer): number | null {
  if (header.length < attributeHeaderBytes || header.readUInt32LE(0) !== magic) return null;
  if (crc32(header.subarray(0, 28)) !== header.readUInt32LE(28)) return null;
  return attributeHeaderBytes + header.readUInt32LE(4) * rangeBytes;
}

/** `front` = as many bytes as `attributeFrontBytes` said; null = damaged */
export function readAttributeFront(front: Buffer): AttributeFileFront | null {
  const table = front.subarray(attributeHeaderBytes);
  const count = front.readUInt32LE(4);
  if (table.length !== count * rangeBytes || crc32(table) !== front.readUInt32LE(16)) return null;
  const wordStarts = [0];
  const ranges = Array.from({ length: count }, (_, i) => {
    const at = i * rangeBytes;
    wordStarts.push((wordStarts[i] as number) + table.readUInt32LE(at + 16));
    return {
      latestMs: table.readDoubleLE(at),
      start: table.readUInt32LE(at + 8),
      end: table.readUInt32LE(at + 12),
    };
  });
  if (wordStarts[count] !== front.readUInt32LE(8)) return null;
  return {
    segmentBytes: front.readUInt32LE(12),
    ranges,
    wordStarts,
    wordsAt: front.length,
    wordsCrc: front.readUInt32LE(20),
  };
}

/** The filters behind the front; null = damaged */
export function readFilters(
  bytes: Buffer,
  { wordStarts, wordsCrc }: AttributeFileFront,
): readonly Uint32Array[] | null {
  if (bytes.length !== (wordStarts.at(-1) ?? 0) * 4 || crc32(bytes) !== wordsCrc) return null;
  // Words want to begin at whole words of memory.
  const words = new Uint32Array(Uint8Array.from(bytes).buffer);
  return wordStarts.slice(0, -1).map((start, i) => words.subarray(start, wordStarts[i + 1]));
}
