import { grow } from "../base/grow.ts";

/**
 * Numbers trace ids, so that what is known of a trace can lie in columns: no string and no object for each of a million
 * traces. An entry keeps its number until it is removed; then the number is given to a later trace.
 */
export class TraceIdTable {
  /** Open addressing with linear probing: entry + 1, 0 = free. Always a power of two, at most half full. */
  #slots = new Uint32Array(1024);
  /** 4 words an entry */
  #words = new Uint32Array(4 * 256);
  #freed: number[] = [];
  #end = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** One more than the largest entry number there has been: how long a column must be. */
  get end(): number {
    return this.#end;
  }

  /** The entry of the id in `words` from `at` on, or -1. */
  find(words: ArrayLike<number>, at: number): number {
    const slot = this.#slotOf(words, at);
    return (this.#slots[slot] as number) - 1;
  }

  /** The entry of the id, new if there was none: then `size` has grown. */
  add(words: ArrayLike<number>, at: number): number {
    const slot = this.#slotOf(words, at);
    const known = this.#slots[slot] as number;
    if (known !== 0) return known - 1;
    const entry = this.#freed.pop() ?? this.#end++;
    if (entry * 4 >= this.#words.length) this.#words = grow(this.#words, entry * 4 + 4);
    for (let i = 0; i < 4; i += 1) this.#words[entry * 4 + i] = words[at + i] as number;
    this.#slots[slot] = entry + 1;
    this.#size += 1;
    if (this.#size * 2 > this.#slots.length) this.#rehash();
    return entry;
  }

  /** Forgets an entry; entries that were pushed aside by it move back, so that no gravestones pile up. */
  remove(entry: number): void {
    const mask = this.#slots.length - 1;
    let hole = this.#slotOf(this.#words, entry * 4);
    this.#freed.push(entry);
    this.#size -= 1;
    for (let slot = (hole + 1) & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = hashOf(this.#words, ((this.#slots[slot] as number) - 1) * 4) & mask;
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        this.#slots[hole] = this.#slots[slot] as number;
        hole = slot;
      }
    }
    this.#slots[hole] = 0;
  }

  /** The four words of an entry's id. */
  wordsOf(entry: number): Uint32Array {
    return this.#words.subarray(entry * 4, entry * 4 + 4);
  }

  #slotOf(words: ArrayLike<number>, at: number): number {
    const mask = this.#slots.length - 1;
    const a = words[at];
    const b = words[at + 1];
    const c = words[at + 2];
    const d = words[at + 3];
    let slot = hashOf(words, at) & mask;
    for (;;) {
      const entry = this.#slots[slot] as number;
      if (entry === 0) return slot;
      const own = (entry - 1) * 4;
      const known = this.#words;
      if (known[own] === a && known[own + 1] === b && known[own + 2] === c && known[own + 3] === d)
        return slot;
      slot = (slot + 1) & mask;
    }
  }

  #rehash(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length * 2);
    const mask = this.#slots.length - 1;
    for (const entry of old) {
      if (entry === 0) continue;
      let slot = hashOf(this.#words, (entry - 1) * 4) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = entry;
    }
  }
}

/** Mixes all four words: ids may be counters, or equal in half of their bits. */
function hashOf(words: ArrayLike<number>, at: number): number {
  let hash = Math.imul(words[at] as number, 0x9e3779b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + (words[at + 1] as number), 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 13)) + (words[at + 2] as number), 0xc2b2ae35);
  hash = Math.imul((hash ^ (hash >>> 16)) + (words[at + 3] as number), 0x27d4eb2f);
  return (hash ^ (hash >>> 15)) >>> 0;
}
