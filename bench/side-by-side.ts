import { mkdtempSync, rmSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { encodeTraces } from "../src/otlp/encode-traces.ts";
import { freePort } from "../test/free-port.ts";
import { prepareCollector, runCollector } from "../test/interop/collector.ts";
import { prepareJaeger, startJaeger } from "../test/interop/trace-viewers.ts";
import { type Usage, usageOf } from "./child.ts";
import type { BenchOptions } from "./main.ts";
import { type Row, spansPerCpuSecond, wholeNumber } from "./measure.ts";
import { ask, startServer } from "./server.ts";
import { makeBatches } from "./span-fixtures.ts";

const spansPerBatch = 512;
/** sent before those that count, to a program that has just been started */
const warmUp = 100_000;

/** A program that takes OTLP over HTTP. */
interface Receiver {
  readonly url: string;
  readonly usage: () => Usage | Promise<Usage>;
  readonly stop: () => Promise<unknown>;
}

interface Contender {
  readonly name: string;
  /** what it makes of the spans */
  readonly does: string;
  /** why it cannot be had here; null = it can */
  readonly prepare: () => Promise<string | null>;
  readonly start: (folder: string) => Promise<Receiver>;
}

const contenders: readonly Contender[] = [
  {
    name: "hypocenter",
    does: "on disk with fdatasync, folded into graph, metrics and what windows are compared by, searchable",
    prepare: async () => null,
    start: async (folder) => {
      const { run, addresses } = await startServer({ words: ["--data", folder] });
      return {
        url: `http://${addresses.http}/v1/traces`,
        usage: () => run.usage(),
        stop: () => run.stop(),
      };
    },
  },
  {
    name: "OpenTelemetry Collector",
    does: "spanmetrics and servicegraph connectors, both signals into files; no search, no analysis",
    prepare: prepareCollector,
    start: async (folder) => {
      const port = await freePort();
      const program = await runCollector(collectorConfig(port, folder), folder);
      return { ...program, url: urlAt(port), usage: () => usageOf(program.pid) };
    },
  },
  ...(["badger", "memory"] as const).map((storage) => ({
    name: `Jaeger, ${storage}`,
    does: storage === "badger" ? "on disk, searchable; no analysis" : "searchable; no analysis",
    prepare: prepareJaeger,
    start: async (folder: string) => {
      const jaeger = await startJaeger(folder, storage);
      return { url: jaeger.otlp, usage: () => usageOf(jaeger.pid), stop: () => jaeger.stop() };
    },
  })),
];

function urlAt(port: number): string {
  return `http://127.0.0.1:${port}/v1/traces`;
}

function collectorConfig(port: number, folder: string): string {
  return `
receivers: { otlp: { protocols: { http: { endpoint: "127.0.0.1:${port}" } } } }
connectors: { spanmetrics: {}, servicegraph: {} }
exporters:
  file/traces: { path: "${join(folder, "traces.binpb")}", format: proto }
  file/metrics: { path: "${join(folder, "metrics.jsonl")}" }
service:
  telemetry: { metrics: { level: none } }
  pipelines:
    traces: { receivers: [otlp], exporters: [spanmetrics, servicegraph, file/traces] }
    metrics: { receivers: [spanmetrics, servicegraph], exporters: [file/metrics] }
`;
}

/** The same spans for hypocenter and for programs in Go, one after the other: what taking them in costs each. */
export async function benchSideBySide({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  const spans = isQuick ? 100_000 : 1_000_000;
  const batches = makeBatches({ spans: warmUp + spans, spansPerBatch, seed: 8 });
  const bodies = Array.from(batches, (rows) => gzipSync(encodeTraces(rows)));
  const rows: Row[] = [];
  let own: number | null = null;
  for (const { name, does, prepare, start } of contenders) {
    const subject = `side by side, ${wholeNumber(spans)} spans over HTTP: ${name}`;
    const missing = await prepare();
    if (missing !== null) {
      rows.push({ subject, result: "not measured", note: missing });
      continue;
    }
    const { cpuSeconds, peakBytes } = await measure(start, bodies);
    const rate = spans / cpuSeconds;
    own ??= rate;
    const ratio = rate === own ? "" : `; ${(own / rate).toFixed(2)} times as much by hypocenter`;
    rows.push({
      subject,
      result: `${spansPerCpuSecond(rate)}, peak ${wholeNumber(peakBytes / 2 ** 20)} MiB`,
      note: `${does}${ratio}`,
    });
  }
  return rows;
}

async function measure(start: Contender["start"], bodies: readonly Uint8Array[]): Promise<Usage> {
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-bench-"));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const receiver = await start(folder);
  const headers = { "content-type": "application/x-protobuf", "content-encoding": "gzip" };
  const before = Math.floor(warmUp / spansPerBatch);
  try {
    for (const body of bodies.slice(0, before)) await ask(receiver.url, { agent, headers, body });
    const { cpuSeconds } = await atRest(receiver);
    for (const body of bodies.slice(before)) await ask(receiver.url, { agent, headers, body });
    const after = await atRest(receiver);
    return { ...after, cpuSeconds: after.cpuSeconds - cpuSeconds };
  } finally {
    agent.destroy();
    await receiver.stop();
    rmSync(folder, { recursive: true });
  }
}

/** What a program has used when it has nothing left to do. */
async function atRest({ usage }: Receiver): Promise<Usage> {
  const lookMs = 2_000;
  const idleShare = 0.05;
  for (let before = await usage(); ; ) {
    await pause(lookMs);
    const now = await usage();
    if (now.cpuSeconds - before.cpuSeconds < (lookMs / 1_000) * idleShare) return now;
    before = now;
  }
}
