import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Client, compressionAlgorithms, credentials } from "@grpc/grpc-js";
import { traceIdFromWords } from "../src/model/ids.ts";
import { encodeTraces } from "../src/otlp/encode-traces.ts";
import type { BenchOptions } from "./main.ts";
import { quantile, type Row, spansPerCpuSecond, wholeNumber } from "./measure.ts";
import { acknowledgement, ask, bodiesOf, requestsIn, startServer, waitUntilFolded } from "./server.ts";
import { makeBatches } from "./span-fixtures.ts";

const spansPerBatch = 512;
/** spans that are sent before those that count: code that has just been loaded is slow */
const warmUp = 200_000;
/** part of the questions that are asked before those that count: code that has just been loaded is slow */
const askedBefore = 0.2;
/** part of the spans that come by gRPC afterwards */
const grpcShare = 0.1;
/** every so many batches, the id of one trace is remembered to be asked for */
const batchesPerQuestion = 20;
const searches = ["", "?status=error", "?service=orders", "?min_duration_ms=100"];
/** each is asked once: what was read for a search is remembered */
const rareAttributes = Array.from({ length: 40 }, (_, i) => `app.user.id=user-${(i * 1_237) % 50_000}`);
const absentAttributes = Array.from({ length: 20 }, (_, i) => `app.user.id=nobody-${i}`);
const commonAttributes = [
  "http.route=/api/cart",
  "http.request.method=POST",
  "http.response.status_code=200",
  "db.collection.name=orders",
  "rpc.method=GetCart",
  "messaging.destination.name=orders",
  "app.is_premium=true",
  "thread.id=7",
  "service.name=payment",
  "k8s.node.name=gke-pool-1-2",
];

/** A real server process that keeps everything on disk: what that costs, how much room it takes, how fast it is found again. */
export async function benchStore({ isQuick, storedSpans }: BenchOptions): Promise<readonly Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-bench-"));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const agents = new Agent({ keepAlive: true });
  const spans = isQuick ? 200_000 : storedSpans;
  const kept = { words: ["--data", folder, "--trace-disk", "100GiB"] };
  try {
    const { run, addresses } = await startServer(kept);
    const target = { url: `http://${addresses.http}/v1/traces`, agent };
    const warm = await sendAll(warmUp, { ...target, seed: 4 });
    const before = await run.usage();
    const traceIds = await sendAll(spans, { ...target, seed: 5 });
    await waitUntilFolded(addresses, agent);
    const { cpuSeconds } = await run.usage();
    const lookUps = await times([...warm, ...traceIds], (id) =>
      ask(`http://${addresses.api}/api/v1/traces/${id}`, { agent }),
    );
    const countedLookUps = lookUps.slice(Math.ceil(lookUps.length * askedBefore));
    const found = await times(
      Array.from({ length: 40 }, (_, i) => searches[i % searches.length] as string),
      (query) => ask(`http://${addresses.api}/api/v1/traces${query}`, { agent }),
    );
    const byAttribute = async (attributes: readonly string[]): Promise<AttributeTimes> =>
      timesOfSearches(attributes, `http://${addresses.api}/api/v1/traces?attribute=`, agent);
    const common = await byAttribute(commonAttributes);
    const rare = await byAttribute(rareAttributes);
    const absent = await byAttribute(absentAttributes);
    const grpcSpans = spans * grpcShare;
    const beforeGrpc = await run.usage();
    await sendByGrpc(grpcSpans, addresses.grpc);
    await waitUntilFolded(addresses, agent);
    const afterGrpc = await run.usage();
    const { peakBytes } = await run.stop();
    const bytes = bytesIn(folder);
    const seconds = isQuick ? 3 : 20;
    const bodies = bodiesOf(requestsIn(seconds));
    const started = performance.now();
    const again = await startServer(kept);
    const readyMs = performance.now() - started;
    const acknowledged = await acknowledgement(again.addresses, {
      agent: agents,
      bodies,
      seconds,
      subject: "from the start on, while what was kept is folded again",
    });
    await again.run.stop();
    const count = wholeNumber(spans);
    return [
      {
        subject: `take in OTLP/HTTP protobuf, gzip, on disk, ${count} spans`,
        result: spansPerCpuSecond(spans / (cpuSeconds - before.cpuSeconds)),
        bar: ">= 200,000 spans/CPU-s",
        note: `after ${wholeNumber(warmUp)} others; folded into graph and metrics, fdatasync before each answer; peak ${wholeNumber(peakBytes / 2 ** 20)} MiB (bar 600)`,
      },
      {
        subject: `take in OTLP/gRPC, gzip, on disk, ${wholeNumber(grpcSpans)} spans more`,
        result: spansPerCpuSecond(grpcSpans / (afterGrpc.cpuSeconds - beforeGrpc.cpuSeconds)),
        bar: ">= 150,000 spans/CPU-s",
        note: "one connection, one request after the other",
      },
      {
        subject: "disk",
        result: `${(bytes / (warmUp + spans + grpcSpans)).toFixed(1)} bytes a span`,
        bar: "<= 60",
        note: "489 bytes a span, packed by their sender with gzip level 6; index and summaries included",
      },
      {
        subject: `trace by id, ${count} spans on disk`,
        ...percentiles(countedLookUps),
        bar: "p99 <= 10 ms",
      },
      { subject: `search, ${count} spans on disk`, ...percentiles(found), bar: "p99 <= 200 ms" },
      ...[
        { subject: "of many traces", found: common },
        { subject: "of about twenty traces", found: rare },
        { subject: "of none", found: absent },
      ].map(({ subject, found: { ms, complete } }) => ({
        subject: `search by an attribute ${subject}, ${count} spans on disk`,
        ...percentiles(ms),
        bar: "p99 <= 200 ms",
        note: `${ms.length} over HTTP, each asked once; ${complete} of them looked at everything`,
      })),
      {
        subject: `serve, from start to ready, ${count} spans on disk`,
        result: `${wholeNumber(readyMs)} ms`,
        bar: "<= 2,000 ms",
      },
      acknowledged,
    ];
  } finally {
    agent.destroy();
    agents.destroy();
    rmSync(folder, { recursive: true });
  }
}

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async function sendByGrpc(spans: number, address: string): Promise<void> {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
  });
  const asIs = (bytes: Buffer): Buffer => bytes;
  try {
    for (const rows of makeBatches({ spans, spansPerBatch, seed: 6 }))
      await new Promise<void>((resolve, reject) =>
        client.makeUnaryRequest(exportMethod, asIs, asIs, Buffer.from(encodeTraces(rows)), (error) =>
          error === null ? resolve() : reject(error),
        ),
      );
  } finally {
    client.close();
  }
}

