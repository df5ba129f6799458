import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import type { TelemetryStore } from "../../src/engine/ports.ts";
import { Span } from "../../src/model/span.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { ask } from "../conformance/ask.ts";
import { Random } from "../fuzz/mutate.ts";
import { runs } from "../runs.ts";
import { eventually } from "../storage/disk/log-folder.ts";
import { type OpenedStore, openStoreFor } from "../storage/disk/open-store.ts";
import {
  allTraces,
  append,
  damaged,
  damageKinds,
  type FileAfter,
  type FolderBefore,
  idOf,
  makeFolder,
  type Remains,
  remainsOf,
  restoreInto,
  strangersFor,
  writeFolder,
} from "./damage.ts";
import { progress, seed } from "./progress.ts";

let before: FolderBefore;
beforeAll(async () => {
  const folder = newFolder();
  before = await makeFolder(folder, new Random(seed));
  rmSync(folder, { recursive: true });
});

function newFolder(): string {
  return mkdtempSync(join(tmpdir(), "hypocenter-damage-"));
}

const foldersCount = runs(200);
const serversCount = runs(2);

test(
  `R6: of ${foldersCount} damaged folders each one opens, gives what is left, says exactly what is lost, and takes more`,
  async () => {
    const say = progress("damaged folders");
    const sum = { items: 0, records: 0 };
    for (let i = 0; i < foldersCount; i += 1) {
      const after = someDamage(new Random(seed * 1_000_003 + i));
      const { lostItems, lostRecords } = await check(after, `folder ${i}`);
      sum.items += lostItems;
      sum.records += lostRecords;
      say(`${i + 1} of ${foldersCount}, ${sum.records} requests with ${sum.items} spans lost, all told`);
    }
    expect(sum.items).toBeGreaterThan(foldersCount / 4);
    say(`${foldersCount}, ${sum.records} requests with ${sum.items} spans lost, all told`, true);
  },
  60_000 + foldersCount * 500,
);

test("R5: a segment that is cut at any byte, with its index and without, opens and says exactly what is lost", async () => {
  const say = progress("cut segments");
  const stem = before.segments[1]?.stem ?? "";
  const log = before.files.get(`${stem}.log`)!;
  // at every byte in the long run
  const step = Math.max(1, Math.floor(199 / runs(1) ** 2));
  for (let size = 0; size < log.length; size += step)
    for (const isIndexed of [true, false]) {
      const after = new Map<string, FileAfter>(before.files);
      after.set(`${stem}.log`, log.subarray(0, size));
      if (!isIndexed) after.set(`${stem}.index`, null);
      await check(after, `${size} bytes ${isIndexed ? "with" : "without"} index`);
      say(`${size} of ${log.length} bytes`);
    }
  say(`${log.length} bytes`, true);
}, 3_600_000);

test(
  `R6: a server starts on ${serversCount} damaged folders, answers what is left, and says exactly what is lost`,
  async () => {
    const say = progress("servers on damaged folders");
    for (let i = 0; i < serversCount; i += 1) {
      const folder = newFolder();
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const after = someDamage(new Random(seed * 2_000_003 + i));
      writeFolder(folder, after);
      const server = await startServer(["--data", folder]);
      onTestFinished(() => void server.process.kill("SIGKILL"));
      await checkServer(server, remainsOf(before, after));
      expect((await server.stop()).exitCode).toBe(0);
      expect(server.stderr()).not.toContain("a fault inside");
      say(`${i + 1} of ${serversCount}`);
    }
    say(`${serversCount}`, true);
  },
  60_000 + serversCount * 10_000,
);

/** One to four files are hit, and strangers come. */
function someDamage(random: Random): ReadonlyMap<string, FileAfter> {
  const names = [...before.files.keys()].sort();
  const after = new Map<string, FileAfter>(before.files);
  for (let hits = 1 + random.below(4); hits > 0; hits -= 1) {
    const name = random.of(names);
    after.set(name, damaged(before.files.get(name)!, random.of(damageKinds), random));
  }
  for (const [name, content] of strangersFor(before, random)) after.set(name, content);
  return after;
}

