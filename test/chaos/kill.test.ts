import { readdirSync, statSync, watch } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { Random } from "../fuzz/mutate.ts";
import { runs } from "../runs.ts";
import { eventually, temporaryFolder } from "../storage/disk/log-folder.ts";
import { checkLedger, logsIn } from "./check-ledger.ts";
import { Ledger } from "./ledger.ts";
import { progress, seed } from "./progress.ts";

const agent = new Agent({ keepAlive: true, maxSockets: 16 });
afterAll(() => agent.destroy());

const killsCount = runs(20);
const endsCount = runs(1);
const killsOfOneFolder = 10;
const senders = 6;

/** Segments are a sixteenth of the room: closed, sealed and, in the smaller folder, removed while senders go on. */
const rooms = { kept: "128MiB", dropped: "4MiB" } as const;
type Room = keyof typeof rooms;

function place(folder: string, room: Room): readonly string[] {
  const soon = ["--trace-idle", "100ms", "--trace-open", "1s", "--summary-delay", "0s"];
  return ["--data", folder, "--trace-disk", rooms[room], "--disk-reserve", "0MiB", ...soon];
}

/** What a server is about when it is killed: what shows in its folder at that moment. */
const aims = {
  anything: null,
  "a new segment": /^traces-.*\.log$/,
  "an index being written": /\.index\.new$/,
  "summaries being written": /\.summaries\.new$/,
  "something being removed": /\.(log|index|summaries)$/,
} as const;
type Aim = keyof typeof aims;

test(
  `R4: a server is killed ${killsCount} times while it takes spans in, begins, seals and removes segments: nothing that it acknowledged is lost, nothing counts twice`,
  async () => {
    const random = new Random(seed);
    const say = progress("kills");
    const hits = new Map<Aim, number>();
    const sum = { kills: 0, spans: 0, checked: 0 };
    while (sum.kills < killsCount) {
      const room: Room = random.below(2) === 0 ? "kept" : "dropped";
      const folder = temporaryFolder();
      const ledger = new Ledger(agent);
      for (let kill = 0; kill < killsOfOneFolder && sum.kills < killsCount; kill += 1) {
        const server = await serverOn(place(folder, room));
        const sending = Array.from({ length: senders }, () => ledger.sendUntilGone(server));
        const aim = random.of(Object.keys(aims) as Aim[]);
        if (await isAbout(folder, aim, random)) hits.set(aim, (hits.get(aim) ?? 0) + 1);
        await server.stop("SIGKILL");
        await Promise.all(sending);
        expect(server.stderr()).not.toContain("a fault inside");
        sum.kills += 1;
        say(figuresOf(sum, hits));
      }
      const server = await serverOn(place(folder, room));
      await expect.poll(() => ledger.sendOpen(server), eventually).toBe(0);
      sum.spans += ledger.sent.length;
      sum.checked += await checkLedger(server, ledger, folder);
      if (room === "dropped") checkRetention(folder);
      expect((await server.stop()).exitCode).toBe(0);
      expect(server.stderr()).not.toContain("a fault inside");
    }
    // in half of the folders retention removes most
    expect(sum.checked).toBeGreaterThan(killsCount * senders);
    say(figuresOf(sum, hits), true);
  },
  120_000 + killsCount * 20_000,
);

test(
  "R15: a server that is asked to end while it takes spans in ends well and in time, and what it acknowledged is there when it is back",
  async () => {
    const random = new Random(seed);
    for (let end = 0; end < endsCount; end += 1) {
      const folder = temporaryFolder();
      const ledger = new Ledger(agent);
      const first = await serverOn(place(folder, "kept"));
      const sending = Array.from({ length: senders }, () => ledger.sendUntilGone(first));
      await pause(100 + random.below(900));
      const { exitCode, tookMs } = await first.stop("SIGTERM");
      await Promise.all(sending);
      expect([exitCode, tookMs < 5_000]).toEqual([0, true]);
      const second = await serverOn(place(folder, "kept"));
      await expect.poll(() => ledger.sendOpen(second), eventually).toBe(0);
      expect(await checkLedger(second, ledger, folder)).toBeGreaterThan(senders);
      expect((await second.stop()).exitCode).toBe(0);
      expect(first.stderr() + second.stderr()).not.toContain("a fault inside");
    }
  },
  60_000 + endsCount * 10_000,
);

function figuresOf(
  { kills, spans, checked }: { readonly kills: number; readonly spans: number; readonly checked: number },
  hits: ReadonlyMap<Aim, number>,
): string {
  const aimed = [...hits].map(([aim, count]) => `${count} at ${aim}`).sort();
  return `${kills} (${aimed.join(", ")}); ${spans} spans acknowledged, ${checked} of them not removed since, 0 lost, 0 doubled`;
}

/** A server that ends with the test at the latest. */
async function serverOn(words: readonly string[]): Promise<RunningServer> {
  const server = await startServer(words);
  onTestFinished(() => void server.process.kill("SIGKILL"));
  return server;
}

const waitMsMax = 4_000;

/** Resolves when the folder shows what is aimed at, with false where it does not in time. */
async function isAbout(folder: string, aim: Aim, random: Random): Promise<boolean> {
  const pattern = aims[aim];
  await pause(20 + random.below(pattern === null ? 700 : 200));
  if (pattern === null) return true;
  const known = new Set(readdirSync(folder));
  const isRemoval = aim === "something being removed";
  return new Promise((resolve) => {
    const watcher = watch(folder);
    const end = (isSeen: boolean): void => {
      clearTimeout(late);
      watcher.close();
      resolve(isSeen);
    };
    const late = setTimeout(() => end(false), waitMsMax);
    watcher.on("change", (kind, name) => {
      const file = name.toString();
      if (kind === "rename" && pattern.test(file) && known.has(file) === isRemoval) end(true);
    });
  });
}

/** No more is removed than has to be: a segment or two less than the room. */
function checkRetention(folder: string): void {
  const logs = logsIn(folder);
  const bytes = logs.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  const isFull = !logs.some((name) => name.startsWith("traces-000000000001-"));
  expect(bytes).toBeLessThan(6 << 20);
  if (isFull) expect(bytes).toBeGreaterThan(3 << 20);
}
