import type { SpanTable } from "../model/span-table.ts";

/** Decoded bodies of spans that are likely to be read again, bounded by bytes; the least recently used goes first. */
export class DecodedCache {
  readonly #bytesMax: number;
  readonly #entries = new Map<number, { readonly table: SpanTable; readonly bytes: number }>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  put(sequence: number, table: SpanTable): void {
    this.remove(sequence);
    const bytes = table.byteLength;
    this.#entries.set(sequence, { table, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.remove(oldest);
    }
  }

  get(sequence: number): SpanTable | undefined {
    const known = this.#entries.get(sequence);
    if (known === undefined) return undefined;
    this.#entries.delete(sequence);
    this.#entries.set(sequence, known);
    return known.table;
  }

  remove(sequence: number): void {
    const known = this.#entries.get(sequence);
    if (known === undefined) return;
    this.#entries.delete(sequence);
    this.#bytes -= known.bytes;
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}
