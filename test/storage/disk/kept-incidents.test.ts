import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Incident, KeptIncident } from "../../../src/engine/ports.ts";
import type { TraceId } from "../../../src/model/ids.ts";
import type { DiskStoreOptions } from "../../../src/storage/disk/disk-store.ts";
import { writeJson } from "../../../src/wire/write-json.ts";
import { goOn, takeOver } from "../../engine/incident-traffic.ts";
import { type Live, live } from "../../engine/live.ts";
import { runs } from "../../runs.ts";
import { diskError, eventually, type Faults, failingFiles, temporaryFolder } from "./log-folder.ts";
import { openStore, smallSegments } from "./open-store.ts";

interface Server extends Live {
  readonly notices: readonly string[];
  readonly folder: string;
}

/** A server on a folder that has read again what it found there; its clock stands at `nowMs`. */
async function serverOn(
  folder: string,
  nowMs: number,
  changes: Partial<DiskStoreOptions> = {},
): Promise<Server> {
  const { store, notices, faults } = await openStore(folder, changes);
  const server = live({}, {}, store);
  server.clock.nowMs = nowMs;
  server.engine.start();
  await expect.poll(() => server.engine.stats()["restoring"], eventually).toBe(0);
  expect(faults).toEqual([]);
  return { ...server, notices, folder };
}

/** What a kill leaves, taken up after some time by another process. */
async function afterKill(
  killed: Server,
  downMs: number,
  changes?: Partial<DiskStoreOptions>,
): Promise<Server> {
  const folder = temporaryFolder();
  cpSync(killed.folder, folder, { recursive: true });
  const server = await serverOn(folder, killed.clock.nowMs + downMs, changes);
  takeOver(killed, server);
  return server;
}

const minuteMs = 60_000;

/** A server whose cart has failed for a few minutes, and goes on to. */
async function troubled(changes: Partial<DiskStoreOptions> = {}): Promise<Server> {
  const server = await serverOn(temporaryFolder(), 1_000_000, changes);
  await goOn(server, 20);
  await goOn(server, 3, { cartFails: true });
  expect(server.engine.incidents()).toMatchObject([{ status: "open", services: ["cart", "web"] }]);
  return server;
}

/** All of incidents that users can see, to the byte. */
function shown(incidents: readonly Incident[]): string {
  return writeJson(
    incidents.map(({ id, status, start, end, detected, updated, version, services, told, reports }) => [
      [id, status, version, services, told, reports],
      [start, end, detected, updated].map(String),
    ]),
  );
}

test("after a kill incidents are as they were, with their reports and events, before anything is read again", async () => {
  const before = await troubled();
  await goOn(before, 6);
  await goOn(before, 20);
  await goOn(before, 2, { mailFails: true });
  expect(before.engine.incidents().map(({ status }) => status)).toEqual(["open", "closed"]);
  const folder = temporaryFolder();
  cpSync(before.folder, folder, { recursive: true });
  const { store } = await openStore(folder);
  const after = live({}, {}, store);
  expect(shown(after.engine.incidents())).toBe(shown(before.engine.incidents()));
  const events = before.engine.incidentEventsAfter(0);
  expect(after.engine.incidentEventsAfter(0)).toEqual(events);
  expect(events.map(({ kind }) => kind)).toEqual(["opened", "updated", "closed", "opened", "updated"]);
  expect(after.engine.incidentEventsAfter(events[2]!.number)).toEqual(events.slice(3));
  expect(after.engine.incidentEventsAfter(events[4]!.number)).toEqual([]);
});

