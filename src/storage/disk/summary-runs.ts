import { stat, unlink } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { mapEntry } from "../../base/map-entry.ts";
import type { TracePage, TraceQuery, TraceSummary } from "../../engine/ports.ts";
import { TraceIdTable } from "../../engine/trace-id-table.ts";
import { type TraceId, wordsOfHex } from "../../model/ids.ts";
import { pageOf, parseCursor, SummaryColumns, type SummaryData } from "../summary-columns.ts";
import type { LogFile, LogFiles } from "./log-files.ts";
import type { Sealer } from "./sealing.ts";
import { besides, ignoreMissing, isFileError, type Segment } from "./segmented-log.ts";
import {
  frontBytesOf,
  readSummaries,
  readSummaryFront,
  type SummaryFileFront,
  summaryHeaderBytes,
} from "./summary-file.ts";

/** Summaries that are still put, in memory. */
interface OpenRun {
  readonly segment: Segment;
  readonly ids: TraceIdTable;
  readonly columns: SummaryColumns;
  /** traces of it that had a summary in a closed run */
  readonly returned: Set<TraceId>;
  isClosing: boolean;
}

/** Summaries in a file. */
interface ClosedRun {
  readonly segment: Segment;
  readonly path: string;
  readonly front: SummaryFileFront;
}

/** A run whose traces can be looked up one by one. */
interface FoundRun {
  readonly ids: TraceIdTable;
  readonly columns: SummaryColumns;
}

/** Answers what is known of a trace that may be in the runs of some segments, the likeliest first. */
export type SummaryFinder = (traceId: TraceId, segments: readonly number[]) => Promise<TraceSummary | null>;

/** Closed runs that are held to look traces up in them: some megabytes each. */
const heldRunsMax = 8;

interface SpanCounts {
  readonly ids: TraceIdTable;
  readonly spanCount: Uint32Array;
}

export interface SummaryRunsOptions {
  readonly files: LogFiles;
  readonly sealer: Sealer;
  readonly onNotice: (message: string) => void;
}

/**
 * What search shows of traces, one run for each segment: a trace is in the run of the newest segment that holds spans of it, and
 * goes with that segment. Runs of the newest segments are in memory, the others in files.
 */
export class SummaryRuns {
  readonly #files: LogFiles;
  readonly #sealer: Sealer;
  readonly #onNotice: (message: string) => void;
  readonly #open = new Map<number, OpenRun>();
  readonly #closed = new Map<number, ClosedRun>();
  /** trace -> the run in which it counts, where an older one in a file has it too */
  readonly #returned = new Map<TraceId, number>();

  /** of closed runs, while an earlier process's traces are folded again: how many spans each trace had */
  readonly #spanCounts = new Map<number, SpanCounts>();
  /** closed runs that were looked into lately, the least recently first */
  readonly #held = new Map<number, FoundRun>();
  /** segments whose run turned out to be damaged */
  readonly #damaged = new Set<number>();

  constructor({ files, sealer, onNotice }: SummaryRunsOptions) {
    this.#files = files;
    this.#sealer = sealer;
    this.#onNotice = onNotice;
  }

