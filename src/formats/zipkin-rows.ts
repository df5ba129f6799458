import { encodeUtf8 } from "../base/utf8.ts";
import { type AnyValue, type Attributes, textOf, ValueType } from "../model/attributes.ts";
import { valueDepthMax } from "../model/limits.ts";
import { spanKeys } from "../model/semconv.ts";
import { SpanKind, type SpanTable, StatusCode, spanKindByWord, type TableMark } from "../model/span-table.ts";
import type { DecodeResult, RejectReason } from "../model/telemetry.ts";
import { databaseTags, destinationTags, Tag, ZipkinSpan } from "./zipkin-span.ts";

/** Names of databases that Zipkin's users give to their remote endpoints. */
const databaseNames: ReadonlyMap<string, string> = new Map([
  ["cassandra", "cassandra"],
  ["elasticsearch", "elasticsearch"],
  ["memcache", "memcached"],
  ["memcached", "memcached"],
  ["mongo", "mongodb"],
  ["mongodb", "mongodb"],
  ["mysql", "mysql"],
  ["postgres", "postgresql"],
  ["postgresql", "postgresql"],
  ["redis", "redis"],
]);

/** Tags that are no attributes of the span. */
const taken = Tag.Field | Tag.Scope | Tag.Link | Tag.Resource;

/** 2^64 nanoseconds. */
const microsMax = 18_446_744_073_709_000;
const twoTo32 = 4_294_967_296;

const noReasons: ReadonlyMap<RejectReason, number> = new Map();
const rowsOfTable = new WeakMap<SpanTable, ZipkinRows>();

/** The appender of a table, with its counts at zero. */
export function zipkinRows(table: SpanTable): ZipkinRows {
  let rows = rowsOfTable.get(table);
  if (rows === undefined) {
    rows = new ZipkinRows(table);
    rowsOfTable.set(table, rows);
  }
  rows.begin();
  return rows;
}

/**
 * Appends Zipkin's spans to a table and counts those that cannot be used. Two halves of a call that share an id stay two
 * rows with one id, and a partial report without times stays a row without times: whoever puts a trace together knows them.
 */
export class ZipkinRows {
  /** to be filled, and then added */
  readonly span: ZipkinSpan;
  readonly #table: SpanTable;
  #mark: TableMark;
  /** by a hash of all that they say: Zipkin repeats its endpoints on every span */
  readonly #resources = new Map<number, { readonly ids: Uint32Array; readonly resource: number }>();
  readonly #ids: number[] = [];
  readonly #scopes = new Map<string, number>();
  #reasons: Map<RejectReason, number> | null = null;
  #rejected = 0;

  constructor(table: SpanTable) {
    this.#table = table;
    this.#mark = table.mark();
    this.span = new ZipkinSpan(table);
  }

  begin(): void {
    this.#mark = this.#table.mark();
    this.#reasons = null;
    this.#rejected = 0;
  }

