import { randomUUID } from "node:crypto";
import { resolve as absolutePath } from "node:path";
import type { SettingValues } from "../config/settings.ts";
import { ByteBudget } from "../engine/byte-budget.ts";
import { createEngine, type Engine } from "../engine/engine.ts";
import type { Listener } from "../engine/listener.ts";
import { type Clock, signals, type TelemetryStore } from "../engine/ports.ts";
import { ReceiverCounters } from "../engine/receiver-counters.ts";
import { startGrpcReceiver } from "../grpc/grpc-receiver.ts";
import { defaultConnectionTimes } from "../grpc/grpc-server.ts";
import { guardOtlp } from "../http/access.ts";
import { createApiHandler, loopbackHosts } from "../http/api.ts";
import { answerUnreadable, createOtlpHttpHandler } from "../http/otlp-handler.ts";
import { defaultTimeouts, listenHttp } from "../http/server.ts";
import { NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { openDiskStore } from "../storage/disk/disk-store.ts";
import { startSealer } from "../storage/disk/sealer.ts";
import { createMemoryStore } from "../storage/memory-store.ts";
import type { SelfTraces } from "../telemetry/self-traces.ts";
import { writeJson } from "../wire/write-json.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { incidentLine } from "./incident-line.ts";
import { processMemory } from "./process-memory.ts";
import { plainStyle, renderPrintable } from "./render-report.ts";
import { openAccess, type ServerAccess } from "./server-access.ts";
import { version } from "./version.ts";

/** Together below the 5 seconds that a supervisor may rely on. */
const receiverGraceMs = 1_000;
const drainMsMax = 2_500;
const apiGraceMs = 500;

/** `hypocenter serve`: store, engine, receivers and API in one process, until a signal ends it. */
export async function serve(run: CommandRun): Promise<number> {
  const faults = faultLog(run);
  const access = await openAccess(run.settings, (message) => note(run, message));
  const own = await openSelfTraces(run);
  const memory = processMemory();
  const room = memoryRoom(run.settings, memory.usableBytes);
  if (room.all < run.settings.memory_limit)
    note(
      run,
      `memory_limit is ${megabytes(room.all)}: Node's own limit allows no more. NODE_OPTIONS=--max-old-space-size=${megabytes(run.settings.memory_limit * 2, "")} would.`,
      { level: "warn" },
    );
  const store = await openStore(run, room, faults);
  const engine = createEngine({
    store,
    clock,
    limits: engineLimits(run.settings, room),
    onFault: faults,
    observer: own?.observer,
    memory,
  });
  const asked = endRequest();
  const service = await startService(run, {
    engine,
    access,
    own,
    ingest: room.ingest,
    onFault: faults,
  }).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const scheme = access.tls === null ? "http" : "https";
  const told = { server: `${scheme}://${service.api.address}`, language: run.settings.lang };
  engine.onIncident((event) => {
    const line = incidentLine(event, told);
    const { kind, incident } = event;
    const level = kind === "opened" ? "warn" : "info";
    if (line !== null) note(run, line, { level, fields: { incident: incident.id, event: kind } });
  });
  engine.start();
  await announce(run, service, access);
  const signal = await asked;
  note(run, `${signal}: finishing what is under way; once more ends at once`);
  await stopService(service, engine, store);
  await own?.stop();
  access.close();
  const { ingested_spans_total: spans = 0, open_traces: open = 0 } = engine.stats();
  note(run, `ended; ${spans} spans were taken in, ${open} traces were left unfinished`, {
    fields: { spans, open_traces: open },
  });
  return 0;
}

/** How much each part may hold, so that all of them together are about what the whole may. */
function memoryRoom(settings: SettingValues, usableBytes: number) {
  const all = Math.min(settings.memory_limit, usableBytes);
  return {
    all,
    ingest: Math.min(settings.ingest_memory, all / 4),
    store: Math.min(settings.store_memory, all / 4),
    decoded: Math.min(settings.decoded_memory, all * 0.3),
    kept: Math.min(settings.kept_memory, all / 16),
    history: Math.min(settings.history_memory, all / 3),
    knownTraces: Math.min(settings.known_traces, Math.floor(all / 1024)),
  };
}

function megabytes(bytes: number, unit = " MiB"): string {
  return `${Math.floor(bytes / 2 ** 20)}${unit}`;
}

type MemoryRoom = ReturnType<typeof memoryRoom>;

/** Where telemetry is kept. */
async function openStore(
  run: CommandRun,
  { decoded, kept, store }: MemoryRoom,
  onFault: (fault: unknown) => void,
): Promise<TelemetryStore> {
  const { settings } = run;
  const room = { decodedBytesMax: decoded, keptBytesMax: kept };
  if (settings.memory)
    return createMemoryStore({
      ...room,
      bytesMax: store,
      tracesMax: settings.store_traces,
    });
  return openDiskStore({
    ...room,
    folder: absolutePath(settings.data_folder),
    syncs: settings.durability === "fsync",
    retention: {
      traces: { ageMsMax: settings.trace_retention, bytesMax: settings.trace_disk },
      metrics: { ageMsMax: settings.metric_retention, bytesMax: settings.metric_disk },
      logs: { ageMsMax: settings.log_retention, bytesMax: settings.log_disk },
    },
    freeBytesMin: settings.disk_reserve,
    foldedAfterMs: settings.trace_open + settings.trace_idle + settings.summary_delay,
    restoreBytesMax: settings.restart_read,
    restoreAgeMsMax: settings.history,
    clock,
    sealer: startSealer(),
    onNotice: (message) => note(run, message),
    onFault,
  });
}

const clock: Clock = {
  unixNanos: () => (BigInt(Date.now()) * BigInt(NANOS_PER_MS)) as UnixNanos,
  monotonicMs: () => performance.now(),
};

interface Service {
  readonly grpc: Listener;
  readonly http: Listener;
  readonly api: Listener;
  isReady: boolean;
}

/** Opens the three listeners; if one cannot be opened, the others are closed again. */
async function startService(
  run: CommandRun,
  {
    engine,
    access,
    own,
    ingest,
    onFault,
  }: {
    readonly engine: Engine;
    readonly access: ServerAccess;
    readonly own: SelfTraces | null;
    /** bytes of requests that are being received */
    readonly ingest: number;
    readonly onFault: (fault: unknown) => void;
  },
): Promise<Service> {
  const { settings } = run;
  const { tls, credentials, cors } = access;
  const { host } = settings;
  // What never fits is refused for good.
  const bodyBytesMax = Math.min(settings.request_size, ingest);
  const budget = new ByteBudget(ingest, settings.client_share / 100, () => engine.isFull);
  const counters = { http: new ReceiverCounters("http"), grpc: new ReceiverCounters("grpc") };
  const taken = signals.filter((signal) => settings.signals.includes(signal));
  const onOddity = (message: string): void => note(run, message, { level: "warn" });
  const observer = own?.observer;
  const receiving = { ingest: engine, budget, bodyBytesMax, onFault, onOddity, observer, signals: taken };
  const state: { service: Service | null } = { service: null };
  const apiHandler = createApiHandler({
    query: engine,
    clock,
    version: version(),
    isReady: () => state.service?.isReady === true,
    stats: () => ({ ...engine.stats(), ...counters.http.stats(), ...counters.grpc.stats(), ...own?.stats() }),
    addresses: () => addressesOf(state.service),
    renderReport: (shown, form) => renderPrintable(shown, { ...form, style: plainStyle }),
    credentials,
    tls,
    allowedHosts: isLoopback(host) ? loopbackHosts([host, ...(settings.allowed_hosts ?? [])]) : null,
    onFault,
    observer,
  });
  const opened: Listener[] = [];
  const open = async (starting: Promise<Listener>): Promise<Listener> => {
    const listener = await starting;
    opened.push(listener);
    return listener;
  };
  try {
    const pathPrefix = pathPrefixOf(settings.http_path_prefix);
    const receiver = createOtlpHttpHandler({ ...receiving, counters: counters.http, pathPrefix });
    const timeouts = {
      ...defaultTimeouts,
      headersMs: settings.header_timeout,
      requestMs: Math.max(settings.request_timeout, settings.header_timeout),
      keepAliveMs: settings.idle_timeout,
    };
    const connectionsMax = settings.connections;
    const listening = { host, connectionsMax, tls, timeouts };
    const httpOptions = { ...listening, port: settings.http_port, unreadable: answerUnreadable };
    const httpHandler = guardOtlp(receiver, { cors, credentials, counters: counters.http });
    const http = await open(listenHttp(httpHandler, httpOptions));
    const grpcAccess = { tls, credentials, counters: counters.grpc };
    const times = {
      ...defaultConnectionTimes,
      ageMs: settings.grpc_connection_age,
      ageGraceMs: settings.grpc_connection_grace,
    };
    const grpcOptions = {
      ...receiving,
      ...grpcAccess,
      host,
      port: settings.grpc_port,
      connectionsMax,
      times,
      messageMsMax: settings.request_timeout,
    };
    const grpc = await open(startGrpcReceiver(grpcOptions));
    // Probes cannot show a certificate: the API asks for it itself, but not where it tells its health.
    const apiOptions = { ...listening, port: settings.port, admitsStrangers: true };
    const api = await open(listenHttp(apiHandler, apiOptions));
    await own?.refuseLoop(opened);
    state.service = { grpc, http, api, isReady: true };
    return state.service;
  } catch (error) {
    await Promise.all(opened.map((listener) => listener.close(0)));
    throw error;
  }
}

/** The code is loaded only where it is asked for. */
async function openSelfTraces(run: CommandRun): Promise<SelfTraces | null> {
  const { self_traces: url } = run.settings;
  if (url === null) return null;
  const { startSelfTraces } = await import("../telemetry/self-traces.ts");
  const onProblem = (message: string): void => note(run, message, { level: "warn" });
  return startSelfTraces({ url, version: version(), instance: randomUUID(), onProblem });
}

/** With a slash in front and none behind; "" = none. */
function pathPrefixOf(path: string | null): string {
  const names = (path ?? "").split("/").filter((name) => name !== "");
  return names.map((name) => `/${name}`).join("");
}

function addressesOf(service: Service | null) {
  return {
    grpc: service?.grpc.address ?? "",
    http: service?.http.address ?? "",
    api: service?.api.address ?? "",
  };
}

function engineLimits(settings: SettingValues, { all, history, ingest, knownTraces }: MemoryRoom) {
  return {
    traceSpansMax: settings.trace_spans,
    servicesMax: settings.services,
    redacts: settings.redact,
    clockApartMsMax: settings.clock_apart,
    idleMs: settings.trace_idle,
    openAgeMsMax: settings.trace_open,
    openTracesMax: settings.open_traces,
    traceStatesMax: knownTraces,
    minutesMax: Math.ceil(settings.history / 60_000),
    historyBytesMax: history,
    ingestBytesMax: ingest,
    memoryBytesMax: all,
    minuteVisitsMax: settings.minute_visits,
    minuteLogLinesMax: settings.minute_log_lines,
    metricPointsMax: settings.metric_points,
    windowVisitsMax: settings.window_visits,
    incidentLookMs: settings.incident_look,
    incidentQuietMs: settings.incident_quiet,
    incidentsMax: settings.incidents,
    // what it was about has gone then, but for the traces that it keeps
    ...(settings.memory ? {} : { incidentAgeMsMax: settings.trace_retention }),
    drainMsMax,
  };
}

async function announce(run: CommandRun, service: Service, access: ServerAccess): Promise<void> {
  const { grpc, http, api } = addressesOf(service);
  const { host, memory, data_folder: data } = run.settings;
  const scheme = access.tls === null ? "http" : "https";
  const kept = memory ? {} : { data: absolutePath(data) };
  note(run, `hypocenter ${version()} is ready`, {
    fields: { version: version(), grpc, http, api, ...kept },
  });
  if (run.noteFormat !== "json") {
    note(run, `  OTLP over gRPC  ${grpc}${access.tls === null ? "" : " (TLS)"}`);
    note(run, `  OTLP over HTTP  ${scheme}://${http}`);
    note(run, `  API             ${scheme}://${api}`);
    if (!memory) note(run, `  data            ${absolutePath(data)}`);
  }
  if (memory) note(run, "Telemetry is kept in memory: it is gone when this server ends.");
  if (!isLoopback(host)) warnOfOpenness(run, access);
  if (run.format === "json") await writeResult(run, writeJson({ ready: true, grpc, http, api }));
}

function warnOfOpenness(run: CommandRun, { tls, credentials }: ServerAccess): void {
  const reached = `Warning: ${run.settings.host} can be reached from other machines, and`;
  if (credentials === null && tls?.asksClients !== true)
    note(
      run,
      `${reached} nothing here asks who they are (see auth_tokens, auth_ingest_tokens and tls_client_ca_file).`,
      {
        level: "warn",
      },
    );
  else if (tls === null)
    note(run, `${reached} secrets travel unencrypted (see tls_cert_file).`, { level: "warn" });
}

/** Receivers first, so that nothing new comes in; questions are answered while what came is folded. */
async function stopService(service: Service, engine: Engine, store: TelemetryStore): Promise<void> {
  service.isReady = false;
  await Promise.all([service.grpc.close(receiverGraceMs), service.http.close(receiverGraceMs)]);
  await engine.stop();
  await service.api.close(apiGraceMs);
  await store.close();
}

/** Resolves with the first signal that asks us to end; a second one ends the process at once. */
function endRequest(): Promise<string> {
  return new Promise((resolve) => {
    let isAsked = false;
    for (const [signal, exitCode] of [
      ["SIGTERM", 143],
      ["SIGINT", 130],
    ] as const)
      process.on(signal, () => {
        if (isAsked) process.exit(exitCode);
        isAsked = true;
        resolve(signal);
      });
  });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** Faults of ours go to standard error, one a second at most; the rest is counted. */
function faultLog(run: CommandRun): (fault: unknown) => void {
  let nextAt = 0;
  let kept = 0;
  return (fault) => {
    const now = clock.monotonicMs();
    if (now < nextAt) {
      kept += 1;
      return;
    }
    const more = kept > 0 ? ` (and ${kept} more since the last one)` : "";
    const text = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
    note(run, `hypocenter: a fault inside hypocenter, please report it${more}: ${text}`, { level: "error" });
    nextAt = now + 1_000;
    kept = 0;
  };
}
