import { setImmediate as nextTurn } from "node:timers/promises";
import { ComparedMinutes } from "../analysis/compared-minutes.ts";
import { type Scope, ScopeRollup } from "../analysis/scope.ts";
import { atOnce } from "../base/at-once.ts";
import { mapEntry } from "../base/map-entry.ts";
import { type TraceId, traceIdFromWords, wordsOfHex } from "../model/ids.ts";
import { rawNaming, ServiceDirectory } from "../model/service-directory.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { minuteOf, NANOS_PER_MINUTE, NANOS_PER_MS, startOfMinute, type UnixNanos } from "../model/time.ts";
import { type AssemblyOptions, assembleTrace } from "../trace/assemble.ts";
import type { TraceCalls } from "../trace/calls.ts";
import { assembleEpisodes, type EpisodeRows, episodesOf, episodeToShow } from "../trace/episodes.ts";
import { callsOf } from "../trace/extract-calls.ts";
import type { RowRef, Trace } from "../trace/trace.ts";
import { History } from "./history.ts";
import type { EngineLimits } from "./limits.ts";
import type { Clock, EngineStats, TelemetryStore, TimeWindow } from "./ports.ts";
import { sameTrace } from "./same-trace.ts";
import { TraceStates } from "./trace-states.ts";
import { summaryOf } from "./trace-summary.ts";
import { WindowCache } from "./window-cache.ts";

/** A trace is compared with what went on this long before and after it, in whole minutes. */
const neighbourhoodNanos = BigInt(5 * NANOS_PER_MINUTE);

/** A trace that keeps growing (one id for everything) is folded again and again: that may take this part of the time. */
const restFactor = 20;

/** A trace with more rows takes so long to put together that others have their turn before it is added. */
const rowsAtOnceMax = 20_000;

/** Linked traces that one trace may have read from the store; a batch consumer may link to thousands. */
const linkedReadsMax = 64;

/**
 * Graph and metrics of the traces that have come to rest. When late spans arrive, what the trace had added is taken back
 * exactly (its earlier rows are assembled again) and the whole trace is added anew: so the sums never depend on when
 * spans arrived, in what batches, or how often.
 */
