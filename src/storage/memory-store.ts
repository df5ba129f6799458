import { setImmediate as nextTurn } from "node:timers/promises";
import { grow } from "../base/grow.ts";
import type {
  Decoded,
  ReceivedBody,
  StoreStats,
  TelemetryStore,
  TracePage,
  TraceQuery,
  TraceSummary,
} from "../engine/ports.ts";
import { TraceIdTable } from "../engine/trace-id-table.ts";
import type { AttributeNames } from "../model/attributes.ts";
import { type TraceId, wordsOfHex } from "../model/ids.ts";
import { meaningfulAttributes } from "../model/semconv.ts";
import { SpanTable } from "../model/span-table.ts";
import { decodeSpans, newTableFor } from "../otlp/decode-body.ts";
import { decodeOneTrace } from "../otlp/protobuf-traces.ts";
import type { RowRef } from "../trace/trace.ts";
import { DecodedCache } from "./decoded-cache.ts";
import { KeptTraces } from "./kept-traces.ts";
import { SummaryColumns } from "./summary-columns.ts";

export interface MemoryStoreLimits {
  /** Bodies with their index; the oldest body goes first. */
  readonly bytesMax: number;
  /** Distinct traces; above it the oldest bodies go until enough traces are gone. */
  readonly tracesMax: number;
  /** Decoded bodies kept at hand; the least recently read goes first. */
  readonly decodedBytesMax: number;
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
 * Keeps bodies of spans as received, in memory: a queue of bodies, and for each trace id the list of the bodies that hold
 * it. When full, the oldest body goes; a trace is gone with the last of its bodies. Nothing is kept for a single span but
 * four bytes that chain it to the next one of its trace in the same body. Of metrics and logs nothing is kept: no question
 * reads them back (what metrics say is in the engine's history by then), and each of their bodies would push out spans.
 */
export function createMemoryStore(limits: MemoryStoreLimits = defaultMemoryStoreLimits): TelemetryStore {
  return new MemoryStore(limits);
}

interface Body {
  readonly sequence: number;
  readonly received: ReceivedBody;
  /** bytes that it counts for */
  readonly bytes: number;
  /** the traces that it holds, as entries of the trace table, and the first row of each */
  readonly traces: Uint32Array;
  readonly firstRows: Uint32Array;
  /** row -> the next row of the same trace, -1 = none */
  readonly nextRow: Int32Array;
  /** by trace, 1 = it was read for the analysis */
  readonly isRead: Uint8Array;
  unreadTraces: number;
}

/** Rough size of what is held for a body and for one of its traces besides the bytes themselves. */
const bodyOverhead = 400;
const traceOverhead = 101;
/** Bytes decoded before others get a turn. */
const sliceBytes = 4 * 1024 * 1024;
const none = 0xffffffff;
/** Of the room for decoded bodies, the part of those that wait for their traces to be folded. */
const analysedShare = 0.75;

/** How a trace is read: bodies that are decoded already, and what of attributes is asked for (null = all). */
interface Reading {
  readonly tables: DecodedCache;
  readonly attributes: AttributeNames | null;
}

class MemoryStore implements TelemetryStore {
  readonly #limits: MemoryStoreLimits;
  readonly #bodies = new Map<number, Body>();
  #firstSequence = 0;
  #endSequence = 0;
  #bytes = 0;
  #evictedBodies = 0;
  #evictedTraces = 0;
  /** with the attributes that mean something */
  readonly #tables: DecodedCache;
  /** with all of them: bodies of JSON that were read so */
  readonly #whole: DecodedCache;
  readonly #kept: KeptTraces;
  readonly #traceIds = new TraceIdTable();
  readonly #postings = new Postings();
  readonly #summaries = new SummaryColumns(this.#traceIds);
  // Columns by trace entry.
  #firstPosting = new Uint32Array(256);
  #lastPosting = new Uint32Array(256);
  /** where the body that is being appended last had a row of the trace */
  #lastSequence = new Float64Array(256);
  #lastRow = new Uint32Array(256);

  constructor(limits: MemoryStoreLimits) {
    this.#limits = limits;
    this.#tables = new DecodedCache(limits.decodedBytesMax * analysedShare);
    this.#whole = new DecodedCache(limits.decodedBytesMax * (1 - analysedShare));
    this.#kept = new KeptTraces(limits.keptBytesMax);
  }

  append(received: ReceivedBody, decoded: Decoded): Promise<void> {
    if (decoded.signal === "traces") this.#keep(received, decoded.table);
    return Promise.resolve();
  }

  readTrace(traceId: TraceId): Promise<readonly RowRef[]> {
    return this.#read(traceId, { tables: this.#whole, attributes: null });
  }

  readForAnalysis(traceId: TraceId): Promise<readonly RowRef[]> {
    return this.#read(traceId, { tables: this.#tables, attributes: meaningfulAttributes });
  }

  async keepTraces(traceIds: readonly TraceId[]): Promise<void> {
    for (const traceId of traceIds) this.#kept.put(traceId, await this.readTrace(traceId));
  }

  async #read(traceId: TraceId, reading: Reading): Promise<readonly RowRef[]> {
    const rows = await this.#readBodies(traceId, reading);
    const kept = this.#kept.read(traceId);
    return kept.length > rows.length ? kept : rows;
  }

  async #readBodies(traceId: TraceId, { tables, attributes }: Reading): Promise<readonly RowRef[]> {
    const words = wordsOfHex(traceId);
    const entry = this.#traceIds.find(words, 0);
    if (entry < 0) return [];
    const parts: { readonly body: Body; readonly place: number }[] = [];
    for (let at = this.#firstPosting[entry] as number; at !== none; at = this.#postings.next(at)) {
      const body = this.#bodies.get(this.#postings.sequence(at));
      if (body !== undefined) parts.push({ body, place: this.#postings.position(at) });
    }
    const rows: RowRef[] = [];
    let own: SpanTable | null = null;
    let decodedBytes = 0;
    for (const { body, place } of parts) {
      if (decodedBytes > sliceBytes) {
        await nextTurn();
        decodedBytes = 0;
      }
      const { encoding, body: bytes } = body.received;
      let table = tables.get(body.sequence);
      if (table === undefined) {
        decodedBytes += bytes.length;
        if (encoding === "protobuf") {
          own ??= new SpanTable(8, attributes);
          const first = own.rowCount;
          decodeOneTrace(bytes, own, words);
          for (let row = first; row < own.rowCount; row += 1) rows.push({ table: own, row });
          continue;
        }
        // finding one trace in JSON takes nearly as long as reading all
        table = decodeSpans(encoding, bytes, newTableFor(encoding, bytes, attributes)).table;
        tables.put(body.sequence, table);
      }
      for (let row = body.firstRows[place] as number; row >= 0; row = body.nextRow[row] as number)
        rows.push({ table, row });
      if (tables === this.#tables) this.#noteRead(body, place);
    }
    return rows;
  }

  putSummary(summary: TraceSummary): Promise<void> {
    const entry = this.#traceIds.find(wordsOfHex(summary.traceId), 0);
    if (entry >= 0) this.#summaries.put(entry, summary);
    return Promise.resolve();
  }

  async search(query: TraceQuery): Promise<TracePage> {
    return this.#summaries.search(query);
  }

  stats(): StoreStats {
    return {
      bodies: this.#bodies.size,
      bytes: this.#bytes,
      traces: this.#traceIds.size,
      evictedBodies: this.#evictedBodies,
      evictedTraces: this.#evictedTraces,
      keptTraces: this.#kept.size,
      keptBytes: this.#kept.bytes,
      evictedKeptTraces: this.#kept.evicted,
    };
  }

  close(): Promise<void> {
    this.#tables.clear();
    this.#whole.clear();
    this.#kept.clear();
    return Promise.resolve();
  }

  #keep(received: ReceivedBody, table: SpanTable): void {
    const sequence = this.#endSequence++;
    const body = this.#indexSpans(sequence, { ...received, body: ownBytes(received.body) }, table);
    this.#bodies.set(sequence, body);
    this.#bytes += body.bytes;
    // Spans are read again when their trace is folded.
    this.#tables.put(sequence, table);
    this.#evict();
  }

  /** A body whose traces were all read is hardly asked for again, and decoded spans of a minute ago only slow memory down. */
  #noteRead(body: Body, place: number): void {
    if (body.isRead[place] === 1) return;
    body.isRead[place] = 1;
    body.unreadTraces -= 1;
    if (body.unreadTraces === 0) this.#tables.remove(body.sequence);
  }

  /** Files each row of a table under its trace. */
  #indexSpans(sequence: number, received: ReceivedBody, table: SpanTable): Body {
    const { traceId, rowCount } = table;
    const nextRow = new Int32Array(rowCount).fill(-1);
    const traces: number[] = [];
    const firstRows: number[] = [];
    for (let row = 0; row < rowCount; row += 1) {
      const sizeBefore = this.#traceIds.size;
      const entry = this.#traceIds.add(traceId, row * 4);
      if (this.#traceIds.size > sizeBefore) this.#openTrace(entry);
      if (this.#lastSequence[entry] === sequence) nextRow[this.#lastRow[entry] as number] = row;
      else {
        this.#lastSequence[entry] = sequence;
        this.#appendPosting(entry, sequence, traces.length);
        traces.push(entry);
        firstRows.push(row);
      }
      this.#lastRow[entry] = row;
    }
    return {
      sequence,
      received,
      bytes: received.body.length + bodyOverhead + rowCount * 4 + traces.length * traceOverhead,
      traces: Uint32Array.from(traces),
      firstRows: Uint32Array.from(firstRows),
      nextRow,
      isRead: new Uint8Array(traces.length),
      unreadTraces: traces.length,
    };
  }

  #openTrace(entry: number): void {
    if (entry >= this.#firstPosting.length) {
      this.#firstPosting = grow(this.#firstPosting, entry + 1);
      this.#lastPosting = grow(this.#lastPosting, entry + 1);
      this.#lastSequence = grow(this.#lastSequence, entry + 1);
      this.#lastRow = grow(this.#lastRow, entry + 1);
    }
    this.#firstPosting[entry] = this.#lastPosting[entry] = none;
    this.#lastSequence[entry] = -1;
  }

  #appendPosting(entry: number, sequence: number, position: number): void {
    const posting = this.#postings.add(sequence, position);
    const last = this.#lastPosting[entry] as number;
    if (last === none) this.#firstPosting[entry] = posting;
    else this.#postings.setNext(last, posting);
    this.#lastPosting[entry] = posting;
  }

