import {
  analyzeWindow,
  type ChosenBaseline,
  WindowRollup,
  type WindowRollupOptions,
  type WindowSums,
} from "../analysis/analyze-window.ts";
import { changePointOf } from "../analysis/change-point.ts";
import type { WindowReport } from "../analysis/report.ts";
import { ScopeRollup } from "../analysis/scope.ts";
import { restored } from "../base/snapshot.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { TraceId } from "../model/ids.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import type { UnixNanos } from "../model/time.ts";
import {
  boundsBefore,
  foldFiles,
  loadFiles,
  newDirectory,
  noBounds,
  reportOfTrace,
  type TimeBounds,
  timeBounds,
} from "./analyze-files.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { exitCodeOf } from "./fail-on.ts";
import { areLarge, startBaseline } from "./read-baseline.ts";
import { type Printable, printableOf } from "./render/printable.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter analyze`: the report of everything in the files, or of one trace in them. */
export async function analyze(run: CommandRun): Promise<number> {
  const { trace, fail_on: failOn } = run.settings;
  const printable = trace === null ? await windowOfFiles(run) : await traceOfFiles(run, trace);
  if (printable.kind === "window" && printable.report.totals.traces === 0) note(run, emptyText(run));
  await writeResult(run, renderResult(run, printable));
  return exitCodeOf(printable.report, failOn);
}

function emptyText({ settings: { from, to } }: CommandRun): string {
  return from === null && to === null
    ? "there are no spans in what was read, so nothing can be said of requests"
    : "no trace of what was read starts in that time; check --from and --to";
}

/** Of a window and its baseline. */
type Rollups = readonly [WindowRollup, WindowRollup];

type ReportPrintable = Extract<Printable, { readonly report: unknown }>;

async function traceOfFiles(run: CommandRun, trace: TraceId): Promise<ReportPrintable> {
  const { baseline } = run.settings;
  const window = timeBounds(run);
  const directory = newDirectory(run);
  const rollup = new ScopeRollup({ directory });
  const fold = { rollup, bounds: [window], window: null };
  const usual = new ScopeRollup({ directory });
  const before = baseline === null ? boundsBefore(window) : null;
  if (baseline !== null) await foldFiles(run, baseline, { rollup: usual, bounds: [noBounds], window: null });
  const files = await (before === null
    ? loadFiles(run, run.operands, fold)
    : loadFiles(run, run.operands, fold, { rollup: usual, bounds: [before], window: null }));
  try {
    const hasUsual = baseline !== null || usual.scope(null).totals.traces > 0;
    return printableOf(await reportOfTrace(run, files, { trace, baseline: hasUsual ? usual : null }));
  } finally {
    await files.buffer.dispose();
  }
}

async function windowOfFiles(run: CommandRun): Promise<ReportPrintable> {
  if (run.settings.scoring === "structural")
    throw new OperationError(
      "usage",
      "--scoring structural needs --trace ID",
      "The structural report is about one trace; the report of everything has its figures too.",
    );
  const window = timeBounds(run);
  const before = boundsBefore(window);
  const { baseline } = run.settings;
  if (baseline !== null) return { kind: "window", report: await reportAgainst(run, baseline, window) };
  if (before === null) return { kind: "window", report: await reportOfAll(run, window) };
  return {
    kind: "window",
    report: await reportOfPart(run, window, { bounds: before, choice: { kind: "before_window" } }),
  };
}

/** Small ones are read one after the other; of large ones each has half of the memory, and a thread of its own. */
async function reportAgainst(
  run: CommandRun,
  baseline: readonly string[],
  window: TimeBounds,
): Promise<WindowReport> {
  const directory = newDirectory(run);
  const reads = (await areLarge(run.operands, baseline)) ? readBeside : readInTurn;
  const [rollup, usualRollup] = await reads(run, baseline, { window, directory });
  // names are settled when both have been read
  const sums = rollup.window([window]);
  checkFailedService(run, sums);
  return reportOf(run, { window, sums, usual: usualRollup.window() });
}

type Reading = WindowRollupOptions & { readonly window: TimeBounds; readonly directory: ServiceDirectory };

