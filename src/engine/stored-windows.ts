import { setImmediate as nextTurn } from "node:timers/promises";
import { analyzeWindow, WindowRollup, type WindowSums } from "../analysis/analyze-window.ts";
import type { WindowReport } from "../analysis/report.ts";
import type { TraceId } from "../model/ids.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { UnixNanos } from "../model/time.ts";
import { groupByTrace } from "../trace/group-rows.ts";
import { OperationError } from "./errors/operation-error.ts";
import type { FoldedTraces } from "./folded-traces.ts";
import type { EngineLimits } from "./limits.ts";
import type { Clock, TelemetryStore, TimeWindow, TraceSummary, WindowReportOptions } from "./ports.ts";

/** How long the healthy time before a window is, and how much before the window it ends: faults begin before they are seen. */
const usualNanos = 3_600_000_000_000n;
const guardNanos = 300_000_000_000n;

/** What a window is compared with where nobody says it. */
export function usualTimeBefore({ from }: TimeWindow): TimeWindow {
  const to = from > guardNanos ? from - guardNanos : 0n;
  return { from: (to > usualNanos ? to - usualNanos : 0n) as UnixNanos, to: to as UnixNanos };
}

/** Summaries that are asked for at once. */
const pageMax = 1_000;

export interface StoredWindowsOptions {
  readonly store: TelemetryStore;
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly folded: FoldedTraces;
}

/**
 * Reports of whole windows of what is kept: the traces that start in them are read again, so that a window may begin and
 * end anywhere and is analysed exactly as the same spans in a file would be.
 */
export class StoredWindows {
  readonly #store: TelemetryStore;
  readonly #clock: Clock;
  readonly #limits: EngineLimits;
  readonly #folded: FoldedTraces;

  constructor({ store, clock, limits, folded }: StoredWindowsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
    this.#folded = folded;
  }

  /** Rejects with `service_not_found` for a failed service that the window does not know. */
  async report({ window, baseline, language, failedService }: WindowReportOptions): Promise<WindowReport> {
    const usual = baseline === null ? null : await this.usualSums(baseline);
    const sums = await this.sums(window, { isCompared: usual !== null });
    if (failedService !== undefined && sums.scope.red.service(failedService) === undefined)
      throw new OperationError(
        "service_not_found",
        `No service ${failedService} in this window`,
        "/api/v1/services lists what there is; names are case-sensitive.",
      );
    await nextTurn();
    const failed = failedService === undefined ? {} : { failedService };
    return analyzeWindow(sums, usual, { language, window, ...failed });
  }

  /** What a healthy time is compared by; null where no trace starts in it. */
  async usualSums(window: TimeWindow, spansMax = this.#limits.windowSpansMax): Promise<WindowSums | null> {
    const sums = await this.sums(window, { isCompared: true, spansMax });
    return sums.scope.totals.traces === 0 ? null : sums;
  }

  /** The traces that start in a window, added up; of more spans than `spansMax` an even choice of traces. */
  async sums(
    window: TimeWindow,
    {
      isCompared,
      spansMax = this.#limits.windowSpansMax,
    }: { readonly isCompared: boolean; readonly spansMax?: number },
  ): Promise<WindowSums> {
    const rollup = new WindowRollup({ isCompared, ...this.#folded.shared });
    const summaries = await this.#summariesOf(window);
    const total = summaries.length;
    const chosen = this.#choose(summaries, spansMax);
    const tables: SpanTable[] = [];
    for await (const table of this.#store.readTables(chosen)) tables.push(table);
    if (chosen.length < total)
      rollup.addProblems([
        {
          kind: "sampled",
          message: `The window holds ${total} traces: every figure is of an even choice of ${chosen.length}`,
          count: total - chosen.length,
          spans: [],
        },
      ]);
    await this.#fold(rollup, { tables, chosen: new Set(chosen), window });
    return rollup.window();
  }

  async #summariesOf({ from, to }: TimeWindow): Promise<readonly TraceSummary[]> {
    const summaries: TraceSummary[] = [];
    let cursor: string | null = null;
    do {
      const after: { cursor?: string } = cursor === null ? {} : { cursor };
      const page = await this.#store.search({ from, to, limit: pageMax, ...after });
      summaries.push(...page.summaries);
      cursor = page.cursor;
      await nextTurn();
    } while (cursor !== null);
    return summaries;
  }

  /** Ids of traces are random, at least in their last digits: the smallest there are as good a choice as any, and always the same. */
  #choose(summaries: readonly TraceSummary[], spansMax: number): readonly TraceId[] {
    const { windowTracesMax } = this.#limits;
    const inOrder = summaries.map(({ traceId, spanCount }) => ({ traceId, spanCount, key: keyOf(traceId) }));
    inOrder.sort((a, b) => (a.key < b.key ? -1 : 1));
    const chosen: TraceId[] = [];
    let spans = 0;
    for (const { traceId, spanCount } of inOrder) {
      if (chosen.length >= windowTracesMax || (chosen.length > 0 && spans + spanCount > spansMax)) break;
      chosen.push(traceId);
      spans += spanCount;
    }
    return chosen;
  }

  async #fold(
    rollup: WindowRollup,
    {
      tables,
      chosen,
      window,
    }: {
      readonly tables: readonly SpanTable[];
      readonly chosen: ReadonlySet<TraceId>;
      readonly window: TimeWindow;
    },
  ): Promise<void> {
    await nextTurn();
    const groups = groupByTrace(tables);
    const slice = (): number => this.#clock.monotonicMs() + this.#limits.sliceMs;
    let sliceEnd = slice();
    for (let i = 0; i < groups.count; i += 1) {
      if (!chosen.has(groups.traceIdOf(i))) continue;
      const episodes = await this.#folded.assemble(groups.rowsOf(i));
      for (const trace of episodes)
        if (episodes.length === 1 || (trace.startTime >= window.from && trace.startTime <= window.to))
          rollup.addTrace(trace);
      if (this.#clock.monotonicMs() < sliceEnd) continue;
      await nextTurn();
      sliceEnd = slice();
    }
  }
}

/** The second half first: some senders begin their ids with the time. */
function keyOf(traceId: TraceId): string {
  return `${traceId.slice(16)}${traceId.slice(0, 16)}`;
}
