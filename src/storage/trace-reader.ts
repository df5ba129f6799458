import { setImmediate as nextTurn } from "node:timers/promises";
import type { Encoding } from "../engine/ports.ts";
import type { AttributeNames } from "../model/attributes.ts";
import { type TraceId, wordsOfHex } from "../model/ids.ts";
import { meaningfulAttributes } from "../model/semconv.ts";
import { SpanTable } from "../model/span-table.ts";
import { MalformedBodyError } from "../model/telemetry.ts";
import { decodeSpans, newTableFor } from "../otlp/decode-body.ts";
import { decodeOneTrace } from "../otlp/protobuf-traces.ts";
import type { RowRef } from "../trace/trace.ts";
import type { BodyOfTrace } from "./body-index.ts";
import { DecodedCache } from "./decoded-cache.ts";
import type { KeptTraces } from "./kept-traces.ts";

/** One of the bodies that hold a trace. */
export interface TracePart {
  readonly sequence: number;
  /** Its plain bytes; null = they can no longer be read. */
  readonly read: () => PlainBody | Promise<PlainBody | null>;
  /** which of its rows, where that is known */
  readonly rows: BodyOfTrace<unknown> | null;
  /** whether getting at the bytes takes longer than decoding them all: then what was decoded is kept for its other traces */
  readonly isCostly: boolean;
}

export interface PlainBody {
  readonly encoding: Encoding;
  readonly body: Uint8Array;
}

export interface ReaderLimits {
  /** Decoded bodies kept at hand; the least recently read goes first. */
  readonly decodedBytesMax: number;
}

/** Bytes decoded before others get a turn. */
const sliceBytes = 4 * 1024 * 1024;
/** Of the room for decoded bodies, the part of those that wait for their traces to be folded. */
const analysedShare = 0.75;

/** Puts the rows of a trace together from the bodies that hold it, with what was decoded lately at hand. */
export class TraceReader {
  /** with the attributes that mean something */
  readonly #tables: DecodedCache;
  /** with all of them: bodies that were read so and from which one trace cannot be had cheaply */
  readonly #whole: DecodedCache;
  readonly kept: KeptTraces;

  /** `kept` = traces that stay when their bodies go */
  constructor({ decodedBytesMax }: ReaderLimits, kept: KeptTraces) {
    this.#tables = new DecodedCache(decodedBytesMax * analysedShare);
    this.#whole = new DecodedCache(decodedBytesMax * (1 - analysedShare));
    this.kept = kept;
  }

  /** Spans have come in; they are read again when their trace is folded. */
  noteDecoded(sequence: number, table: SpanTable): void {
    this.#tables.put(sequence, table);
  }

  noteGone(sequence: number): void {
    this.#tables.remove(sequence);
    this.#whole.remove(sequence);
  }

  /** All rows of a trace with everything that was sent; `parts` oldest first. */
  readTrace(traceId: TraceId, parts: readonly TracePart[]): Promise<readonly RowRef[]> {
    return this.#read(traceId, parts, { tables: this.#whole, attributes: null });
  }

  /** The same with the attributes that the analysis reads. */
  readForAnalysis(traceId: TraceId, parts: readonly TracePart[]): Promise<readonly RowRef[]> {
    return this.#read(traceId, parts, { tables: this.#tables, attributes: meaningfulAttributes });
  }

  /** Bodies that were decoded for answers go. Those that wait to be folded stay: they would be decoded again at once. */
  giveBack(): void {
    this.#whole.clear();
  }

  forgetDecoded(): void {
    this.#tables.clear();
    this.#whole.clear();
  }

  async #read(traceId: TraceId, parts: readonly TracePart[], reading: Reading): Promise<readonly RowRef[]> {
    const rows = await this.#readParts(traceId, parts, reading);
    if (!this.kept.has(traceId)) return rows;
    const kept = await this.kept.read(traceId);
    return kept.length > rows.length ? kept : rows;
  }

  async #readParts(
    traceId: TraceId,
    parts: readonly TracePart[],
    { tables, attributes }: Reading,
  ): Promise<readonly RowRef[]> {
    const words = wordsOfHex(traceId);
    const isForAnalysis = tables === this.#tables;
    const rows: RowRef[] = [];
    let own: SpanTable | null = null;
    let decodedBytes = 0;
    for (const part of parts) {
      if (decodedBytes > sliceBytes) {
        await nextTurn();
        decodedBytes = 0;
      }
      let table = tables.get(part.sequence);
      if (table === undefined) {
        const read = part.read();
        const plain = read instanceof Promise ? await read : read;
        if (plain === null) continue;
        const { encoding, body } = plain;
        decodedBytes += body.length;
        if (encoding === "protobuf" && !(part.isCostly && isForAnalysis)) {
          own ??= new SpanTable(8, attributes);
          const shared = own;
          const first = shared.rowCount;
          if (!isReadable(() => decodeOneTrace(body, shared, words))) continue;
          for (let row = first; row < shared.rowCount; row += 1) rows.push({ table: shared, row });
          continue;
        }
        // finding one trace in JSON takes nearly as long as reading all
        const whole = newTableFor(encoding, body, attributes);
        if (!isReadable(() => decodeSpans(encoding, body, whole))) continue;
        table = whole;
        tables.put(part.sequence, table);
      }
      if (part.rows === null) pushRowsOf(words, table, rows);
      else pushChain(part.rows, table, rows);
      if (isForAnalysis && part.rows !== null) this.#noteRead(part.rows);
    }
    return rows;
  }

  /** A body whose traces were all read is hardly asked for again, and decoded spans of a minute ago only slow memory down. */
  #noteRead({ body, place }: BodyOfTrace<unknown>): void {
    if (body.isRead[place] === 1) return;
    body.isRead[place] = 1;
    body.unreadTraces -= 1;
    if (body.unreadTraces === 0) this.#tables.remove(body.sequence);
  }
}

/** How a trace is read: bodies that are decoded already, and what of attributes is asked for (null = all). */
interface Reading {
  readonly tables: DecodedCache;
  readonly attributes: AttributeNames | null;
}

/** It was decoded when it came in; what a later version reads less of, or a disk has made of it, must not hide the rest of its traces. */
function isReadable(decode: () => unknown): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    if (error instanceof MalformedBodyError) return false;
    throw error;
  }
}

function pushChain({ body, place }: BodyOfTrace<unknown>, table: SpanTable, rows: RowRef[]): void {
  for (let row = body.firstRows[place] as number; row >= 0; row = body.nextRow[row] as number)
    rows.push({ table, row });
}

function pushRowsOf(words: readonly number[], table: SpanTable, rows: RowRef[]): void {
  const { traceId, rowCount } = table;
  const [a, b, c, d] = words;
  for (let row = 0, at = 0; row < rowCount; row += 1, at += 4)
    if (traceId[at] === a && traceId[at + 1] === b && traceId[at + 2] === c && traceId[at + 3] === d)
      rows.push({ table, row });
}
