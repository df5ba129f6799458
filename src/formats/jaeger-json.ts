import { decodeUtf8 } from "../base/utf8.ts";
import { ValueType } from "../model/attributes.ts";
import { SpanKind, SpanTable, StatusCode, type TableMark } from "../model/span-table.ts";
import { type DecodeResult, MalformedBodyError, type RejectReason } from "../model/telemetry.ts";
import { endOfObject, KeySet, Literal, unknownKey } from "../otlp/json-keys.ts";
import { JsonScanner } from "../otlp/json-scanner.ts";
import { signedOf } from "../otlp/json-values.ts";

/**
 * Adds a trace of Jaeger's JSON (an element of `data`, or a bare one) to the table. A span's parent is its first CHILD_OF in
 * the same trace; all other references are links. Tags that stand for fields of OpenTelemetry become these fields. Ids are
 * padded on the left where zeros are missing, and hashed where they are not hex at all. A span without ids is left out and
 * counted. Throws `MalformedBodyError`, with the table as before, for broken JSON and for what has no list of spans.
 */
export function appendJaegerTrace(bytes: Uint8Array, table: SpanTable): DecodeResult {
  return append(table, (reader) => {
    const mark = table.mark();
    reader.trace(bytes, 0);
    if (reader.startsAtZero()) {
      table.restore(mark);
      reader.begin(table, true);
      reader.trace(bytes, 1);
    }
  });
}

/**
 * Adds one span as Jaeger stores it in Elasticsearch, with its process inline: tags as a list, as an object whose names have
 * `@` for `.`, or both. Throws `MalformedBodyError`, with the table as before, for broken JSON and for what is no span.
 */
export function appendJaegerDocument(bytes: Uint8Array, table: SpanTable): DecodeResult {
  return append(table, (reader) => {
    reader.document(bytes);
  });
}

let reader: JaegerReader | undefined;

function append(table: SpanTable, read: (reader: JaegerReader) => void): DecodeResult {
  reader ??= new JaegerReader();
  const mark: TableMark = table.mark();
  reader.begin(table, false);
  try {
    read(reader);
    return reader.result();
  } catch (error) {
    table.restore(mark);
    reader.begin(table, true);
    throw error;
  } finally {
    reader.release();
  }
}

const traceKeys = new KeySet(["traceID", "spans", "processes"]);
const TraceKey = { TraceId: 0, Spans: 1, Processes: 2 } as const;

const spanKeys = new KeySet([
  "traceID",
  "spanID",
  "parentSpanID",
  "flags",
  "operationName",
  "references",
  "startTime",
  "startTimeMillis",
  "duration",
  "tags",
  "tag",
  "logs",
  "processID",
  "process",
  "warnings",
]);
const SpanKey = {
  TraceId: 0,
  SpanId: 1,
  ParentSpanId: 2,
  Flags: 3,
  OperationName: 4,
  References: 5,
  StartTime: 6,
  StartTimeMillis: 7,
  Duration: 8,
  Tags: 9,
  Tag: 10,
  Logs: 11,
  ProcessId: 12,
  Process: 13,
  Warnings: 14,
} as const;

const processKeys = new KeySet(["serviceName", "tags", "tag"]);
const ProcessKey = { ServiceName: 0, Tags: 1, Tag: 2 } as const;

const referenceKeys = new KeySet(["refType", "traceID", "spanID"]);
const ReferenceKey = { RefType: 0, TraceId: 1, SpanId: 2 } as const;

const logKeys = new KeySet(["timestamp", "fields"]);
const LogKey = { Timestamp: 0, Fields: 1 } as const;

const tagKeys = new KeySet(["key", "type", "value"]);
const TagKey = { Key: 0, Type: 1, Value: 2 } as const;

const typeWords = new KeySet(["string", "bool", "int64", "float64", "binary"]);
const Type = { String: 0, Bool: 1, Int64: 2, Float64: 3, Binary: 4 } as const;
const eventWord = new KeySet(["event"]);
const childWord = new KeySet(["CHILD_OF"]);
const noKeys = new KeySet([]);

/** How tags are mostly written. */
const usualStart = new Literal('{"key":');
const usualString = new Literal(',"type":"string","value":');
const usualInt = new Literal(',"type":"int64","value":');

/** What tags of one kind of owner mean. */
interface TagMeaning {
  /** from 0 */
  readonly index: number;
  /** names of tags that stand for fields, `Field` */
  readonly fields: KeySet;
  /** names that OpenTelemetry has another name for, at the same index of `newNames` */
  readonly oldNames: KeySet;
  readonly newNames: readonly string[];
}

const Field = {
  Kind: 0,
  Error: 1,
  StatusCode: 2,
  StatusDescription: 3,
  ScopeName: 4,
  ScopeVersion: 5,
  TraceState: 6,
  DroppedAttributes: 7,
  DroppedEvents: 8,
  DroppedLinks: 9,
} as const;
const fieldNames = new KeySet(
  [
    "span.kind",
    "error",
    "otel.status_code",
    "otel.status_description",
    "otel.scope.name",
    "otel.scope.version",
    "w3c.tracestate",
    "otel.dropped_attributes_count",
    "otel.dropped_events_count",
    "otel.dropped_links_count",
  ],
  { "otel.library.name": "otel.scope.name", "otel.library.version": "otel.scope.version" },
);

