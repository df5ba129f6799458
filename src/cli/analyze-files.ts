import { problemsIn } from "../advice/problem-texts.ts";
import { analyzeTrace, servicesOf } from "../analysis/analyze-trace.ts";
import type { WindowBounds, WindowRollup } from "../analysis/analyze-window.ts";
import type { StructuralReport, TraceReport } from "../analysis/report.ts";
import type { ScopeRollup } from "../analysis/scope.ts";
import { OperationError, unknownEpisode } from "../engine/errors/operation-error.ts";
import { readTelemetry } from "../formats/read-telemetry.ts";
import { repairTimes } from "../formats/repair-times.ts";
import { TraceBuffer } from "../formats/trace-buffer.ts";
import type { AttributeNames } from "../model/attributes.ts";
import type { TraceId } from "../model/ids.ts";
import { mergeProblems, type Problem } from "../model/problems.ts";
import { meaningfulAttributes } from "../model/semconv.ts";
import { rawNaming, ServiceDirectory } from "../model/service-directory.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import type { UnixNanos } from "../model/time.ts";
import { resolveTime } from "../model/time-point.ts";
import type { AssemblyOptions } from "../trace/assemble.ts";
import { assembleEpisodes, episodeToShow } from "../trace/episodes.ts";
import { groupByTrace } from "../trace/group-rows.ts";
import type { Trace } from "../trace/trace.ts";
import { type CommandRun, noteProblem } from "./command.ts";
import { type Progress, showProgress } from "./progress.ts";

/** The spans of files, still at hand by trace id, and what they add up to. */
export interface LoadedFiles {
  readonly buffer: TraceBuffer;
  readonly rollup: ScopeRollup;
  /** a few ids, for hints */
  readonly someTraceIds: readonly string[];
  readonly traceCount: number;
}

/** Which part of the files counts. */
export type TimeBounds = WindowBounds;

export const noBounds: TimeBounds = { from: null, to: null };

/** Where the spans of files are added up, and which of them. */
interface Fold {
  readonly rollup: ScopeRollup;
  /** what lies within any of them counts */
  readonly bounds: readonly TimeBounds[];
  /** sees each trace that counts, named by raw keys */
  readonly onTrace?: (trace: Trace) => void;
  /** where logs are kept, and of the first part metrics of all times; null = nothing is compared with them */
  readonly window: WindowRollup | null;
}

/** Parts of the same files, with one directory of services. What was wrong with the files is told of the first. */
type Folds = readonly [Fold, ...Fold[]];

type Assembly = Pick<AssemblyOptions, "spansMax" | "redacts">;

/** How traces of files are put together. */
function assemblyOf({ settings }: CommandRun): Assembly {
  return { spansMax: settings.trace_spans, redacts: settings.redact };
}

/** The names of everything that one run compares with each other. */
export function newDirectory({ settings }: CommandRun): ServiceDirectory {
  return new ServiceDirectory(settings.services);
}

/** Reads files into sums. What was wrong with them goes to standard error and into the sums' problems. */
export async function foldFiles(run: CommandRun, inputs: readonly string[], ...folds: Folds): Promise<void> {
  const { buffer } = await readFiles(run, inputs, folds, meaningfulAttributes);
  await buffer.dispose();
}

/** The same, and keeps the spans for questions about single traces. */
export function loadFiles(run: CommandRun, inputs: readonly string[], ...folds: Folds): Promise<LoadedFiles> {
  return readFiles(run, inputs, folds, null);
}

async function readFiles(
  run: CommandRun,
  inputs: readonly string[],
  folds: Folds,
  attributes: AttributeNames | null,
): Promise<LoadedFiles> {
  const { signals } = run.settings;
  const [{ rollup, window }] = folds;
  const use: FileUse = {
    observe(table) {
      rollup.addProblems(repairTimes(table));
      rollup.observe(table);
    },
    metrics: (points) => {
      if (!signals.includes("metrics")) return;
      for (const fold of folds) fold.rollup.addMetricPoints(pointsWithin(points, fold.bounds));
      window?.addMetricCourses(points);
    },
    logs: (records) => {
      if (signals.includes("logs")) for (const fold of folds) fold.window?.addLogRecords(records);
    },
    problem: (problem) => rollup.addProblems([problem]),
  };
  const buffer = await bufferSpans(run, inputs, use, attributes);
  try {
    if (!buffer.hasLinks) for (const fold of folds) fold.rollup.expectNoLinks();
    const folded = await foldTraces(folds, {
      buffer,
      assembly: assemblyOf(run),
      progress: showProgress(run, "analysing"),
    });
    return { buffer, rollup, ...folded };
  } catch (error) {
    await buffer.dispose();
    throw error;
  }
}

/** Who is told what of files while they are read. */
export interface FileUse {
  /** spans, on their way into the buffer */
  observe(table: SpanTable): void;
  metrics(points: readonly MetricPoint[]): void;
  logs(records: readonly LogRecord[]): void;
  problem(problem: Problem): void;
}

