import { analyzeTrace } from "../analysis/analyze-trace.ts";
import { type Scope, ScopeRollup } from "../analysis/scope.ts";
import { assert } from "../base/assert.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { RankerName } from "../evaluation/ranker-names.ts";
import { VisitRollup } from "../evaluation/visits.ts";
import { figuresOf, type WindowFigures } from "../evaluation/window-figures.ts";
import { repairTimes } from "../formats/repair-times.ts";
import { rawNaming, ServiceDirectory } from "../model/service-directory.ts";
import { assembleEpisodes, episodeToShow } from "../trace/episodes.ts";
import { groupByTrace } from "../trace/group-rows.ts";
import { observeTable } from "../trace/peers.ts";
import type { RowRef } from "../trace/trace.ts";
import { bufferSpans, foldFiles, noBounds } from "./analyze-files.ts";
import { answerOf, noSideFigures, noteLeftOut, sideFiguresOf, type TimedAnswer } from "./case-answer.ts";
import type { CommandRun } from "./command.ts";

/** A set of single traces: a file, and which of its traces are asked about. */
export interface TraceSet {
  readonly file: string;
  /** 32 hex digits */
  readonly traceIds: ReadonlySet<string>;
  readonly asked: readonly RankerName[];
}

/** A healthy time that traces are compared with. */
interface Usual {
  readonly scope: Scope;
  readonly figures: WindowFigures;
}

/**
 * Analyses traces one by one, each as if it were the only one there is: the others of its set are faulty too, and together they
 * would show what is usual. Only `--baseline` says that. The analysis is done when the answer is asked for, and throws if it fails.
 */
export async function* answerTraces(
  run: CommandRun,
  { file, traceIds, asked }: TraceSet,
): AsyncGenerator<readonly [traceId: string, answer: () => TimedAnswer]> {
  const directory = new ServiceDirectory();
  const { baseline } = run.settings;
  const usual = baseline === null ? null : await usualOf(run, baseline, { directory, asked });
  const buffer = await bufferSpans(
    run,
    [file],
    {
      observe(table) {
        repairTimes(table);
        observeTable(table, directory);
      },
      metrics() {},
      logs() {},
      problem() {},
    },
    null,
  );
  try {
    const missing = new Set(traceIds);
    for await (const tables of buffer.partitions()) {
      const groups = groupByTrace(tables);
      for (const i of groups.byStart()) {
        const traceId = groups.traceIdOf(i);
        if (!missing.delete(traceId)) continue;
        yield [traceId, () => answerTrace(run, groups.rowsOf(i), { directory, usual, asked })];
      }
    }
    for (const traceId of missing)
      yield [
        traceId,
        () => {
          throw new OperationError("trace_not_found", `${file} has no trace ${traceId}`);
        },
      ];
  } finally {
    await buffer.dispose();
  }
}

async function usualOf(
  run: CommandRun,
  inputs: readonly string[],
  { directory, asked }: Pick<TraceQuestion, "directory" | "asked">,
): Promise<Usual> {
  const rollup = new ScopeRollup({ directory });
  const visits = new VisitRollup();
  await foldFiles(run, inputs, {
    rollup,
    bounds: [noBounds],
    window: null,
    ...(asked.length === 0 ? {} : { onTrace: (trace) => visits.add(trace) }),
  });
  noteLeftOut(run, visits);
  const scope = rollup.scope(null);
  return { scope, figures: figuresOf(visits.read(directory), sideFiguresOf(scope)) };
}

interface TraceQuestion {
  readonly directory: ServiceDirectory;
  readonly usual: Usual | null;
  readonly asked: readonly RankerName[];
}

function answerTrace(
  { settings: { trace_spans: spansMax } }: CommandRun,
  rows: readonly RowRef[],
  { directory, usual, asked }: TraceQuestion,
): TimedAnswer {
  const startedAt = performance.now();
  const rollup = new ScopeRollup({ directory });
  const visits = new VisitRollup();
  for (const trace of assembleEpisodes(rows, rawNaming, { spansMax })) {
    rollup.addTrace(trace);
    if (asked.length > 0) visits.add(trace);
  }
  const scope = rollup.scope(null);
  const trace = episodeToShow(assembleEpisodes(rows, directory, { spansMax }), null);
  assert(trace !== undefined, "rows make a trace");
  const report = analyzeTrace(trace, scope, {
    language: "en",
    ...(usual === null ? {} : { baseline: usual.scope }),
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const answer = answerOf(report, {
    names: asked,
    figures: () => ({
      incident: figuresOf(visits.read(directory), sideFiguresOf(scope)),
      baseline: usual?.figures ?? figuresOf([], noSideFigures),
    }),
  });
  return { answer, signals: ["traces"], seconds };
}
