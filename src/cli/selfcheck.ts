import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { SettingValues } from "../config/settings.ts";
import { expectationOf, parseValue } from "../config/value-types.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { openTarget } from "../formats/open-target.ts";
import type { OtlpTarget } from "../formats/otlp-target.ts";
import { NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { writeJson } from "../wire/write-json.ts";
import { openServer, type ServerQueries } from "./ask-server.ts";
import { readClientAccess } from "./client-access.ts";
import { type CommandRun, writeResult } from "./command.ts";
import { wrap } from "./render/text-width.ts";
import { edgeDifference, firstCauseIn, traceDifferences } from "./selfcheck-compare.ts";
import { type KnownEdge, type KnownTelemetry, type KnownTrace, knownTelemetry } from "./selfcheck-traces.ts";

/** What a server promises: acknowledged telemetry is in every answer after this long. */
const readableMsMax = 2_000;
/** How long what is late is waited for, to tell it from what is lost. */
const lateMsMax = 5_000;
/** How long a busy receiver is waited for. */
const busyMsMax = 5_000;
const pollMs = 50;
/** Differences of one trace that are told; more are counted. */
const toldMax = 5;

/** One thing that was looked at. */
interface Finding {
  readonly check: "accepted" | "readable" | "trace" | "graph" | "root_cause";
  /** what it is about: an address, a trace id, an edge */
  readonly subject: string;
  readonly ok: boolean;
  readonly message: string;
  /** the way out; "" where nothing is wrong */
  readonly hint: string;
}

/** `hypocenter selfcheck`: writes traces of which all answers are known to a server, asks for them and says what differs; exit code 1 if anything does. */
export async function selfcheck(run: CommandRun): Promise<number> {
  const settings = withServer(run);
  const target = settings.replay_to ?? usualReceiver(settings.server);
  const server = await openServer(settings);
  const receiver = openTarget(target, await readClientAccess(settings));
  try {
    const version = await versionOf(server, settings);
    const name = randomBytes(4).toString("hex");
    const telemetry = knownTelemetry({
      run: name,
      newId: (bytes) => randomBytes(bytes).toString("hex"),
      now: (BigInt(Date.now()) * BigInt(NANOS_PER_MS)) as UnixNanos,
    });
    const accepted = await send(receiver, telemetry, target);
    const findings = accepted.ok ? [accepted, ...(await lookAtAll(server, telemetry, settings))] : [accepted];
    const ok = findings.every((finding) => finding.ok);
    const about = { ok, run: name, server: settings.server, version, sentTo: target, findings };
    const { isTTY, columns } = run.host.stdout;
    const width = isTTY === true ? columns : undefined;
    await writeResult(run, run.format === "json" ? writeJson(jsonOf(about)) : textOf(about, width));
    return ok ? 0 : 1;
  } finally {
    receiver.close();
    server.close();
  }
}

/** The settings, with the server that the command line names without a flag, if it does. */
function withServer({ settings, operands: [address] }: CommandRun): SettingValues {
  if (address === undefined) return settings;
  const type = { kind: "url" } as const;
  const server = parseValue(type, address) as SettingValues["server"] | null;
  if (server !== null) return { ...settings, server };
  throw new OperationError(
    "usage",
    `${address} is no address of a server`,
    `Expected ${expectationOf(type)}.`,
  );
}

/** OTLP/HTTP on its usual port of the host that answers questions. */
function usualReceiver(server: string): string {
  const { protocol, hostname } = new URL(server);
  return `${protocol}//${hostname}:4318`;
}

/** Also says, before anything is sent, whether a hypocenter is there that answers us. */
async function versionOf(server: ServerQueries, settings: SettingValues): Promise<string> {
  const document = parsed(await server.ask("/openapi.json"), settings);
  const { info } = document as { readonly info?: { readonly title?: string; readonly version?: string } };
  if (info?.title !== "hypocenter") throw noHypocenter(settings);
  return info.version ?? "";
}

function parsed(text: string, settings: SettingValues): object {
  try {
    return Object(JSON.parse(text)) as object;
  } catch (cause) {
    throw noHypocenter(settings, cause);
  }
}

function noHypocenter({ server }: SettingValues, cause?: unknown): OperationError {
  return new OperationError(
    "server_unreachable",
    `What answers at ${server} is no hypocenter`,
    "Name the address of its API (port 4320 unless it was changed) with --server URL.",
    cause,
  );
}

async function send(receiver: OtlpTarget, { requests }: KnownTelemetry, target: string): Promise<Finding> {
  const wrong = (message: string, hint: string): Finding => ({
    check: "accepted",
    subject: target,
    ok: false,
    message,
    hint,
  });
  for (const { body, spans } of requests) {
    const delivery = await deliver(receiver, body);
    switch (delivery.kind) {
      case "unreachable":
        throw new OperationError(
          "server_unreachable",
          `Nobody takes telemetry at ${target}: ${delivery.message}`,
          delivery.hint ?? "Name the OTLP receiver of that server with --to URL.",
        );
      case "retry":
        return wrong(
          `was not accepted within ${busyMsMax / 1000} seconds: ${delivery.message}`,
          "The server has no room: /metrics says what it refuses and why; see ingest_memory and open_traces.",
        );
      case "refused":
        return wrong(
          `was not accepted: ${delivery.message}`,
          "Check that --to names an OTLP receiver, and whether it asks for a token: --header authorization=Bearer TOKEN",
        );
      case "accepted":
        if (delivery.rejected > 0)
          return wrong(
            `${delivery.rejected} of ${spans} spans were not accepted: ${delivery.message}`,
            "They are valid OTLP: whatever stands between here and hypocenter, or hypocenter itself, has a defect.",
          );
    }
  }
  const spans = requests.reduce((sum, request) => sum + request.spans, 0);
  const message = `${spans} spans in ${requests.length} requests were accepted`;
  return { check: "accepted", subject: target, ok: true, message, hint: "" };
}

/** Sends one request, again while the receiver is busy. */
async function deliver(receiver: OtlpTarget, body: Uint8Array) {
  const end = performance.now() + busyMsMax;
  for (;;) {
    const delivery = await receiver.send("traces", body);
    if (delivery.kind !== "retry") return delivery;
    const waitMs = Math.max(pollMs, delivery.afterMs ?? 500);
    if (performance.now() + waitMs > end) return delivery;
    await sleep(waitMs);
  }
}

async function lookAtAll(
  server: ServerQueries,
  telemetry: KnownTelemetry,
  settings: SettingValues,
): Promise<readonly Finding[]> {
  const looking = { server, sentAt: performance.now(), settings };
  const [traces, edges] = await Promise.all([
    Promise.all(telemetry.traces.map((trace) => lookAtTrace(trace, looking))),
    Promise.all(telemetry.edges.map((edge) => lookAtEdge(edge, telemetry, looking))),
  ]);
  const failed = telemetry.traces.filter(({ cause }) => cause !== null);
  const causes = await Promise.all(failed.map((trace) => lookAtCause(trace, looking)));
  return [...traces.flat(), ...edges, ...causes];
}

interface Looking {
  readonly server: ServerQueries;
  /** when the last acknowledgement came, on the monotonic clock */
  readonly sentAt: number;
  readonly settings: SettingValues;
}

/** Asks until the answer is right, or until it is too late for that to be only lateness; null = it is unknown there even then. */
async function readUntil(
  path: string,
  looking: Looking,
  isRight: (answer: unknown) => boolean,
): Promise<{ readonly answer: unknown; readonly afterMs: number }> {
  for (;;) {
    const answer = await askOrNull(looking, path);
    const afterMs = performance.now() - looking.sentAt;
    if ((answer !== null && isRight(answer)) || afterMs > lateMsMax) return { answer, afterMs };
    await sleep(pollMs);
  }
}

/** Null where the server does not know what is asked for. */
async function askOrNull({ server, settings }: Looking, path: string): Promise<object | null> {
  try {
    return parsed(await server.ask(path), settings);
  } catch (error) {
    if (error instanceof OperationError && error.code.endsWith("_not_found")) return null;
    throw error;
  }
}

const defectHint = "This is a defect of hypocenter: please report it with this output and /metrics.";

async function lookAtTrace(trace: KnownTrace, looking: Looking): Promise<readonly Finding[]> {
  const { traceId, spans } = trace;
  const path = `/api/v1/traces/${traceId}`;
  const isWhole = (answer: unknown): boolean => traceDifferences(spans, answer).lost.length === 0;
  const { answer, afterMs } = await readUntil(path, looking, isWhole);
  if (answer === null)
    return [
      {
        check: "readable",
        subject: traceId,
        ok: false,
        message: `was accepted and is not there ${seconds(lateMsMax)} later`,
        hint: `Check that --to and --server are the same server. If they are, see store_evicted_bodies_total and ingested_spans_total at ${looking.settings.server}/metrics.`,
      },
    ];
  const difference = traceDifferences(spans, answer);
  const sentences = [
    ...difference.lost.map((span) => `${span} was accepted and is not there`),
    ...difference.doubled,
    ...difference.changed,
  ];
  const hint =
    difference.lost.length > 0
      ? "Spans that were acknowledged are lost: see the log of the server, and anything between --to and it."
      : difference.doubled.length > 0
        ? "What is sent once must be there once: something between --to and the server sends twice, or the server stores twice."
        : "Something between --to and the server changes spans (processors of a collector, a proxy), or the server does.";
  const about = { check: "trace", subject: traceId } as const;
  const same: Finding =
    sentences.length === 0
      ? { ...about, ok: true, message: `has its ${spans.length} spans as sent`, hint: "" }
      : { ...about, ok: false, message: told(sentences), hint };
  if (difference.lost.length > 0) return [same];
  return [{ check: "readable", subject: traceId, ...punctuality("was whole", afterMs) }, same];
}

/** Whether what is right was so in time. */
function punctuality(said: string, afterMs: number): Pick<Finding, "ok" | "message" | "hint"> {
  const message = `${said} ${seconds(afterMs)} after the acknowledgement`;
  if (afterMs <= readableMsMax) return { ok: true, message, hint: "" };
  return {
    ok: false,
    message: `${message} (promised: ${seconds(readableMsMax)})`,
    hint: "The server is behind: fold_late_ms, waiting_spans and the CPU time in /metrics say how much.",
  };
}

async function lookAtEdge(
  edge: KnownEdge,
  { entry, edges }: KnownTelemetry,
  looking: Looking,
): Promise<Finding> {
  const path = `/api/v1/graph?focus=${encodeURIComponent(entry)}&depth=${edges.length}`;
  const isRight = (answer: unknown): boolean => edgeDifference(edge, answer) === null;
  const { answer, afterMs } = await readUntil(path, looking, isRight);
  const about = { check: "graph", subject: `${edge.caller} -> ${edge.callee}` } as const;
  const difference = edgeDifference(edge, answer);
  if (difference !== null)
    return {
      ...about,
      ok: false,
      message: difference,
      hint: `If the traces are right, the server has not put them into its graph: see fold_faults_total in /metrics, and the setting services. ${defectHint}`,
    };
  return { ...about, ...punctuality(`had its ${edge.calls} calls, ${edge.errors} of them failed,`, afterMs) };
}

async function lookAtCause({ traceId, cause }: KnownTrace, looking: Looking): Promise<Finding> {
  const report = await askOrNull(looking, `/api/v1/traces/${traceId}/analysis`);
  const first = firstCauseIn(report);
  const ok = report !== null && first === cause;
  return {
    check: "root_cause",
    subject: traceId,
    ok,
    message: ok
      ? `${cause} is named first`
      : `${first ?? "nobody"} is named first; the failure began at ${cause}`,
    hint: ok
      ? ""
      : `If the trace above is right, \`hypocenter query ${traceId} --server ${looking.settings.server}\` shows the reasons. ${defectHint}`,
  };
}

function told(sentences: readonly string[]): string {
  const more = sentences.length - toldMax;
  return sentences.slice(0, toldMax).join("; ") + (more > 0 ? `; and ${more} more differences` : "");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 1000 ? 2 : 1)} s`;
}

interface Outcome {
  readonly ok: boolean;
  readonly run: string;
  readonly server: string;
  readonly version: string;
  readonly sentTo: string;
  readonly findings: readonly Finding[];
}

function jsonOf({ ok, run, server, version, sentTo, findings }: Outcome) {
  return { ok, run, server, version, sent_to: sentTo, checks: findings };
}

const checkNames: Readonly<Record<Finding["check"], string>> = {
  accepted: "accepted",
  readable: "readable",
  trace: "trace",
  graph: "graph",
  root_cause: "root cause",
};

/** `width` = columns of a terminal; undefined where it is none: then each line is whole, for others to search. */
function textOf({ ok, run, server, version, findings }: Outcome, width?: number): string {
  const lines = findings.flatMap((finding) => [
    ...below(
      `${finding.ok ? "right" : "WRONG"}  ${checkNames[finding.check].padEnd(10)}  `,
      `${finding.subject}: ${finding.message}`,
      width,
    ),
    ...(finding.hint === "" ? [] : below(" ".repeat(19), finding.hint, width)),
  ]);
  const wrong = findings.filter((finding) => !finding.ok).length;
  const end = ok
    ? `All ${findings.length} checks are right.`
    : `${wrong} of ${findings.length} checks are wrong.`;
  return [`hypocenter ${version} at ${server}, run ${run}`, ...lines, end].join("\n");
}

/** A text behind `first`, wrapped below itself. */
function below(first: string, text: string, width?: number): readonly string[] {
  if (width === undefined) return [first + text];
  const parts = wrap(text, { width: Math.max(20, width - first.length), linesMax: 10, ellipsis: "..." });
  return parts.map((part, i) => (i === 0 ? first : " ".repeat(first.length)) + part);
}
