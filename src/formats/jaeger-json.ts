import { ValueType } from "../model/attributes.ts";
import { SpanKind, type SpanTable, StatusCode } from "../model/span-table.ts";
import { type DecodeResult, MalformedBodyError, type RejectReason } from "../model/telemetry.ts";

/**
 * Adds a trace of Jaeger's JSON (an element of `data`, or a bare one) to the table. A span's parent is its first CHILD_OF in
 * the same trace; all other references are links. Tags that stand for fields of OpenTelemetry become these fields. Ids are
 * padded on the left where zeros are missing, and hashed where they are not hex at all. A span without ids is left out and
 * counted. Throws `MalformedBodyError`, with the table as before, for what has no list of spans.
 */
export function appendJaegerTrace(trace: unknown, table: SpanTable): DecodeResult {
  if (!isObject(trace)) throw new MalformedBodyError("is no trace: an object with spans expected", 0);
  const { spans, processes, traceID } = trace;
  if (!Array.isArray(spans)) throw new MalformedBodyError("is no trace: it has no list of spans", 0);
  const appender = new SpanAppender(table, traceID, { resources: new Map(), scopes: new Map() });
  appender.shift = relativeShift(spans);
  if (isObject(processes)) appender.processes = new Map(Object.entries(processes));
  for (const span of spans as readonly unknown[]) appender.append(span);
  return appender.result();
}

/**
 * Adds one span as Jaeger stores it in Elasticsearch, with its process inline: tags as a list, as an object whose names have
 * `@` for `.`, or both. Throws `MalformedBodyError`, with the table as before, for what is no span.
 */
export function appendJaegerDocument(document: unknown, table: SpanTable): DecodeResult {
  if (!isObject(document) || document["spanID"] === undefined)
    throw new MalformedBodyError("is no span: it has no spanID", 0);
  const appender = new SpanAppender(table, undefined, documentEnvelopesOf(table));
  appender.append(document);
  return appender.result();
}

interface Json {
  readonly [key: string]: unknown;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Times below are no dates, but count from the beginning of a trace that somebody wrote by hand. */
const relativeMicrosMax = 86_400_000_000;

/**
 * Microseconds to add to all times of a trace: one, where its clock begins at 0, for there a start of 0 is no missing one.
 */
function relativeShift(spans: readonly unknown[]): 0 | 1 {
  let hasZero = false;
  for (const span of spans) {
    if (!isObject(span) || typeof span["startTime"] !== "number") continue;
    if (span["startTime"] > relativeMicrosMax) return 0;
    if (span["startTime"] === 0) hasZero = true;
  }
  return hasZero ? 1 : 0;
}

const kindByWord: ReadonlyMap<string, number> = new Map([
  ["internal", SpanKind.Internal],
  ["server", SpanKind.Server],
  ["client", SpanKind.Client],
  ["producer", SpanKind.Producer],
  ["consumer", SpanKind.Consumer],
]);

type SpanFlaw = "invalid_trace_id" | "invalid_span_id" | "malformed_span";

/** Where the resources and scopes are that were added before, by what they say. */
interface Envelopes {
  readonly resources: Map<string, number>;
  readonly scopes: Map<string, number>;
}

/** For documents, which bring a process each: what the table has of them. */
const documentEnvelopes = new WeakMap<SpanTable, Envelopes>();
const envelopesMax = 10_000;

function documentEnvelopesOf(table: SpanTable): Envelopes {
  const known = documentEnvelopes.get(table);
  if (known !== undefined && known.resources.size + known.scopes.size <= envelopesMax) return known;
  const fresh: Envelopes = { resources: new Map(), scopes: new Map() };
  documentEnvelopes.set(table, fresh);
  return fresh;
}

class SpanAppender {
  processes: ReadonlyMap<string, unknown> = new Map();
  /** microseconds to add to all times */
  shift: 0 | 1 = 0;
  readonly #table: SpanTable;
  /** of the trace; spans may have their own */
  readonly #traceId: unknown;
  readonly #envelopes: Envelopes;
  readonly #words = new Uint32Array(4);
  readonly #reasons = new Map<RejectReason, number>();
  #accepted = 0;
  #rejected = 0;
  // Of the span that is being read:
  #row = 0;
  #scopeName = "";
  #scopeVersion = "";
  #isError = false;
  #statusWord = "";
  #droppedAttributes = 0;
  #droppedEvents = 0;
  #droppedLinks = 0;

