import {
  analyzeWindow,
  WindowRollup,
  type WindowRollupOptions,
  type WindowSums,
} from "../analysis/analyze-window.ts";
import type { WindowReport } from "../analysis/report.ts";
import type { Scope } from "../analysis/scope.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { RankerName } from "../evaluation/ranker-names.ts";
import type { CaseWindows, TimeRange } from "../evaluation/truth.ts";
import { VisitRollup } from "../evaluation/visits.ts";
import { type CaseFigures, figuresOf, type WindowFigures } from "../evaluation/window-figures.ts";
import { readTelemetry } from "../formats/read-telemetry.ts";
import { rawNaming } from "../model/service-directory.ts";
import { identityOf } from "../model/service-identity.ts";
import { errorSeverityMin, type LogRecord, type MetricPoint } from "../model/telemetry.ts";
import type { UnixNanos } from "../model/time.ts";
import type { Trace } from "../trace/trace.ts";
import { foldFiles, noBounds, type TimeBounds } from "./analyze-files.ts";
import { answerOf, noSideFigures, noteLeftOut, sideFiguresOf, type TimedAnswer } from "./case-answer.ts";
import { type CommandRun, noteProblem } from "./command.ts";
import type { CaseFile } from "./evaluation-cases.ts";

/** What the analysis of a window is given: files and instants, nothing that names what is right. */
export interface WindowCase {
  readonly incidentFile: string;
  readonly files: Readonly<Partial<Record<CaseFile, string>>>;
  readonly windows: CaseWindows;
  readonly asked: readonly RankerName[];
}

/** Analyses one window as `analyze` does, and asks the simple rules. Everything that it read can be forgotten afterwards. */
export async function answerWindow(run: CommandRun, input: WindowCase): Promise<TimedAnswer> {
  const startedAt = performance.now();
  const read = await readWindow(run, input);
  const report = reportOf(read);
  const seconds = (performance.now() - startedAt) / 1000;
  return {
    answer: answerOf(report, { names: input.asked, figures: read.figures }),
    signals: read.signals,
    seconds,
  };
}

/** A case as it was read: its report can be made again and again. */
interface ReadWindow {
  readonly sums: WindowSums;
  readonly usual: WindowSums | null;
  readonly range: TimeRange | null;
  readonly signals: readonly string[];
  readonly figures: () => CaseFigures;
}

export async function readWindow(run: CommandRun, input: WindowCase): Promise<ReadWindow> {
  const { windows } = input;
  const sides = await readSides(run, input);
  const { incident, baseline } = sides;
  const range = windows.incident ?? incident.extent();
  await readOthers(run, input, {
    // the course of a metric before the incident says what was usual
    points: (points) => incident.rollup.addMetricCourses(points),
    sideOf: (time) => sideAt(time, { ...windows, incident: range }, sides),
  });
  const sums = incident.rollup.window(boundsOf(range));
  const usual = baseline?.rollup.window(boundsOf(windows.baseline)) ?? null;
  const figures = (): CaseFigures => ({
    incident: incident.figures(run, sums.scope),
    baseline:
      baseline === null || usual === null ? figuresOf([], noSideFigures) : baseline.figures(run, usual.scope),
  });
  const signals = ["traces", "metrics", "logs"].filter(
    (signal) => incident.has.has(signal) || baseline?.has.has(signal) === true,
  );
  return { sums, usual, range, signals, figures };
}

export function reportOf({ sums, usual, range }: ReadWindow): WindowReport {
  return analyzeWindow(sums, usual, {
    language: "en",
    ...(range === null ? {} : { window: { from: range.from as UnixNanos, to: range.to as UnixNanos } }),
  });
}

/** Both sides of a case; null = there is nothing to compare with. */
interface Sides {
  readonly incident: Side;
  readonly baseline: Side | null;
}

/** The traces of both sides. A case without a baseline of its own is compared with what `--baseline` names. */
async function readSides(
  run: CommandRun,
  { incidentFile, files, windows, asked }: WindowCase,
): Promise<Sides> {
  const before = files.baseline === undefined ? run.settings.baseline : [files.baseline];
  const logsComeLast = files.logs !== undefined && run.settings.signals.includes("logs");
  const incident = new Side(asked.length > 0, { isCompared: before !== null, logsComeLast });
  await incident.read(run, [incidentFile], boundsOf(windows.incident));
  if (run.settings.signals.includes("traces") && !incident.has.has("traces"))
    throw new OperationError(
      "input_unreadable",
      "no trace of incident.jsonl.gz starts within windows.incident",
      "Compare the times in truth.json with those of the spans.",
    );
  if (before === null) return { incident, baseline: null };
  const { directory } = incident.rollup;
  const baseline = new Side(asked.length > 0, { directory, logsComeLast });
  const isOwn = files.baseline !== undefined;
  await baseline.read(run, before, isOwn ? boundsOf(windows.baseline) : [noBounds]);
  return { incident, baseline };
}

