import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import { problemsIn } from "../advice/problem-texts.ts";
import { analyzeTrace, servicesOf } from "../analysis/analyze-trace.ts";
import { DoctorRollup } from "../analysis/doctor.ts";
import { edgeJson, graphPartsOf, inGraphOrder, nodeJson } from "../analysis/graph-json.ts";
import type {
  GraphJson,
  Language,
  ServiceJson,
  StructuralReport,
  TraceReport,
  WindowReport,
} from "../analysis/report.ts";
import { serviceJson } from "../analysis/services-json.ts";
import type { TraceId } from "../model/ids.ts";
import { doctorSpansMax } from "../model/limits.ts";
import { mergeProblems, type Problem } from "../model/problems.ts";
import { NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { assembleTrace } from "../trace/assemble.ts";
import { episodesOf } from "../trace/episodes.ts";
import { type RowRef, spanIdOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import { OperationError, unknownEpisode } from "./errors/operation-error.ts";
import { FoldedTraces } from "./folded-traces.ts";
import { Incidents } from "./incidents.ts";
import { defaultEngineLimits, type EngineLimits } from "./limits.ts";
import { MemoryGuard, type ProcessMemory } from "./memory-guard.ts";
import type { WorkObserver } from "./own-work.ts";
import type {
  AnalysisLag,
  Clock,
  Decoded,
  DoctorAnswer,
  DoctorOptions,
  EngineStats,
  Incident,
  IncidentEvent,
  IngestPort,
  QueryPort,
  ReceivedBody,
  ServicesOptions,
  ServicesPage,
  TelemetryStore,
  TimeWindow,
  TraceAnalysis,
  TraceQuery,
  TraceReportOptions,
  TraceSearch,
  WindowReportOptions,
} from "./ports.ts";
import { Windows } from "./windows.ts";

export interface EngineOptions {
  readonly store: TelemetryStore;
  readonly clock: Clock;
  readonly limits?: Partial<EngineLimits>;
  /** called with each fault of ours in background work, for the log */
  readonly onFault: (fault: unknown) => void;
  /** absent = nobody wants to know */
  readonly observer?: WorkObserver | undefined;
  /** absent = the process may have as much memory as it wants */
  readonly memory?: ProcessMemory;
}

/** Takes telemetry in, keeps graph and metrics up to date with the traces that have come to rest, and answers questions. */
export interface Engine extends IngestPort, QueryPort {
  /** Whether the process holds so much memory that nothing is taken in until it holds less. */
  readonly isFull: boolean;
  /** Begins to fold traces in the background, those first that an earlier process has left. */
  start(): void;
  /** Folds every trace that is due by now. */
  foldDue(): Promise<void>;
  /** Looks whether something has gone wrong; it does so by itself once started. */
  lookForIncidents(): Promise<void>;
  /** Takes nothing more, folds what is open as far as time allows. The store is left open. */
  stop(): Promise<void>;
}

export function createEngine(options: EngineOptions): Engine {
  return new LiveEngine(options);
}

/** Traces that the doctor looks up at once. */
const doctorPageMax = 500;

/** Whoever has sent something so lately will send more. */
const recentMs = 1_000;

class LiveEngine implements Engine {
  readonly #store: TelemetryStore;
  readonly #clock: Clock;
  readonly #limits: EngineLimits;
  readonly #onFault: (fault: unknown) => void;
  readonly #observer: WorkObserver | undefined;
  readonly #folded: FoldedTraces;
  readonly #windows: Windows;
  readonly #incidents: Incidents;
  readonly #memory: MemoryGuard | null;
  #timer: NodeJS.Timeout | null = null;
  #lookTimer: NodeJS.Timeout | null = null;
  #memoryTimer: NodeJS.Timeout | null = null;
  #isFolding = false;
  #isStopping = false;
  /** what is still open stays so */
  #isStopped = false;
  /** that have begun and not ended */
  #foldRuns = 0;
  #isRestoring = false;
  /** some of what an earlier process has left waits to be folded */
  #isCatchingUp = false;
  /** When all of it had been read, and when something came in last, in monotonic milliseconds. */
  #restoredMs = Number.NEGATIVE_INFINITY;
  #lastIngestMs = Number.NEGATIVE_INFINITY;
  #ingestBytes = 0;
  readonly #counts = {
    ingested_bodies_total: 0,
    ingested_bytes_total: 0,
    ingested_spans_total: 0,
    ingested_metric_points_total: 0,
    ingested_log_records_total: 0,
    refused_bodies_total: 0,
    slowed_bodies_total: 0,
    early_folds_total: 0,
    fold_faults_total: 0,
    look_faults_total: 0,
    restored_bodies_total: 0,
    restore_faults_total: 0,
    trace_reports_total: 0,
    window_reports_total: 0,
  };

  constructor({ store, clock, limits, onFault, observer, memory }: EngineOptions) {
    this.#store = store;
    this.#clock = clock;
    const asked = { ...defaultEngineLimits, ...limits };
    // More open traces than are remembered would leave nothing to forget.
    this.#limits = { ...asked, openTracesMax: Math.min(asked.openTracesMax, asked.traceStatesMax / 2) };
    this.#onFault = onFault;
    this.#observer = observer;
    this.#folded = new FoldedTraces(store, clock, this.#limits);
    this.#windows = new Windows(this.#folded);
    const shared = { folded: this.#folded, windows: this.#windows };
    this.#incidents = new Incidents({ ...shared, store, clock, limits: this.#limits });
    this.#memory = memory === undefined ? null : this.#guard(memory);
  }

  #guard(memory: ProcessMemory): MemoryGuard {
    const giveBackCaches = (): void => {
      this.#folded.giveBackWindows();
      this.#store.giveBack(false);
    };
    const giveBackMore = (): void => {
      this.#folded.giveBackMinutes();
      this.#store.giveBack(true);
    };
    const { memoryBytesMax: bytesMax } = this.#limits;
    return new MemoryGuard({ bytesMax, memory, clock: this.#clock, reliefs: [giveBackCaches, giveBackMore] });
  }

  get isFull(): boolean {
    return this.#memory?.isFull === true;
  }

  async ingest(received: ReceivedBody, decoded: Decoded): Promise<void> {
    const bytes = received.body.length;
    this.#admit(bytes);
    this.#lastIngestMs = this.#clock.monotonicMs();
    this.#ingestBytes += bytes;
    try {
      await this.#store.append(received, decoded);
    } finally {
      this.#ingestBytes -= bytes;
    }
    this.#counts.ingested_bodies_total += 1;
    this.#counts.ingested_bytes_total += bytes;
    if (decoded.signal === "traces") this.#counts.ingested_spans_total += decoded.table.rowCount;
    else if (decoded.signal === "metrics") this.#counts.ingested_metric_points_total += decoded.points.length;
    else this.#counts.ingested_log_records_total += decoded.records.length;
    const openedCount = this.#take(decoded, this.#clock.unixNanos());
    if (!this.#isWithoutFault()) await this.#keepUp(openedCount);
  }

  async readTrace(traceId: TraceId): Promise<readonly RowRef[] | null> {
    const rows = await this.#store.readTrace(traceId);
    return rows.length === 0 ? null : rows;
  }

  async analyzeTrace(traceId: TraceId, options: TraceReportOptions): Promise<TraceAnalysis | null> {
    const rows = await this.#folded.foldNow(traceId);
    if (rows.length === 0) return null;
    this.#counts.trace_reports_total += 1;
    if (options.baseline !== undefined || this.#folded.isMostlyOpen) await this.#foldForQuery();
    const shown = await this.#folded.rowsToShow(rows, options.episode ?? null);
    if (typeof shown === "number") throw unknownEpisode(traceId, shown);
    const trace = this.#folded.assembleNamed(shown);
    const scope = this.#folded.scopeAround(trace);
    const { failedService, language, scoring, baseline } = options;
    if (failedService !== undefined && !servicesOf(trace).includes(failedService))
      throw new OperationError(
        "service_not_found",
        `the trace has no service "${failedService}"`,
        `It has: ${servicesOf(trace).join(", ")}.`,
      );
    // Everything is named by now, and nothing of it changes its name while others have their turn.
    const healthy = baseline === undefined ? {} : { baseline: this.#folded.scope(baseline) };
    await nextTurn();
    const failed = failedService === undefined ? {} : { failedService };
    const state = this.#folded.stateOf(traceId);
    const isComplete = state.complete;
    const report = analyzeTrace(trace, scope, { language, scoring, isComplete, ...failed, ...healthy });
    return { ...state, report: this.#withDoubts(trace, report, language) };
  }

  /** Only we know what time it is. */
  #withDoubts(
    trace: Trace,
    report: TraceReport | StructuralReport,
    language: Language,
  ): TraceReport | StructuralReport {
    const latest = this.#clock.unixNanos() + BigInt(this.#limits.clockApartMsMax * NANOS_PER_MS);
    if (!("problems" in report) || trace.startTime <= latest) return report;
    const message =
      "The trace starts in the future: a clock runs ahead; searches find it at the time of its arrival";
    const spans = trace.roots.slice(0, 1).map((index) => spanIdOf(trace.spans[index] as TraceSpan));
    const doubt: Problem = { kind: "implausible_time", message, count: 1, spans };
    return { ...report, problems: mergeProblems([...report.problems, ...problemsIn(language, [doubt])]) };
  }

  async searchTraces(query: TraceQuery): Promise<TraceSearch> {
    await this.#foldForQuery();
    return { ...(await this.#store.search(query)), pending: this.#folded.openCount };
  }

  async services(window: TimeWindow | null, options: ServicesOptions = {}): Promise<ServicesPage> {
    await this.#foldForQuery();
    const scope = this.#folded.scope(window);
    await nextTurn();
    const names = scope.red.services;
    const { language = "en", limit } = options;
    const services = await this.#mapInSlices(names.slice(0, limit), (name) =>
      serviceJson(scope, name, language),
    );
    return { services: services.filter((service) => service !== null), total: names.length };
  }

  async service(
    name: string,
    window: TimeWindow | null,
    language: Language = "en",
  ): Promise<ServiceJson | null> {
    await this.#foldForQuery();
    return serviceJson(this.#folded.scope(window), name, language);
  }

  async graph(window: TimeWindow | null): Promise<GraphJson> {
    await this.#foldForQuery();
    const scope = this.#folded.scope(window);
    await nextTurn();
    const { services, edges } = inGraphOrder(graphPartsOf(scope));
    return {
      nodes: await this.#mapInSlices(services, (name) => nodeJson(scope, name)),
      edges: await this.#mapInSlices(edges, edgeJson),
    };
  }

  async analyzeWindow(options: WindowReportOptions): Promise<WindowReport> {
    await this.#foldForQuery();
    this.#counts.window_reports_total += 1;
    return this.#windows.report(options);
  }

  incidents(): readonly Incident[] {
    return this.#incidents.list();
  }

  incident(id: string): Incident | null {
    return this.#incidents.get(id);
  }

  lag(): AnalysisLag {
    return {
      seconds: this.#folded.lateMs / 1000,
      spans: this.#folded.waitingSpans,
      lookSeconds: this.#incidents.lookSeconds,
    };
  }

  onIncident(listener: (event: IncidentEvent) => void): () => void {
    return this.#incidents.subscribe(listener);
  }

  incidentEventsAfter(number: number): readonly IncidentEvent[] {
    return this.#incidents.eventsAfter(number);
  }

  async doctor(window: TimeWindow | null, { language, tracesMax }: DoctorOptions): Promise<DoctorAnswer> {
    await this.#foldForQuery();
    const rollup = new DoctorRollup();
    let [traces, spans, of, cursor] = [0, 0, 0, null as string | null];
    let sliceEnd = this.#sliceEnd();
    do {
      const limit = Math.min(doctorPageMax, tracesMax - traces);
      const page = await this.#store.search({ limit, ...window, ...(cursor === null ? {} : { cursor }) });
      if (cursor === null) of = page.total;
      cursor = page.cursor;
      for (const { traceId } of page.summaries) {
        if (spans >= doctorSpansMax) break;
        const rows = await this.#store.readTrace(traceId);
        if (rows.length === 0) continue;
        for (const { rows: own, episode } of episodesOf(rows))
          rollup.add(assembleTrace(own, this.#folded.directory, { episode }), own);
        traces += 1;
        spans += rows.length;
        if (this.#clock.monotonicMs() < sliceEnd) continue;
        await nextTurn();
        sliceEnd = this.#sliceEnd();
      }
    } while (cursor !== null && traces < tracesMax && spans < doctorSpansMax);
    await nextTurn();
    return { ...rollup.report(language), sample: { traces, of } };
  }

  stats(): EngineStats {
    const store = this.#store.stats();
    return {
      ...this.#counts,
      ...this.#folded.stats(),
      ...this.#incidents.stats(),
      ...this.#memory?.stats(),
      ingest_in_flight_bytes: this.#ingestBytes,
      store_bodies: store.bodies,
      store_bytes: store.bytes,
      store_traces: store.traces,
      store_evicted_bodies_total: store.evictedBodies,
      store_evicted_traces_total: store.evictedTraces,
      store_kept_traces: store.keptTraces,
      store_kept_bytes: store.keptBytes,
      store_evicted_kept_traces_total: store.evictedKeptTraces,
      store_evicted_incidents_total: store.evictedIncidents,
      store_lost_files: store.lostFiles,
      store_lost_bodies: store.lostBodies,
      store_lost_items: store.lostItems,
      store_lost_bytes: store.lostBytes,
      store_torn_bytes: store.tornBytes,
      store_syncs_total: store.syncs,
      store_sync_seconds_total: store.syncMs / 1000,
      ...(store.freeBytes === null ? {} : { store_disk_free_bytes: store.freeBytes }),
      restoring: this.#isRestoring ? 1 : 0,
    };
  }

  start(): void {
    if (this.#timer !== null) return;
    void this.#restore();
    const everyMs = Math.max(5, Math.min(100, this.#limits.idleMs / 20));
    this.#timer = setInterval(() => void this.foldDue(), everyMs);
    this.#timer.unref();
    this.#lookTimer = setInterval(() => void this.lookForIncidents(), this.#limits.incidentLookMs);
    this.#lookTimer.unref();
    this.#memoryTimer = setInterval(() => this.#memory?.look(), this.#limits.memoryLookMs);
    this.#memoryTimer.unref();
  }

  /** Makes graph and metrics again of what an earlier process has left. Never rejects. */
  async #restore(): Promise<void> {
    this.#isRestoring = true;
    this.#isCatchingUp = true;
    let sliceEnd = this.#sliceEnd();
    try {
      for await (const { decoded, arrivalTime } of this.#store.restore()) {
        if (this.#isStopping) break;
        this.#counts.restored_bodies_total += 1;
        await this.#keepUp(this.#take(decoded, arrivalTime));
        if (this.#clock.monotonicMs() >= sliceEnd) {
          await this.#giveWay();
          sliceEnd = this.#sliceEnd();
        }
        // What comes in meanwhile has to find room.
        if (this.#folded.openCount > this.#limits.openTracesMax / 2)
          await this.#foldInSlices(this.#limits.foldOnQueryMax, () => this.#folded.nextOpen());
      }
    } catch (fault) {
      this.#counts.restore_faults_total += 1;
      this.#onFault(fault);
    }
    this.#restoredMs = this.#clock.monotonicMs();
    this.#isRestoring = false;
  }

  /** What is safe in the store joins graph and metrics. Answers how many traces wait to be folded because of it. */
  #take(decoded: Decoded, arrivalTime: UnixNanos): number {
    if (decoded.signal === "traces") return this.#folded.arrive(decoded.table);
    if (decoded.signal === "metrics") this.#folded.addMetricPoints(decoded.points);
    else this.#folded.addLogRecords(decoded.records, arrivalTime);
    return 0;
  }

  async lookForIncidents(): Promise<void> {
    // What was usual is not known before; and a look takes memory, so that it comes after taking telemetry in.
    if (this.#isRestoring || this.#memory?.isTight === true) return;
    try {
      await this.#foldForQuery();
      await this.#incidents.look();
    } catch (fault) {
      this.#counts.look_faults_total += 1;
      this.#onFault(fault);
    }
  }

  async foldDue(): Promise<void> {
    if (this.#isFolding) return;
    this.#isFolding = true;
    const startMs = this.#clock.monotonicMs();
    try {
      const traces = await this.#foldInSlices(Number.POSITIVE_INFINITY, () => this.#nextDue());
      if (traces > 0) this.#observer?.folded({ startMs, endMs: this.#clock.monotonicMs(), traces });
    } finally {
      this.#isFolding = false;
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const timer of [this.#timer, this.#lookTimer, this.#memoryTimer])
      if (timer !== null) clearInterval(timer);
    this.#timer = this.#lookTimer = this.#memoryTimer = null;
    const end = this.#clock.monotonicMs() + this.#limits.drainMsMax;
    await this.#foldInSlices(Number.POSITIVE_INFINITY, () =>
      this.#clock.monotonicMs() > end ? -1 : this.#folded.nextOpen(),
    );
    this.#isStopped = true;
    // The store is closed next: nobody may still be reading from it.
    while ((this.#foldRuns > 0 || this.#isRestoring) && this.#clock.monotonicMs() <= end)
      await pause(this.#limits.sliceMs);
  }

  #admit(bytes: number): void {
    if (this.#isStopping) {
      this.#counts.refused_bodies_total += 1;
      throw new OperationError("shutting_down", "the server is shutting down", "Send it again later.");
    }
    const hasRoom =
      !this.isFull &&
      this.#ingestBytes + bytes <= Math.max(this.#limits.ingestBytesMax, bytes) &&
      this.#folded.openCount <= this.#limits.openTracesMax;
    if (hasRoom) return;
    this.#counts.refused_bodies_total += 1;
    throw new OperationError(
      "overloaded",
      "more is coming in than can be taken right now",
      "Send it again in a second; if this goes on, send less or give the server more memory.",
    );
  }

  /** Whether nobody who sends has made folding late: what an earlier process has left waits, and there is room for more. */
  #isWithoutFault(): boolean {
    if (!this.#isCatchingUp) return false;
    // All of that came before the end of reading, and is due when it has been silent for the idle time.
    const nextDueMs = this.#clock.monotonicMs() - this.#folded.lateMs;
    if (!this.#isRestoring && nextDueMs > this.#restoredMs + this.#limits.idleMs) this.#isCatchingUp = false;
    return this.#isCatchingUp && this.#folded.openCount < this.#limits.openTracesMax / 2;
  }

  /**
   * Others have their turn. While there is much to catch up with, and somebody sends, they have half of the time: an
   * acknowledgement takes many turns, and each would wait for a slice of folding.
   */
  async #giveWay(): Promise<void> {
    const isWaitedFor = this.#clock.monotonicMs() - this.#lastIngestMs < recentMs;
    if (this.#isCatchingUp && isWaitedFor) await pause(this.#limits.sliceMs);
    else await nextTurn();
  }

  /** Who sends more than can be folded waits for it: else folding falls behind until the store has let go of what it needs. */
  async #keepUp(openedCount: number): Promise<void> {
    if (this.#folded.lateMs < this.#limits.lateMsMax) return;
    this.#counts.slowed_bodies_total += 1;
    await this.#foldInSlices(openedCount * 2, () => this.#nextDue());
  }

  #nextDue(): number {
    const due = this.#folded.nextDue();
    if (due >= 0 || this.#folded.openCount <= this.#limits.openTracesMax * 0.75) return due;
    const early = this.#folded.nextOpen();
    if (early >= 0) this.#counts.early_folds_total += 1;
    return early;
  }

  /** A question is about everything that has arrived; what is still open joins in, as far as that takes no time. */
  async #foldForQuery(): Promise<void> {
    await this.#foldInSlices(this.#limits.foldOnQueryMax, () => this.#folded.nextOpen());
  }

  /** Answers how many there were. */
  async #foldInSlices(countMax: number, next: () => number): Promise<number> {
    this.#foldRuns += 1;
    try {
      return await this.#foldEach(countMax, () => (this.#isStopped ? -1 : next()));
    } finally {
      this.#foldRuns -= 1;
    }
  }

  async #foldEach(countMax: number, next: () => number): Promise<number> {
    let sliceEnd = this.#sliceEnd();
    for (let count = 1; count <= countMax; count += 1) {
      const entry = next();
      if (entry < 0) return count - 1;
      try {
        await this.#folded.fold(entry);
      } catch (fault) {
        this.#counts.fold_faults_total += 1;
        this.#onFault(fault);
      }
      if (this.#clock.monotonicMs() < sliceEnd && count % 256 !== 0) continue;
      await this.#giveWay();
      sliceEnd = this.#sliceEnd();
    }
    return countMax;
  }

  /** Makes a long answer piece by piece; others have their turn in between. */
  async #mapInSlices<Item, Result>(items: readonly Item[], map: (item: Item) => Result): Promise<Result[]> {
    const results: Result[] = [];
    let sliceEnd = this.#sliceEnd();
    for (const item of items) {
      results.push(map(item));
      if (this.#clock.monotonicMs() < sliceEnd) continue;
      await nextTurn();
      sliceEnd = this.#sliceEnd();
    }
    return results;
  }

  /** When work that goes on has to let others have a turn. */
  #sliceEnd(): number {
    return this.#clock.monotonicMs() + this.#limits.sliceMs;
  }
}
