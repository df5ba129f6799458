import { type AnyValue, ValueType } from "../model/attributes.ts";
import { SpanTable, type TableMark } from "../model/span-table.ts";
import type { DecodeResult, RejectReason } from "../model/telemetry.ts";
import { endOfObject, KeySet, Literal } from "./json-keys.ts";
import { JsonScanner } from "./json-scanner.ts";
import {
  AnyValueKey,
  anyValueKeys,
  KeyValueKey,
  keyValueKeys,
  ResourceKey,
  readVariant,
  resourceKeys,
  signedOf,
  skipOther,
} from "./json-values.ts";

const topKeys = new KeySet(["resourceSpans"]);
const TopKey = { ResourceSpans: 0 } as const;

const resourceSpansKeys = new KeySet(["resource", "scopeSpans", "schemaUrl"], {
  instrumentationLibrarySpans: "scopeSpans",
});
const ResourceSpansKey = { Resource: 0, ScopeSpans: 1, SchemaUrl: 2 } as const;

const scopeSpansKeys = new KeySet(["scope", "spans", "schemaUrl"], { instrumentationLibrary: "scope" });
const ScopeSpansKey = { Scope: 0, Spans: 1, SchemaUrl: 2 } as const;

const scopeKeys = new KeySet(["name", "version", "attributes", "droppedAttributesCount"]);
const ScopeKey = { Name: 0, Version: 1, Attributes: 2, DroppedAttributesCount: 3 } as const;

const spanKeys = new KeySet([
  "traceId",
  "spanId",
  "parentSpanId",
  "name",
  "kind",
  "startTimeUnixNano",
  "endTimeUnixNano",
  "attributes",
  "status",
  "events",
  "links",
  "traceState",
  "flags",
  "droppedAttributesCount",
  "droppedEventsCount",
  "droppedLinksCount",
]);
const SpanKey = {
  TraceId: 0,
  SpanId: 1,
  ParentSpanId: 2,
  Name: 3,
  Kind: 4,
  StartTimeUnixNano: 5,
  EndTimeUnixNano: 6,
  Attributes: 7,
  Status: 8,
  Events: 9,
  Links: 10,
  TraceState: 11,
  Flags: 12,
  DroppedAttributesCount: 13,
  DroppedEventsCount: 14,
  DroppedLinksCount: 15,
} as const;

const statusKeys = new KeySet(["code", "message"]);
const StatusKey = { Code: 0, Message: 1 } as const;

const eventKeys = new KeySet(["timeUnixNano", "name", "attributes", "droppedAttributesCount"]);
const EventKey = { TimeUnixNano: 0, Name: 1, Attributes: 2, DroppedAttributesCount: 3 } as const;

const linkKeys = new KeySet([
  "traceId",
  "spanId",
  "traceState",
  "attributes",
  "droppedAttributesCount",
  "flags",
]);
const LinkKey = {
  TraceId: 0,
  SpanId: 1,
  TraceState: 2,
  Attributes: 3,
  DroppedAttributesCount: 4,
  Flags: 5,
} as const;

const kindNames = [
  "SPAN_KIND_UNSPECIFIED",
  "SPAN_KIND_INTERNAL",
  "SPAN_KIND_SERVER",
  "SPAN_KIND_CLIENT",
  "SPAN_KIND_PRODUCER",
  "SPAN_KIND_CONSUMER",
];
const statusCodeNames = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

/**
 * Reads an ExportTraceServiceRequest (TracesData) in OTLP's JSON encoding straight into the columns of `table`. Spans with a
 * value of the wrong type or a bad id are left out and counted; keys other than those of traces are skipped. Where a key
 * occurs twice the last one wins, but of lists of resources, scopes and spans nothing is dropped. Throws
 * `MalformedBodyError` with the table as it was for broken JSON and for a wrong type outside of spans.
 */
export function decodeTracesJson(body: Uint8Array, table: SpanTable): DecodeResult {
  reader ??= new TraceReader();
  const mark = table.mark();
  try {
    return reader.read(body, table);
  } catch (error) {
    table.restore(mark);
    throw error;
  } finally {
    reader.release();
  }
}

/** One for all calls: a body of one span must not pay for buffers, and the next body mostly has the same strings. */
let reader: TraceReader | undefined;

/** Guesses of keys and values, by a string id (twice that, plus one for values) modulo this. */
const guessesMax = 1024;
/** Guesses of other strings have places of their own behind those. */
const Slot = {
  SpanName: guessesMax,
  TraceState: guessesMax + 1,
  StatusMessage: guessesMax + 2,
  EventName: guessesMax + 3,
  ScopeName: guessesMax + 4,
  ScopeVersion: guessesMax + 5,
  SchemaUrl: guessesMax + 6,
} as const;

