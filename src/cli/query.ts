import { setTimeout as pause } from "node:timers/promises";
import type { IncidentReport, StructuralReport, TraceReport } from "../analysis/report.ts";
import { flagOf } from "../config/settings.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { parseTraceId, type TraceId } from "../model/ids.ts";
import { formatTime, NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { resolveTime, type TimePoint } from "../model/time-point.ts";
import { parseJsonOrdered } from "../wire/parse-json-ordered.ts";
import { openServer } from "./ask-server.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { exitCodeOf } from "./fail-on.ts";
import { type IncidentList, printableOf, type TraceList, type TraceSummaryJson } from "./render/printable.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter query`: the report of a trace or an incident as a running server gives it, or the list of its incidents or traces. */
export async function query(run: CommandRun): Promise<number> {
  const [word = ""] = run.operands;
  const id = parseTraceId(word);
  if (word === tracesWord) return await listTraces(run);
  checkSearchSettings(run);
  if (id !== null) return await queryTrace(run, id);
  if (word !== listWord && word !== latestWord && !incidentId.test(word))
    throw new OperationError(
      "bad_trace_id",
      `"${word}" is no trace id and no incident`,
      `Expected 16 or 32 hex digits, an incident such as 20260501T1205-1, ${latestWord}, ${listWord} or ${tracesWord}.`,
    );
  checkIncidentSettings(run);
  return await (word === listWord ? listIncidents(run) : queryIncident(run, word));
}

const listWord = "incidents";
const tracesWord = "traces";
/** A search of old telemetry takes the server many steps. */
const searchMsMax = 60_000;
const stuckMs = 200;
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

/** The server answers with what it could look at in a while: it is asked again until there are enough, or all was looked at. */
async function listTraces(run: CommandRun): Promise<number> {
  checkIncidentSettings(run);
  const { limit } = run.settings;
  const parameters = searchParameters(run.settings);
  const server = await openServer(run.settings);
  const traces: TraceSummaryJson[] = [];
  const endMs = performance.now() + searchMsMax;
  let page: TraceList;
  let cursorBefore: string | null = null;
  try {
    do {
      // What it cannot look at yet, just after a start, it can in a moment.
      const isStuck = parameters.get("cursor") === cursorBefore && cursorBefore !== null;
      cursorBefore = parameters.get("cursor");
      if (isStuck) await pause(stuckMs);
      parameters.set("limit", String(limit - traces.length));
      page = JSON.parse(await server.ask(`/api/v1/traces?${parameters.toString()}`)) as TraceList;
      traces.push(...page.traces);
      if (page.cursor !== null) parameters.set("cursor", page.cursor);
    } while (page.cursor !== null && traces.length < limit && performance.now() < endMs);
  } finally {
    server.close();
  }
  if (page.searched_from !== null && traces.length < limit)
    note(run, `Searched back to ${page.searched_from}: ask again with --to for what is older.`);
  await writeResult(run, renderResult(run, { kind: "traces", list: { ...page, traces } }));
  return 0;
}

function searchParameters(settings: CommandRun["settings"]): URLSearchParams {
  const now = (BigInt(Date.now()) * BigInt(NANOS_PER_MS)) as UnixNanos;
  const timeText = (point: TimePoint | null): string | null =>
    point === null ? null : formatTime(resolveTime(point, now));
  const given = {
    service: settings.service,
    operation: settings.operation,
    status: settings.status,
    min_duration_ms: settings.min_duration === null ? null : String(settings.min_duration),
    from: timeText(settings.from),
    to: timeText(settings.to),
  };
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(given)) if (value !== null) parameters.set(name, value);
  for (const attribute of settings.attribute ?? []) parameters.append("attribute", attribute);
  return parameters;
}

function checkSearchSettings({ settings }: CommandRun): void {
  const names = ["service", "operation", "status", "min_duration", "attribute", "from", "to"] as const;
  const given = names.filter((name) => settings[name] !== null).map((name) => `--${flagOf(name)}`);
  if (given.length === 0) return;
  throw new OperationError(
    "usage",
    `${given.join(", ")} searches traces`,
    "Write: hypocenter query traces …",
  );
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
