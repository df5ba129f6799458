import { grow } from "../base/grow.ts";
import { TraceIdTable } from "../engine/trace-id-table.ts";
import type { SpanTable } from "../model/span-table.ts";

/** A body of spans and which of its rows belong to which trace. */
export interface IndexedBody<Source> {
  /** grows with every body */
  readonly sequence: number;
  /** where its bytes are */
  readonly source: Source;
  /** bytes of memory that this takes, roughly, without the body itself */
  readonly indexBytes: number;
  /** the traces that it holds, as entries of the trace table, and the first row of each */
  readonly traces: Uint32Array;
  readonly firstRows: Uint32Array;
  /** row -> the next row of the same trace, -1 = none */
  readonly nextRow: Int32Array;
  /** by trace, 1 = it was read for the analysis */
  readonly isRead: Uint8Array;
  unreadTraces: number;
}

/** A body that holds a trace, and the trace's place among all those of the body. */
export interface BodyOfTrace<Source> {
  readonly body: IndexedBody<Source>;
  readonly place: number;
}

/** Rough size of what is held for a body and for one of its traces. */
const bodyOverhead = 400;
const traceOverhead = 101;
const none = 0xffffffff;

/**
 * Which bodies hold which traces: a queue of bodies, and for each trace id the list of the bodies that hold it. Nothing is kept
 * for a single span but four bytes that chain it to the next one of its trace in the same body.
 */
export class BodyIndex<Source> {
  readonly traceIds = new TraceIdTable();
  readonly #bodies = new Map<number, IndexedBody<Source>>();
  readonly #postings = new Postings();
  // Columns by trace entry.
  #firstPosting = new Uint32Array(256);
  #lastPosting = new Uint32Array(256);
  /** where the body that is being added last had a row of the trace */
  #lastSequence = new Float64Array(256);
  #lastRow = new Uint32Array(256);

  /** Bodies. */
  get size(): number {
    return this.#bodies.size;
  }

  /** Files each row of a table under its trace. `sequence` is larger than that of any body before. */
  add(sequence: number, source: Source, { traceId, rowCount }: SpanTable): IndexedBody<Source> {
    const nextRow = new Int32Array(rowCount).fill(-1);
    const traces: number[] = [];
    const firstRows: number[] = [];
    for (let row = 0; row < rowCount; row += 1) {
      const sizeBefore = this.traceIds.size;
      const entry = this.traceIds.add(traceId, row * 4);
      if (this.traceIds.size > sizeBefore) this.#openTrace(entry);
      if (this.#lastSequence[entry] === sequence) nextRow[this.#lastRow[entry] as number] = row;
      else {
        this.#lastSequence[entry] = sequence;
        this.#appendPosting(entry, sequence, traces.length);
        traces.push(entry);
        firstRows.push(row);
      }
      this.#lastRow[entry] = row;
    }
    const body = {
      sequence,
      source,
      indexBytes: bodyOverhead + rowCount * 4 + traces.length * traceOverhead,
      traces: Uint32Array.from(traces),
      firstRows: Uint32Array.from(firstRows),
      nextRow,
      isRead: new Uint8Array(traces.length),
      unreadTraces: traces.length,
    };
    this.#bodies.set(sequence, body);
    return body;
  }

  /** The bodies that hold a trace (its id in four words), oldest first. */
  find(words: ArrayLike<number>): readonly BodyOfTrace<Source>[] {
    const entry = this.traceIds.find(words, 0);
    if (entry < 0) return [];
    const found: BodyOfTrace<Source>[] = [];
    for (let at = this.#firstPosting[entry] as number; at !== none; at = this.#postings.next(at)) {
      const body = this.#bodies.get(this.#postings.sequence(at));
      if (body !== undefined) found.push({ body, place: this.#postings.position(at) });
    }
    return found;
  }

  /** The newest body that holds a trace. */
  newest(words: ArrayLike<number>): IndexedBody<Source> | undefined {
    const entry = this.traceIds.find(words, 0);
    if (entry < 0) return undefined;
    return this.#bodies.get(this.#postings.sequence(this.#lastPosting[entry] as number));
  }

  /** All of them, oldest first. */
  bodies(): Iterable<IndexedBody<Source>> {
    return this.#bodies.values();
  }

  oldest(): IndexedBody<Source> | undefined {
    const [first] = this.#bodies.values();
    return first;
  }

  /** Forgets the oldest body; called back with the entry of each trace that was nowhere else, before its number is given away. */
  removeOldest(onGone: (entry: number) => void): IndexedBody<Source> | undefined {
    const body = this.oldest();
    if (body === undefined) return undefined;
    this.#bodies.delete(body.sequence);
    for (const entry of body.traces) {
      // Bodies are filed in order, so the first posting of each of its traces is the one that goes.
      const posting = this.#firstPosting[entry] as number;
      const next = this.#postings.next(posting);
      this.#postings.free(posting);
      this.#firstPosting[entry] = next;
      if (next !== none) continue;
      onGone(entry);
      this.traceIds.remove(entry);
    }
    return body;
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