  constructor(table: SpanTable, traceId: unknown, envelopes: Envelopes) {
    this.#table = table;
    this.#traceId = traceId;
    this.#envelopes = envelopes;
  }

  result(): DecodeResult {
    this.#table.strings.release();
    return { accepted: this.#accepted, rejected: this.#rejected, reasons: this.#reasons };
  }

  append(span: unknown): void {
    const flaw = isObject(span) ? this.#append(span) : "malformed_span";
    if (flaw === null) {
      this.#accepted += 1;
      return;
    }
    this.#rejected += 1;
    this.#reasons.set(flaw, (this.#reasons.get(flaw) ?? 0) + 1);
  }

  #append(span: Json): SpanFlaw | null {
    const table = this.#table;
    const traceId = idText(span["traceID"]) || idText(this.#traceId);
    const spanId = idText(span["spanID"]);
    if (!readId(traceId, this.#words, 4)) return "invalid_trace_id";
    const [a = 0, b = 0, c = 0, d = 0] = this.#words;
    if (!readId(spanId, this.#words, 2)) return "invalid_span_id";
    const [high = 0, low = 0] = this.#words;
    const resource = this.#resourceOf(span);
    const row = table.addRow(resource, 0);
    this.#row = row;
    table.traceId[row * 4] = a;
    table.traceId[row * 4 + 1] = b;
    table.traceId[row * 4 + 2] = c;
    table.traceId[row * 4 + 3] = d;
    table.spanId[row * 2] = high;
    table.spanId[row * 2 + 1] = low;
    table.name[row] =
      typeof span["operationName"] === "string" ? table.strings.intern(span["operationName"]) : 0;
    table.flags[row] = numberIn(span["flags"]) & sampledFlag;
    this.#times(span);
    this.#attributes(span);
    this.#events(span["logs"]);
    this.#references(span, traceId);
    return null;
  }

  #times(span: Json): void {
    const { startTime, endTime } = this.#table;
    const given = microsIn(span["startTime"]);
    const start = Number.isNaN(given) ? numberIn(span["startTimeMillis"]) * 1000 : given;
    const duration = microsIn(span["duration"]);
    putMicros(start + this.shift, startTime, this.#row);
    if (!Number.isNaN(duration)) putMicros(start + this.shift + duration, endTime, this.#row);
  }

  #attributes(span: Json): void {
    const table = this.#table;
    const row = this.#row;
    this.#scopeName = this.#scopeVersion = this.#statusWord = "";
    this.#isError = false;
    this.#droppedAttributes = this.#droppedEvents = this.#droppedLinks = 0;
    const { tags, tag, warnings } = span;
    if (Array.isArray(tags))
      for (const item of tags as readonly unknown[])
        if (isObject(item) && typeof item["key"] === "string" && !this.#field(item["key"], item["value"]))
          this.#attribute(item["key"], item["type"], item["value"]);
    if (isObject(tag))
      for (const [key, value] of Object.entries(tag)) {
        const name = key.replaceAll("@", ".");
        if (!this.#field(name, value)) this.#attribute(name, undefined, value);
      }
    if (Array.isArray(warnings) && warnings.length > 0) {
      const key = table.strings.intern(warningsKey);
      if (table.attributes.keeps(key)) table.attributes.addValue(key, warnings.map(String));
    }
    table.attributeEnd[row] = table.attributes.length;
    if (this.#isError || this.#statusWord === "ERROR") table.statusCode[row] = StatusCode.Error;
    else if (this.#statusWord === "OK") table.statusCode[row] = StatusCode.Ok;
    if (this.#droppedAttributes + this.#droppedEvents + this.#droppedLinks > 0)
      table.dropped.set(row, {
        attributes: this.#droppedAttributes,
        events: this.#droppedEvents,
        links: this.#droppedLinks,
      });
    table.scope[row] = this.#scopeOf(this.#scopeName, this.#scopeVersion);
  }

  /** Takes a tag that stands for a field of the span; false for one that is an attribute. */
  #field(key: string, value: unknown): boolean {
    switch (key) {
      case "span.kind": {
        const kind = typeof value === "string" ? kindByWord.get(value.toLowerCase()) : undefined;
        if (kind !== undefined) this.#table.kind[this.#row] = kind;
        return kind !== undefined;
      }
      case "error":
        if (value !== true && value !== "true") return value === false || value === "false";
        this.#isError = true;
        return true;
      case "otel.status_code":
        this.#statusWord = String(value).toUpperCase();
        return true;
      case "otel.status_description":
        this.#table.statusMessage[this.#row] = this.#table.strings.intern(String(value));
        return true;
      case "otel.scope.name":
      case "otel.library.name":
        this.#scopeName = String(value);
        return true;
      case "otel.scope.version":
      case "otel.library.version":
        this.#scopeVersion = String(value);
        return true;
      case "w3c.tracestate":
        this.#table.traceState[this.#row] = this.#table.strings.intern(String(value));
        return true;
      case "otel.dropped_attributes_count":
        this.#droppedAttributes = countIn(value);
        return true;
      case "otel.dropped_events_count":
        this.#droppedEvents = countIn(value);
        return true;
      case "otel.dropped_links_count":
        this.#droppedLinks = countIn(value);
        return true;
      default:
        return false;
    }
  }

  #attribute(name: string, type: unknown, value: unknown): void {
    const { attributes, strings } = this.#table;
    const key = strings.intern(name);
    if (!attributes.keeps(key)) return;
    if (typeof value === "string" && (type === "string" || type === undefined))
      attributes.add(key, ValueType.String, strings.intern(value));
    else if (typeof value === "boolean") attributes.add(key, ValueType.Bool, value ? 1 : 0);
    else if (typeof value === "number" && type !== "string") this.#number(key, type, value);
    else this.#textual(key, type, value);
  }

  #number(key: number, type: unknown, value: number): void {
    const { attributes } = this.#table;
    const isInt = type === "float64" ? false : Number.isInteger(value);
    if (!isInt) attributes.add(key, ValueType.Double, value);
    else if (Number.isSafeInteger(value)) attributes.add(key, ValueType.Int, value);
    else attributes.addValue(key, BigInt.asIntN(64, BigInt(value)));
  }

  /** A value written as text whatever its type, as Elasticsearch and 64-bit integers have it; else anything as text. */
  #textual(key: number, type: unknown, value: unknown): void {
    const { attributes, strings } = this.#table;
    const text = typeof value === "string" ? value : value === null ? "" : (JSON.stringify(value) ?? "");
    if (type === "bool" && (text === "true" || text === "false"))
      attributes.add(key, ValueType.Bool, text === "true" ? 1 : 0);
    else if (type === "int64" && /^-?\d{1,19}$/.test(text))
      attributes.addValue(key, BigInt.asIntN(64, BigInt(text)));
    else if (type === "float64" && (text === "NaN" || !Number.isNaN(Number(text || "NaN"))))
      attributes.add(key, ValueType.Double, Number(text));
    else if (type === "binary" && /^[\w+/-]*={0,2}$/.test(text))
      attributes.addValue(key, new Uint8Array(Buffer.from(text, "base64")));
    else attributes.add(key, ValueType.String, strings.intern(text));
  }

  #events(logs: unknown): void {
    if (!Array.isArray(logs) || logs.length === 0) return;
    const { events, eventEnd } = this.#table;
    for (const log of logs as readonly unknown[]) if (isObject(log)) this.#event(log);
    eventEnd[this.#row] = events.length;
  }

  #event(log: Json): void {
    const { events, attributes, strings } = this.#table;
    const event = events.add();
    putMicros(microsIn(log["timestamp"]) + this.shift, events.time, event);
    events.attributeStart[event] = attributes.length;
    const fields: readonly unknown[] = Array.isArray(log["fields"]) ? log["fields"] : [];
    const named = fields.find(
      (field) => isObject(field) && field["key"] === "event" && typeof field["value"] === "string",
    );
    const name = isObject(named) ? String(named["value"]) : "";
    // OpenTracing's way to log an exception, which OpenTelemetry's specification translates so.
    const isError = name === "error";
    events.name[event] = strings.intern(isError ? "exception" : name);
    for (const field of fields) {
      if (!isObject(field) || field === named || typeof field["key"] !== "string") continue;
      const key = isError ? (exceptionNames.get(field["key"]) ?? field["key"]) : field["key"];
      if (key === "otel.dropped_attributes_count") events.droppedAttributes[event] = countIn(field["value"]);
      else this.#attribute(key, field["type"], field["value"]);
    }
    events.attributeEnd[event] = attributes.length;
  }

  #references(span: Json, traceId: string): void {
    const table = this.#table;
    const { references, parentSpanID } = span;
    const list: readonly unknown[] = Array.isArray(references) ? references : [];
    const parent = list.find(
      (reference) =>
        isObject(reference) &&
        isChildOf(reference) &&
        isSameId(idText(reference["traceID"]) || traceId, traceId),
    );
    const parentId = isObject(parent) ? parent["spanID"] : parentSpanID;
    if (readId(idText(parentId), this.#words, 2))
      table.parentSpanId.set(this.#words.subarray(0, 2), this.#row * 2);
    for (const reference of list)
      if (isObject(reference) && reference !== parent) this.#link(reference, traceId);
    table.linkEnd[this.#row] = table.links.length;
  }

  #link(reference: Json, traceId: string): void {
    const { links, attributes, strings } = this.#table;
    const spanId = idText(reference["spanID"]);
    if (!readId(spanId, this.#words, 2)) return;
    const link = links.add();
    links.spanId.set(this.#words.subarray(0, 2), link * 2);
    if (readId(idText(reference["traceID"]) || traceId, this.#words, 4))
      links.traceId.set(this.#words, link * 4);
    links.attributeStart[link] = attributes.length;
    if (isChildOf(reference)) {
      const key = strings.intern("opentracing.ref_type");
      if (attributes.keeps(key)) attributes.add(key, ValueType.String, strings.intern("child_of"));
    }
    links.attributeEnd[link] = attributes.length;
  }

  #resourceOf({ processID, process }: Json): number {
    const { resources } = this.#envelopes;
    const key = isObject(process) ? JSON.stringify(process) : idText(processID);
    const known = resources.get(key);
    if (known !== undefined) return known;
    const resource = this.#addResource(isObject(process) ? process : this.processes.get(key));
    resources.set(key, resource);
    return resource;
  }

  #addResource(process: unknown): number {
    const { resources, attributes } = this.#table;
    const resource = resources.add();
    resources.attributeStart[resource] = attributes.length;
    if (isObject(process)) {
      const { serviceName, tags, tag } = process;
      if (typeof serviceName === "string" && serviceName !== noServiceName)
        this.#attribute("service.name", "string", serviceName);
      if (Array.isArray(tags))
        for (const item of tags as readonly unknown[])
          if (isObject(item) && typeof item["key"] === "string")
            this.#attribute(resourceName(item["key"]), item["type"], item["value"]);
      if (isObject(tag))
        for (const [key, value] of Object.entries(tag))
          this.#attribute(resourceName(key.replaceAll("@", ".")), undefined, value);
    }
    resources.attributeEnd[resource] = attributes.length;
    return resource;
  }

  #scopeOf(name: string, version: string): number {
    const { scopes, strings } = this.#table;
    const key = `${name}\u0000${version}`;
    const known = this.#envelopes.scopes.get(key);
    if (known !== undefined) return known;
    const scope = scopes.add();
    scopes.name[scope] = strings.intern(name);
    scopes.version[scope] = strings.intern(version);
    this.#envelopes.scopes.set(key, scope);
    return scope;
  }
}

/** What Jaeger calls a service that has no name. */
const noServiceName = "OTLPResourceNoServiceName";
/** The name that Jaeger 2 gives to warnings of a span. */
const warningsKey = "@jaeger@warnings";
/** Of Jaeger's flags only this one means the same in OpenTelemetry. */
const sampledFlag = 1;

const exceptionNames: ReadonlyMap<string, string> = new Map([
  ["error.kind", "exception.type"],
  ["message", "exception.message"],
  ["stack", "exception.stacktrace"],
]);

function resourceName(tag: string): string {
  return tag === "hostname" ? "host.name" : tag;
}

function isChildOf(reference: Json): boolean {
  return reference["refType"] === "CHILD_OF" || reference["refType"] === undefined;
}

function numberIn(value: unknown): number {
  return typeof value === "number"
    ? value
    : typeof value === "string" && value !== ""
      ? Number(value)
      : Number.NaN;
}

/** Microseconds, perhaps with a fraction; NaN for what is no time. */
function microsIn(value: unknown): number {
  const micros = typeof value === "number" ? value : numberIn(value);
  return Number.isFinite(micros) ? micros : Number.NaN;
}

function countIn(value: unknown): number {
  const count = numberIn(value);
  return count > 0 && count <= 0xffff_ffff ? Math.floor(count) : 0;
}

/** Writes microseconds as nanoseconds in two words; what is no time from 1970 to 2554 is left unknown. */
function putMicros(micros: number, words: Uint32Array, index: number): void {
  if (!(micros > 0 && micros < 18_446_744_073_709_550)) return;
  const whole = Math.floor(micros);
  const upper = Math.floor(whole / 0x1_0000_0000);
  // Below 2^43, so all parts are exact.
  const nanos = (whole - upper * 0x1_0000_0000) * 1000 + Math.floor((micros - whole) * 1000);
  const carry = Math.floor(nanos / 0x1_0000_0000);
  words[index * 2] = upper * 1000 + carry;
  words[index * 2 + 1] = nanos - carry * 0x1_0000_0000;
}

function idText(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

/** Whether two ids are the same, leading zeros and case aside. */
function isSameId(a: string, b: string): boolean {
  return a === b || a.toLowerCase().replace(/^0+/, "") === b.toLowerCase().replace(/^0+/, "");
}

/** Reads an id of `count` words; false if there is none, or it is all zero. */
function readId(text: string, words: Uint32Array, count: 2 | 4): boolean {
  const { length } = text;
  if (length === 0) return false;
  if (length > count * 8 || !readHex(text, words, count)) hashId(text, words, count);
  return words[0] !== 0 || words[1] !== 0 || (count === 4 && (words[2] !== 0 || words[3] !== 0));
}

/** Hex digits, right-aligned; false where something else stands among them. */
function readHex(text: string, words: Uint32Array, count: number): boolean {
  let end = text.length;
  for (let word = count - 1; word >= 0; word -= 1) {
    let value = 0;
    for (let at = Math.max(0, end - 8); at < end; at += 1) {
      const code = text.charCodeAt(at);
      const digit = code < 0x3a ? code - 0x30 : (code | 0x20) - 0x57;
      if (digit < 0 || digit > 15 || (code >= 0x3a && digit < 10)) return false;
      value = (value << 4) | digit;
    }
    words[word] = value;
    end = Math.max(0, end - 8);
  }
  return true;
}

/** A text that is no id as one: equal texts are equal ids, and all words depend on all of it (FNV-1a, then mixed). */
function hashId(text: string, words: Uint32Array, count: number): void {
  for (let word = 0; word < count; word += 1) {
    let hash = 0x811c9dc5 ^ Math.imul(word + 1, 0x9e3779b1);
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    words[word] = hash ^ (hash >>> 13);
  }
}