  /** Takes `span` in. */
  add(): void {
    const { span } = this;
    const { timestamp, duration, end } = span;
    if (!span.hasTraceId) this.reject("invalid_trace_id");
    else if (!span.hasId) this.reject("invalid_span_id");
    else if (!(Math.max(timestamp + Math.max(0, duration || 0), end) <= microsMax))
      this.reject("malformed_span");
    else {
      const table = this.#table;
      const row = table.addRow(this.#resource(), this.#scope());
      table.traceId.set(span.traceId, row * 4);
      table.spanId.set(span.id, row * 2);
      if (span.parentId[0] !== span.id[0] || span.parentId[1] !== span.id[1])
        table.parentSpanId.set(span.parentId, row * 2);
      table.name[row] = span.name;
      table.kind[row] = this.#kind();
      this.#putTimes(row);
      if (span.has(Tag.Field)) this.#putFields(row);
      this.#putTags(row);
      this.#putAnnotations(row);
      if (span.has(Tag.Link)) this.#putLinks(row);
    }
  }

  reject(reason: RejectReason): void {
    this.#rejected += 1;
    this.#reasons ??= new Map();
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }

  result(): DecodeResult {
    const { strings, rowCount } = this.#table;
    strings.release();
    const reasons = this.#reasons ?? noReasons;
    return { accepted: rowCount - this.#mark.rows, rejected: this.#rejected, reasons };
  }

  /** Leaves the table as it was before. */
  undo(): void {
    this.#table.restore(this.#mark);
    this.#table.strings.release();
    rowsOfTable.delete(this.#table);
  }

  /** What callers of old libraries leave out: only a server shares its caller's id, and some write the kind as a tag. */
  #kind(): number {
    const { span } = this;
    if (span.kind !== SpanKind.Unspecified) return span.kind;
    if (span.isShared) return SpanKind.Server;
    return span.has(Tag.Field) ? (spanKindByWord.get(span.tagText("span.kind")) ?? SpanKind.Unspecified) : 0;
  }

  #putTimes(row: number): void {
    const { timestamp, duration, end, annotationCount } = this.span;
    const { startTime, endTime } = this.#table;
    if (timestamp > 0) {
      putMicros(startTime, row, timestamp);
      if (!Number.isNaN(duration)) putMicros(endTime, row, Math.max(0, timestamp + duration));
    } else if (end > 0) putMicros(endTime, row, end);
    else if (annotationCount > 0)
      // An end alone places a span and leaves it without a duration, which a guessed start would not.
      putMicros(endTime, row, this.#earliestAnnotation());
  }

  #earliestAnnotation(): number {
    const { annotationTimes, annotationCount } = this.span;
    let earliest = 0;
    for (let i = 0; i < annotationCount; i += 1) {
      const time = annotationTimes[i] as number;
      if (time > 0 && time <= microsMax && (earliest === 0 || time < earliest)) earliest = time;
    }
    return earliest;
  }

  /** What OpenTelemetry's exporters put into tags. In Zipkin a tag `error` makes the span failed; it mostly says why. */
  #putFields(row: number): void {
    const { span } = this;
    const table = this.#table;
    const error = errorOf(span);
    const code = span.tag("otel.status_code");
    if (code === "OK") table.statusCode[row] = StatusCode.Ok;
    else if (error !== null || code === "ERROR") {
      table.statusCode[row] = StatusCode.Error;
      const message = span.tagText("otel.status_description") || (error ?? "");
      table.statusMessage[row] = table.strings.intern(message);
    }
    table.traceState[row] = table.strings.intern(span.tagText("w3c.tracestate"));
    const attributes = countOf(span.tag("otel.dropped_attributes_count"));
    const events = countOf(span.tag("otel.dropped_events_count"));
    const links = countOf(span.tag("otel.dropped_links_count"));
    if (attributes + events + links > 0) table.dropped.set(row, { attributes, events, links });
  }

