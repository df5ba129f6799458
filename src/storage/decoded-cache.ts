import type { Decoded, ReceivedBody } from "../engine/ports.ts";
import { decodeBody } from "../otlp/decode-body.ts";

/** Decoded bodies that are likely to be read again, bounded by bytes; the least recently used goes first. */
export class DecodedCache {
  readonly #bytesMax: number;
  readonly #entries = new Map<number, { readonly decoded: Decoded; readonly bytes: number }>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  has(sequence: number): boolean {
    return this.#entries.has(sequence);
  }

  put(sequence: number, decoded: Decoded, bodyLength: number): void {
    const bytes = bytesOf(decoded, bodyLength);
    this.#entries.set(sequence, { decoded, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.remove(oldest);
    }
  }

  /** What the body was decoded to, decoded again if need be: the same bytes give the same rows. */
  get(sequence: number, { signal, encoding, body }: ReceivedBody): Decoded {
    const known = this.#entries.get(sequence);
    if (known !== undefined) {
      this.#entries.delete(sequence);
      this.#entries.set(sequence, known);
      return known.decoded;
    }
    const { decoded } = decodeBody(signal, encoding, body);
    this.put(sequence, decoded, body.length);
    return decoded;
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

/** Objects of metric points and log records take about eight times their encoded bytes. */
function bytesOf(decoded: Decoded, bodyLength: number): number {
  return decoded.signal === "traces" ? decoded.table.byteLength : bodyLength * 8;
}
