import {
  analyzeWindow,
  WindowRollup,
  type WindowRollupOptions,
  type WindowSums,
} from "../analysis/analyze-window.ts";
import { ScopeRollup } from "../analysis/scope.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { TraceId } from "../model/ids.ts";
import {
  foldFiles,
  loadFiles,
  newDirectory,
  noBounds,
  reportOfTrace,
  type TimeBounds,
  timeBounds,
} from "./analyze-files.ts";
import { type CommandRun, writeResult } from "./command.ts";
import { exitCodeOf } from "./fail-on.ts";
import { type Printable, printableOf } from "./render/printable.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter analyze`: the report of everything in the files, or of one trace in them. */
export async function analyze(run: CommandRun): Promise<number> {
  const { trace, fail_on: failOn } = run.settings;
  const printable = trace === null ? await windowOfFiles(run) : await traceOfFiles(run, trace);
  await writeResult(run, renderResult(run, printable));
  return exitCodeOf(printable.report, failOn);
}

type ReportPrintable = Extract<Printable, { readonly report: unknown }>;

async function traceOfFiles(run: CommandRun, trace: TraceId): Promise<ReportPrintable> {
  const { baseline } = run.settings;
  const rollup = new ScopeRollup({ directory: newDirectory(run) });
  const usual = baseline === null ? null : await baselineOfFiles(run, baseline, rollup);
  const files = await loadFiles(run, run.operands, { rollup, bounds: [timeBounds(run)], window: null });
  try {
    return printableOf(await reportOfTrace(run, files, { trace, baseline: usual }));
  } finally {
    await files.buffer.dispose();
  }
}

/** Its services have the same names as those of the files that are asked about. */
async function baselineOfFiles(
  run: CommandRun,
  inputs: readonly string[],
  { directory }: ScopeRollup,
): Promise<ScopeRollup> {
  const rollup = new ScopeRollup({ directory });
  await foldFiles(run, inputs, { rollup, bounds: [noBounds], window: null });
  return rollup;
}

/** The two populations are folded apart and one after the other, so that their spans do not need memory at once. */
async function windowOfFiles(run: CommandRun): Promise<ReportPrintable> {
  const { baseline, failed_service: failedService, lang: language, scoring } = run.settings;
  if (scoring === "structural")
    throw new OperationError(
      "usage",
      "--scoring structural needs --trace ID",
      "The structural report is about one trace; the report of everything has its figures too.",
    );
  const window = timeBounds(run);
  const isCompared = baseline !== null;
  const directory = newDirectory(run);
  const rollup = await rollupOfFiles(run, run.operands, { window, isCompared, directory });
  const usualRollup =
    baseline === null
      ? null
      : await rollupOfFiles(run, baseline, { window: noBounds, isCompared, directory });
  // names are settled when both have been read
  const sums = rollup.window([window]);
  const usual = usualRollup?.window() ?? null;
  if (failedService !== null) checkService(failedService, sums);
  const report = analyzeWindow(sums, usual, {
    language,
    window,
    ...(failedService === null ? {} : { failedService }),
  });
  return { kind: "window", report };
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

function checkService(name: string, { scope }: WindowSums): void {
  const known = [...new Set([...scope.red.services, ...scope.graph.nodeKinds.keys()])].sort();
  if (known.includes(name)) return;
  throw new OperationError(
    "service_not_found",
    `There is no service ${name} in what was read`,
    known.length === 0 ? "It holds no service at all." : `It has ${known.slice(0, 20).join(", ")}.`,
  );
}
