import { expect, test } from "vitest";
import { createEngine } from "../../src/engine/engine.ts";
import { MemoryGuard } from "../../src/engine/memory-guard.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { createMemoryStore } from "../../src/storage/memory-store.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { FakeClock } from "./live.ts";

/** What a process holds, of which some is garbage; a collection takes a while. */
class FakeMemory {
  live = 0;
  garbage = 0;
  collections = 0;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  usedBytes(): number {
    return this.live + this.garbage;
  }
  collect(): void {
    this.garbage = 0;
    this.collections += 1;
    this.#clock.nowMs += 200;
  }
}

function guardOf100() {
  const clock = new FakeClock();
  const memory = new FakeMemory(clock);
  const given: string[] = [];
  const reliefs = ["caches", "minutes"].map((name) => () => void given.push(name));
  const guard = new MemoryGuard({ bytesMax: 100, memory, clock, reliefs });
  const lookAfter = (ms: number): void => {
    clock.nowMs += ms;
    guard.look();
  };
  return { memory, given, guard, lookAfter };
}

test("garbage alone makes nobody wait and costs nothing that is kept", () => {
  const { memory, given, guard, lookAfter } = guardOf100();
  memory.live = 60;
  memory.garbage = 60;
  lookAfter(0);
  expect([guard.isFull, guard.isTight, memory.collections, given]).toEqual([false, false, 1, []]);
});

test("what is cheapest goes first, the next only where that was not enough", () => {
  const { memory, given, lookAfter } = guardOf100();
  memory.live = 85;
  lookAfter(0);
  expect(given).toEqual(["caches"]);
  memory.live = 70;
  lookAfter(10_000);
  memory.live = 85;
  lookAfter(10_000);
  expect(given).toEqual(["caches", "caches"]);
  lookAfter(10_000);
  expect(given).toEqual(["caches", "caches", "caches", "minutes"]);
});

test("above the limit nothing is taken in, until there is a tenth of room again", () => {
  const { memory, guard, lookAfter } = guardOf100();
  memory.live = 101;
  lookAfter(0);
  expect([guard.isFull, guard.isTight]).toEqual([true, true]);
  memory.live = 95;
  lookAfter(10_000);
  expect(guard.isFull).toBe(true);
  memory.live = 89;
  lookAfter(10_000);
  expect([guard.isFull, guard.isTight]).toEqual([false, true]);
  memory.live = 79;
  lookAfter(10_000);
  expect([guard.isFull, guard.isTight]).toEqual([false, false]);
  expect(guard.stats()).toMatchObject({
    memory_limit_bytes: 100,
    memory_used_bytes: 79,
    memory_full: 0,
    memory_refusals_total: 1,
  });
});

test("collecting takes a tenth of the time at most; more only while nothing is taken in", () => {
  const { memory, lookAfter } = guardOf100();
  memory.live = 90;
  for (let i = 0; i < 100; i += 1) lookAfter(100);
  expect(memory.collections).toBeLessThan(10);
  memory.live = 120;
  const before = memory.collections;
  for (let i = 0; i < 100; i += 1) lookAfter(100);
  expect(memory.collections - before).toBeGreaterThan(10);
});

test("an engine that is full refuses what comes in, retryably, answers questions, looks for no incidents, and goes on when it is not", async () => {
  const clock = new FakeClock();
  const memory = new FakeMemory(clock);
  const faults: unknown[] = [];
  const engine = createEngine({
    store: createMemoryStore(),
    clock,
    limits: { memoryBytesMax: 100, memoryLookMs: 5 },
    memory,
    onFault: (fault) => faults.push(fault),
  });
  engine.start();
  const body = encodeTraces(rowsOf(tableOf("web A 0..9ms trace=1")));
  const ingest = () =>
    engine.ingest(
      { signal: "traces", encoding: "protobuf", body },
      decodeBody("traces", "protobuf", body).decoded,
    );
  await ingest();
  memory.live = 150;
  await expect.poll(() => engine.isFull).toBe(true);
  await expect(ingest()).rejects.toMatchObject({ code: "overloaded" });
  expect((await engine.searchTraces({ limit: 1 })).total).toBe(1);
  await engine.lookForIncidents();
  expect(engine.lag().lookSeconds).toBeNull();
  memory.live = 50;
  await expect.poll(() => engine.isFull).toBe(false);
  await ingest();
  await engine.lookForIncidents();
  expect([engine.lag().lookSeconds, faults]).toEqual([expect.any(Number), []]);
  await engine.stop();
});
