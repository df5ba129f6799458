import type { SnapshotReader, SnapshotWriter } from "./snapshot.ts";

/** Numbers texts from 0 in the order in which they were first seen; of more than it has room for, further ones are -1. */
export class Interner {
  readonly texts: string[] = [];
  readonly #ids = new Map<string, number>();
  readonly #capacity: number;

  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity;
  }

  /** -1 = it has none. */
  find(text: string): number {
    return this.#ids.get(text) ?? -1;
  }

  idOf(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    if (this.texts.length >= this.#capacity) return -1;
    this.#ids.set(text, this.texts.length);
    this.texts.push(text);
    return this.texts.length - 1;
  }

  save(out: SnapshotWriter): void {
    out.texts(this.texts);
  }

  load(from: SnapshotReader): void {
    for (const text of from.texts()) this.idOf(text);
  }
}