/** All spans of files, at hand by trace id until the buffer is disposed of. `attributes` = those that are kept; null = all. */
export async function bufferSpans(
  run: CommandRun,
  inputs: readonly string[],
  use: FileUse,
  attributes: AttributeNames | null,
): Promise<TraceBuffer> {
  const { signals, memory_budget: budgetBytes } = run.settings;
  const buffer = new TraceBuffer({ budgetBytes });
  const progress = showProgress(run, "reading");
  try {
    await readTelemetry(
      inputs,
      {
        async traces(table: SpanTable) {
          if (!signals.includes("traces")) return;
          use.observe(table);
          await buffer.add(table);
        },
        metrics: (points) => use.metrics(points),
        logs: (records) => use.logs(records),
        problem(problem) {
          use.problem(problem);
          noteProblem(run, problem);
        },
      },
      {
        onProgress: ({ bytesRead, bytesTotal, spans }) =>
          progress.update({ done: bytesRead, total: bytesTotal, spans }),
        ...(attributes === null ? {} : { attributes }),
      },
    );
    return buffer;
  } catch (error) {
    await buffer.dispose();
    throw error;
  } finally {
    progress.end();
  }
}

/** The bounds that `--from` and `--to` mean when it is now. */
export function timeBounds({ settings }: CommandRun): TimeBounds {
  const now = (BigInt(Date.now()) * 1_000_000n) as UnixNanos;
  const from = settings.from === null ? null : resolveTime(settings.from, now);
  const to = settings.to === null ? null : resolveTime(settings.to, now);
  if (from !== null && to !== null && from > to)
    throw new OperationError("usage", "--from is later than --to", "Swap them.");
  return { from, to };
}

/** The report of one trace of the files. */
export async function reportOfTrace(
  run: CommandRun,
  { buffer, rollup, someTraceIds, traceCount }: LoadedFiles,
  { trace: traceId, baseline }: { readonly trace: TraceId; readonly baseline: ScopeRollup | null },
): Promise<TraceReport | StructuralReport> {
  const rows = await buffer.readTrace(traceId);
  if (rows.length === 0)
    throw new OperationError(
      "trace_not_found",
      `There is no trace ${traceId} in what was read`,
      traceCount === 0
        ? "It holds no trace at all."
        : `It holds ${traceCount} traces, for example ${someTraceIds.join(", ")}.`,
    );
  const scope = rollup.scope(null);
  const { episode, failed_service: failedService, lang: language, scoring } = run.settings;
  const episodes = assembleEpisodes(rows, scope.directory, assemblyOf(run));
  const trace = episodeToShow(episodes, episode);
  if (trace === undefined) throw unknownEpisode(traceId, episodes.length);
  if (failedService !== null) checkService(failedService, trace);
  const report = analyzeTrace(trace, scope, {
    language,
    scoring,
    ...(failedService === null ? {} : { failedService }),
    ...(baseline === null ? {} : { baseline: baseline.scope(null) }),
  });
  return withRepairs(report, problemsIn(language, scope.problems));
}

/** Times that were read in another unit than they should be in concern every trace of the files. */
function withRepairs(
  report: TraceReport | StructuralReport,
  problems: readonly Problem[],
): TraceReport | StructuralReport {
  const repairs = problems.filter(({ kind }) => kind === "repaired_time");
  if (!("problems" in report) || repairs.length === 0) return report;
  return { ...report, problems: mergeProblems([...report.problems, ...repairs]) };
}

const exampleIdsMax = 3;
/** Traces between two looks at the clock. */
export const foldBatch = 512;

async function foldTraces(
  folds: Folds,
  {
    buffer,
    assembly,
    progress,
  }: { readonly buffer: TraceBuffer; readonly assembly: Assembly; readonly progress: Progress },
): Promise<Pick<LoadedFiles, "someTraceIds" | "traceCount">> {
  const someTraceIds: string[] = [];
  let traceCount = 0;
  let spans = 0;
  for await (const tables of buffer.partitions()) {
    const groups = groupByTrace(tables);
    for (const [done, i] of groups.byStart().entries()) {
      for (const trace of assembleEpisodes(groups.rowsOf(i), rawNaming, assembly)) {
        spans += trace.spans.length + trace.omittedSpans;
        foldTrace(trace, folds);
      }
      if (done % foldBatch === 0) progress.update({ done: spans, total: buffer.spanCount, spans });
      if (someTraceIds.length < exampleIdsMax) someTraceIds.push(groups.traceIdOf(i));
    }
    traceCount += groups.count;
  }
  progress.end();
  return { someTraceIds, traceCount };
}

function foldTrace(trace: Trace, folds: Folds): void {
  for (const { rollup, bounds, onTrace } of folds) {
    if (!isWithin(trace.startTime, bounds)) continue;
    rollup.addTrace(trace);
    onTrace?.(trace);
  }
}

/** What is compared with a window of the same files: all that is before it; null = the window has no beginning. */
export function boundsBefore({ from }: TimeBounds): TimeBounds | null {
  return from === null || from === 0n ? null : { from: null, to: (from - 1n) as UnixNanos };
}

/** Whether an instant lies within any of the bounds. */
export function isWithin(time: UnixNanos, bounds: readonly TimeBounds[]): boolean {
  return bounds.some(({ from, to }) => (from === null || time >= from) && (to === null || time <= to));
}

function pointsWithin(points: readonly MetricPoint[], bounds: readonly TimeBounds[]): readonly MetricPoint[] {
  return points.filter(({ time }) => isWithin(time, bounds));
}

function checkService(name: string, trace: Trace): void {
  const known = servicesOf(trace);
  if (known.includes(name)) return;
  throw new OperationError(
    "service_not_found",
    `The trace has no service ${name}`,
    `It has ${known.join(", ")}.`,
  );
}