const tagsOfSpan: TagMeaning = { index: 0, fields: fieldNames, oldNames: noKeys, newNames: [] };
const tagsOfProcess: TagMeaning = {
  index: 1,
  fields: noKeys,
  oldNames: new KeySet(["hostname"]),
  newNames: ["host.name"],
};
const tagsOfEvent: TagMeaning = { index: 2, fields: fieldNames, oldNames: noKeys, newNames: [] };
/** OpenTracing's way to log an exception, which OpenTelemetry's specification translates so. */
const tagsOfException: TagMeaning = {
  index: 3,
  fields: fieldNames,
  oldNames: new KeySet(["error.kind", "message", "stack"]),
  newNames: ["exception.type", "exception.message", "exception.stacktrace"],
};

const kindByWord: ReadonlyMap<string, number> = new Map([
  ["internal", SpanKind.Internal],
  ["server", SpanKind.Server],
  ["client", SpanKind.Client],
  ["producer", SpanKind.Producer],
  ["consumer", SpanKind.Consumer],
]);

/** What Jaeger calls a service that has no name. */
const noServiceName = "OTLPResourceNoServiceName";
/** The name that Jaeger 2 gives to warnings of a span. */
const warningsKey = "@jaeger@warnings";
/** Of Jaeger's flags only this one means the same in OpenTelemetry. */
const sampledFlag = 1;
/** Times below are no dates, but count from the beginning of a trace that somebody wrote by hand. */
const relativeMicrosMax = 86_400_000_000;
const envelopesMax = 10_000;
const guessesMax = 1024;

const quote = 0x22;
const openArray = 0x5b;
const openObject = 0x7b;
const noTable = new SpanTable(0);
const noBytes = new Uint8Array(0);

type SpanFlaw = "invalid_trace_id" | "invalid_span_id" | "malformed_span";

/** Reads into a table in one pass over the bytes; what stands before the keys that it depends on is read again behind them. */
class JaegerReader {
  readonly #scanner = new JsonScanner();
  #table = noTable;
  /** the table that the next two are for; it must not live on because of them */
  #begunFor = new WeakSet([noTable]);
  /** resource by what the process says, for spans that bring it along */
  readonly #resources = new Map<string, number>();
  readonly #scopes = new Map<string, number>();
  /** resource by the string id of the process's id, for one trace; for documents the one without a process */
  readonly #processes = new Map<number, number>();
  #accepted = 0;
  readonly #reasons = new Map<RejectReason, number>();
  /** of the trace; spans may have their own */
  readonly #traceId = new Uint32Array(4);
  /** microseconds to add to all times: one, where a trace's clock begins at 0, for there a start of 0 is no missing one */
  #shift: 0 | 1 = 0;
  #hasZeroStart = false;
  #hasDate = false;
  // Of the span that is being read:
  #row = 0;
  #scopeName = 0;
  #scopeVersion = 0;
  #isError = false;
  #statusWord = "";
  #droppedAttributes = 0;
  #droppedEvents = 0;
  #droppedLinks = 0;
  #hasTraceId = false;
  #hasSpanIdKey = false;
  #hasSpanId = false;
  #hasParent = false;
  #referencesAt = -1;
  #resource = -1;
  #process = 0;
  #start = Number.NaN;
  #startMillis = Number.NaN;
  #duration = Number.NaN;
  // Of the tag that is being read; names are string ids, -1 = none:
  #field = unknownKey;
  #name = -1;
  #lastName = 0;
  #event = 0;
  // Spans mostly have what those before them had. By what a string mostly follows, id of the string that followed it last:
  readonly #guesses = new Uint32Array(guessesMax * 2);
  // and of a tag's name, what it means:
  readonly #guessedNames = new Uint32Array(guessesMax);
  readonly #guessedFields = new Int8Array(guessesMax);
  readonly #words = new Uint32Array(4);
  readonly #otherWords = new Uint32Array(4);

