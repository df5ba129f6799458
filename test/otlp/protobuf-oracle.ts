import * as fc from "fast-check";
import protobuf from "protobufjs";
import type { AnyValue } from "../../src/model/attributes.ts";
import { Span } from "../../src/model/span.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { anyText } from "../any-text.ts";

/** The project's own .proto files, loaded by protobufjs: what it makes of bytes is what ours must make of them. */
const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith("google/protobuf/") ? target : `proto/${target}`);
root.loadSync([
  "opentelemetry/proto/collector/trace/v1/trace_service.proto",
  "opentelemetry/proto/collector/metrics/v1/metrics_service.proto",
  "opentelemetry/proto/collector/logs/v1/logs_service.proto",
  "google/rpc/status.proto",
  "google/rpc/error_details.proto",
]);
root.resolveAll();

export function messageType(name: string): protobuf.Type {
  return root.lookupType(name);
}

const requestNames = {
  traces: "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
  metrics: "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest",
  logs: "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest",
} as const;

/** The bytes that protobufjs writes for an export request. 64-bit numbers are strings, bytes are Uint8Array. */
export function oracleEncode(signal: keyof typeof requestNames, request: object): Uint8Array {
  const type = messageType(requestNames[signal]);
  return new Uint8Array(type.encode(type.fromObject(request)).finish());
}

// biome-ignore lint/suspicious/noExplicitAny: what a schema library answers has the shape of the schema
export type Plain = any;

/** A message as protobufjs reads it: every field is there, enums are numbers, 64-bit numbers are strings. */
export function oracleDecode(type: string, bytes: Uint8Array): Plain {
  const message = messageType(type);
  return message.toObject(message.decode(bytes), {
    longs: String,
    enums: Number,
    bytes: Array,
    defaults: true,
    oneofs: true,
  });
}

export function oracleRequest(signal: keyof typeof requestNames, bytes: Uint8Array): Plain {
  return oracleDecode(requestNames[signal], bytes);
}

/** An export request in OTLP JSON as protobufjs writes it, but for ids in hex, and a negative zero, which JSON.stringify drops. */
export function oracleJson(signal: keyof typeof requestNames, bytes: Uint8Array): string {
  const type = messageType(requestNames[signal]);
  const request = type.toObject(type.decode(bytes), {
    longs: String,
    enums: Number,
    bytes: String,
    json: true,
  });
  return JSON.stringify(request, (key, value: unknown) => {
    if (key === "traceId" || key === "spanId") return Buffer.from(String(value), "base64").toString("hex");
    return Object.is(value, -0) ? "-0" : value;
  });
}

/** An AnyValue that protobufjs decoded as ours. */
export function anyValueOf(value: Plain): AnyValue {
  switch (value?.value) {
    case "stringValue":
      return value.stringValue;
    case "boolValue":
      return value.boolValue;
    case "intValue":
      return BigInt(value.intValue);
    case "doubleValue":
      return value.doubleValue;
    case "bytesValue":
      return Uint8Array.from(value.bytesValue);
    case "arrayValue":
      return value.arrayValue.values.map(anyValueOf);
    case "kvlistValue":
      return new Map(value.kvlistValue.values.map((entry: Plain) => [entry.key, anyValueOf(entry.value)]));
    default:
      return null;
  }
}

export function entriesOf(attributes: Plain[]): [string, AnyValue][] {
  return attributes.map(({ key, value }) => [key, anyValueOf(value)]);
}

