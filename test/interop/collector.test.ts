import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as ProtoExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GraphJson, TraceReport } from "../../src/analysis/report.ts";
import { type RunningServer, runCommand, startServer } from "../cli/run-hypocenter.ts";
import { prepareCollector, type RunningCollector, startCollector } from "./collector.ts";

const missing = await prepareCollector();
const requests = 200;

describe.skipIf(missing !== null)(
  `a real OpenTelemetry Collector${missing === null ? "" : ` (skipped: ${missing})`}`,
  () => {
    let server: RunningServer;
    let collector: RunningCollector;
    let folder: string;
    const traceIds: string[] = [];

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "hypocenter-interop-"));
      server = await startServer();
      collector = await startCollector(server, folder);
      await send(new GrpcExporter({ url: `http://127.0.0.1:${collector.grpcPort}` }));
      await send(new ProtoExporter({ url: `http://127.0.0.1:${collector.httpPort}/v1/traces` }));
      await sleep(1500);
    });

    afterAll(async () => {
      await collector?.stop();
      await server?.stop();
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    });

    /** A web service that calls an API which fails every tenth time. */
    async function send(exporter: SpanExporter): Promise<void> {
      const processor = (): BatchSpanProcessor => new BatchSpanProcessor(exporter, { maxQueueSize: 10_000 });
      const [web, api] = ["web", "api"].map(
        (name) =>
          new BasicTracerProvider({
            resource: resourceFromAttributes({ "service.name": name }),
            spanProcessors: [processor()],
          }),
      ) as [BasicTracerProvider, BasicTracerProvider];
      const active = trace.setSpan;
      const { ROOT_CONTEXT } = await import("@opentelemetry/api");
      for (let i = 0; i < requests / 2; i += 1) {
        const root = web.getTracer("test").startSpan("GET /", { kind: SpanKind.SERVER }, ROOT_CONTEXT);
        const call = web
          .getTracer("test")
          .startSpan("GET", { kind: SpanKind.CLIENT }, active(ROOT_CONTEXT, root));
        const entry = api
          .getTracer("test")
          .startSpan("GET /items", { kind: SpanKind.SERVER }, active(ROOT_CONTEXT, call));
        if (i % 10 === 0)
          for (const span of [entry, call, root]) span.setStatus({ code: SpanStatusCode.ERROR });
        for (const span of [entry, call, root]) span.end();
        traceIds.push(root.spanContext().traceId);
      }
      await Promise.all([web.shutdown(), api.shutdown()]);
    }

    async function fetchJson(path: string): Promise<unknown> {
      return (await fetch(`http://${server.api}${path}`)).json();
    }

    test("hands every span on by gRPC and by HTTP, and receiving both changes nothing", async () => {
      const graph = await fetchJson("/api/v1/graph");
      expect(graph).toMatchObject({
        edges: [{ caller: "web", callee: "api", kind: "sync", calls: requests, errors: requests / 10 }],
      });
      const spans = JSON.stringify(await fetchJson(`/api/v1/traces/${traceIds[0]}`));
      const ids = [...spans.matchAll(/"spanId":"([0-9a-f]{16})"/g)].map(([, id]) => id);
      expect(new Set(ids).size).toBe(3);
    });

    test("its report blames the service behind", async () => {
      const report = (await fetchJson(`/api/v1/traces/${traceIds[0]}/analysis`)) as TraceReport;
      expect(report.root_cause_candidates[0]).toMatchObject({ service: "api", kind: "error" });
    });

    test("hands on what its Zipkin receiver gets", async () => {
      const traceId = "5af7183fb1d4cf5f4f4f4f4f4f4f4f4f";
      const span = (service: string, kind: string, id: string, parentId?: string): object => ({
        traceId,
        id,
        ...(parentId === undefined ? {} : { parentId, shared: id === parentId }),
        kind,
        name: "get /pay",
        timestamp: Date.now() * 1000,
        duration: 20_000,
        localEndpoint: { serviceName: service },
        tags: service === "pay" ? { error: "no money" } : {},
      });
      const spans = [
        span("till", "SERVER", "000000000000000a"),
        span("till", "CLIENT", "000000000000000b", "000000000000000a"),
        span("pay", "SERVER", "000000000000000c", "000000000000000b"),
      ];
      const response = await fetch(`http://127.0.0.1:${collector.zipkinPort}/api/v2/spans`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(spans),
      });
      expect(response.status).toBe(202);
      await sleep(1500);
      const { edges } = (await fetchJson("/api/v1/graph")) as GraphJson;
      expect(edges).toContainEqual(expect.objectContaining({ caller: "till", callee: "pay", calls: 1 }));
    });

    test("loses nothing by its retries while hypocenter is stopped and started", async () => {
      const ports = [server.grpc, server.http, server.api].map((address) => address.split(":")[1] as string);
      await server.stop();
      const before = traceIds.length;
      await send(new GrpcExporter({ url: `http://127.0.0.1:${collector.grpcPort}` }));
      await sleep(2000);
      const [grpc, http, api] = ports as [string, string, string];
      server = await startServer(["--grpc-port", grpc, "--http-port", http, "--port", api]);
      const sent = traceIds.slice(before);
      for (let tries = 0; tries < 200 && (await lost(sent)) > 0; tries += 1) await sleep(200);
      expect(await lost(sent)).toBe(0);
    });

    async function lost(ids: readonly string[]): Promise<number> {
      const answers = await Promise.all(
        ids.map((traceId) => fetch(`http://${server.api}/api/v1/traces/${traceId}`)),
      );
      return answers.filter(({ status }) => status !== 200).length;
    }

    test("its files, JSON, protobuf and zstd, are read and give the same graph", async () => {
      await collector.stop();
      const [json, proto, zstd] = await Promise.all(
        [collector.jsonFile, collector.protoFile, collector.zstdFile].map((file) =>
          runCommand(["graph", file, "--format", "json"]),
        ),
      );
      expect(JSON.parse(json!.stdout).edges).toContainEqual(
        expect.objectContaining({ caller: "web", callee: "api", calls: traceIds.length }),
      );
      expect(proto!.stdout).toBe(json!.stdout);
      expect(zstd!.stdout).toBe(json!.stdout);
    });
  },
);
