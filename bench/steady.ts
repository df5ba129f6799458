import { mkdtempSync, rmSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { encodeTraces } from "../src/otlp/encode-traces.ts";
import { residentBytesOf, usageOf } from "./child.ts";
import type { BenchOptions } from "./main.ts";
import { median, quantile, type Row, wholeNumber } from "./measure.ts";
import { ask, startServer, waitUntilFolded } from "./server.ts";
import { makeBatches } from "./span-fixtures.ts";

const spansPerSecond = 10_000;
const spansPerBatch = 512;
/** of the run, before it counts whether memory grows */
const warmUpShare = 1 / 3;

/** A fleet's traffic for a long time: what it takes of a processor, whether memory grows, whether anything is lost. */
export async function benchSteady({ isQuick, minutes }: BenchOptions): Promise<readonly Row[]> {
  const seconds = isQuick ? 30 : minutes * 60;
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-bench-"));
  const agent = new Agent({ keepAlive: true });
  const { run, addresses } = await startServer({ words: ["--data", folder] });
  try {
    const before = usageOf(run.pid).cpuSeconds;
    const { times, resident, sent, traces } = await sendFor(seconds, {
      url: `http://${addresses.http}/v1/traces`,
      agent,
      pid: run.pid,
    });
    await waitUntilFolded(addresses, agent);
    const { cpuSeconds, peakBytes } = usageOf(run.pid);
    const metrics = await ask(`http://${addresses.api}/metrics`, { agent });
    const taken = Number(/^hypocenter_ingested_spans_total (\d+)$/m.exec(metrics)?.[1]);
    const search = await ask(`http://${addresses.api}/api/v1/traces?limit=1`, { agent });
    const { total: found } = JSON.parse(search) as { readonly total: number };
    const warm = resident.slice(Math.floor(resident.length * warmUpShare));
    const half = Math.floor(warm.length / 2);
    const growth = median(warm.slice(half)) / median(warm.slice(0, half)) - 1;
    const what = `${wholeNumber(spansPerSecond)} spans/s for ${wholeNumber(seconds / 60)} minutes, on disk, fsync`;
    const megabytes = (bytes: number): string => `${wholeNumber(bytes / 1e6)} MB`;
    return [
      {
        subject: `${what}: CPU`,
        result: `${((100 * (cpuSeconds - before)) / seconds).toFixed(1)} % of one core`,
        bar: "<= 30 %",
        note: `of ${wholeNumber(sent)} spans ${wholeNumber(sent - taken)} were lost, of ${wholeNumber(traces)} traces a search lacks ${wholeNumber(traces - found)}`,
      },
      {
        subject: `${what}: memory`,
        result: `${megabytes(median(warm))}, peak ${megabytes(peakBytes)}`,
        bar: "<= 400 MB",
        note: `median of the last two thirds; of these the second half ${(100 * growth).toFixed(1)} % above the first`,
      },
      {
        subject: `${what}: acknowledgement`,
        result: `p50 ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms`,
        bar: "p99 <= 100 ms",
        note: `slowest ${Math.max(...times).toFixed(0)} ms of ${wholeNumber(times.length)}`,
      },
    ];
  } finally {
    agent.destroy();
    await run.stop();
    rmSync(folder, { recursive: true });
  }
}

interface Sent {
  /** milliseconds until each was acknowledged */
  readonly times: number[];
  /** bytes of memory, once a second */
  readonly resident: number[];
  /** spans */
  readonly sent: number;
  readonly traces: number;
}

/** By the clock, whether answers come or not; the memory of the server is looked at once a second. */
async function sendFor(
  seconds: number,
  { url, agent, pid }: { readonly url: string; readonly agent: Agent; readonly pid: number },
): Promise<Sent> {
  const headers = { "content-type": "application/x-protobuf", "content-encoding": "gzip" };
  const resident: number[] = [];
  const waits: Promise<number>[] = [];
  const start = performance.now();
  let [sent, traces, lastTrace] = [0, 0, ""];
  for (const rows of makeBatches({ spans: seconds * spansPerSecond, spansPerBatch, seed: 9 })) {
    const body = gzipSync(encodeTraces(rows), { level: 1 });
    await pause(start + (sent * 1_000) / spansPerSecond - performance.now());
    const asked = performance.now();
    if (asked - start > resident.length * 1_000) resident.push(residentBytesOf(pid));
    waits.push(ask(url, { agent, headers, body }).then(() => performance.now() - asked));
    sent += rows.length;
    for (const { table, row } of rows) {
      // those of one trace stand together
      const trace = table.traceId.subarray(row * 4, row * 4 + 4).join();
      if (trace !== lastTrace) traces += 1;
      lastTrace = trace;
    }
  }
  return { times: await Promise.all(waits), resident, sent, traces };
}
