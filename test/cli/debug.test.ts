import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type OrderedJson, parseJsonOrdered } from "../../src/wire/parse-json-ordered.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { recorded } from "../data-folder.ts";
import { runInProcess } from "./in-process.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const topology = {
  failed_service: "web",
  dependencies: { web: ["cart"], cart: ["db"] },
  services: { db: { metrics: { error_rate: 0.5 } }, cart: { metrics: { response_time_p99: 3 } } },
};

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test("a topology is answered with its structural report", async () => {
  const path = file("topology.json", JSON.stringify(topology, null, 2));
  const { exitCode, stdout } = await runInProcess(`debug ${path}`);
  expect(exitCode).toBe(0);
  const report = JSON.parse(stdout) as Record<string, unknown>;
  expect(report["dependency_chain"]).toEqual(["web", "cart", "db"]);
  expect(report["cascade_analysis"]).toMatchObject({ blast_radius: 1, critical_path: ["db"] });
});

test("--failed-service and --lang change the question and the words", async () => {
  const path = file("topology.json", JSON.stringify(topology));
  const { stdout } = await runInProcess(`debug ${path} --failed-service cart --lang ko`);
  expect(stdout.split("\n")).toHaveLength(2);
  expect(JSON.parse(stdout)).toMatchObject({
    dependency_chain: ["cart", "db"],
    root_cause_candidates: [{ service: "db", issues: ["높은 에러율: 50.00%"] }],
  });
});

test("a person gets the same in words", async () => {
  const path = file("topology.json", JSON.stringify(topology));
  const { stdout } = await runInProcess(`debug ${path} --format human --lang en`);
  expect(stdout).toContain("High error rate: 50.00%");
  expect(stdout).not.toContain("\u001b[");
});

test("the same can be had as a picture or a page", async () => {
  const path = file("topology.json", JSON.stringify(topology));
  expect((await runInProcess(`debug ${path} --format mermaid`)).stdout).toMatch(/^flowchart LR\n/);
  expect((await runInProcess(`debug ${path} --format html`)).stdout).toMatch(/^<!doctype html>/);
});

test("colours are for terminals that have some, and NO_COLOR and --no-color turn them off", async () => {
  const path = file("topology.json", JSON.stringify(topology));
  const colored = await runInProcess(`debug ${path}`, { isTerminal: true });
  expect(colored.stdout).toContain("\u001b[");
  const plain = await runInProcess(`debug ${path}`, { isTerminal: true, env: { NO_COLOR: "1" } });
  expect(plain.stdout).not.toContain("\u001b[");
  expect((await runInProcess(`debug ${path} --no-color`, { isTerminal: true })).stdout).toBe(plain.stdout);
  const dumb = await runInProcess(`debug ${path}`, { isTerminal: true, env: { TERM: "dumb" } });
  expect(dumb.stdout).not.toContain("\u001b");
});

test("standard input gets one line for each line, a bad one its error", async () => {
  const lines = [JSON.stringify(topology), "{", "", '{"dependencies":{}}'];
  const { exitCode, stdout } = await runInProcess("debug -", { stdin: `${lines.join("\r\n")}\n` });
  expect(exitCode).toBe(0);
  const answers = stdout.trimEnd().split("\n");
  expect(answers).toHaveLength(4);
  expect(JSON.parse(answers[0]!)).toHaveProperty("dependency_chain");
  for (const answer of answers.slice(1)) expect(JSON.parse(answer)).toHaveProperty("error.message");
});

test("lines are recognised by content where the name does not say it", async () => {
  const line = JSON.stringify(topology);
  for (const name of ["cases.jsonl", "cases.txt"]) {
    const { stdout } = await runInProcess(`debug ${file(name, `${line}\nbroken\n${line}`)}`);
    expect(stdout.trimEnd().split("\n")).toHaveLength(3);
  }
});

test("--fail-on tells critical from degraded", async () => {
  const critical = file("critical.json", JSON.stringify(topology));
  const slow = { ...topology, services: { cart: { metrics: { response_time_p99: 3 } } } };
  const degraded = file("degraded.json", JSON.stringify(slow));
  const fine = file("fine.json", JSON.stringify({ ...topology, services: {} }));
  const codes = async (path: string) => {
    const runs = ["critical", "degraded", "none"].map((level) =>
      runInProcess(`debug ${path} --fail-on ${level}`),
    );
    return (await Promise.all(runs)).map(({ exitCode }) => exitCode);
  };
  expect(await codes(critical)).toEqual([1, 1, 0]);
  expect(await codes(degraded)).toEqual([0, 1, 0]);
  expect(await codes(fine)).toEqual([0, 0, 0]);
});

test("what cannot be read or makes no sense says so", async () => {
  expect(await runInProcess("debug missing.json")).toMatchObject({ exitCode: 3, stdout: "" });
  const broken = await runInProcess(`debug ${file("broken.json", "{")}`);
  expect(broken.exitCode).toBe(3);
  expect(broken.stderr).toMatch(/line 1, column 2/);
  const lines = await runInProcess("debug - --format human", { stdin: "{}\n" });
  expect(lines.exitCode).toBe(2);
});

const golden = recorded("structural-engine", "cases.jsonl");

test.skipIf(golden.missing)(
  `every recorded case comes out to the last character ${golden.reason}`,
  async () => {
    const cases = readFileSync(golden.path, "utf8").trimEnd().split("\n").map(members);
    const stdin = cases.map((each) => `${writeJson(each.get("input"))}\n`).join("");
    const { stdout } = await runInProcess("debug - --format json --lang ko", { stdin });
    const answers = stdout.trimEnd().split("\n").map(members);
    expect(answers).toHaveLength(cases.length);
    for (const [i, answer] of answers.entries()) {
      const { cascade_analysis: cascade, ...expected } = Object.fromEntries(
        cases[i]?.get("expected") as Members,
      );
      expect(answer.get("cascade_analysis")).toEqual(cascade);
      for (const [key, value] of Object.entries(expected))
        expect(writeJson(answer.get(key))).toBe(writeJson(value));
    }
  },
);

type Members = ReadonlyMap<string, OrderedJson>;

function members(line: string): Members {
  return parseJsonOrdered(line) as Members;
}