  /** The newest body always stays: what was just acknowledged is there to be read. */
  #evict(): void {
    const { bytesMax, tracesMax } = this.#limits;
    while ((this.#bytes > bytesMax || this.#traceIds.size > tracesMax) && this.#bodies.size > 1)
      this.#evictOldest();
  }

  #evictOldest(): void {
    const sequence = this.#firstSequence++;
    const body = this.#bodies.get(sequence);
    if (body === undefined) return;
    this.#bodies.delete(sequence);
    this.#tables.remove(sequence);
    this.#whole.remove(sequence);
    this.#bytes -= body.bytes;
    this.#evictedBodies += 1;
    for (const entry of body.traces) {
      // Bodies are filed in order, so the first posting of each of its traces is the one that goes.
      const posting = this.#firstPosting[entry] as number;
      const next = this.#postings.next(posting);
      this.#postings.free(posting);
      this.#firstPosting[entry] = next;
      if (next === none) {
        this.#summaries.remove(entry);
        this.#traceIds.remove(entry);
        this.#evictedTraces += 1;
      }
    }
  }
}

/** A small view into a large shared buffer would keep the whole buffer alive. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength * 1.25 + 1024 < bytes.buffer.byteLength ? Uint8Array.from(bytes) : bytes;
}

/** Lists of places, in columns: each posting names a body, the position of the trace in it, and the next posting. */
class Postings {
  #sequence = new Float64Array(256);
  #position = new Uint32Array(256);
  #next = new Uint32Array(256);
  #end = 0;
  #freed = none;

  add(sequence: number, position: number): number {
    let at = this.#freed;
    if (at === none) {
      at = this.#end++;
      if (at >= this.#sequence.length) {
        this.#sequence = grow(this.#sequence, at + 1);
        this.#position = grow(this.#position, at + 1);
        this.#next = grow(this.#next, at + 1);
      }
    } else this.#freed = this.#next[at] as number;
    this.#sequence[at] = sequence;
    this.#position[at] = position;
    this.#next[at] = none;
    return at;
  }

  sequence(at: number): number {
    return this.#sequence[at] as number;
  }

  position(at: number): number {
    return this.#position[at] as number;
  }

  next(at: number): number {
    return this.#next[at] as number;
  }

  setNext(at: number, next: number): void {
    this.#next[at] = next;
  }

  free(at: number): void {
    this.#next[at] = this.#freed;
    this.#freed = at;
  }
}
