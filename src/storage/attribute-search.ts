import { setImmediate as nextTurn } from "node:timers/promises";
import type { AttributeFilter, TracePage, TraceQuery, TraceSummary } from "../engine/ports.ts";
import { textOf } from "../model/attributes.ts";
import { type TraceId, traceIdFromWords } from "../model/ids.ts";
import type { SpanTable } from "../model/span-table.ts";
import { NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { otherKindsOf } from "../otlp/attribute-hashes.ts";
import { decodeSpans, newTableFor } from "../otlp/decode-body.ts";
import { isBehind, pageOf, parseCursor } from "./summary-columns.ts";
import type { PlainBody } from "./trace-reader.ts";

/** Spans that are looked at together. */
interface SearchBlock {
  /** no trace of these spans is found at a later time, Unix milliseconds */
  readonly latestMs: number;
  /** The traces of which a span has all that is sought; null = it cannot be told yet. */
  read(): Promise<readonly TraceId[] | null>;
}

/** Blocks that are opened together, such as those of a segment. */
export interface BlockSource {
  /** of all of them */
  readonly latestMs: number;
  /** Those in which the sought may be. */
  open(): Promise<readonly SearchBlock[]>;
}

export interface BlockSearch {
  readonly sources: readonly BlockSource[];
  /** what is known of a trace, if that is what else the query asks for; null = it is not, or nothing is */
  readonly summaryOf: (traceId: TraceId) => Promise<TraceSummary | null>;
  readonly monotonicMs: () => number;
  /** of one store */
  readonly progress: SearchProgress;
}

/** A search ends after this long with what it has found: who asked is to have an answer in 200 ms. */
const searchMsMax = 100;
/** Blocks that are read at once: few at first, for what is common is found in the first ones. */
const batchMin = 2;
const batchMax = 8;

/** Times that no clock can mean: a trace that has one is found at the time of its arrival, whenever that was. */
const earliestMs = 946_684_800_000;
const latestEverMs = 9_000_000_000_000;

/**
 * Traces by attributes of their spans, the newest first. Blocks are read in the order of the latest time at which one of their
 * traces may be found: what is not read yet is found no later than the next of them, so all that was found at a later time is
 * in its place. A page that is full ends the search, and so does time: then the cursor goes on where that was.
 *
 *   blocks by latest time   [ read ][ read ][ read ]|[ next ][ … ]
 *   what is found there      -------------------------->           in its place up to here
 *
 * Of a trace id that was used again after more than an hour, only the spans of its last use lie where it is found.
 */
export async function searchBlocks(query: TraceQuery, search: BlockSearch): Promise<TracePage> {
  const { monotonicMs, summaryOf, progress } = search;
  const after = query.cursor === undefined ? null : parseCursor(query.cursor);
  const fromMs = query.from === undefined ? 0 : Number(query.from / BigInt(NANOS_PER_MS));
  const endMs = monotonicMs() + searchMsMax;
  const before = progress.of(query);
  const untilMs =
    before === undefined ? Number.POSITIVE_INFINITY : Number(before.horizon / BigInt(NANOS_PER_MS));
  const blocks = new BlockQueue(search.sources, { fromMs, untilMs });
  const found = [...(before?.found ?? [])];
  const seen = new Set(found.map(({ traceId }) => traceId));
  let count = before?.count ?? 0;
  let horizon: UnixNanos | null = null;
  for (let size = batchMin; ; size = Math.min(batchMax, size * 2)) {
    const batch = await blocks.take(size);
    const results = await Promise.all(batch.map((block) => block.read()));
    const unread = results.indexOf(null);
    for (const traceId of results.flatMap((each) => each ?? [])) {
      if (seen.has(traceId)) continue;
      seen.add(traceId);
      const summary = await summaryOf(traceId);
      // what lies before the cursor was found by the search that is gone on with
      if (summary === null || (before !== undefined && after !== null && !isBehind(summary, after))) continue;
      found.push(summary);
      count += 1;
    }
    if (unread >= 0) {
      // whoever asks again at once leaves others their turn
      await nextTurn();
      horizon = nanosOf(batch[unread]?.latestMs ?? 0);
      break;
    }
    horizon = blocks.latest();
    if (horizon === null) break;
    if (countBehind(found, after, horizon) >= query.limit || monotonicMs() >= endMs) break;
  }
  const page = pageUntil(query, { found, count, horizon: horizon ?? nothingLeft });
  if (page.cursor !== null) {
    const place = parseCursor(page.cursor);
    const rest = found.filter((summary) => isBehind(summary, place));
    progress.keep({ ...query, cursor: page.cursor }, { found: rest, count, horizon: horizon ?? nothingLeft });
  }
  return page;
}

/** How far a search has come. */
interface Progress {
  /** of what was found, what is not answered yet */
  readonly found: readonly TraceSummary[];
  /** how many were found */
  readonly count: number;
  /** what is not read yet is found no later than this */
  readonly horizon: UnixNanos;
}

const nothingLeft = 0n as UnixNanos;

/** Searches that may be gone on with, and traces that are held for each. */
const searchesMax = 32;
const heldMax = 20_000;

/** How far searches have come, by the cursor that goes on with them: else each page would read again what those before it have read. */
export class SearchProgress {
  readonly #known = new Map<string, Progress>();

  of(query: TraceQuery): Progress | undefined {
    return query.cursor === undefined ? undefined : this.#known.get(nameOf(query));
  }

  keep(query: TraceQuery, progress: Progress): void {
    const name = nameOf(query);
    this.#known.delete(name);
    if (progress.found.length <= heldMax) this.#known.set(name, progress);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= searchesMax) break;
      this.#known.delete(oldest);
    }
  }
}

