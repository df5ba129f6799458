// Makes the telemetry of samples/missing-orders: `npm run sample:missing-orders`. Real SDK spans and metrics with planned
// durations and failures, so that the error rates and percentiles of the scope are the ones that its README documents.
//
//   frontend          1400 requests   0.5 % failed   p99 0.2 s
//   user-service       200            0.5 %          0.2 s
//   order-service      800            0.5 %          0.2 s
//   payment-service    400            1 %            0.3 s
//   external-payment-api 200          15 %           2.5 s     23 timeouts, 5 rate-limit answers, 2 other errors
//   inventory-service  200            0.5 %          0.2 s
//   database           100            2 %            0.8 s
//
// The p99 of n requests is the one at rank ceil(0.99 n): so each service has exactly n - rank requests above it.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { captureOtlp, type OtlpCapture } from "./otlp-capture.ts";

const folder = join(import.meta.dirname, "../../samples/missing-orders");
const spansPerRequest = 500;
const requestSpacingMs = 400;
const networkMs = 1;
const charge = "POST /charges";

const ids = seededIds(20260101);
const exporter = new InMemorySpanExporter();
const tracers = new Map<string, Tracer>();

/** One call of the plan: who works, for how long, and what it calls. Times in ms, `at` from the start of the caller. */
interface Work {
  readonly service: string;
  readonly operation: string;
  readonly ms: number;
  readonly status: number;
  readonly calls?: readonly (Call | PeerCall)[];
}
interface Call {
  readonly at: number;
  readonly to: Work;
}
interface PeerCall {
  readonly at: number;
  readonly ms: number;
  readonly name: string;
  readonly attributes: Attributes;
  readonly error?: { readonly type: string; readonly message: string };
}

const capture = await captureOtlp();
await writeMetrics(capture);
const asked = writeTraces();
await sendTraces(capture);
await capture.close();
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "traces.jsonl.gz"), gzipSync(`${capture.traces.join("\n")}\n`, { level: 9 }));
writeFileSync(join(folder, "metrics.jsonl"), `${capture.metrics.join("\n")}\n`);
process.stdout.write(
  `${folder}: ${exporter.getFinishedSpans().length} spans; the trace of the README is ${asked}\n`,
);

/** All requests, oldest first; returns the id of the first order, the one that the README asks about. */
function writeTraces(): string {
  // The metrics are of now: the asked request is in the middle, so that a server, which compares it with five minutes on
  // each side, sees all of the requests and the metrics.
  const start = Math.floor(Date.now() / 60_000) * 60_000 - 9 * 60_000;
  const requests = [...orders(), ...accounts(), ...products()];
  const lost = requests[0] as Work;
  // spread the kinds of requests over the time, always in the same order
  const order = requests.slice(1).map((work, i) => ({ work, at: (i * 617) % (requests.length - 1) }));
  order.sort((a, b) => a.at - b.at);
  order.splice(700, 0, { work: lost, at: -1 });
  let askedId = "";
  order.forEach(({ work }, i) => {
    const traceId = perform(work, start + i * requestSpacingMs, ROOT_CONTEXT);
    if (work === lost) askedId = traceId;
  });
  return askedId;
}

function orders(): Work[] {
  return Array.from({ length: 800 }, (_, i): Work => {
    const payment = i % 2 === 0 ? paymentWork(i / 2) : null;
    const inventory = i === 0 ? inventoryWork(0) : i % 4 === 1 && i > 1 ? inventoryWork((i - 1) / 4) : null;
    const failed = payment !== null && payment.status >= 500;
    const below = (payment?.ms ?? 0) + (inventory?.ms ?? 0) + 10;
    const ms = i === 3 ? 200 : Math.max(20 + ((i * 7) % 40), below + 5);
    const calls: Call[] = [];
    if (payment !== null) calls.push({ at: 4, to: payment });
    if (inventory !== null) calls.push({ at: 6 + (payment?.ms ?? 0), to: inventory });
    const order: Work = {
      service: "order-service",
      operation: "POST /orders",
      ms,
      status: failed ? 500 : 201,
      calls,
    };
    const user = i === 0 ? [{ at: 2, to: userWork(0) }] : [];
    // the frontend accepts every order before it is made: a lost one looks fine to the customer
    return {
      service: "frontend",
      operation: "POST /checkout",
      ms: ms + 10 + (i === 0 ? 30 : 0),
      status: 202,
      calls: [...user, { at: i === 0 ? 34 : 5, to: order }],
    };
  });
}

/** 400 payments; every second one talks to the provider. 4 fail, 4 take longer than 0.3 s and one takes just that. */
function paymentWork(j: number): Work {
  const provider = j % 2 === 0 ? providerCall(j / 2) : null;
  // a charge that fails is a payment that fails; when only the question for its state fails, the payment stays pending
  const failed = provider?.error !== undefined && provider.name === charge;
  const own = 15 + ((j * 11) % 30);
  const ms = j === 1 ? 300 : j === 3 ? 420 : provider === null ? own : provider.ms + 20;
  return {
    service: "payment-service",
    operation: "POST /payments",
    ms,
    status: failed ? 502 : 200,
    calls: provider === null ? [] : [provider],
  };
}

