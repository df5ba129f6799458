import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { IncidentReport } from "../../src/analysis/report.ts";
import { type RunningServer, runCommand, startServer } from "../cli/run-hypocenter.ts";
import { sendTrouble } from "./trouble.ts";

let server: RunningServer;
let at: readonly string[];

beforeAll(async () => {
  server = await startServer(["--incident-look", "1s"]);
  at = ["--server", `http://${server.api}`];
  const none = await runCommand(["query", "latest", ...at]);
  expect([none.exitCode, none.stderr]).toEqual([4, expect.stringContaining("There is no incident")]);
  await sendTrouble(server);
  await vi.waitFor(() => expect(server.stderr()).toContain("incident 2"), { timeout: 20_000 });
}, 60_000);
afterAll(() => server.stop());

test("a person lists the incidents of a server and reads the report of one, in every form, by id or as the latest", async () => {
  const list = await runCommand(["query", "incidents", ...at, "--format", "human"]);
  expect(list).toMatchObject({ exitCode: 0, stderr: "" });
  const [id = ""] = /\d{8}T\d{4}-1/.exec(list.stdout) ?? [];
  expect(list.stdout).toMatch(/incidents: 1, going on: 1[\s\S]*goes on[\s\S]*cart/);
  const latest = await runCommand(["query", "latest", ...at]);
  const report = JSON.parse(latest.stdout) as IncidentReport;
  expect(report).toMatchObject({ id, status: "open", root_cause_candidates: [{ service: "cart" }] });
  expect((await runCommand(["query", id, ...at])).stdout).toBe(latest.stdout);
  const human = (await runCommand(["query", id, ...at, "--format", "human"])).stdout;
  expect(human).toContain(report.verdict.split(". ")[0]);
  expect(human).toMatch(new RegExp(`incident ${id}[\\s\\S]*goes on`));
  const korean = await runCommand(["query", id, ...at, "--format", "markdown", "--lang", "ko"]);
  expect(korean.stdout).toMatch(/^# .*[가-힣]/);
  expect((await runCommand(["query", id, ...at, "--format", "html"])).stdout).toMatch(/^<!doctype html>/);
  expect((await runCommand(["query", id, ...at, "--fail-on", "degraded"])).exitCode).toBe(1);
}, 60_000);

test("what makes no sense of an incident, and one that is not there, are said", async () => {
  const structural = await runCommand(["query", "latest", ...at, "--scoring", "structural"]);
  expect([structural.exitCode, structural.stderr]).toEqual([2, expect.stringContaining("one trace")]);
  const unknown = await runCommand(["query", "20200101T0000-1", ...at]);
  expect([unknown.exitCode, unknown.stderr]).toEqual([
    4,
    expect.stringContaining("no incident 20200101T0000-1"),
  ]);
}, 60_000);

test("a browser opens the page that the server names at its terminal", async () => {
  const [address = ""] = /http:\/\/\S+format=html\S*/.exec(server.stderr()) ?? [];
  const page = await fetch(address);
  expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect(await page.text()).toMatch(/^<!doctype html>[\s\S]*incident \d{8}T\d{4}-1/);
});

test("a person searches traces by attributes and all else, and takes an id from the list", async () => {
  const search = (...words: readonly string[]) => runCommand(["query", "traces", ...at, ...words]);
  const calls = ["--attribute", "server.address=cart"];
  const failed = await search(...calls, "--status", "error", "--format", "human", "--limit", "5");
  expect(failed).toMatchObject({ exitCode: 0, stderr: "" });
  expect(failed.stdout).toMatch(/5 traces[\s\S]*web\s+GET \/cart/);
  const [id = ""] = /[0-9a-f]{32}/.exec(failed.stdout) ?? [];
  expect((await runCommand(["query", id, ...at])).exitCode).toBe(0);
  const all = JSON.parse((await search(...calls, "--limit", "1000", "--from", "now-1h")).stdout) as {
    readonly traces: readonly { readonly trace_id: string }[];
  };
  expect(all).toMatchObject({ complete: true, truncated: false, searched_from: null });
  expect(new Set(all.traces.map((trace) => trace.trace_id)).size).toBe(480);
  const none = await search(...calls, "--attribute", "server.address=web", "--format", "human");
  expect(none.stdout).toContain("no trace is like that");
  expect((await search("--min-duration", "1h", "--format", "json")).stdout).toContain('"traces": []');
  const wrong = await search("--attribute", "server.address");
  expect([wrong.exitCode, wrong.stderr]).toEqual([2, expect.stringContaining("key=value")]);
  const misplaced = await runCommand(["query", id, ...at, ...calls]);
  expect([misplaced.exitCode, misplaced.stderr]).toEqual([2, expect.stringContaining("query traces")]);
}, 60_000);