function nameOf({
  service,
  operation,
  status,
  minDurationNanos,
  attributes,
  from,
  to,
  cursor,
}: TraceQuery): string {
  const sought = (attributes ?? []).map(({ key, text }) => [key, text]);
  return JSON.stringify([
    service,
    operation,
    status,
    minDurationNanos,
    sought,
    String(from),
    String(to),
    cursor,
  ]);
}

/** What was found later than the horizon, as one page. */
function pageUntil(query: TraceQuery, { found, count, horizon }: Progress): TracePage {
  const after = query.cursor === undefined ? null : parseCursor(query.cursor);
  const placed = found.filter(({ indexTime }) => indexTime > horizon);
  const behind = placed.filter((summary) => after === null || isBehind(summary, after));
  const page = pageOf(query, [
    { summaries: behind, total: count - found.length + placed.length, later: behind.length },
    { summaries: [], total: 0, later: 0 },
  ]);
  if (horizon === nothingLeft) return page;
  return { ...page, cursor: cursorAt(query, page, horizon), searchedFrom: (horizon + 1n) as UnixNanos };
}

/** Where the next page begins: behind a full one, else where this search came to, or where it began if it did not come so far. */
function cursorAt(query: TraceQuery, { summaries }: TracePage, horizon: UnixNanos): string {
  const last = summaries.at(-1);
  if (last !== undefined && summaries.length >= query.limit) return `${last.indexTime}-${last.traceId}`;
  const here = { indexTime: (horizon + 1n) as UnixNanos, traceId: lastTraceId };
  const isBefore = query.cursor !== undefined && !isBehind(here, parseCursor(query.cursor));
  return isBefore && query.cursor !== undefined ? query.cursor : `${here.indexTime}-${here.traceId}`;
}

/** No id is behind this one: what comes next is found at an earlier time. */
const lastTraceId = "f".repeat(32) as TraceId;

function countBehind(
  found: readonly TraceSummary[],
  after: ReturnType<typeof parseCursor> | null,
  horizon: UnixNanos,
): number {
  let count = 0;
  for (const summary of found)
    if (summary.indexTime > horizon && (after === null || isBehind(summary, after))) count += 1;
  return count;
}

/** Blocks of several sources, the latest first; a source is opened when its first block may have its turn. */
class BlockQueue {
  readonly #closed: BlockSource[];
  readonly #isWanted: (block: { readonly latestMs: number }) => boolean;
  /** the latest last */
  #open: SearchBlock[] = [];

  /** Blocks of which no trace is found at `fromMs` or later are left out, and those that may have one later than `untilMs`. */
  constructor(
    sources: readonly BlockSource[],
    { fromMs, untilMs }: { readonly fromMs: number; readonly untilMs: number },
  ) {
    this.#closed = sources
      .filter(({ latestMs }) => latestMs >= fromMs)
      .sort((a, b) => a.latestMs - b.latestMs);
    this.#isWanted = ({ latestMs }) => latestMs >= fromMs && latestMs <= untilMs;
  }

