import type { TraceId } from "../model/ids.ts";
import { decodeSpans } from "../otlp/decode-body.ts";
import { encodeTraces } from "../otlp/encode-traces.ts";
import type { RowRef } from "../trace/trace.ts";

/** Some traces in full, as OTLP of their own, bounded by bytes; the one that was put longest ago goes first. */
export class KeptTraces {
  readonly #bytesMax: number;
  readonly #bodies = new Map<TraceId, Uint8Array>();
  #bytes = 0;
  #evicted = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#bodies.size;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** Traces that had to go, and those that found no room at all. */
  get evicted(): number {
    return this.#evicted;
  }

  /** `rows` = all of the trace; without any it is left as it is. */
  put(traceId: TraceId, rows: readonly RowRef[]): void {
    if (rows.length === 0) return;
    const body = encodeTraces(rows);
    this.#remove(traceId);
    this.#bodies.set(traceId, body);
    this.#bytes += body.length;
    for (const oldest of this.#bodies.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#remove(oldest);
      this.#evicted += 1;
    }
  }

  read(traceId: TraceId): readonly RowRef[] {
    const body = this.#bodies.get(traceId);
    if (body === undefined) return [];
    const { table } = decodeSpans("protobuf", body);
    return Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
  }

  /** The older half goes. */
  giveBack(): void {
    for (const oldest of [...this.#bodies.keys()].slice(0, Math.ceil(this.#bodies.size / 2))) {
      this.#remove(oldest);
      this.#evicted += 1;
    }
  }

  clear(): void {
    this.#bodies.clear();
    this.#bytes = 0;
  }

  #remove(traceId: TraceId): void {
    this.#bytes -= this.#bodies.get(traceId)?.length ?? 0;
    this.#bodies.delete(traceId);
  }
}
