import { setImmediate as nextTurn } from "node:timers/promises";
import {
  studyWindow,
  type WindowOptions,
  type WindowStudy,
  type WindowSums,
  windowReport,
} from "../analysis/analyze-window.ts";
import type { WindowReport } from "../analysis/report.ts";
import type { Scope } from "../analysis/scope.ts";
import { metricDelayNanos } from "../model/scoring.ts";
import { minuteOf, startOfMinute, type UnixNanos } from "../model/time.ts";
import { OperationError } from "./errors/operation-error.ts";
import type { FoldedTraces } from "./folded-traces.ts";
import type { TimeWindow, WindowReportOptions } from "./ports.ts";

/** How long the healthy time before a window is, and how much before the window it ends: faults begin before they are seen. */
const usualNanos = 3_600_000_000_000n;
const guardNanos = 300_000_000_000n;
/**
 * Metrics of this time before a window say what was usual, where its healthy time has few; and of a long healthy time, those
 * of the end say as much as all: medians of some thirty points.
 */
const metricLeadMinutes = 10;
const metricUsualMinutes = 15;

/** What a window is compared with where nobody says it. */
export function usualTimeBefore({ from }: TimeWindow): TimeWindow {
  const to = from > guardNanos ? from - guardNanos : 0n;
  return { from: (to > usualNanos ? to - usualNanos : 0n) as UnixNanos, to: to as UnixNanos };
}

/** A window and the time that it is compared with; null = nothing was to be compared, or there is no trace of that time. */
export interface ComparedTimes {
  readonly window: TimeWindow;
  readonly baseline: TimeWindow | null;
}

interface ComparedSums {
  readonly window: WindowSums;
  readonly baseline: WindowSums | null;
}

/** First and last minute. */
interface MinuteRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Compares windows of what is kept. Everything comes from sums by the minute, so no trace is read; the first and the last
 * minute of a window count whole.
 */
export class Windows {
  readonly #folded: FoldedTraces;

  constructor(folded: FoldedTraces) {
    this.#folded = folded;
  }

  /** Rejects with `service_not_found` for a failed service that the window does not know. */
  async report({ language, failedService, ...times }: WindowReportOptions): Promise<WindowReport> {
    const study = await this.study(times, failedService === undefined ? {} : { failedService });
    await nextTurn();
    return windowReport(study, language);
  }

  async study(
    times: ComparedTimes,
    options: Pick<WindowOptions, "failedService" | "about"> = {},
  ): Promise<WindowStudy> {
    const { failedService } = options;
    const { window, baseline } = this.#sums(times);
    if (failedService !== undefined && window.scope.red.service(failedService) === undefined)
      throw new OperationError(
        "service_not_found",
        `No service ${failedService} in this window`,
        "/api/v1/services lists what there is; names are case-sensitive.",
      );
    await nextTurn();
    return studyWindow(window, baseline, { window: wholeMinutes(minutesOf(times.window)), ...options });
  }

  /** Both at once: names must not change between them. */
  #sums({ window, baseline }: ComparedTimes): ComparedSums {
    const { compared } = this.#folded;
    const minutes = minutesOf(window);
    const usual = baseline === null ? null : usualMinutes(baseline, minutes);
    const scope = this.#scopeOf(minutes);
    const usualScope = usual === null ? null : this.#scopeOf(usual);
    const isCompared = usual !== null && usualScope !== null && usualScope.totals.traces > 0;
    const courses = compared.courses(metricTimes(minutes, isCompared ? usual : null), scope);
    return {
      window: compared.window({ ...minutes, scope }, courses),
      baseline: isCompared ? compared.window({ ...usual, scope: usualScope }, courses) : null,
    };
  }

  #scopeOf(minutes: MinuteRange): Scope {
    return this.#folded.scope(wholeMinutes(minutes));
  }
}

/** When metrics are looked at. */
function metricTimes(window: MinuteRange, usual: MinuteRange | null): readonly TimeWindow[] {
  const { to } = wholeMinutes(window);
  const during = {
    from: startOfMinute(Math.max(0, window.from - metricLeadMinutes)),
    to: (to + BigInt(metricDelayNanos)) as UnixNanos,
  };
  if (usual === null) return [during];
  return [during, wholeMinutes({ ...usual, from: Math.max(usual.from, usual.to - metricUsualMinutes) })];
}

function minutesOf({ from, to }: TimeWindow): MinuteRange {
  return { from: minuteOf(from), to: minuteOf(to) };
}

function wholeMinutes({ from, to }: MinuteRange): TimeWindow {
  return { from: startOfMinute(from), to: (startOfMinute(to + 1) - 1n) as UnixNanos };
}

/** A healthy time that ends where the window begins does not share its first minute. */
function usualMinutes(baseline: TimeWindow, window: MinuteRange): MinuteRange {
  const { from, to } = minutesOf(baseline);
  const isBefore = from < window.from && to === window.from;
  return { from, to: isBefore ? to - 1 : to };
}
