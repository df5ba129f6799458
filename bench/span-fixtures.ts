import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { ValueType } from "../src/model/attributes.ts";
import { SpanKind, SpanTable, StatusCode } from "../src/model/span-table.ts";
import { encodeTraces } from "../src/otlp/encode-traces.ts";
import { tracesToJson } from "../src/otlp/json-write.ts";
import type { RowRef } from "../src/trace/trace.ts";

/** How much made-up telemetry, and which: equal options give equal bytes. */
export interface FixtureOptions {
  readonly spans: number;
  readonly spansPerBatch: number;
  readonly seed: number;
}

/**
 * Batches as collectors send them: each of some services, whole traces of 5 to 20 spans, spans of about 450 bytes with 8
 * to 15 attributes (HTTP servers and clients, databases, RPC, messaging), about 2 % failing. A trace begins every 4 ms,
 * a million spans are traffic of five minutes.
 */
export function* makeBatches({ spans, spansPerBatch, seed }: FixtureOptions): Generator<readonly RowRef[]> {
  const random = randomNumbers(seed);
  let trace: PlannedSpan[] = [];
  let traceCount = 0;
  for (let made = 0; made < spans; made += spansPerBatch) {
    const table = new SpanTable(spansPerBatch);
    const resources = services.map((service) => addResource(table, service, random));
    const rows: RowRef[] = [];
    const rowMax = Math.min(spansPerBatch, spans - made);
    while (rows.length < rowMax) {
      if (trace.length === 0) trace = planTrace(random, traceCount++ * nanosBetweenTraces);
      const span = trace.shift() as PlannedSpan;
      const service = resources[span.service] as { resource: number; scope: number };
      rows.push({ table, row: addSpan(table, service.resource, service.scope, span, random) });
    }
    yield rows;
  }
}

/** The same batches as bodies of export requests. */
export function* makeBodies(options: FixtureOptions): Generator<Uint8Array> {
  for (const rows of makeBatches(options)) yield encodeTraces(rows);
}

/** The same spans in two files. */
export interface FixtureFiles<Value> {
  /** OTLP JSON lines */
  readonly json: Value;
  /** as the collector's file exporter writes them with `format: proto`: a big-endian length, then a message */
  readonly protobuf: Value;
}

/** Writes the batches to both paths, one at a time; answers how many bytes. */
export async function writeFiles(
  paths: FixtureFiles<string>,
  options: FixtureOptions,
): Promise<FixtureFiles<number>> {
  // flushed at the end: writing to disk in the background would slow down what is measured next
  const json = createWriteStream(paths.json, { flush: true });
  const protobuf = createWriteStream(paths.protobuf, { flush: true });
  for (const rows of makeBatches(options)) {
    const body = encodeTraces(rows);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    await write(json, `${tracesToJson(rows)}\n`);
    await write(protobuf, length);
    await write(protobuf, body);
  }
  for (const file of [json, protobuf]) {
    file.end();
    await finished(file);
  }
  return { json: json.bytesWritten, protobuf: protobuf.bytesWritten };
}

async function write(file: WriteStream, chunk: string | Uint8Array): Promise<void> {
  if (!file.write(chunk)) await once(file, "drain");
}

export type TraceForm = "chain" | "wide" | "tree";

/** One trace of a form: a chain, one span with all others as children, or a tree of 2 or 3 children a span. */
export function makeHugeTrace(form: TraceForm, spans: number): SpanTable {
  const random = randomNumbers(3);
  const table = new SpanTable(spans);
  const resources = services.map((service) => addResource(table, service, random));
  const traceId = words(random, 4);
  const ids: (readonly number[])[] = [];
  for (let i = 0; i < spans; i += 1) {
    const parent = i === 0 ? -1 : form === "chain" ? i - 1 : form === "wide" ? 0 : Math.floor((i - 1) / 2.5);
    const spanId = words(random, 2);
    ids.push(spanId);
    const shape = i === 0 ? 0 : random(shapes.length);
    const service = form === "wide" && i > 0 ? 1 : i % services.length;
    const { resource, scope } = resources[service] as { resource: number; scope: number };
    addSpan(
      table,
      resource,
      scope,
      {
        traceId,
        spanId,
        parentSpanId: ids[parent] ?? [0, 0],
        kind: shapes[shape]?.kind ?? SpanKind.Internal,
        // Every child lies within its parent, and a wide trace's children follow each other.
        start: form === "wide" ? i * 1_000 : i * 10,
        duration: form === "wide" ? (i === 0 ? spans * 1_000 : 900) : (spans - i) * 1_000,
        failed: random(50) === 0,
        shape,
      },
      random,
    );
  }
  return table;
}

interface Service {
  readonly name: string;
  readonly language: string;
  readonly scope: string;
}

