import { grow } from "./grow.ts";
import type { SnapshotReader, SnapshotWriter } from "./snapshot.ts";

type NumericArray = Uint8Array | Uint32Array | Int32Array | Float64Array;

/** What numbers of a column become in another one; negative ones stay as they are. */
interface Placement {
  /** null = they stay the same */
  readonly places: Int32Array | null;
  readonly shift: number;
}

const noPlacement: Placement = { places: null, shift: 0 };

/** A column of numbers that grows, and from which rows can be taken out. */
export class Column<T extends NumericArray> {
  #values: T;
  #length = 0;

  /** `empty` says what is stored */
  constructor(empty: T) {
    this.#values = empty;
  }

  get length(): number {
    return this.#length;
  }

  at(row: number): number {
    return this.#values[row] as number;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) this.#values = grow(this.#values, this.#length + 1);
    this.#values[this.#length] = value;
    this.#length += 1;
  }

  /** Adds some rows of another column of its kind; of each the number at its place in `places`, where that is given, more `shift`. */
  append(other: Column<T>, rows: Int32Array, { places, shift }: Placement = noPlacement): void {
    const length = this.#length + rows.length;
    if (length > this.#values.length) this.#values = grow(this.#values, length);
    const [from, to, start] = [other.#values, this.#values, this.#length];
    for (let i = 0; i < rows.length; i += 1) {
      const value = from[rows[i] as number] as number;
      const placed = places === null || value < 0 ? value : (places[value] as number);
      to[start + i] = value < 0 ? value : placed + shift;
    }
    this.#length = length;
  }

  /** A view of all rows; rows that are added later are not in it. */
  get values(): T {
    return this.#values.subarray(0, this.#length) as T;
  }

  /** Keeps only some rows, which are in their order. */
  retain(rows: Int32Array): void {
    for (let i = 0; i < rows.length; i += 1) this.#values[i] = this.#values[rows[i] as number] as number;
    this.#length = rows.length;
  }

  /** Puts another number in place of each. */
  replace(by: (value: number) => number): void {
    for (let row = 0; row < this.#length; row += 1) this.#values[row] = by(this.#values[row] as number);
  }

  save(out: SnapshotWriter): void {
    out.column(this.values);
  }

  load(from: SnapshotReader): void {
    this.#values = from.column(this.#values.constructor as new (length: number) => T);
    this.#length = this.#values.length;
  }
}
