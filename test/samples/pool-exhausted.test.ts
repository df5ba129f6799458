import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { runInProcess } from "../cli/in-process.ts";
import { poolExhausted } from "../generators/pool-exhausted.ts";

const folder = "samples/pool-exhausted";

async function reportOf(words: string): Promise<unknown> {
  const { stdout, exitCode } = await runInProcess(`analyze ${folder} ${words} --format json`);
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as unknown;
}

const culprit = { service: "route-worker", rank: 1, kind: "saturation" };

test("the recording is compared with its own calm part, and the service without connections is blamed", async () => {
  expect(await reportOf("")).toMatchObject({
    window: { from: "2026-11-03T10:05:00.000000000Z" },
    baseline: { to: "2026-11-03T10:04:59.999999999Z" },
    root_cause_candidates: [culprit],
    affected_services: expect.arrayContaining(["fraud-worker", "gift-core", "notice-worker"]) as unknown,
    what_if: [{ service: "route-worker" }],
    totals: { services: 20 },
  });
});

test("two minutes of it, compared with all before, say the same", async () => {
  expect(await reportOf("--from 2026-11-03T10:06:00Z --to 2026-11-03T10:08:00Z")).toMatchObject({
    baseline: { from: "2026-11-03T10:00:00.000000000Z", to: "2026-11-03T10:05:59.999999999Z" },
    root_cause_candidates: [culprit],
  });
});

test("the files are what the simulator makes", () => {
  for (const [name, lines] of Object.entries(poolExhausted()))
    expect(
      gunzipSync(readFileSync(`${folder}/${name}.jsonl.gz`)).toString() === `${lines.join("\n")}\n`,
    ).toBe(true);
});
