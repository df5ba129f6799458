import { ROOT_CONTEXT, SpanKind } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanExporter,
} from "@opentelemetry/sdk-trace-base";
import { describe, expect, onTestFinished, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import type { Listener } from "../../src/engine/listener.ts";
import type { Transport } from "../../src/engine/own-work.ts";
import type { IngestPort } from "../../src/engine/ports.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { replayTelemetry } from "../../src/formats/replay.ts";
import { startGrpcReceiver } from "../../src/grpc/grpc-receiver.ts";
import { createOtlpHttpHandler } from "../../src/http/otlp-handler.ts";
import { listenHttp } from "../../src/http/server.ts";
import { Span } from "../../src/model/span.ts";
import type { ReceiverOptions } from "../../src/otlp/receive-export.ts";

/** Receivers that refuse the first requests as a busy engine does, and remember the names of the spans that they took. */
function receivers(refusals: number, whenOver: (close: () => Promise<void>) => void = onTestFinished) {
  const taken: string[] = [];
  let asked = 0;
  const ingest: IngestPort = {
    async ingest(_, decoded) {
      asked += 1;
      if (asked <= refusals) throw new OperationError("overloaded", "too much at once");
      if (decoded.signal !== "traces") return;
      const { table } = decoded;
      for (let row = 0; row < table.rowCount; row += 1) taken.push(new Span(table, row).name);
    },
  };
  const options = (transport: Transport): ReceiverOptions => ({
    ingest,
    budget: new ByteBudget(256 << 20),
    counters: new ReceiverCounters(transport),
    bodyBytesMax: 64 << 20,
    onFault: (fault) => {
      throw fault;
    },
  });
  const closeAfter = async (starting: Promise<Listener>): Promise<Listener> => {
    const listener = await starting;
    whenOver(() => listener.close(0));
    return listener;
  };
  return {
    taken,
    asked: () => asked,
    http: (port = 0) =>
      closeAfter(listenHttp(createOtlpHttpHandler(options("http")), { host: "127.0.0.1", port })),
    grpc: (port = 0) => closeAfter(startGrpcReceiver({ ...options("grpc"), host: "127.0.0.1", port })),
  };
}

const httpExporters: Readonly<Record<string, (address: string) => SpanExporter>> = {
  "HTTP protobuf": (address) => new ProtobufExporter({ url: `http://${address}/v1/traces` }),
  "HTTP JSON": (address) => new JsonExporter({ url: `http://${address}/v1/traces` }),
};

/** Finished spans called 0, 1, 2 and so on. */
function spans(count: number, attributes = {}): ReadableSpan[] {
  const memory = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] });
  const tracer = provider.getTracer("test");
  for (let i = 0; i < count; i += 1)
    tracer.startSpan(String(i), { kind: SpanKind.SERVER, attributes }, ROOT_CONTEXT).end();
  return memory.getFinishedSpans();
}

/** null = the exporter is done and content */
function exported(exporter: SpanExporter, batch: ReadableSpan[]): Promise<Error | null> {
  onTestFinished(() => exporter.shutdown());
  return new Promise((resolve) => {
    // a failure comes with its error
    exporter.export(batch, ({ error }) => resolve(error ?? null));
  });
}

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => String(i));

describe.each(Object.entries(httpExporters))("1.6 the JavaScript exporter over %s", (_, create) => {
  test("1.6 comes back after Retry-After while we are busy, and every span is taken once", async () => {
    const { http, taken, asked } = receivers(1);
    const startedAt = performance.now();
    expect(await exported(create((await http()).address), spans(20))).toBeNull();
    expect(taken).toEqual(names(20));
    expect(asked()).toBe(2);
    expect(performance.now() - startedAt).toBeGreaterThan(900);
  });

  test("1.6 loses nothing while we are stopped and started", async () => {
    const before = receivers(0);
    const first = await before.http();
    const exporter = create(first.address);
    expect(await exported(exporter, spans(3))).toBeNull();
    await first.close(0);
    const sending = exported(exporter, spans(5));
    const after = receivers(0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await after.http(first.port);
    expect(await sending).toBeNull();
    expect([before.taken, after.taken]).toEqual([names(3), names(5)]);
  });
});

test("1.6 the JavaScript exporter over gRPC asks once only: that is why receivers absorb what they can before they refuse", async () => {
  const { grpc, taken, asked } = receivers(1);
  const exporter = new GrpcExporter({ url: `http://${(await grpc()).address}` });
  expect(await exported(exporter, spans(3))).toMatchObject({ code: 14 });
  expect([asked(), taken]).toEqual([1, []]);
  expect(await exported(exporter, spans(3))).toBeNull();
  expect(taken).toEqual(names(3));
});

test("1.6 the JavaScript exporter over gRPC finds us again after a stop and a start", async () => {
  const before = receivers(0);
  const first = await before.grpc();
  const exporter = new GrpcExporter({ url: `http://${first.address}` });
  expect(await exported(exporter, spans(3))).toBeNull();
  await first.close(0);
  const after = receivers(0);
  await after.grpc(first.port);
  await expect.poll(() => exported(exporter, spans(2)), { timeout: 10_000, interval: 200 }).toBeNull();
  expect(after.taken).toEqual(names(2));
});

// both wait for seconds, so they wait together
test.concurrent.for(["http", "grpc"] as const)(
  "1.6 a sender that honours RetryInfo and Retry-After loses nothing over %s",
  async (transport, context) => {
    const receiver = receivers(2, context.onTestFinished);
    const { address } = await receiver[transport]();
    const target = `${transport}://${address}`;
    const pace = { speed: Number.POSITIVE_INFINITY, times: "original" } as const;
    const summary = await replayTelemetry(["samples/missing-orders/traces.jsonl.gz"], target, pace);
    context.expect(summary).toMatchObject({ retries: 2, spans: { rejected: 0 } });
    context.expect(receiver.taken).toHaveLength(summary.spans.accepted);
    context.expect(summary.spans.accepted).toBe(summary.read.spans.accepted);
    context.expect(summary.spans.accepted).toBeGreaterThan(100);
  },
);

test("1.6 ten batches of 8,192 spans at once, as many as a collector has under way, each far above the 4 MiB that gRPC allows by default, are taken", async () => {
  const { grpc, taken } = receivers(0);
  const batch = spans(8_192, { text: "x".repeat(500) });
  const exporter = new GrpcExporter({ url: `http://${(await grpc()).address}`, concurrencyLimit: 10 });
  const results = await Promise.all(names(10).map(() => exported(exporter, batch)));
  expect(results.filter((result) => result !== null)).toEqual([]);
  expect(taken).toHaveLength(10 * 8_192);
});
