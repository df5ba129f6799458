import { setImmediate as nextTurn } from "node:timers/promises";
import type {
  AttributeFilter,
  Decoded,
  KeptIncident,
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
import { type BlockSource, latestMsOf, SearchProgress, searchBlocks, tracesIn } from "./attribute-search.ts";
import { BodyIndex } from "./body-index.ts";
import { KeptInMemory } from "./kept-traces.ts";
import { SummaryColumns, searchSummaries } from "./summary-columns.ts";
import { type PlainBody, type ReaderLimits, type TracePart, TraceReader } from "./trace-reader.ts";

export interface MemoryStoreLimits extends ReaderLimits {
  /** Bodies with their index; the oldest body goes first. */
  readonly bytesMax: number;
  /** Distinct traces; above it the oldest bodies go until enough traces are gone. */
  readonly tracesMax: number;
  /** Traces that stay when their bodies go; those that were kept longest go first. */
  readonly keptBytesMax: number;
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

interface KeptBody extends PlainBody {
  /** see `SearchBlock` */
  readonly latestMs: number;
}

/** Of all bodies, one part goes at a time when the process has too little memory. */
const partsGivenBack = 8;

class MemoryStore implements TelemetryStore {
  readonly #limits: MemoryStoreLimits;
  readonly #index = new BodyIndex<KeptBody>();
  readonly #summaries = new SummaryColumns(this.#index.traceIds);
  readonly #kept: KeptInMemory;
  readonly #reader: TraceReader;
  readonly #searches = new SearchProgress();
  #endSequence = 0;
  #bytes = 0;
  #evictedBodies = 0;
  #evictedTraces = 0;

  constructor(limits: MemoryStoreLimits) {
    this.#limits = limits;
    this.#kept = new KeptInMemory(limits.keptBytesMax);
    this.#reader = new TraceReader(limits, this.#kept);
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
    for (const traceId of traceIds) await this.#kept.put(traceId, await this.readTrace(traceId));
  }

  // What an earlier process knew is gone, as all that this one knows will be.
  keptIncidents(): readonly KeptIncident[] {
    return [];
  }

  keepIncident(): Promise<void> {
    return Promise.resolve();
  }

  forgetIncident(): Promise<void> {
    return Promise.resolve();
  }

  putSummary(summary: TraceSummary): Promise<void> {
    const entry = this.#index.traceIds.find(wordsOfHex(summary.traceId), 0);
    if (entry >= 0) this.#summaries.put(entry, summary);
    return Promise.resolve();
  }

  async search(query: TraceQuery): Promise<TracePage> {
    const { attributes = [] } = query;
    if (attributes.length === 0) return searchSummaries(query, [this.#summaries]);
    const read = this.#summaries.reader(query);
    return searchBlocks(query, {
      sources: Array.from(this.#index.bodies(), ({ source }) => this.#blockOf(source, attributes)),
      summaryOf: (traceId) => Promise.resolve(read(this.#index.traceIds.find(wordsOfHex(traceId), 0))),
      monotonicMs: () => performance.now(),
      progress: this.#searches,
    });
  }

  #blockOf(body: KeptBody, sought: readonly AttributeFilter[]): BlockSource {
    const { latestMs } = body;
    const read = async (): Promise<readonly TraceId[]> => {
      await nextTurn();
      return tracesIn(body, sought);
    };
    const block = { latestMs, read };
    return { latestMs, open: () => Promise.resolve([block]) };
  }

  async *restore(): AsyncGenerator<never> {
    // What an earlier process had is gone.
  }

  giveBack(all: boolean): void {
    this.#reader.giveBack();
    if (!all) return;
    this.#kept.giveBack();
    const bytesMax = this.#bytes - this.#bytes / partsGivenBack;
    while (this.#bytes > bytesMax && this.#index.size > 1) this.#evictOldest();
  }

  stats(): StoreStats {
    const kept = this.#kept;
    return {
      bodies: this.#index.size,
      bytes: this.#bytes,
      traces: this.#index.traceIds.size,
      evictedBodies: this.#evictedBodies,
      evictedTraces: this.#evictedTraces,
      keptTraces: kept.size,
      keptBytes: kept.bytes,
      evictedKeptTraces: kept.evicted,
      evictedIncidents: 0,
      lostFiles: 0,
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
    this.#reader.forgetDecoded();
    return Promise.resolve();
  }

  #parts(traceId: TraceId): readonly TracePart[] {
    return this.#index.find(wordsOfHex(traceId)).map((rows) => {
      const { sequence, source } = rows.body;
      return { sequence, rows, isCostly: false, read: () => source };
    });
  }

  #keep({ encoding, body: received }: ReceivedBody, table: SpanTable): void {
    const plain = { encoding, body: ownBytes(received), latestMs: latestMsOf(table) };
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
