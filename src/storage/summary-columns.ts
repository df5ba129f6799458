import { grow } from "../base/grow.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { TracePage, TraceQuery, TraceSummary } from "../engine/ports.ts";
import type { TraceIdTable } from "../engine/trace-id-table.ts";
import { parseTraceId, type TraceId, traceIdFromWords, wordsOfHex } from "../model/ids.ts";
import { nanosFromWords, type UnixNanos } from "../model/time.ts";
import { TextPool } from "./text-pool.ts";

/** Trace summaries in columns, by the entry numbers of a `TraceIdTable`; searched by reading the columns through. */
export class SummaryColumns {
  readonly #traceIds: TraceIdTable;
  readonly #texts = new TextPool();
  /** 1 = there is a summary */
  #isKnown = new Uint8Array(256);
  /** 2 words */
  #start = new Uint32Array(512);
  /** 2 words: when it is found */
  #found = new Uint32Array(512);
  #duration = new Float64Array(256);
  #spanCount = new Uint32Array(256);
  #errorCount = new Uint32Array(256);
  // Ids of texts.
  #rootService = new Uint32Array(256);
  #rootOperation = new Uint32Array(256);
  /** all services of the trace in one text, see `joinNames` */
  #services = new Uint32Array(256);

  constructor(traceIds: TraceIdTable) {
    this.#traceIds = traceIds;
  }

