import { execFileSync } from "node:child_process";
import { createWriteStream, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ByteSource } from "../../src/formats/byte-source.ts";
import { runInProcess } from "../cli/in-process.ts";
import { collect, line, namesOf, streamOf } from "../formats/sources.ts";
import { bothWays, json, request } from "./both-ways.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hypocenter-hostile-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test.each([
  ["lines of Windows", (line("a") + line("b")).replaceAll("\n", "\r\n")],
  ["a byte order mark", `\ufeff${line("a")}${line("b")}`],
  ["zeros that a crash left behind", `${line("a")}${line("b")}${"\0".repeat(4_096)}`],
  [
    "zeros in the middle, where a crash was and writing went on",
    `${line("a")}${"\0".repeat(4_096)}\n${line("b")}`,
  ],
  ["half a last line", line("a") + line("b") + line("c").slice(0, 70)],
  ["half a first line", line("c").slice(70) + line("a") + line("b")],
])("P45: %s", async (_, content) => {
  const { tables } = await collect([file("spans.jsonl", content)]);
  expect(namesOf(tables)).toEqual(["a", "b"]);
});

test("P45: a sparse file of 100 GB ends where its zeros do not, within seconds, and says so", async () => {
  const path = file("sparse.jsonl", line("a") + line("b"));
  truncateSync(path, 100 * 2 ** 30);
  const startedAt = performance.now();
  const { tables, problems } = await collect([path]);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect(namesOf(tables)).toEqual(["a", "b"]);
  expect(problems).toMatchObject([{ kind: "unreadable_input", message: expect.stringContaining("zeros") }]);
});

test("P45: links that lead in a circle are followed once", async () => {
  file("a.jsonl", line("a"));
  symlinkSync(folder, join(folder, "circle"));
  symlinkSync(join(folder, "y"), join(folder, "x"));
  symlinkSync(join(folder, "x"), join(folder, "y"));
  const { tables } = await collect([folder]);
  expect(namesOf(tables)).toEqual(["a"]);
});

test.skipIf(process.platform === "win32")("P45: a pipe is read until its writer ends", async () => {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const reading = collect([path]);
  const writer = createWriteStream(path);
  writer.write(line("a"));
  setTimeout(() => writer.end(line("b")), 50);
  expect(namesOf((await reading).tables)).toEqual(["a", "b"]);
});

test("P45: of a file that is cut while it is read, what was there before is used", async () => {
  const path = file("shrinking.jsonl", line("a").repeat(20_000));
  let isFirst = true;
  const { summary } = await collect([path], {
    onProgress: () => {
      if (isFirst) truncateSync(path, 100);
      isFirst = false;
    },
  });
  expect(summary.spans.accepted).toBeGreaterThan(1_000);
  expect(summary.spans.accepted).toBeLessThan(20_000);
});

test("P45: a source that fails in the middle costs what it did not give", async () => {
  const failing: ByteSource = {
    ...streamOf(""),
    async *chunks() {
      yield Buffer.from(line("a") + line("b"));
      throw Object.assign(new Error("EIO"), { code: "EIO", syscall: "read" });
    },
  };
  const { tables, problems } = await collect([failing]);
  expect(namesOf(tables)).toEqual(["a", "b"]);
  expect(problems).toMatchObject([
    { kind: "unreadable_input", message: expect.stringContaining("the disk reports") },
  ]);
});

test("P20: times of files in another unit are repaired, with a note; over the network they are only flagged", async () => {
  const spanOf = (start: number, end: number): object => ({
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(end),
  });
  const body = JSON.stringify(request([spanOf(1_704_067_200_000, 1_704_067_200_050)]));
  const id = "1".padStart(32, "0");
  const { stdout } = await runInProcess(["analyze", file("ms.jsonl", body), "--trace", id]);
  const report = JSON.parse(stdout) as { trace: object; problems: readonly { kind: string }[] };
  expect(report.trace).toMatchObject({ start: "2024-01-01T00:00:00.000000000Z", duration_ms: 50 });
  expect(report.problems.map(({ kind }) => kind)).toEqual(["repaired_time"]);
  const { report: live } = await bothWays([json(body)]);
  expect(live().problems.map(({ kind }) => kind)).toEqual(["implausible_time"]);
});

test("P24: names with markup and controls reach no page, terminal or graph unescaped", async () => {
  const path = file(
    "names.jsonl",
    line(
      "<script>alert(1)</script>",
      "\u001b[31mred\u0007",
      "\u202egnp.exe",
      `"onload="alert(1)`,
      "line\nINJECTED\r\nINJECTED",
    ),
  );
  for (const format of ["human", "html", "markdown", "mermaid", "dot"]) {
    const { exitCode, stdout } = await runInProcess([
      "analyze",
      path,
      "--format",
      format,
      "--no-color",
      "--trace",
      "0af7651916cd43dd8448eb211c80319c",
    ]);
    expect(exitCode).toBe(0);
    expect(Array.from(stdout).filter(isControl)).toEqual([]);
    // no name begins a line of its own
    expect(stdout).not.toMatch(/^\W*INJECTED/m);
    // in Markdown they stand in a block of plain text
    if (format === "html") expect(stdout).not.toMatch(/<script>alert|"onload="alert/);
  }
});

/** Line feeds and tabs are ours. */
function isControl(character: string): boolean {
  const code = character.codePointAt(0) as number;
  const isDirection = code >= 0x202a && code <= 0x202e;
  return (code < 0x20 && code !== 0x0a && code !== 0x09) || code === 0x7f || isDirection;
}
