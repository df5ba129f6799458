import type { SettingValues } from "../config/settings.ts";
import { ByteBudget } from "../engine/byte-budget.ts";
import { createEngine, type Engine } from "../engine/engine.ts";
import type { Listener } from "../engine/listener.ts";
import type { Clock, TelemetryStore } from "../engine/ports.ts";
import { ReceiverCounters } from "../engine/receiver-counters.ts";
import { startGrpcReceiver } from "../grpc/grpc-receiver.ts";
import { createApiHandler, loopbackHosts } from "../http/api.ts";
import { createOtlpHttpHandler } from "../http/otlp-handler.ts";
import { listenHttp } from "../http/server.ts";
import { NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { createMemoryStore } from "../storage/memory-store.ts";
import { writeJson } from "../wire/write-json.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { version } from "./version.ts";

/** Together below the 5 seconds that a supervisor may rely on. */
const receiverGraceMs = 1_000;
const drainMsMax = 2_500;
const apiGraceMs = 500;

/** `hypocenter serve`: store, engine, receivers and API in one process, until a signal ends it. */
export async function serve(run: CommandRun): Promise<number> {
  const faults = faultLog(run);
  const store = createMemoryStore({
    bytesMax: run.settings.store_memory,
    tracesMax: run.settings.store_traces,
    decodedBytesMax: run.settings.decoded_memory,
  });
  const engine = createEngine({ store, clock, limits: engineLimits(run.settings), onFault: faults });
  const asked = endRequest();
  const service = await startService(run, engine, faults);
  engine.start();
  await announce(run, service);
  const signal = await asked;
  note(run, `${signal}: finishing what is under way; once more ends at once`);
  await stopService(service, engine, store);
  const { ingested_spans_total: spans = 0, open_traces: open = 0 } = engine.stats();
  note(run, `ended; ${spans} spans were taken in, ${open} traces were left unfinished`);
  return 0;
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
  { settings }: CommandRun,
  engine: Engine,
  onFault: (fault: unknown) => void,
): Promise<Service> {
  const { host, request_size: bodyBytesMax } = settings;
  const budget = new ByteBudget(settings.ingest_memory);
  const counters = { http: new ReceiverCounters("http"), grpc: new ReceiverCounters("grpc") };
  const receiving = { ingest: engine, budget, bodyBytesMax, onFault };
  const state: { service: Service | null } = { service: null };
  const apiHandler = createApiHandler({
    query: engine,
    clock,
    version: version(),
    isReady: () => state.service?.isReady === true,
    stats: () => ({ ...engine.stats(), ...counters.http.stats(), ...counters.grpc.stats() }),
    addresses: () => addressesOf(state.service),
    allowedHosts: isLoopback(host) ? loopbackHosts([host, ...(settings.allowed_hosts ?? [])]) : null,
    onFault,
  });
  const opened: Listener[] = [];
  const open = async (starting: Promise<Listener>): Promise<Listener> => {
    const listener = await starting;
    opened.push(listener);
    return listener;
  };
  try {
    const httpHandler = createOtlpHttpHandler({ ...receiving, counters: counters.http });
    const http = await open(listenHttp(httpHandler, { host, port: settings.http_port }));
    const grpcOptions = { ...receiving, counters: counters.grpc, host, port: settings.grpc_port };
    const grpc = await open(startGrpcReceiver(grpcOptions));
    const api = await open(listenHttp(apiHandler, { host, port: settings.port }));
    state.service = { grpc, http, api, isReady: true };
    return state.service;
  } catch (error) {
    await Promise.all(opened.map((listener) => listener.close(0)));
    throw error;
  }
}

function addressesOf(service: Service | null) {
  return {
    grpc: service?.grpc.address ?? "",
    http: service?.http.address ?? "",
    api: service?.api.address ?? "",
  };
}

function engineLimits(settings: SettingValues) {
  return {
    idleMs: settings.trace_idle,
    openAgeMsMax: settings.trace_open,
    openTracesMax: settings.open_traces,
    traceStatesMax: settings.known_traces,
    minutesMax: Math.ceil(settings.history / 60_000),
    historyBytesMax: settings.history_memory,
    ingestBytesMax: settings.ingest_memory,
    drainMsMax,
  };
}

async function announce(run: CommandRun, service: Service): Promise<void> {
  const { grpc, http, api } = addressesOf(service);
  const { host, memory } = run.settings;
  note(run, `hypocenter ${version()} is ready`);
  note(run, `  OTLP over gRPC  ${grpc}`);
  note(run, `  OTLP over HTTP  http://${http}`);
  note(run, `  API             http://${api}`);
  if (!memory) note(run, "Telemetry is kept in memory: it is gone when this server ends.");
  if (!isLoopback(host))
    note(run, `Warning: ${host} can be reached from other machines, and nothing here asks who they are.`);
  if (run.format === "json") await writeResult(run, writeJson({ ready: true, grpc, http, api }));
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
function faultLog({ host }: CommandRun): (fault: unknown) => void {
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
    host.stderr.write(`hypocenter: a fault inside hypocenter, please report it${more}: ${text}\n`);
    nextAt = now + 1_000;
    kept = 0;
  };
}