const services: readonly Service[] = [
  { name: "frontend-proxy", language: "cpp", scope: "envoy" },
  { name: "frontend", language: "nodejs", scope: "@opentelemetry/instrumentation-http" },
  { name: "checkout", language: "go", scope: "otelgrpc" },
  { name: "cart", language: "dotnet", scope: "OpenTelemetry.Instrumentation.AspNetCore" },
  { name: "product-catalog", language: "go", scope: "otelgrpc" },
  { name: "payment", language: "nodejs", scope: "@opentelemetry/instrumentation-grpc" },
  { name: "shipping", language: "rust", scope: "shipping" },
  { name: "accounting", language: "java", scope: "io.opentelemetry.kafka-clients-2.6" },
];

interface PlannedSpan extends SpanContent {
  readonly service: number;
}

interface SpanContent {
  readonly traceId: readonly number[];
  readonly spanId: readonly number[];
  readonly parentSpanId: readonly number[];
  readonly kind: number;
  /** nanoseconds since the trace began */
  readonly start: number;
  readonly duration: number;
  readonly failed: boolean;
  readonly shape: number;
}

/** Mulberry32: small, fast and the same everywhere. Answers whole numbers in [0, below). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000) * below) >>> 0;
  };
}

type Random = ReturnType<typeof randomNumbers>;

function words(random: Random, count: number): readonly number[] {
  return Array.from({ length: count }, () => random(0xffffffff) + 1);
}

const nanosBetweenTraces = 4_000_000;

/** A trace that begins up to a second after `earliest`. */
function planTrace(random: Random, earliest: number): PlannedSpan[] {
  const traceId = words(random, 4);
  const spans: PlannedSpan[] = [];
  const count = 5 + random(16);
  for (let i = 0; i < count; i += 1) {
    const parent = i === 0 ? undefined : spans[Math.max(0, i - 1 - random(3))];
    const shape = i === 0 ? 0 : random(shapes.length);
    const duration = Math.max(
      20_000,
      Math.floor((parent?.duration ?? 400_000_000) * (0.3 + random(60) / 100)),
    );
    spans.push({
      traceId,
      spanId: words(random, 2),
      parentSpanId: parent?.spanId ?? [0, 0],
      service: parent === undefined ? 0 : (parent.service + 1 + random(2)) % services.length,
      kind: shapes[shape]?.kind ?? SpanKind.Internal,
      start: (parent?.start ?? earliest + random(1_000_000_000)) + random(2_000_000),
      duration,
      failed: random(50) === 0,
      shape,
    });
  }
  return spans;
}

function addResource(
  table: SpanTable,
  service: Service,
  random: Random,
): { readonly resource: number; readonly scope: number } {
  const { resources, scopes, attributes, strings } = table;
  const resource = resources.add();
  resources.attributeStart[resource] = attributes.length;
  const pod = `${service.name}-7d9f8b6c5-x${random(3)}k2p`;
  for (const [key, value] of [
    ["service.name", service.name],
    ["service.namespace", "shop"],
    ["service.version", "2.1.3"],
    ["service.instance.id", `6f0f7f6e-3c2b-4a52-9c5e-00000000000${random(3)}`],
    ["deployment.environment.name", "production"],
    ["telemetry.sdk.name", "opentelemetry"],
    ["telemetry.sdk.language", service.language],
    ["telemetry.sdk.version", "1.38.0"],
    ["k8s.namespace.name", "shop"],
    ["k8s.pod.name", pod],
    ["k8s.node.name", `gke-pool-1-${random(4)}`],
    ["host.name", pod],
  ] as const)
    attributes.addValue(strings.intern(key), value);
  resources.attributeEnd[resource] = attributes.length;
  resources.schemaUrl[resource] = strings.intern("https://opentelemetry.io/schemas/1.37.0");
  const scope = scopes.add();
  scopes.name[scope] = strings.intern(service.scope);
  scopes.version[scope] = strings.intern("0.58.0");
  return { resource, scope };
}

interface Shape {
  readonly kind: number;
  readonly names: readonly string[];
  add(put: PutAttribute, random: Random, failed: boolean): void;
}

type PutAttribute = (key: string, value: string | number | boolean) => void;

const routes = ["/api/products/{id}", "/api/cart", "/api/checkout", "/api/recommendations", "/api/currency"];
const tables = ["orders", "products", "carts", "users"];
const rpcMethods = ["GetCart", "AddItem", "PlaceOrder", "GetProduct", "Charge", "GetQuote"];

