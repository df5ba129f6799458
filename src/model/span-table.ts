import { grow } from "../base/grow.ts";
import { type AttributeNames, AttributePool } from "./attributes.ts";
import { StringDictionary } from "./string-dictionary.ts";

/** OTLP's span kinds; numbers beyond 5 are kept in the table and read as Internal. */
export const SpanKind = {
  Unspecified: 0,
  Internal: 1,
  Server: 2,
  Client: 3,
  Producer: 4,
  Consumer: 5,
} as const;
/** As attributes of other formats and of OpenTracing call them, in small letters. */
export const spanKindByWord: ReadonlyMap<string, number> = new Map([
  ["internal", SpanKind.Internal],
  ["server", SpanKind.Server],
  ["client", SpanKind.Client],
  ["producer", SpanKind.Producer],
  ["consumer", SpanKind.Consumer],
]);
/** OTLP's status codes. */
export const StatusCode = { Unset: 0, Ok: 1, Error: 2 } as const;

/** Counts that senders report of what they left out; rows without one have no entry. */
export interface DroppedCounts {
  readonly attributes: number;
  readonly events: number;
  readonly links: number;
}

/** What senders mostly attach to a span, its share of resource attributes included. */
const attributesOfSpan = 12;
/** And how many of these mean something to the analysis. */
const keptAttributesOfSpan = 6;

/** Of all columns together: 24 words, and two columns of bytes. */
const rowBytes = 24 * 4 + 2;
const columnCount = 19;
const cacheLineBytes = 64;

/** How long each part of a table was at some moment. */
export interface TableMark {
  readonly rows: number;
  readonly attributes: number;
  readonly complexValues: number;
  readonly events: number;
  readonly links: number;
  readonly resources: number;
  readonly scopes: number;
}

/**
 * Spans in columns, as the decoders write them: one row a span, strings as ids of `strings`, attributes as ranges of
 * `attributes`, ids and times as big-endian 32-bit words. Columns have spare capacity; only rows below `rowCount` count.
 * Decoders append with `addRow` and then write the columns; nobody else writes.
 */
export class SpanTable {
  rowCount = 0;
  readonly strings: StringDictionary;
  readonly attributes: AttributePool;
  readonly resources = new ResourceColumns();
  readonly scopes = new ScopeColumns();
  readonly events = new EventColumns();
  readonly links = new LinkColumns();
  readonly dropped = new Map<number, DroppedCounts>();

  /** 4 words a row */
  traceId: Uint32Array;
  /** 2 words a row */
  spanId: Uint32Array;
  /** 2 words a row; both 0 = no parent */
  parentSpanId: Uint32Array;
  /** 2 words a row, Unix nanoseconds; 0 = unknown */
  startTime: Uint32Array;
  /** 2 words a row, Unix nanoseconds; 0 = not ended */
  endTime: Uint32Array;
  kind: Uint8Array;
  statusCode: Uint8Array;
  flags: Uint32Array;
  name: Uint32Array;
  traceState: Uint32Array;
  statusMessage: Uint32Array;
  /** index into `resources` */
  resource: Uint32Array;
  /** index into `scopes` */
  scope: Uint32Array;
  attributeStart: Uint32Array;
  attributeEnd: Uint32Array;
  eventStart: Uint32Array;
  eventEnd: Uint32Array;
  linkStart: Uint32Array;
  linkEnd: Uint32Array;