  #putTags(row: number): void {
    const { span } = this;
    const { attributes, attributeEnd, kind, strings } = this.#table;
    for (let i = 0; i < span.tagCount; i += 1) {
      const key = span.tagKeys[i] as number;
      const isTaken = (span.bitsOfTag(i) & taken) !== 0;
      if ((isTaken && !isNoError(strings.get(key), span.tagValue(i))) || !attributes.keeps(key)) continue;
      const text = span.tagTexts[i] as number;
      if (text >= 0) attributes.add(key, ValueType.String, text);
      else attributes.addValue(key, span.tagValues[i] as AnyValue);
    }
    this.#putPeer(kind[row] as number);
    attributeEnd[row] = attributes.length;
  }

  /** The far side by the names that OpenTelemetry gives it. What the tags themselves say of it stands. */
  #putPeer(kind: number): void {
    const { span } = this;
    const { local, remote } = span;
    if (isPort(local.port)) this.#int("network.local.port", local.port);
    if (remote.serviceName !== 0 && !span.has(Tag.PeerName))
      this.#text("service.peer.name", remote.serviceName);
    const address = remote.ipv4 || remote.ipv6;
    if (address !== 0 && !this.#saysAddress(address)) {
      this.#text("network.peer.address", address);
      if (isPort(remote.port)) this.#int("network.peer.port", remote.port);
    }
    if (kind === SpanKind.Producer || kind === SpanKind.Consumer) this.#putDestination();
    else if (kind !== SpanKind.Server && !span.has(Tag.DbSystem)) this.#putDatabase();
  }

  #saysAddress(address: number): boolean {
    const { span } = this;
    if (span.has(Tag.NetworkAddress)) return true;
    if (!span.has(Tag.Address)) return false;
    const text = this.#table.strings.get(address);
    return spanKeys.address.some((key) => span.tag(key) === text);
  }

  #putDatabase(): void {
    const { span } = this;
    const { serviceName } = span.remote;
    let system = "";
    if (serviceName !== 0)
      system = databaseNames.get(this.#table.strings.get(serviceName).toLowerCase()) ?? "";
    if (system === "" && span.has(Tag.DbCall))
      for (const [tag, itsSystem] of databaseTags) if (span.tag(tag) !== undefined) system ||= itsSystem;
    if (system !== "") this.#attribute("db.system.name", system);
  }

  /** The remote endpoint of a message is its broker. */
  #putDestination(): void {
    const { span } = this;
    let system = this.#table.strings.get(span.remote.serviceName);
    let destination = "";
    if (span.has(Tag.DestinationName))
      for (const [tag, itsSystem] of destinationTags) {
        if (destination !== "" || span.tag(tag) === undefined) continue;
        destination = span.tagText(tag);
        system ||= itsSystem;
      }
    if (system !== "" && !span.has(Tag.MessagingSystem)) this.#attribute("messaging.system", system);
    if (destination !== "" && !span.has(Tag.Destination))
      this.#attribute("messaging.destination.name", destination);
  }

  #putAnnotations(row: number): void {
    const { annotationCount, annotationTimes, annotationTexts } = this.span;
    if (annotationCount === 0) return;
    const { events, attributes, strings, eventEnd } = this.#table;
    for (let i = 0; i < annotationCount; i += 1) {
      const text = annotationTexts[i] as number;
      const said = eventOf(strings.get(text));
      const event = events.add();
      putMicros(events.time, event, Math.min(Math.max(0, annotationTimes[i] as number), microsMax));
      events.name[event] = said === null ? text : strings.intern(said.before);
      events.attributeStart[event] = attributes.length;
      if (said !== null) {
        for (const [key, value] of said.attributes) this.#attribute(key, value);
        events.droppedAttributes[event] = said.dropped;
      }
      events.attributeEnd[event] = attributes.length;
    }
    eventEnd[row] = events.length;
  }

  #putLinks(row: number): void {
    const { span } = this;
    const { links, attributes, strings, linkEnd } = this.#table;
    for (let i = 0; i < span.tagCount; i += 1) {
      const said = (span.bitsOfTag(i) & Tag.Link) === 0 ? null : splitAttributes(textOf(span.tagValue(i)));
      if (said === null) continue;
      const [trace = "", id = "", ...state] = said.before.split("|");
      const link = links.add();
      putHexText(links.traceId.subarray(link * 4, link * 4 + 4), trace);
      putHexText(links.spanId.subarray(link * 2, link * 2 + 2), id);
      links.traceState[link] = strings.intern(state.join("|"));
      links.attributeStart[link] = attributes.length;
      for (const [key, value] of said.attributes) this.#attribute(key, value);
      links.attributeEnd[link] = attributes.length;
      links.droppedAttributes[link] = said.dropped;
    }
    linkEnd[row] = links.length;
  }

  #resource(): number {
    const { span } = this;
    const { serviceName, ipv4, ipv6 } = span.local;
    const ids = this.#ids;
    ids.length = 0;
    ids.push(serviceName, ipv4, ipv6);
    if (span.has(Tag.Resource | Tag.ServiceName))
      for (let i = 0; i < span.tagCount; i += 1)
        if ((span.bitsOfTag(i) & (Tag.Resource | Tag.ServiceName)) !== 0)
          ids.push(span.tagKeys[i] as number, this.#idOfValue(i));
    let hash = 0;
    for (const id of ids) hash = Math.imul(hash ^ id, 0x9e3779b1) ^ (hash >>> 15);
    const known = this.#resources.get(hash);
    if (known?.ids.length === ids.length && known.ids.every((id, i) => id === ids[i])) return known.resource;
    const resource = this.#addResource();
    // One with the same hash gives way, and would be added again.
    this.#resources.set(hash, { ids: Uint32Array.from(ids), resource });
    return resource;
  }

  /** The id of a tag's text; of another value that of a text that no tag has. */
  #idOfValue(tag: number): number {
    const { span } = this;
    const text = span.tagTexts[tag] as number;
    if (text >= 0) return text;
    const value = span.tagValue(tag);
    return this.#table.strings.intern(`${typeof value}\u0000${textOf(value)}`);
  }

  #addResource(): number {
    const { resources, attributes, strings } = this.#table;
    const { span } = this;
    const { serviceName, ipv4, ipv6 } = span.local;
    const resource = resources.add();
    resources.attributeStart[resource] = attributes.length;
    const name = strings.get(serviceName) || span.tagText("service.name");
    if (name !== "") this.#attribute("service.name", name);
    if (span.tag("host.ip") === undefined) {
      if (ipv4 !== 0 && ipv6 !== 0) this.#attribute("host.ip", [strings.get(ipv4), strings.get(ipv6)]);
      else if (ipv4 !== 0 || ipv6 !== 0) this.#text("host.ip", ipv4 || ipv6);
    }
    for (let i = 0; i < span.tagCount; i += 1)
      if ((span.bitsOfTag(i) & Tag.Resource) !== 0)
        this.#attribute(strings.get(span.tagKeys[i] as number), span.tagValue(i));
    resources.attributeEnd[resource] = attributes.length;
    return resource;
  }

  #scope(): number {
    const { span } = this;
    let name = "";
    let version = "";
    if (span.has(Tag.Scope)) {
      name = span.tagText("otel.scope.name") || span.tagText("otel.library.name");
      version = span.tagText("otel.scope.version") || span.tagText("otel.library.version");
    }
    const key = name === "" && version === "" ? "" : `${name}\u0000${version}`;
    let scope = this.#scopes.get(key);
    if (scope === undefined) {
      const { scopes, strings } = this.#table;
      scope = scopes.add();
      scopes.name[scope] = strings.intern(name);
      scopes.version[scope] = strings.intern(version);
      this.#scopes.set(key, scope);
    }
    return scope;
  }

  #text(name: string, text: number): void {
    const { attributes, strings } = this.#table;
    const key = strings.intern(name);
    if (attributes.keeps(key)) attributes.add(key, ValueType.String, text);
  }

  #int(name: string, value: number): void {
    const { attributes, strings } = this.#table;
    const key = strings.intern(name);
    if (attributes.keeps(key)) attributes.add(key, ValueType.Int, value);
  }

  #attribute(name: string, value: AnyValue): void {
    const { attributes, strings } = this.#table;
    const key = strings.intern(name);
    if (attributes.keeps(key)) attributes.addValue(key, value);
  }
}

