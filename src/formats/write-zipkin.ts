import { isIP } from "node:net";
import { type Attributes, textOf } from "../model/attributes.ts";
import { spanKeys } from "../model/semconv.ts";
import { Span, type SpanEvent } from "../model/span.ts";
import { SpanKind, type SpanTable, StatusCode } from "../model/span-table.ts";
import { isErrorFlag } from "../trace/span-error.ts";
import type { RowRef } from "../trace/trace.ts";
import {
  attributesBeside,
  type Entry,
  fieldTags,
  microsAt,
  microTimes,
  resourceEntries,
  tagText,
} from "./write-tags.ts";

/** Zipkin has no word for the others: their kind is a tag. */
const kindNames: Readonly<Record<number, string>> = {
  [SpanKind.Server]: "SERVER",
  [SpanKind.Client]: "CLIENT",
  [SpanKind.Producer]: "PRODUCER",
  [SpanKind.Consumer]: "CONSUMER",
};

/** On a span these would say something about its call, which a resource cannot mean. */
const spanNames: ReadonlySet<string> = new Set(Object.values(spanKeys).flat());

/**
 * Spans of any traces as elements of Zipkin's JSON (v2), each on a line of its own, with commas between. Resource attributes
 * become tags like those of the span; events with attributes and links take the form that OpenTelemetry's collector gives
 * them (`name|{…}|0`; tags `otlp.link.0`, …). Lost: what is below a microsecond, and spans shorter than one take one; the types
 * of attributes, for tags are text; flags; the attributes of scopes; schema URLs.
 */
export function zipkinJson(rows: readonly RowRef[]): string {
  return rows.map(({ table, row }) => JSON.stringify(spanJson(table, row))).join(",\n");
}

function spanJson(table: SpanTable, row: number): object {
  const span = new Span(table, row);
  const { kind } = span;
  const resource = resourceEntries(table, table.resource[row] as number);
  const { start, duration } = microTimes(table, row);
  return {
    traceId: span.traceId,
    id: span.spanId,
    parentId: span.parentSpanId ?? undefined,
    name: span.name,
    kind: kindNames[kind],
    timestamp: start,
    // To Zipkin a duration of 0 is none.
    duration: duration === undefined ? undefined : Math.max(1, duration),
    localEndpoint: localEndpoint(resource),
    remoteEndpoint: remoteEndpoint(kind, span.attributes),
    annotations: span.events.map((event, index) => ({
      timestamp: microsAt(table.events.time, (table.eventStart[row] as number) + index),
      value: annotationText(event),
    })),
    tags: tagsOf(span, resource),
  };
}

function tagsOf(span: Span, resource: readonly Entry[]): object {
  const { table, row, kind, statusCode, statusMessage } = span;
  const fields = fieldTags(table, row).filter(
    ([key]) => key !== "span.kind" || kindNames[kind] === undefined,
  );
  if (statusCode === StatusCode.Error) fields.push(["error", statusMessage || "true"]);
  const tags = new Map<string, string>();
  for (const [key, value] of attributesBeside(table, row, fields)) {
    const text = tagText(value);
    // To Zipkin a span with a tag `error` failed, whatever the tag says, unless it is "false".
    const isDenied = key === "error" && !isErrorFlag(text);
    tags.set(key, isDenied ? "false" : text);
  }
  // After those of the span: who sent it must not depend on what it says of others.
  for (const [key, value] of resource)
    if (key !== "service.name" && !spanNames.has(key)) tags.set(key, tagText(value));
  for (const [key, value] of fields) tags.set(key, tagText(value));
  for (const [index, link] of span.links.entries()) {
    const { traceId, spanId, traceState, attributes, droppedAttributesCount } = link;
    const parts = [traceId, spanId, traceState, tagText(attributes), droppedAttributesCount];
    tags.set(`otlp.link.${index}`, parts.join("|"));
  }
  // Unlike an assignment, this makes `__proto__` a key like any other.
  return Object.fromEntries(tags);
}

function annotationText({ name, attributes, droppedAttributesCount: dropped }: SpanEvent): string {
  return attributes.size === 0 && dropped === 0 ? name : `${name}|${tagText(attributes)}|${dropped}`;
}

function localEndpoint(resource: readonly Entry[]): object | undefined {
  const [, name = ""] = resource.findLast(([key]) => key === "service.name") ?? [];
  const serviceName = tagText(name);
  return serviceName === "" ? undefined : { serviceName };
}

/**
 * The far side of a call as far as the span names it: only a name that is one becomes a service name, for the name of a host
 * or a database would turn into a service when it is read. To Zipkin the far side of a message is its broker, so there the
 * name stays a tag.
 */
function remoteEndpoint(kind: number, attributes: Attributes): object | undefined {
  if (kind !== SpanKind.Client && kind !== SpanKind.Producer && kind !== SpanKind.Unspecified)
    return undefined;
  const serviceName = kind === SpanKind.Producer ? "" : firstText(attributes, spanKeys.peerName);
  const address = [...spanKeys.address, ...spanKeys.networkAddress]
    .map((key) => textOf(attributes.get(key)))
    .find((text) => isIP(text) !== 0);
  if (serviceName === "" && address === undefined) return undefined;
  const port = Number(firstText(attributes, [...spanKeys.port, ...spanKeys.networkPort]));
  return {
    serviceName: serviceName || undefined,
    ipv4: address !== undefined && isIP(address) === 4 ? address : undefined,
    ipv6: address !== undefined && isIP(address) === 6 ? address : undefined,
    port: address !== undefined && Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined,
  };
}

function firstText(attributes: Attributes, keys: readonly string[]): string {
  for (const key of keys) {
    const text = textOf(attributes.get(key)).trim();
    if (text !== "") return text;
  }
  return "";
}
