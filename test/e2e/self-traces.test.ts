import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import type { ExportWork } from "../../src/engine/own-work.ts";
import { type SelfTraces, startSelfTraces } from "../../src/telemetry/self-traces.ts";
import { type RunningServer, runCommand, startServer } from "../cli/run-hypocenter.ts";
import { freePort } from "../free-port.ts";
import { tableOf } from "../notation.ts";

interface SentSpan {
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly parentSpanId?: string;
  readonly status: { readonly code?: number };
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}

/** An OTLP receiver that remembers the spans it was sent, and answers with a status. */
async function collector(status = 200) {
  const spans: SentSpan[] = [];
  const paths: (string | undefined)[] = [];
  const tokens: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    paths.push(request.url);
    tokens.push(request.headers.authorization);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString()) as {
        readonly resourceSpans: readonly {
          readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[];
        }[];
      };
      spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((each) => each.spans)));
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, paths, tokens };
}

const problems: string[] = [];

function started(url: string): SelfTraces {
  problems.length = 0;
  return startSelfTraces({
    url,
    version: "1.2.3",
    instance: "one",
    onProblem: (text) => problems.push(text),
  });
}

function exportOf(service: string, changes: Partial<ExportWork> = {}): ExportWork {
  const nowMs = performance.now();
  return {
    startMs: nowMs - 10,
    endMs: nowMs,
    transport: "http",
    signal: "traces",
    encoding: "protobuf",
    bodyBytes: 100,
    decoded: { signal: "traces", table: tableOf(`web GET / 0..1ms\n${service} GET / 0..1ms`) },
    accepted: 2,
    rejected: 0,
    outcome: "accepted",
    ...changes,
  };
}

test("what was done becomes spans that say what, how long and how it went", async () => {
  const { url, spans, paths } = await collector();
  const own = started(url);
  own.observer.received(exportOf("cart"));
  own.observer.received(exportOf("cart", { transport: "grpc", outcome: "refused", accepted: 0 }));
  const nowMs = performance.now();
  const took = { startMs: nowMs - 5, endMs: nowMs };
  own.observer.answered({ ...took, method: "GET", route: "/api/v1/graph", status: 500 });
  own.observer.folded({ ...took, traces: 7 });
  await own.stop();
  expect(paths).toEqual(["/v1/traces"]);
  expect(
    spans.map(({ name, kind, status, parentSpanId }) => [name, kind, status.code, parentSpanId ?? ""]),
  ).toEqual([
    ["POST /v1/traces", 2, 0, ""],
    ["opentelemetry.proto.collector.trace.v1.TraceService/Export", 2, 2, ""],
    ["GET /api/v1/graph", 2, 2, ""],
    ["fold traces", 1, 0, ""],
  ]);
  const [first] = spans;
  const millis = Number(BigInt(first!.endTimeUnixNano) - BigInt(first!.startTimeUnixNano)) / 1e6;
  expect(millis).toBeCloseTo(10, 0);
  expect(Math.abs(Number(first!.endTimeUnixNano) / 1e6 - Date.now())).toBeLessThan(5_000);
  expect(JSON.stringify(first!.attributes)).toContain('{"key":"hypocenter.accepted","value":{"intValue":2}}');
  expect(problems).toEqual([]);
});

test("the environment may hold a token for the receiver, and nothing of it sends spans elsewhere or stops them", async () => {
  const { url, spans, tokens } = await collector();
  const changes = {
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer secret",
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://127.0.0.1:1",
    OTEL_TRACES_SAMPLER: "always_off",
  };
  Object.assign(process.env, changes);
  onTestFinished(() => {
    for (const name of Object.keys(changes)) delete process.env[name];
  });
  const own = started(`${url}/v1/traces`);
  own.observer.received(exportOf("cart"));
  await own.stop();
  expect([spans.length, tokens, problems]).toEqual([1, ["Bearer secret"], []]);
});

test("a busy server makes a few spans a second of each kind, and counts the others", async () => {
  const { url, spans } = await collector();
  const own = started(url);
  for (let i = 0; i < 1_000; i += 1) own.observer.received(exportOf("cart", { endMs: 5_000 }));
  own.observer.received(exportOf("cart", { endMs: 6_001 }));
  await own.stop();
  expect(spans).toHaveLength(4);
  expect(spans.at(-1)!.attributes).toContainEqual({
    key: "hypocenter.left_out_spans",
    value: { intValue: 997 },
  });
  expect(own.stats()).toMatchObject({ self_trace_spans_total: 4, self_trace_left_out_spans_total: 997 });
});

