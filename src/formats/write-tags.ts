import type { AnyValue, AttributePool } from "../model/attributes.ts";
import { Span } from "../model/span.ts";
import { type SpanTable, StatusCode } from "../model/span-table.ts";
import { writeJson } from "../wire/write-json.ts";

/** An attribute as it lies in a table: the same key may come twice. */
export type Entry = readonly [key: string, value: AnyValue];

/** By `SpanKind`; unspecified has no word, and numbers that OTLP does not have are read as internal. */
const kindWords = ["", "internal", "server", "client", "producer", "consumer"];

/**
 * What a span has and formats without a field for it carry as tags, under the names that OpenTelemetry's specification
 * ("Mapping to non-OTLP formats") gives them; the kind under OpenTracing's.
 */
export function fieldTags(table: SpanTable, row: number): Entry[] {
  const span = new Span(table, row);
  const { statusCode, statusMessage, traceState, dropped } = span;
  const scope = table.scope[row] as number;
  const tags: Entry[] = [
    ["span.kind", kindWords[span.kind] ?? "internal"],
    [
      "otel.status_code",
      statusCode === StatusCode.Error ? "ERROR" : statusCode === StatusCode.Ok ? "OK" : "",
    ],
    ["otel.status_description", statusMessage],
    ["w3c.tracestate", traceState],
    ["otel.scope.name", span.scopeName],
    ["otel.scope.version", table.strings.get(table.scopes.version[scope] ?? 0)],
    ["otel.dropped_attributes_count", dropped.attributes === 0 ? "" : BigInt(dropped.attributes)],
    ["otel.dropped_events_count", dropped.events === 0 ? "" : BigInt(dropped.events)],
    ["otel.dropped_links_count", dropped.links === 0 ? "" : BigInt(dropped.links)],
  ];
  return tags.filter(([, value]) => value !== "");
}

/** The attributes of a row without those that `taken` has a tag for: what the span itself says stands. */
export function attributesBeside(table: SpanTable, row: number, taken: readonly Entry[]): Entry[] {
  const names = new Set(taken.map(([key]) => key));
  // In both formats this tag is the status.
  if (table.statusCode[row] !== StatusCode.Unset) names.add("error");
  const { attributeStart, attributeEnd } = table;
  const entries = entriesOf(table.attributes, attributeStart[row] as number, attributeEnd[row] as number);
  return entries.filter(([key]) => !names.has(key));
}

export function entriesOf(pool: AttributePool, start: number, end: number): Entry[] {
  const entries: Entry[] = [];
  for (let i = start; i < end; i += 1) entries.push([pool.keyAt(i), pool.valueAt(i)]);
  return entries;
}

export function resourceEntries({ attributes, resources }: SpanTable, resource: number): Entry[] {
  return entriesOf(
    attributes,
    resources.attributeStart[resource] ?? 0,
    resources.attributeEnd[resource] ?? 0,
  );
}

/** Whole microseconds since 1970. Cut, never rounded: what lay within its parent still does. */
export function microsAt(words: Uint32Array, index: number): number {
  const high = words[index * 2] as number;
  const low = words[index * 2 + 1] as number;
  // 2^32 ns = 4,294,967 µs + 296 ns. Exact below 2^53 µs: until the year 2255.
  return high * 4_294_967 + Math.floor((high * 296 + low) / 1000);
}

/**
 * When a span began and how long it took, in whole microseconds; undefined = it has no start, or has not ended. One that has
 * an end alone stands there; one that ended before it began took no time.
 */
export function microTimes(
  { startTime, endTime }: SpanTable,
  row: number,
): { readonly start: number | undefined; readonly duration: number | undefined } {
  const start = microsAt(startTime, row);
  const end = microsAt(endTime, row);
  if (start === 0) return { start: end || undefined, duration: undefined };
  return { start, duration: end === 0 ? undefined : Math.max(0, end - start) };
}

/** A value where only text can stand: lists as JSON, bytes in base64, nothing as "". */
export function tagText(value: AnyValue): string {
  if (value === null) return "";
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return base64(value);
  return typeof value === "object" ? writeJson(jsonOf(value)) : doubleText(value);
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

function doubleText(value: boolean | bigint | number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Values are at most `valueDepthMax` deep, so the recursion is bounded. */
function jsonOf(value: AnyValue): unknown {
  if (value instanceof Uint8Array) return base64(value);
  if (value instanceof Map)
    return new Map(Array.from(value as ReadonlyMap<string, AnyValue>, ([key, item]) => [key, jsonOf(item)]));
  if (Array.isArray(value)) return (value as readonly AnyValue[]).map(jsonOf);
  return numberJson(value);
}

/** A number as JSON can say it: digits beyond 2^53, NaN and infinities are text. */
export function numberJson<T>(value: T): T | string | number {
  if (typeof value === "bigint") return BigInt.asIntN(54, value) === value ? Number(value) : String(value);
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0)))
    return doubleText(value);
  return value;
}
