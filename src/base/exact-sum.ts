import type { SnapshotReader, SnapshotWriter } from "./snapshot.ts";

/** A sum of whole numbers, exact whatever its size; fast as long as numbers are small. */
export class ExactSum {
  #small = 0;
  #large = 0n;

  /** The factors are safe integers. */
  addProduct(a: number, b: number, c = 1): void {
    const product = a * b * c;
    if (Math.abs(product) > Number.MAX_SAFE_INTEGER) {
      this.#large += BigInt(a) * BigInt(b) * BigInt(c);
      return;
    }
    const sum = this.#small + product;
    if (Math.abs(sum) <= Number.MAX_SAFE_INTEGER) {
      this.#small = sum;
      return;
    }
    this.#large += BigInt(this.#small);
    this.#small = product;
  }

  addSum(other: ExactSum): void {
    if (other.#large !== 0n) this.#large += other.#large;
    this.addProduct(other.#small, 1);
  }

  get value(): bigint {
    return this.#large + BigInt(this.#small);
  }

  save(out: SnapshotWriter): void {
    out.whole(this.value);
  }

  load(from: SnapshotReader): void {
    const value = from.whole();
    const isSmall = value === BigInt(Number(value)) && Number.isSafeInteger(Number(value));
    if (isSmall) this.#small = Number(value);
    else this.#large = value;
  }
}