/** 200 calls to the provider, 30 of them failed: 23 timeouts, 5 times "too many requests", 2 times an error of its own. */
function providerCall(k: number): PeerCall {
  const failing = [0, 7, 13].indexOf(k % 20);
  const e = failing < 0 ? -1 : Math.floor(k / 20) * 3 + failing;
  const slowMs = new Map([
    [0, 2500],
    [3, 2600],
    [6, 2700],
  ]).get(e);
  const isCharge = e < 0 ? k % 3 === 0 : slowMs !== undefined || e === 10;
  const http = (status?: number): Attributes => ({
    "http.request.method": isCharge ? "POST" : "GET",
    "url.full": `https://api.pay.example/charges${isCharge ? "" : "/latest"}`,
    "server.address": "api.pay.example",
    "server.port": 443,
    "service.peer.name": "external-payment-api",
    ...(status === undefined ? {} : { "http.response.status_code": status }),
  });
  const call = { at: 8, name: isCharge ? charge : "GET /charges/{id}" };
  if (e < 0) return { ...call, ms: 60 + ((k * 13) % 70), attributes: http(isCharge ? 201 : 200) };
  if (e % 6 === 5)
    return { ...call, ms: 12, attributes: http(429), error: { type: "429", message: "Too Many Requests" } };
  if (e === 10 || e === 20)
    return {
      ...call,
      ms: 40,
      attributes: http(500),
      error: { type: "500", message: "Internal Server Error" },
    };
  return {
    ...call,
    ms: slowMs ?? 150,
    attributes: http(),
    error: { type: "timeout", message: `no answer within ${slowMs ?? 150} ms` },
  };
}

/** 200 stock checks; every second one reads the database. One fails, two take longer than 0.2 s and one takes just that. */
function inventoryWork(m: number): Work {
  const query = m % 2 === 0 ? stockQuery(m / 2) : null;
  const ms = m === 1 ? 200 : query === null ? 12 + ((m * 5) % 25) : query.ms + 15;
  return {
    service: "inventory-service",
    operation: "POST /reservations",
    ms,
    status: m === 60 ? 500 : 200,
    calls: query === null ? [] : [query],
  };
}

/** 100 queries, 2 of them the victims of deadlocks. */
function stockQuery(q: number): PeerCall {
  const error = { type: "40P01", message: "deadlock detected" };
  return {
    at: 5,
    ms: q === 40 ? 800 : q === 70 ? 850 : 8 + ((q * 3) % 60),
    name: "SELECT stock",
    attributes: {
      "db.system.name": "postgresql",
      "db.namespace": "shop",
      "db.operation.name": "SELECT",
      "db.collection.name": "stock",
      "server.address": "db.shop.example",
      "service.peer.name": "database",
      ...(q === 30 || q === 55 ? { "db.response.status_code": "40P01" } : {}),
    },
    ...(q === 30 || q === 55 ? { error } : {}),
  };
}

function accounts(): Work[] {
  return Array.from({ length: 199 }, (_, i): Work => {
    const user = userWork(i + 1);
    return {
      service: "frontend",
      operation: "GET /account",
      ms: user.ms + 10,
      status: user.status === 500 ? 502 : 200,
      calls: [{ at: 4, to: user }],
    };
  });
}

function userWork(u: number): Work {
  const ms =
    new Map([
      [50, 200],
      [90, 210],
      [130, 220],
    ]).get(u) ?? 10 + ((u * 3) % 15);
  return { service: "user-service", operation: "GET /users/{id}", ms, status: u === 77 ? 500 : 200 };
}

function products(): Work[] {
  return Array.from({ length: 401 }, (_, i): Work => {
    const ms =
      new Map([
        [10, 200],
        [20, 230],
        [30, 260],
      ]).get(i) ?? 8 + ((i * 3) % 50);
    return {
      service: "frontend",
      operation: "GET /products",
      ms,
      status: i % 70 === 69 || i === 400 ? 500 : 200,
    };
  });
}

/** Writes the spans of one piece of work and of all below it; returns the trace id. */
function perform(work: Work, start: number, context: Context): string {
  const [method = "", route = ""] = work.operation.split(" ");
  const server = tracerOf(work.service).startSpan(
    work.operation,
    {
      kind: SpanKind.SERVER,
      startTime: start,
      attributes: {
        "http.request.method": method,
        "http.route": route,
        "url.path": route,
        "url.scheme": "http",
        "http.response.status_code": work.status,
      },
    },
    context,
  );
  if (work.status >= 500) {
    server.setAttribute("error.type", String(work.status));
    server.setStatus({ code: SpanStatusCode.ERROR });
  }
  const inside = trace.setSpan(context, server);
  for (const call of work.calls ?? []) {
    if ("to" in call) callService(work.service, call.to, start + call.at, inside);
    else callPeer(work.service, call, start + call.at, inside);
  }
  server.end(start + work.ms);
  return server.spanContext().traceId;
}

