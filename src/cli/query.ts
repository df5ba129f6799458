import type { IncidentReport, StructuralReport, TraceReport } from "../analysis/report.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { connectionFailure, createHttpClient } from "../formats/http-request.ts";
import { parseTraceId, type TraceId } from "../model/ids.ts";
import { parseJsonOrdered } from "../wire/parse-json-ordered.ts";
import { type ClientAccess, readClientAccess } from "./client-access.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { exitCodeOf } from "./fail-on.ts";
import { type IncidentList, printableOf } from "./render/printable.ts";
import { renderResult } from "./render-report.ts";

/** How long the server may take. */
const answerMsMax = 60_000;
/** Far above the longest report. */
const answerBytesMax = 256 << 20;

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

/** What the server answers to a GET. */
async function ask({ settings }: CommandRun, path: string): Promise<string> {
  return await fetchReport(settings.server, path, await readClientAccess(settings));
}

async function fetchReport(server: string, path: string, { headers, tls }: ClientAccess): Promise<string> {
  const client = createHttpClient(tls);
  try {
    const signal = AbortSignal.timeout(answerMsMax);
    const answer = await client.send(server + path, { method: "GET", headers, signal, answerBytesMax });
    const text = answer.body.toString();
    if (answer.status === 200) return text;
    const { location } = answer.headers;
    const elsewhere = location === undefined ? "" : ` and points to ${location}`;
    throw (
      serverError(answer.status, text) ??
      unreachable(server, { message: `it answered with status ${answer.status}${elsewhere}`, hint: "" })
    );
  } catch (error) {
    if (error instanceof OperationError) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw unreachable(server, connectionFailure(cause), error);
  } finally {
    client.close();
  }
}

/** The server's own error with its hint, or null where the answer is not one of hypocenter's. */
function serverError(status: number, text: string): OperationError | null {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  const error = (body as { readonly error?: Readonly<Record<string, unknown>> } | null)?.error;
  if (typeof error?.["message"] !== "string") return null;
  const hint = typeof error["hint"] === "string" ? error["hint"] : "";
  const { code } = error;
  if (code === "trace_not_found" || code === "service_not_found" || code === "incident_not_found")
    return new OperationError(code, error["message"], hint);
  return new OperationError(status >= 500 ? "server_unreachable" : "usage", error["message"], hint);
}

function unreachable(
  server: string,
  { message, hint }: ReturnType<typeof connectionFailure>,
  cause?: unknown,
): OperationError {
  return new OperationError(
    "server_unreachable",
    `No hypocenter answers at ${server}: ${message}`,
    hint === "" ? "Start one with `hypocenter serve`, or name another with --server URL." : hint,
    cause,
  );
}

/** A report as the renderers take it: service states in their order, which plain objects do not keep for every name. */
function reportOf(text: string): unknown {
  const plain = JSON.parse(text) as { readonly service_states: Readonly<Record<string, unknown>> };
  const ordered = parseJsonOrdered(text);
  const states = ordered instanceof Map ? ordered.get("service_states") : undefined;
  const names = states instanceof Map ? [...states.keys()] : [];
  return { ...plain, service_states: new Map(names.map((name) => [name, plain.service_states[name]])) };
}
