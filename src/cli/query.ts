import type { StructuralReport, TraceReport } from "../analysis/report.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { parseTraceId } from "../model/ids.ts";
import { parseJsonOrdered } from "../wire/parse-json-ordered.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { exitCodeOf } from "./fail-on.ts";
import { printableOf } from "./render/printable.ts";
import { renderResult } from "./render-report.ts";

/** How long the server may take. */
const answerMsMax = 60_000;

/** `hypocenter query`: the report of a trace as a running server gives it. */
export async function query(run: CommandRun): Promise<number> {
  const [word = ""] = run.operands;
  const id = parseTraceId(word);
  if (id === null)
    throw new OperationError("bad_trace_id", `"${word}" is no trace id`, "Expected 16 or 32 hex digits.");
  const { settings } = run;
  const text = await fetchReport(settings.server, analysisPath(id, run));
  const report = reportOf(text);
  if (report.complete === false)
    note(run, "Spans of this trace are still arriving; ask again in a moment for the whole of it.");
  await writeResult(run, renderResult(run, printableOf(report)));
  return exitCodeOf(report, settings.fail_on);
}

function analysisPath(id: string, { settings }: CommandRun): string {
  const parameters = new URLSearchParams({ lang: settings.lang, scoring: settings.scoring });
  if (settings.failed_service !== null) parameters.set("failed_service", settings.failed_service);
  return `/api/v1/traces/${id}/analysis?${parameters.toString()}`;
}

async function fetchReport(server: string, path: string): Promise<string> {
  const response = await fetch(server + path, { signal: AbortSignal.timeout(answerMsMax) }).catch(
    (cause: unknown) => {
      throw unreachable(server, reasonOf(cause), cause);
    },
  );
  const text = await response.text().catch((cause: unknown) => {
    throw unreachable(server, reasonOf(cause), cause);
  });
  if (response.ok) return text;
  throw (
    serverError(response.status, text) ?? unreachable(server, `it answered with status ${response.status}`)
  );
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
  if (code === "trace_not_found" || code === "service_not_found")
    return new OperationError(code, error["message"], hint);
  return new OperationError(status >= 500 ? "server_unreachable" : "usage", error["message"], hint);
}

function unreachable(server: string, reason: string, cause?: unknown): OperationError {
  return new OperationError(
    "server_unreachable",
    `No hypocenter answers at ${server}: ${reason}`,
    "Start one with `hypocenter serve`, or name another with --server URL.",
    cause,
  );
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as {
    readonly cause?: { readonly message?: string };
    readonly message: string;
  };
  return cause?.message || message;
}

/** A report as the renderers take it: service states in their order, which plain objects do not keep for every name. */
function reportOf(text: string): (TraceReport | StructuralReport) & { readonly complete?: boolean } {
  const plain = JSON.parse(text) as TraceReport & {
    readonly service_states: Readonly<Record<string, unknown>>;
  };
  const ordered = parseJsonOrdered(text);
  const states = ordered instanceof Map ? ordered.get("service_states") : undefined;
  const names = states instanceof Map ? [...states.keys()] : [];
  const serviceStates = new Map(names.map((name) => [name, plain.service_states[name]]));
  return { ...plain, service_states: serviceStates } as unknown as TraceReport;
}