function callService(caller: string, to: Work, start: number, context: Context): void {
  const [method = "", route = ""] = to.operation.split(" ");
  const client = tracerOf(caller).startSpan(
    method,
    {
      kind: SpanKind.CLIENT,
      startTime: start,
      attributes: {
        "http.request.method": method,
        "url.full": `http://${to.service}:8080${route}`,
        "server.address": to.service,
        "server.port": 8080,
        "http.response.status_code": to.status,
      },
    },
    context,
  );
  if (to.status >= 400) {
    client.setAttribute("error.type", String(to.status));
    client.setStatus({ code: SpanStatusCode.ERROR });
  }
  const remote = { ...client.spanContext(), isRemote: true };
  perform(to, start + networkMs, trace.setSpanContext(context, remote));
  client.end(start + to.ms + 2 * networkMs);
}

function callPeer(caller: string, call: PeerCall, start: number, context: Context): void {
  const options = { kind: SpanKind.CLIENT, startTime: start, attributes: call.attributes };
  const client = tracerOf(caller).startSpan(call.name, options, context);
  if (call.error !== undefined) {
    client.setAttribute("error.type", call.error.type);
    client.setStatus({ code: SpanStatusCode.ERROR, message: call.error.message });
  }
  client.end(start + call.ms);
}

function tracerOf(service: string): Tracer {
  let tracer = tracers.get(service);
  if (tracer === undefined) {
    const provider = new BasicTracerProvider({
      resource: resourceOf(service),
      idGenerator: ids,
      spanProcessors: [new SimpleSpanProcessor(exporter)],
    });
    tracer = provider.getTracer("shop", "1.0.0");
    tracers.set(service, tracer);
  }
  return tracer;
}

function resourceOf(service: string): ReturnType<typeof resourceFromAttributes> {
  return resourceFromAttributes({ "service.name": service, "service.instance.id": `${service}-1` });
}

async function sendTraces({ url }: OtlpCapture): Promise<void> {
  const otlp = new OTLPTraceExporter({ url: `${url}/v1/traces` });
  const spans = exporter.getFinishedSpans();
  for (let i = 0; i < spans.length; i += spansPerRequest) {
    const { error } = await new Promise<{ error?: Error }>((resolve) =>
      otlp.export(spans.slice(i, i + spansPerRequest), resolve),
    );
    if (error !== undefined) throw error;
  }
  await otlp.shutdown();
}

/** Gauges, and counters that began with the scope. */
async function writeMetrics({ url }: OtlpCapture): Promise<void> {
  const usage = { "process.cpu.utilization": 0.4, "process.memory.utilization": 0.5 };
  const services: Record<string, Gauges> = {
    frontend: { gauges: usage },
    "user-service": { gauges: usage },
    "order-service": { gauges: usage },
    "inventory-service": { gauges: usage },
    "payment-service": {
      gauges: { "process.cpu.utilization": 0.6, "process.memory.utilization": 0.7, "queue.depth": 156 },
    },
    database: {
      gauges: { "postgresql.backends": 45, "postgresql.connection.max": 100 },
      counters: { "postgresql.deadlocks": 12, "db.slow_queries": 8 },
    },
  };
  for (const [service, { gauges, counters }] of Object.entries(services)) {
    const metricExporter = new OTLPMetricExporter({ url: `${url}/v1/metrics` });
    const reader = new PeriodicExportingMetricReader({
      exporter: metricExporter,
      exportIntervalMillis: 3_600_000,
    });
    const provider = new MeterProvider({ resource: resourceOf(service), readers: [reader] });
    const meter = provider.getMeter("shop", "1.0.0");
    for (const [name, value] of Object.entries(gauges))
      meter.createObservableGauge(name).addCallback((result) => result.observe(value));
    for (const [name, value] of Object.entries(counters ?? {})) meter.createCounter(name).add(value);
    await provider.forceFlush();
    await provider.shutdown();
  }
}

interface Gauges {
  readonly gauges: Readonly<Record<string, number>>;
  readonly counters?: Readonly<Record<string, number>>;
}

/** The same ids at each run. */
function seededIds(seed: number): { generateTraceId(): string; generateSpanId(): string } {
  let state = seed;
  const word = (): string => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((Math.imul(state ^ (state >>> 13), 0x297a2d39) ^ state) >>> 0).toString(16).padStart(8, "0");
  };
  return {
    generateTraceId: () => word() + word() + word() + word(),
    generateSpanId: () => word() + word(),
  };
}
