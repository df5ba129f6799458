import type { SpanTable } from "../model/span-table.ts";
import type { DecodeResult, RejectReason } from "../model/telemetry.ts";
import { appendAttribute } from "./protobuf-values.ts";
import { broken, Wire } from "./protobuf-wire.ts";

/** What `appendSpan` answers: 0, or why the span was left out. */
const Outcome = { Accepted: 0, TraceId: 1, SpanId: 2, Malformed: 3 } as const;
const outcomeReasons: readonly RejectReason[] = ["invalid_trace_id", "invalid_span_id", "malformed_span"];

/** Columns for kinds and codes have one byte; numbers that OTLP may get some day stay "beyond the known ones". */
const enumMax = 255;

/**
 * Appends the spans of an ExportTraceServiceRequest (or TracesData) to a table, in one pass from the wire format to the
 * columns. A span that cannot be used is left out and counted. Where the envelopes around the spans are broken, nothing
 * after that can be found again: then `MalformedBodyError` is thrown and the table is as it was before.
 */
export function decodeTraces(body: Uint8Array, table: SpanTable): DecodeResult {
  return decode(body, table, null);
}

/**
 * The same for the spans of one trace only (its id as `wordsOfHex` gives it): much faster where these are few. They are found
 * by the trace id in front, where every encoder puts it; spans that begin otherwise are read to tell.
 */
export function decodeOneTrace(body: Uint8Array, table: SpanTable, traceId: TraceIdWords): DecodeResult {
  return decode(body, table, traceId);
}

/** Four words, big-endian. */
type TraceIdWords = readonly number[];

function decode(body: Uint8Array, table: SpanTable, only: TraceIdWords | null): DecodeResult {
  const mark = table.mark();
  const decoder = new TraceDecoder(body, table, only);
  try {
    if (decoder.request() !== broken) return decoder.result(mark.rows);
    table.restore(mark);
    throw decoder.wire.error();
  } finally {
    table.strings.release();
  }
}

class TraceDecoder {
  readonly wire: Wire;
  readonly #table: SpanTable;
  /** the trace that is wanted; null = all */
  readonly #only: TraceIdWords | null;
  /** by `Outcome` */
  readonly #outcomes = [0, 0, 0, 0];
  /** entries of the table for the envelopes around the present spans */
  #resource = 0;
  #scope = 0;

  constructor(body: Uint8Array, table: SpanTable, only: TraceIdWords | null) {
    this.wire = new Wire(body);
    this.#table = table;
    this.#only = only;
  }

  result(firstRow: number): DecodeResult {
    const reasons = new Map<RejectReason, number>();
    let rejected = 0;
    outcomeReasons.forEach((reason, i) => {
      const count = this.#outcomes[i + 1] as number;
      if (count > 0) reasons.set(reason, count);
      rejected += count;
    });
    const { stringIndices } = this.wire;
    const accepted = this.#table.rowCount - firstRow;
    return { accepted, rejected, reasons, ...(stringIndices > 0 ? { stringIndices } : {}) };
  }