  /** Traces with a summary. */
  get traceCount(): number {
    let count = -this.#returned.size;
    for (const { ids } of this.#open.values()) count += ids.size;
    for (const { front } of this.#closed.values()) count += front.count;
    return Math.max(0, count);
  }

  /** Finds the run that an earlier process has written for a segment; false = there is none that can be read. */
  async find(segment: Segment): Promise<boolean> {
    const path = besides(segment, "summaries");
    const front = await this.#readFront(path);
    if (front === null) return false;
    this.#closed.set(segment.number, { segment, path, front });
    this.#noteReturned(front.returned, segment.number);
    return true;
  }

  /** Whether a run takes nothing more. */
  isClosed(number: number): boolean {
    return (
      this.#closed.has(number) || this.#damaged.has(number) || this.#open.get(number)?.isClosing === true
    );
  }

  /** Whether a trace counts in the run of a later segment, where it was put when this one's was closed. */
  countsLater(traceId: TraceId, { number }: Segment): boolean {
    return (this.#returned.get(traceId) ?? 0) > number;
  }

  /** Makes a trace findable, in the run of a segment that is not closed. `hasReturned` = a closed run may have it too. */
  put(summary: TraceSummary, segment: Segment, hasReturned: boolean): void {
    const words = wordsOfHex(summary.traceId);
    const run = this.begin(segment);
    let isReturned = hasReturned;
    for (const other of this.#open.values()) {
      const entry = other === run ? -1 : other.ids.find(words, 0);
      if (entry < 0) continue;
      isReturned ||= other.isClosing || other.returned.has(summary.traceId);
      if (other.isClosing) continue;
      other.columns.remove(entry);
      other.ids.remove(entry);
      other.returned.delete(summary.traceId);
    }
    run.columns.put(run.ids.add(words, 0), summary);
    if (!isReturned) return;
    run.returned.add(summary.traceId);
    this.#returned.set(summary.traceId, segment.number);
  }

  /** Whether a closed run says of a trace as much as its summary does; `segment` = the newest that holds spans of it. */
  async holds({ traceId, spanCount }: TraceSummary, segment: Segment): Promise<boolean> {
    const number = Math.max(segment.number, this.#returned.get(traceId) ?? 0);
    const counts = this.#spanCounts.get(number) ?? (await this.#readSpanCounts(number));
    const entry = counts?.ids.find(wordsOfHex(traceId), 0) ?? -1;
    return entry >= 0 && (counts?.spanCount[entry] ?? 0) >= spanCount;
  }

  /** Nothing more is asked of `holds`. */
  forgetSpanCounts(): void {
    this.#spanCounts.clear();
  }

  /** Traces that would be gone with a segment. */
  countOf({ number }: Segment): number {
    return this.#open.get(number)?.ids.size ?? this.#closed.get(number)?.front.count ?? 0;
  }

  /** The run of a segment, new if there was none. */
  begin(segment: Segment): OpenRun {
    const known = this.#open.get(segment.number);
    if (known !== undefined) return known;
    const ids = new TraceIdTable();
    const columns = new SummaryColumns(ids);
    const run = { segment, ids, columns, returned: new Set<TraceId>(), isClosing: false };
    this.#open.set(segment.number, run);
    return run;
  }

  /** The segments whose runs are open and of which `isDone` says that nothing more comes; each is written to a file. */
  async closeThose(isDone: (segment: Segment) => boolean): Promise<void> {
    for (const run of this.#open.values()) if (!run.isClosing && isDone(run.segment)) await this.#close(run);
  }

  /** The run of a segment is gone with it. */
  async drop({ number }: Segment): Promise<void> {
    const path = this.#closed.get(number)?.path;
    this.#open.delete(number);
    this.#closed.delete(number);
    this.#held.delete(number);
    for (const [traceId, run] of this.#returned) if (run === number) this.#returned.delete(traceId);
    if (path !== undefined) await unlink(path).catch(ignoreMissing);
  }

  /** Closed runs of which no trace can be in the window are not read. */
  async search(query: TraceQuery): Promise<TracePage> {
    const { from = null, to = null } = query;
    const after = query.cursor === undefined ? null : parseCursor(query.cursor);
    const findIn = (columns: SummaryColumns, { number }: Segment) => {
      const isGone = (traceId: TraceId): boolean => (this.#returned.get(traceId) ?? number) > number;
      return columns.find(query, after, this.#returned.size === 0 ? undefined : isGone);
    };
    // Runs may be closed while others have their turn: none may be missed for that.
    const closed = [...this.#closed.values()];
    const findings = [...this.#open.values()].map(({ columns, segment }) => findIn(columns, segment));
    for (const run of closed) {
      if ((from !== null && run.front.to < from) || (to !== null && run.front.from > to)) continue;
      const summaries = await this.#read(run);
      if (summaries !== null) findings.push(findIn(SummaryColumns.of(summaries), run.segment));
      await nextTurn();
    }
    return pageOf(query, findings);
  }

  /** Looks traces up, of those that are what else a query asks for. */
  finder(query: TraceQuery): SummaryFinder {
    const readers = new Map<FoundRun, ReturnType<SummaryColumns["reader"]>>();
    return async (traceId, segments) => {
      const words = wordsOfHex(traceId);
      const returned = this.#returned.get(traceId);
      for (const number of returned === undefined ? segments : [returned, ...segments]) {
        const run = this.#open.get(number) ?? (await this.#hold(number));
        const entry = run?.ids.find(words, 0) ?? -1;
        if (run === null || entry < 0) continue;
        return mapEntry(readers, run, () => run.columns.reader(query))(entry);
      }
      return null;
    };
  }

  async #hold(number: number): Promise<FoundRun | null> {
    let held = this.#held.get(number);
    if (held === undefined) {
      const run = this.#closed.get(number);
      const summaries = run === undefined ? null : await this.#read(run);
      if (summaries === null) return null;
      held = { ids: idsIn(summaries), columns: SummaryColumns.of(summaries) };
    }
    this.#held.delete(number);
    this.#held.set(number, held);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= heldRunsMax) break;
      this.#held.delete(oldest);
    }
    return held;
  }

  async #close(run: OpenRun): Promise<void> {
    run.isClosing = true;
    const path = besides(run.segment, "summaries");
    try {
      const returned = Uint32Array.from([...run.returned].flatMap((id) => wordsOfHex(id)));
      await this.#sealer.seal({ kind: "summaries", path, summaries: run.columns.toData(), returned });
      const front = await this.#readFront(path);
      // Its segment may have gone meanwhile.
      if (front === null || this.#open.get(run.segment.number) !== run) return;
      this.#closed.set(run.segment.number, { segment: run.segment, path, front });
      this.#open.delete(run.segment.number);
    } finally {
      run.isClosing = false;
    }
  }

  /** null = there is none, or it cannot be read */
  async #readFront(path: string): Promise<SummaryFileFront | null> {
    return this.#reading(path, async (file) => {
      const length = frontBytesOf(await file.read(0, summaryHeaderBytes));
      return length === null ? null : readSummaryFront(await file.read(0, length));
    });
  }

  async #readSpanCounts(number: number): Promise<SpanCounts | undefined> {
    const run = this.#closed.get(number);
    const summaries = run === undefined ? null : await this.#read(run);
    if (summaries === null) return undefined;
    const counts = { ids: idsIn(summaries), spanCount: summaries.spanCount };
    this.#spanCounts.set(number, counts);
    return counts;
  }

  /** null = damaged; the next start makes it anew */
  async #read(run: ClosedRun): Promise<SummaryData | null> {
    const { path, front } = run;
    const bytes = await this.#reading(path, async (file) => {
      const { size } = await stat(path);
      return file.read(front.frontBytes, Math.max(0, size - front.frontBytes));
    });
    const summaries = bytes === null ? null : readSummaries(bytes, front);
    if (summaries !== null) return summaries;
    this.#damaged.add(run.segment.number);
    this.#onNotice(
      `${path} is damaged: searches do not find its traces until the next start, which makes it anew`,
    );
    await this.drop(run.segment);
    return null;
  }

  /** null where the file does not let itself be read */
  async #reading<Result>(path: string, read: (file: LogFile) => Promise<Result>): Promise<Result | null> {
    try {
      const file = await this.#files.open(path);
      try {
        return await read(file);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isFileError(error)) return null;
      throw error;
    }
  }

  #noteReturned(traces: readonly TraceId[], number: number): void {
    for (const traceId of traces)
      this.#returned.set(traceId, Math.max(number, this.#returned.get(traceId) ?? 0));
  }
}

/** The ids of summaries by their places. */
function idsIn({ ids: words }: SummaryData): TraceIdTable {
  const ids = new TraceIdTable();
  for (let at = 0; at < words.length; at += 4) ids.add(words, at);
  return ids;
}
