import type { AnyValue, AttributePool, Attributes } from "../model/attributes.ts";
import { Span } from "../model/span.ts";
import type { SpanTable } from "../model/span-table.ts";
import { nanosFromWords } from "../model/time.ts";
import type { RowRef } from "../trace/trace.ts";
import { groupByResource } from "./encode-traces.ts";

export type Json =
  | null
  | string
  | number
  | boolean
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/**
 * An ExportTraceServiceRequest in OTLP's JSON encoding (hex ids, 64-bit integers as strings, enums as integers, no field
 * that has its default value), grouped by resource and scope in the order in which these come first. Read again it gives
 * the same spans, but that ill-formed UTF-8 becomes U+FFFD.
 */
export function tracesToJson(rows: readonly RowRef[]): string {
  return `{"resourceSpans":${JSON.stringify(resourceSpansOf(rows))}}`;
}

/** The same for any number of spans, piece by piece: all of a huge trace would be no string any more. */
export function* tracesToJsonParts(rows: readonly RowRef[], rowsOfPart: number): Generator<string> {
  let before = '{"resourceSpans":[';
  for (let at = 0; at < rows.length; at += rowsOfPart) {
    yield before + JSON.stringify(resourceSpansOf(rows.slice(at, at + rowsOfPart))).slice(1, -1);
    before = ",";
  }
  yield "]}";
}

function resourceSpansOf(rows: readonly RowRef[]): readonly Json[] {
  return groupByResource(rows).map(({ table, resource, scopes }) => ({
    resource: resourceJson(table, resource),
    scopeSpans: Array.from(scopes, ([scope, scopeRows]) => ({
      scope: scopeJson(table, scope),
      spans: scopeRows.map((row) => spanJson(table, row)),
      schemaUrl: textOrNothing(table, table.scopes.schemaUrl[scope]),
    })),
    schemaUrl: textOrNothing(table, table.resources.schemaUrl[resource]),
  }));
}

function resourceJson({ attributes, resources }: SpanTable, resource: number): Json {
  const start = resources.attributeStart[resource] ?? 0;
  return {
    attributes: entriesJson(attributes, start, resources.attributeEnd[resource] ?? start),
    droppedAttributesCount: resources.droppedAttributes[resource] || undefined,
  };
}

function scopeJson(table: SpanTable, scope: number): Json {
  const { scopes } = table;
  const start = scopes.attributeStart[scope] ?? 0;
  return {
    name: textOrNothing(table, scopes.name[scope]),
    version: textOrNothing(table, scopes.version[scope]),
    attributes: entriesJson(table.attributes, start, scopes.attributeEnd[scope] ?? start),
    droppedAttributesCount: scopes.droppedAttributes[scope] || undefined,
  };
}

function spanJson(table: SpanTable, row: number): Json {
  const span = new Span(table, row);
  const { statusCode, statusMessage, dropped } = span;
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    traceState: span.traceState || undefined,
    parentSpanId: span.parentSpanId ?? undefined,
    flags: span.flags || undefined,
    name: span.name,
    kind: span.kind || undefined,
    startTimeUnixNano: String(span.startTime),
    endTimeUnixNano: String(span.endTime),
    attributes: entriesJson(table.attributes, table.attributeStart[row] ?? 0, table.attributeEnd[row] ?? 0),
    droppedAttributesCount: dropped.attributes || undefined,
    events: eventsJson(table, table.eventStart[row] ?? 0, table.eventEnd[row] ?? 0),
    droppedEventsCount: dropped.events || undefined,
    links: linksJson(table, span),
    droppedLinksCount: dropped.links || undefined,
    status:
      statusCode === 0 && statusMessage === ""
        ? undefined
        : { message: statusMessage || undefined, code: statusCode || undefined },
  };
}

function eventsJson(table: SpanTable, start: number, end: number): Json | undefined {
  const { events, attributes } = table;
  const list: Json[] = [];
  for (let i = start; i < end; i += 1)
    list.push({
      timeUnixNano: String(nanosFromWords(events.time[i * 2] ?? 0, events.time[i * 2 + 1] ?? 0)),
      name: textOrNothing(table, events.name[i]),
      attributes: entriesJson(attributes, events.attributeStart[i] ?? 0, events.attributeEnd[i] ?? 0),
      droppedAttributesCount: events.droppedAttributes[i] || undefined,
    });
  return list.length > 0 ? list : undefined;
}

function linksJson(table: SpanTable, span: Span): Json | undefined {
  const { links, attributes } = table;
  const start = table.linkStart[span.row] ?? 0;
  const list = span.links.map(({ traceId, spanId, traceState, flags, droppedAttributesCount }, index) => ({
    traceId,
    spanId,
    traceState: traceState || undefined,
    attributes: entriesJson(
      attributes,
      links.attributeStart[start + index] ?? 0,
      links.attributeEnd[start + index] ?? 0,
    ),
    droppedAttributesCount: droppedAttributesCount || undefined,
    flags: flags || undefined,
  }));
  return list.length > 0 ? list : undefined;
}

/** Entry by entry, so that a key that occurs twice stays twice. */
function entriesJson(pool: AttributePool, start: number, end: number): Json | undefined {
  const list: Json[] = [];
  for (let i = start; i < end; i += 1) list.push({ key: pool.keyAt(i), value: valueJson(pool.valueAt(i)) });
  return list.length > 0 ? list : undefined;
}

function textOrNothing(table: SpanTable, id: number | undefined): string | undefined {
  return id === undefined || id === 0 ? undefined : table.strings.get(id);
}

export function attributesJson(attributes: Attributes): Json | undefined {
  return attributes.size === 0
    ? undefined
    : Array.from(attributes, ([key, value]) => ({ key, value: valueJson(value) }));
}

/** An AnyValue object. Values are at most `valueDepthMax` deep, so the recursion is bounded. */
export function valueJson(value: AnyValue): Json {
  if (value === null) return {};
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "bigint") return { intValue: String(value) };
  if (typeof value === "number") return { doubleValue: doubleJson(value) };
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString("base64") };
  if (value instanceof Map) {
    return { kvlistValue: { values: attributesJson(value as Attributes) ?? [] } };
  }
  return { arrayValue: { values: (value as readonly AnyValue[]).map(valueJson) } };
}

/** JSON has no NaN, no infinities and, as JavaScript writes it, no negative zero: those are strings. */
export function doubleJson(value: number): Json {
  if (Object.is(value, -0)) return "-0";
  return Number.isFinite(value) ? value : String(value);
}