/**
 * A value of JSON as an attribute's: whole numbers become OTLP's int. What lies deeper than `valueDepthMax` becomes "…", so
 * the recursion is bounded.
 */
export function valueOfJson(json: unknown, depth = 1): AnyValue {
  if (depth > valueDepthMax) return "…";
  if (typeof json === "string" || typeof json === "boolean") return json;
  if (typeof json === "number") return Number.isSafeInteger(json) ? BigInt(json) : json;
  if (Array.isArray(json)) return json.map((item) => valueOfJson(item, depth + 1));
  if (typeof json !== "object" || json === null) return null;
  return new Map(Object.entries(json).map(([key, item]) => [key, valueOfJson(item, depth + 1)]));
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
}

/** The text of a tag `error`, "" where it says no more than that; null where there is none, or it is "false". */
function errorOf(span: ZipkinSpan): string | null {
  const value = span.tag("error");
  if (value === undefined || isNoError("error", value)) return null;
  const text = textOf(value);
  return text === "true" ? "" : text;
}

/** A tag that denies an error: it says nothing of the status, and stays a tag. */
function isNoError(name: string, value: AnyValue): boolean {
  return name === "error" && textOf(value) === "false";
}

interface WithAttributes {
  readonly before: string;
  readonly attributes: Attributes;
  readonly dropped: number;
}

