import { grow } from "../base/grow.ts";
import { decodeUtf8, encodeUtf8, isWellFormedUtf8 } from "../base/utf8.ts";

/**
 * Distinct byte strings of one span table, numbered from 0 (the empty string). Bytes are compared, never decoded, on the
 * way in; a JavaScript string is made once, when somebody asks for it. Ill-formed UTF-8 is kept as bytes, read as U+FFFD
 * and counted.
 */
export class StringDictionary {
  #arena = new Uint8Array(4096);
  #arenaUsed = 0;
  #starts = new Uint32Array(256);
  #ends = new Uint32Array(256);
  #hashes = new Uint32Array(256);
  /** Open addressing: id + 1, 0 = free. Always a power of two, at most half full. */
  #slots = new Uint32Array(512);
  #size = 1;
  #texts: (string | undefined)[] = [""];
  #illFormedCount = 0;

  /** How many distinct strings there are, the empty one included. */
  get size(): number {
    return this.#size;
  }

  /** How many distinct strings were not well-formed UTF-8. */
  get illFormedCount(): number {
    return this.#illFormedCount;
  }

  /** Bytes held, for memory budgets. */
  get byteLength(): number {
    return this.#arena.length + this.#slots.byteLength + this.#hashes.byteLength * 3 + this.#size * 16;
  }

  get(id: number): string {
    const known = this.#texts[id];
    if (known !== undefined) return known;
    const text = readText(this.#arena, this.#starts[id] as number, this.#ends[id] as number);
    this.#texts[id] = text;
    return text;
  }

  /** The id of a string, interned if it is new. */
  intern(text: string): number {
    if (text.length === 0) return 0;
    const bytes = encodeUtf8(text);
    return this.internBytes(bytes, 0, bytes.length);
  }

  /** The id of the bytes from `start` to `end`, copied if they are new. */
  internBytes(bytes: Uint8Array, start: number, end: number): number {
    if (start === end) return 0;
    const hash = hashBytes(bytes, start, end);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = this.#slots[slot] as number;
      if (entry === 0) break;
      const id = entry - 1;
      if (this.#hashes[id] === hash && this.#equals(id, bytes, start, end)) return id;
      slot = (slot + 1) & mask;
    }
    return this.#add(bytes, start, end, hash, slot);
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const arena = this.#arena;
    let at = this.#starts[id] as number;
    if ((this.#ends[id] as number) - at !== end - start) return false;
    for (let i = start; i < end; i += 1, at += 1) if (arena[at] !== bytes[i]) return false;
    return true;
  }

  #add(bytes: Uint8Array, start: number, end: number, hash: number, slot: number): number {
    const id = this.#size;
    const used = this.#arenaUsed;
    const length = end - start;
    if (used + length > this.#arena.length) this.#arena = grow(this.#arena, used + length);
    if (id >= this.#starts.length) {
      this.#starts = grow(this.#starts, id + 1);
      this.#ends = grow(this.#ends, id + 1);
      this.#hashes = grow(this.#hashes, id + 1);
    }
    const arena = this.#arena;
    for (let i = 0; i < length; i += 1) arena[used + i] = bytes[start + i] as number;
    if (!isWellFormedUtf8(arena, used, used + length)) this.#illFormedCount += 1;
    this.#arenaUsed = used + length;
    this.#starts[id] = used;
    this.#ends[id] = used + length;
    this.#hashes[id] = hash;
    this.#slots[slot] = id + 1;
    this.#texts.push(undefined);
    this.#size = id + 1;
    if (this.#size * 2 > this.#slots.length) this.#rehash();
    return id;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let id = 1; id < this.#size; id += 1) {
      let slot = (this.#hashes[id] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id + 1;
    }
    this.#slots = slots;
  }
}

function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 ^ (end - start);
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function readText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= 64) {
    let text = "";
    for (let i = start; i < end; i += 1) {
      const byte = bytes[i] as number;
      if (byte >= 0x80) return decodeUtf8(bytes, start, end);
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return decodeUtf8(bytes, start, end);
}
