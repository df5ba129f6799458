import { expect, onTestFinished, test } from "vitest";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { type RunningServer, runCommand, startServer } from "../cli/run-hypocenter.ts";
import { ask } from "../conformance/ask.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { temporaryFolder } from "../storage/disk/log-folder.ts";

const shop = `
  web        GET /cart     0..90ms  server error trace=1
    cart     GET /items   10..80ms  client error
      cart   GET /items   20..70ms  server error
  web        GET /cart     0..50ms  server trace=2
    cart     GET /items   10..40ms  client
      cart   GET /items   20..30ms  server`;

async function serverOn(folder: string, ...words: readonly string[]): Promise<RunningServer> {
  const server = await startServer(["--data", folder, ...words]);
  onTestFinished(() => void server.process.kill("SIGKILL"));
  return server;
}

async function get({ api }: RunningServer, path: string): Promise<unknown> {
  return JSON.parse((await ask(`http://${api}/api/v1/${path}`)).body.toString()) as unknown;
}

/** What a user sees of the shop. */
async function answersOf(server: RunningServer): Promise<readonly unknown[]> {
  const paths = [
    "graph",
    "services",
    "traces",
    `traces/${"0".repeat(31)}1`,
    `traces/${"0".repeat(31)}1/analysis`,
  ];
  return Promise.all(paths.map((path) => get(server, path)));
}

async function restored({ api }: RunningServer): Promise<boolean> {
  const metrics = (await ask(`http://${api}/metrics`)).body.toString();
  return /^hypocenter_restoring 0$/m.test(metrics) && /^hypocenter_open_traces 0$/m.test(metrics);
}

test.each<NodeJS.Signals>(["SIGTERM", "SIGKILL"])(
  "a server that ends by %s gives the same answers when it is back",
  async (signal) => {
    const folder = temporaryFolder();
    const first = await serverOn(folder);
    const body = encodeTraces(rowsOf(tableOf(shop)));
    const headers = { "content-type": "application/x-protobuf" };
    expect((await ask(`http://${first.http}/v1/traces`, { headers, body })).status).toBe(200);
    await expect.poll(() => restored(first), { timeout: 10_000 }).toBe(true);
    const before = await answersOf(first);
    expect(JSON.stringify(before)).toContain("cart");
    await first.stop(signal);
    const second = await serverOn(folder);
    await expect.poll(() => restored(second), { timeout: 10_000 }).toBe(true);
    expect(await answersOf(second)).toEqual(before);
  },
);

test("R19: a second server on the same folder ends at once with a clear message, and the first goes on", async () => {
  const folder = temporaryFolder();
  const first = await serverOn(folder);
  const ports = ["--grpc-port", "0", "--http-port", "0", "--port", "0"];
  const { exitCode, stderr } = await runCommand(["serve", "--data", folder, ...ports]);
  expect([exitCode, stderr]).toEqual([
    2,
    expect.stringContaining(`The process ${first.process.pid} already writes to`),
  ]);
  expect((await ask(`http://${first.api}/readyz`)).status).toBe(200);
});

test("a folder that cannot be used is named, with exit code 2", async () => {
  const { exitCode, stderr } = await runCommand(["serve", "--data", "/dev/null/telemetry"]);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining("/dev/null/telemetry")]);
});
