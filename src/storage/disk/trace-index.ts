import { crc32 } from "node:zlib";
import { filterWordsFor, HashFilter } from "./hash-filter.ts";
import type { LogFile } from "./log-files.ts";

// docs/storage.md describes the file.

/** What of a trace id the index knows: enough to leave out nearly all other traces; who reads the record sees the rest. */
export function traceHash(words: ArrayLike<number>, at: number): number {
  let hash = Math.imul((words[at] as number) ^ 0x9e3779b1, 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 13)) + (words[at + 1] as number), 0xc2b2ae35);
  hash = Math.imul((hash ^ (hash >>> 16)) + (words[at + 2] as number), 0x27d4eb2f);
  hash = Math.imul((hash ^ (hash >>> 15)) + (words[at + 3] as number), 0x165667b1);
  return (hash ^ (hash >>> 14)) >>> 0;
}

/** What there was in a segment when its index was made, or more if more is known to have been lost; its bytes as they were then. */
export interface IndexCounts {
  readonly records: number;
  readonly items: number;
  readonly bytes: number;
}

const magic = 0x31495948; // "HYI1"
const headerBytes = 36;
const blockBytes = 4096;
/** of 8 bytes; the rest of a block is its CRC */
const entriesPerBlock = blockBytes / 8 - 1;
/** Blocks that are read at once. */
const blocksPerRead = 64;

/**
 * The bytes of an index file. Each entry is two words, the offset of a record and the hash of a trace that it holds spans of: as
 * numbers of 64 bits (little-endian) they sort by hash. They are sorted in place.
 */
export function writeTraceIndex(entries: Uint32Array, { records, items, bytes }: IndexCounts): Buffer {
  const count = entries.length / 2;
  new BigUint64Array(entries.buffer, entries.byteOffset, count).sort();
  const blocks = Math.ceil(count / entriesPerBlock);
  const filterWords = filterWordsFor(count);
  const front = new Uint32Array(headerBytes / 4 + blocks + filterWords);
  front.set([magic, count, records, items, bytes, blocks, filterWords]);
  const filter = new HashFilter(front.subarray(headerBytes / 4 + blocks));
  for (let i = 1; i < entries.length; i += 2) filter.add(entries[i] as number);
  const body = new Uint32Array((blocks * blockBytes) / 4);
  for (let block = 0; block < blocks; block += 1) {
    const own = entries.subarray(block * entriesPerBlock * 2, (block + 1) * entriesPerBlock * 2);
    const at = (block * blockBytes) / 4;
    front[headerBytes / 4 + block] = own[1] as number;
    body.set(own, at);
    body[at + entriesPerBlock * 2] = crc32(body.subarray(at, at + entriesPerBlock * 2));
  }
  front[7] = crc32(front.subarray(headerBytes / 4));
  front[8] = crc32(front.subarray(0, 8));
  return Buffer.concat([Buffer.from(front.buffer), Buffer.from(body.buffer)]);
}

/** An index is damaged: it is to be made anew from its segment. */
export class IndexDamage extends Error {}

/**
 * Where in a segment the records are that hold spans of a trace. In memory are a filter, which leaves out nearly all traces that
 * are not there, and the first hash of each block; a lookup that passes reads one block.
 */
export class TraceIndex {
  readonly counts: IndexCounts;
  readonly #file: LogFile;
  readonly #frontBytes: number;
  readonly #entryCount: number;
  readonly #firstHashes: Uint32Array;
  readonly #filter: HashFilter;

  private constructor(file: LogFile, front: Uint32Array) {
    const [, entryCount = 0, records = 0, items = 0, bytes = 0, blocks = 0] = front;
    this.counts = { records, items, bytes };
    this.#file = file;
    this.#entryCount = entryCount;
    this.#frontBytes = front.byteLength;
    this.#firstHashes = front.subarray(headerBytes / 4, headerBytes / 4 + blocks);
    this.#filter = new HashFilter(front.subarray(headerBytes / 4 + blocks));
  }

  /** Throws `IndexDamage`. */
  static async open(file: LogFile): Promise<TraceIndex> {
    const header = wordsOf(await file.read(0, headerBytes));
    const [found, , , , , blocks = 0, filterWords = 0, frontCrc, headerCrc] = header;
    if (found !== magic || crc32(header.subarray(0, 8)) !== headerCrc) throw new IndexDamage();
    const front = wordsOf(await file.read(0, headerBytes + blocks * 4 + filterWords * 4));
    if (crc32(front.subarray(headerBytes / 4)) !== frontCrc) throw new IndexDamage();
    return new TraceIndex(file, front);
  }

  /** Whether the trace may be there; no = it is not. */
  mayHold(hash: number): boolean {
    return this.#filter.mayHold(hash);
  }

  /** Offsets of records, ascending. Throws `IndexDamage`. */
  async find(hash: number): Promise<readonly number[]> {
    if (!this.mayHold(hash)) return [];
    const offsets: number[] = [];
    for (let block = this.#firstBlockOf(hash); block < this.#firstHashes.length; block += 1) {
      if ((this.#firstHashes[block] as number) > hash) break;
      const entries = this.#entriesOf(await this.#read(block, 1), block);
      for (let i = 0; i < entries.length; i += 2)
        if (entries[i + 1] === hash) offsets.push(entries[i] as number);
    }
    return offsets;
  }

  /** Hashes of all entries, some at a time. Throws `IndexDamage`. */
  async *hashes(): AsyncGenerator<readonly number[]> {
    const blocks = this.#firstHashes.length;
    for (let first = 0; first < blocks; first += blocksPerRead) {
      const count = Math.min(blocksPerRead, blocks - first);
      const bytes = await this.#read(first, count);
      const hashes: number[] = [];
      for (let i = 0; i < count; i += 1) {
        const entries = this.#entriesOf(bytes.subarray(i * blockBytes, (i + 1) * blockBytes), first + i);
        for (let at = 1; at < entries.length; at += 2) hashes.push(entries[at] as number);
      }
      yield hashes;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Entries of one hash may begin in the block before the first that begins with it. */
  #firstBlockOf(hash: number): number {
    let [low, high] = [0, this.#firstHashes.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#firstHashes[middle] as number) < hash) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  #read(block: number, count: number): Promise<Buffer> {
    return this.#file.read(this.#frontBytes + block * blockBytes, count * blockBytes);
  }

  /** The entries of a block, by its bytes. */
  #entriesOf(bytes: Buffer, block: number): Uint32Array {
    const words = wordsOf(bytes);
    const end = entriesPerBlock * 2;
    if (words.length * 4 !== blockBytes || crc32(words.subarray(0, end)) !== words[end])
      throw new IndexDamage();
    const count = Math.min(entriesPerBlock, this.#entryCount - block * entriesPerBlock);
    return words.subarray(0, count * 2);
  }
}

function wordsOf(bytes: Buffer): Uint32Array {
  const words = new Uint32Array(bytes.length >>> 2);
  new Uint8Array(words.buffer).set(bytes.subarray(0, words.byteLength));
  return words;
}
