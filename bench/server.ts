import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { traceIdFromWords } from "../src/model/ids.ts";
import { encodeTraces } from "../src/otlp/encode-traces.ts";
import { MeteredRun } from "./child.ts";
import type { BenchOptions } from "./main.ts";
import { median, quantile, type Row, spansPerCpuSecond, wholeNumber } from "./measure.ts";
import { makeBatches } from "./span-fixtures.ts";

const startUps = 5;
const reportsAsked = 500;
/** asked before these, and not counted: code that has just been loaded is slow */
const reportsBefore = 100;
const spansPerBatch = 512;
const spansPerSecond = 10_000;
/** requests sent before those that count, to a server that has just been started */
const acknowledgedBefore = 100;

/** A real server process: how soon it is ready, what taking spans in costs it, how fast it reports. */
export async function benchServer({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  const startUpMs: number[] = [];
  for (let i = 0; i < startUps; i += 1) startUpMs.push(await measureStartUp());
  return [
    {
      subject: "serve, from start to ready",
      result: `${wholeNumber(median(startUpMs))} ms`,
      bar: "< 1,000 ms",
      note: `median of ${startUps}`,
    },
    ...(await measureLive(isQuick ? 10_000 : 100_000, inMemory)),
    await measureAcknowledgement(isQuick ? 2 : 10, inMemory),
    ...(await onDisk((place) => measureLive(isQuick ? 10_000 : 100_000, place))),
    ...(await onDisk(async (place) => [await measureAcknowledgement(isQuick ? 2 : 10, place)])),
  ];
}

/** Where a server keeps what it takes in. */
interface Place {
  readonly words: readonly string[];
  readonly name: string;
}

const inMemory: Place = { words: ["--memory", "--store-memory", "2GiB"], name: "in memory" };

/** In a folder that is gone afterwards; every acknowledgement waits for the disk. */
async function onDisk(measure: (place: Place) => Promise<readonly Row[]>): Promise<readonly Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-bench-"));
  try {
    return await measure({ words: ["--data", folder], name: "on disk, fsync" });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface Addresses {
  readonly grpc: string;
  readonly http: string;
  readonly api: string;
}

/** A server that is ready; of itself one with room for everything in memory. */
export async function startServer({ words }: Pick<Place, "words"> = inMemory): Promise<{
  readonly run: MeteredRun;
  readonly addresses: Addresses;
}> {
  const ports = ["--grpc-port", "0", "--http-port", "0", "--port", "0"];
  const run = new MeteredRun(["serve", "--quiet", "--format", "json", ...ports, ...words]);
  const { value } = await run.lines.next();
  return { run, addresses: JSON.parse(value ?? "{}") as Addresses };
}

async function measureStartUp(): Promise<number> {
  const start = performance.now();
  const { run } = await startServer();
  const ms = performance.now() - start;
  await run.stop();
  return ms;
}

async function measureLive(traces: number, place: Place): Promise<readonly Row[]> {
  const { run, addresses } = await startServer(place);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const idle = await run.usage();
    const { traceIds, spans } = await sendTraces(traces, addresses, agent);
    await waitUntilFolded(addresses, agent);
    const busy = await run.usage();
    const times = await askReports(pick(traceIds, reportsBefore + reportsAsked), addresses, agent);
    times.splice(0, reportsBefore);
    const { peakBytes } = await run.usage();
    return [
      {
        subject: `take in OTLP/HTTP protobuf, gzip, kept ${place.name}`,
        result: spansPerCpuSecond(spans / (busy.cpuSeconds - idle.cpuSeconds)),
        note: `${spansPerBatch} spans a request; decoded, kept, folded into graph and metrics`,
      },
      {
        subject: `report by trace id over HTTP, ${wholeNumber(traceIds.length)} traces kept ${place.name}`,
        result: `p50 ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms`,
        bar: "p99 < 20 ms",
        note: `${reportsAsked} scattered traces of 5 to 20 spans, one after the other, after ${reportsBefore} others; slowest ${Math.max(...times).toFixed(0)} ms; peak ${wholeNumber(peakBytes / 2 ** 20)} MiB`,
      },
    ];
  } finally {
    agent.destroy();
    await run.stop();
  }
}

/** One request after the other at a steady rate, and how long each sender waits until its spans are taken. */
async function measureAcknowledgement(seconds: number, place: Place): Promise<Row> {
  const { run, addresses } = await startServer(place);
  const agent = new Agent({ keepAlive: true });
  const bodies = bodiesOf(acknowledgedBefore + requestsIn(seconds));
  try {
    return await acknowledgement(addresses, { agent, bodies, seconds, subject: `kept ${place.name}` });
  } finally {
    agent.destroy();
    await run.stop();
  }
}

/** How many requests are sent in some seconds. */
export function requestsIn(seconds: number): number {
  return Math.round((seconds * spansPerSecond) / spansPerBatch);
}

/** Requests as senders pack them. */
export function bodiesOf(requests: number): readonly Uint8Array[] {
  const batches = makeBatches({ spans: requests * spansPerBatch, spansPerBatch, seed: 3 });
  return Array.from(batches, (rows) => gzipSync(encodeTraces(rows), { level: 1 }));
}

interface Acknowledgement {
  readonly agent: Agent;
  /** the last ones count, as many as are sent in this time */
  readonly bodies: readonly Uint8Array[];
  readonly seconds: number;
  /** what the server is or does */
  readonly subject: string;
}

export async function acknowledgement(
  { http }: Addresses,
  { agent, bodies, seconds, subject }: Acknowledgement,
): Promise<Row> {
  const headers = { "content-type": "application/x-protobuf", "content-encoding": "gzip" };
  const send = async (body: Uint8Array): Promise<number> => {
    const start = performance.now();
    await ask(`http://${http}/v1/traces`, { agent, headers, body });
    return performance.now() - start;
  };
  const counted = bodies.slice(-requestsIn(seconds));
  for (const body of bodies.slice(0, -counted.length)) await send(body);
  const waits: Promise<number>[] = [];
  const start = performance.now();
  for (const [i, body] of counted.entries()) {
    // By the clock, not after the last answer: who waits for slow answers would not see that others wait too.
    await pause(start + (i * spansPerBatch * 1_000) / spansPerSecond - performance.now());
    waits.push(send(body));
  }
  const times = await Promise.all(waits);
  return {
    subject: `acknowledgement of ${spansPerBatch} spans, ${wholeNumber(spansPerSecond)} spans/s over HTTP, ${subject}`,
    result: `p50 ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms`,
    bar: "p99 <= 100 ms",
    note: `${times.length} requests in ${seconds} s, protobuf, gzip; slowest ${Math.max(...times).toFixed(0)} ms`,
  };
}

/** Sends batches until enough traces are there; answers their ids. */
async function sendTraces(
  count: number,
  { http }: Addresses,
  agent: Agent,
): Promise<{ readonly traceIds: readonly string[]; readonly spans: number }> {
  const traceIds = new Set<string>();
  let spans = 0;
  const url = `http://${http}/v1/traces`;
  const headers = { "content-type": "application/x-protobuf", "content-encoding": "gzip" };
  for (const rows of makeBatches({ spans: Number.POSITIVE_INFINITY, spansPerBatch, seed: 2 })) {
    for (const { table, row } of rows) {
      const [a = 0, b = 0, c = 0, d = 0] = table.traceId.subarray(row * 4, row * 4 + 4);
      traceIds.add(traceIdFromWords(a, b, c, d));
    }
    await ask(url, { agent, headers, body: gzipSync(encodeTraces(rows), { level: 1 }) });
    spans += rows.length;
    if (traceIds.size >= count) break;
  }
  return { traceIds: [...traceIds], spans };
}

export async function waitUntilFolded({ api }: Addresses, agent: Agent): Promise<void> {
  for (;;) {
    const metrics = await ask(`http://${api}/metrics`, { agent });
    if (/^hypocenter_open_traces 0$/m.test(metrics)) return;
    await pause(200);
  }
}

async function askReports(traceIds: readonly string[], { api }: Addresses, agent: Agent): Promise<number[]> {
  const times: number[] = [];
  for (const traceId of traceIds) {
    const start = performance.now();
    await ask(`http://${api}/api/v1/traces/${traceId}/analysis`, { agent });
    times.push(performance.now() - start);
  }
  return times;
}

/** Spread over all, the same in every run: multiples of a number that shares no factor with the count. */
function pick(ids: readonly string[], count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => ids[(i * 7_919) % ids.length] as string);
}

interface Question {
  readonly agent: Agent;
  readonly headers?: Readonly<Record<string, string>>;
  /** sent with POST */
  readonly body?: Uint8Array;
}

/** The body of the answer; anything but 200 is an error. */
export function ask(url: string, { agent, headers = {}, body }: Question): Promise<string> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    const asked = request(url, { agent, method, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${method} ${url} answered ${response.statusCode}: ${text}`));
      });
      response.on("error", reject);
    });
    asked.on("error", reject);
    asked.end(body);
  });
}
