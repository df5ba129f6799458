import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { encodeTraces } from "../../../src/otlp/encode-traces.ts";
import { idOf, live } from "../../engine/live.ts";
import { otlpServer } from "../../http/otlp-server.ts";
import { rowsOf, tableOf } from "../../notation.ts";
import { diskError, type Faults, failingFiles, temporaryFolder } from "./log-folder.ts";
import { openStore } from "./open-store.ts";

/** A receiver, an engine and a store on a disk that does what the test says; senders are answered within a fifth of a second. */
async function serverOn(disk: Faults) {
  const opened = await openStore(temporaryFolder(), { syncs: true, files: failingFiles(disk) });
  const world = live({}, {}, opened.store);
  const { engine, faults } = world;
  const server = await otlpServer({ ingest: engine, acknowledgeMsMax: 200, maxSockets: 50 });
  onTestFinished(() => server.close());
  const send = async (trace: number) => {
    const body = encodeTraces(rowsOf(tableOf(`web A 0..9ms trace=${trace}`)));
    const { status, headers } = await server.send(
      "/v1/traces",
      { "content-type": "application/x-protobuf" },
      body,
    );
    return [status, headers["retry-after"] ?? null] as const;
  };
  const checkCountedOnce = async (traces: readonly number[]): Promise<void> => {
    await world.wait(60_000);
    const { summaries } = await engine.searchTraces({ limit: 500 });
    const counts = summaries.map(({ traceId, spanCount }) => [Number.parseInt(traceId, 16), spanCount]);
    expect(counts.sort(([a = 0], [b = 0]) => a - b)).toEqual(traces.map((trace) => [trace, 1]));
    expect([...server.faults, ...faults, ...opened.faults]).toEqual([]);
  };
  return { engine, send, checkCountedOnce };
}

const accepted = [200, null];
const comeAgain = [503, "1"];

test("R8: while a disk takes longer than senders wait they are to come again, questions are answered, and nothing is lost or counts twice", async () => {
  const disk: Faults = {};
  const { engine, send, checkCountedOnce } = await serverOn(disk);
  expect(await send(1)).toEqual(accepted);
  let slowSyncs = 0;
  disk.sync = async () => {
    slowSyncs += 1;
    await pause(1_500);
  };
  const traces = Array.from({ length: 30 }, (_, i) => i + 2);
  const answers = Promise.all(traces.map(send));
  expect((await engine.readTrace(idOf(1)))?.length).toBe(1);
  expect((await engine.searchTraces({ limit: 10 })).total).toBe(1);
  for (const answer of await answers) expect(answer).toEqual(comeAgain);
  delete disk.sync;
  // What was refused for its lateness only has come in all the same: sent again, it counts once.
  for (const trace of traces) await expect.poll(() => send(trace), { timeout: 20_000 }).toEqual(accepted);
  await checkCountedOnce([1, ...traces]);
  expect(slowSyncs).toBeGreaterThan(0);
});

test("R8: a disk that fails now and then refuses what it may not have, and takes it when it comes again", async () => {
  const disk: Faults = {};
  const { send, checkCountedOnce } = await serverOn(disk);
  let syncs = 0;
  disk.sync = () => {
    syncs += 1;
    return syncs % 3 === 0 ? Promise.reject(diskError("EIO")) : Promise.resolve();
  };
  const traces = Array.from({ length: 30 }, (_, i) => i + 1);
  let refused = 0;
  for (const trace of traces)
    for (;;) {
      const answer = await send(trace);
      if (answer[0] === 200) break;
      expect(answer).toEqual(comeAgain);
      refused += 1;
    }
  expect(refused).toBeGreaterThan(5);
  await checkCountedOnce(traces);
});
