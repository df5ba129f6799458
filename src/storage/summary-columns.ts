import { grow } from "../base/grow.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { TracePage, TraceQuery, TraceSummary } from "../engine/ports.ts";
import { parseTraceId, type TraceId, traceIdFromWords, wordsOfHex } from "../model/ids.ts";
import { nanosFromWords, type UnixNanos } from "../model/time.ts";
import { TextPool } from "./text-pool.ts";

/** Numbered trace ids, as a `TraceIdTable` has them. */
export interface NumberedIds {
  /** one more than the largest number */
  readonly end: number;
  wordsOf(entry: number): Uint32Array;
}

/** Summaries without gaps, as they are written to a file. */
export interface SummaryData {
  /** 4 words each */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** 2 words each */
  readonly start: Uint32Array<ArrayBuffer>;
  readonly found: Uint32Array<ArrayBuffer>;
  readonly duration: Float64Array<ArrayBuffer>;
  readonly spanCount: Uint32Array<ArrayBuffer>;
  readonly errorCount: Uint32Array<ArrayBuffer>;
  /** places in `texts` */
  readonly rootService: Uint32Array<ArrayBuffer>;
  readonly rootOperation: Uint32Array<ArrayBuffer>;
  readonly services: Uint32Array<ArrayBuffer>;
  readonly texts: readonly string[];
}

/** What a search found in one set of summaries. */
interface Finding {
  /** the first ones behind the cursor */
  readonly summaries: readonly TraceSummary[];
  /** how many match, and how many of them are behind the cursor */
  readonly total: number;
  readonly later: number;
}

/** Searches several sets of summaries as if they were one: the newest first, then by trace id. A page does not move when others are added. */
export function searchSummaries(query: TraceQuery, sets: readonly SummaryColumns[]): TracePage {
  const after = query.cursor === undefined ? null : parseCursor(query.cursor);
  return pageOf(
    query,
    sets.map((set) => set.find(query, after)),
  );
}

/** One page of what was found in several sets. */
export function pageOf(query: TraceQuery, findings: readonly Finding[]): TracePage {
  const found = findings.flatMap(({ summaries }) => summaries);
  const [first] = findings;
  const summaries =
    findings.length === 1 && first !== undefined
      ? first.summaries
      : found.sort(compareSummaries).slice(0, Math.max(1, query.limit));
  const last = summaries.at(-1);
  const later = findings.reduce((sum, finding) => sum + finding.later, 0);
  return {
    summaries,
    total: findings.reduce((sum, { total }) => sum + total, 0),
    searchedFrom: null,
    cursor: last === undefined || later <= summaries.length ? null : `${last.indexTime}-${last.traceId}`,
  };
}

/** Whether a trace comes behind a place where a page ended. */
export function isBehind(
  { indexTime, traceId }: Pick<TraceSummary, "indexTime" | "traceId">,
  { high, low, words }: Place,
): boolean {
  const time = nanosFromWords(high, low);
  return indexTime === time ? compareWords(wordsOfHex(traceId), words) > 0 : indexTime < time;
}

function compareSummaries(a: TraceSummary, b: TraceSummary): number {
  if (a.indexTime !== b.indexTime) return a.indexTime > b.indexTime ? -1 : 1;
  return a.traceId < b.traceId ? -1 : a.traceId > b.traceId ? 1 : 0;
}

/** Trace summaries in columns, by the entry numbers of trace ids; searched by reading the columns through. */
export class SummaryColumns {
  readonly #traceIds: NumberedIds;
  #texts = new TextPool();
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

