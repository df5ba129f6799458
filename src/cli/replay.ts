import { OperationError } from "../engine/errors/operation-error.ts";
import type { Counts } from "../formats/read-telemetry.ts";
import { type ReplaySummary, replayTelemetry } from "../formats/replay.ts";
import { writeJson } from "../wire/write-json.ts";
import { readClientAccess } from "./client-access.ts";
import { type CommandRun, noteProblem, writeResult } from "./command.ts";
import { showProgress } from "./progress.ts";

/** `hypocenter replay`: sends saved telemetry on, and says what became of it. */
export async function replay(run: CommandRun): Promise<number> {
  const { replay_to: target, speed, times } = run.settings;
  if (target === null)
    throw new OperationError(
      "usage",
      "replay needs --to URL",
      "For a hypocenter on this machine: --to http://127.0.0.1:4318",
    );
  const access = await readClientAccess(run.settings);
  const progress = showProgress(run, "sending");
  try {
    const summary = await replayTelemetry(run.operands, target, {
      speed,
      times,
      ...access,
      onProgress: ({ bytesRead, bytesTotal, spans }) =>
        progress.update({ done: bytesRead, total: bytesTotal, spans: spans.accepted }),
      onProblem: (problem) => noteProblem(run, problem),
    });
    progress.end();
    await writeResult(
      run,
      run.format === "json" ? writeJson(summaryJson(summary)) : summaryText(summary, target),
    );
    return 0;
  } finally {
    progress.end();
  }
}

function summaryJson({ requests, retries, spans, points, logs, refusals, read }: ReplaySummary) {
  return {
    requests,
    retries,
    spans,
    metric_points: points,
    log_records: logs,
    refusals: [...refusals].map(([message, count]) => ({ message, count })),
    malformed_records: read.malformedRecords,
  };
}

function summaryText(
  { requests, retries, spans, points, logs, refusals }: ReplaySummary,
  target: string,
): string {
  const counted = ({ accepted, rejected }: Counts, what: string): string =>
    rejected > 0 ? `${accepted} ${what} (${rejected} refused)` : `${accepted} ${what}`;
  return [
    `${target} took ${counted(spans, "spans")}, ${counted(points, "metric points")}, ${counted(logs, "log records")} in ${requests} requests${retries > 0 ? ` (${retries} repeated)` : ""}.`,
    ...[...refusals].map(([message, count]) => `refused ${count}: ${message}`),
  ].join("\n");
}
