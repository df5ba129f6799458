import type { DoctorReport } from "../analysis/doctor.ts";
import { DoctorRollup } from "../analysis/doctor.ts";
import type { SettingValues } from "../config/settings.ts";
import type { Problem } from "../model/problems.ts";
import { ServiceDirectory } from "../model/service-directory.ts";
import { assembleTrace } from "../trace/assemble.ts";
import { episodesOf } from "../trace/episodes.ts";
import { groupByTrace } from "../trace/group-rows.ts";
import { observeTable } from "../trace/peers.ts";
import { bufferSpans, foldBatch, isWithin, timeBounds } from "./analyze-files.ts";
import { type CommandRun, writeResult } from "./command.ts";
import { showProgress } from "./progress.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter doctor`: what is wrong with the instrumentation behind saved telemetry, per service, and how to mend it. */
export async function doctor(run: CommandRun): Promise<number> {
  const report = await examineFiles(run);
  await writeResult(run, renderResult(run, { kind: "doctor", doctor: report }));
  return exitCodeOf(report, run.settings.fail_on);
}

/** All attributes are read, those without a meaning to us too: their names may be what is wrong. */
async function examineFiles(run: CommandRun): Promise<DoctorReport> {
  const bounds = [timeBounds(run)];
  const directory = new ServiceDirectory();
  const problems: Problem[] = [];
  const buffer = await bufferSpans(
    run,
    run.operands,
    {
      observe: (table) => observeTable(table, directory),
      metrics() {},
      logs() {},
      problem: (problem) => problems.push(problem),
    },
    null,
  );
  const progress = showProgress(run, "analysing");
  const rollup = new DoctorRollup();
  let spans = 0;
  try {
    for await (const tables of buffer.partitions()) {
      const groups = groupByTrace(tables);
      for (const [done, i] of groups.byStart().entries()) {
        for (const { rows, episode } of episodesOf(groups.rowsOf(i))) {
          const trace = assembleTrace(rows, directory, { episode });
          if (isWithin(trace.startTime, bounds)) rollup.add(trace, rows);
          spans += rows.length;
        }
        if (done % foldBatch === 0) progress.update({ done: spans, total: buffer.spanCount, spans });
      }
    }
  } finally {
    progress.end();
    await buffer.dispose();
  }
  return rollup.report(run.settings.lang, problems);
}

function exitCodeOf({ findings }: DoctorReport, threshold: SettingValues["fail_on"]): number {
  if (threshold === "none") return 0;
  const isReached = findings.some(
    ({ severity }) => severity === "critical" || (threshold === "degraded" && severity === "warning"),
  );
  return isReached ? 1 : 0;
}
