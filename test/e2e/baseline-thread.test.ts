import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { areLarge } from "../../src/cli/read-baseline.ts";
import { runCommand } from "../cli/run-hypocenter.ts";
import { simulateCase } from "../simulator/case.ts";
import { filesOf } from "../simulator/write-case.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const simulated = simulateCase({
  seed: 2,
  faultType: "pool_exhausted",
  services: 20,
  requests: 150,
  windowMs: 120_000,
  sampleEveryMs: 15_000,
});
const files = filesOf(simulated, { dataset: "", lostShare: 0 });

/** Large enough for a thread of its own, without much to read: a line may end with blanks. */
function largeFile(name: string, lines: readonly string[]): string {
  const path = join(folder, name);
  const blanks = " ".repeat(Math.ceil((9 * 2 ** 20) / lines.length));
  writeFileSync(path, lines.map((line) => `${line}${blanks}\n`).join(""));
  return path;
}

const window = largeFile("window.jsonl", [...files.incident, ...files.logs]);
const broken = '{"resourceSpans": [{"scopeSpans": 7}]';
const baseline = largeFile("baseline.jsonl", [
  ...files.baseline.slice(0, 3),
  broken,
  ...files.baseline.slice(3),
  ...files.logs,
  ...files.metrics,
]);

/** What comes through a pipe has no size that is known before, so one thread reads it all. */
async function bothWays(baselinePath: string) {
  expect(await Promise.all([areLarge([window], [baselinePath]), areLarge(["-"], [baselinePath])])).toEqual([
    true,
    false,
  ]);
  const words = ["--baseline", baselinePath, "--format", "json"];
  const [beside, inTurn] = await Promise.all([
    runCommand(["analyze", window, ...words]),
    runCommand(["analyze", "-", ...words], { stdin: readFileSync(window, "utf8") }),
  ]);
  return { beside, inTurn };
}

test("a baseline that a thread of its own reads gives the same report, and tells of the same broken lines", async () => {
  const { beside, inTurn } = await bothWays(baseline);
  expect(JSON.parse(beside.stdout)).toMatchObject({
    healthy: false,
    root_cause_candidates: [{ service: simulated.scenario.causes[0]?.name }],
  });
  expect(beside).toEqual(inTurn);
  expect(beside.stderr).toContain(`${baseline}:4`);
});

test("a baseline that cannot be read fails the same way in a thread of its own", async () => {
  const { beside, inTurn } = await bothWays(largeFile("notes.txt", ["no telemetry at all"]));
  expect(beside.exitCode).toBe(3);
  expect(beside).toEqual(inTurn);
});
