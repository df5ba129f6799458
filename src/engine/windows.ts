import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type ChosenBaseline,
  studyWindow,
  type WindowOptions,
  type WindowStudy,
  type WindowSums,
  windowReport,
} from "../analysis/analyze-window.ts";
import { findChangePoint } from "../analysis/change-point.ts";
import type { WindowReport } from "../analysis/report.ts";
import type { Scope } from "../analysis/scope.ts";
import { metricDelayNanos } from "../model/scoring.ts";
import { minuteOf, startOfMinute, type UnixNanos } from "../model/time.ts";
import { OperationError } from "./errors/operation-error.ts";
import { type FoldedTraces, inTurns } from "./folded-traces.ts";
import type { TimeWindow, WindowReportOptions } from "./ports.ts";

/** How long the healthy time before a window is, and how much before the window it ends: faults begin before they are seen. */
const usualMinutesMax = 60;
const guardMinutes = 5;
/**
 * Metrics of this time before a window say what was usual, where its healthy time has few; and of a long healthy time, those
 * of the end say as much as all: medians of some thirty points.
 */
const metricLeadMinutes = 10;
const metricUsualMinutes = 15;

/** A window and the time that it is compared with; null = nothing is to be compared. */
export interface ComparedTimes {
  readonly window: TimeWindow;
  readonly baseline: TimeWindow | null;
}

type StudyOptions = Pick<WindowOptions, "failedService" | "about" | "chosenBaseline">;

/** A baseline is told by the minutes in which it has traces. */
const asFound = { from: null, to: null } as const;

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
  async report({ language, failedService, window, baseline }: WindowReportOptions): Promise<WindowReport> {
    const options = failedService === undefined ? {} : { failedService };
    if (failedService !== undefined) this.#checkService(failedService, minutesOf(window));
    const study =
      baseline === undefined
        ? await this.#againstItsPast(window, options)
        : await this.study({ window, baseline }, options);
    await nextTurn();
    return windowReport(study, language);
  }

  async study(times: ComparedTimes, options: StudyOptions = {}): Promise<WindowStudy> {
    const { window, baseline } = this.#sums(times);
    await nextTurn();
    return studyWindow(window, baseline, { window: wholeMinutes(minutesOf(times.window)), ...options });
  }

  /**
   * Compares a window with what was before it; where nothing was, as in files, a calm part of the window with the rest, if that
   * finds who is to blame.
   */
  async #againstItsPast(window: TimeWindow, options: StudyOptions): Promise<WindowStudy> {
    const before = this.#timeBefore(minutesOf(window));
    if (before !== null)
      return this.study({ window, baseline: before.time }, { ...options, chosenBaseline: before.chosen });
    const minutes = wholeMinutes(minutesOf(window));
    const change = await inTurns(findChangePoint(this.#folded, minutes));
    if (change !== null) {
      const { calmUntil, anomaly } = change;
      const { kind: sign, ...where } = anomaly;
      const study = await this.study(
        {
          window: { from: (calmUntil + 1n) as UnixNanos, to: minutes.to },
          baseline: { from: minutes.from, to: calmUntil },
        },
        {
          ...options,
          chosenBaseline: { bounds: asFound, choice: { ...where, kind: "before_change", sign } },
        },
      );
      if (study.evidence.candidates.length > 0) return study;
    }
    return this.study({ window, baseline: null }, options);
  }

  /**
   * The hour before a window, without its end where that leaves more than it takes; null = there is no trace of that time.
   */
  #timeBefore({ from }: MinuteRange): { readonly time: TimeWindow; readonly chosen: ChosenBaseline } | null {
    for (const guard of [guardMinutes, 0]) {
      const last = from - guard - 1;
      if (last < 0) continue;
      const minutes = { from: Math.max(0, last - usualMinutesMax + 1), to: last };
      const first = this.#scopeOf(minutes).totals.from;
      if (first === null || last - minuteOf(first) < guard) continue;
      const choice = { kind: "hour_before", guardMinutes: guard } as const;
      return { time: wholeMinutes(minutes), chosen: { bounds: asFound, choice } };
    }
    return null;
  }

  #checkService(name: string, minutes: MinuteRange): void {
    if (this.#scopeOf(minutes).red.service(name) !== undefined) return;
    throw new OperationError(
      "service_not_found",
      `No service ${name} in this window`,
      "/api/v1/services lists what there is; names are case-sensitive.",
    );
  }

  /** Both at once: names must not change between them. */
  #sums({ window, baseline }: ComparedTimes): ComparedSums {
    const { compared } = this.#folded;
    const minutes = minutesOf(window);
    const usual = baseline === null ? null : usualMinutes(baseline, minutes);
    const scope = this.#scopeOf(minutes);
    const courses = compared.courses(metricTimes(minutes, usual), scope);
    return {
      window: compared.window({ ...minutes, scope }, courses),
      baseline: usual === null ? null : compared.window({ ...usual, scope: this.#scopeOf(usual) }, courses),
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

/** Minutes count whole, but of one that only begins where the time ends nothing was meant. */
function minutesOf({ from, to }: TimeWindow): MinuteRange {
  const first = minuteOf(from);
  return { from: first, to: to > from ? minuteOf((to - 1n) as UnixNanos) : first };
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
