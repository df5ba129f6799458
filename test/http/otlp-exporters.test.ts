import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import type { Listener } from "../../src/engine/listener.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { startGrpcReceiver } from "../../src/grpc/grpc-receiver.ts";
import { createOtlpHttpHandler } from "../../src/http/otlp-handler.ts";
import { listenHttp } from "../../src/http/server.ts";
import { parseTraceId } from "../../src/model/ids.ts";
import { live } from "../engine/live.ts";

const { engine, faults } = live();
let http: Listener;
let grpc: Listener;

beforeAll(async () => {
  const shared = {
    ingest: engine,
    budget: new ByteBudget(256 * 1024 * 1024),
    bodyBytesMax: 64 * 1024 * 1024,
    onFault: (fault: unknown) => faults.push(fault),
  };
  const address = { host: "127.0.0.1", port: 0 };
  http = await listenHttp(
    createOtlpHttpHandler({ ...shared, counters: new ReceiverCounters("http") }),
    address,
  );
  grpc = await startGrpcReceiver({ ...shared, ...address, counters: new ReceiverCounters("grpc") });
});

afterAll(async () => {
  await Promise.all([http.close(1_000), grpc.close(1_000)]);
});

const gzip = "gzip" as never;
const exporters: Readonly<Record<string, () => SpanExporter>> = {
  "HTTP protobuf": () => new ProtobufExporter({ url: `http://${http.address}/v1/traces` }),
  "HTTP protobuf, gzip": () =>
    new ProtobufExporter({ url: `http://${http.address}/v1/traces`, compression: gzip }),
  "HTTP JSON": () => new JsonExporter({ url: `http://${http.address}/v1/traces` }),
  "HTTP JSON, gzip": () => new JsonExporter({ url: `http://${http.address}/v1/traces`, compression: gzip }),
  gRPC: () => new GrpcExporter({ url: `http://${grpc.address}` }),
  "gRPC, gzip": () => new GrpcExporter({ url: `http://${grpc.address}`, compression: gzip }),
};

test.each(Object.keys(exporters))(
  "a trace of the OpenTelemetry SDK over %s is analysed",
  async (transport) => {
    const id = await sendTrace(`shop over ${transport}`, exporters[transport]!());
    const analysis = await engine.analyzeTrace(parseTraceId(id)!, { language: "en", scoring: "evidence" });
    expect(analysis?.report).toMatchObject({
      trace_id: id,
      trace: {
        root_service: `shop over ${transport}`,
        root_operation: "GET /cart",
        span_count: 2,
        error_count: 2,
      },
      root_cause_candidates: expect.arrayContaining([
        expect.objectContaining({ rank: 1, service: "orders" }),
      ]),
    });
    expect(faults).toEqual([]);
  },
);

test("metrics of the OpenTelemetry SDK are accepted", async () => {
  const before = engine.stats()["ingested_metric_points_total"]!;
  const exporter = new OTLPMetricExporter({ url: `http://${http.address}/v1/metrics` });
  const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
  provider.getMeter("test").createCounter("requests").add(3);
  await provider.forceFlush();
  await provider.shutdown();
  expect(engine.stats()["ingested_metric_points_total"]! - before).toBeGreaterThanOrEqual(1);
});

/** One request that fails in its database; its trace id. */
async function sendTrace(service: string, exporter: SpanExporter): Promise<string> {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": service }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer("test");
  const start = Date.now();
  const root = tracer.startSpan("GET /cart", { kind: SpanKind.SERVER, startTime: start });
  const query = tracer.startSpan(
    "SELECT orders",
    {
      kind: SpanKind.CLIENT,
      startTime: start + 10,
      attributes: { "db.system.name": "postgresql", "db.namespace": "orders", "server.address": "pg" },
    },
    trace.setSpan(ROOT_CONTEXT, root),
  );
  query.setStatus({ code: SpanStatusCode.ERROR, message: "deadlock detected" }).end(start + 80);
  root.setStatus({ code: SpanStatusCode.ERROR }).end(start + 90);
  await provider.forceFlush();
  await provider.shutdown();
  return root.spanContext().traceId;
}
