import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { runCommand, startServer } from "../cli/run-hypocenter.ts";
import { tableOf } from "../notation.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Enough requests that their report does not fit into a pipe. */
const traces = 200;
const table = tableOf(
  Array.from(
    { length: traces },
    (_, i) => `service-${i} GET /a 0..9ms server trace=${i + 1}\n  peer-${i} GET /b 1..8ms server`,
  ).join("\n"),
);
const rows = Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
const path = join(folder, "traces.jsonl");
writeFileSync(path, `${tracesToJson(rows)}\n`);

test("standard input is read as -, and gives the same as the file", async () => {
  const fromFile = await runCommand(["graph", path]);
  const fromInput = await runCommand(["graph", "-"], { stdin: readFileSync(path, "utf8") });
  expect(fromFile.exitCode).toBe(0);
  expect(fromInput).toEqual(fromFile);
});

test("a reader that has seen enough is no error", async () => {
  const child = spawn(process.execPath, ["dist/hypocenter.js", "graph", path], { env: {} });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout.once("data", () => child.stdout.destroy());
  await once(child, "close");
  expect({ exitCode: child.exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
});

test("debug answers each line as soon as it is there", async () => {
  const child = spawn(process.execPath, ["dist/hypocenter.js", "debug", "-"], { env: {} });
  for (const service of ["a", "b"]) {
    child.stdin.write(`${JSON.stringify({ failed_service: service, dependencies: {}, services: {} })}\n`);
    const [answer] = (await once(child.stdout, "data")) as [Buffer];
    expect(JSON.parse(answer.toString())).toMatchObject({ failed_service: service });
  }
  child.stdin.end();
  await once(child, "close");
  expect(child.exitCode).toBe(0);
});

test("replay brings a file to a server, over HTTP and gRPC", async () => {
  const server = await startServer();
  try {
    for (const to of [`http://${server.http}`, `grpc://${server.grpc}`]) {
      const { exitCode, stdout } = await runCommand(["replay", path, "--to", to]);
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        spans: { accepted: 2 * traces, rejected: 0 },
        refusals: [],
      });
    }
    const wrongPort = await runCommand(["replay", path, "--to", `http://${server.grpc}`]);
    expect(wrongPort.exitCode).toBe(5);
    expect(wrongPort.stderr).toMatch(/does not speak HTTP[\s\S]*grpc:\/\//);
    const found = (await (await fetch(`http://${server.api}/api/v1/traces?limit=1`)).json()) as object;
    expect(found).toMatchObject({ total: traces });
  } finally {
    await server.stop("SIGKILL");
  }
});

test("selfcheck finds a server right, and what the server says of itself is JSON where it is asked for", async () => {
  const server = await startServer(["--log-format", "json", "--host", "0.0.0.0"]);
  const [, port = ""] = server.http.split(":");
  const [, apiPort = ""] = server.api.split(":");
  const at = ["--server", `http://127.0.0.1:${apiPort}`, "--to", `http://127.0.0.1:${port}`];
  const { exitCode, stdout } = await runCommand(["selfcheck", ...at]);
  expect([exitCode, (JSON.parse(stdout) as { readonly ok: boolean }).ok]).toEqual([0, true]);
  const metrics = async () => await (await fetch(`http://127.0.0.1:${apiPort}/metrics`)).text();
  const text = await metrics();
  expect(Number(/^hypocenter_otlp_http_decode_seconds_total (\S+)$/m.exec(text)?.[1])).toBeGreaterThan(0);
  for (const name of [
    "process_resident_memory_bytes",
    "nodejs_heap_size_used_bytes",
    "nodejs_array_buffers_bytes",
  ])
    expect(text).toMatch(new RegExp(`^# TYPE ${name} gauge\n${name} [1-9]`, "m"));
  // who asks first starts the watch
  expect(text).not.toContain("nodejs_eventloop_lag");
  await expect.poll(metrics).toMatch(/^nodejs_eventloop_lag_p99_seconds \d/m);
  await server.stop();
  const lines = server.stderr().trimEnd().split("\n");
  const logged = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  for (const { time, level, message } of logged)
    expect([time, level, message]).toEqual([
      expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      expect.stringMatching(/^(info|warn)$/),
      expect.stringMatching(/\S/),
    ]);
  expect(logged[0]).toMatchObject({ http: server.http, api: server.api, grpc: server.grpc });
  expect(logged.filter(({ level }) => level === "warn").map(({ message }) => message)).toEqual([
    expect.stringContaining("can be reached from other machines"),
  ]);
  expect(logged.at(-1)).toMatchObject({ spans: 36, open_traces: 0 });
});

test("replay to nobody is exit code 5, without an address exit code 2", async () => {
  expect((await runCommand(["replay", path, "--to", "http://127.0.0.1:1"])).exitCode).toBe(5);
  expect((await runCommand(["replay", path])).exitCode).toBe(2);
  const { exitCode, stderr } = await runCommand(["replay", path, "--to", "foo"]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("foo is no address of an OTLP receiver");
});

test("an unknown variable in the environment is refused", async () => {
  const { exitCode, stderr } = await runCommand(["config"], { env: { HYPOCENTER_FORMATT: "json" } });
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/HYPOCENTER_FORMATT\nDid you mean HYPOCENTER_FORMAT\?/);
});