  request(): number {
    const { wire } = this;
    const end = wire.bytes.length;
    let at = 0;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      if (wire.low === 0x0a) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        at = this.#resourceSpans(at, wire.next);
      } else at = wire.skip(wire.low, at, end);
      if (at === broken) return broken;
    }
    return at;
  }

  /** Two passes, because the resource may come after its spans: the first reads it and steps over the spans. */
  #resourceSpans(start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    const mark = table.mark();
    const resource = table.resources.add();
    this.#resource = resource;
    const { resources, attributes } = table;
    resources.attributeStart[resource] = attributes.length;
    let hasSpans = false;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      const tag = wire.low;
      if (tag === 0x0a || tag === 0x1a) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        const next = wire.next;
        if (tag === 0x1a) resources.schemaUrl[resource] = table.strings.internBytes(wire.bytes, at, next);
        else if (this.#resourceMessage(at, next) === broken) return broken;
        at = next;
      } else {
        if (tag === 0x12) hasSpans = true;
        at = wire.skip(tag, at, end);
        if (at === broken) return broken;
      }
    }
    resources.attributeEnd[resource] = attributes.length;
    if (hasSpans && this.#eachLengthDelimited(start, end, false) === broken) return broken;
    if (table.rowCount === mark.rows) table.restore(mark);
    return end;
  }

  #resourceMessage(start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    let key = 0;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      const tag = wire.low;
      if (tag === 0x0a) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        const next = wire.next;
        key = appendAttribute(table, wire, at, next, key);
        if (key === broken) return broken;
        at = next;
      } else {
        at = wire.skip(tag, at, end);
        if (at === broken) return broken;
        if (tag === 0x10) table.resources.droppedAttributes[this.#resource] = wire.low;
      }
    }
    return at;
  }

  /** Second pass over a ResourceSpans or ScopeSpans message, whose framing the first pass has checked: field 2 only. */
  #eachLengthDelimited(start: number, end: number, isSpan: boolean): number {
    const { wire } = this;
    const outcomes = this.#outcomes;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      if (wire.low !== 0x12) {
        at = wire.skip(wire.low, at, end);
        if (at === broken) return broken;
        continue;
      }
      at = wire.length(at, end);
      if (at === broken) return broken;
      const next = wire.next;
      if (isSpan) {
        const outcome = this.#appendSpan(at, next);
        outcomes[outcome] = (outcomes[outcome] as number) + 1;
      } else if (this.#scopeSpans(at, next) === broken) return broken;
      at = next;
    }
    return at;
  }

  #scopeSpans(start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    const mark = table.mark();
    const scope = table.scopes.add();
    this.#scope = scope;
    const { scopes, attributes } = table;
    scopes.attributeStart[scope] = attributes.length;
    let hasSpans = false;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      const tag = wire.low;
      if (tag === 0x0a || tag === 0x1a) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        const next = wire.next;
        if (tag === 0x1a) scopes.schemaUrl[scope] = table.strings.internBytes(wire.bytes, at, next);
        else if (this.#scopeMessage(at, next) === broken) return broken;
        at = next;
      } else {
        if (tag === 0x12) hasSpans = true;
        at = wire.skip(tag, at, end);
        if (at === broken) return broken;
      }
    }
    scopes.attributeEnd[scope] = attributes.length;
    if (hasSpans && this.#eachLengthDelimited(start, end, true) === broken) return broken;
    if (table.rowCount === mark.rows) table.restore(mark);
    return end;
  }

  #scopeMessage(start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    const { scopes, strings } = table;
    const scope = this.#scope;
    let key = 0;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      const tag = wire.low;
      if (tag === 0x0a || tag === 0x12 || tag === 0x1a) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        const next = wire.next;
        if (tag === 0x0a) scopes.name[scope] = strings.internBytes(wire.bytes, at, next);
        else if (tag === 0x12) scopes.version[scope] = strings.internBytes(wire.bytes, at, next);
        else {
          key = appendAttribute(table, wire, at, next, key);
          if (key === broken) return broken;
        }
        at = next;
      } else {
        at = wire.skip(tag, at, end);
        if (at === broken) return broken;
        if (tag === 0x20) scopes.droppedAttributes[scope] = wire.low;
      }
    }
    return at;
  }

  /** Appends the Span message from `start` to `end`, or leaves the table as it was and answers why. */
  #appendSpan(start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    const { strings, attributes } = table;
    const { bytes, view } = wire;
    const only = this.#only;
    const hasIdInFront = end - start >= 18 && bytes[start] === 0x0a && bytes[start + 1] === 16;
    if (only !== null && hasIdInFront && !hasWords(view, start + 2, only)) return Outcome.Accepted;
    const attributeStart = attributes.length;
    const complexStart = attributes.complex.length;
    let traceIdAt = -1;
    let spanIdAt = -1;
    let parentAt = -1;
    let startAt = -1;
    let endAt = -1;
    let name = 0;
    let traceState = 0;
    let kind = 0;
    let flags = 0;
    let restAt = -1;
    let key = 0;
    let at = start;
    while (at < end) {
      const tagAt = at;
      let tag = bytes[at] as number;
      at += 1;
      if (tag >= 0x80) {
        at = wire.tag(tagAt, end);
        if (at === broken) return this.#takeBack(attributeStart, complexStart);
        tag = wire.low;
      }
      if ((tag & 7) === 2) {
        if (at >= end || tag < 8) return this.#takeBack(attributeStart, complexStart);
        let length = bytes[at] as number;
        at += 1;
        if (length >= 0x80) {
          at = wire.length(at - 1, end);
          if (at === broken) return this.#takeBack(attributeStart, complexStart);
          length = wire.next - at;
        }
        const next = at + length;
        if (next > end) return this.#takeBack(attributeStart, complexStart);
        switch (tag) {
          case 0x4a:
            key = appendAttribute(table, wire, at, next, key);
            if (key === broken) return this.#takeBack(attributeStart, complexStart);
            break;
          case 0x0a:
            traceIdAt = length === 16 ? at : -1;
            break;
          case 0x12:
            spanIdAt = length === 8 ? at : -1;
            break;
          case 0x22:
            parentAt = length === 8 ? at : -1;
            break;
          case 0x2a:
            name = strings.internAfter(1, bytes, at, next);
            break;
          case 0x1a:
            traceState = strings.internBytes(bytes, at, next);
            break;
          case 0x5a:
          case 0x6a:
          case 0x7a:
            if (restAt < 0 && (length > 0 || tag !== 0x7a)) restAt = tagAt;
            break;
          default:
        }
        at = next;
      } else if (tag === 0x39 || tag === 0x41) {
        if (tag === 0x39) startAt = at;
        else endAt = at;
        at += 8;
        if (at > end) return this.#takeBack(attributeStart, complexStart);
      } else {
        at = wire.skip(tag, at, end);
        if (at === broken) return this.#takeBack(attributeStart, complexStart);
        if (tag === 0x30) kind = enumOf(wire);
        else if (tag === 0x85) flags = view.getUint32(at - 4, true);
        else if ((tag === 0x50 || tag === 0x60 || tag === 0x70) && restAt < 0) restAt = tagAt;
      }
    }
    if (traceIdAt < 0 || isZero(view, traceIdAt, 16)) {
      attributes.truncate(attributeStart, complexStart);
      return Outcome.TraceId;
    }
    if (spanIdAt < 0 || isZero(view, spanIdAt, 8)) {
      attributes.truncate(attributeStart, complexStart);
      return Outcome.SpanId;
    }
    if (only !== null && !hasWords(view, traceIdAt, only)) {
      attributes.truncate(attributeStart, complexStart);
      return Outcome.Accepted;
    }
    const row = table.addRow(this.#resource, this.#scope);
    table.attributeStart[row] = attributeStart;
    putWords(table.traceId, row * 4, view, traceIdAt);
    putWords(table.traceId, row * 4 + 2, view, traceIdAt + 8);
    putWords(table.spanId, row * 2, view, spanIdAt);
    if (parentAt >= 0) putWords(table.parentSpanId, row * 2, view, parentAt);
    if (startAt >= 0) putTime(table.startTime, row, view, startAt);
    if (endAt >= 0) putTime(table.endTime, row, view, endAt);
    table.name[row] = name;
    table.kind[row] = kind;
    if (flags !== 0) table.flags[row] = flags;
    if (traceState !== 0) table.traceState[row] = traceState;
    return restAt < 0 ? Outcome.Accepted : this.#appendRest(row, restAt, end, complexStart);
  }

  #takeBack(attributeLength: number, complexLength: number): number {
    this.#table.attributes.truncate(attributeLength, complexLength);
    return Outcome.Malformed;
  }

  /**
   * The rarer fields of a span, from the first of them on: events, links, status and dropped counts. Their attributes come
   * after those of the span, so that each owner has one range, whatever order the fields are in.
   */
  #appendRest(row: number, start: number, end: number, complexStart: number): number {
    const { wire } = this;
    const table = this.#table;
    let droppedAttributes = 0;
    let droppedEvents = 0;
    let droppedLinks = 0;
    let at = start;
    while (at !== broken && at < end) {
      at = wire.tag(at, end);
      const tag = wire.low;
      if (tag === 0x5a || tag === 0x6a || tag === 0x7a) {
        at = wire.length(at, end);
        const next = wire.next;
        if (tag === 0x7a) at = this.#status(row, at, next);
        else at = tag === 0x5a ? this.#event(at, next) : this.#link(at, next);
      } else {
        at = wire.skip(tag, at, end);
        if (tag === 0x50) droppedAttributes = wire.low;
        else if (tag === 0x60) droppedEvents = wire.low;
        else if (tag === 0x70) droppedLinks = wire.low;
      }
    }
    if (at === broken) {
      table.restore({
        rows: row,
        attributes: table.attributeStart[row] as number,
        complexValues: complexStart,
        events: table.eventStart[row] as number,
        links: table.linkStart[row] as number,
        resources: table.resources.length,
        scopes: table.scopes.length,
      });
      return Outcome.Malformed;
    }
    table.eventEnd[row] = table.events.length;
    table.linkEnd[row] = table.links.length;
    if (droppedAttributes + droppedEvents + droppedLinks > 0)
      table.dropped.set(row, { attributes: droppedAttributes, events: droppedEvents, links: droppedLinks });
    return Outcome.Accepted;
  }

  #status(row: number, start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      const tag = wire.low;
      if (tag === 0x12) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        table.statusMessage[row] = table.strings.internBytes(wire.bytes, at, wire.next);
        at = wire.next;
      } else {
        at = wire.skip(tag, at, end);
        if (at === broken) return broken;
        if (tag === 0x18) table.statusCode[row] = enumOf(wire);
      }
    }
    return at;
  }

  #event(start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    const { events, attributes } = table;
    const event = events.add();
    events.attributeStart[event] = attributes.length;
    let key = 0;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      const tag = wire.low;
      if (tag === 0x12 || tag === 0x1a) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        const next = wire.next;
        if (tag === 0x12) events.name[event] = table.strings.internBytes(wire.bytes, at, next);
        else {
          key = appendAttribute(table, wire, at, next, key);
          if (key === broken) return broken;
        }
        at = next;
      } else {
        const valueAt = at;
        at = wire.skip(tag, at, end);
        if (at === broken) return broken;
        if (tag === 0x09) putTime(events.time, event, wire.view, valueAt);
        else if (tag === 0x20) events.droppedAttributes[event] = wire.low;
      }
    }
    events.attributeEnd[event] = attributes.length;
    return at;
  }

  /** A link whose ids have a wrong length is kept with zero ids: it leads nowhere, but its attributes may say more. */
  #link(start: number, end: number): number {
    const { wire } = this;
    const table = this.#table;
    const { links, attributes } = table;
    const link = links.add();
    links.attributeStart[link] = attributes.length;
    let key = 0;
    let at = start;
    while (at < end) {
      at = wire.tag(at, end);
      if (at === broken) return broken;
      const tag = wire.low;
      if (tag === 0x0a || tag === 0x12 || tag === 0x1a || tag === 0x22) {
        at = wire.length(at, end);
        if (at === broken) return broken;
        const next = wire.next;
        if (tag === 0x22) {
          key = appendAttribute(table, wire, at, next, key);
          if (key === broken) return broken;
        } else this.#linkField(link, tag, at, next);
        at = next;
      } else {
        at = wire.skip(tag, at, end);
        if (at === broken) return broken;
        if (tag === 0x28) links.droppedAttributes[link] = wire.low;
        else if (tag === 0x35) links.flags[link] = wire.view.getUint32(at - 4, true);
      }
    }
    links.attributeEnd[link] = attributes.length;
    return at;
  }

  #linkField(link: number, tag: number, start: number, end: number): void {
    const { links, strings } = this.#table;
    const { bytes, view } = this.wire;
    if (tag === 0x1a) links.traceState[link] = strings.internBytes(bytes, start, end);
    else if (tag === 0x0a) {
      if (end - start !== 16) return;
      putWords(links.traceId, link * 4, view, start);
      putWords(links.traceId, link * 4 + 2, view, start + 8);
    } else if (end - start === 8) putWords(links.spanId, link * 2, view, start);
  }
}

/** The varint that was read last as an enum number that fits a byte. */
function enumOf(wire: Wire): number {
  return wire.high === 0 ? Math.min(wire.low, enumMax) : enumMax;
}

function isZero(view: DataView, at: number, length: number): boolean {
  let bits = 0;
  for (let i = 0; i < length; i += 4) bits |= view.getInt32(at + i);
  return bits === 0;
}

function hasWords(view: DataView, at: number, words: readonly number[]): boolean {
  for (let i = 0; i < words.length; i += 1) if (view.getUint32(at + i * 4) !== words[i]) return false;
  return true;
}

/** Eight bytes of an id as two big-endian words. */
function putWords(column: Uint32Array, index: number, view: DataView, at: number): void {
  column[index] = view.getUint32(at);
  column[index + 1] = view.getUint32(at + 4);
}

/** A fixed64 as two words, the high one first. */
function putTime(column: Uint32Array, index: number, view: DataView, at: number): void {
  column[index * 2] = view.getUint32(at + 4, true);
  column[index * 2 + 1] = view.getUint32(at, true);
}