  put(entry: number, summary: TraceSummary): void {
    if (entry >= this.#isKnown.length) this.#grow(entry + 1);
    this.remove(entry);
    this.#isKnown[entry] = 1;
    this.#start[entry * 2] = Number(summary.startTime >> 32n);
    this.#start[entry * 2 + 1] = Number(summary.startTime & 0xffffffffn);
    this.#found[entry * 2] = Number(summary.indexTime >> 32n);
    this.#found[entry * 2 + 1] = Number(summary.indexTime & 0xffffffffn);
    this.#duration[entry] = summary.durationNanos;
    this.#spanCount[entry] = summary.spanCount;
    this.#errorCount[entry] = summary.errorCount;
    this.#rootService[entry] = this.#texts.hold(summary.rootService);
    this.#rootOperation[entry] = this.#texts.hold(summary.rootOperation);
    this.#services[entry] = this.#texts.hold(joinNames(summary.services));
  }

  remove(entry: number): void {
    if (this.#isKnown[entry] !== 1) return;
    this.#isKnown[entry] = 0;
    for (const column of [this.#rootService, this.#rootOperation, this.#services])
      this.#texts.letGo(column[entry] as number);
  }

  /** The newest first, then by trace id: a page does not move when others are added. */
  search(query: TraceQuery): TracePage {
    const after = query.cursor === undefined ? null : parseCursor(query.cursor);
    const matches = this.#matcher(query);
    const page = new FirstOnes(Math.max(1, query.limit), (a, b) => this.#compare(a, b));
    let total = 0;
    let later = 0;
    for (let entry = 0; entry < this.#traceIds.end; entry += 1) {
      if (this.#isKnown[entry] !== 1 || !matches(entry)) continue;
      total += 1;
      if (after !== null && this.#compareTo(entry, after) <= 0) continue;
      later += 1;
      page.offer(entry);
    }
    const entries = page.take();
    const last = entries.at(-1);
    return {
      summaries: entries.map((entry) => this.#read(entry)),
      total,
      cursor: last === undefined || later <= entries.length ? null : this.#cursorOf(last),
    };
  }

  #matcher(query: TraceQuery): (entry: number) => boolean {
    const { service, status, minDurationNanos = 0, from, to } = query;
    const operation = query.operation === undefined ? -1 : (this.#texts.find(query.operation) ?? -2);
    const withService = service === undefined ? null : this.#texts.select((text) => holdsName(text, service));
    return (entry) => {
      if (withService !== null && withService[this.#services[entry] as number] !== 1) return false;
      if (operation !== -1 && this.#rootOperation[entry] !== operation) return false;
      if (status !== undefined && (status === "error") !== (this.#errorCount[entry] as number) > 0)
        return false;
      if ((this.#duration[entry] as number) < minDurationNanos) return false;
      if (from === undefined && to === undefined) return true;
      const start = timeAt(this.#found, entry);
      return (from === undefined || start >= from) && (to === undefined || start <= to);
    };
  }

  #read(entry: number): TraceSummary {
    return {
      traceId: this.#idOf(entry),
      rootService: this.#texts.get(this.#rootService[entry] as number),
      rootOperation: this.#texts.get(this.#rootOperation[entry] as number),
      startTime: timeAt(this.#start, entry),
      indexTime: timeAt(this.#found, entry),
      durationNanos: this.#duration[entry] as number,
      spanCount: this.#spanCount[entry] as number,
      errorCount: this.#errorCount[entry] as number,
      services: splitNames(this.#texts.get(this.#services[entry] as number)),
    };
  }

  #idOf(entry: number): TraceId {
    const [a = 0, b = 0, c = 0, d = 0] = this.#traceIds.wordsOf(entry);
    return traceIdFromWords(a, b, c, d);
  }

  #compare(a: number, b: number): number {
    const byHigh = (this.#found[b * 2] as number) - (this.#found[a * 2] as number);
    if (byHigh !== 0) return byHigh;
    const byLow = (this.#found[b * 2 + 1] as number) - (this.#found[a * 2 + 1] as number);
    return byLow !== 0 ? byLow : compareWords(this.#traceIds.wordsOf(a), this.#traceIds.wordsOf(b));
  }

  #compareTo(entry: number, place: Place): number {
    const start = timeAt(this.#found, entry);
    if (start !== place.start) return start > place.start ? -1 : 1;
    return compareWords(this.#traceIds.wordsOf(entry), place.words);
  }

  #cursorOf(entry: number): string {
    return `${timeAt(this.#found, entry)}-${this.#idOf(entry)}`;
  }

  #grow(length: number): void {
    this.#isKnown = grow(this.#isKnown, length);
    this.#start = grow(this.#start, length * 2);
    this.#found = grow(this.#found, length * 2);
    this.#duration = grow(this.#duration, length);
    this.#spanCount = grow(this.#spanCount, length);
    this.#errorCount = grow(this.#errorCount, length);
    this.#rootService = grow(this.#rootService, length);
    this.#rootOperation = grow(this.#rootOperation, length);
    this.#services = grow(this.#services, length);
  }
}

/** The first `count` of what is offered, in order, without sorting the rest. */
class FirstOnes {
  readonly #count: number;
  readonly #compare: (a: number, b: number) => number;
  #held: number[] = [];
  #isCut = false;

  constructor(count: number, compare: (a: number, b: number) => number) {
    this.#count = count;
    this.#compare = compare;
  }

  offer(item: number): void {
    if (this.#isCut && this.#compare(item, this.#held[this.#count - 1] as number) > 0) return;
    this.#held.push(item);
    if (this.#held.length >= this.#count * 2 + 64) {
      this.#held = this.#held.sort(this.#compare).slice(0, this.#count);
      this.#isCut = true;
    }
  }

  take(): readonly number[] {
    return this.#held.sort(this.#compare).slice(0, this.#count);
  }
}

function timeAt(words: Uint32Array, entry: number): UnixNanos {
  return nanosFromWords(words[entry * 2] as number, words[entry * 2 + 1] as number);
}

interface Place {
  readonly start: bigint;
  readonly words: readonly number[];
}

function parseCursor(cursor: string): Place {
  const [, start, hex] = /^(\d{1,20})-([0-9a-f]{32})$/.exec(cursor) ?? [];
  const traceId = parseTraceId(hex ?? "");
  if (start === undefined || traceId === null)
    throw new OperationError(
      "bad_request",
      `"${cursor}" is not a cursor of a trace search`,
      "Give the cursor as the page before gave it, or none for the first page.",
    );
  return { start: BigInt(start), words: wordsOfHex(traceId) };
}

function compareWords(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (let i = 0; i < 4; i += 1) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

const nameEnd = "\u0000";

/** Names in one text, each closed by a NUL, so that one can be looked for without splitting. */
function joinNames(names: readonly string[]): string {
  return names.map((name) => name + nameEnd).join("");
}

function splitNames(joined: string): readonly string[] {
  return joined.split(nameEnd).slice(0, -1);
}

function holdsName(joined: string, name: string): boolean {
  const sought = name + nameEnd;
  return joined.startsWith(sought) || joined.includes(nameEnd + sought);
}