async function readInTurn(run: CommandRun, baseline: readonly string[], window: Reading): Promise<Rollups> {
  const rollup = await rollupOfFiles(run, run.operands, window);
  return [rollup, await rollupOfFiles(run, baseline, { ...window, window: noBounds })];
}

async function readBeside(run: CommandRun, baseline: readonly string[], window: Reading): Promise<Rollups> {
  const settings = { ...run.settings, memory_budget: run.settings.memory_budget / 2 };
  const half = { ...run, settings };
  const beside = startBaseline(half, baseline);
  try {
    const rollup = await rollupOfFiles(half, run.operands, window);
    const { directory } = window;
    return [rollup, restored(new WindowRollup({ directory }), await beside.sums())];
  } finally {
    await beside.end();
  }
}

/**
 * Everything in the files. If they have a calm part and then one in which something is worse, and the comparison of the two
 * finds who is to blame, that is the report. The files are read again for it: of what is not compared less is kept.
 */
async function reportOfAll(run: CommandRun, window: TimeBounds): Promise<WindowReport> {
  const directory = newDirectory(run);
  const rollup = await rollupOfFiles(run, run.operands, { window, isCompared: false, directory });
  const sums = rollup.window([window]);
  checkFailedService(run, sums);
  const change = run.operands.includes("-") ? null : changePointOf(rollup);
  if (change !== null) {
    const { calmUntil, anomaly } = change;
    const { kind: sign, ...where } = anomaly;
    const changed = { from: (calmUntil + 1n) as UnixNanos, to: window.to };
    const again = { ...run, settings: { ...run.settings, quiet: true } };
    const report = await reportOfPart(again, changed, {
      bounds: { from: null, to: calmUntil },
      choice: { ...where, kind: "before_change", sign },
    });
    if (!report.healthy) return report;
  }
  return reportOf(run, { window, sums, usual: null });
}

/** A window, against what is before it in the same files. */
async function reportOfPart(
  run: CommandRun,
  window: TimeBounds,
  chosenBaseline: ChosenBaseline,
): Promise<WindowReport> {
  const directory = newDirectory(run);
  const rollup = new WindowRollup({ directory });
  const usualRollup = new WindowRollup({ directory });
  await foldFiles(
    run,
    run.operands,
    { rollup, bounds: [window], window: rollup },
    { rollup: usualRollup, bounds: [chosenBaseline.bounds], window: usualRollup },
  );
  const sums = rollup.window([window]);
  const usual = usualRollup.window([chosenBaseline.bounds]);
  // of a change that was found it may be a sign that the service is gone
  if (chosenBaseline.choice.kind === "before_window") checkFailedService(run, sums);
  if (usual.scope.totals.traces === 0) {
    note(run, "no trace starts before --from: there is nothing to compare with (--baseline FILE)");
    return reportOf(run, { window, sums, usual: null });
  }
  return reportOf(run, { window, sums, usual, chosenBaseline });
}

interface ReadParts {
  readonly window: TimeBounds;
  readonly sums: WindowSums;
  readonly usual: WindowSums | null;
  readonly chosenBaseline?: ChosenBaseline;
}

function reportOf(
  { settings: { failed_service: failedService, lang: language } }: CommandRun,
  { sums, usual, ...times }: ReadParts,
): WindowReport {
  return analyzeWindow(sums, usual, {
    language,
    ...times,
    ...(failedService === null ? {} : { failedService }),
  });
}

async function rollupOfFiles(
  run: CommandRun,
  inputs: readonly string[],
  { window, ...options }: WindowRollupOptions & { readonly window: TimeBounds },
): Promise<WindowRollup> {
  const rollup = new WindowRollup(options);
  await foldFiles(run, inputs, { rollup, bounds: [window], window: rollup });
  return rollup;
}

function checkFailedService({ settings }: CommandRun, { scope }: WindowSums): void {
  const name = settings.failed_service;
  if (name === null) return;
  const known = [...new Set([...scope.red.services, ...scope.graph.nodeKinds.keys()])].sort();
  if (known.includes(name)) return;
  throw new OperationError(
    "service_not_found",
    `There is no service ${name} in what was read`,
    known.length === 0 ? "It holds no service at all." : `It has ${known.slice(0, 20).join(", ")}.`,
  );
}
