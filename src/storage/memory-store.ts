import type {
  Decoded,
  ReceivedBody,
  StoreStats,
  TelemetryStore,
  TracePage,
  TraceQuery,
  TraceSummary,
} from "../engine/ports.ts";
import { type TraceId, wordsOfHex } from "../model/ids.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { RowRef } from "../trace/trace.ts";
import { BodyIndex } from "./body-index.ts";
import { SummaryColumns, searchSummaries } from "./summary-columns.ts";
import { type PlainBody, type ReaderLimits, type TracePart, TraceReader } from "./trace-reader.ts";

export interface MemoryStoreLimits extends ReaderLimits {
  /** Bodies with their index; the oldest body goes first. */
  readonly bytesMax: number;
  /** Distinct traces; above it the oldest bodies go until enough traces are gone. */
  readonly tracesMax: number;
}

export const defaultMemoryStoreLimits: MemoryStoreLimits = {
  bytesMax: 512 * 1024 * 1024,
  tracesMax: 1_000_000,
  decodedBytesMax: 256 * 1024 * 1024,
  keptBytesMax: 32 * 1024 * 1024,
};

/**
 * Keeps bodies of spans as received, in memory. When full, the oldest body goes; a trace is gone with the last of its bodies. Of
 * metrics and logs nothing is kept: no question reads them back (what metrics say is in the engine's history by then), and each
 * of their bodies would push out spans.
 */
export function createMemoryStore(limits: MemoryStoreLimits = defaultMemoryStoreLimits): TelemetryStore {
  return new MemoryStore(limits);
}

/** Of all bodies, one part goes at a time when the process has too little memory. */
const partsGivenBack = 8;

class MemoryStore implements TelemetryStore {
  readonly #limits: MemoryStoreLimits;
  readonly #index = new BodyIndex<PlainBody>();
  readonly #summaries = new SummaryColumns(this.#index.traceIds);
  readonly #reader: TraceReader;
  #endSequence = 0;
  #bytes = 0;
  #evictedBodies = 0;
  #evictedTraces = 0;

  constructor(limits: MemoryStoreLimits) {
    this.#limits = limits;
    this.#reader = new TraceReader(limits);
  }

  append(received: ReceivedBody, decoded: Decoded): Promise<void> {
    if (decoded.signal === "traces") this.#keep(received, decoded.table);
    return Promise.resolve();
  }

  readTrace(traceId: TraceId): Promise<readonly RowRef[]> {
    return this.#reader.readTrace(traceId, this.#parts(traceId));
  }

  readForAnalysis(traceId: TraceId): Promise<readonly RowRef[]> {
    return this.#reader.readForAnalysis(traceId, this.#parts(traceId));
  }

  async keepTraces(traceIds: readonly TraceId[]): Promise<void> {
    for (const traceId of traceIds) this.#reader.kept.put(traceId, await this.readTrace(traceId));
  }

  putSummary(summary: TraceSummary): Promise<void> {
    const entry = this.#index.traceIds.find(wordsOfHex(summary.traceId), 0);
    if (entry >= 0) this.#summaries.put(entry, summary);
    return Promise.resolve();
  }

  async search(query: TraceQuery): Promise<TracePage> {
    return searchSummaries(query, [this.#summaries]);
  }

  async *restore(): AsyncGenerator<never> {
    // What an earlier process had is gone.
  }

  giveBack(all: boolean): void {
    this.#reader.forgetDecoded();
    if (!all) return;
    this.#reader.kept.giveBack();
    const bytesMax = this.#bytes - this.#bytes / partsGivenBack;
    while (this.#bytes > bytesMax && this.#index.size > 1) this.#evictOldest();
  }

  stats(): StoreStats {
    const { kept } = this.#reader;
    return {
      bodies: this.#index.size,
      bytes: this.#bytes,
      traces: this.#index.traceIds.size,
      evictedBodies: this.#evictedBodies,
      evictedTraces: this.#evictedTraces,
      keptTraces: kept.size,
      keptBytes: kept.bytes,
      evictedKeptTraces: kept.evicted,
      lostBodies: 0,
      lostItems: 0,
      lostBytes: 0,
      tornBytes: 0,
      syncs: 0,
      syncMs: 0,
      freeBytes: null,
    };
  }

  close(): Promise<void> {
    this.#reader.clear();
    return Promise.resolve();
  }

  #parts(traceId: TraceId): readonly TracePart[] {
    return this.#index.find(wordsOfHex(traceId)).map((rows) => {
      const { sequence, source } = rows.body;
      return { sequence, rows, isCostly: false, read: () => source };
    });
  }

  #keep({ encoding, body: received }: ReceivedBody, table: SpanTable): void {
    const plain = { encoding, body: ownBytes(received) };
    const body = this.#index.add(this.#endSequence++, plain, table);
    this.#bytes += body.indexBytes + plain.body.length;
    this.#reader.noteDecoded(body.sequence, table);
    this.#evict();
  }

  /** The newest body always stays: what was just acknowledged is there to be read. */
  #evict(): void {
    const { bytesMax, tracesMax } = this.#limits;
    while ((this.#bytes > bytesMax || this.#index.traceIds.size > tracesMax) && this.#index.size > 1)
      this.#evictOldest();
  }

  #evictOldest(): void {
    const body = this.#index.removeOldest((entry) => {
      this.#summaries.remove(entry);
      this.#evictedTraces += 1;
    });
    if (body === undefined) return;
    this.#reader.noteGone(body.sequence);
    this.#bytes -= body.indexBytes + body.source.body.length;
    this.#evictedBodies += 1;
  }
}

/** A small view into a large shared buffer would keep the whole buffer alive. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength * 1.25 + 1024 < bytes.buffer.byteLength ? Uint8Array.from(bytes) : bytes;
}
