import { grow } from "../base/grow.ts";
import { decodeUtf8, encodeUtf8, isWellFormedUtf8 } from "../base/utf8.ts";

/** Slots looked at before a string is called crowded out: with an honest hash, half full, 64 in a row never happens. */
const probesMax = 64;
const allTaken = -1;

const noBytes = new Uint8Array(0);
const noView = new DataView(noBytes.buffer);

/** Short ASCII texts are looked up from here, without bytes of their own. */
const scratch = new Uint8Array(256);
const scratchView = new DataView(scratch.buffer);

/**
 * Distinct byte strings of one span table, numbered from 0 (the empty string). Bytes are compared, never decoded, on the
 * way in; a JavaScript string is made once, when somebody asks for it. Ill-formed UTF-8 is kept as bytes, read as U+FFFD
 * and counted.
 */
export class StringDictionary {
  #arena: Uint8Array;
  #arenaView: DataView;
  #arenaUsed = 0;
  #starts: Uint32Array;
  #ends: Uint32Array;
  #hashes: Uint32Array;
  /** Open addressing: id + 1, 0 = free. Always a power of two, at most half full. */
  #slots: Uint32Array;
  /** What came after a context last time: telemetry repeats itself, so the next string is mostly known beforehand. */
  #followers: Uint32Array;
  /** Strings whose slots were all taken: somebody chose them to collide, so a hash with a secret finds them. */
  readonly #crowdedOut = new Map<string, number>();
  #size = 1;
  #texts: (string | undefined)[] = [""];
  #illFormedCount = 0;
  /** The bytes that were read from last, with a view that reads four at a time. */
  #source: Uint8Array = noBytes;
  #sourceView: DataView = noView;
  /** All words of the string that was hashed last, or'ed: shows whether it is ASCII. */
  #seenBits = 0;