const shapes: readonly Shape[] = [
  {
    kind: SpanKind.Server,
    names: routes.map((route) => `GET ${route}`),
    add(put, random, failed) {
      put("http.request.method", random(4) === 0 ? "POST" : "GET");
      put("url.scheme", "http");
      put("url.path", `/api/products/${random(100_000)}`);
      put("http.route", routes[random(routes.length)] as string);
      put("http.response.status_code", failed ? 500 : 200);
      put("server.address", "frontend.shop.svc.cluster.local");
      put("server.port", 8080);
      put("client.address", `10.12.${random(8)}.${random(250)}`);
      put("network.protocol.version", "1.1");
      put("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0 Safari/537.36");
    },
  },
  {
    kind: SpanKind.Client,
    names: ["GET", "POST"],
    add(put, random, failed) {
      put("http.request.method", random(4) === 0 ? "POST" : "GET");
      put(
        "url.full",
        `http://cart.shop.svc.cluster.local:7070/api/cart?sessionId=${random(1_000_000)}&currency=USD`,
      );
      put("server.address", "cart.shop.svc.cluster.local");
      put("server.port", 7070);
      put("http.response.status_code", failed ? 503 : 200);
      put("network.peer.address", `10.12.${random(8)}.${random(250)}`);
      put("network.peer.port", 7070);
      put("network.protocol.version", "1.1");
      put("thread.id", random(64));
    },
  },
  {
    kind: SpanKind.Client,
    names: tables.map((name) => `SELECT shop.${name}`),
    add(put, random) {
      const name = tables[random(tables.length)] as string;
      put("db.system.name", "postgresql");
      put("db.namespace", "shop");
      put("db.collection.name", name);
      put("db.operation.name", "SELECT");
      put(
        "db.query.text",
        `SELECT id, name, price FROM ${name} WHERE id = $1 ORDER BY created_at DESC LIMIT 50`,
      );
      put("server.address", "postgres-primary.shop.svc.cluster.local");
      put("server.port", 5432);
      put("db.response.returned_rows", random(50));
      put("network.peer.address", "10.12.0.7");
      put("thread.name", `pool-1-thread-${random(16)}`);
    },
  },
  {
    kind: SpanKind.Server,
    names: rpcMethods.map((method) => `oteldemo.CartService/${method}`),
    add(put, random, failed) {
      put("rpc.system", "grpc");
      put("rpc.service", "oteldemo.CartService");
      put("rpc.method", rpcMethods[random(rpcMethods.length)] as string);
      put("rpc.grpc.status_code", failed ? 14 : 0);
      put("server.address", "cart.shop.svc.cluster.local");
      put("server.port", 7070);
      put("network.peer.address", `10.12.${random(8)}.${random(250)}`);
      put("network.peer.port", 30_000 + random(30_000));
      put("network.transport", "tcp");
      put("app.user.id", `user-${random(50_000)}`);
      put("app.cart.items.count", random(12));
      put("app.is_premium", random(2) === 1);
      put("app.cart.total", random(100_000) / 100);
      put("thread.id", random(64));
      put("thread.name", `grpc-default-executor-${random(16)}`);
    },
  },
  {
    kind: SpanKind.Producer,
    names: ["publish orders"],
    add(put, random) {
      put("messaging.system", "kafka");
      put("messaging.operation.name", "publish");
      put("messaging.operation.type", "send");
      put("messaging.destination.name", "orders");
      put("messaging.destination.partition.id", String(random(12)));
      put("messaging.kafka.offset", random(10_000_000));
      put("messaging.client.id", "checkout-producer-1");
      put("messaging.message.id", `b7f5c2d4-${random(1_000_000_000)}-${random(1_000_000_000)}`);
      put("server.address", "kafka.shop.svc.cluster.local");
      put("server.port", 9092);
    },
  },
];

function addSpan(
  table: SpanTable,
  resource: number,
  scope: number,
  span: SpanContent,
  random: Random,
): number {
  const { attributes, strings, events } = table;
  const row = table.addRow(resource, scope);
  const shape = shapes[span.shape] as Shape;
  table.traceId.set(span.traceId, row * 4);
  table.spanId.set(span.spanId, row * 2);
  table.parentSpanId.set(span.parentSpanId, row * 2);
  putTime(table.startTime, row, span.start);
  putTime(table.endTime, row, span.start + span.duration);
  table.kind[row] = span.kind;
  table.flags[row] = 0x101;
  table.name[row] = strings.intern(shape.names[random(shape.names.length)] as string);
  shape.add(
    (key, value) => {
      const isInt = typeof value === "number" && Number.isInteger(value);
      attributes.addValue(strings.intern(key), isInt ? BigInt(value) : value);
    },
    random,
    span.failed,
  );
  if (span.failed) attributes.addValue(strings.intern("error.type"), "timeout");
  table.attributeEnd[row] = attributes.length;
  if (!span.failed) return row;
  table.statusCode[row] = StatusCode.Error;
  table.statusMessage[row] = strings.intern("upstream request timeout");
  const event = events.add();
  putTime(events.time, event, span.start + span.duration);
  events.name[event] = strings.intern("exception");
  events.attributeStart[event] = attributes.length;
  attributes.add(strings.intern("exception.type"), ValueType.String, strings.intern("TimeoutError"));
  attributes.addValue(strings.intern("exception.message"), `deadline of ${span.duration} ns exceeded`);
  events.attributeEnd[event] = attributes.length;
  table.eventEnd[row] = events.length;
  return row;
}

const dayStart = 1_760_000_000_000_000_000n;

function putTime(column: Uint32Array, index: number, nanos: number): void {
  const time = dayStart + BigInt(nanos);
  column[index * 2] = Number(time >> 32n);
  column[index * 2 + 1] = Number(time & 0xffffffffn);
}
