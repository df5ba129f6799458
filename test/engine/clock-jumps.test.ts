import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { History } from "../../src/engine/history.ts";
import { defaultEngineLimits } from "../../src/engine/limits.ts";
import type { Clock, TelemetryStore } from "../../src/engine/ports.ts";
import { Minutes } from "../../src/model/minutes.ts";
import { minuteOf, type UnixNanos } from "../../src/model/time.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { notationStart, rowsOf, tableOf } from "../notation.ts";
import { eventually, temporaryFolder } from "../storage/disk/log-folder.ts";
import { openStore } from "../storage/disk/open-store.ts";
import { FakeClock, idOf, live } from "./live.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const kept = { ageMsMax: dayMs, bytesMax: 2 ** 30 };
const retention = { traces: kept, metrics: kept, logs: kept };

async function append(store: TelemetryStore, trace: number): Promise<void> {
  const body = encodeTraces(rowsOf(tableOf(`web A 0..9ms trace=${trace}`)));
  const { decoded } = decodeBody("traces", "protobuf", body);
  await store.append({ signal: "traces", encoding: "protobuf", body }, decoded);
}

async function isThere(store: TelemetryStore, trace: number): Promise<boolean> {
  return (await store.readTrace(idOf(trace))).length > 0;
}

/** Two looks at what is due: one may have begun before. */
async function looked(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2_100));
}

/** The files of a folder were last written at a time of this clock. */
function touch(folder: string, clock: Clock): void {
  const seconds = Number(clock.unixNanos() / 1_000_000n) / 1_000;
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), seconds, seconds);
}

test("R18: the clock goes forward by days and back again while a store is open: nothing goes before its time, all goes after it", async () => {
  const clock = new FakeClock();
  const { store, faults } = await openStore(temporaryFolder(), { clock, retention });
  await append(store, 1);
  clock.jumpMs = 3 * dayMs;
  await append(store, 2);
  await looked();
  expect([await isThere(store, 1), await isThere(store, 2)]).toEqual([true, true]);
  clock.jumpMs = -hourMs;
  await append(store, 3);
  await looked();
  expect(await isThere(store, 1)).toBe(true);
  clock.nowMs += dayMs + 1;
  await expect.poll(() => isThere(store, 3), eventually).toBe(false);
  expect([await isThere(store, 1), faults]).toEqual([false, []]);
});

test("R18: a clock that is days ahead at a start and is put right soon costs nothing; one that stays ahead is believed", async () => {
  const folder = temporaryFolder();
  const clock = new FakeClock();
  const before = await openStore(folder, { clock, retention });
  await append(before.store, 1);
  await before.close();
  touch(folder, clock);
  clock.jumpMs = 3 * dayMs;
  const ahead = await openStore(folder, { clock, retention });
  await looked();
  expect(await isThere(ahead.store, 1)).toBe(true);
  clock.jumpMs = 0;
  clock.nowMs += hourMs;
  await looked();
  expect(await isThere(ahead.store, 1)).toBe(true);
  await ahead.close();
  touch(folder, clock);
  clock.jumpMs = 3 * dayMs;
  const { store } = await openStore(folder, { clock, retention });
  clock.nowMs += hourMs;
  await expect.poll(() => isThere(store, 1), eventually).toBe(false);
});

test("R18: a clock that is an hour behind at a start reads the newest again, and what it wrote before goes in its time", async () => {
  const folder = temporaryFolder();
  const clock = new FakeClock();
  const before = await openStore(folder, { clock, retention });
  await append(before.store, 1);
  await before.close();
  touch(folder, clock);
  clock.jumpMs = -hourMs;
  const { store } = await openStore(folder, { clock, retention });
  let restored = 0;
  for await (const { decoded } of store.restore()) restored += decoded.signal === "traces" ? 1 : 0;
  expect([restored, await isThere(store, 1)]).toEqual([1, true]);
  clock.nowMs += dayMs + hourMs + 1;
  await expect.poll(() => isThere(store, 1), eventually).toBe(false);
});

test.each([
  ["back by an hour", -hourMs],
  ["forward by a day", dayMs],
])(
  "R18: the clock goes %s while traces come: all are found, read, counted and analysed, and minutes go on",
  async (_, jumpMs) => {
    const clock = new FakeClock();
    const { store, faults } = await openStore(temporaryFolder(), { clock, retention });
    const server = live({}, {}, store, clock);
    const sendNow = async (trace: number): Promise<void> => {
      const atMs = Number((clock.unixNanos() - notationStart) / 1_000_000n);
      await server.send(`web GET /a ${atMs}..${atMs + 9}ms server trace=${trace}`);
      await server.wait(20_000);
    };
    let trace = 0;
    for (const jump of [0, jumpMs, 0]) {
      clock.jumpMs = jump;
      for (let i = 0; i < 30; i += 1) await sendNow(++trace);
      await server.engine.lookForIncidents();
      const now = clock.unixNanos();
      const lastMinutes = { from: (now - 300_000_000_000n) as UnixNanos, to: now };
      expect((await server.engine.searchTraces({ limit: 100, ...lastMinutes })).total).toBeGreaterThanOrEqual(
        15,
      );
      const { nodes } = await server.engine.graph(lastMinutes);
      expect(nodes.map(({ service }) => service)).toEqual(["web"]);
      const report = await server.engine.analyzeWindow({ window: lastMinutes, language: "en" });
      expect(report.service_states.get("web")).toBeDefined();
    }
    expect((await server.engine.searchTraces({ limit: 100 })).total).toBe(90);
    for (let known = 1; known <= 90; known += 1) {
      expect((await server.engine.readTrace(idOf(known)))?.length).toBe(1);
      const analysis = await server.engine.analyzeTrace(idOf(known), { language: "en", scoring: "evidence" });
      expect(analysis?.complete).toBe(true);
    }
    const { dropped_minutes_total: dropped, look_faults_total: lookFaults } = server.engine.stats();
    expect([dropped, lookFaults, faults, server.faults]).toEqual([0, 0, [], []]);
  },
);

test("after the clock went back by a day, what comes is not old: its minutes are kept as exact as any", () => {
  const clock = new FakeClock();
  const compactedBefore: number[] = [];
  const compact = (oldBefore: number): number => compactedBefore.push(oldBefore);
  const history = new History([{ compact, dropBefore: () => {} }], clock, defaultEngineLimits);
  clock.jumpMs = dayMs;
  history.noteAdded(minuteOf(clock.unixNanos()), 1);
  clock.jumpMs = 0;
  const now = minuteOf(clock.unixNanos());
  history.noteAdded(now, 1);
  expect(compactedBefore).toHaveLength(2);
  expect(compactedBefore.at(-1)).toBeLessThan(now);
});

test("what was old while the clock was ahead is not old for ever", () => {
  const minutes = new Minutes<object>(() => ({}));
  for (const minute of [1, 2]) minutes.cellFor(minute);
  const oldAt = (oldBefore: number): readonly boolean[] => {
    const seen: boolean[] = [];
    for (const minute of [1, 2]) minutes.cellFor(minute);
    minutes.compact(oldBefore, (_, isOld) => seen.push(isOld));
    return seen;
  };
  expect(oldAt(1_000)).toEqual([true, true]);
  minutes.find(1);
  minutes.find(2);
  expect(oldAt(2)).toEqual([true, false]);
});
