import { decodeUtf8 } from "../base/utf8.ts";
import type { AnyValue } from "../model/attributes.ts";
import { SpanKind, SpanTable } from "../model/span-table.ts";
import { type DecodeResult, MalformedBodyError } from "../model/telemetry.ts";
import { endOfObject, KeySet } from "../otlp/json-keys.ts";
import { JsonScanner } from "../otlp/json-scanner.ts";
import { putHexId, valueOfJson, zipkinRows } from "./zipkin-rows.ts";
import { copyEndpoint, noEndpoint, type ZipkinEndpoint } from "./zipkin-span.ts";
import { halvesOf, type V1Annotation, type V1Tag } from "./zipkin-v1.ts";

/**
 * Appends the span in a JSON text of Zipkin's second model. With a value of the wrong type or a bad id it is left out and
 * counted; of keys that Zipkin does not have nothing is kept. Throws `MalformedBodyError`, with the table as it was, for a text
 * that is no JSON object.
 */
export function decodeZipkinSpan(body: Uint8Array, table: SpanTable): DecodeResult {
  return reader.read(body, table, false);
}

/** The same for the first model, where annotations such as `cs` and `sr` say what a span is, and one may be both halves of a call. */
export function decodeZipkinV1Span(body: Uint8Array, table: SpanTable): DecodeResult {
  return reader.read(body, table, true);
}

const spanKeys = new KeySet([
  "traceId",
  "id",
  "parentId",
  "name",
  "kind",
  "timestamp",
  "duration",
  "shared",
  "localEndpoint",
  "remoteEndpoint",
  "annotations",
  "tags",
  "binaryAnnotations",
]);
const SpanKey = {
  TraceId: 0,
  Id: 1,
  ParentId: 2,
  Name: 3,
  Kind: 4,
  Timestamp: 5,
  Duration: 6,
  Shared: 7,
  LocalEndpoint: 8,
  RemoteEndpoint: 9,
  Annotations: 10,
  Tags: 11,
  BinaryAnnotations: 12,
} as const;

const endpointKeys = new KeySet(["serviceName", "ipv4", "ipv6", "port"]);
const EndpointKey = { ServiceName: 0, Ipv4: 1, Ipv6: 2, Port: 3 } as const;

const annotationKeys = new KeySet(["timestamp", "value", "endpoint"]);
const AnnotationKey = { Timestamp: 0, Value: 1, Endpoint: 2 } as const;

const tagKeys = new KeySet(["key", "value", "endpoint"]);
const TagKey = { Key: 0, Value: 1, Endpoint: 2 } as const;

const kinds: ReadonlyMap<string, number> = new Map([
  ["CLIENT", SpanKind.Client],
  ["SERVER", SpanKind.Server],
  ["PRODUCER", SpanKind.Producer],
  ["CONSUMER", SpanKind.Consumer],
]);

const quote = 0x22;
const noTable = new SpanTable(0);
const noBytes = new Uint8Array(0);

class SpanReader {
  readonly #scanner = new JsonScanner();
  #table = noTable;
  #rows = zipkinRows(noTable);
  #span = this.#rows.span;
  /** of a span of the first model */
  #annotations: V1Annotation[] = [];
  #tags: V1Tag[] = [];
  #lastTag = 0;
  /** the endpoint read last, and where in the body it stands */
  #lastEndpoint = noEndpoint();
  #endpointStart = 0;
  #endpointEnd = 0;

  read(body: Uint8Array, table: SpanTable, isV1: boolean): DecodeResult {
    const scanner = this.#scanner;
    this.#table = table;
    this.#rows = zipkinRows(table);
    this.#span = this.#rows.span;
    try {
      scanner.reset(body);
      this.#span.clear();
      this.#lastTag = this.#endpointStart = this.#endpointEnd = 0;
      for (let key = scanner.topKey(spanKeys); key !== endOfObject; key = scanner.nextKey(spanKeys, key))
        this.#field(key, isV1);
      scanner.requireEnd();
      if (scanner.misshapen) this.#rows.reject("malformed_span");
      else if (isV1) this.#addHalves();
      else this.#rows.add();
      return this.#rows.result();
    } finally {
      this.#release();
    }
  }

