import type { Attributes } from "./attributes.ts";
import { type SpanId, spanIdFromWords, type TraceId, traceIdFromWords } from "./ids.ts";
import type { DroppedCounts, SpanTable } from "./span-table.ts";
import { nanosFromWords, type UnixNanos } from "./time.ts";

export interface SpanEvent {
  readonly time: UnixNanos;
  readonly name: string;
  readonly attributes: Attributes;
  readonly droppedAttributesCount: number;
}

export interface SpanLink {
  readonly traceId: TraceId;
  readonly spanId: SpanId;
  readonly traceState: string;
  readonly flags: number;
  readonly attributes: Attributes;
  readonly droppedAttributesCount: number;
}

const nothingDropped: DroppedCounts = { attributes: 0, events: 0, links: 0 };

/** One row of a span table, read when asked: for showing and for export, not for hot loops. */
export class Span {
  readonly table: SpanTable;
  readonly row: number;

  constructor(table: SpanTable, row: number) {
    this.table = table;
    this.row = row;
  }

  get traceId(): TraceId {
    const { traceId } = this.table;
    const at = this.row * 4;
    return traceIdFromWords(
      traceId[at] as number,
      traceId[at + 1] as number,
      traceId[at + 2] as number,
      traceId[at + 3] as number,
    );
  }
  get spanId(): SpanId {
    return spanIdAt(this.table.spanId, this.row);
  }
  /** null for a root */
  get parentSpanId(): SpanId | null {
    const id = spanIdAt(this.table.parentSpanId, this.row);
    return /^0+$/.test(id) ? null : id;
  }
  get name(): string {
    return this.table.strings.get(this.table.name[this.row] as number);
  }
  get traceState(): string {
    return this.table.strings.get(this.table.traceState[this.row] as number);
  }
  get statusMessage(): string {
    return this.table.strings.get(this.table.statusMessage[this.row] as number);
  }
  get statusCode(): number {
    return this.table.statusCode[this.row] as number;
  }
  get kind(): number {
    return this.table.kind[this.row] as number;
  }
  get flags(): number {
    return this.table.flags[this.row] as number;
  }
  get startTime(): UnixNanos {
    return timeAt(this.table.startTime, this.row);
  }
  /** 0 = the span has not ended */
  get endTime(): UnixNanos {
    return timeAt(this.table.endTime, this.row);
  }
  get attributes(): Attributes {
    const { attributeStart, attributeEnd, attributes } = this.table;
    return attributes.read(attributeStart[this.row] as number, attributeEnd[this.row] as number);
  }
  get resourceAttributes(): Attributes {
    const { resources, attributes } = this.table;
    const resource = this.table.resource[this.row] as number;
    return attributes.read(resources.attributeStart[resource] ?? 0, resources.attributeEnd[resource] ?? 0);
  }
  get scopeAttributes(): Attributes {
    const { scopes, attributes } = this.table;
    const scope = this.table.scope[this.row] as number;
    return attributes.read(scopes.attributeStart[scope] ?? 0, scopes.attributeEnd[scope] ?? 0);
  }
  get scopeName(): string {
    return this.table.strings.get(this.table.scopes.name[this.table.scope[this.row] as number] ?? 0);
  }
  get dropped(): DroppedCounts {
    return this.table.dropped.get(this.row) ?? nothingDropped;
  }
  get events(): readonly SpanEvent[] {
    const { events, attributes, strings, eventStart, eventEnd } = this.table;
    const result: SpanEvent[] = [];
    for (let i = eventStart[this.row] as number; i < (eventEnd[this.row] as number); i += 1)
      result.push({
        time: timeAt(events.time, i),
        name: strings.get(events.name[i] as number),
        attributes: attributes.read(events.attributeStart[i] as number, events.attributeEnd[i] as number),
        droppedAttributesCount: events.droppedAttributes[i] as number,
      });
    return result;
  }
  get links(): readonly SpanLink[] {
    const { links, attributes, strings, linkStart, linkEnd } = this.table;
    const result: SpanLink[] = [];
    for (let i = linkStart[this.row] as number; i < (linkEnd[this.row] as number); i += 1) {
      const [a, b, c, d] = links.traceId.subarray(i * 4, i * 4 + 4);
      result.push({
        traceId: traceIdFromWords(a ?? 0, b ?? 0, c ?? 0, d ?? 0),
        spanId: spanIdAt(links.spanId, i),
        traceState: strings.get(links.traceState[i] as number),
        flags: links.flags[i] as number,
        attributes: attributes.read(links.attributeStart[i] as number, links.attributeEnd[i] as number),
        droppedAttributesCount: links.droppedAttributes[i] as number,
      });
    }
    return result;
  }
}

function spanIdAt(words: Uint32Array, index: number): SpanId {
  return spanIdFromWords(words[index * 2] as number, words[index * 2 + 1] as number);
}

function timeAt(words: Uint32Array, index: number): UnixNanos {
  return nanosFromWords(words[index * 2] as number, words[index * 2 + 1] as number);
}
