import { SpanKind, type SpanTable } from "../model/span-table.ts";
import type { StringDictionary } from "../model/string-dictionary.ts";
import type { DecodeResult } from "../model/telemetry.ts";
import { putHexId, valueOfJson, type ZipkinRows, zipkinRows } from "./zipkin-rows.ts";
import type { ZipkinEndpoint, ZipkinSpan } from "./zipkin-span.ts";

/**
 * Appends parsed JSON of Zipkin's second model: a span, a list of spans or a list of such lists. A span with a value of the
 * wrong type or a bad id is left out and counted; of keys that Zipkin does not have nothing is kept.
 */
export function appendZipkinSpans(spans: unknown, table: SpanTable): DecodeResult {
  return append(spans, table, (json, rows) => {
    read(json, rows.span, table.strings);
    rows.add();
  });
}

/** The same for the first model, where annotations such as `cs` and `sr` say what a span is, and one may be both halves of a call. */
export function appendZipkinV1Spans(spans: unknown, table: SpanTable): DecodeResult {
  return append(spans, table, (json, rows) => {
    for (const half of halvesOf(json)) {
      readHalf(json, half, rows.span, table.strings);
      rows.add();
    }
  });
}

type Json = Readonly<Record<string, unknown>>;

/** A value has a wrong type; null or no value at all is none. */
class Misshapen extends Error {}

function append(
  spans: unknown,
  table: SpanTable,
  appendOne: (json: Json, rows: ZipkinRows) => void,
): DecodeResult {
  const rows = zipkinRows(table);
  for (const item of Array.isArray(spans) ? spans : [spans])
    for (const span of Array.isArray(item) ? item : [item])
      try {
        appendOne(objectOf(span) ?? misshapen(), rows);
      } catch (error) {
        if (!(error instanceof Misshapen)) throw error;
        rows.reject("malformed_span");
      }
  return rows.result();
}

const kinds: ReadonlyMap<string, number> = new Map([
  ["CLIENT", SpanKind.Client],
  ["SERVER", SpanKind.Server],
  ["PRODUCER", SpanKind.Producer],
  ["CONSUMER", SpanKind.Consumer],
]);

function read(json: Json, span: ZipkinSpan, strings: StringDictionary): void {
  span.clear();
  readIds(json, span, strings);
  const kind = textOf(json["kind"]);
  span.kind = kinds.get(kind) ?? kinds.get(kind.toUpperCase()) ?? SpanKind.Unspecified;
  span.timestamp = Math.max(0, microsOf(json["timestamp"]) ?? 0);
  span.duration = microsOf(json["duration"]) ?? Number.NaN;
  span.isShared = json["shared"] === true;
  readEndpoint(objectOf(json["localEndpoint"]), span.local, strings);
  readEndpoint(objectOf(json["remoteEndpoint"]), span.remote, strings);
  for (const item of listOf(json["annotations"])) {
    const annotation = objectOf(item) ?? misshapen();
    span.addAnnotation(microsOf(annotation["timestamp"]) ?? 0, strings.intern(textOf(annotation["value"])));
  }
  const tags = objectOf(json["tags"]);
  if (tags !== null) for (const key of Object.keys(tags)) readTag(key, tags[key], span, strings);
}

function readTag(name: string, value: unknown, span: ZipkinSpan, strings: StringDictionary): void {
  const key = strings.intern(name);
  if (!span.wants(key)) return;
  if (typeof value === "string") span.addTag(key, strings.intern(value), null);
  else span.addTag(key, -1, valueOfJson(value));
}

function readIds(json: Json, span: ZipkinSpan, strings: StringDictionary): void {
  const { traceId, id, parentId } = json;
  span.hasTraceId = typeof traceId === "string" && putHexId(span.traceId, 0, 4, traceId);
  span.hasId = typeof id === "string" && putHexId(span.id, 0, 2, id);
  if (typeof parentId === "string") putHexId(span.parentId, 0, 2, parentId);
  span.name = strings.intern(textOf(json["name"]));
}

function readEndpoint(json: Json | null, endpoint: ZipkinEndpoint, strings: StringDictionary): void {
  if (json === null) return;
  endpoint.serviceName = strings.intern(textOf(json["serviceName"]));
  endpoint.ipv4 = strings.intern(textOf(json["ipv4"]));
  endpoint.ipv6 = strings.intern(textOf(json["ipv6"]));
  endpoint.port = microsOf(json["port"]) ?? 0;
}

/** The sides that a span of the first model may have, with the key of the far side's address. */
const sides = [
  { kind: SpanKind.Client, remote: "sa" },
  { kind: SpanKind.Server, remote: "ca" },
  { kind: SpanKind.Producer, remote: "ma" },
  { kind: SpanKind.Consumer, remote: "ma" },
] as const;

/** Which of them begins or ends with an annotation. What a consumer began on the wire ends when it has the message. */
const events: ReadonlyMap<string, { readonly side: number; readonly isEnd: boolean }> = new Map([
  ["cs", { side: 0, isEnd: false }],
  ["cr", { side: 0, isEnd: true }],
  ["sr", { side: 1, isEnd: false }],
  ["ss", { side: 1, isEnd: true }],
  ["ms", { side: 2, isEnd: false }],
  ["ws", { side: 2, isEnd: true }],
  ["wr", { side: 3, isEnd: false }],
  ["mr", { side: 3, isEnd: true }],
]);

interface V1Annotation {
  readonly timestamp: number;
  readonly value: string;
  readonly endpoint: Json | null;
}

interface V1Tag {
  readonly key: string;
  readonly value: unknown;
  readonly endpoint: Json | null;
}

