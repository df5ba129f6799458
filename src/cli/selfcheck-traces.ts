import { SpanKind, StatusCode } from "../model/span-table.ts";
import { NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { decodeSpans } from "../otlp/decode-body.ts";
import { encodeTraces } from "../otlp/encode-traces.ts";
import type { RowRef } from "../trace/trace.ts";

// What `selfcheck` sends. Every request takes the same way through services that exist only here:
//
//   web     GET /checkout     0..90ms   server
//     web     POST            5..85ms   client
//       orders  POST /orders    10..80ms  server
//         orders  POST            15..75ms  client
//           stock   POST /reserve   20..70ms  server
//             stock   UPDATE items    25..65ms  client of a database
//
// Some go well, in some stock fails by itself, in some its database refuses.

/** An OTLP attribute value in JSON. */
type ValueJson =
  | { readonly stringValue: string }
  | { readonly intValue: string }
  | { readonly doubleValue: number }
  | { readonly boolValue: boolean }
  | { readonly arrayValue: { readonly values: readonly ValueJson[] } };

interface AttributeJson {
  readonly key: string;
  readonly value: ValueJson;
}

interface EventJson {
  readonly timeUnixNano: string;
  readonly name: string;
  readonly attributes: readonly AttributeJson[];
}

/** A span in OTLP's JSON encoding: what is sent, and what must be read again. */
interface SpanJson {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly AttributeJson[];
  readonly events?: readonly EventJson[];
  readonly status?: { readonly code: number; readonly message: string };
}

/** A span with the resource and the scope that it is sent with. */
export interface SentSpan {
  readonly resource: readonly AttributeJson[];
  readonly scope: string;
  readonly span: SpanJson;
}

export interface KnownTrace {
  readonly traceId: string;
  readonly spans: readonly SentSpan[];
  /** what has to come first among its root causes; null = nothing is wrong with it */
  readonly cause: string | null;
}

export interface KnownEdge {
  readonly caller: string;
  readonly callee: string;
  readonly kind: "sync" | "inferred";
  readonly calls: number;
  readonly errors: number;
}

/** Telemetry of which every right answer is known. */
export interface KnownTelemetry {
  /** the service at which all requests enter */
  readonly entry: string;
  readonly traces: readonly KnownTrace[];
  readonly edges: readonly KnownEdge[];
  /** OTLP requests (protobuf), to be sent in this order */
  readonly requests: readonly { readonly body: Uint8Array; readonly spans: number }[];
}

/** Where requests fail: nowhere, in the code of the last service, or in its database. */
const faults = ["none", "none", "none", "service", "none", "database"] as const;
type Fault = (typeof faults)[number];

/** On every resource that is sent; its value is the run. */
const selfcheckAttribute = "hypocenter.selfcheck";

/** `run` becomes part of all names; `newId` makes ids of some bytes, in hex; the newest span ends before `now`. */
export function knownTelemetry({
  run,
  newId,
  now,
}: {
  readonly run: string;
  readonly newId: (bytes: number) => string;
  readonly now: UnixNanos;
}): KnownTelemetry {
  const names = namesOf(run);
  const traces = faults.map((fault, i): KnownTrace => {
    const traceId = newId(16);
    const start = now - BigInt((faults.length - i) * stepMs * NANOS_PER_MS);
    const cause = { none: null, service: names.stock, database: names.database }[fault];
    return { traceId, cause, spans: spansOf({ run, traceId, fault, start, newId }) };
  });
  const failed = faults.filter((fault) => fault !== "none").length;
  const inDatabase = faults.filter((fault) => fault === "database").length;
  const calls = faults.length;
  return {
    entry: names.web,
    traces,
    edges: [
      { caller: names.web, callee: names.orders, kind: "sync", calls, errors: failed },
      { caller: names.orders, callee: names.stock, kind: "sync", calls, errors: failed },
      { caller: names.stock, callee: names.database, kind: "inferred", calls, errors: inDatabase },
    ],
    requests: requestsOf(traces, names.web),
  };
}

/** From the start of one request to that of the next. */
const stepMs = 100;

function namesOf(run: string) {
  const prefix = `hypocenter-selfcheck-${run}`;
  return {
    web: `${prefix}-web`,
    orders: `${prefix}-orders`,
    stock: `${prefix}-stock`,
    database: `${prefix}-database`,
  };
}

/** As a system sends it: each process for itself, callees before callers, so that parents come after their children. */
function requestsOf(traces: readonly KnownTrace[], entry: string): KnownTelemetry["requests"] {
  const all = traces.flatMap(({ spans }) => spans);
  const isOfEntry = ({ resource }: SentSpan): boolean =>
    resource.some(({ value }) => textOf(value) === entry);
  return [all.filter((sent) => !isOfEntry(sent)), all.filter(isOfEntry)].map((spans) => ({
    body: requestOf(spans),
    spans: spans.length,
  }));
}

function textOf(value: ValueJson): string | null {
  return "stringValue" in value ? value.stringValue : null;
}

function requestOf(spans: readonly SentSpan[]): Uint8Array {
  const resourceSpans = spans.map(({ resource, scope, span }) => ({
    resource: { attributes: resource },
    scopeSpans: [{ scope: { name: scope }, spans: [span] }],
  }));
  const { table } = decodeSpans("json", Buffer.from(JSON.stringify({ resourceSpans })));
  const rows: readonly RowRef[] = Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
  return encodeTraces(rows);
}

interface Step {
  readonly service: "web" | "orders" | "stock";
  readonly name: string;
  readonly kind: number;
  readonly fromMs: number;
  readonly toMs: number;
}

const steps: readonly Step[] = [
  { service: "web", name: "GET /checkout", kind: SpanKind.Server, fromMs: 0, toMs: 90 },
  { service: "web", name: "POST", kind: SpanKind.Client, fromMs: 5, toMs: 85 },
  { service: "orders", name: "POST /orders", kind: SpanKind.Server, fromMs: 10, toMs: 80 },
  { service: "orders", name: "POST", kind: SpanKind.Client, fromMs: 15, toMs: 75 },
  { service: "stock", name: "POST /reserve", kind: SpanKind.Server, fromMs: 20, toMs: 70 },
  { service: "stock", name: "UPDATE items", kind: SpanKind.Client, fromMs: 25, toMs: 65 },
];

/** The index of the call to the database. */
const databaseStep = steps.length - 1;

interface TraceParts {
  readonly run: string;
  readonly traceId: string;
  readonly fault: Fault;
  readonly start: bigint;
  readonly newId: (bytes: number) => string;
}

function spansOf({ run, traceId, fault, start, newId }: TraceParts): readonly SentSpan[] {
  const names = namesOf(run);
  const ids = steps.map(() => newId(8));
  return steps.map(({ service, name, kind, fromMs, toMs }, i): SentSpan => {
    const at = (ms: number): string => String(start + BigInt(ms * NANOS_PER_MS));
    const hasFailed = fault === "database" || (fault === "service" && i !== databaseStep);
    const isFault = i === (fault === "service" ? databaseStep - 1 : databaseStep);
    return {
      resource: [
        { key: "service.name", value: { stringValue: names[service] } },
        { key: "service.instance.id", value: { stringValue: `${names[service]}-1` } },
        { key: selfcheckAttribute, value: { stringValue: run } },
      ],
      scope: "hypocenter.selfcheck",
      span: {
        traceId,
        spanId: ids[i] ?? "",
        ...(i === 0 ? {} : { parentSpanId: ids[i - 1] ?? "" }),
        name,
        kind,
        startTimeUnixNano: at(fromMs),
        endTimeUnixNano: at(toMs),
        attributes: [...ownAttributes(i, names), ...(i === 0 ? oddAttributes : [])],
        ...(hasFailed && isFault ? { events: [exceptionAt(at(toMs - 1), fault)] } : {}),
        ...(hasFailed ? { status: { code: StatusCode.Error, message: isFault ? messages[fault] : "" } } : {}),
      },
    };
  });
}

const messages: Readonly<Record<Fault, string>> = {
  none: "",
  service: "selfcheck: the shelf is empty",
  database: "selfcheck: connection refused",
};

function exceptionAt(timeUnixNano: string, fault: Fault): EventJson {
  return {
    timeUnixNano,
    name: "exception",
    attributes: [
      { key: "exception.type", value: { stringValue: "SelfcheckError" } },
      { key: "exception.message", value: { stringValue: messages[fault] } },
    ],
  };
}

function ownAttributes(step: number, names: ReturnType<typeof namesOf>): readonly AttributeJson[] {
  if (step === databaseStep)
    return [
      { key: "db.system.name", value: { stringValue: "postgresql" } },
      { key: "db.namespace", value: { stringValue: names.database } },
    ];
  const isCall = steps[step]?.kind === SpanKind.Client;
  const [method = "", route = ""] = (steps[step]?.name ?? "").split(" ");
  const callee = names[steps[step + 1]?.service ?? "web"];
  return [
    { key: "http.request.method", value: { stringValue: method } },
    isCall
      ? { key: "server.address", value: { stringValue: callee } }
      : { key: "http.route", value: { stringValue: route } },
  ];
}

/** One value of each type, among them what gets lost most easily on the way. */
const oddAttributes: readonly AttributeJson[] = [
  { key: "selfcheck.text", value: { stringValue: "çà et là, 여기저기, 🌍" } },
  { key: "selfcheck.integer", value: { intValue: "9007199254740993" } },
  { key: "selfcheck.double", value: { doubleValue: 0.1 } },
  { key: "selfcheck.boolean", value: { boolValue: false } },
  { key: "selfcheck.list", value: { arrayValue: { values: [{ stringValue: "a" }, { intValue: "-1" }] } } },
];
