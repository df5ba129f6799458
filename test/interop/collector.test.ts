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
import type { TraceReport } from "../../src/analysis/report.ts";
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

    test("its files, JSON and protobuf, are read and give the same graph", async () => {
      await collector.stop();
      const json = await runCommand(["graph", collector.jsonFile, "--format", "json"]);
      const proto = await runCommand(["graph", collector.protoFile, "--format", "json"]);
      expect(JSON.parse(json.stdout).edges).toMatchObject([
        { caller: "web", callee: "api", calls: requests },
      ]);
      expect(proto.stdout).toBe(json.stdout);
    });
  },
);
