import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readTelemetry } from "../../src/formats/read-telemetry.ts";

function simulateInto(folder: string, ...options: readonly string[]) {
  const scale = ["--services", "20", "--requests", "80", "--window", "60", "--metrics", "20"];
  const script = ["--import", "tsx", "test/simulator/main.ts", "--out", folder, ...scale, ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, script, { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("each case is a folder of telemetry and truth, told while it is made", async () => {
  const folder = mkdtempSync(join(tmpdir(), "simulated-"));
  try {
    const { status, stdout, stderr } = simulateInto(
      folder,
      "--kinds",
      "error",
      "--cases",
      "1",
      "--healthy",
      "1",
      "--seed",
      "7",
    );
    expect([status, stdout]).toEqual([0, ""]);
    expect(stderr).toMatch(
      /^1\/2 simulated-20-0007-error: .*\n2\/2 simulated-20-0008-healthy_plain: healthy, .*\n$/,
    );
    expect(readdirSync(folder).sort()).toEqual([
      "simulated-20-0007-error",
      "simulated-20-0008-healthy_plain",
    ]);
    const path = join(folder, "simulated-20-0007-error");
    expect(readdirSync(path).sort()).toEqual([
      "baseline.jsonl.gz",
      "incident.jsonl.gz",
      "logs.jsonl.gz",
      "metrics.jsonl.gz",
      "truth.json",
    ]);
    const truth = JSON.parse(readFileSync(join(path, "truth.json"), "utf8")) as {
      incident: { spans: number };
    };
    const problems: string[] = [];
    const read = await readTelemetry(
      ["incident", "metrics", "logs"].map((name) => join(path, `${name}.jsonl.gz`)),
      {
        traces: () => {},
        metrics: () => {},
        logs: () => {},
        problem: ({ message }) => void problems.push(message),
      },
    );
    expect(problems).toEqual([]);
    expect(read.spans).toEqual({ accepted: truth.incident.spans, rejected: 0 });
    for (const { accepted, rejected } of [read.points, read.logs])
      expect([accepted > 0, rejected]).toEqual([true, 0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  [["--kinds", "flood"], 'no fault is called "flood"; --list names them\n'],
  [["--seed", "half"], "--seed must be a whole number from 0\n"],
])("wrong usage is told and nothing is written: %j", (options, message) => {
  const folder = join(tmpdir(), "never-written");
  const { status, stderr } = simulateInto(folder, ...options);
  expect([status, stderr]).toEqual([2, message]);
  expect(() => readdirSync(folder)).toThrow("ENOENT");
});