  /** `isFresh` = nothing that was added before is still there. */
  begin(table: SpanTable, isFresh: boolean): void {
    this.#table = table;
    this.#accepted = 0;
    this.#reasons.clear();
    this.#lastName = 0;
    const isFull = this.#resources.size + this.#scopes.size > envelopesMax;
    if (!isFresh && !isFull && this.#begunFor.has(table)) return;
    this.#begunFor = new WeakSet([table]);
    this.#guesses.fill(0);
    this.#guessedNames.fill(0);
    this.#guessedFields.fill(unknownKey);
    this.#resources.clear();
    this.#scopes.clear();
    this.#processes.clear();
  }

  result(): DecodeResult {
    const rejected = [...this.#reasons.values()].reduce((sum, count) => sum + count, 0);
    return { accepted: this.#accepted, rejected, reasons: new Map(this.#reasons) };
  }

  /** Lets go of the table and the text. */
  release(): void {
    this.#table.strings.release();
    this.#table = noTable;
    this.#scanner.reset(noBytes);
  }

  startsAtZero(): boolean {
    return this.#shift === 0 && this.#hasZeroStart && !this.#hasDate;
  }

  trace(body: Uint8Array, shift: 0 | 1): void {
    const scanner = this.#scanner;
    scanner.reset(body);
    this.#shift = shift;
    this.#hasZeroStart = this.#hasDate = false;
    this.#processes.clear();
    this.#traceId.fill(0);
    if (scanner.bytes[scanner.at] !== openObject)
      throw new MalformedBodyError("is no trace: an object with spans expected", 0);
    let hasTraceId = false;
    let hasSpans = false;
    let spansAt = -1;
    for (let key = scanner.firstKey(traceKeys); key !== endOfObject; key = scanner.nextKey(traceKeys, key)) {
      if (key === TraceKey.TraceId) hasTraceId = this.#id(this.#traceId, 4);
      else if (key === TraceKey.Processes) this.#processesOfTrace();
      else if (key === TraceKey.Spans && scanner.bytes[scanner.at] === openArray) {
        hasSpans = true;
        if (hasTraceId) this.#spans();
        else {
          spansAt = scanner.at;
          scanner.skipValue();
        }
      } else scanner.skipValue();
    }
    scanner.requireEnd();
    if (!hasSpans) throw new MalformedBodyError("is no trace: it has no list of spans", 0);
    if (spansAt >= 0) {
      scanner.at = spansAt;
      this.#spans();
    }
    this.#processes.clear();
  }

  document(body: Uint8Array): void {
    const scanner = this.#scanner;
    scanner.reset(body);
    this.#shift = 0;
    this.#traceId.fill(0);
    this.#hasSpanIdKey = false;
    if (scanner.bytes[scanner.at] === openObject) this.#span();
    else scanner.skipValue();
    scanner.requireEnd();
    if (!this.#hasSpanIdKey) throw new MalformedBodyError("is no span: it has no spanID", 0);
  }

  #spans(): void {
    const scanner = this.#scanner;
    for (let more = scanner.firstElement(); more; more = scanner.nextElement())
      if (scanner.bytes[scanner.at] === openObject) this.#span();
      else {
        scanner.skipValue();
        this.#reject("malformed_span");
      }
  }

  #reject(flaw: SpanFlaw): void {
    this.#reasons.set(flaw, (this.#reasons.get(flaw) ?? 0) + 1);
  }

  // --- spans ------------------------------------------------------------------------------------------------------

  #span(): void {
    const scanner = this.#scanner;
    const table = this.#table;
    this.#beginSpan();
    for (let key = scanner.firstKey(spanKeys); key !== endOfObject; key = scanner.nextKey(spanKeys, key))
      this.#spanField(key);
    const row = this.#row;
    if (!this.#hasTraceId) table.traceId.set(this.#traceId, row * 4);
    const flaw = this.#flaw();
    if (flaw !== null) {
      this.#reject(flaw);
      // What a resource or scope has stays: other spans may have it, too.
      table.restore({ ...table.mark(), rows: row });
      return;
    }
    this.#accepted += 1;
    if (this.#referencesAt >= 0) {
      const end = scanner.at;
      scanner.at = this.#referencesAt;
      this.#references();
      scanner.at = end;
    }
    this.#endSpan();
  }

  #beginSpan(): void {
    this.#row = this.#table.addRow(0, 0);
    this.#scopeName = this.#scopeVersion = 0;
    this.#statusWord = "";
    this.#isError = this.#hasTraceId = this.#hasSpanId = this.#hasSpanIdKey = this.#hasParent = false;
    this.#droppedAttributes = this.#droppedEvents = this.#droppedLinks = 0;
    this.#referencesAt = this.#resource = -1;
    this.#process = 0;
    this.#start = this.#startMillis = this.#duration = Number.NaN;
  }

  #flaw(): SpanFlaw | null {
    const { traceId } = this.#table;
    const at = this.#row * 4;
    if (traceId[at] === 0 && traceId[at + 1] === 0 && traceId[at + 2] === 0 && traceId[at + 3] === 0)
      return "invalid_trace_id";
    return this.#hasSpanId ? null : "invalid_span_id";
  }

