import { once } from "node:events";
import { connect } from "node:net";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import type { SpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningServer, runCommand, startServer } from "../cli/run-hypocenter.ts";
import { sendFailingRequest } from "./sdk.ts";

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop("SIGKILL");
});

const exporters: Readonly<Record<string, (server: RunningServer) => SpanExporter>> = {
  gRPC: ({ grpc }) => new GrpcExporter({ url: `http://${grpc}` }),
  "HTTP protobuf": ({ http }) => new ProtobufExporter({ url: `http://${http}/v1/traces` }),
  "HTTP JSON": ({ http }) => new JsonExporter({ url: `http://${http}/v1/traces` }),
};

test.each(Object.keys(exporters))(
  "a trace sent by the OpenTelemetry SDK over %s is explained at once",
  async (name) => {
    const traceId = await sendFailingRequest(() => exporters[name]!(server));
    const sentAt = performance.now();
    const answer = await fetch(`http://${server.api}/api/v1/traces/${traceId}/analysis`);
    expect(answer.status).toBe(200);
    expect(performance.now() - sentAt).toBeLessThan(2000);
    expect(await answer.json()).toMatchObject({
      trace_id: traceId,
      trace: { root_service: "web", span_count: 3, error_count: 3 },
      root_cause_candidates: [{ rank: 1, service: "cart", kind: "error" }],
    });
    const { exitCode, stdout } = await runCommand([
      "query",
      traceId.toUpperCase(),
      "--server",
      `http://${server.api}`,
    ]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ trace_id: traceId, failed_service: "web" });
  },
);

test("the graph and search know what was sent, within two seconds", async () => {
  const traceId = await sendFailingRequest(() => exporters["gRPC"]!(server));
  const graph = (await (await fetch(`http://${server.api}/api/v1/graph`)).json()) as {
    readonly edges: unknown;
  };
  expect(graph.edges).toMatchObject([{ caller: "web", callee: "cart", kind: "sync", error_rate: 1 }]);
  const found = await (await fetch(`http://${server.api}/api/v1/traces?status=error&service=cart`)).json();
  expect(JSON.stringify(found)).toContain(traceId);
});

test("metrics sent by the SDK show in the health of their service", async () => {
  await sendFailingRequest(() => exporters["HTTP protobuf"]!(server));
  const reader = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ url: `http://${server.http}/v1/metrics` }),
  });
  const meters = new MeterProvider({
    resource: resourceFromAttributes({ "service.name": "cart", "service.instance.id": "cart-1" }),
    readers: [reader],
  });
  meters.getMeter("test").createGauge("process.cpu.utilization").record(0.93);
  await meters.shutdown();
  const cart = async () =>
    (
      (await (await fetch(`http://${server.api}/api/v1/services/cart`)).json()) as {
        readonly metrics: unknown;
      }
    ).metrics;
  await expect.poll(cart, { timeout: 2000 }).toMatchObject({ cpu_usage: 0.93, error_rate: 1 });
});

test("the person at a terminal gets the same trace in words, and scripts get exit codes", async () => {
  const traceId = await sendFailingRequest(() => exporters["gRPC"]!(server));
  const at = ["--server", `http://${server.api}`];
  const human = await runCommand(["query", traceId, ...at, "--format", "human"]);
  expect(human.stdout).toContain("cart");
  expect((await runCommand(["query", traceId, ...at, "--fail-on", "critical"])).exitCode).toBe(1);
  const structural = await runCommand(["query", traceId, ...at, "--scoring", "structural", "--lang", "ko"]);
  const structuralReport: unknown = JSON.parse(structural.stdout);
  expect(structuralReport).toMatchObject({ dependency_chain: ["web", "cart"] });
  // laid out like the same report from `analyze`, to the byte
  expect(structural.stdout).toBe(`${JSON.stringify(structuralReport, null, 2)}\n`);
  const unknown = await runCommand(["query", "f".repeat(32), ...at]);
  expect([unknown.exitCode, unknown.stdout]).toEqual([4, ""]);
  expect(unknown.stderr).toMatch(/No trace f{32}/);
  const nobody = await runCommand(["query", traceId, "--failed-service", "nobody", ...at]);
  expect(nobody.exitCode).toBe(4);
});

