import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runInProcess } from "../cli/in-process.ts";

const folder = "samples/slow-rates";
const text = readFileSync(`${folder}/README.md`, "utf8");
const asked = /\b[0-9a-f]{32}\b/.exec(text)?.[0] ?? "";

async function reportOf(words: string): Promise<unknown> {
  const { stdout, exitCode } = await runInProcess(`analyze ${folder} ${words} --format json`);
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as unknown;
}

test("a request that timed out is blamed on the slow service far below, which reports no error", async () => {
  expect(await reportOf(`--trace ${asked}`)).toMatchObject({
    root_cause_candidates: [{ service: "rates", rank: 1, kind: "latency" }],
    propagation: [
      { callee: "rates", caller: "pricing" },
      { callee: "pricing", caller: "orders" },
      { callee: "orders", caller: "gateway", mechanism: "timeout" },
    ],
    trace: { root_service: "gateway", services: ["gateway", "orders", "pricing", "rates"], error_count: 2 },
  });
});

test("all requests together say the same, and that everybody above is hit", async () => {
  expect(await reportOf("")).toMatchObject({
    healthy: false,
    root_cause_candidates: [
      {
        service: "rates",
        rank: 1,
        kind: "latency",
        evidence: [{ statement: "30 of 150 requests failed because callers gave up waiting for it" }],
      },
    ],
    advice: [{ service: "rates", kind: "slow_operation" }],
    affected_services: ["gateway", "orders", "pricing", "rates"],
    entry_points: [{ service: "gateway" }],
    totals: { traces: 150, services: 4 },
  });
});

test("the health of the services alone sees only where it hurts: none of the others reports an error", async () => {
  const report = (await reportOf(`--trace ${asked} --scoring structural`)) as {
    readonly service_states: Readonly<Record<string, { readonly healthy: boolean }>>;
  };
  const states = Object.entries(report.service_states);
  expect(states.map(([service, { healthy }]) => [service, healthy])).toEqual([
    ["gateway", false],
    ["orders", true],
    ["pricing", true],
    ["rates", true],
  ]);
});
