import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";

// What of the checklist depends on settings, in a server as users start it.

let server: RunningServer;
beforeAll(async () => {
  server = await startServer([
    "--http-path-prefix",
    "otlp/",
    "--signals",
    "traces,logs",
    "--grpc-connection-age",
    "150ms",
    "--grpc-connection-grace",
    "1s",
  ]);
});
afterAll(async () => {
  await server.stop("SIGKILL");
});

function post(path: string): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return fetch(`http://${server.http}${path}`, { method: "POST", headers, body: "{}" });
}

test("C-40 http_path_prefix puts the paths behind another one", async () => {
  for (const path of ["/otlp/v1/traces", "/v1/logs/", "/otlp"]) expect((await post(path)).status).toBe(200);
});

test("C-50 signals names what is taken; the others are refused", async () => {
  const reply = await post("/otlp/v1/metrics");
  expect([reply.status, await reply.json()]).toEqual([
    404,
    {
      code: 12,
      message: 'this server takes no metrics; its setting "signals" names what it takes (traces, logs)',
    },
  ]);
});

test("C-27 grpc_connection_age ends connections", async () => {
  const session = connectHttp2(`http://${server.grpc}`);
  session.on("error", () => {});
  await once(session, "close");
  expect(session.destroyed).toBe(true);
});

test("C-43 what is no request at all has a Status too", async () => {
  const long = "x".repeat(17_000);
  const reply = await fetch(`http://${server.http}/v1/traces`, { headers: { "x-long": long } });
  expect([reply.status, await reply.json()]).toEqual([
    431,
    { code: 3, message: "the headers are too large" },
  ]);
});
