import { decodeUtf8 } from "../base/utf8.ts";
import { ValueType } from "../model/attributes.ts";
import { SpanTable, StatusCode, spanKindByWord } from "../model/span-table.ts";
import { endOfObject, KeySet, Literal, unknownKey } from "../otlp/json-keys.ts";
import type { JsonScanner } from "../otlp/json-scanner.ts";
import { signedOf } from "../otlp/json-values.ts";
import { startsNumber } from "./jaeger-ids.ts";

const tagKeys = new KeySet(["key", "type", "value"]);
const TagKey = { Key: 0, Type: 1, Value: 2 } as const;

const typeWords = new KeySet(["string", "bool", "int64", "float64", "binary"]);
const Type = { String: 0, Bool: 1, Int64: 2, Float64: 3, Binary: 4 } as const;
const eventWord = new KeySet(["event"]);
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

const quote = 0x22;
/** What Jaeger calls a service that has no name. */
const noServiceName = "OTLPResourceNoServiceName";
/** The name that Jaeger 2 gives to warnings of a span. */
const warningsKey = "@jaeger@warnings";
const openArray = 0x5b;
const scopesMax = 10_000;
const guessesMax = 1024;
const noTable = new SpanTable(0);

/** Reads Jaeger's tags, and the fields of its logs, into attributes of a table and the fields of a span that they stand for. */
export class JaegerTags {
  readonly #scanner: JsonScanner;
  #table = noTable;
  readonly #scopes = new Map<string, number>();
  // Of the span that is being read:
  #row = 0;
  #scopeName = 0;
  #scopeVersion = 0;
  #isError = false;
  #statusWord = "";
  #droppedAttributes = 0;
  #droppedEvents = 0;
  #droppedLinks = 0;
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

  constructor(scanner: JsonScanner) {
    this.#scanner = scanner;
  }

  /** `isNew` = another table than before. */
  begin(table: SpanTable, isNew: boolean): void {
    this.#table = table;
    this.#lastName = 0;
    if (isNew || this.#scopes.size > scopesMax) this.#scopes.clear();
    if (!isNew) return;
    this.#guesses.fill(0);
    this.#guessedNames.fill(0);
    this.#guessedFields.fill(unknownKey);
  }

  release(): void {
    this.#table = noTable;
  }

  beginSpan(row: number): void {
    this.#row = row;
    this.#scopeName = this.#scopeVersion = 0;
    this.#statusWord = "";
    this.#isError = false;
    this.#droppedAttributes = this.#droppedEvents = this.#droppedLinks = 0;
  }

  /** Writes what is only known when all tags of the span were read. */
  endSpan(): void {
    const { scope, statusCode, dropped } = this.#table;
    const row = this.#row;
    scope[row] = this.#scopeOf(this.#scopeName, this.#scopeVersion);
    if (this.#isError || this.#statusWord === "ERROR") statusCode[row] = StatusCode.Error;
    else if (this.#statusWord === "OK") statusCode[row] = StatusCode.Ok;
    if (this.#droppedAttributes + this.#droppedEvents + this.#droppedLinks > 0)
      dropped.set(row, {
        attributes: this.#droppedAttributes,
        events: this.#droppedEvents,
        links: this.#droppedLinks,
      });
  }

  /** The tags of the span that stand here: a list of them, or an object whose names have `@` for `.`. */
  ofSpan(): void {
    this.#openAttributes();
    if (this.#scanner.bytes[this.#scanner.at] === openArray) this.#tagList(tagsOfSpan);
    else this.#tagObject(tagsOfSpan);
    this.#closeAttributes();
  }

  /** The same of a process, into the attributes of a resource. */
  ofProcess(): void {
    if (this.#scanner.bytes[this.#scanner.at] === openArray) this.#tagList(tagsOfProcess);
    else this.#tagObject(tagsOfProcess);
  }

  /** The fields of a log, into the name and the attributes of an event. */
  ofEvent(event: number): void {
    const { events, attributes, strings } = this.#table;
    this.#event = event;
    const nameAt = this.#readEventName();
    const isError = strings.get(events.name[event] as number) === "error";
    if (isError) events.name[event] = strings.intern("exception");
    this.#tagList(isError ? tagsOfException : tagsOfEvent, nameAt);
    events.attributeEnd[event] = attributes.length;
  }

  serviceName(): void {
    const { strings } = this.#table;
    if (!this.#scanner.string() || this.#scanner.textString() === noServiceName) return;
    this.#name = strings.intern("service.name");
    this.#addText(strings.intern(this.#scanner.textString()));
  }

  warnings(): void {
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

  /** A name of a span or an event. */
  spanName(): number {
    return this.#string(0);
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
        const number = spanKindByWord.get(this.#word().toLowerCase());
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
    } else if (startsNumber(byte) && type !== Type.String) this.#number(type);
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
}

/** A string, which is kept, or white space outside of strings. */
const spaceInJson = /("(?:[^"\\]|\\.)*")|\s+/gs;
