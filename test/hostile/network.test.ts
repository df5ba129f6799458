import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect as connectHttp2, constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { Client, credentials } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import type { TraceReport } from "../../src/analysis/report.ts";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { createEngine } from "../../src/engine/engine.ts";
import type { Clock } from "../../src/engine/ports.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { startGrpcReceiver } from "../../src/grpc/grpc-receiver.ts";
import { parseTime, type UnixNanos } from "../../src/model/time.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { createMemoryStore, defaultMemoryStoreLimits } from "../../src/storage/memory-store.ts";
import { live } from "../engine/live.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { notationStart, rowsOf, tableOf } from "../notation.ts";
import { idOf } from "../pipeline/answers.ts";
import { edgesOf, request } from "./both-ways.ts";

const rows = rowsOf(tableOf("web GET / 0..9ms client\n  cart GET / 1..8ms server"));
const body = Buffer.from(encodeTraces(rows));
const tracesMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const protobuf = { "content-type": "application/x-protobuf" };

async function serveHttp(...options: Parameters<typeof otlpServer>) {
  const server = await otlpServer(...options);
  onTestFinished(() => server.close());
  return server;
}

async function serveGrpc(ingest: ReturnType<typeof live>["engine"]) {
  const counters = new ReceiverCounters("grpc");
  const budget = new ByteBudget(64 << 20);
  const faults: unknown[] = [];
  const listener = await startGrpcReceiver({
    ingest,
    counters,
    budget,
    bodyBytesMax: 4 << 20,
    host: "127.0.0.1",
    port: 0,
    onFault: (fault) => faults.push(fault),
  });
  onTestFinished(() => listener.close(200));
  const client = new Client(listener.address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const call = (bytes: Buffer): Promise<Buffer | undefined> =>
    new Promise((resolve, reject) => {
      const asIs = (buffer: Buffer): Buffer => buffer;
      client.makeUnaryRequest(tracesMethod, asIs, asIs, bytes, (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
  return { listener, call, counters, budget, faults };
}

test("P17: five hundred clients that send no more than half a head do not keep the others from being answered", async () => {
  const timeouts = { headersMs: 300, requestMs: 500, keepAliveMs: 500, checkMs: 50 };
  const server = await serveHttp({ timeouts });
  const sockets: Socket[] = [];
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  let closed = 0;
  for (let i = 0; i < 500; i += 1) {
    const socket = connect(server.listener.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("close", () => {
      closed += 1;
    });
    socket.resume();
    socket.write("POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    sockets.push(socket);
  }
  await once(sockets.at(-1) as Socket, "connect");
  for (let i = 0; i < 20; i += 1) expect((await server.send("/v1/traces", protobuf, body)).status).toBe(200);
  await expect.poll(() => closed, { timeout: 5_000 }).toBe(500);
});

/**
 * Clients have a process of their own: both ends of a connection take a file each. A hundred connect at a time: of more the
 * system would lose some on the way.
 */
const idleClients = `
const { connect } = require("node:net");
const [port, count] = process.argv.slice(1).map(Number);
let [begun, open] = [0, 0];
function next() {
  if (begun++ < count) connect(port, "127.0.0.1", () => { if (++open === count) process.stdout.write("open"); next(); });
}
for (let i = 0; i < 100; i += 1) next();
`;

/** As many as the system lets one process have, with room for others. */
const idleCount = Math.min(10_000, filesMax() - 1_000);

function filesMax(): number {
  return Number(/Max open files\s+(\d+)/.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? "0");
}

test.skipIf(idleCount < 100)(
  `P17: ${idleCount} connections that say nothing keep nobody from being answered; one too many is turned away`,
  async () => {
    const timeouts = { headersMs: 60_000, requestMs: 60_000, keepAliveMs: 60_000, checkMs: 1_000 };
    const server = await serveHttp({ connectionsMax: idleCount + 10, timeouts });
    const clients = spawn(process.execPath, [
      "-e",
      idleClients,
      String(server.listener.port),
      String(idleCount),
    ]);
    onTestFinished(() => void clients.kill("SIGKILL"));
    await once(clients.stdout, "data");
    for (let i = 0; i < 20; i += 1)
      expect((await server.send("/v1/traces", protobuf, body)).status).toBe(200);
    const more = Array.from({ length: 20 }, () => connect(server.listener.port, "127.0.0.1"));
    let refused = 0;
    for (const socket of more) {
      socket.on("error", () => {});
      socket.on("close", () => {
        refused += 1;
      });
      socket.resume();
    }
    await expect.poll(() => refused, { timeout: 5_000 }).toBeGreaterThanOrEqual(10);
    for (const socket of more) socket.destroy();
    expect((await server.send("/v1/traces", protobuf, body)).status).toBe(200);
  },
  20_000,
);

test("P17: streams that are opened and reset by the thousand, and headers without end, cost their connection only", async () => {
  const { engine } = live();
  const { listener, call, faults, budget } = await serveGrpc(engine);
  const attacker = connectHttp2(`http://${listener.address}`);
  attacker.on("error", () => {});
  onTestFinished(() => attacker.destroy());
  for (let i = 0; i < 5_000 && !attacker.destroyed; i += 1) {
    const stream = attacker.request({
      ":method": "POST",
      ":path": tracesMethod,
      "content-type": "application/grpc",
    });
    stream.on("error", () => {});
    stream.close(constants.NGHTTP2_CANCEL);
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const flood = connect(listener.port, "127.0.0.1");
  flood.on("error", () => {});
  flood.resume();
  await once(flood, "connect");
  flood.write(
    Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0), frame(1, 0, 1)]),
  );
  // one CONTINUATION frame after the other, none of which ends the headers
  for (let i = 0; i < 2_000 && !flood.destroyed; i += 1)
    flood.write(frame(9, 0, 1, Buffer.from([0x00, 1, 0x61, 1, 0x62])));
  expect(await call(body)).toHaveLength(0);
  await expect.poll(() => flood.destroyed || flood.readableEnded, { timeout: 5_000 }).toBe(true);
  expect([faults, budget.used]).toEqual([[], 0]);
});

function frame(type: number, flags: number, stream: number, content: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(content.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, content]);
}

test("P40: the same batches from two collectors at once, in both encodings and over both transports, count once", async () => {
  const world = live();
  const { engine } = world;
  const http = await serveHttp({ ingest: engine });
  const grpc = await serveGrpc(engine);
  const json = Buffer.from(tracesToJson(rows));
  await Promise.all(
    Array.from({ length: 50 }, (_, i) => {
      if (i % 3 === 0) return grpc.call(body);
      if (i % 3 === 1) return http.send("/v1/traces", protobuf, body);
      return http.send("/v1/traces", { "content-type": "application/json" }, json);
    }),
  );
  await world.wait(60_000);
  expect(edgesOf(await engine.graph(null))).toEqual(["web -> cart sync 1"]);
  expect((await engine.services(null)).services.map(({ requests }) => requests)).toEqual([1, 1]);
  expect(engine.stats()).toMatchObject({ ingested_spans_total: 100, duplicate_spans_total: 98 });
});

test("P20: a trace from 2554 is found when it arrived, and the report says so; one of last year is found then", async () => {
  const world = live();
  const { engine } = world;
  const server = await serveHttp({ ingest: engine });
  const now = world.clock.unixNanos();
  const year = 365n * 86_400_000_000_000n;
  for (const [trace, start] of [
    [7, 2n ** 64n - 1_000_000_000n],
    [8, now - year],
    [9, 5n],
  ] as const) {
    const span = {
      traceId: String(trace).padStart(32, "0"),
      startTimeUnixNano: String(start),
      endTimeUnixNano: String(start + 9n),
    };
    await server.send(
      "/v1/traces",
      { "content-type": "application/json" },
      Buffer.from(JSON.stringify(request([span]))),
    );
  }
  await world.wait(60_000);
  const near = { from: (now - 120_000_000_000n) as UnixNanos, to: (now + 120_000_000_000n) as UnixNanos };
  const idsOf = async (window: object): Promise<readonly string[]> =>
    (await engine.searchTraces({ limit: 10, ...window })).summaries.map(({ traceId }) =>
      traceId.replace(/^0+/, ""),
    );
  expect((await idsOf(near)).toSorted()).toEqual(["7", "9"]);
  expect((await idsOf({})).toSorted()).toEqual(["7", "8", "9"]);
  const analysis = await engine.analyzeTrace(idOf(7), { language: "en", scoring: "evidence" });
  expect(JSON.stringify((analysis!.report as TraceReport).problems)).toContain("starts in the future");
});

test("P42: a wall clock that jumps back an hour and on again changes nothing: waiting is timed by a steady clock", async () => {
  const times = { wall: notationStart + 3_600_000_000_000n, steady: 1_000 };
  const clock: Clock = { unixNanos: () => times.wall as UnixNanos, monotonicMs: () => times.steady };
  const faults: unknown[] = [];
  const store = createMemoryStore(defaultMemoryStoreLimits);
  const engine = createEngine({
    store,
    clock,
    limits: { windowAgeMsMax: 0 },
    onFault: (fault) => faults.push(fault),
  });
  const server = await serveHttp({ ingest: engine });
  for (const jump of [-3_600_000_000_000n, 7_200_000_000_000n, 0n]) {
    await server.send("/v1/traces", protobuf, body);
    times.wall += jump;
    times.steady += 100;
    await engine.foldDue();
    expect(engine.stats()).toMatchObject({ folded_traces_total: 0, open_traces: 1 });
  }
  times.steady += 60_000;
  await engine.foldDue();
  expect(engine.stats()).toMatchObject({ folded_traces_total: 1, open_traces: 0 });
  expect(edgesOf(await engine.graph(null))).toEqual(["web -> cart sync 1"]);
  expect(faults).toEqual([]);
});

/** Where a date is meant, not how long something takes. */
const readsWallClock = [
  // whether a certificate is still valid, a date in Retry-After, a deadline that the gRPC library wants as a date
  "http/access-tls.ts",
  "formats/http-target.ts",
  "formats/grpc-target.ts",
  // when a note was written, when a known trace was sent, when our own spans began
  "cli/command.ts",
  "cli/selfcheck.ts",
  "telemetry/self-traces.ts",
  // when the process started, for Prometheus; what `now` means; moving old telemetry to now
  "http/api-metrics.ts",
  "cli/serve.ts",
  "cli/analyze-files.ts",
  "cli/query.ts",
  "formats/replay.ts",
];

test("P42: the wall clock is read where a date is meant, and nowhere else", () => {
  const readers = readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter(
      (name) => name.endsWith(".ts") && /Date\.now\(|new Date\(\)/.test(readFileSync(`src/${name}`, "utf8")),
    )
    .map((name) => name.replaceAll("\\", "/"));
  expect(readers.sort()).toEqual(readsWallClock.toSorted());
});

test("P42: a change to summer time and a leap second move no time", () => {
  expect(parseTime("2024-03-31T03:00:00+02:00")).toBe(parseTime("2024-03-31T01:00:00Z"));
  expect(parseTime("2024-10-27T02:30:00+02:00")).toBe(parseTime("2024-10-27T00:30:00Z"));
  expect(parseTime("2016-12-31T23:59:60.5Z")).toBe(parseTime("2017-01-01T00:00:00.5Z"));
});