  /** Lets go of the table and the body. */
  #release(): void {
    this.#table.strings.release();
    this.#table = noTable;
    this.#annotations = [];
    this.#tags = [];
    this.#scanner.reset(noBytes);
  }

  /** Both models have the ids, the name and the times; each has its own way to say the rest. */
  #field(key: number, isV1: boolean): void {
    const span = this.#span;
    if (key === SpanKey.TraceId) span.hasTraceId = this.#id(span.traceId);
    else if (key === SpanKey.Id) span.hasId = this.#id(span.id);
    else if (key === SpanKey.ParentId) this.#id(span.parentId);
    else if (key === SpanKey.Name) span.name = this.#text(1);
    else if (key === SpanKey.Timestamp) span.timestamp = Math.max(0, this.#micros() || 0);
    else if (key === SpanKey.Duration) span.duration = this.#micros();
    else if (isV1) this.#v1Field(key);
    else this.#v2Field(key);
  }

  #v2Field(key: number): void {
    const scanner = this.#scanner;
    const span = this.#span;
    if (key === SpanKey.Kind) span.kind = this.#kind();
    else if (key === SpanKey.LocalEndpoint) this.#endpoint(span.local);
    else if (key === SpanKey.RemoteEndpoint) this.#endpoint(span.remote);
    else if (key === SpanKey.Tags) this.#v2Tags();
    else if (key === SpanKey.Annotations)
      for (let more = scanner.firstElement(); more; more = scanner.nextElement()) {
        if (!this.#hasItem()) continue;
        const { timestamp, text } = this.#annotation();
        span.addAnnotation(timestamp, text);
      }
    else {
      if (key === SpanKey.Shared) span.isShared = scanner.bytes[scanner.at] === 0x74;
      scanner.skipValue();
    }
  }

  #v1Field(key: number): void {
    const scanner = this.#scanner;
    if (key === SpanKey.Annotations) {
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        if (this.#hasItem()) this.#annotations.push(this.#annotation());
    } else if (key === SpanKey.BinaryAnnotations) {
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        if (this.#hasItem()) this.#tags.push(this.#v1Tag());
    } else scanner.skipValue();
  }

  #v2Tags(): void {
    const scanner = this.#scanner;
    let tag = 0;
    for (let more = scanner.firstMember(); more; more = scanner.nextMember()) {
      tag = this.#textAfter(tag * 2);
      scanner.toValue();
      if (!this.#span.wants(tag)) scanner.skipValue();
      else {
        const text = this.#textAfter(tag * 2 + 1);
        this.#span.addTag(tag, text, text < 0 ? this.#value() : null);
      }
    }
  }

  #v1Tag(): V1Tag {
    const scanner = this.#scanner;
    const tag: V1Tag = { key: 0, text: -1, value: null, endpoint: null };
    /** of a value that comes before its key, which says how to read it */
    let valueAt = -1;
    for (let key = scanner.firstKey(tagKeys); key !== endOfObject; key = scanner.nextKey(tagKeys, key)) {
      if (key === TagKey.Key) tag.key = this.#text(this.#lastTag * 2);
      else if (key === TagKey.Endpoint) tag.endpoint = this.#v1Endpoint();
      else if (key === TagKey.Value && tag.key > 0) this.#v1Value(tag);
      else {
        if (key === TagKey.Value) valueAt = scanner.at;
        scanner.skipValue();
      }
    }
    this.#lastTag = tag.key;
    if (valueAt >= 0) {
      const end = scanner.at;
      scanner.at = valueAt;
      this.#v1Value(tag);
      scanner.at = end;
    }
    return tag;
  }

  #v1Value(tag: V1Tag): void {
    if (!this.#span.wants(tag.key)) this.#scanner.skipValue();
    else {
      tag.text = this.#textAfter(tag.key * 2 + 1);
      tag.value = tag.text < 0 ? this.#value() : null;
    }
  }

  #annotation(): V1Annotation {
    const scanner = this.#scanner;
    let timestamp = 0;
    let text = 0;
    let endpoint: ZipkinEndpoint | null = null;
    let key = scanner.firstKey(annotationKeys);
    for (; key !== endOfObject; key = scanner.nextKey(annotationKeys, key)) {
      if (key === AnnotationKey.Timestamp) timestamp = this.#micros() || 0;
      else if (key === AnnotationKey.Value) text = this.#text(this.#span.name * 2);
      else if (key === AnnotationKey.Endpoint) endpoint = this.#v1Endpoint();
      else scanner.skipValue();
    }
    return { timestamp, text, endpoint };
  }

  /** What is read as one span becomes one row or two. */
  #addHalves(): void {
    const span = this.#span;
    const { timestamp, duration } = span;
    const halves = halvesOf(
      { timestamp, duration, annotations: this.#annotations, tags: this.#tags },
      this.#table.strings,
    );
    for (const half of halves) {
      span.clearHalf();
      span.kind = half.kind;
      span.timestamp = half.timestamp;
      span.duration = half.duration;
      span.end = half.end;
      if (half.local !== null) copyEndpoint(half.local, span.local);
      if (half.remote !== null) copyEndpoint(half.remote, span.remote);
      for (const annotation of half.annotations) span.addAnnotation(annotation.timestamp, annotation.text);
      for (const { key, text, value } of half.tags) if (span.wants(key)) span.addTag(key, text, value);
      this.#rows.add();
    }
  }

  /**
   * Nearly every annotation of a span says the same endpoint, so its bytes are compared with the last one's before it is read.
   * With values read behind their keys at once, and not in a second pass, a span takes an eighth less time.
   */
  #v1Endpoint(): ZipkinEndpoint | null {
    const scanner = this.#scanner;
    if (scanner.takeObjectAgain(this.#endpointStart, this.#endpointEnd)) return this.#lastEndpoint;
    if (scanner.isNull()) return null;
    this.#lastEndpoint = noEndpoint();
    this.#endpointStart = scanner.at;
    this.#endpoint(this.#lastEndpoint);
    this.#endpointEnd = scanner.at;
    return this.#lastEndpoint;
  }

  #endpoint(endpoint: ZipkinEndpoint): void {
    const scanner = this.#scanner;
    let key = scanner.firstKey(endpointKeys);
    for (; key !== endOfObject; key = scanner.nextKey(endpointKeys, key)) {
      if (key === EndpointKey.ServiceName) endpoint.serviceName = this.#text(this.#span.name * 2 + 1);
      else if (key === EndpointKey.Ipv4) endpoint.ipv4 = this.#text(endpoint.serviceName * 2);
      else if (key === EndpointKey.Ipv6) endpoint.ipv6 = this.#text(endpoint.serviceName * 2 + 1);
      else if (key === EndpointKey.Port) endpoint.port = this.#micros() || 0;
      else scanner.skipValue();
    }
  }

  /** Whether an item of a list is there, as it must be. */
  #hasItem(): boolean {
    if (!this.#scanner.isNull()) return true;
    this.#scanner.misshapen = true;
    return false;
  }

  /** False for whatever is no id, of any type: without it a span may still be one. */
  #id(words: Uint32Array): boolean {
    const scanner = this.#scanner;
    if (scanner.bytes[scanner.at] === quote)
      return scanner.string() && putHexId(words, scanner.text, scanner.textStart, scanner.textEnd);
    scanner.skipValue();
    return false;
  }

  #kind(): number {
    if (!this.#scanner.string()) return SpanKind.Unspecified;
    const kind = this.#scanner.textString();
    return kinds.get(kind) ?? kinds.get(kind.toUpperCase()) ?? SpanKind.Unspecified;
  }

  /** A number, or its digits as text; NaN where there is none. */
  #micros(): number {
    const scanner = this.#scanner;
    if (!scanner.double()) return Number.NaN;
    if (!Number.isFinite(scanner.number)) scanner.misshapen = true;
    return scanner.number;
  }

  #text(context: number): number {
    const text = this.#textAfter(context);
    if (text >= 0) return text;
    this.#scanner.string();
    return 0;
  }

  /**
   * The text here; -1, and nothing is read, where it is something else. What stood at the same place last time is tried first:
   * `context` is a key of the dictionary's `internAfter`.
   */
  #textAfter(context: number): number {
    const scanner = this.#scanner;
    const { strings } = this.#table;
    const guess = strings.followerOf(context);
    if (scanner.isKnownString(strings, guess)) return guess;
    if (scanner.bytes[scanner.at] !== quote) return -1;
    scanner.string();
    return strings.internAfter(context, scanner.text, scanner.textStart, scanner.textEnd);
  }

  /** A value that Zipkin's tags should not have. */
  #value(): AnyValue {
    const scanner = this.#scanner;
    const start = scanner.at;
    scanner.skipValue();
    try {
      return valueOfJson(JSON.parse(decodeUtf8(scanner.bytes, start, scanner.at)));
    } catch (error) {
      if (error instanceof SyntaxError) throw new MalformedBodyError(`broken JSON: ${error.message}`, start);
      throw error;
    }
  }
}

/** One for all spans: each is a body of its own, and must not pay for buffers. */
const reader = new SpanReader();
