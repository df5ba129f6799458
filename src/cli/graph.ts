import { graphJson } from "../analysis/graph-json.ts";
import { type Scope, ScopeRollup } from "../analysis/scope.ts";
import { servicesJson } from "../analysis/services-json.ts";
import { foldFiles, newDirectory, timeBounds } from "./analyze-files.ts";
import { type CommandRun, writeResult } from "./command.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter graph`: who calls whom in saved telemetry. */
export async function graph(run: CommandRun): Promise<number> {
  const scope = await scopeOfFiles(run);
  await writeResult(run, renderResult(run, { kind: "graph", graph: graphJson(scope) }));
  return 0;
}

/** `hypocenter services`: requests, errors, latencies and health of each service in saved telemetry. */
export async function services(run: CommandRun): Promise<number> {
  const scope = await scopeOfFiles(run);
  const list = servicesJson(scope, run.settings.lang);
  await writeResult(run, renderResult(run, { kind: "services", services: list }));
  return 0;
}

async function scopeOfFiles(run: CommandRun): Promise<Scope> {
  const rollup = new ScopeRollup({ directory: newDirectory(run), learnsSteps: false });
  await foldFiles(run, run.operands, { rollup, bounds: [timeBounds(run)], window: null });
  return rollup.scope(null);
}
