import { randomBytes } from "node:crypto";
import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { ask } from "../conformance/ask.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { temporaryFolder } from "../storage/disk/log-folder.ts";

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
afterAll(() => agent.destroy());

/** Segments of 6 MiB: they are closed and sealed while senders go on. */
const place = (folder: string): readonly string[] => [
  "--data",
  folder,
  "--trace-disk",
  "96MiB",
  "--disk-reserve",
  "0MiB",
];
const killsOfOneFolder = 8;
const senders = 6;

interface Ledger {
  /** traces that the server has acknowledged */
  readonly acknowledged: Set<number>;
  /** those that it has not, because it was killed: they are sent again */
  readonly open: number[];
  next: number;
}

test(
  "R4: however often a server is killed while it takes spans in, none that it acknowledged is lost, and none counts twice",
  async () => {
    for (let folders = 0; folders < runs(2); folders += 1) {
      const folder = temporaryFolder();
      const ledger: Ledger = { acknowledged: new Set(), open: [], next: 1 };
      for (let kill = 0; kill < killsOfOneFolder; kill += 1) {
        const server = await startServer(place(folder));
        const sending = Array.from({ length: senders }, () => sendUntilKilled(server, ledger));
        await pause(20 + Math.random() * 700);
        await server.stop("SIGKILL");
        await Promise.all(sending);
      }
      expect(ledger.acknowledged.size).toBeGreaterThan(50);
      const server = await startServer(place(folder));
      for (const trace of ledger.open.splice(0))
        if (await send(server, trace)) ledger.acknowledged.add(trace);
      await checkAllThere(server, ledger);
      expect(server.stderr()).not.toMatch(/fault/);
      expect((await server.stop()).exitCode).toBe(0);
    }
  },
  runs(60) * 10_000,
);

async function sendUntilKilled(server: RunningServer, ledger: Ledger): Promise<void> {
  for (;;) {
    const trace = ledger.open.pop() ?? ledger.next++;
    if (!(await send(server, trace))) {
      ledger.open.push(trace);
      return;
    }
    ledger.acknowledged.add(trace);
  }
}

/** Some large, some small, some packed by the sender. false = it was not acknowledged */
async function send({ http }: RunningServer, trace: number): Promise<boolean> {
  const note = randomBytes(trace % 3 === 0 ? 60_000 : 500).toString("base64url");
  const body = encodeTraces(rowsOf(tableOf(`web span-${trace} 0..9ms trace=${trace} note=${note}`)));
  const type = { "content-type": "application/x-protobuf" };
  const isPacked = trace % 2 === 0;
  const headers = isPacked ? { ...type, "content-encoding": "gzip" } : type;
  try {
    const answer = await ask(`http://${http}/v1/traces`, {
      method: "POST",
      headers,
      agent,
      body: isPacked ? gzipSync(body) : body,
    });
    return answer.status === 200;
  } catch {
    // The server is gone.
    return false;
  }
}

async function checkAllThere({ api }: RunningServer, { acknowledged }: Ledger): Promise<void> {
  const lost: number[] = [];
  for (const trace of acknowledged) {
    const id = trace.toString(16).padStart(32, "0");
    const { status, body } = await ask(`http://${api}/api/v1/traces/${id}`, { agent });
    if (status !== 200 || !body.toString().includes(`"span-${trace}"`)) lost.push(trace);
    if (trace % 10 !== 0) continue;
    const report = await ask(`http://${api}/api/v1/traces/${id}/analysis`, { agent });
    expect(JSON.parse(report.body.toString())).toMatchObject({ trace: { span_count: 1 } });
  }
  expect(lost).toEqual([]);
}