  #endSpan(): void {
    const table = this.#table;
    const row = this.#row;
    table.resource[row] = this.#resource >= 0 ? this.#resource : this.#resourceOf(this.#process);
    table.scope[row] = this.#scopeOf(this.#scopeName, this.#scopeVersion);
    if (this.#isError || this.#statusWord === "ERROR") table.statusCode[row] = StatusCode.Error;
    else if (this.#statusWord === "OK") table.statusCode[row] = StatusCode.Ok;
    if (this.#droppedAttributes + this.#droppedEvents + this.#droppedLinks > 0)
      table.dropped.set(row, {
        attributes: this.#droppedAttributes,
        events: this.#droppedEvents,
        links: this.#droppedLinks,
      });
    const start = (Number.isNaN(this.#start) ? this.#startMillis * 1000 : this.#start) + this.#shift;
    putMicros(start, table.startTime, row);
    putMicros(start + this.#duration, table.endTime, row);
  }

  #spanField(key: number): void {
    const scanner = this.#scanner;
    const table = this.#table;
    const row = this.#row;
    switch (key) {
      case SpanKey.TraceId:
        this.#hasTraceId = this.#id(this.#words, 4);
        if (this.#hasTraceId) table.traceId.set(this.#words, row * 4);
        break;
      case SpanKey.SpanId:
        this.#hasSpanIdKey = true;
        this.#hasSpanId = this.#id(this.#words, 2);
        putWords(this.#words, table.spanId, row);
        break;
      case SpanKey.ParentSpanId:
        if (this.#id(this.#words, 2) && !this.#hasParent) putWords(this.#words, table.parentSpanId, row);
        break;
      case SpanKey.Flags:
        if (scanner.double()) table.flags[row] = scanner.number & sampledFlag;
        break;
      case SpanKey.OperationName:
        if (scanner.bytes[scanner.at] === quote) table.name[row] = this.#string(0);
        else scanner.skipValue();
        break;
      case SpanKey.References:
        // Which of them is the parent depends on the trace id.
        if (this.#hasTraceId) this.#references();
        else {
          this.#referencesAt = scanner.at;
          scanner.skipValue();
        }
        break;
      case SpanKey.StartTime:
        this.#start = this.#micros();
        if (this.#start === 0) this.#hasZeroStart = true;
        if (this.#start > relativeMicrosMax) this.#hasDate = true;
        break;
      case SpanKey.StartTimeMillis:
        this.#startMillis = this.#micros();
        break;
      case SpanKey.Duration:
        this.#duration = this.#micros();
        break;
      default:
        this.#spanPart(key);
    }
  }

  #spanPart(key: number): void {
    const scanner = this.#scanner;
    const byte = scanner.bytes[scanner.at];
    if (key === SpanKey.Tags && byte === openArray) {
      this.#openAttributes();
      this.#tagList(tagsOfSpan);
      this.#closeAttributes();
    } else if (key === SpanKey.Tag && byte === openObject) {
      this.#openAttributes();
      this.#tagObject(tagsOfSpan);
      this.#closeAttributes();
    } else if (key === SpanKey.Warnings && byte === openArray) this.#warnings();
    else if (key === SpanKey.Logs && byte === openArray) this.#logs();
    else if (key === SpanKey.Process && byte === openObject) this.#resource = this.#inlineProcess();
    else if (key === SpanKey.ProcessId) this.#process = this.#idText();
    else scanner.skipValue();
  }

  /** A span's attributes may come in several places, but must stand together in the pool. */
  #openAttributes(): void {
    const { attributes, attributeStart, attributeEnd } = this.#table;
    const row = this.#row;
    const start = attributeStart[row] as number;
    const end = attributeEnd[row] as number;
    if (end === attributes.length) return;
    attributeStart[row] = attributes.length;
    for (let at = start; at < end; at += 1)
      attributes.add(
        attributes.key[at] as number,
        attributes.type[at] as number,
        attributes.value[at] as number,
      );
  }

  #closeAttributes(): void {
    this.#table.attributeEnd[this.#row] = this.#table.attributes.length;
  }

  #warnings(): void {
    const scanner = this.#scanner;
    const { attributes, strings } = this.#table;
    const warnings: string[] = [];
    for (let more = scanner.firstElement(); more; more = scanner.nextElement()) warnings.push(this.#word());
    const key = strings.intern(warningsKey);
    if (warnings.length === 0 || !attributes.keeps(key)) return;
    this.#openAttributes();
    attributes.addValue(key, warnings);
    this.#closeAttributes();
  }

  #references(): void {
    const scanner = this.#scanner;
    if (scanner.bytes[scanner.at] !== openArray) {
      scanner.skipValue();
      return;
    }
    const { parentSpanId, links, linkEnd } = this.#table;
    for (let more = scanner.firstElement(); more; more = scanner.nextElement()) {
      const isChild = this.#reference();
      if (isChild === null) continue;
      if (isChild && !this.#hasParent && this.#isSameTrace()) {
        this.#hasParent = true;
        putWords(this.#words, parentSpanId, this.#row);
      } else if (this.#words[0] !== 0 || this.#words[1] !== 0) this.#link(isChild);
    }
    linkEnd[this.#row] = links.length;
  }

  /** Reads a reference's span id into `#words` and its trace id into `#otherWords`; whether it is a CHILD_OF, null = it is none at all. */
  #reference(): boolean | null {
    const scanner = this.#scanner;
    const { traceId } = this.#table;
    if (scanner.bytes[scanner.at] !== openObject) {
      scanner.skipValue();
      return null;
    }
    let isChild = true;
    let hasTraceId = false;
    this.#words.fill(0);
    let key = scanner.firstKey(referenceKeys);
    for (; key !== endOfObject; key = scanner.nextKey(referenceKeys, key)) {
      if (key === ReferenceKey.RefType) {
        if (scanner.string()) isChild = this.#among(childWord) >= 0;
      } else if (key === ReferenceKey.TraceId) hasTraceId = this.#id(this.#otherWords, 4);
      else if (key === ReferenceKey.SpanId) this.#id(this.#words, 2);
      else scanner.skipValue();
    }
    const at = this.#row * 4;
    if (!hasTraceId)
      for (let word = 0; word < 4; word += 1) this.#otherWords[word] = traceId[at + word] as number;
    return isChild;
  }

  #isSameTrace(): boolean {
    const { traceId } = this.#table;
    const at = this.#row * 4;
    for (let word = 0; word < 4; word += 1) if (this.#otherWords[word] !== traceId[at + word]) return false;
    return true;
  }

  #link(isChild: boolean): void {
    const { links, attributes, strings } = this.#table;
    const link = links.add();
    putWords(this.#words, links.spanId, link);
    links.traceId.set(this.#otherWords, link * 4);
    links.attributeStart[link] = attributes.length;
    if (isChild) {
      const key = strings.intern("opentracing.ref_type");
      if (attributes.keeps(key)) attributes.add(key, ValueType.String, strings.intern("child_of"));
    }
    links.attributeEnd[link] = attributes.length;
  }

  #logs(): void {
    const scanner = this.#scanner;
    const { events, eventEnd } = this.#table;
    for (let more = scanner.firstElement(); more; more = scanner.nextElement())
      if (scanner.bytes[scanner.at] === openObject) this.#log();
      else scanner.skipValue();
    eventEnd[this.#row] = events.length;
  }

  #log(): void {
    const scanner = this.#scanner;
    const { events, attributes, strings } = this.#table;
    const event = events.add();
    this.#event = event;
    events.attributeStart[event] = events.attributeEnd[event] = attributes.length;
    for (let key = scanner.firstKey(logKeys); key !== endOfObject; key = scanner.nextKey(logKeys, key)) {
      if (key === LogKey.Timestamp) putMicros(this.#micros() + this.#shift, events.time, event);
      else if (key === LogKey.Fields && scanner.bytes[scanner.at] === openArray) {
        const nameAt = this.#readEventName();
        const isError = strings.get(events.name[event] as number) === "error";
        if (isError) events.name[event] = strings.intern("exception");
        this.#tagList(isError ? tagsOfException : tagsOfEvent, nameAt);
        events.attributeEnd[event] = attributes.length;
      } else scanner.skipValue();
    }
  }

  /** The first field `event` that is a text names its event; answers where it is, and the scanner stays where it was. */
  #readEventName(): number {
    const scanner = this.#scanner;
    const start = scanner.at;
    let nameAt = -1;
    for (let more = scanner.firstElement(); more; ) {
      const at = scanner.at;
      if (this.#readNameField()) nameAt = at;
      more = nameAt < 0 && scanner.nextElement();
    }
    scanner.at = start;
    return nameAt;
  }

  #readNameField(): boolean {
    const scanner = this.#scanner;
    let isName = false;
    let valueAt = -1;
    for (let key = scanner.firstKey(tagKeys); key !== endOfObject; key = scanner.nextKey(tagKeys, key)) {
      if (key === TagKey.Key) {
        if (scanner.string()) isName = this.#among(eventWord) >= 0;
      } else {
        if (key === TagKey.Value) valueAt = scanner.at;
        scanner.skipValue();
      }
    }
    if (!isName || scanner.bytes[valueAt] !== quote) return false;
    const end = scanner.at;
    scanner.at = valueAt;
    this.#table.events.name[this.#event] = this.#string(0);
    scanner.at = end;
    return true;
  }

  // --- processes and scopes ---------------------------------------------------------------------------------------

  #processesOfTrace(): void {
    const scanner = this.#scanner;
    const { strings } = this.#table;
    let key = scanner.firstKey(noKeys);
    for (; key !== endOfObject; key = scanner.nextKey(noKeys, key)) {
      const process = strings.internBytes(scanner.text, scanner.textStart, scanner.textEnd);
      if (scanner.bytes[scanner.at] === openObject) this.#readProcess(this.#resourceOf(process));
      else scanner.skipValue();
    }
  }

  /** The resource for a process of the trace, which may be described only later, or not at all. */
  #resourceOf(process: number): number {
    const known = this.#processes.get(process);
    if (known !== undefined) return known;
    const resource = this.#table.resources.add();
    this.#processes.set(process, resource);
    return resource;
  }

  #inlineProcess(): number {
    const scanner = this.#scanner;
    const start = scanner.at;
    scanner.skipValue();
    const end = scanner.at;
    const { buffer, byteOffset } = scanner.bytes;
    const text = Buffer.from(buffer, byteOffset + start, end - start).toString("latin1");
    const known = this.#resources.get(text);
    if (known !== undefined) return known;
    const resource = this.#table.resources.add();
    scanner.at = start;
    this.#readProcess(resource);
    this.#resources.set(text, resource);
    return resource;
  }

  #readProcess(resource: number): void {
    const scanner = this.#scanner;
    const { resources, attributes, strings } = this.#table;
    resources.attributeStart[resource] = attributes.length;
    let key = scanner.firstKey(processKeys);
    for (; key !== endOfObject; key = scanner.nextKey(processKeys, key)) {
      if (key === ProcessKey.ServiceName) {
        if (!scanner.string() || scanner.textString() === noServiceName) continue;
        this.#name = strings.intern("service.name");
        this.#addText(strings.intern(scanner.textString()));
      } else if (key === ProcessKey.Tags && scanner.bytes[scanner.at] === openArray)
        this.#tagList(tagsOfProcess);
      else if (key === ProcessKey.Tag && scanner.bytes[scanner.at] === openObject)
        this.#tagObject(tagsOfProcess);
      else scanner.skipValue();
    }
    resources.attributeEnd[resource] = attributes.length;
  }

  #scopeOf(name: number, version: number): number {
    const { scopes } = this.#table;
    const key = `${name} ${version}`;
    const known = this.#scopes.get(key);
    if (known !== undefined) return known;
    const scope = scopes.add();
    scopes.name[scope] = name;
    scopes.version[scope] = version;
    this.#scopes.set(key, scope);
    return scope;
  }

  // --- tags -------------------------------------------------------------------------------------------------------

  /** Reads a list of tags, but for the one that stands at `exceptAt`. */
  #tagList(meaning: TagMeaning, exceptAt = -1): void {
    const scanner = this.#scanner;
    for (let more = scanner.firstElement(); more; more = scanner.nextElement())
      if (scanner.at === exceptAt) scanner.skipValue();
      else if (!this.#usualTag(meaning)) this.#tag(meaning);
  }

  /** Reads a tag that is written as nearly all are; false, with the scanner where it was, for another. */
  #usualTag(meaning: TagMeaning): boolean {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.takeTight(usualStart) && this.#readName(meaning)) {
      const isString = scanner.takeTight(usualString);
      if (isString || scanner.takeTight(usualInt)) {
        this.#tagValue(meaning, isString ? Type.String : Type.Int64);
        for (let key = TagKey.Value as number; ; scanner.skipValue()) {
          key = scanner.nextKey(tagKeys, key);
          if (key === endOfObject) return true;
        }
      }
    }
    scanner.at = start;
    return false;
  }

  /** How a value is read depends on its name and type, which mostly stand before it. */
  #tag(meaning: TagMeaning): void {
    const scanner = this.#scanner;
    this.#name = -1;
    let type: number | null = null;
    let valueAt = -1;
    let isDone = false;
    for (let key = scanner.firstKey(tagKeys); key !== endOfObject; key = scanner.nextKey(tagKeys, key)) {
      if (key === TagKey.Key) {
        this.#readName(meaning);
      } else if (key === TagKey.Type) {
        if (scanner.string()) type = this.#among(typeWords);
      } else if (key === TagKey.Value && this.#name >= 0 && type !== null && !isDone) {
        this.#tagValue(meaning, type);
        isDone = true;
      } else {
        if (key === TagKey.Value) valueAt = scanner.at;
        scanner.skipValue();
      }
    }
    if (isDone || this.#name < 0) return;
    if (valueAt < 0) this.#addText(0);
    else {
      const end = scanner.at;
      scanner.at = valueAt;
      this.#tagValue(meaning, type ?? unknownKey);
      scanner.at = end;
    }
  }

  #tagObject(meaning: TagMeaning): void {
    const scanner = this.#scanner;
    for (let key = scanner.firstKey(noKeys); key !== endOfObject; key = scanner.nextKey(noKeys, key)) {
      const name = scanner.text.slice(scanner.textStart, scanner.textEnd);
      for (let at = name.indexOf(0x40); at >= 0; at = name.indexOf(0x40, at)) name[at] = 0x2e;
      this.#setName(meaning, name, 0, name.length);
      this.#tagValue(meaning, unknownKey);
    }
  }

