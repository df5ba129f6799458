import { grow } from "./grow.ts";
import type { SnapshotReader, SnapshotWriter } from "./snapshot.ts";

/**
 * Numbers pairs of whole numbers from 0 (each 0 to 2^31 - 1) in the order in which they were first seen; of more than it has
 * room for, further ones are 0. Open addressing over columns: a `Map` would need an object for each pair.
 */
export class PairInterner {
  #first = new Int32Array(16);
  #second = new Int32Array(16);
  /** number + 1, 0 = free; at most half full */
  #slots = new Int32Array(32);
  #size = 0;
  readonly #capacity: number;

  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#size;
  }

  idOf(first: number, second: number): number {
    const slot = this.#slotOf(first, second);
    const known = this.#slots[slot] as number;
    if (known !== 0) return known - 1;
    if (this.#size >= this.#capacity) return 0;
    if (this.#size === this.#first.length) {
      this.#first = grow(this.#first, this.#size + 1);
      this.#second = grow(this.#second, this.#size + 1);
    }
    this.#first[this.#size] = first;
    this.#second[this.#size] = second;
    this.#size += 1;
    this.#slots[slot] = this.#size;
    if (this.#size * 2 >= this.#slots.length) this.#rehash();
    return this.#size - 1;
  }

  /** -1 = the pair has no number. */
  find(first: number, second: number): number {
    return (this.#slots[this.#slotOf(first, second)] as number) - 1;
  }

  /** The first of the pair of a number. */
  firstAt(number: number): number {
    return this.#first[number] as number;
  }

  /** And the second one. */
  secondAt(number: number): number {
    return this.#second[number] as number;
  }

  /** All pairs, by number. */
  pairs(): readonly (readonly [first: number, second: number])[] {
    return Array.from(
      { length: this.#size },
      (_, i) => [this.#first[i] as number, this.#second[i] as number] as const,
    );
  }

  save(out: SnapshotWriter): void {
    out.column(this.#first.subarray(0, this.#size));
    out.column(this.#second.subarray(0, this.#size));
  }

  load(from: SnapshotReader): void {
    const [first, second] = [from.column(Int32Array), from.column(Int32Array)];
    for (let i = 0; i < first.length; i += 1) this.idOf(first[i] as number, second[i] as number);
  }

  #slotOf(first: number, second: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = Math.imul(first ^ Math.imul(second, 0x85ebca6b), 0xc2b2ae35);
    slot = (slot ^ (slot >>> 15)) & mask;
    for (;;) {
      const entry = (slots[slot] as number) - 1;
      if (entry < 0 || (this.#first[entry] === first && this.#second[entry] === second)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let i = 0; i < this.#size; i += 1)
      this.#slots[this.#slotOf(this.#first[i] as number, this.#second[i] as number)] = i + 1;
  }
}
