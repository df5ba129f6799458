import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ask } from "../conformance/ask.ts";
import { attribute, request } from "./both-ways.ts";

// What is written to a disk: temporary files of spans that do not fit into memory, the files of `convert`, and what a server keeps.

/** Mounts a small disk at the second argument, for the command behind it alone, lists what it leaves there, and ends as it did. */
const onSmallDisk = `
mount -t tmpfs -o "$1" small "$2" || exit 99
disk="$2"; shift 2; cd "$disk"
"$@"; code=$?
echo "left:" $(ls -A "$disk") >&2
exit $code`;

const mounting = spawnSync("unshare", ["-Urm", "sh", "-c", onSmallDisk, "sh", "size=4k", tmpdir(), "true"]);
const executable = join(process.cwd(), "dist/hypocenter.js");

let folder: string;
let disk: string;
let large: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hypocenter-disk-"));
  disk = mkdtempSync(join(folder, "disk-"));
  large = join(folder, "large.jsonl");
  // more than the least memory budget
  const lines = Array.from({ length: 400 }, (_, i) =>
    JSON.stringify(
      request([
        {
          traceId: (i + 1).toString(16).padStart(32, "0"),
          attributes: [attribute("db.query.text", `${i} ${"x".repeat(60_000)}`)],
        },
      ]),
    ),
  );
  writeFileSync(large, lines.join("\n"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function onDisk(options: string, words: readonly string[]) {
  const command = [options, disk, process.execPath, executable, ...words];
  const child = spawn("unshare", ["-Urm", "sh", "-c", onSmallDisk, "sh", ...command], {
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: disk },
  });
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (texts.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (texts.stderr += chunk.toString()));
  await once(child, "close");
  return { exitCode: child.exitCode, ...texts };
}

describe.skipIf(mounting.status !== 0)("a disk (needs user namespaces, to mount one)", () => {
  const whole = (): readonly string[] => ["convert", large, "--to", "jaeger", "--memory-budget", "16MiB"];

  test.each([
    ["is full in the middle of a record", "size=1m", "the disk is full"],
    ["has room, and no place for another file", "nr_inodes=1", "the disk is full"],
    ["may only be read", "ro", "read-only file system"],
  ])(
    "P44: one for temporary files that %s is named, with the way out, and nothing is half done",
    async (_, options, why) => {
      const out = join(folder, "out.json");
      const { exitCode, stderr } = await onDisk(options, [...whole(), out]);
      expect([exitCode, existsSync(out)]).toEqual([3, false]);
      expect(stderr).toContain(why);
      expect(stderr).toContain("TMPDIR");
      expect(stderr).toMatch(/left:\s*$/);
    },
  );

  test("P44: one with enough room is used, and nothing stays on it", async () => {
    const out = join(folder, "whole.json");
    const { exitCode, stderr } = await onDisk("size=100m", [...whole(), out]);
    expect(exitCode).toBe(0);
    expect((JSON.parse(readFileSync(out, "utf8")) as { readonly data: unknown }).data).toHaveLength(400);
    expect(stderr).toMatch(/left:\s*$/);
  });

  test.each([
    ["is full", "size=1m"],
    ["may only be read", "ro"],
  ])("P44: of a file that is written to one that %s nothing stays", async (_, options) => {
    const written = ["convert", large, "--to", "otlp-jsonl", join(disk, "out.jsonl")];
    const { exitCode, stderr } = await onDisk(options, written);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("Cannot write");
    expect(stderr).toMatch(/left:\s*$/);
  });

  test("R7: a server on a disk that is too small for what it may keep lets the oldest go, and goes on by itself", async () => {
    const server = await serveOnDisk("size=6m", ["--trace-disk", "16MiB"]);
    const taken: number[] = [];
    for (let trace = 1; trace <= 200; trace += 1)
      for (let attempt = 0; ; attempt += 1) {
        const { status } = await server.send(trace);
        if (status === 200) break;
        expect([status, attempt < 50]).toEqual([503, true]);
        taken.push(trace);
        await pause(100);
      }
    expect(taken.length).toBeGreaterThan(0);
    expect(await server.holds(200)).toBe(true);
    expect(await server.holds(1)).toBe(false);
    expect(server.stderr()).toMatch(/cannot be written.*\n(.*\n)*.*can be written again/);
    expect(server.stderr()).not.toContain("a fault inside");
  });

  test("R7: while a disk is full and nothing may go, senders are to come again, and everything is answered", async () => {
    const server = await serveOnDisk("size=3m", ["--trace-disk", "1GiB"]);
    const taken: number[] = [];
    for (let trace = 1; ; trace += 1) {
      const { status, headers } = await server.send(trace);
      if (status === 200) taken.push(trace);
      else {
        expect([status, headers["retry-after"]]).toEqual([503, "1"]);
        break;
      }
    }
    expect(taken.length).toBeGreaterThan(10);
    for (const trace of taken) expect(await server.holds(trace)).toBe(true);
    expect((await server.send(9_999)).status).toBe(503);
  });
});

/** A server that keeps what it has on a small disk. */
async function serveOnDisk(options: string, words: readonly string[]) {
  const ports = ["--grpc-port", "0", "--http-port", "0", "--port", "0", "--format", "json"];
  const command = [executable, "serve", "--data", disk, "--disk-reserve", "0MiB", ...ports, ...words];
  const child = spawn(
    "unshare",
    ["-Urm", "sh", "-c", onSmallDisk, "sh", options, disk, process.execPath, ...command],
    {
      detached: true,
    },
  );
  onTestFinished(() => void process.kill(-child.pid!, "SIGKILL"));
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { http, api } = JSON.parse(line.toString()) as { readonly http: string; readonly api: string };
  const idOf = (trace: number): string => trace.toString(16).padStart(32, "0");
  return {
    stderr: () => stderr,
    /** About 75 kB that no packing makes smaller. */
    send: (trace: number) => {
      const note = attribute("note", randomBytes(75_000).toString("base64"));
      const body = JSON.stringify(request([{ traceId: idOf(trace), attributes: [note] }]));
      return ask(`http://${http}/v1/traces`, { headers: { "content-type": "application/json" }, body });
    },
    holds: async (trace: number) => (await ask(`http://${api}/api/v1/traces/${idOf(trace)}`)).status === 200,
  };
}
