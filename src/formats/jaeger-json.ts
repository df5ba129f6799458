import { ValueType } from "../model/attributes.ts";
import { SpanTable } from "../model/span-table.ts";
import { type DecodeResult, MalformedBodyError, type RejectReason } from "../model/telemetry.ts";
import { endOfObject, KeySet } from "../otlp/json-keys.ts";
import { JsonScanner } from "../otlp/json-scanner.ts";
import { readId, startsNumber } from "./jaeger-ids.ts";
import { JaegerTags } from "./jaeger-tags.ts";

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
  const mark = table.mark();
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

const childWord = new KeySet(["CHILD_OF"]);
const noKeys = new KeySet([]);

/** Of Jaeger's flags only this one means the same in OpenTelemetry. */
const sampledFlag = 1;
/** Times below are no dates, but count from the beginning of a trace that somebody wrote by hand. */
const relativeMicrosMax = 86_400_000_000;
const envelopesMax = 10_000;

const quote = 0x22;
const openArray = 0x5b;
const openObject = 0x7b;
const noTable = new SpanTable(0);
const noBytes = new Uint8Array(0);

type SpanFlaw = "invalid_trace_id" | "invalid_span_id" | "malformed_span";

/** Reads into a table in one pass over the bytes; what stands before the keys that it depends on is read again behind them. */
class JaegerReader {
  readonly #scanner = new JsonScanner();
  readonly #tags = new JaegerTags(this.#scanner);
  #table = noTable;
  /** the table that the next two and `#tags` are for; it must not live on because of them */
  #begunFor = new WeakSet([noTable]);
  /** resource by what the process says, for spans that bring it along */
  readonly #resources = new Map<string, number>();
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
  readonly #words = new Uint32Array(4);
  readonly #otherWords = new Uint32Array(4);

  /** `isFresh` = nothing that was added before is still there. */
  begin(table: SpanTable, isFresh: boolean): void {
    this.#table = table;
    this.#accepted = 0;
    this.#reasons.clear();
    const isNew = isFresh || this.#resources.size > envelopesMax || !this.#begunFor.has(table);
    this.#tags.begin(table, isNew);
    if (!isNew) return;
    this.#begunFor = new WeakSet([table]);
    this.#resources.clear();
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
    this.#tags.release();
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
    this.#tags.beginSpan(this.#row);
    this.#hasTraceId = this.#hasSpanId = this.#hasSpanIdKey = this.#hasParent = false;
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
    this.#tags.endSpan();
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
        if (scanner.bytes[scanner.at] === quote) table.name[row] = this.#tags.spanName();
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
    if ((key === SpanKey.Tags && byte === openArray) || (key === SpanKey.Tag && byte === openObject))
      this.#tags.ofSpan();
    else if (key === SpanKey.Warnings && byte === openArray) this.#tags.warnings();
    else if (key === SpanKey.Logs && byte === openArray) this.#logs();
    else if (key === SpanKey.Process && byte === openObject) this.#resource = this.#inlineProcess();
    else if (key === SpanKey.ProcessId) this.#process = this.#idText();
    else scanner.skipValue();
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
        if (scanner.string())
          isChild = childWord.find(scanner.text, scanner.textStart, scanner.textEnd, endOfObject) >= 0;
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
    const { events, attributes } = this.#table;
    const event = events.add();
    events.attributeStart[event] = events.attributeEnd[event] = attributes.length;
    for (let key = scanner.firstKey(logKeys); key !== endOfObject; key = scanner.nextKey(logKeys, key)) {
      if (key === LogKey.Timestamp) putMicros(this.#micros() + this.#shift, events.time, event);
      else if (key === LogKey.Fields && scanner.bytes[scanner.at] === openArray) this.#tags.ofEvent(event);
      else scanner.skipValue();
    }
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
    const { resources, attributes } = this.#table;
    resources.attributeStart[resource] = attributes.length;
    let key = scanner.firstKey(processKeys);
    for (; key !== endOfObject; key = scanner.nextKey(processKeys, key)) {
      const byte = scanner.bytes[scanner.at];
      if (key === ProcessKey.ServiceName) this.#tags.serviceName();
      else if (key === ProcessKey.Tags && byte === openArray) this.#tags.ofProcess();
      else if (key === ProcessKey.Tag && byte === openObject) this.#tags.ofProcess();
      else scanner.skipValue();
    }
    resources.attributeEnd[resource] = attributes.length;
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
    return startsNumber(scanner.bytes[start] as number)
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
    const end = startsNumber(scanner.bytes[start] as number) ? scanner.at : start;
    return readId(scanner.bytes, start, end, words, count);
  }
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