test("a server that is not there is exit code 5", async () => {
  const { exitCode, stderr } = await runCommand(["query", "f".repeat(32), "--server", "http://127.0.0.1:1"]);
  expect(exitCode).toBe(5);
  expect(stderr).toMatch(
    /No hypocenter answers at http:\/\/127\.0\.0\.1:1.*\nStart one with `hypocenter serve`/,
  );
});

test("a port in use is said, with exit code 2", async () => {
  const [, port = ""] = server.http.split(":");
  const { exitCode, stderr } = await runCommand([
    "serve",
    "--memory",
    "--http-port",
    port,
    "--grpc-port",
    "0",
    "--port",
    "0",
  ]);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(new RegExp(`127\\.0\\.0\\.1:${port} is in use`));
});

test("SIGTERM lets a server end within five seconds, with exit code 0, and nothing acknowledged is refused", async () => {
  const other = await startServer();
  expect(other.readyMs).toBeLessThan(5000);
  const traceId = await sendFailingRequest(() => exporters["gRPC"]!(other));
  expect((await fetch(`http://${other.api}/api/v1/traces/${traceId}`)).status).toBe(200);
  const { exitCode, tookMs } = await other.stop();
  expect(exitCode).toBe(0);
  expect(tookMs).toBeLessThan(5000);
  expect(other.stderr()).toMatch(/is ready[\s\S]*kept in memory[\s\S]*SIGTERM/);
});

test("SIGTERM under load: what was acknowledged was taken in, and whoever comes later is asked to come back or finds nobody", async () => {
  const other = await startServer();
  let acknowledged = 0;
  const answers = new Set<number>();
  const sendUntilGone = async (sender: number): Promise<void> => {
    for (let i = 1; ; i += 1) {
      const id = `${sender}${i}`.padStart(16, "0");
      const span = {
        traceId: id.repeat(2),
        spanId: id,
        name: "work",
        startTimeUnixNano: "1700000000000000000",
      };
      const body = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] });
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`http://${other.http}/v1/traces`, { method: "POST", headers, body }).catch(
        () => null,
      );
      if (answer === null) return;
      answers.add(answer.status);
      if (answer.status === 200) acknowledged += 1;
    }
  };
  const senders = [1, 2, 3, 4].map(sendUntilGone);
  await expect.poll(() => acknowledged, { timeout: 20_000 }).toBeGreaterThan(100);
  const { exitCode, tookMs } = await other.stop();
  await Promise.all(senders);
  expect(exitCode).toBe(0);
  expect(tookMs).toBeLessThan(5000);
  expect([...answers].filter((status) => status !== 200 && status !== 503)).toEqual([]);
  const takenIn = Number(
    /(\d+) spans were taken in, 0 traces were left unfinished/.exec(other.stderr())?.[1],
  );
  expect(takenIn).toBeGreaterThanOrEqual(acknowledged);
  expect(takenIn).toBeLessThanOrEqual(acknowledged + senders.length);
});

test("a second signal ends at once", async () => {
  const other = await startServer(["--memory"]);
  const [host, port] = other.http.split(":");
  // A request that never becomes whole keeps the first signal waiting.
  const stuck = connect(Number(port), host);
  await once(stuck, "connect");
  stuck.on("error", () => {});
  stuck.write(
    "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
  );
  other.process.kill("SIGINT");
  await expect.poll(() => other.stderr()).toContain("once more ends at once");
  const { exitCode, tookMs } = await other.stop("SIGINT");
  expect(exitCode).toBe(130);
  expect(tookMs).toBeLessThan(1000);
  stuck.destroy();
});
