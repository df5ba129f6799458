import type { IncidentReport, StructuralReport, TraceReport } from "../analysis/report.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { parseTraceId, type TraceId } from "../model/ids.ts";
import { parseJsonOrdered } from "../wire/parse-json-ordered.ts";
import { openServer } from "./ask-server.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { exitCodeOf } from "./fail-on.ts";
import { type IncidentList, printableOf } from "./render/printable.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter query`: the report of a trace or an incident as a running server gives it, or the list of its incidents. */
export async function query(run: CommandRun): Promise<number> {
  const [word = ""] = run.operands;
  const id = parseTraceId(word);
  if (id !== null) return await queryTrace(run, id);
  if (word !== listWord && word !== latestWord && !incidentId.test(word))
    throw new OperationError(
      "bad_trace_id",
      `"${word}" is no trace id and no incident`,
      `Expected 16 or 32 hex digits, an incident such as 20260501T1205-1, ${latestWord} or ${listWord}.`,
    );
  checkIncidentSettings(run);
  return await (word === listWord ? listIncidents(run) : queryIncident(run, word));
}

const listWord = "incidents";
const latestWord = "latest";
const incidentId = /^\d{8}T\d{4}-\d{1,9}$/;

async function queryTrace(run: CommandRun, id: TraceId): Promise<number> {
  const { settings } = run;
  const parameters = new URLSearchParams({ lang: settings.lang, scoring: settings.scoring });
  if (settings.failed_service !== null) parameters.set("failed_service", settings.failed_service);
  if (settings.episode !== null) parameters.set("episode", String(settings.episode));
  const text = await ask(run, `/api/v1/traces/${id}/analysis?${parameters.toString()}`);
  const report = reportOf(text) as (TraceReport | StructuralReport) & { readonly complete?: boolean };
  if (report.complete === false)
    note(run, "Spans of this trace are still arriving; ask again in a moment for the whole of it.");
  await writeResult(run, renderResult(run, printableOf(report)));
  return exitCodeOf(report, settings.fail_on);
}

async function queryIncident(run: CommandRun, id: string): Promise<number> {
  const { lang, fail_on: failOn } = run.settings;
  const report = reportOf(await ask(run, `/api/v1/incidents/${id}?lang=${lang}`)) as IncidentReport;
  await writeResult(run, renderResult(run, { kind: "incident", report }));
  return exitCodeOf(report, failOn);
}

async function listIncidents(run: CommandRun): Promise<number> {
  const list = JSON.parse(await ask(run, `/api/v1/incidents?lang=${run.settings.lang}`)) as IncidentList;
  await writeResult(run, renderResult(run, { kind: "incidents", list }));
  return 0;
}

function checkIncidentSettings({ settings }: CommandRun): void {
  const given = [
    ...(settings.scoring === "structural" ? ["--scoring structural"] : []),
    ...(settings.failed_service === null ? [] : ["--failed-service"]),
    ...(settings.episode === null ? [] : ["--episode"]),
  ];
  if (given.length === 0) return;
  throw new OperationError("usage", `${given.join(", ")} asks for one trace`, "Name the trace by its id.");
}

async function ask({ settings }: CommandRun, path: string): Promise<string> {
  const server = await openServer(settings);
  return await server.ask(path).finally(() => server.close());
}

/** A report as the renderers take it: service states in their order, which plain objects do not keep for every name. */
function reportOf(text: string): unknown {
  const plain = JSON.parse(text) as { readonly service_states: Readonly<Record<string, unknown>> };
  const ordered = parseJsonOrdered(text);
  const states = ordered instanceof Map ? ordered.get("service_states") : undefined;
  const names = states instanceof Map ? [...states.keys()] : [];
  return { ...plain, service_states: new Map(names.map((name) => [name, plain.service_states[name]])) };
}