  /**
   * About `rowCapacity` rows, with as many attributes and strings as they mostly have, fit without growing. Of attributes
   * only those of the names in `kept` are kept; null = all.
   */
  constructor(rowCapacity = 512, kept: AttributeNames | null = null) {
    const attributesPerRow = kept === null ? attributesOfSpan : keptAttributesOfSpan;
    this.strings = new StringDictionary(kept === null ? rowCapacity : rowCapacity / 4);
    this.attributes = new AttributePool(this.strings, 16 + rowCapacity * attributesPerRow, kept);
    // All in one piece of memory: getting two dozen costs a server more than filling them. Between two columns lies a cache line: the
    // same row of columns that are powers of two long would have to share a few lines of the cache.
    const memory = new ArrayBuffer(rowCapacity * rowBytes + columnCount * cacheLineBytes);
    let at = 0;
    const words = (perRow: number): Uint32Array => {
      const column = new Uint32Array(memory, at, rowCapacity * perRow);
      at += column.byteLength + cacheLineBytes;
      return column;
    };
    this.traceId = words(4);
    this.spanId = words(2);
    this.parentSpanId = words(2);
    this.startTime = words(2);
    this.endTime = words(2);
    this.flags = words(1);
    this.name = words(1);
    this.traceState = words(1);
    this.statusMessage = words(1);
    this.resource = words(1);
    this.scope = words(1);
    this.attributeStart = words(1);
    this.attributeEnd = words(1);
    this.eventStart = words(1);
    this.eventEnd = words(1);
    this.linkStart = words(1);
    this.linkEnd = words(1);
    this.kind = new Uint8Array(memory, at, rowCapacity);
    this.statusCode = new Uint8Array(memory, at + rowCapacity + cacheLineBytes, rowCapacity);
  }

  /** Bytes held in all columns, for memory budgets. */
  get byteLength(): number {
    return (
      this.kind.length * rowBytes +
      this.strings.byteLength +
      this.attributes.byteLength +
      this.events.byteLength +
      this.links.byteLength
    );
  }

  /** A new row, all zero; its attribute, event and link ranges start empty at the pools' present ends. */
  addRow(resource: number, scope: number): number {
    const row = this.rowCount;
    if (row === this.kind.length) this.#grow();
    this.rowCount = row + 1;
    this.resource[row] = resource;
    this.scope[row] = scope;
    this.attributeStart[row] = this.attributeEnd[row] = this.attributes.length;
    this.eventStart[row] = this.eventEnd[row] = this.events.length;
    this.linkStart[row] = this.linkEnd[row] = this.links.length;
    return row;
  }

  /** Where the table ends now, for `restore`. */
  mark(): TableMark {
    return {
      rows: this.rowCount,
      attributes: this.attributes.length,
      complexValues: this.attributes.complex.length,
      events: this.events.length,
      links: this.links.length,
      resources: this.resources.length,
      scopes: this.scopes.length,
    };
  }

  /** Takes back all that was added since the mark, for input that turned out unusable. Its strings stay, without harm. */
  restore(mark: TableMark): void {
    const { rows } = mark;
    const end = this.rowCount;
    this.rowCount = rows;
    this.attributes.truncate(mark.attributes, mark.complexValues);
    this.events.length = mark.events;
    this.links.length = mark.links;
    this.resources.truncate(mark.resources);
    this.scopes.truncate(mark.scopes);
    if (rows === end) return;
    if (this.dropped.size > 0) for (let row = rows; row < end; row += 1) this.dropped.delete(row);
    this.traceId.fill(0, rows * 4, end * 4);
    for (const column of [this.spanId, this.parentSpanId, this.startTime, this.endTime])
      column.fill(0, rows * 2, end * 2);
    for (const column of [this.kind, this.statusCode]) column.fill(0, rows, end);
    for (const column of [this.flags, this.name, this.traceState, this.statusMessage])
      column.fill(0, rows, end);
  }

  #grow(): void {
    this.kind = grow(this.kind, this.rowCount + 1);
    const { length } = this.kind;
    this.traceId = grow(this.traceId, length * 4);
    this.spanId = grow(this.spanId, length * 2);
    this.parentSpanId = grow(this.parentSpanId, length * 2);
    this.startTime = grow(this.startTime, length * 2);
    this.endTime = grow(this.endTime, length * 2);
    this.statusCode = grow(this.statusCode, length);
    this.flags = grow(this.flags, length);
    this.name = grow(this.name, length);
    this.traceState = grow(this.traceState, length);
    this.statusMessage = grow(this.statusMessage, length);
    this.resource = grow(this.resource, length);
    this.scope = grow(this.scope, length);
    this.attributeStart = grow(this.attributeStart, length);
    this.attributeEnd = grow(this.attributeEnd, length);
    this.eventStart = grow(this.eventStart, length);
    this.eventEnd = grow(this.eventEnd, length);
    this.linkStart = grow(this.linkStart, length);
    this.linkEnd = grow(this.linkEnd, length);
  }
}

