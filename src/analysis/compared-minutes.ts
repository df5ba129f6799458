import { BlameRollup } from "../cascade/blame.ts";
import { LogRollup } from "../cascade/log-lines.ts";
import { LogTemplates } from "../cascade/log-template.ts";
import { StepWindow } from "../cascade/step-window.ts";
import { keepsLines } from "../cascade/thinned-alike.ts";
import { VisitRollup } from "../cascade/visit-rollup.ts";
import { type MetricCourse, MetricRollup } from "../metrics/metric-courses.ts";
import { Minutes } from "../model/minutes.ts";
import { mergeProblems } from "../model/problems.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { minuteOf, startOfMinute, type TimeRange, type UnixNanos } from "../model/time.ts";
import type { TraceCalls } from "../trace/calls.ts";
import type { Trace } from "../trace/trace.ts";
import { signalProblems, type WindowSums } from "./analyze-window.ts";
import { type Scope, senderNames } from "./scope.ts";

export interface ComparedMinutesLimits {
  /** Visits of one minute that are kept, of more see `FairShares`; and log lines, of more those of an even choice of traces. */
  readonly minuteVisitsMax: number;
  readonly minuteLogLinesMax: number;
  /** Points of metrics that are kept in all; of more, the oldest quarter goes, counted. */
  readonly metricPointsMax: number;
  /** Visits of a window that are compared; of more, see `FairShares`. */
  readonly windowVisitsMax: number;
}

/** What is asked of the sums: whole minutes, first and last one. */
export interface MinuteWindow {
  readonly from: number;
  readonly to: number;
  /** graph and metrics of these minutes */
  readonly scope: Scope;
}

/**
 * What windows are compared by, as sums of each minute: whose failures, which visits, which log lines, and the courses of
 * metrics. The sums of a window are those of its minutes put together, so that it need not be read again. Failures and
 * requests are exact; of visits and lines a bounded number of traces is kept whole. Traces are counted where they start.
 */
export class ComparedMinutes {
  readonly #limits: ComparedMinutesLimits;
  readonly #minutes: Minutes<MinuteSums>;
  readonly #courses = new MetricRollup();
  /** points by minute */
  readonly #coursePoints = new Map<number, number>();
  #forgottenPoints = 0;
  #templates = new LogTemplates();

  constructor(limits: ComparedMinutesLimits) {
    this.#limits = limits;
    this.#minutes = new Minutes(() => new MinuteSums(limits, this.#templatesWithRoom()));
  }

  /** Points of metrics that went before their minute did, and lines that never came in for lack of room. */
  get forgottenPoints(): number {
    return this.#forgottenPoints + this.#courses.droppedPoints;
  }

  addTrace(trace: Trace, calls: TraceCalls): void {
    const sums = this.#minutes.cellFor(minuteOf(trace.startTime));
    sums?.blame.add(trace);
    sums?.visits.add(trace, calls);
  }

  /** Takes back a trace as it was added. */
  removeTrace(trace: Trace): void {
    const sums = this.#minutes.find(minuteOf(trace.startTime));
    sums?.blame.remove(trace);
    sums?.visits.remove(trace);
  }

  /** `minute` = in which all of them were written. */
  addLogRecords(minute: number, records: Iterable<LogRecord>): void {
    this.#minutes.cellFor(minute)?.logs.add(records);
  }

