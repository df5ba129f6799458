import { Agent, request as plainRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { checkLedger } from "../chaos/check-ledger.ts";
import { Ledger } from "../chaos/ledger.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { ask } from "../conformance/ask.ts";
import { isThorough, runs } from "../runs.ts";
import { eventually, temporaryFolder } from "../storage/disk/log-folder.ts";
import { bombs, packedBombs } from "./bombs.ts";
import { request } from "./both-ways.ts";

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
afterAll(() => agent.destroy());

const MiB = 1 << 20;
const types = { protobuf: "application/x-protobuf", json: "application/json" };
const packed = packedBombs((isThorough ? 60 : 8) * MiB);
const attackers = 50;

/** All that a hostile sender can put into one request, by name. */
const allRequests: readonly (readonly [
  name: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
])[] = [
  ...bombs.map(([name, { encoding, bytes }]) => [name, { "content-type": types[encoding] }, bytes] as const),
  ...Object.entries(packed).map(
    ([name, { coding, body }]) =>
      [name, { "content-type": types.protobuf, "content-encoding": coding }, body] as const,
  ),
];

/** A third of them while somebody waits. */
const requests = allRequests.filter((_, i) => isThorough || i % 3 === 0);

test("P13, P16: every bomb, fifty at a time over HTTP and gRPC, costs the load beside it nothing, and memory is flat", async () => {
  const { server, attack, finish } = await serverUnderLoad();
  const rounds = Math.ceil(runs(1) / 20);
  const peaks: number[] = [];
  for (let round = 0; round < rounds; round += 1)
    peaks.push(
      await attack(async () => {
        for (const [name, headers, body] of requests) {
          const bombing = Array.from({ length: attackers }, () => bomb(server, headers, body));
          for (const status of await Promise.all(bombing))
            expect([name, [200, 400, 413, 429, 503]]).toEqual([name, expect.arrayContaining([status])]);
        }
        for (const { coding, body } of [packed["zeros in gzip"]!, packed["zeros in zstd"]!])
          for (const code of await grpcBombs(server, coding, body)) expect(["3", "8", "14"]).toContain(code);
      }),
    );
  expect(Math.max(...peaks)).toBeLessThan(1_024 * MiB);
  expect(peaks.at(-1)).toBeLessThan(peaks[0]! + 128 * MiB);
  await finish();
}, 3_600_000);

test("P17: hundreds of connections over which heads and bodies drip cost the load beside them nothing", async () => {
  const { server, attack, finish } = await serverUnderLoad([
    "--header-timeout",
    "2s",
    "--request-timeout",
    "3s",
  ]);
  await attack(async () => {
    const heads = Array.from({ length: 200 }, () =>
      drip(server, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-Slow: "),
    );
    const half =
      "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n{";
    const fitting = half.replace("1000000000", "60000000");
    const bodies = Array.from({ length: 200 }, (_, i) => drip(server, i % 2 === 0 ? half : fitting));
    await Promise.all([...heads, ...bodies]);
  });
  await finish();
}, 120_000);

test("R10: a sender that names a new service and a new operation every ten spans costs the load beside it nothing, and memory is flat", async () => {
  const words = ["--history-memory", "48MiB", "--decoded-memory", "16MiB", "--services", "1000"];
  const { server, attack, finish } = await serverUnderLoad(words);
  const seconds = Math.min(180, runs(12));
  const peaks: number[] = [];
  let named = 1;
  for (let part = 0; part < 3; part += 1)
    peaks.push(
      await attack(async () => {
        const end = Date.now() + (seconds * 1_000) / 3;
        while (Date.now() < end) {
          const body = JSON.stringify({
            resourceSpans: Array.from({ length: 50 }, () => resourceOf(named++)),
          });
          const headers = { "content-type": types.json };
          const { status } = await ask(`http://${server.http}/v1/traces`, { headers, body, agent });
          expect([200, 503]).toContain(status);
        }
      }),
    );
  expect(named).toBeGreaterThan(500);
  expect(peaks[2]).toBeLessThan(peaks[1]! + 96 * MiB);
  const { body } = await ask(`http://${server.api}/api/v1/services?limit=1000`, { agent });
  expect(body.toString()).toContain("__other__");
  await finish();
}, 600_000);

/**
 * A server on a disk that takes in normal telemetry, and is asked. `attack` does something besides and answers the most memory that
 * the server had meanwhile; `finish` compares what is there with what was acknowledged.
 */
async function serverUnderLoad(words: readonly string[] = []) {
  const folder = temporaryFolder();
  const server = await startServer([
    "--data",
    folder,
    "--disk-reserve",
    "0MiB",
    "--trace-idle",
    "200ms",
    ...words,
  ]);
  onTestFinished(() => void server.process.kill("SIGKILL"));
  const ledger = new Ledger(agent);
  const attack = async (hostile: () => Promise<void>): Promise<number> => {
    let isOver = false;
    const load = [1, 2].map(() => ledger.sendWhile(server, () => !isOver));
    const asking = askWhile(server, () => !isOver);
    const before = ledger.sent.length;
    try {
      await hostile();
    } finally {
      isOver = true;
    }
    await Promise.all(load);
    expect(ledger.sent.length).toBeGreaterThan(before);
    const memory = await asking;
    for (const status of ledger.statuses.keys()) expect([200, 429, 503]).toContain(status);
    expect(ledger.statuses.get(200) ?? 0).toBeGreaterThan(ledger.sent.length / 2);
    expect(ledger.slowestMs).toBeLessThan(30_000);
    if (isThorough)
      console.log(
        `${ledger.sent.length} sent, slowest ${ledger.slowestMs} ms, answers ${[...ledger.statuses].join(" ")}, at most ${memory >> 20} MiB`,
      );
    return memory;
  };
  const finish = async (): Promise<void> => {
    await expect.poll(() => ledger.sendOpen(server), eventually).toBe(0);
    await checkLedger(server, ledger, folder);
    expect((await server.stop()).exitCode).toBe(0);
    expect(server.stderr()).not.toContain("a fault inside");
  };
  return { server, attack, finish };
}

/** Asks all kinds of questions, one after the other; each is answered. Answers the most memory that the server says it has. */
async function askWhile({ api }: RunningServer, isWanted: () => boolean): Promise<number> {
  let most = 0;
  while (isWanted()) {
    for (const path of ["/readyz", "/api/v1/graph", "/api/v1/traces?limit=5", "/metrics"]) {
      const { status, body } = await ask(`http://${api}${path}`, { agent });
      expect([path, status]).toEqual([path, 200]);
      if (path !== "/metrics") continue;
      const [, bytes = "0"] = /^process_resident_memory_bytes (\d+)/m.exec(body.toString()) ?? [];
      most = Math.max(most, Number(bytes));
    }
    await pause(50);
  }
  return most;
}

/** The status of the answer; 503 where the connection was ended instead of reading on. */
function bomb(
  { http }: RunningServer,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<number> {
  return new Promise((resolve) => {
    const [host = "", port = ""] = http.split(":");
    const call = plainRequest(
      { host, port, path: "/v1/traces", method: "POST", headers, agent: false },
      (answer) => {
        answer.resume();
        answer.on("end", () => resolve(answer.statusCode ?? 0));
      },
    );
    call.on("error", () => resolve(503));
    call.end(body);
  });
}

/** The codes with which calls end. */
async function grpcBombs({ grpc }: RunningServer, coding: string, body: Buffer): Promise<readonly string[]> {
  const session = connectHttp2(`http://${grpc}`);
  const frame = Buffer.alloc(5);
  frame[0] = 1;
  frame.writeUInt32BE(body.length, 1);
  const calls = Array.from(
    { length: attackers },
    () =>
      new Promise<string>((resolve, reject) => {
        const stream = session.request({
          ":method": "POST",
          ":path": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
          "content-type": "application/grpc",
          "grpc-encoding": coding,
          te: "trailers",
        });
        let code = "";
        const note = (headers: Readonly<Record<string, unknown>>): void => {
          const told = headers["grpc-status"];
          if (typeof told === "string") code = told;
        };
        stream.on("response", note);
        stream.on("trailers", note);
        stream.on("error", reject);
        stream.on("close", () => resolve(code));
        stream.resume();
        stream.end(Buffer.concat([frame, body]));
      }),
  );
  const codes = await Promise.all(calls);
  session.close();
  return codes;
}

/** Sends a byte now and then until the server ends the connection. */
async function drip({ http }: RunningServer, start: string): Promise<void> {
  const [host = "", port = ""] = http.split(":");
  const socket: Socket = connect(Number(port), host);
  const isClosed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  socket.on("error", () => {});
  socket.resume();
  socket.write(start);
  const dripping = setInterval(() => socket.write("x"), 100);
  await isClosed;
  clearInterval(dripping);
}

/** Ten spans of a service that nobody knows. */
function resourceOf(number: number): unknown {
  const spans = Array.from({ length: 10 }, (_, i) => ({
    traceId: `f${(number * 10 + i).toString(16).padStart(31, "0")}`,
    name: `GET /${number}`,
    startTimeUnixNano: `${Date.now()}000000`,
    endTimeUnixNano: `${Date.now() + 5}000000`,
  }));
  const name = [{ key: "service.name", value: { stringValue: `service-${number}` } }];
  return (request(spans, name) as { readonly resourceSpans: readonly unknown[] }).resourceSpans[0];
}