const usualStart = new Literal('{"key":');
const usualString = new Literal(',"value":{"stringValue":');
const usualInt = new Literal(',"value":{"intValue":');

const noTable = new SpanTable(0);
const noBytes = new Uint8Array(0);

/** Reads into a table and remembers which strings came where, as the next span mostly has them again. */
class TraceReader {
  #table = noTable;
  /** the table that the guesses are for; it must not live on because of them */
  #guessedFor = new WeakSet([noTable]);
  readonly #scanner = new JsonScanner();
  /** slot -> id of the string that stood there last; only strings without escapes, so that bytes can be compared */
  readonly #guesses = new Uint32Array(guessesMax + 8);
  #valueType = 0;
  #value = 0;
  #accepted = 0;
  readonly #reasons: Record<"invalid_trace_id" | "invalid_span_id" | "malformed_span", number> = {
    invalid_trace_id: 0,
    invalid_span_id: 0,
    malformed_span: 0,
  };

  read(body: Uint8Array, table: SpanTable): DecodeResult {
    const scanner = this.#scanner;
    this.#table = table;
    if (!this.#guessedFor.has(table)) {
      this.#guesses.fill(0);
      this.#guessedFor = new WeakSet([table]);
    }
    this.#accepted = 0;
    this.#reasons.invalid_trace_id = this.#reasons.invalid_span_id = this.#reasons.malformed_span = 0;
    scanner.reset(body);
    for (let key = scanner.topKey(topKeys); key !== endOfObject; key = scanner.nextKey(topKeys, key)) {
      if (key !== TopKey.ResourceSpans) scanner.skipValue();
      else
        for (let more = scanner.firstElement(); more; more = scanner.nextElement())
          if (!scanner.isNull()) this.#resourceSpans();
    }
    scanner.requireEnd();
    scanner.requireShape();
    const reasons = new Map<RejectReason, number>();
    let rejected = 0;
    for (const reason of ["invalid_trace_id", "invalid_span_id", "malformed_span"] as const) {
      const count = this.#reasons[reason];
      if (count > 0) reasons.set(reason, count);
      rejected += count;
    }
    const { stringIndices } = scanner;
    return { accepted: this.#accepted, rejected, reasons, ...(stringIndices > 0 ? { stringIndices } : {}) };
  }

  /** Lets go of the table and the body. */
  release(): void {
    this.#table.strings.release();
    this.#table = noTable;
    this.#scanner.reset(noBytes);
  }

  #resourceSpans(): void {
    const scanner = this.#scanner;
    const table = this.#table;
    const { resources } = table;
    const mark = table.mark();
    const resource = resources.add();
    let key = scanner.firstKey(resourceSpansKeys);
    for (; key !== endOfObject; key = scanner.nextKey(resourceSpansKeys, key)) {
      if (key === ResourceSpansKey.Resource) {
        if (!scanner.isNull()) this.#resource(resource);
      } else if (key === ResourceSpansKey.ScopeSpans) {
        for (let more = scanner.firstElement(); more; more = scanner.nextElement())
          if (!scanner.isNull()) this.#scopeSpans(resource);
      } else if (key === ResourceSpansKey.SchemaUrl)
        resources.schemaUrl[resource] = this.#string(Slot.SchemaUrl, resources.schemaUrl[resource] as number);
      else scanner.skipValue();
    }
    if (table.rowCount === mark.rows) table.restore(mark);
  }

  #resource(resource: number): void {
    const scanner = this.#scanner;
    const { resources, attributes } = this.#table;
    resources.attributeStart[resource] = resources.attributeEnd[resource] = attributes.length;
    resources.droppedAttributes[resource] = 0;
    let key = scanner.firstKey(resourceKeys);
    for (; key !== endOfObject; key = scanner.nextKey(resourceKeys, key)) {
      if (key === ResourceKey.Attributes) {
        resources.attributeStart[resource] = attributes.length;
        this.#attributes();
        resources.attributeEnd[resource] = attributes.length;
      } else if (key === ResourceKey.DroppedAttributesCount) {
        if (scanner.uint32()) resources.droppedAttributes[resource] = scanner.number;
      } else scanner.skipValue();
    }
  }

  #scopeSpans(resource: number): void {
    const scanner = this.#scanner;
    const table = this.#table;
    const { scopes } = table;
    const mark = table.mark();
    const scope = scopes.add();
    let key = scanner.firstKey(scopeSpansKeys);
    for (; key !== endOfObject; key = scanner.nextKey(scopeSpansKeys, key)) {
      if (key === ScopeSpansKey.Spans) {
        for (let more = scanner.firstElement(); more; more = scanner.nextElement())
          this.#span(resource, scope);
      } else if (key === ScopeSpansKey.Scope) {
        if (!scanner.isNull()) this.#scope(scope);
      } else if (key === ScopeSpansKey.SchemaUrl)
        scopes.schemaUrl[scope] = this.#string(Slot.SchemaUrl, scopes.schemaUrl[scope] as number);
      else scanner.skipValue();
    }
    if (table.rowCount === mark.rows) table.restore(mark);
  }

  #scope(scope: number): void {
    const scanner = this.#scanner;
    const { scopes, attributes } = this.#table;
    scopes.name[scope] = scopes.version[scope] = scopes.droppedAttributes[scope] = 0;
    scopes.attributeStart[scope] = scopes.attributeEnd[scope] = attributes.length;
    let key = scanner.firstKey(scopeKeys);
    for (; key !== endOfObject; key = scanner.nextKey(scopeKeys, key)) {
      if (key === ScopeKey.Name) scopes.name[scope] = this.#string(Slot.ScopeName, 0);
      else if (key === ScopeKey.Version) scopes.version[scope] = this.#string(Slot.ScopeVersion, 0);
      else if (key === ScopeKey.Attributes) {
        scopes.attributeStart[scope] = attributes.length;
        this.#attributes();
        scopes.attributeEnd[scope] = attributes.length;
      } else if (key === ScopeKey.DroppedAttributesCount) {
        if (scanner.uint32()) scopes.droppedAttributes[scope] = scanner.number;
      } else scanner.skipValue();
    }
  }

  #span(resource: number, scope: number): void {
    const scanner = this.#scanner;
    const table = this.#table;
    scanner.requireShape();
    const attributes = table.attributes.length;
    const complexValues = table.attributes.complex.length;
    const events = table.events.length;
    const links = table.links.length;
    const row = table.addRow(resource, scope);
    let key = scanner.firstKey(spanKeys);
    for (; key !== endOfObject; key = scanner.nextKey(spanKeys, key)) this.#spanField(row, key);
    const reason = this.#flawOf(row);
    if (reason === null) {
      this.#accepted += 1;
      return;
    }
    this.#reasons[reason] += 1;
    scanner.misshapen = false;
    const { resources, scopes } = table;
    const mark: TableMark = {
      rows: row,
      attributes,
      complexValues,
      events,
      links,
      resources: resources.length,
      scopes: scopes.length,
    };
    table.restore(mark);
  }

  #flawOf(row: number): "invalid_trace_id" | "invalid_span_id" | "malformed_span" | null {
    if (this.#scanner.misshapen) return "malformed_span";
    const { traceId, spanId } = this.#table;
    const at = row * 4;
    if (traceId[at] === 0 && traceId[at + 1] === 0 && traceId[at + 2] === 0 && traceId[at + 3] === 0)
      return "invalid_trace_id";
    return spanId[row * 2] === 0 && spanId[row * 2 + 1] === 0 ? "invalid_span_id" : null;
  }

  #spanField(row: number, key: number): void {
    const scanner = this.#scanner;
    const table = this.#table;
    switch (key) {
      case SpanKey.TraceId:
        if (scanner.hexId(4)) copyWords(scanner.words, table.traceId, row, 4);
        break;
      case SpanKey.SpanId:
        if (scanner.hexId(2)) copyWords(scanner.words, table.spanId, row, 2);
        break;
      case SpanKey.ParentSpanId:
        if (scanner.hexId(2)) copyWords(scanner.words, table.parentSpanId, row, 2);
        break;
      case SpanKey.Name:
        table.name[row] = this.#string(Slot.SpanName, table.name[row] as number);
        break;
      case SpanKey.Kind:
        if (scanner.enumeration(kindNames)) table.kind[row] = enumByte(scanner.number);
        break;
      case SpanKey.StartTimeUnixNano:
        if (scanner.uint64()) copyWords(scanner.words, table.startTime, row, 2);
        break;
      case SpanKey.EndTimeUnixNano:
        if (scanner.uint64()) copyWords(scanner.words, table.endTime, row, 2);
        break;
      case SpanKey.Attributes:
        table.attributeStart[row] = table.attributes.length;
        this.#attributes();
        table.attributeEnd[row] = table.attributes.length;
        break;
      case SpanKey.Status:
        if (!scanner.isNull()) this.#status(row);
        break;
      case SpanKey.Events:
        table.eventStart[row] = table.events.length;
        for (let more = scanner.firstElement(); more; more = scanner.nextElement())
          if (!scanner.isNull()) this.#event();
        table.eventEnd[row] = table.events.length;
        break;
      case SpanKey.Links:
        table.linkStart[row] = table.links.length;
        for (let more = scanner.firstElement(); more; more = scanner.nextElement())
          if (!scanner.isNull()) this.#link();
        table.linkEnd[row] = table.links.length;
        break;
      case SpanKey.TraceState:
        table.traceState[row] = this.#string(Slot.TraceState, table.traceState[row] as number);
        break;
      case SpanKey.Flags:
        if (scanner.uint32()) table.flags[row] = scanner.number;
        break;
      default:
        this.#droppedCount(row, key);
    }
  }

  #droppedCount(row: number, key: number): void {
    const scanner = this.#scanner;
    if (key < SpanKey.DroppedAttributesCount) {
      scanner.skipValue();
      return;
    }
    if (!scanner.uint32()) return;
    const { dropped } = this.#table;
    const before = dropped.get(row);
    if (before === undefined && scanner.number === 0) return;
    const counts = {
      attributes: before?.attributes ?? 0,
      events: before?.events ?? 0,
      links: before?.links ?? 0,
    };
    if (key === SpanKey.DroppedAttributesCount) counts.attributes = scanner.number;
    else if (key === SpanKey.DroppedEventsCount) counts.events = scanner.number;
    else counts.links = scanner.number;
    dropped.set(row, counts);
  }

  #status(row: number): void {
    const scanner = this.#scanner;
    const { statusCode, statusMessage } = this.#table;
    statusCode[row] = statusMessage[row] = 0;
    let key = scanner.firstKey(statusKeys);
    for (; key !== endOfObject; key = scanner.nextKey(statusKeys, key)) {
      if (key === StatusKey.Code) {
        if (scanner.enumeration(statusCodeNames)) statusCode[row] = enumByte(scanner.number);
      } else if (key === StatusKey.Message) statusMessage[row] = this.#string(Slot.StatusMessage, 0);
      else scanner.skipValue();
    }
  }

  #event(): void {
    const scanner = this.#scanner;
    const { events, attributes } = this.#table;
    const event = events.add();
    let key = scanner.firstKey(eventKeys);
    for (; key !== endOfObject; key = scanner.nextKey(eventKeys, key)) {
      if (key === EventKey.TimeUnixNano) {
        if (scanner.uint64()) copyWords(scanner.words, events.time, event, 2);
      } else if (key === EventKey.Name)
        events.name[event] = this.#string(Slot.EventName, events.name[event] as number);
      else if (key === EventKey.Attributes) {
        events.attributeStart[event] = attributes.length;
        this.#attributes();
        events.attributeEnd[event] = attributes.length;
      } else if (key === EventKey.DroppedAttributesCount) {
        if (scanner.uint32()) events.droppedAttributes[event] = scanner.number;
      } else scanner.skipValue();
    }
  }

  #link(): void {
    const scanner = this.#scanner;
    const { links, attributes } = this.#table;
    const link = links.add();
    let key = scanner.firstKey(linkKeys);
    for (; key !== endOfObject; key = scanner.nextKey(linkKeys, key)) {
      if (key === LinkKey.TraceId) {
        if (scanner.hexId(4)) copyWords(scanner.words, links.traceId, link, 4);
      } else if (key === LinkKey.SpanId) {
        if (scanner.hexId(2)) copyWords(scanner.words, links.spanId, link, 2);
      } else if (key === LinkKey.TraceState)
        links.traceState[link] = this.#string(Slot.TraceState, links.traceState[link] as number);
      else if (key === LinkKey.Attributes) {
        links.attributeStart[link] = attributes.length;
        this.#attributes();
        links.attributeEnd[link] = attributes.length;
      } else if (key === LinkKey.DroppedAttributesCount) {
        if (scanner.uint32()) links.droppedAttributes[link] = scanner.number;
      } else if (key === LinkKey.Flags) {
        if (scanner.uint32()) links.flags[link] = scanner.number;
      } else scanner.skipValue();
    }
  }

  /** Appends an array of KeyValue objects to the pool. */
  #attributes(): void {
    const scanner = this.#scanner;
    const pool = this.#table.attributes;
    let name = 0;
    for (let more = scanner.firstElement(); more; more = scanner.nextElement()) {
      if (scanner.isNull()) continue;
      const slot = (name * 2) % guessesMax;
      const start = scanner.at;
      name = this.#usualAttribute(slot);
      if (name < 0) {
        scanner.at = start;
        name = this.#anyAttribute(slot);
      }
      if (pool.keeps(name)) pool.add(name, this.#valueType, this.#value);
    }
  }

  /**
   * Reads an attribute that is written as nearly all are, {"key":"…","value":{"stringValue":"…"}} or with an intValue, into
   * `#valueType` and `#value`; answers the id of its key, or -1 if it is written otherwise.
   */
  #usualAttribute(slot: number): number {
    const scanner = this.#scanner;
    if (!scanner.takeTight(usualStart)) return -1;
    const name = this.#string(slot, -1);
    if (name < 0) return -1;
    if (!this.#table.attributes.keeps(name)) {
      if (!this.#skipUsualValue()) return -1;
    } else if (scanner.takeTight(usualString)) {
      const value = this.#string((name * 2 + 1) % guessesMax, -1);
      if (value < 0) return -1;
      this.#setValue(ValueType.String, value);
    } else {
      if (!scanner.takeTight(usualInt) || !scanner.int64()) return -1;
      this.#setInt(scanner.words);
    }
    return scanner.takeTwoEnds() ? name : -1;
  }

  /** Over the value of an attribute that nobody wants; false if it is written in another way than usual. */
  #skipUsualValue(): boolean {
    const scanner = this.#scanner;
    if (scanner.takeTight(usualString)) return scanner.string();
    return scanner.takeTight(usualInt) && scanner.int64();
  }

  /** The same for attributes of any form. */
  #anyAttribute(slot: number): number {
    const scanner = this.#scanner;
    let name = 0;
    this.#setValue(ValueType.Empty, 0);
    let key = scanner.firstKey(keyValueKeys);
    for (; key !== endOfObject; key = scanner.nextKey(keyValueKeys, key)) {
      if (key === KeyValueKey.Key) name = this.#string(slot, name);
      else if (key === KeyValueKey.Value) this.#anyValue((name * 2 + 1) % guessesMax);
      else skipOther(scanner, key === KeyValueKey.KeyIndex);
    }
    return name;
  }

  /** Reads an AnyValue object into `#valueType` and `#value`; the last of several variants wins. */
  #anyValue(slot: number): void {
    const scanner = this.#scanner;
    this.#setValue(ValueType.Empty, 0);
    let key = scanner.firstKey(anyValueKeys);
    for (; key !== endOfObject; key = scanner.nextKey(anyValueKeys, key)) {
      if (key === AnyValueKey.String) {
        const id = this.#string(slot, -1);
        if (id >= 0) this.#setValue(ValueType.String, id);
      } else if (key === AnyValueKey.Int) {
        if (scanner.int64()) this.#setInt(scanner.words);
      } else if (key === AnyValueKey.Bool) {
        if (scanner.boolean()) this.#setValue(ValueType.Bool, scanner.number);
      } else if (key === AnyValueKey.Double) {
        if (scanner.double()) this.#setValue(ValueType.Double, scanner.number);
      } else {
        const value = readVariant(scanner, key, 1);
        if (value !== undefined) this.#setComplex(value);
      }
    }
  }

  #setValue(type: number, value: number): void {
    this.#valueType = type;
    this.#value = value;
  }

  #setInt(words: Uint32Array): void {
    const high = (words[0] as number) | 0;
    // A double holds 54 bits with the sign.
    if (high >= -0x200000 && high < 0x200000)
      this.#setValue(ValueType.Int, high * 0x1_0000_0000 + (words[1] as number));
    else this.#setComplex(signedOf(words));
  }

  #setComplex(value: AnyValue): void {
    const { complex } = this.#table.attributes;
    this.#setValue(ValueType.Complex, complex.push(value) - 1);
  }

  /** The id of the string value here, or `absent` where there is none. */
  #string(slot: number, absent: number): number {
    const scanner = this.#scanner;
    const { strings } = this.#table;
    const guess = this.#guesses[slot] as number;
    if (scanner.isKnownString(strings, guess)) return guess;
    if (!scanner.string()) return absent;
    const id = strings.internBytes(scanner.text, scanner.textStart, scanner.textEnd);
    if (!scanner.textWasEscaped) this.#guesses[slot] = id;
    return id;
  }
}

/** Columns for kinds and codes have one byte; numbers that OTLP may get some day stay beyond the known ones. */
function enumByte(value: number): number {
  return value >= 0 && value <= 255 ? value : 255;
}

function copyWords(words: Uint32Array, column: Uint32Array, row: number, count: number): void {
  const at = row * count;
  for (let i = 0; i < count; i += 1) column[at + i] = words[i] as number;
}
