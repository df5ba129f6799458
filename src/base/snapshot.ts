import { assert } from "./assert.ts";
import { grow } from "./grow.ts";
import { Interner } from "./interner.ts";

type NumericArray = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/**
 * What something was at one moment, in as few pieces as it takes: each text once, numbers one after the other, and columns.
 * It shares no memory with what it was taken of, and survives `structuredClone` and `v8.serialize` as it is. What wrote it
 * reads it: it says nothing of its own form, so whoever keeps it must keep which version of the program wrote it.
 */
export interface Snapshot {
  readonly texts: readonly string[];
  readonly numbers: Float64Array;
  readonly columns: readonly NumericArray[];
}

/** Something that can be saved, and loaded into a new one that was made with the same options. */
export interface Saved {
  save(out: SnapshotWriter): void;
  load(from: SnapshotReader): void;
}

export function snapshotOf(saved: Pick<Saved, "save">): Snapshot {
  const out = new SnapshotWriter();
  saved.save(out);
  return out.snapshot();
}

/** `made` = new, and with the same options as the one that the snapshot was taken of. */
export function restored<T extends Pick<Saved, "load">>(made: T, snapshot: Snapshot): T {
  const from = new SnapshotReader(snapshot);
  made.load(from);
  assert(from.isAtEnd, "a snapshot is read to its end");
  return made;
}

/** Takes things down one after the other. */
export class SnapshotWriter {
  readonly #texts = new Interner();
  readonly #columns: NumericArray[] = [];
  #numbers = new Float64Array(64);
  #count = 0;

  snapshot(): Snapshot {
    return {
      texts: [...this.#texts.texts],
      numbers: this.#numbers.slice(0, this.#count),
      columns: this.#columns,
    };
  }

  number(value: number): void {
    if (this.#count === this.#numbers.length) this.#numbers = grow(this.#numbers, this.#count + 1);
    this.#numbers[this.#count] = value;
    this.#count += 1;
  }

  /** Many small ones belong here, few large ones into columns. */
  numbers(values: Float64Array): void {
    this.number(values.length);
    const end = this.#count + values.length;
    if (end > this.#numbers.length) this.#numbers = grow(this.#numbers, end);
    this.#numbers.set(values, this.#count);
    this.#count = end;
  }

  flag(value: boolean): void {
    this.number(value ? 1 : 0);
  }

  text(value: string): void {
    this.number(this.#texts.idOf(value));
  }

  /** Of any size. */
  whole(value: bigint): void {
    const isSmall = value >= 0n && value < wordsEnd;
    this.number(isSmall ? Number(value >> 32n) : -1);
    if (isSmall) this.number(Number(value & 0xffff_ffffn));
    else this.text(String(value));
  }

  /** A copy of what it holds now. */
  column(values: NumericArray): void {
    this.#columns.push(values.slice());
  }

  list<T>(items: readonly T[], write: (item: T) => void): void {
    this.number(items.length);
    for (const item of items) write(item);
  }

  /** In its order. */
  map<Key, Value>(map: ReadonlyMap<Key, Value>, write: (key: Key, value: Value) => void): void {
    this.number(map.size);
    for (const [key, value] of map) write(key, value);
  }

  texts(items: readonly string[]): void {
    this.list(items, (item) => this.text(item));
  }

  /** By text. */
  counts(counts: ReadonlyMap<string, number>): void {
    this.map(counts, (key, count) => {
      this.text(key);
      this.number(count);
    });
  }

  /** By number, a minute for one. */
  numberedCounts(counts: ReadonlyMap<number, number>): void {
    this.map(counts, (key, count) => {
      this.number(key);
      this.number(count);
    });
  }

  optional<T>(value: T | null, write: (value: T) => void): void {
    this.flag(value !== null);
    if (value !== null) write(value);
  }
}

/** Whole numbers below it are two words. */
const wordsEnd = 1n << 64n;

/** Reads things in the order in which they were written. */
export class SnapshotReader {
  readonly #snapshot: Snapshot;
  #number = 0;
  #column = 0;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  get isAtEnd(): boolean {
    const { numbers, columns } = this.#snapshot;
    return this.#number === numbers.length && this.#column === columns.length;
  }

  number(): number {
    const value = this.#snapshot.numbers[this.#number];
    assert(value !== undefined, "a snapshot holds what is read of it");
    this.#number += 1;
    return value;
  }

  numbers(): Float64Array<ArrayBuffer> {
    const start = this.#number + 1;
    this.#number = start + this.number();
    return new Float64Array(this.#snapshot.numbers.subarray(start, this.#number));
  }

  flag(): boolean {
    return this.number() === 1;
  }

  text(): string {
    const text = this.#snapshot.texts[this.number()];
    assert(text !== undefined, "a snapshot holds what is read of it");
    return text;
  }

  whole(): bigint {
    const high = this.number();
    return high < 0 ? BigInt(this.text()) : (BigInt(high) << 32n) | BigInt(this.number());
  }

  /** In memory that the reader may keep. */
  column<T extends NumericArray>(type: new (length: number) => T): T {
    const column = this.#snapshot.columns[this.#column];
    assert(column instanceof type, "a snapshot holds what is read of it");
    this.#column += 1;
    return column;
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: this.number() }, read);
  }

  /** Adds what was written of another map. */
  map<Key, Value>(into: Map<Key, Value>, read: () => readonly [Key, Value]): void {
    for (let left = this.number(); left > 0; left -= 1) into.set(...read());
  }

  texts(): string[] {
    return this.list(() => this.text());
  }

  counts<Key extends string>(into: Map<Key, number>): void {
    this.map(into, () => [this.text() as Key, this.number()]);
  }

  numberedCounts(into: Map<number, number>): void {
    this.map(into, () => [this.number(), this.number()]);
  }

  optional<T>(read: () => T): T | null {
    return this.flag() ? read() : null;
  }
}
