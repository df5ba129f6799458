import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attribute, request } from "./both-ways.ts";

// What is written to a disk: temporary files of spans that do not fit into memory, and the files of `convert`. A server keeps what it has in memory.

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
});