/** All that a table says of each row, as plain values. */
export function rowsOf(table: SpanTable): object[] {
  const { resources, scopes, strings } = table;
  return Array.from({ length: table.rowCount }, (_, row) => {
    const span = new Span(table, row);
    const resource = table.resource[row]!;
    const scope = table.scope[row]!;
    return {
      resource: entries(table, resources.attributeStart[resource]!, resources.attributeEnd[resource]!),
      resourceDropped: resources.droppedAttributes[resource],
      resourceSchema: strings.get(resources.schemaUrl[resource]!),
      scope: strings.get(scopes.name[scope]!),
      scopeVersion: strings.get(scopes.version[scope]!),
      scopeAttributes: entries(table, scopes.attributeStart[scope]!, scopes.attributeEnd[scope]!),
      scopeDropped: scopes.droppedAttributes[scope],
      scopeSchema: strings.get(scopes.schemaUrl[scope]!),
      traceId: span.traceId,
      spanId: span.spanId,
      parentSpanId: span.parentSpanId,
      name: span.name,
      traceState: span.traceState,
      kind: span.kind,
      flags: span.flags,
      start: span.startTime,
      end: span.endTime,
      attributes: entries(table, table.attributeStart[row]!, table.attributeEnd[row]!),
      dropped: span.dropped,
      events: span.events,
      links: span.links,
      status: [span.statusCode, span.statusMessage],
    };
  });
}

function entries({ attributes }: SpanTable, start: number, end: number): [string, AnyValue][] {
  return Array.from({ length: end - start }, (_, i) => [
    attributes.keyAt(start + i),
    attributes.valueAt(start + i),
  ]);
}

/** The same from what protobufjs decoded, without the spans that have no usable id. */
export function oracleRows(request: Plain): object[] {
  return request.resourceSpans.flatMap((resourceSpans: Plain) =>
    resourceSpans.scopeSpans.flatMap((scopeSpans: Plain) =>
      scopeSpans.spans
        .filter(({ traceId, spanId }: Plain) => isId(traceId, 16) && isId(spanId, 8))
        .map((span: Plain) => ({
          resource: entriesOf(resourceSpans.resource?.attributes ?? []),
          resourceDropped: resourceSpans.resource?.droppedAttributesCount ?? 0,
          resourceSchema: resourceSpans.schemaUrl,
          scope: scopeSpans.scope?.name ?? "",
          scopeVersion: scopeSpans.scope?.version ?? "",
          scopeAttributes: entriesOf(scopeSpans.scope?.attributes ?? []),
          scopeDropped: scopeSpans.scope?.droppedAttributesCount ?? 0,
          scopeSchema: scopeSpans.schemaUrl,
          traceId: hexOf(span.traceId),
          spanId: hexOf(span.spanId),
          parentSpanId: isId(span.parentSpanId, 8) ? hexOf(span.parentSpanId) : null,
          name: span.name,
          traceState: span.traceState,
          kind: enumOf(span.kind),
          flags: span.flags,
          start: BigInt(span.startTimeUnixNano),
          end: BigInt(span.endTimeUnixNano),
          attributes: entriesOf(span.attributes),
          dropped: {
            attributes: span.droppedAttributesCount,
            events: span.droppedEventsCount,
            links: span.droppedLinksCount,
          },
          events: span.events.map((event: Plain) => ({
            time: BigInt(event.timeUnixNano),
            name: event.name,
            attributes: new Map(entriesOf(event.attributes)),
            droppedAttributesCount: event.droppedAttributesCount,
          })),
          links: span.links.map((link: Plain) => ({
            traceId: hexOf(link.traceId),
            spanId: hexOf(link.spanId),
            traceState: link.traceState,
            flags: link.flags,
            attributes: new Map(entriesOf(link.attributes)),
            droppedAttributesCount: link.droppedAttributesCount,
          })),
          status: [enumOf(span.status?.code ?? 0), span.status?.message ?? ""],
        })),
    ),
  );
}

function enumOf(number: number): number {
  return number < 0 || number > 255 ? 255 : number;
}

function isId(bytes: number[], length: number): boolean {
  return bytes.length === length && bytes.some((byte) => byte !== 0);
}

export function hexOf(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const text = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom("", "a", "GET", "http.route", "/cart", "__proto__") },
  anyText(300),
);
const count = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(0xffffffff));
const uint64 = fc.bigInt(0n, (1n << 64n) - 1n).map(String);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const goodId = (length: number) => bytes(length).map((id) => (id[0] === 0 ? id.with(0, 1) : id));
const anyId = (length: number) =>
  fc.oneof(
    { weight: 20, arbitrary: goodId(length) },
    fc.uint8Array({ maxLength: 20 }),
    fc.constant(new Uint8Array(length)),
  );