test("an incident that was open goes on under its name where the trouble does, and is not opened twice", async () => {
  const before = await troubled();
  const [open] = before.engine.incidents();
  const after = await afterKill(before, 2 * minuteMs);
  const kinds: string[] = [];
  after.engine.onIncident(({ kind, number }) => {
    kinds.push(kind);
    expect(number).toBeGreaterThan(Math.max(...open!.told.map((told) => told.number)));
  });
  await goOn(after, 3, { cartFails: true });
  const [resumed, ...others] = after.engine.incidents();
  expect(others).toEqual([]);
  expect(resumed).toMatchObject({ id: open?.id, status: "open", start: open?.start });
  expect(resumed?.version).toBeGreaterThan(open?.version ?? 0);
  await goOn(after, 6);
  expect(after.engine.incidents()).toMatchObject([{ id: open?.id, status: "closed" }]);
  expect([new Set(kinds), kinds.at(-1)]).toEqual([new Set(["updated", "closed"]), "closed"]);
  expect(after.faults).toEqual([]);
});

test("one of which nothing is seen any more is closed after the quiet time, as of when it was last seen", async () => {
  const before = await troubled();
  const diedAt = before.clock.unixNanos();
  const after = await afterKill(before, 10 * minuteMs);
  await goOn(after, 2);
  expect(after.engine.incidents()).toMatchObject([{ status: "open", end: null }]);
  await goOn(after, 2);
  const [closed, ...others] = after.engine.incidents();
  expect([closed?.status, others]).toEqual(["closed", []]);
  // it was last written with its last report
  expect(closed?.end).toBeLessThanOrEqual(diedAt);
  expect(closed?.end).toBeGreaterThan(diedAt - 70_000_000_000n);
});

test("one that was left open longer ago than looks compare with is closed at once: what comes is another", async () => {
  const before = await troubled();
  const after = await afterKill(before, 61 * minuteMs);
  const [left] = after.engine.incidents();
  expect(left?.status).toBe("open");
  await after.engine.lookForIncidents();
  expect(after.engine.incidents()).toMatchObject([{ id: left?.id, status: "closed" }]);
  await goOn(after, 20);
  await goOn(after, 3, { cartFails: true });
  const [second, first, ...others] = after.engine.incidents();
  expect([first?.id, first?.status, second?.status, others]).toEqual([left?.id, "closed", "open", []]);
});

test("traces that show an incident can be read when their segments have gone, also after a kill", async () => {
  const before = await troubled({ retention: smallSegments });
  const ids = before.engine.incidents()[0]?.reports.get("en")?.exemplar_trace_ids ?? [];
  expect(ids.length).toBeGreaterThan(0);
  const countsOf = async (server: Server): Promise<readonly number[]> =>
    Promise.all(ids.map(async (id) => (await server.engine.readTrace(id as TraceId))?.length ?? 0));
  const counts = await countsOf(before);
  expect(Math.min(...counts)).toBe(4);
  const none = { ageMsMax: 86_400_000, bytesMax: 0 };
  const dropped = await afterKill(before, minuteMs, {
    retention: { ...smallSegments, traces: none },
  });
  await expect
    .poll(() => readdirSync(dropped.folder).some((name) => /^traces.*log$/.test(name)), eventually)
    .toBe(false);
  expect(await countsOf(dropped)).toEqual(counts);
  const again = await afterKill(dropped, minuteMs);
  expect(await countsOf(again)).toEqual(counts);
  expect(again.engine.stats()).toMatchObject({ store_kept_traces: ids.length, store_lost_files: 0 });
});

test("incidents and their traces go when they are too many, too large or too old", async () => {
  const before = await troubled();
  await goOn(before, 6);
  const folder = temporaryFolder();
  cpSync(before.folder, folder, { recursive: true });
  const { store } = await openStore(folder, { keptBytesMax: 1 });
  const dayMs = 86_400_000;
  const after = live({ incidentAgeMsMax: dayMs }, {}, store);
  after.clock.nowMs = before.clock.nowMs + dayMs - 10 * minuteMs;
  await after.engine.lookForIncidents();
  expect(after.engine.incidents()).toHaveLength(1);
  after.clock.nowMs += dayMs;
  await after.engine.lookForIncidents();
  expect(after.engine.incidents()).toEqual([]);
  expect(readdirSync(folder).filter((name) => name.startsWith("incident-"))).toEqual([]);
  // Nothing more is kept of traces than there is room for.
  const [id = ""] = before.engine.incidents()[0]?.reports.get("en")?.exemplar_trace_ids ?? [];
  await store.keepTraces([id as TraceId]);
  expect(store.stats()).toMatchObject({ keptBytes: expect.any(Number), evictedKeptTraces: 1 });
  const { store: later } = await openStore(temporaryFolder());
  expect(later.keptIncidents()).toEqual([]);
});