/** Instants of a window as bounds; null = no bounds. */
function boundsOf(ranges: TimeRange | readonly TimeRange[] | null): readonly TimeBounds[] {
  if (ranges === null) return [noBounds];
  return [ranges].flat().map(({ from, to }) => ({ from: from as UnixNanos, to: to as UnixNanos }));
}

/** One side of a case while it is read. */
class Side {
  readonly rollup: WindowRollup;
  /** the kinds of telemetry that came */
  readonly has = new Set<string>();
  readonly #visits: VisitRollup | null;
  /** by raw key */
  readonly #errorLogs = new Map<string, number>();

  constructor(keepsVisits: boolean, options: WindowRollupOptions) {
    this.rollup = new WindowRollup(options);
    this.#visits = keepsVisits ? new VisitRollup() : null;
  }

  async read(run: CommandRun, inputs: readonly string[], bounds: readonly TimeBounds[]): Promise<void> {
    const onTrace = (trace: Trace): void => {
      this.has.add("traces");
      this.#visits?.add(trace);
    };
    await foldFiles(run, inputs, { rollup: this.rollup, bounds, onTrace, window: this.rollup });
  }

  addPoint(point: MetricPoint): void {
    this.has.add("metrics");
    this.rollup.addMetricPoints([point]);
  }

  addLog(record: LogRecord): void {
    const { resource, severityNumber } = record;
    this.has.add("logs");
    this.rollup.addLogRecords([record]);
    if (severityNumber < errorSeverityMin) return;
    const key = rawNaming.nameOf(identityOf(resource));
    this.#errorLogs.set(key, (this.#errorLogs.get(key) ?? 0) + 1);
  }

  /** From the first to the last start of a trace, to the minute. */
  extent(): TimeRange | null {
    const { from, to } = this.rollup.scope(null).totals;
    return from === null || to === null ? null : { from, to };
  }

  figures(run: CommandRun, scope: Scope): WindowFigures {
    const { directory } = scope;
    if (this.#visits !== null) noteLeftOut(run, this.#visits);
    return figuresOf(this.#visits?.read(directory) ?? [], {
      ...sideFiguresOf(scope),
      errorLogs: new Map([...this.#errorLogs].map(([key, count]) => [directory.nameOfKey(key), count])),
    });
  }
}

interface OtherUse {
  readonly points: (points: readonly MetricPoint[]) => void;
  readonly sideOf: (time: bigint) => Side | null;
}

/** Metrics and logs of both sides are in one file each: their times tell which side they belong to. */
async function readOthers(
  run: CommandRun,
  { files }: WindowCase,
  { points: useAll, sideOf }: OtherUse,
): Promise<void> {
  const wanted = (["metrics", "logs"] as const).filter((signal) => run.settings.signals.includes(signal));
  const inputs = wanted.map((signal) => files[signal]).filter((path) => path !== undefined);
  if (inputs.length === 0) return;
  await readTelemetry(inputs, {
    traces() {},
    metrics(points) {
      if (!wanted.includes("metrics")) return;
      useAll(points);
      for (const point of points) sideOf(point.time)?.addPoint(point);
    },
    logs(records) {
      if (wanted.includes("logs")) for (const record of records) sideOf(timeOfLog(record))?.addLog(record);
    },
    problem: (problem) => noteProblem(run, problem),
  });
}

/** When it was written, or at least seen. */
function timeOfLog({ time, observedTime }: LogRecord): bigint {
  return time === 0n ? observedTime : time;
}

/** The incident wins; what was before it belongs to the baseline, as does all within the baseline's own windows. */
function sideAt(time: bigint, { incident, baseline }: CaseWindows, sides: Sides): Side | null {
  if (incident === null) return sides.incident;
  if (time >= incident.from && time <= incident.to) return sides.incident;
  const isUsual = time < incident.from || baseline?.some(({ from, to }) => time >= from && time <= to);
  return isUsual === true ? sides.baseline : null;
}
