import type { TraceId } from "../model/ids.ts";
import { decodeSpans } from "../otlp/decode-body.ts";
import { encodeTraces } from "../otlp/encode-traces.ts";
import type { RowRef } from "../trace/trace.ts";

/** Some traces in full, as OTLP of their own, bounded by bytes; the one that was put longest ago goes first. */
export interface KeptTraces {
  /** traces, and bytes of them as they are kept */
  readonly size: number;
  readonly bytes: number;
  /** Traces that had to go, and those that found no room at all. */
  readonly evicted: number;
  has(traceId: TraceId): boolean;
  /** `rows` = all of the trace; without any it is left as it is. */
  put(traceId: TraceId, rows: readonly RowRef[]): Promise<void>;
  /** None where it is not kept, or can no longer be read. */
  read(traceId: TraceId): Promise<readonly RowRef[]>;
}

/** Kept in memory. */
export class KeptInMemory implements KeptTraces {
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
  get evicted(): number {
    return this.#evicted;
  }

  has(traceId: TraceId): boolean {
    return this.#bodies.has(traceId);
  }

  put(traceId: TraceId, rows: readonly RowRef[]): Promise<void> {
    if (rows.length > 0) this.#put(traceId, encodeTraces(rows));
    return Promise.resolve();
  }

  read(traceId: TraceId): Promise<readonly RowRef[]> {
    const body = this.#bodies.get(traceId);
    return Promise.resolve(body === undefined ? [] : rowsIn(body));
  }

  #put(traceId: TraceId, body: Uint8Array): void {
    this.#remove(traceId);
    this.#bodies.set(traceId, body);
    this.#bytes += body.length;
    for (const oldest of this.#bodies.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#remove(oldest);
      this.#evicted += 1;
    }
  }

  /** The older half goes. */
  giveBack(): void {
    for (const oldest of [...this.#bodies.keys()].slice(0, Math.ceil(this.#bodies.size / 2))) {
      this.#remove(oldest);
      this.#evicted += 1;
    }
  }

  #remove(traceId: TraceId): void {
    this.#bytes -= this.#bodies.get(traceId)?.length ?? 0;
    this.#bodies.delete(traceId);
  }
}

/** The rows of a kept body. */
export function rowsIn(body: Uint8Array): readonly RowRef[] {
  const { table } = decodeSpans("protobuf", body);
  return Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
}
