import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import type { SpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { sendFailingRequest } from "../e2e/sdk.ts";
import { freePort } from "../free-port.ts";
import { type Asked, ask, callGrpc, sendSpan } from "./ask.ts";
import { type Authority, createAuthority } from "./certificates.ts";

/** What OTEL_EXPORTER_OTLP_PROTOCOL chooses, and where that is sent. */
const protocols: Readonly<
  Record<string, { readonly port: "grpc" | "http"; readonly create: () => SpanExporter }>
> = {
  "http/protobuf": { port: "http", create: () => new ProtobufExporter() },
  "http/json": { port: "http", create: () => new JsonExporter() },
  grpc: { port: "grpc", create: () => new GrpcExporter() },
};

async function started(words: readonly string[], env = {}): Promise<RunningServer> {
  const server = await startServer(words, env);
  onTestFinished(async () => {
    await server.stop("SIGKILL");
  });
  return server;
}

/** Does something while these variables are set, given without their common beginning: exporters read some of them late. */
async function withVariables<Result>(
  variables: Readonly<Record<string, string>>,
  work: () => Promise<Result>,
): Promise<Result> {
  const names = Object.keys(variables).map((name) => `OTEL_EXPORTER_OTLP_${name}`);
  const before = names.map((name) => process.env[name]);
  for (const [i, value] of Object.values(variables).entries()) process.env[names[i]!] = value;
  try {
    return await work();
  } finally {
    for (const [i, name] of names.entries())
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
  }
}

/** The trace id of a failing request that is sent with these variables. */
function sendWith(variables: Readonly<Record<string, string>>, create: () => SpanExporter): Promise<string> {
  return withVariables(variables, () => sendFailingRequest(create));
}

async function checkArrived(server: RunningServer, traceId: string, asked: Asked = {}): Promise<void> {
  const scheme = asked.ca === undefined ? "http" : "https";
  const url = `${scheme}://${server.api}/api/v1/traces/${traceId}/analysis`;
  const { body } = await ask(url, asked);
  expect(JSON.parse(body.toString())).toMatchObject({
    trace: { span_count: 3 },
    root_cause_candidates: [{ rank: 1, service: "cart" }],
  });
}

/** A server without locks, for all who need no other. */
let open: RunningServer;
beforeAll(async () => {
  open = await startServer();
});
afterAll(() => open.stop("SIGKILL"));

test.for(Object.entries(protocols))(
  "C-83 %s: ENDPOINT is a base address, COMPRESSION and TIMEOUT are honoured",
  async ([, { port, create }]) => {
    const variables = { ENDPOINT: `http://${open[port]}`, COMPRESSION: "gzip", TIMEOUT: "5000" };
    await checkArrived(open, await sendWith(variables, create));
  },
);

test.for(Object.entries(protocols))(
  "C-83 %s: HEADERS, CERTIFICATE, CLIENT_CERTIFICATE and CLIENT_KEY open a guarded server",
  async ([, { port, create }]) => {
    const authority = createAuthority();
    const { server, asked, variables } = await guarded(authority);
    const endpoint = { ENDPOINT: `https://${server[port]}` };
    await checkArrived(server, await sendWith({ ...endpoint, ...variables }, create), asked);
  },
);

test("C-83 without the token nothing arrives: the exporter is told once and does not come back", async () => {
  const authority = createAuthority();
  const { server, asked, variables } = await guarded(authority);
  const { HEADERS: _, ...withoutToken } = variables;
  for (const { port, create } of Object.values(protocols)) {
    const endpoint = { ENDPOINT: `https://${server[port]}` };
    await expect(sendWith({ ...endpoint, ...withoutToken }, create)).rejects.toThrow(
      /unauthorized|UNAUTHENTICATED/i,
    );
  }
  const metrics = async () => (await ask(`https://${server.api}/metrics`, asked)).body.toString();
  // two SDKs over two HTTP encodings, and two over gRPC, each once
  await expect.poll(metrics).toMatch(/otlp_http_unauthenticated_requests_total 4\n/);
  await expect.poll(metrics).toMatch(/otlp_grpc_unauthenticated_requests_total 2\n/);
  expect(await metrics()).toMatch(/ingested_spans_total 0\n/);
});

/** A server with all locks, and the variables that open them. */
async function guarded(authority: Authority) {
  const files = authority.issue("server");
  const client = authority.issue("client");
  const tls = ["--tls-cert-file", files.cert, "--tls-key-file", files.key];
  const locks = ["--tls-client-ca-file", authority.ca, "--auth-tokens", "t0ken"];
  return {
    server: await started([...tls, ...locks]),
    asked: {
      ca: authority.caPem(),
      cert: readFileSync(client.cert),
      key: readFileSync(client.key),
      headers: { authorization: "Bearer t0ken" },
    },
    variables: {
      HEADERS: "authorization=Bearer%20t0ken",
      CERTIFICATE: authority.ca,
      CLIENT_CERTIFICATE: client.cert,
      CLIENT_KEY: client.key,
    },
  };
}

test("C-83 the address of a signal is used as it is, and wins over the base address", async () => {
  const elsewhere = { ENDPOINT: "http://127.0.0.1:1" };
  const traces = { ...elsewhere, TRACES_ENDPOINT: `http://${open.http}/v1/traces` };
  await checkArrived(open, await sendWith(traces, () => new ProtobufExporter()));
  const metrics = { ...elsewhere, METRICS_ENDPOINT: `http://${open.http}/v1/metrics/` };
  await withVariables(metrics, async () => {
    const exporter = new OTLPMetricExporter();
    const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
    provider.getMeter("test").createCounter("requests").add(3);
    await provider.shutdown();
  });
  const { body } = await ask(`http://${open.api}/metrics`);
  expect(body.toString()).toMatch(/otlp_http_accepted_metric_points_total 1\n/);
});

test("C-83 grpc: INSECURE chooses no TLS for an address without a scheme", async () => {
  const variables = { ENDPOINT: open.grpc, INSECURE: "true" };
  await checkArrived(open, await sendWith(variables, () => new GrpcExporter()));
});

test("C-84 hypocenter exports nothing of its own: pointed at itself by the usual variables, it receives only what others send", async () => {
  const ports = [await freePort(), await freePort()];
  const server = await started(["--http-port", String(ports[0]), "--grpc-port", String(ports[1])], {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${ports[0]}`,
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_LOGS_EXPORTER: "otlp",
    OTEL_BSP_SCHEDULE_DELAY: "50",
    OTEL_METRIC_EXPORT_INTERVAL: "50",
  });
  await sendSpan(`http://${server.http}`);
  await callGrpc(server.grpc);
  await ask(`http://${server.api}/api/v1/services`);
  await sleep(500);
  const { body } = await ask(`http://${server.api}/metrics`);
  expect(body.toString()).toMatch(/otlp_http_requests_total 1\n/);
  expect(body.toString()).toMatch(/otlp_grpc_requests_total 1\n/);
  expect(body.toString()).toMatch(/ingested_spans_total 1\n/);
});