  constructor(traceIds: NumberedIds) {
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

  /** A copy without gaps. */
  toData(): SummaryData {
    const entries: number[] = [];
    for (let entry = 0; entry < this.#traceIds.end; entry += 1)
      if (this.#isKnown[entry] === 1) entries.push(entry);
    const ids = new Uint32Array(entries.length * 4);
    for (const [i, entry] of entries.entries()) ids.set(this.#traceIds.wordsOf(entry), i * 4);
    const words = (column: Uint32Array): Uint32Array<ArrayBuffer> =>
      Uint32Array.from(entries, (entry) => column[entry] as number);
    const times = (column: Uint32Array): Uint32Array<ArrayBuffer> => {
      const copy = new Uint32Array(entries.length * 2);
      for (const [i, entry] of entries.entries()) copy.set(column.subarray(entry * 2, entry * 2 + 2), i * 2);
      return copy;
    };
    return {
      ids,
      start: times(this.#start),
      found: times(this.#found),
      duration: Float64Array.from(entries, (entry) => this.#duration[entry] as number),
      spanCount: words(this.#spanCount),
      errorCount: words(this.#errorCount),
      rootService: words(this.#rootService),
      rootOperation: words(this.#rootOperation),
      services: words(this.#services),
      texts: [...this.#texts.all],
    };
  }

  /** Summaries that nothing is added to. */
  static of(summaries: SummaryData): SummaryColumns {
    const { ids } = summaries;
    const wordsOf = (entry: number): Uint32Array => ids.subarray(entry * 4, entry * 4 + 4);
    const columns = new SummaryColumns({ end: ids.length / 4, wordsOf });
    columns.#texts = TextPool.of(summaries.texts);
    columns.#isKnown = new Uint8Array(ids.length / 4).fill(1);
    columns.#start = summaries.start;
    columns.#found = summaries.found;
    columns.#duration = summaries.duration;
    columns.#spanCount = summaries.spanCount;
    columns.#errorCount = summaries.errorCount;
    columns.#rootService = summaries.rootService;
    columns.#rootOperation = summaries.rootOperation;
    columns.#services = summaries.services;
    return columns;
  }

  /** `isGone` = whether a trace does not count although it is here. */
  find(query: TraceQuery, after: Place | null, isGone?: (traceId: TraceId) => boolean): Finding {
    const matches = this.#matcher(query);
    const page = new FirstOnes(Math.max(1, query.limit), (a, b) => this.#compare(a, b));
    let total = 0;
    let later = 0;
    // What was put last is mostly the newest: of the others little has to be sorted then.
    for (let entry = this.#traceIds.end - 1; entry >= 0; entry -= 1) {
      if (this.#isKnown[entry] !== 1 || !matches(entry)) continue;
      if (isGone?.(this.#idOf(entry)) === true) continue;
      total += 1;
      if (after !== null && this.#compareTo(entry, after) <= 0) continue;
      later += 1;
      page.offer(entry);
    }
    return { summaries: page.take().map((entry) => this.#read(entry)), total, later };
  }

  /** Reads one summary after the other; null = there is none, or it is not what the query asks for. */
  reader(query: TraceQuery): (entry: number) => TraceSummary | null {
    const matches = this.#matcher(query);
    return (entry) => (this.#isKnown[entry] === 1 && matches(entry) ? this.#read(entry) : null);
  }

  #matcher(query: TraceQuery): (entry: number) => boolean {
    const { service, status, minDurationNanos = 0 } = query;
    const from = query.from === undefined ? null : instantOf(query.from);
    const to = query.to === undefined ? null : instantOf(query.to);
    const operation = query.operation === undefined ? -1 : (this.#texts.find(query.operation) ?? -2);
    const withService = service === undefined ? null : this.#texts.select((text) => holdsName(text, service));
    return (entry) => {
      if (withService !== null && withService[this.#services[entry] as number] !== 1) return false;
      if (operation !== -1 && this.#rootOperation[entry] !== operation) return false;
      if (status !== undefined && (status === "error") !== (this.#errorCount[entry] as number) > 0)
        return false;
      if ((this.#duration[entry] as number) < minDurationNanos) return false;
      if (from !== null && compareInstants(this.#found, entry, from) < 0) return false;
      return to === null || compareInstants(this.#found, entry, to) <= 0;
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
    const byTime = compareInstants(this.#found, entry, place);
    return byTime !== 0 ? -byTime : compareWords(this.#traceIds.wordsOf(entry), place.words);
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

/** A time in two words: comparing millions of them as bigint takes seconds. */
interface Instant {
  readonly high: number;
  readonly low: number;
}

function instantOf(time: bigint): Instant {
  return { high: Number(time >> 32n), low: Number(time & 0xffffffffn) };
}

/** Below 0 = the time of the entry is earlier. */
function compareInstants(times: Uint32Array, entry: number, { high, low }: Instant): number {
  const byHigh = (times[entry * 2] as number) - high;
  return byHigh !== 0 ? byHigh : (times[entry * 2 + 1] as number) - low;
}

/** Where a page ended. */
interface Place extends Instant {
  readonly words: readonly number[];
}

export function parseCursor(cursor: string): Place {
  const [, start, hex] = /^(\d{1,20})-([0-9a-f]{32})$/.exec(cursor) ?? [];
  const traceId = parseTraceId(hex ?? "");
  if (start === undefined || traceId === null)
    throw new OperationError(
      "bad_request",
      `"${cursor}" is not a cursor of a trace search`,
      "Give the cursor as the page before gave it, or none for the first page.",
    );
  return { ...instantOf(BigInt(start)), words: wordsOfHex(traceId) };
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