  /** `minute` = in which all of them were measured. */
  addMetricPoints(minute: number, points: readonly MetricPoint[]): void {
    const before = this.#courses.pointCount;
    this.#courses.add(points);
    const added = this.#courses.pointCount - before;
    this.#coursePoints.set(minute, (this.#coursePoints.get(minute) ?? 0) + added);
    if (this.#courses.pointCount > this.#limits.metricPointsMax) this.#forgetPoints();
  }

  /** What all minutes take in memory, roughly. */
  compact(oldBefore: number): number {
    return this.#minutes.compact(oldBefore, (sums) => sums.byteLength) + this.#courses.byteLength;
  }

  /** Forgets what happened before a minute, and ignores it from now on. */
  dropBefore(minute: number): void {
    this.#minutes.dropBefore(minute);
    this.#courses.dropBefore(startOfMinute(minute));
    for (const known of this.#coursePoints.keys()) if (known < minute) this.#coursePoints.delete(known);
  }

  /** All there is of some minutes. `courses` = of metrics, of the window and the time before it. */
  window({ from, to, scope }: MinuteWindow, courses: readonly MetricCourse[]): WindowSums {
    const parts = this.#minutes.within(from, to).map(([, sums]) => sums);
    const { directory } = scope;
    const logs = parts.map((part) => part.logs);
    const visits = VisitRollup.readAll(
      parts.map((part) => part.visits),
      directory,
      { joinsLogs: true, capacity: this.#limits.windowVisitsMax },
    );
    const left = {
      linesWithoutTrace: logs.reduce((sum, { linesWithoutTrace }) => sum + linesWithoutTrace, 0),
      droppedLines: logs.reduce((sum, { droppedLines }) => sum + droppedLines, 0),
      droppedPoints: this.forgottenPoints,
    };
    return {
      scope: { ...scope, problems: mergeProblems([...scope.problems, ...signalProblems(left)]) },
      blame: BlameRollup.readAll(
        parts.map((part) => part.blame),
        directory,
      ),
      visits,
      logLines: LogRollup.readAll(logs, {
        ...senderNames(scope),
        ranges: null,
        isTraceKept: keepsLines(visits),
      }),
      metrics: {
        courses,
        ranges: [{ from: startOfMinute(from), to: (startOfMinute(to + 1) - 1n) as UnixNanos }],
      },
    };
  }

  /** What the requests of the minutes from `from` to `to` do that are kept, both included; null = no end on that side. */
  steps(from: number | null, to: number | null, directory: ServiceDirectory): StepWindow {
    const minutes = this.#minutes.within(from, to);
    return new StepWindow(() => minutes.map(([, { visits }]) => visits.plainVisits()), directory);
  }

  /** The courses of all metrics within some times, by the names that a scope knows. */
  courses(ranges: readonly TimeRange[], scope: Scope): readonly MetricCourse[] {
    return this.#courses.read(senderNames(scope), ranges);
  }

  /** The oldest quarter of all points goes, by whole minutes. */
  #forgetPoints(): void {
    const before = this.#courses.pointCount;
    let older = 0;
    for (const [minute, count] of [...this.#coursePoints].sort(([a], [b]) => a - b)) {
      if (older * 4 >= before) {
        this.#courses.dropBefore(startOfMinute(minute));
        break;
      }
      older += count;
      this.#coursePoints.delete(minute);
    }
    this.#forgottenPoints += before - this.#courses.pointCount;
  }

  /** Programs change: what is full makes way for what comes now. */
  #templatesWithRoom(): LogTemplates {
    if (this.#templates.isFull) this.#templates = new LogTemplates();
    return this.#templates;
  }
}

/** Of the room of a minute, what one trace may take: a job is no sample of requests. */
const traceShareMax = 1 / 4;

/** What traces that start in one minute, and lines that were written in it, add up to. */
class MinuteSums {
  readonly blame = new BlameRollup();
  readonly visits: VisitRollup;
  readonly logs: LogRollup;

  constructor({ minuteVisitsMax, minuteLogLinesMax }: ComparedMinutesLimits, templates: LogTemplates) {
    this.visits = new VisitRollup({
      joinsLogs: true,
      capacity: minuteVisitsMax,
      traceVisitsMax: minuteVisitsMax * traceShareMax,
    });
    this.logs = new LogRollup({ capacity: minuteLogLinesMax, templates });
  }

  get byteLength(): number {
    return this.blame.byteLength + this.visits.byteLength + this.logs.byteLength;
  }
}