  #readName(meaning: TagMeaning): boolean {
    const scanner = this.#scanner;
    const slot = (this.#lastName * 4 + meaning.index) % guessesMax;
    if (scanner.isKnownString(this.#table.strings, this.#guesses[slot] as number)) {
      this.#name = this.#lastName = this.#guessedNames[slot] as number;
      this.#field = this.#guessedFields[slot] as number;
      return true;
    }
    if (!scanner.string()) return false;
    const known = this.#setName(meaning, scanner.text, scanner.textStart, scanner.textEnd);
    if (scanner.textWasEscaped) return true;
    this.#guesses[slot] = known;
    this.#guessedNames[slot] = this.#name;
    this.#guessedFields[slot] = this.#field;
    return true;
  }

  /** Answers the id of the name as it stands there. */
  #setName(meaning: TagMeaning, text: Uint8Array, start: number, end: number): number {
    const { strings } = this.#table;
    const id = strings.internBytes(text, start, end);
    const old = meaning.oldNames.find(text, start, end, endOfObject);
    this.#field = meaning.fields.find(text, start, end, endOfObject);
    this.#name = old === unknownKey ? id : strings.intern(meaning.newNames[old] ?? "");
    this.#lastName = this.#name;
    return id;
  }

  #tagValue(meaning: TagMeaning, type: number): void {
    const scanner = this.#scanner;
    if (this.#field !== unknownKey) {
      const start = scanner.at;
      if (meaning === tagsOfSpan ? this.#spanTag() : this.#eventTag()) return;
      scanner.at = start;
    }
    if (this.#table.attributes.keeps(this.#name)) this.#attribute(type);
    else scanner.skipValue();
  }

  /** Takes a tag that stands for a field of the span; false for one that is an attribute, with the scanner anywhere. */
  #spanTag(): boolean {
    const { kind, statusMessage, traceState } = this.#table;
    switch (this.#field) {
      case Field.Kind: {
        const number = kindByWord.get(this.#word().toLowerCase());
        if (number !== undefined) kind[this.#row] = number;
        return number !== undefined;
      }
      case Field.Error: {
        const word = this.#word();
        if (word === "true") this.#isError = true;
        return word === "true" || word === "false";
      }
      case Field.StatusCode:
        this.#statusWord = this.#word().toUpperCase();
        return true;
      case Field.StatusDescription:
        statusMessage[this.#row] = this.#wordId();
        return true;
      case Field.ScopeName:
        this.#scopeName = this.#wordId();
        return true;
      case Field.ScopeVersion:
        this.#scopeVersion = this.#wordId();
        return true;
      case Field.TraceState:
        traceState[this.#row] = this.#wordId();
        return true;
      case Field.DroppedAttributes:
        this.#droppedAttributes = this.#count();
        return true;
      case Field.DroppedEvents:
        this.#droppedEvents = this.#count();
        return true;
      default:
        this.#droppedLinks = this.#count();
        return true;
    }
  }

  #eventTag(): boolean {
    if (this.#field !== Field.DroppedAttributes) return false;
    this.#table.events.droppedAttributes[this.#event] = this.#count();
    return true;
  }

  /** Adds the value here as an attribute named `#name`: what a text means depends on its type. */
  #attribute(type: number): void {
    const scanner = this.#scanner;
    const { attributes } = this.#table;
    const start = scanner.at;
    const byte = scanner.bytes[start] as number;
    if (byte === quote) {
      if (type > Type.String && this.#typedText(type)) return;
      scanner.at = start;
      this.#addText(this.#string(this.#name));
    } else if (byte === 0x74 || byte === 0x66) {
      scanner.boolean();
      attributes.add(this.#name, ValueType.Bool, scanner.number);
    } else if (isDigit(byte) && type !== Type.String) this.#number(type);
    else this.#addText(this.#table.strings.intern(this.#word()));
  }

  #addText(id: number): void {
    if (this.#table.attributes.keeps(this.#name))
      this.#table.attributes.add(this.#name, ValueType.String, id);
  }

  /** A value written as text, as Elasticsearch and 64-bit integers have it; false where the text is none of that type. */
  #typedText(type: number): boolean {
    const scanner = this.#scanner;
    const { attributes } = this.#table;
    if (type === Type.Int64) {
      if (!scanner.int64()) return false;
      this.#addInt();
    } else if (type === Type.Float64) {
      if (!scanner.double()) return false;
      attributes.add(this.#name, ValueType.Double, scanner.number);
    } else if (type === Type.Bool) {
      const word = this.#word();
      if (word !== "true" && word !== "false") return false;
      attributes.add(this.#name, ValueType.Bool, word === "true" ? 1 : 0);
    } else {
      const bytes = scanner.base64();
      if (bytes === null) return false;
      attributes.addValue(this.#name, bytes);
    }
    return true;
  }

  /** A bare number: an integer unless its type or its fraction says otherwise; one of more than 64 bits keeps its digits as text. */
  #number(type: number): void {
    const scanner = this.#scanner;
    const { attributes } = this.#table;
    const start = scanner.at;
    if (type !== Type.Float64) {
      if (scanner.int64()) {
        this.#addInt();
        return;
      }
      scanner.at = start;
      const word = this.#word();
      if (/^-?\d+$/.test(word)) {
        this.#addText(this.#table.strings.intern(word));
        return;
      }
      scanner.at = start;
    }
    scanner.double();
    attributes.add(this.#name, ValueType.Double, scanner.number);
  }

  #addInt(): void {
    const { words } = this.#scanner;
    const { attributes } = this.#table;
    const high = (words[0] as number) | 0;
    // A double holds 54 bits with the sign.
    if (high >= -0x200000 && high < 0x200000)
      attributes.add(this.#name, ValueType.Int, high * 0x1_0000_0000 + (words[1] as number));
    else attributes.addValue(this.#name, signedOf(words));
  }

  // --- values -----------------------------------------------------------------------------------------------------

  /** Which of these words the string just read is; `unknownKey` = none. */
  #among(words: KeySet): number {
    const { text, textStart, textEnd } = this.#scanner;
    return words.find(text, textStart, textEnd, endOfObject);
  }

  /** The id of the string here, which mostly is the one that was the value of `name` last; 0 = name of a span or an event. */
  #string(name: number): number {
    const scanner = this.#scanner;
    const { strings } = this.#table;
    const slot = guessesMax + (name % guessesMax);
    const guess = this.#guesses[slot] as number;
    if (scanner.isKnownString(strings, guess)) return guess;
    scanner.string();
    const id = strings.internBytes(scanner.text, scanner.textStart, scanner.textEnd);
    if (!scanner.textWasEscaped) this.#guesses[slot] = id;
    return id;
  }

  /** Any value as text: a string, "" for null, else its JSON without white space. */
  #word(): string {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.bytes[start] === quote) {
      scanner.string();
      return scanner.textString();
    }
    if (scanner.isNull()) return "";
    scanner.skipValue();
    return decodeUtf8(scanner.bytes, start, scanner.at).replace(spaceInJson, "$1");
  }

  #wordId(): number {
    const scanner = this.#scanner;
    if (scanner.bytes[scanner.at] !== quote) return this.#table.strings.intern(this.#word());
    return this.#string(this.#name);
  }

  #count(): number {
    return this.#scanner.uint32() ? this.#scanner.number : 0;
  }

  /** Microseconds, perhaps as text or with a fraction; NaN for what is no time. */
  #micros(): number {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.uint64()) return (scanner.words[0] as number) * 0x1_0000_0000 + (scanner.words[1] as number);
    scanner.at = start;
    return scanner.double() && Number.isFinite(scanner.number) ? scanner.number : Number.NaN;
  }

  /** The string id of an id that is a text or a number; 0 = none. */
  #idText(): number {
    const scanner = this.#scanner;
    const { strings } = this.#table;
    const start = scanner.at;
    if (scanner.bytes[start] === quote) {
      scanner.string();
      return strings.internBytes(scanner.text, scanner.textStart, scanner.textEnd);
    }
    scanner.skipValue();
    return isDigit(scanner.bytes[start] as number)
      ? strings.internBytes(scanner.bytes, start, scanner.at)
      : 0;
  }