/** One request after the other; answers ids of traces from all parts. */
async function sendAll(
  spans: number,
  { url, agent, seed }: { readonly url: string; readonly agent: Agent; readonly seed: number },
): Promise<readonly string[]> {
  const traceIds: string[] = [];
  const headers = { "content-type": "application/x-protobuf", "content-encoding": "gzip" };
  let batches = 0;
  for (const rows of makeBatches({ spans, spansPerBatch, seed })) {
    await ask(url, { agent, headers, body: gzipSync(encodeTraces(rows)) });
    const [{ table, row }] = rows as [(typeof rows)[number]];
    const [a = 0, b = 0, c = 0, d = 0] = table.traceId.subarray(row * 4, row * 4 + 4);
    if (batches % batchesPerQuestion === 0) traceIds.push(traceIdFromWords(a, b, c, d));
    batches += 1;
  }
  return traceIds;
}

interface AttributeTimes {
  readonly ms: readonly number[];
  /** how many said that everything was searched */
  readonly complete: number;
}

async function timesOfSearches(
  attributes: readonly string[],
  address: string,
  agent: Agent,
): Promise<AttributeTimes> {
  let complete = 0;
  const ms = await times(attributes, async (attribute) => {
    const answer = await ask(address + encodeURIComponent(attribute), { agent });
    if ((JSON.parse(answer) as { readonly complete: boolean }).complete) complete += 1;
  });
  return { ms, complete };
}

async function times<T>(
  questions: readonly T[],
  asked: (question: T) => Promise<unknown>,
): Promise<readonly number[]> {
  const all: number[] = [];
  for (const question of questions) {
    const start = performance.now();
    await asked(question);
    all.push(performance.now() - start);
  }
  return all;
}

function percentiles(ms: readonly number[]): Pick<Row, "result" | "note"> {
  const at = (q: number): string => quantile(ms, q).toFixed(1);
  return {
    result: `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
    note: `${ms.length} over HTTP, one after the other, slowest ${Math.max(...ms).toFixed(0)} ms`,
  };
}

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
