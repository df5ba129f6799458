import { SpanKind, type SpanTable } from "../model/span-table.ts";
import type { StringDictionary } from "../model/string-dictionary.ts";
import { type DecodeResult, MalformedBodyError } from "../model/telemetry.ts";
import { uint64Of } from "../otlp/protobuf-values.ts";
import { broken, Wire } from "../otlp/protobuf-wire.ts";
import { zipkinRows } from "./zipkin-rows.ts";
import type { ZipkinEndpoint, ZipkinSpan } from "./zipkin-span.ts";

/**
 * Appends the spans of a Zipkin ListOfSpans (zipkin.proto) to a table. A span that cannot be used is left out and counted.
 * Where the list itself is broken `MalformedBodyError` is thrown, with the table as it was before.
 */
export function decodeZipkinSpans(body: Uint8Array, table: SpanTable): DecodeResult {
  const rows = zipkinRows(table);
  const reader = new SpanReader(body, rows.span, table.strings);
  const { wire } = reader;
  const end = body.length;
  let at = 0;
  while (at < end) {
    at = wire.tag(at, end);
    if (at === broken) break;
    if (wire.low !== 0x0a) {
      at = wire.skip(wire.low, at, end);
      if (at === broken) break;
      continue;
    }
    at = wire.length(at, end);
    if (at === broken) break;
    const next = wire.next;
    if (reader.span(at, next)) rows.add();
    else rows.reject("malformed_span");
    at = next;
  }
  if (at !== broken) return rows.result();
  rows.undo();
  throw new MalformedBodyError(`not a protobuf list of Zipkin spans: ${wire.problem}`, wire.problemAt);
}

/**
 * Whether bytes begin like a ListOfSpans: with a span that begins with a trace id of 8 or 16 bytes, mostly a parent, and an id
 * of 8 bytes. The first messages in an OTLP request have other lengths.
 */
export function isZipkinProtobuf(head: Uint8Array): boolean {
  const wire = new Wire(head);
  const end = head.length;
  if (head[0] !== 0x0a) return false;
  let at = wire.varint(1, end);
  if (at === broken || wire.high !== 0 || head[at] !== 0x0a) return false;
  const length = head[at + 1];
  if (length !== 8 && length !== 16) return false;
  at += 2 + length;
  if (head[at] === 0x12 && head[at + 1] === 8) at += 10;
  return head[at] === 0x1a && head[at + 1] === 8;
}

/** Kinds by their numbers in zipkin.proto. */
const kinds = [SpanKind.Unspecified, SpanKind.Client, SpanKind.Server, SpanKind.Producer, SpanKind.Consumer];

/** Reads messages of one body; false = broken, and `wire` says why. */
class SpanReader {
  readonly wire: Wire;
  readonly #span: ZipkinSpan;
  readonly #strings: StringDictionary;
  /** of the field that was read last: its tag, and where its content starts */
  #tag = 0;
  #start = 0;
  #lastKey = 0;

  constructor(body: Uint8Array, span: ZipkinSpan, strings: StringDictionary) {
    this.wire = new Wire(body);
    this.#span = span;
    this.#strings = strings;
  }

  span(start: number, end: number): boolean {
    const span = this.#span;
    const { wire } = this;
    span.clear();
    this.#lastKey = 0;
    let at = start;
    while (at < end) {
      at = this.#field(at, end);
      if (at === broken) return false;
      const tag = this.#tag;
      if (tag === 0x31) span.timestamp = this.#fixed64();
      else if (tag === 0x38) span.duration = uint64Of(wire);
      else if (tag === 0x20) span.kind = kinds[uint64Of(wire)] ?? SpanKind.Unspecified;
      else if (tag === 0x68) span.isShared = wire.low !== 0;
      else if ((tag & 7) === 2 && !this.#part(tag, this.#start, at)) return false;
    }
    return true;
  }

  /** One field of a span that has a length. */
  #part(tag: number, start: number, end: number): boolean {
    const span = this.#span;
    switch (tag) {
      case 0x0a:
        span.hasTraceId = this.#id(span.traceId, start, end);
        return true;
      case 0x12:
        this.#id(span.parentId, start, end);
        return true;
      case 0x1a:
        span.hasId = this.#id(span.id, start, end);
        return true;
      case 0x2a:
        span.name = this.#text(start, end);
        return true;
      case 0x42:
        return this.#endpoint(start, end, span.local);
      case 0x4a:
        return this.#endpoint(start, end, span.remote);
      case 0x52:
        return this.#annotation(start, end);
      case 0x5a:
        return this.#mapEntry(start, end);
      default:
        return true;
    }
  }