/** A span of the first model, or one of the two that it may be. */
interface Half {
  readonly kind: number;
  timestamp: number;
  duration: number | null;
  readonly local: Json | null;
  readonly remote: Json | null;
  readonly annotations: V1Annotation[];
  readonly tags: V1Tag[];
}

/**
 * A span of the first model as one of the second, or as the two halves that it holds. What it says of its own start and
 * duration is said by the side that made it: the caller, where there is one.
 */
function halvesOf(json: Json): readonly Half[] {
  const annotations: V1Annotation[] = [];
  const starts: (V1Annotation | undefined)[] = [undefined, undefined, undefined, undefined];
  const ends: (V1Annotation | undefined)[] = [undefined, undefined, undefined, undefined];
  for (const item of listOf(json["annotations"])) {
    const annotation = v1AnnotationOf(item);
    const event = events.get(annotation.value);
    if (event === undefined) annotations.push(annotation);
    else if (event.isEnd) ends[event.side] ??= annotation;
    else starts[event.side] ??= annotation;
  }
  // A message that nobody saw on the wire begins where it ends.
  starts[3] ??= ends[3];
  const tags: V1Tag[] = [];
  const addresses = new Map<string, Json>();
  for (const item of listOf(json["binaryAnnotations"])) {
    const tag = v1TagOf(item);
    const isAddress = tag.key === "sa" || tag.key === "ca" || tag.key === "ma";
    if (isAddress && tag.endpoint !== null) addresses.set(tag.key, tag.endpoint);
    else tags.push(tag);
  }
  const halves: Half[] = [];
  sides.forEach(({ kind, remote }, i) => {
    const address = addresses.get(remote) ?? null;
    if (starts[i] !== undefined || ends[i] !== undefined)
      halves.push(halfOf(kind, address, starts[i], ends[i]));
  });
  const first = halves[0] ?? localHalf(annotations, tags, addresses);
  if (halves.length === 0) halves.push(first);
  for (const annotation of annotations)
    ownerOf(halves, first, annotation.endpoint).annotations.push(annotation);
  for (const tag of tags)
    if (tag.key !== "lc" || tag.value !== "") ownerOf(halves, first, tag.endpoint).tags.push(tag);
  const timestamp = microsOf(json["timestamp"]) ?? 0;
  if (timestamp > 0) {
    first.timestamp = timestamp;
    first.duration = microsOf(json["duration"]) ?? first.duration;
  }
  return halves;
}

function readHalf(json: Json, half: Half, span: ZipkinSpan, strings: StringDictionary): void {
  span.clear();
  readIds(json, span, strings);
  span.kind = half.kind;
  span.timestamp = half.timestamp;
  span.duration = half.duration ?? Number.NaN;
  readEndpoint(half.local, span.local, strings);
  readEndpoint(half.remote, span.remote, strings);
  for (const { timestamp, value } of half.annotations) span.addAnnotation(timestamp, strings.intern(value));
  for (const { key, value } of half.tags) readTag(key, value, span, strings);
}

function halfOf(
  kind: number,
  remote: Json | null,
  start: V1Annotation | undefined,
  end: V1Annotation | undefined,
): Half {
  const timestamp = Math.max(0, start?.timestamp ?? 0);
  const isTimed = timestamp > 0 && end !== undefined && end !== start && end.timestamp > 0;
  const duration = isTimed ? end.timestamp - timestamp : null;
  const local = start?.endpoint ?? end?.endpoint ?? null;
  return { kind, timestamp, duration, local, remote, annotations: [], tags: [] };
}

/** Work within one service; or a call of which no more is known than who its other side was. */
function localHalf(
  annotations: readonly V1Annotation[],
  tags: readonly V1Tag[],
  addresses: ReadonlyMap<string, Json>,
): Half {
  const own = [...annotations, ...tags].find(({ endpoint }) => endpoint !== null)?.endpoint ?? null;
  const callee = addresses.get("sa") ?? null;
  const caller = addresses.get("ca") ?? null;
  const kind = callee !== null ? SpanKind.Client : caller !== null ? SpanKind.Server : SpanKind.Unspecified;
  return {
    kind,
    timestamp: 0,
    duration: null,
    local: own ?? (callee === null ? null : caller),
    remote: callee ?? caller ?? addresses.get("ma") ?? null,
    annotations: [],
    tags: [],
  };
}

/** Whose an annotation is: the half of its service, else the first. */
function ownerOf(halves: readonly Half[], first: Half, endpoint: Json | null): Half {
  if (halves.length === 1 || endpoint === null) return first;
  return halves.find(({ local }) => local?.["serviceName"] === endpoint["serviceName"]) ?? first;
}

function v1AnnotationOf(item: unknown): V1Annotation {
  const json = objectOf(item) ?? misshapen();
  return {
    timestamp: microsOf(json["timestamp"]) ?? 0,
    value: textOf(json["value"]),
    endpoint: objectOf(json["endpoint"]),
  };
}

function v1TagOf(item: unknown): V1Tag {
  const json = objectOf(item) ?? misshapen();
  return {
    key: textOf(json["key"]),
    value: json["value"],
    endpoint: objectOf(json["endpoint"]),
  };
}

function objectOf(value: unknown): Json | null {
  if (value === undefined || value === null) return null;
  return typeof value === "object" && !Array.isArray(value) ? (value as Json) : misshapen();
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : misshapen();
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : misshapen();
}

/** A number, or its digits as text. */
function microsOf(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : misshapen();
}

function misshapen(): never {
  throw new Misshapen();
}