/** Files of a folder that are about incidents. */
function incidentFiles(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => /^(incident|kept-trace)-/.test(name));
}

test(
  "what is damaged of incidents and kept traces costs itself alone, and is said",
  async () => {
    const before = await troubled();
    await goOn(before, 6);
    await goOn(before, 20);
    await goOn(before, 2, { mailFails: true });
    const names = incidentFiles(before.folder);
    expect(names.filter((name) => name.startsWith("incident-"))).toHaveLength(2);
    const damage = fc.record({
      file: fc.nat(names.length - 1),
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      kind: fc.constantFrom("bit", "cut", "gone"),
    });
    await fc.assert(
      fc.asyncProperty(damage, async ({ file, at, kind }) => {
        const folder = temporaryFolder();
        for (const name of names) cpSync(join(before.folder, name), join(folder, name));
        const hit = join(folder, names[file]!);
        const bytes = readFileSync(hit);
        const place = Math.floor(at * bytes.length);
        if (kind === "bit") bytes[place]! ^= 1 << (place % 8);
        writeFileSync(hit, kind === "bit" ? bytes : bytes.subarray(0, kind === "cut" ? place : 0));
        const { store, notices, faults } = await openStore(folder);
        const traceIds = names.flatMap((name) => /^kept-trace-([0-9a-f]{32})/.exec(name)?.[1] ?? []);
        const read = await Promise.all(traceIds.map((id) => store.readTrace(id as TraceId)));
        const whole = read.filter((rows) => rows.length > 0).length + store.keptIncidents().length;
        expect(whole).toBe(names.length - 1);
        expect(notices).toEqual([expect.stringContaining(`${hit} is damaged`)]);
        expect([store.stats().lostFiles, faults]).toEqual([1, []]);
        // It is said once.
        expect(incidentFiles(folder)).toEqual(names.filter((_, i) => i !== file));
      }),
      { numRuns: runs(30) },
    );
  },
  60_000 + runs(30) * 1_000,
);

test("what a crash leaves half written is removed, and what a newer version has written is refused", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "incident-20260501T1205-1.v1.new"), "half");
  writeFileSync(join(folder, "incident-notes.txt"), "not ours");
  const { close, notices } = await openStore(folder);
  expect([incidentFiles(folder), notices]).toEqual([["incident-notes.txt"], []]);
  await close();
  writeFileSync(join(folder, "incident-20260501T1205-1.v2"), "from the future");
  await expect(openStore(folder)).rejects.toMatchObject({ code: "bad_configuration" });
});

test("a disk that does not take an incident gets it when it can; what is known does not wait for it", async () => {
  const before = await troubled();
  const kept: KeptIncident = {
    incident: before.engine.incidents()[0]!,
    firstWorse: 1,
    lastSeen: before.clock.unixNanos(),
  };
  const folder = temporaryFolder();
  const disk: Faults = {};
  const { store, notices, faults } = await openStore(folder, { files: failingFiles(disk) });
  disk.sync = () => Promise.reject(diskError("EIO"));
  await store.keepIncident(kept);
  await store.keepTraces([]);
  expect([incidentFiles(folder), notices.length]).toEqual([[], 1]);
  delete disk.sync;
  const whole = `incident-${kept.incident.id}.v1`;
  await expect.poll(() => incidentFiles(folder), eventually).toEqual([whole]);
  const copy = temporaryFolder();
  cpSync(folder, copy, { recursive: true });
  expect((await openStore(copy)).store.keptIncidents()).toEqual([kept]);
  expect(faults).toEqual([]);
});