  #endpoint(start: number, end: number, endpoint: ZipkinEndpoint): boolean {
    const { wire } = this;
    let at = start;
    while (at < end) {
      at = this.#field(at, end);
      if (at === broken) return false;
      if (this.#tag === 0x0a) endpoint.serviceName = this.#text(this.#start, at);
      else if (this.#tag === 0x12)
        endpoint.ipv4 = this.#strings.intern(ipv4Text(wire.bytes.subarray(this.#start, at)));
      else if (this.#tag === 0x1a)
        endpoint.ipv6 = this.#strings.intern(ipv6Text(wire.bytes.subarray(this.#start, at)));
      else if (this.#tag === 0x20) endpoint.port = uint64Of(wire);
    }
    return true;
  }

  #annotation(start: number, end: number): boolean {
    let timestamp = 0;
    let text = 0;
    let at = start;
    while (at < end) {
      at = this.#field(at, end);
      if (at === broken) return false;
      if (this.#tag === 0x09) timestamp = this.#fixed64();
      else if (this.#tag === 0x12) text = this.#text(this.#start, at);
    }
    this.#span.addAnnotation(timestamp, text);
    return true;
  }

  /** A tag. */
  #mapEntry(start: number, end: number): boolean {
    const { bytes } = this.wire;
    let key = 0;
    let valueStart = 0;
    let valueEnd = 0;
    let at = start;
    while (at < end) {
      at = this.#field(at, end);
      if (at === broken) return false;
      if (this.#tag === 0x0a) key = this.#strings.internAfter(this.#lastKey * 2, bytes, this.#start, at);
      else if (this.#tag === 0x12) {
        valueStart = this.#start;
        valueEnd = at;
      }
    }
    this.#lastKey = key;
    if (this.#span.wants(key))
      this.#span.addTag(key, this.#strings.internAfter(key * 2 + 1, bytes, valueStart, valueEnd), null);
    return true;
  }

  /** Reads the field that starts at `start`; answers where it ends. A varint is in `wire` then. */
  #field(start: number, end: number): number {
    const { wire } = this;
    const at = wire.tag(start, end);
    if (at === broken) return broken;
    const tag = wire.low;
    this.#tag = tag;
    this.#start = at;
    if ((tag & 7) !== 2) return wire.skip(tag, at, end);
    this.#start = wire.length(at, end);
    return this.#start === broken ? broken : wire.next;
  }

  /** Puts an id of 8 bytes, or as many as there is room for; false if it is another length, or all zero. */
  #id(words: Uint32Array, start: number, end: number): boolean {
    const { view } = this.wire;
    const { length } = words;
    const count = (end - start) / 4;
    words.fill(0);
    if (count !== 2 && count !== length) return false;
    let bits = 0;
    for (let i = 0; i < count; i += 1) {
      const word = view.getUint32(start + i * 4);
      words[length - count + i] = word;
      bits |= word;
    }
    return bits !== 0;
  }

  #text(start: number, end: number): number {
    return this.#strings.internBytes(this.wire.bytes, start, end);
  }

  /** The one that was read last. Beyond 2^53, in the year 2255, it loses its last digits. */
  #fixed64(): number {
    const { view } = this.wire;
    return view.getUint32(this.#start + 4, true) * 4_294_967_296 + view.getUint32(this.#start, true);
  }
}

/** "" unless there are four bytes. */
function ipv4Text(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : "";
}

/** As RFC 5952 writes it, the longest run of zeros left out; "" unless there are sixteen bytes. */
function ipv6Text(bytes: Uint8Array): string {
  if (bytes.length !== 16) return "";
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[i * 2] as number) << 8) | (bytes[i * 2 + 1] as number)).toString(16),
  );
  const text = groups.join(":");
  const runs = [...text.matchAll(/\b0(?::0)+\b/g)].map(([run]) => run);
  const [longest] = runs.sort((a, b) => b.length - a.length);
  if (longest === undefined) return text;
  return text.replace(new RegExp(`(^|:)${longest}(:|$)`), "::");
}