  /** Reads an id of `count` words; false if there is none, or it is all zero. */
  #id(words: Uint32Array, count: 2 | 4): boolean {
    const scanner = this.#scanner;
    const start = scanner.at;
    if (scanner.bytes[start] === quote) {
      scanner.string();
      return readId(scanner.text, scanner.textStart, scanner.textEnd, words, count);
    }
    scanner.skipValue();
    const end = isDigit(scanner.bytes[start] as number) ? scanner.at : start;
    return readId(scanner.bytes, start, end, words, count);
  }
}

/** A string, which is kept, or white space outside of strings. */
const spaceInJson = /("(?:[^"\\]|\\.)*")|\s+/gs;

function isDigit(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d;
}

function putWords(words: Uint32Array, column: Uint32Array, row: number): void {
  column[row * 2] = words[0] as number;
  column[row * 2 + 1] = words[1] as number;
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

/** An id in text: hex of any length up to `count` words, else hashed; false if it is empty or all zero. */
function readId(text: Uint8Array, start: number, end: number, words: Uint32Array, count: 2 | 4): boolean {
  words.fill(0);
  if (start === end) return false;
  if (end - start > count * 8 || !readHex(text, start, end, words, count))
    hashId(text, start, end, words, count);
  return words[0] !== 0 || words[1] !== 0 || (count === 4 && (words[2] !== 0 || words[3] !== 0));
}

/** Hex digits, right-aligned; false where something else stands among them. */
function readHex(text: Uint8Array, start: number, end: number, words: Uint32Array, count: number): boolean {
  let wordEnd = end;
  for (let word = count - 1; word >= 0; word -= 1) {
    let value = 0;
    for (let at = Math.max(start, wordEnd - 8); at < wordEnd; at += 1) {
      const code = text[at] as number;
      const digit = code < 0x3a ? code - 0x30 : (code | 0x20) - 0x57;
      if (digit < 0 || digit > 15 || (code >= 0x3a && digit < 10)) return false;
      value = (value << 4) | digit;
    }
    words[word] = value;
    wordEnd = Math.max(start, wordEnd - 8);
  }
  return true;
}

/** A text that is no id as one: equal texts are equal ids, and all words depend on all of it (FNV-1a, then mixed). */
function hashId(text: Uint8Array, start: number, end: number, words: Uint32Array, count: number): void {
  for (let word = 0; word < count; word += 1) {
    let hash = 0x811c9dc5 ^ Math.imul(word + 1, 0x9e3779b1);
    for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ (text[at] as number), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    words[word] = hash ^ (hash >>> 13);
  }
}
