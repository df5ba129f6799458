import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { settings } from "../../src/config/settings.ts";
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

test("C-3 64 MiB are the most of one request where nothing else is said, after decompression", async () => {
  const headers = { "content-type": "application/x-protobuf", "content-encoding": "gzip" };
  const statusOf = async (bytes: number): Promise<number> => {
    const body = gzipSync(Buffer.alloc(bytes, Uint8Array.of(0x78, 0x01)), { level: 1 });
    return (await fetch(`http://${server.http}/v1/traces`, { method: "POST", headers, body })).status;
  };
  expect([await statusOf(64 << 20), await statusOf((64 << 20) + 2)]).toEqual([200, 413]);
});

test.each([
  ["request_size", "64MiB"],
  ["ingest_memory", "256MiB"],
  ["grpc_connection_age", null],
  ["grpc_connection_grace", "30s"],
  ["header_timeout", "10s"],
  ["request_timeout", "60s"],
  ["idle_timeout", "2m"],
  ["cors_allowed_origins", null],
  ["host", "127.0.0.1"],
  ["tls_min_version", "1.2"],
] as const)("C-3 C-27 C-47 C-80 C-81 %s is %s unless something else is set", (name, value) => {
  expect(settings[name].default).toBe(value);
});

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