export class FoldedTraces {
  readonly #store: TelemetryStore;
  readonly #clock: Clock;
  readonly #assembly: Pick<AssemblyOptions, "spansMax" | "redacts">;
  readonly #apartNanosMax: bigint;
  readonly #rollup: ScopeRollup;
  /** what windows are compared by */
  readonly compared: ComparedMinutes;
  readonly #states: TraceStates;
  readonly #windows: WindowCache<Scope>;
  readonly #history: History;
  #sharedVersion = 0;
  readonly #counts = {
    folded_traces_total: 0,
    refolded_traces_total: 0,
    /** spans that had been sent before, or are another version of one that counts */
    duplicate_spans_total: 0,
    /** traces of which older spans had to go: what they added stays as it is, whatever comes late */
    frozen_traces_total: 0,
  };

  constructor(store: TelemetryStore, clock: Clock, limits: EngineLimits) {
    this.#store = store;
    this.#clock = clock;
    this.#assembly = { spansMax: limits.traceSpansMax, redacts: limits.redacts };
    const directory = new ServiceDirectory(limits.servicesMax);
    this.#rollup = new ScopeRollup({ directory, learnsSteps: false });
    this.#apartNanosMax = BigInt(limits.clockApartMsMax * NANOS_PER_MS);
    this.#states = new TraceStates(limits, clock.monotonicMs());
    this.compared = new ComparedMinutes(limits);
    this.#windows = new WindowCache(limits.windowCacheMax, limits.windowAgeMsMax, ({ from, to }) => ({
      ...this.#rollup.scope(
        from === null || to === null ? null : { from: startOfMinute(from), to: startOfMinute(to) },
      ),
      steps: this.compared.steps(from, to, directory),
    }));
    this.#history = new History([this.#rollup, this.compared], clock, limits);
  }

  /** The traces that use one id, named by raw keys; others have their turn between those of a huge one. */
  assemble(rows: readonly RowRef[]): readonly Trace[] | Promise<readonly Trace[]> {
    return rows.length > rowsAtOnceMax
      ? inTurns(this.#assembling(rows))
      : assembleEpisodes(rows, rawNaming, this.#assembly);
  }

  /** The rows of the episode that was asked for (see `episodeToShow`); how many there are where there is no such. */
  async rowsToShow(rows: readonly RowRef[], number: number | null): Promise<EpisodeRows | number> {
    const episodes = episodesOf(rows);
    const traces = episodes.length > 1 && number === null ? await this.assemble(rows) : [];
    const shown = number ?? episodeToShow(traces, null)?.episode?.number ?? 1;
    return episodes[shown - 1] ?? episodes.length;
  }

  /** One of them, named as reports name things: they hold until others have their turn. */
  assembleNamed({ rows, episode }: EpisodeRows): Trace {
    return assembleTrace(rows, this.directory, { ...this.#assembly, episode });
  }

  *#assembling(rows: readonly RowRef[]): Generator<undefined, readonly Trace[]> {
    const traces: Trace[] = [];
    for (const { rows: own, episode } of episodesOf(rows)) {
      yield;
      traces.push(assembleTrace(own, rawNaming, { ...this.#assembly, episode }));
    }
    return traces;
  }

  /** Windows that are kept ready go. */
  giveBackWindows(): void {
    this.#windows.clear();
  }

  /** The oldest minutes go. */
  giveBackMinutes(): void {
    const first = this.#history.giveBack();
    if (first !== null) this.#windows.dropBefore(first);
  }

  get directory(): ServiceDirectory {
    return this.#rollup.directory;
  }

  /** Traces that wait to be folded. */
  get openCount(): number {
    return this.#states.openCount;
  }

  /** Whether graph and metrics know less of what has arrived than they will in a moment: just after a start, or a replay. */
  get isMostlyOpen(): boolean {
    return this.#states.openCount > this.#states.size / 2;
  }

  /** Spans have arrived and are safe in the store. Answers how many traces wait to be folded because of them. */
  arrive(table: SpanTable): number {
    this.#rollup.observe(table);
    const now = this.#clock.monotonicMs();
    const openBefore = this.#states.openCount;
    for (let row = 0; row < table.rowCount; row += 1) this.#states.arrive(table.traceId, row * 4, now);
    return this.#states.openCount - openBefore;
  }

  /** For how long the trace has been due that is to be folded next; about 0 where nothing is due. */
  get lateMs(): number {
    return this.#states.lateMs(this.#clock.monotonicMs());
  }

  /** Spans that have arrived and are not folded yet. */
  get waitingSpans(): number {
    return this.#states.waitingRows;
  }

  addMetricPoints(points: readonly MetricPoint[]): void {
    this.#rollup.addMetricPoints(points);
    for (const [minute, own] of byMinute(points, ({ time }) => time)) {
      // A rise is told from the point before, which may lie in the minute before.
      this.#windows.change(minute, minute + 1);
      if (!this.#history.isAhead(minute)) this.compared.addMetricPoints(minute, own);
      this.#noteAdded(minute, own.length);
    }
  }

  /** A line that does not say when it was written was written when it arrived. */
  addLogRecords(records: readonly LogRecord[], arrivalTime: UnixNanos): void {
    const timeOf = ({ time, observedTime }: LogRecord): UnixNanos =>
      time > 0n ? time : observedTime > 0n ? observedTime : arrivalTime;
    for (const [minute, own] of byMinute(records, timeOf)) {
      if (!this.#history.isAhead(minute)) this.compared.addLogRecords(minute, own);
      this.#noteAdded(minute, own.length);
    }
  }

  /** The next trace that is due, -1 = none. */
  nextDue(): number {
    return this.#states.nextDue(this.#clock.monotonicMs(), false);
  }

  /** The trace that has waited longest, whether it is due or not; -1 = none. */
  nextOpen(): number {
    return this.#states.nextDue(this.#clock.monotonicMs(), true);
  }

  async fold(entry: number): Promise<void> {
    const [a = 0, b = 0, c = 0, d = 0] = this.#states.wordsOf(entry);
    await this.foldNow(traceIdFromWords(a, b, c, d));
  }

  /** Folds what has arrived of a trace until now, and returns its rows; none = unknown. */
  async foldNow(traceId: TraceId): Promise<readonly RowRef[]> {
    const words = wordsOfHex(traceId);
    const before = this.#states.find(words);
    const arrivedRows = before < 0 ? 0 : this.#states.arrivedRows(before);
    if (before >= 0) this.#states.close(before);
    const rows = await this.#store.readForAnalysis(traceId);
    // Others had their turn meanwhile: from here on nothing waits (of a huge trace: it is looked at again), so no two folds of a
    // trace can mix.
    const entry = this.#states.find(words);
    if (entry < 0 || entry !== before) return rows;
    this.#states.settle(entry, arrivedRows);
    if (rows.length === 0) return rows;
    const foldedRows = this.#states.foldedRows(entry);
    if (this.#states.isFrozen(entry) || (foldedRows > 0 && rows.length < arrivedRows)) {
      this.#freeze(entry);
      return rows;
    }
    if (rows.length < arrivedRows) this.#freeze(entry);
    const readRows = this.#states.readRows(entry);
    if (rows.length <= readRows) return rows;
    const startMs = this.#clock.monotonicMs();
    const isFrozen = this.#states.isFrozen(entry);
    const steps = prepareFold(rows, foldedRows, (some) => this.#assembling(some));
    const prepared = rows.length > rowsAtOnceMax ? await inTurns(steps) : atOnce(steps);
    const isAsBefore =
      this.#states.find(words) === entry &&
      this.#states.readRows(entry) === readRows &&
      this.#states.isFrozen(entry) === isFrozen;
    if (!isAsBefore) return this.foldNow(traceId);
    await this.#replace(entry, rows, prepared);
    const endMs = this.#clock.monotonicMs();
    this.#states.rest(entry, endMs + (endMs - startMs) * restFactor);
    return rows;
  }

  /** What a report about the trace is compared with; the trace itself is in it. */
  scopeAround(trace: Trace): Scope {
    const end = trace.spans.reduce((latest, span) => Math.max(latest, span.end), 0);
    const endTime = trace.startTime + BigInt(Math.ceil(end));
    const from = trace.startTime > neighbourhoodNanos ? trace.startTime - neighbourhoodNanos : 0n;
    const entry = this.#states.find(wordsOfHex(trace.traceId));
    const window = { from: from as UnixNanos, to: (endTime + neighbourhoodNanos) as UnixNanos };
    return this.#scope(window, entry < 0 ? 0 : this.#states.foldedAt(entry));
  }

  /** Everything folded that lies in the minutes of a window; null = all that is kept. */
  scope(window: TimeWindow | null): Scope {
    return this.#scope(window, 0);
  }

  stateOf(traceId: TraceId): { readonly version: number; readonly complete: boolean } {
    const entry = this.#states.find(wordsOfHex(traceId));
    if (entry < 0) return { version: 1, complete: true };
    return {
      version: Math.max(1, this.#states.version(entry)),
      complete: this.#states.isComplete(entry, this.#clock.monotonicMs()),
    };
  }

  stats(): EngineStats {
    return {
      ...this.#counts,
      open_traces: this.#states.openCount,
      waiting_spans: this.#states.waitingRows,
      fold_late_ms: this.lateMs,
      known_traces: this.#states.size,
      forgotten_traces_total: this.#states.forgotten,
      forgotten_metric_points_total: this.compared.forgottenPoints,
      kept_minutes: this.#history.minuteCount,
      dropped_minutes_total: this.#history.droppedMinutes,
      history_bytes: this.#history.bytes,
    };
  }

  async #replace(entry: number, rows: readonly RowRef[], { newSpans, change }: PreparedFold): Promise<void> {
    this.#counts.duplicate_spans_total += Math.max(0, rows.length - this.#states.readRows(entry) - newSpans);
    if (change === null) {
      this.#states.noteRead(entry, rows.length);
      return;
    }
    if (change.before !== null) {
      for (const { trace, calls } of change.before) {
        this.#rollup.removeTrace(trace, calls);
        if (!this.#states.isLeftOut(entry)) this.compared.removeTrace(trace);
        this.#noteChange(trace);
      }
      this.#counts.refolded_traces_total += 1;
    } else this.#counts.folded_traces_total += 1;
    // what was added to any of them until now has the number of the last change
    let foldNumber = 0;
    // minutes far ahead are never dropped
    const isLeftOut = change.now.some(({ trace }) => this.#history.isAhead(minuteOf(trace.startTime)));
    this.#states.setLeftOut(entry, isLeftOut);
    for (const { trace, calls } of change.now) {
      this.#rollup.addTrace(trace, calls);
      if (!isLeftOut) this.compared.addTrace(trace, calls);
      foldNumber = this.#noteChange(trace);
      this.#noteAdded(minuteOf(trace.startTime), trace.spans.length);
    }
    this.#states.noteFold(entry, rows.length, foldNumber);
    for (const { trace, calls } of change.now) await this.#readLinked(trace, calls);
    const shown = episodeToShow(
      change.now.map(({ trace }) => trace),
      null,
    );
    if (shown !== undefined)
      await this.#store.putSummary(
        summaryOf(shown, (key) => this.directory.nameOfKey(key), {
          now: this.#clock.unixNanos(),
          apartNanosMax: this.#apartNanosMax,
        }),
      );
  }

  /** Links may point to traces that were folded so long ago that only the store knows them. */
  async #readLinked(trace: Trace, calls?: TraceCalls): Promise<void> {
    if (!trace.spans.some(({ table, row }) => (table.linkStart[row] ?? 0) < (table.linkEnd[row] ?? 0)))
      return;
    for (const traceId of this.#rollup.linkedBy(trace, calls).slice(0, linkedReadsMax)) {
      const entry = this.#states.find(wordsOfHex(traceId));
      // One that waits to be folded shows itself then.
      if (entry >= 0 && this.#states.isOpen(entry)) continue;
      const rows = await this.#store.readForAnalysis(traceId);
      if (rows.length === 0) continue;
      for (const table of new Set(rows.map((row) => row.table))) this.#rollup.observe(table);
      for (const shown of await this.assemble(rows)) this.#rollup.showLinked(shown);
      this.#noteSharedChange();
    }
  }

  #freeze(entry: number): void {
    if (!this.#states.isFrozen(entry)) this.#counts.frozen_traces_total += 1;
    this.#states.freeze(entry);
  }

  #noteChange(trace: Trace): number {
    const end = trace.spans.reduce((latest, span) => Math.max(latest, span.start), 0);
    const from = minuteOf(trace.startTime);
    const to = minuteOf((trace.startTime + BigInt(Math.ceil(end))) as UnixNanos);
    this.#noteSharedChange();
    return this.#windows.change(from, to);
  }

  #noteSharedChange(): void {
    const version = this.#rollup.sharedVersion;
    if (version === this.#sharedVersion) return;
    this.#sharedVersion = version;
    this.#windows.changeAll();
  }

  #noteAdded(minute: number, items: number): void {
    const first = this.#history.noteAdded(minute, items);
    if (first !== null) this.#windows.dropBefore(first);
  }

  #scope(window: TimeWindow | null, atLeast: number): Scope {
    this.#noteSharedChange();
    const range =
      window === null ? { from: null, to: null } : { from: minuteOf(window.from), to: minuteOf(window.to) };
    return this.#windows.get(range, this.#clock.monotonicMs(), atLeast);
  }
}

function byMinute<Item>(
  items: readonly Item[],
  timeOf: (item: Item) => UnixNanos,
): ReadonlyMap<number, readonly Item[]> {
  const minutes = new Map<number, Item[]>();
  for (const item of items) mapEntry(minutes, minuteOf(timeOf(item)), () => []).push(item);
  return minutes;
}

interface PreparedFold {
  /** spans that were not folded before */
  readonly newSpans: number;
  /** what takes the place of what was folded until now (null = nothing was); null = the rows that have come say nothing new */
  readonly change: { readonly now: readonly Episode[]; readonly before: readonly Episode[] | null } | null;
}

interface Episode {
  readonly trace: Trace;
  readonly calls: TraceCalls;
}

/** Others have their turn between two steps. */
export async function inTurns<Result>(steps: Generator<undefined, Result>): Promise<Result> {
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) await nextTurn();
  return step.value;
}

/** All of a fold that touches no sums, in steps between which others may have their turn. */
function* prepareFold(
  rows: readonly RowRef[],
  foldedRows: number,
  assembling: (rows: readonly RowRef[]) => Generator<undefined, readonly Trace[]>,
): Generator<undefined, PreparedFold> {
  const traces = yield* assembling(rows);
  yield;
  const earlier = foldedRows > 0 ? yield* assembling(rows.slice(0, foldedRows)) : null;
  yield;
  const newSpans = spanCountOf(traces) - spanCountOf(earlier ?? []);
  if (earlier !== null && areSame(earlier, traces)) return { newSpans, change: null };
  const now = yield* withCalls(traces);
  const before = earlier === null ? null : yield* withCalls(earlier);
  return { newSpans, change: { now, before } };
}

function* withCalls(traces: readonly Trace[]): Generator<undefined, readonly Episode[]> {
  const episodes: Episode[] = [];
  for (const trace of traces) {
    episodes.push({ trace, calls: callsOf(trace) });
    yield;
  }
  return episodes;
}

function spanCountOf(episodes: readonly Trace[]): number {
  return episodes.reduce((sum, { spans }) => sum + spans.length, 0);
}

function areSame(before: readonly Trace[], after: readonly Trace[]): boolean {
  return before.length === after.length && before.every((trace, i) => sameTrace(trace, after[i] as Trace));
}