async function check(after: ReadonlyMap<string, FileAfter>, what: string): Promise<Remains> {
  const folder = newFolder();
  try {
    writeFolder(folder, after);
    const expected = remainsOf(before, after);
    const first = await openStoreFor(folder);
    await restoreInto(first.store);
    expect([what, await spansIn(first.store)]).toEqual([what, expected.names]);
    // not `expect.poll`, which would hold each store until the test ends
    await vi.waitFor(() => expect(lossIn(first.store)).toEqual(lossOf(expected)), {
      ...eventually,
      interval: 5,
    });
    // Summaries that turn out to be damaged are made anew by the next start.
    const found = await foundIn(first.store);
    await append(first.store, "web new 0..9ms trace=77");
    await closeWell(first);
    for (const [name, content] of after)
      if (/^traces-.*log$/.test(name) && (content === "folder" || content === "link"))
        expect(first.notices.join("\n")).toContain(`${name} is no file`);
    const second = await openStoreFor(folder);
    await restoreInto(second.store);
    expect([what, await spansIn(second.store)]).toEqual([what, [...expected.names, "new"].sort()]);
    const foundThen = await foundIn(second.store);
    for (const trace of allTraces)
      if (expected.names.includes(`span-${trace}`)) expect([what, ...foundThen]).toContain(trace);
    if (first.notices.every((notice) => !notice.includes(".summaries")))
      expect([what, ...foundThen]).toEqual(expect.arrayContaining([...found]));
    await closeWell(second);
    return expected;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function closeWell({ close, faults }: OpenedStore): Promise<void> {
  await close();
  expect(faults).toEqual([]);
}

async function spansIn(store: TelemetryStore): Promise<readonly string[]> {
  const names: string[] = [];
  for (const trace of [...allTraces, 77])
    for (const { table, row } of await store.readTrace(idOf(trace))) names.push(new Span(table, row).name);
  return names.sort();
}

function lossIn(store: TelemetryStore): readonly number[] {
  const { lostBodies, lostItems, lostBytes, tornBytes } = store.stats();
  return [lostBodies, lostItems, lostBytes, tornBytes];
}

function lossOf({ lostRecords, lostItems, lostBytes, tornBytes }: Remains): readonly number[] {
  return [lostRecords, lostItems, lostBytes, tornBytes];
}

/** Each trace that is found is found once. */
async function foundIn(store: TelemetryStore): Promise<readonly number[]> {
  const { summaries } = await store.search({ limit: 100 });
  const found = summaries.map(({ traceId }) => Number.parseInt(traceId, 16)).sort((a, b) => a - b);
  expect(found).toEqual([...new Set(found)]);
  return found;
}

async function checkServer({ api }: RunningServer, expected: Remains): Promise<void> {
  const get = async (path: string): Promise<string> => (await ask(`http://${api}${path}`)).body.toString();
  await expect.poll(() => get("/metrics"), eventually).toMatch(/^hypocenter_restoring 0$/m);
  const names: string[] = [];
  for (const trace of allTraces) {
    const text = await get(`/api/v1/traces/${idOf(trace)}`);
    for (const [, name = ""] of text.matchAll(/"name":"((?:span|shared)-\d+)"/g)) names.push(name);
  }
  expect(names.sort()).toEqual(expected.names);
  const figure = async (name: string): Promise<number> =>
    Number(new RegExp(`^hypocenter_store_${name} (\\S+)$`, "m").exec(await get("/metrics"))?.[1]);
  const figures = ["lost_bodies", "lost_items", "lost_bytes", "torn_bytes"];
  await expect.poll(() => Promise.all(figures.map(figure)), eventually).toEqual(lossOf(expected));
}