const { value: arbitraryValue } = fc.letrec<{ value: object }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.record({ stringValue: text }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({
      intValue: fc.oneof(fc.bigInt(-(1n << 63n), (1n << 63n) - 1n), fc.bigInt(-300n, 70_000n)).map(String),
    }),
    fc.record({ doubleValue: fc.double() }),
    fc.record({ bytesValue: fc.uint8Array({ maxLength: 40 }) }),
    fc.constant({}),
    fc.record({ arrayValue: fc.record({ values: fc.array(tie("value"), { maxLength: 4 }) }) }),
    fc.record({
      kvlistValue: fc.record({
        values: fc.array(fc.record({ key: text, value: tie("value") }), { maxLength: 4 }),
      }),
    }),
  ),
}));

export const arbitraryAttributes = fc.array(
  fc.record({ key: text, value: fc.option(arbitraryValue, { nil: undefined, freq: 9 }) }),
  { maxLength: 6 },
);
export { arbitraryValue, goodId as arbitraryId, text as arbitraryText, uint64 as arbitraryUint64 };

const span = fc.record({
  traceId: anyId(16),
  spanId: anyId(8),
  parentSpanId: fc.oneof(goodId(8), fc.uint8Array({ maxLength: 9 })),
  traceState: text,
  flags: count,
  name: text,
  kind: fc.oneof(fc.nat(5), fc.integer()),
  startTimeUnixNano: uint64,
  endTimeUnixNano: uint64,
  attributes: arbitraryAttributes,
  droppedAttributesCount: count,
  events: fc.array(
    fc.record({
      timeUnixNano: uint64,
      name: text,
      attributes: arbitraryAttributes,
      droppedAttributesCount: count,
    }),
    { maxLength: 2 },
  ),
  droppedEventsCount: count,
  links: fc.array(
    fc.record({
      traceId: goodId(16),
      spanId: goodId(8),
      traceState: text,
      attributes: arbitraryAttributes,
      droppedAttributesCount: count,
      flags: count,
    }),
    { maxLength: 2 },
  ),
  droppedLinksCount: count,
  status: fc.option(fc.record({ message: text, code: fc.nat(300) }), { nil: undefined }),
});

/** Export requests of all shapes that the schema allows, a few bad ids among them. */
export const arbitraryTraces = fc.record({
  resourceSpans: fc.array(
    fc.record({
      resource: fc.option(fc.record({ attributes: arbitraryAttributes, droppedAttributesCount: count }), {
        nil: undefined,
      }),
      schemaUrl: text,
      scopeSpans: fc.array(
        fc.record({
          scope: fc.option(
            fc.record({
              name: text,
              version: text,
              attributes: arbitraryAttributes,
              droppedAttributesCount: count,
            }),
            { nil: undefined },
          ),
          schemaUrl: text,
          spans: fc.array(span, { maxLength: 4 }),
        }),
        { maxLength: 3 },
      ),
    }),
    { maxLength: 3 },
  ),
});

/** The fields of each message in another order (fields of one number keep theirs), all the way down the schema. */
export function reorderFields(type: protobuf.Type, message: Uint8Array, seed: number): Uint8Array {
  const reader = protobuf.Reader.create(message);
  const fields: { id: number; bytes: Uint8Array }[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    const fieldType = type.fieldsById[tag >>> 3]?.resolvedType;
    if ((tag & 7) === 2 && fieldType instanceof protobuf.Type) {
      const inner = reorderFields(fieldType, new Uint8Array(reader.bytes()), seed + fields.length);
      const bytesOut = protobuf.Writer.create().uint32(tag).bytes(inner).finish();
      fields.push({ id: tag >>> 3, bytes: bytesOut });
    } else {
      reader.skipType(tag & 7);
      fields.push({ id: tag >>> 3, bytes: message.slice(start, reader.pos) });
    }
  }
  const rank = (id: number) => Math.imul(id ^ seed, 0x9e3779b1) >>> 0;
  fields.sort((a, b) => rank(a.id) - rank(b.id));
  return Buffer.concat(fields.map((field) => field.bytes));
}