  async take(count: number): Promise<readonly SearchBlock[]> {
    const taken: SearchBlock[] = [];
    while (taken.length < count) {
      await this.#openDue();
      const next = this.#open.pop();
      if (next === undefined) break;
      taken.push(next);
    }
    await this.#openDue();
    return taken;
  }

  /** No trace of what is left is found later than this; null = nothing is left. */
  latest(): UnixNanos | null {
    const latestMs = Math.max(this.#open.at(-1)?.latestMs ?? 0, this.#closed.at(-1)?.latestMs ?? 0);
    if (this.#open.length === 0 && this.#closed.length === 0) return null;
    return nanosOf(latestMs);
  }

  async #openDue(): Promise<void> {
    for (;;) {
      const next = this.#closed.at(-1);
      if (next === undefined || (this.#open.at(-1)?.latestMs ?? -1) > next.latestMs) return;
      this.#closed.pop();
      const blocks = (await next.open()).filter(this.#isWanted);
      this.#open = [...this.#open, ...blocks].sort((a, b) => a.latestMs - b.latestMs);
    }
  }
}

function nanosOf(ms: number): UnixNanos {
  return (BigInt(Math.ceil(ms)) * BigInt(NANOS_PER_MS)) as UnixNanos;
}

/** No trace with one of these spans is found at a later time than this, Unix milliseconds: it is found at its first start. */
export function latestMsOf({ startTime, rowCount }: SpanTable): number {
  let latestMs = 0;
  for (let row = 0; row < rowCount; row += 1) {
    const ms = ((startTime[row * 2] as number) * 2 ** 32 + (startTime[row * 2 + 1] as number)) / NANOS_PER_MS;
    if (ms < earliestMs || ms > latestEverMs) return latestEverMs;
    if (ms > latestMs) latestMs = ms;
  }
  // what doubles cannot tell apart is less than a millisecond
  return Math.ceil(latestMs) + 1;
}

/** The traces of a body of which a span has all that is sought. Throws `MalformedBodyError`. */
export function tracesIn(
  { encoding, body }: PlainBody,
  sought: readonly AttributeFilter[],
): readonly TraceId[] {
  if (encoding === "protobuf" && !sought.every((each) => mayBeIn(body, each))) return [];
  const keys = new Set(sought.map(({ key }) => key));
  return tracesWith(decodeSpans(encoding, body, newTableFor(encoding, body, keys)).table, sought);
}

/** Most bodies are left out by looking for the bytes: what is decoded takes ten times as long. */
function mayBeIn(body: Uint8Array, { key, text }: AttributeFilter): boolean {
  // ill-formed bytes are read as this
  if (key.includes("\ufffd") || text.includes("\ufffd")) return true;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!bytes.includes(key)) return false;
  return otherKindsOf(text).size > 0 || bytes.includes(text);
}

/** The traces of which a span, or its resource, has all that is sought. `table` = with these attributes at least. */
function tracesWith(table: SpanTable, sought: readonly AttributeFilter[]): readonly TraceId[] {
  const { traceId, rowCount, resource, resources, attributeStart, attributeEnd } = table;
  const byResource = new Map<number, number>();
  const all = 2 ** sought.length - 1;
  const traces = new Set<TraceId>();
  for (let row = 0; row < rowCount; row += 1) {
    const own = resource[row] as number;
    let bits = byResource.get(own);
    if (bits === undefined) {
      const [start, end] = [resources.attributeStart[own] ?? 0, resources.attributeEnd[own] ?? 0];
      bits = bitsOf(table, start, end, sought);
      byResource.set(own, bits);
    }
    if (bits !== all)
      bits |= bitsOf(table, attributeStart[row] as number, attributeEnd[row] as number, sought);
    if (bits !== all) continue;
    const at = row * 4;
    const [a = 0, b = 0, c = 0, d = 0] = traceId.subarray(at, at + 4);
    traces.add(traceIdFromWords(a, b, c, d));
  }
  return [...traces];
}

/** Which of the sought are among some attributes, as bits; where a key comes twice its last value counts. */
function bitsOf(
  { attributes }: SpanTable,
  start: number,
  end: number,
  sought: readonly AttributeFilter[],
): number {
  let bits = 0;
  for (const [place, { key, text }] of sought.entries())
    for (let i = end - 1; i >= start; i -= 1) {
      if (attributes.keyAt(i) !== key) continue;
      if (textOf(attributes.valueAt(i)) === text) bits |= 1 << place;
      break;
    }
  return bits;
}