/**
 * An annotation is the name of an event. OpenTelemetry's exporters add its attributes: the specification as
 * `"name": {…}`, the collector as `name|{…}|0`. Null for a mere name, which is whatever does not read like that.
 */
function eventOf(value: string): WithAttributes | null {
  if (value.startsWith('"') && value.endsWith("}")) {
    const [entry, ...others] = parseAttributes(`{${value}}`) ?? [];
    if (entry !== undefined && others.length === 0 && entry[1] instanceof Map)
      return { before: entry[0], attributes: entry[1], dropped: 0 };
  }
  return splitAttributes(value);
}

/** The parts of `before|{attributes}|dropped`. */
function splitAttributes(text: string): WithAttributes | null {
  const start = text.indexOf("|{");
  const end = text.lastIndexOf("|");
  if (start < 0 || end <= start) return null;
  const attributes = parseAttributes(text.slice(start + 1, end));
  if (attributes === null) return null;
  return { before: text.slice(0, start), attributes, dropped: countOf(text.slice(end + 1)) };
}

/** The attributes in a JSON object; null for any other text. */
function parseAttributes(text: string): Attributes | null {
  try {
    const value = valueOfJson(JSON.parse(text));
    return value instanceof Map ? (value as Attributes) : null;
  } catch {
    return null;
  }
}

/** A count of what a sender dropped; anything else counts as nothing. */
function countOf(value: AnyValue | undefined): number {
  const count = value === undefined ? 0 : Number(textOf(value));
  return Number.isInteger(count) && count > 0 && count < twoTo32 ? count : 0;
}

/** Microseconds since 1970 as nanoseconds in two words, the high one first. */
function putMicros(column: Uint32Array, index: number, micros: number): void {
  const whole = Math.floor(micros);
  const high = Math.floor(whole / twoTo32);
  const nanos = (whole - high * twoTo32) * 1000 + Math.floor((micros - whole) * 1000);
  column[index * 2] = high * 1000 + Math.floor(nanos / twoTo32);
  column[index * 2 + 1] = nanos % twoTo32;
}

/**
 * Reads an id of hex digits into words, zeros on its left where it is short. False, and all zero, if it is empty, too long,
 * no hex or all zero.
 */
export function putHexId(words: Uint32Array, text: Uint8Array, start: number, end: number): boolean {
  words.fill(0);
  if (end - start > words.length * 8) return false;
  let isZero = true;
  for (let at = end - 1, nibble = 0; at >= start; at -= 1, nibble += 1) {
    const digit = hexDigit(text[at] as number);
    if (digit < 0) {
      words.fill(0);
      return false;
    }
    if (digit === 0) continue;
    isZero = false;
    const word = words.length - 1 - (nibble >> 3);
    words[word] = (words[word] as number) | (digit << ((nibble & 7) * 4));
  }
  return !isZero;
}

function putHexText(words: Uint32Array, text: string): void {
  const bytes = encodeUtf8(text);
  putHexId(words, bytes, 0, bytes.length);
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