/** Resources, one entry for each ResourceSpans envelope; a decoder may fill an entry after its spans. */
class ResourceColumns {
  length = 0;
  readonly attributeStart: number[] = [];
  readonly attributeEnd: number[] = [];
  /** string ids */
  readonly schemaUrl: number[] = [];
  readonly droppedAttributes: number[] = [];

  add(): number {
    this.attributeStart.push(0);
    this.attributeEnd.push(0);
    this.schemaUrl.push(0);
    this.droppedAttributes.push(0);
    this.length += 1;
    return this.length - 1;
  }

  truncate(length: number): void {
    if (length === this.length) return;
    this.length = length;
    for (const column of [this.attributeStart, this.attributeEnd, this.schemaUrl, this.droppedAttributes])
      column.length = length;
  }
}

/** Instrumentation scopes, one entry for each ScopeSpans envelope. */
class ScopeColumns {
  length = 0;
  /** string ids */
  readonly name: number[] = [];
  readonly version: number[] = [];
  readonly schemaUrl: number[] = [];
  readonly attributeStart: number[] = [];
  readonly attributeEnd: number[] = [];
  readonly droppedAttributes: number[] = [];

  add(): number {
    this.name.push(0);
    this.version.push(0);
    this.schemaUrl.push(0);
    this.attributeStart.push(0);
    this.attributeEnd.push(0);
    this.droppedAttributes.push(0);
    this.length += 1;
    return this.length - 1;
  }

  truncate(length: number): void {
    if (length === this.length) return;
    this.length = length;
    for (const column of [this.name, this.version, this.schemaUrl]) column.length = length;
    for (const column of [this.attributeStart, this.attributeEnd, this.droppedAttributes])
      column.length = length;
  }
}

/** Span events of all rows; a row holds the range [eventStart, eventEnd). */
class EventColumns {
  length = 0;
  /** 2 words an event */
  time = new Uint32Array(32);
  name = new Uint32Array(16);
  attributeStart = new Uint32Array(16);
  attributeEnd = new Uint32Array(16);
  droppedAttributes = new Uint32Array(16);

  get byteLength(): number {
    return this.name.length * 24;
  }

  add(): number {
    const at = this.length;
    if (at === this.name.length) {
      this.time = grow(this.time, (at + 1) * 2);
      this.name = grow(this.name, at + 1);
      this.attributeStart = grow(this.attributeStart, at + 1);
      this.attributeEnd = grow(this.attributeEnd, at + 1);
      this.droppedAttributes = grow(this.droppedAttributes, at + 1);
    }
    this.time.fill(0, at * 2, at * 2 + 2);
    this.name[at] = this.attributeStart[at] = this.attributeEnd[at] = this.droppedAttributes[at] = 0;
    this.length = at + 1;
    return at;
  }
}

/** Span links of all rows; a row holds the range [linkStart, linkEnd). */
class LinkColumns {
  length = 0;
  /** 4 words a link */
  traceId = new Uint32Array(64);
  /** 2 words a link */
  spanId = new Uint32Array(32);
  traceState = new Uint32Array(16);
  flags = new Uint32Array(16);
  attributeStart = new Uint32Array(16);
  attributeEnd = new Uint32Array(16);
  droppedAttributes = new Uint32Array(16);

  get byteLength(): number {
    return this.flags.length * 44;
  }

  add(): number {
    const at = this.length;
    if (at === this.flags.length) {
      this.traceId = grow(this.traceId, (at + 1) * 4);
      this.spanId = grow(this.spanId, (at + 1) * 2);
      this.traceState = grow(this.traceState, at + 1);
      this.flags = grow(this.flags, at + 1);
      this.attributeStart = grow(this.attributeStart, at + 1);
      this.attributeEnd = grow(this.attributeEnd, at + 1);
      this.droppedAttributes = grow(this.droppedAttributes, at + 1);
    }
    this.traceId.fill(0, at * 4, at * 4 + 4);
    this.spanId.fill(0, at * 2, at * 2 + 2);
    this.traceState[at] = this.flags[at] = 0;
    this.attributeStart[at] = this.attributeEnd[at] = this.droppedAttributes[at] = 0;
    this.length = at + 1;
    return at;
  }
}