  /** `expectedSize` strings, about, fit without growing. */
  constructor(expectedSize = 64) {
    let capacity = 64;
    while (capacity < expectedSize) capacity *= 2;
    this.#arena = new Uint8Array(capacity * 24);
    this.#arenaView = new DataView(this.#arena.buffer);
    this.#starts = new Uint32Array(capacity);
    this.#ends = new Uint32Array(capacity);
    this.#hashes = new Uint32Array(capacity);
    this.#slots = new Uint32Array(capacity * 2);
    this.#followers = new Uint32Array(capacity * 2);
  }

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
    return this.#arena.length + this.#slots.byteLength + this.#starts.byteLength * 5 + this.#size * 16;
  }

  get(id: number): string {
    const known = this.#texts[id];
    if (known !== undefined) return known;
    const text = decodeUtf8(this.#arena, this.#starts[id] as number, this.#ends[id] as number);
    while (this.#texts.length < id) this.#texts.push(undefined);
    this.#texts[id] = text;
    return text;
  }

  /** How many bytes a string has. */
  byteLengthOf(id: number): number {
    return (this.#ends[id] as number) - (this.#starts[id] as number);
  }

  /** Copies the bytes of a string to `at` of `target` (`view` shows the same bytes), where there must be room; answers where they end. */
  copyBytes(id: number, target: Uint8Array, view: DataView, at: number): number {
    const start = this.#starts[id] as number;
    const length = (this.#ends[id] as number) - start;
    if (length > 128) target.set(this.#arena.subarray(start, start + length), at);
    else if (length >= 4) {
      const arena = this.#arenaView;
      const last = length - 4;
      for (let i = 0; i < last; i += 4) view.setInt32(at + i, arena.getInt32(start + i, true), true);
      view.setInt32(at + last, arena.getInt32(start + last, true), true);
    } else for (let i = 0; i < length; i += 1) target[at + i] = this.#arena[start + i] as number;
    return at + length;
  }

  /** The length of string `id` if `bytes` go on with it at `at`, else -1: for decoders that guess what comes next. */
  lengthIfAt(id: number, bytes: Uint8Array, at: number): number {
    const length = (this.#ends[id] as number) - (this.#starts[id] as number);
    if (at + length > bytes.length) return -1;
    if (bytes !== this.#source) this.#readFrom(bytes);
    return this.#equals(id, at, at + length) ? length : -1;
  }

  /** The id of a string, interned if it is new. */
  intern(text: string): number {
    if (text.length === 0) return 0;
    return this.#find(0, this.#readText(text));
  }

  /** The id of a string if it is there, else -1: for asking without leaving anything behind. */
  find(text: string): number {
    if (text.length === 0) return 0;
    const length = this.#readText(text);
    const hash = this.#hash(0, length);
    const slot = this.#slotOf(0, length, hash);
    if (slot !== allTaken) return (this.#slots[slot] as number) - 1;
    return this.#crowdedOut.get(latin1Of(this.#source, 0, length)) ?? -1;
  }

  /** The id of the bytes from `start` to `end`, copied if they are new. */
  internBytes(bytes: Uint8Array, start: number, end: number): number {
    if (start === end) return 0;
    if (bytes !== this.#source) this.#readFrom(bytes);
    return this.#find(start, end);
  }

  /**
   * As `internBytes`, but first tries the string that followed `context` last time: much faster where it mostly is the
   * same again. A context is twice the id of any string, or that plus one.
   */
  internAfter(context: number, bytes: Uint8Array, start: number, end: number): number {
    if (start === end) return 0;
    if (bytes !== this.#source) this.#readFrom(bytes);
    const guess = this.#followers[context] as number;
    if (this.#equals(guess, start, end)) return guess;
    const id = this.#find(start, end);
    this.#followers[context] = id;
    return id;
  }

  /** What `internAfter` tries first, for decoders that need not even look for the end of a string. */
  followerOf(context: number): number {
    return this.#followers[context] as number;
  }

  /** Lets go of the bytes that were read last, so that a table does not hold the body that it came from. */
  release(): void {
    this.#source = noBytes;
    this.#sourceView = noView;
  }

  /** Reads from a text from now on; answers how many bytes it has. */
  #readText(text: string): number {
    const { length } = text;
    if (length > scratch.length || !encodeAscii(text, scratch)) {
      const bytes = encodeUtf8(text);
      this.#readFrom(bytes);
      return bytes.length;
    }
    this.#source = scratch;
    this.#sourceView = scratchView;
    return length;
  }

  #readFrom(bytes: Uint8Array): void {
    this.#source = bytes;
    this.#sourceView = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #find(start: number, end: number): number {
    const hash = this.#hash(start, end);
    const slot = this.#slotOf(start, end, hash);
    if (slot === allTaken) return this.#findCrowdedOut(start, end, hash);
    const entry = this.#slots[slot] as number;
    if (entry !== 0) return entry - 1;
    const id = this.#add(start, end, hash);
    this.#slots[slot] = id + 1;
    if (this.#size * 2 > this.#slots.length) this.#rehash();
    return id;
  }

  /** The slot that holds the string, or the free one where it belongs, or `allTaken`. */
  #slotOf(start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const hashes = this.#hashes;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let probes = 0; probes < probesMax; probes += 1) {
      const entry = slots[slot] as number;
      if (entry === 0) return slot;
      if (hashes[entry - 1] === hash && this.#equals(entry - 1, start, end)) return slot;
      slot = (slot + 1) & mask;
    }
    return allTaken;
  }

  #findCrowdedOut(start: number, end: number, hash: number): number {
    const key = latin1Of(this.#source, start, end);
    const known = this.#crowdedOut.get(key);
    if (known !== undefined) return known;
    const id = this.#add(start, end, hash);
    this.#crowdedOut.set(key, id);
    if (this.#size * 2 > this.#slots.length) this.#rehash();
    return id;
  }

  /** Rotate, xor, multiply over words (the scheme of FxHash), then a finisher that brings the high bits down. */
  #hash(start: number, end: number): number {
    const view = this.#sourceView;
    const length = end - start;
    let hash = length;
    let seen = 0;
    if (length >= 4) {
      const last = end - 4;
      for (let at = start; at < last; at += 4) {
        const word = view.getInt32(at, true);
        seen |= word;
        hash = Math.imul(((hash << 5) | (hash >>> 27)) ^ word, 0x9e3779b1);
      }
      const word = view.getInt32(last, true);
      seen |= word;
      hash = Math.imul(((hash << 5) | (hash >>> 27)) ^ word, 0x9e3779b1);
    } else {
      for (let at = start; at < end; at += 1) {
        const byte = view.getInt8(at);
        seen |= byte;
        hash = Math.imul(((hash << 5) | (hash >>> 27)) ^ byte, 0x9e3779b1);
      }
    }
    this.#seenBits = seen;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    return (hash ^ (hash >>> 13)) >>> 0;
  }

  #equals(id: number, start: number, end: number): boolean {
    const length = end - start;
    const own = this.#starts[id] as number;
    if ((this.#ends[id] as number) - own !== length) return false;
    const arena = this.#arenaView;
    const source = this.#sourceView;
    if (length >= 4) {
      const last = length - 4;
      for (let i = 0; i < last; i += 4)
        if (arena.getInt32(own + i, true) !== source.getInt32(start + i, true)) return false;
      return arena.getInt32(own + last, true) === source.getInt32(start + last, true);
    }
    for (let i = 0; i < length; i += 1)
      if (arena.getInt8(own + i) !== source.getInt8(start + i)) return false;
    return true;
  }

  /** Appends the string without giving it a slot. */
  #add(start: number, end: number, hash: number): number {
    const id = this.#size;
    const length = end - start;
    const used = this.#arenaUsed;
    if (used + length > this.#arena.length || id >= this.#starts.length) this.#grow(used + length);
    this.#copyIn(start, length);
    // A first byte of 0x80 or more shows in every word it is part of; shorter strings are read byte by byte.
    if ((this.#seenBits & 0x80808080) !== 0 && !isWellFormedUtf8(this.#arena, used, used + length))
      this.#illFormedCount += 1;
    this.#arenaUsed = used + length;
    this.#starts[id] = used;
    this.#ends[id] = used + length;
    this.#hashes[id] = hash;
    this.#size = id + 1;
    return id;
  }

  #copyIn(start: number, length: number): void {
    const used = this.#arenaUsed;
    if (length > 128) {
      this.#arena.set(this.#source.subarray(start, start + length), used);
    } else if (length >= 4) {
      const arena = this.#arenaView;
      const source = this.#sourceView;
      const last = length - 4;
      for (let i = 0; i < last; i += 4) arena.setInt32(used + i, source.getInt32(start + i, true), true);
      arena.setInt32(used + last, source.getInt32(start + last, true), true);
    } else {
      for (let i = 0; i < length; i += 1) this.#arena[used + i] = this.#source[start + i] as number;
    }
  }

  #grow(arenaLength: number): void {
    if (arenaLength > this.#arena.length) {
      this.#arena = grow(this.#arena, arenaLength);
      this.#arenaView = new DataView(this.#arena.buffer);
    }
    if (this.#size >= this.#starts.length) {
      const length = this.#size + 1;
      this.#starts = grow(this.#starts, length);
      this.#ends = grow(this.#ends, length);
      this.#hashes = grow(this.#hashes, length);
      this.#followers = grow(this.#followers, this.#starts.length * 2);
    }
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    this.#crowdedOut.clear();
    for (let id = 1; id < this.#size; id += 1) {
      let slot = (this.#hashes[id] as number) & mask;
      let probes = 0;
      for (; slots[slot] !== 0 && probes < probesMax; probes += 1) slot = (slot + 1) & mask;
      if (probes < probesMax) slots[slot] = id + 1;
      else
        this.#crowdedOut.set(latin1Of(this.#arena, this.#starts[id] as number, this.#ends[id] as number), id);
    }
    this.#slots = slots;
  }
}

/** Writes the text to `target` if all of it is ASCII, else false. */
function encodeAscii(text: string, target: Uint8Array): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) return false;
    target[i] = code;
  }
  return true;
}

/** The bytes one by one as characters: a key for a Map, never shown. */
function latin1Of(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i += 1) text += String.fromCharCode(bytes[i] as number);
  return text;
}