test("telemetry of a hypocenter makes no spans, whatever signal, nor does folding it", async () => {
  const { url, spans } = await collector();
  const own = started(url);
  const resource = new Map([["service.name", "hypocenter"]]);
  const point = {
    resource,
    name: "calls",
    unit: "",
    attributes: new Map(),
    startTime: 0n,
    time: 0n,
    value: { kind: "gauge", value: 1 },
  };
  own.observer.received(exportOf("hypocenter"));
  own.observer.received(
    exportOf("", { signal: "metrics", decoded: { signal: "metrics", points: [point] } as never }),
  );
  own.observer.received(
    exportOf("", { signal: "logs", decoded: { signal: "logs", records: [{ resource }] } as never }),
  );
  own.observer.folded({ startMs: 0, endMs: 1, traces: 2 });
  await own.stop();
  expect(spans).toEqual([]);
});

test("a receiver that is gone is said once, costs nothing else, and does not hold up the end", async () => {
  const own = started("http://127.0.0.1:1");
  own.observer.received(exportOf("cart"));
  await expect.poll(() => problems, { timeout: 10_000 }).toHaveLength(1);
  expect(problems[0]).toMatch(
    /own spans cannot be sent to http:\/\/127\.0\.0\.1:1\/v1\/traces \(self_traces\): .+/,
  );
  own.observer.received(exportOf("cart"));
  const stoppedAt = performance.now();
  await own.stop();
  expect(performance.now() - stoppedAt).toBeLessThan(1_500);
  expect(problems).toHaveLength(1);
});

test("a server refuses to start where its spans would come back to it", async () => {
  const port = await freePort();
  const ports = ["--grpc-port", "0", "--port", "0", "--http-port", String(port)];
  const looping = await runCommand([
    "serve",
    ...ports,
    "--self-traces",
    `http://localhost:${port}`,
    "--log-format",
    "json",
  ]);
  expect(looping.exitCode).toBe(2);
  expect(JSON.parse(looping.stderr)).toMatchObject({
    level: "error",
    code: "bad_configuration",
    message: expect.stringMatching(
      /self_traces names .* is this server itself \(127\.0\.0\.1:\d+\)/,
    ) as unknown,
  });
});

test("two servers that send their spans to each other come to rest", async () => {
  const [port, otherPort] = [await freePort(), await freePort()];
  const idle = ["--memory", "--trace-idle", "100ms"];
  const start = (own: number, to: number) =>
    startServer(["--http-port", String(own), "--self-traces", `http://127.0.0.1:${to}`, ...idle]);
  const [a, b] = await Promise.all([start(port, otherPort), start(otherPort, port)]);
  onTestFinished(async () => void (await Promise.all([a.stop("SIGKILL"), b.stop("SIGKILL")])));
  await sendSpan(a);
  const count = async ({ api }: RunningServer, name: string): Promise<number> => {
    const text = await (await fetch(`http://${api}/metrics`)).text();
    return Number(new RegExp(`^hypocenter_${name} (\\d+)$`, "m").exec(text)?.[1]);
  };
  const arrived = "otlp_http_accepted_spans_total";
  await expect.poll(() => count(b, arrived), { timeout: 10_000 }).toBe(2);
  // time for b to fold them, to make spans of that and to send them, were it to
  await sleep(2_500);
  expect(await count(b, "folded_traces_total")).toBe(2);
  expect(await count(b, "self_trace_spans_total")).toBe(0);
  expect(await count(a, arrived)).toBe(1);
  expect(await count(a, "self_trace_spans_total")).toBe(2);
}, 30_000);

async function sendSpan({ http }: RunningServer): Promise<void> {
  const span = {
    traceId: "1".repeat(32),
    spanId: "1".repeat(16),
    name: "work",
    startTimeUnixNano: "1700000000000000000",
  };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "web" } }] };
  const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] });
  const headers = { "content-type": "application/json" };
  expect((await fetch(`http://${http}/v1/traces`, { method: "POST", headers, body })).status).toBe(200);
}
