import { type Attributes, textOf } from "../model/attributes.ts";
import { Span } from "../model/span.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { RowRef } from "./trace.ts";

/**
 * Adds a row to `target` that says what several reports of one span say together: of what only one can be right the first
 * report's word counts, and the latest end; attributes, events and links are those of all.
 */
export function mergeReports(reports: readonly RowRef[], target: SpanTable): number {
  const spans = reports.map(({ table, row }) => new Span(table, row));
  const row = target.addRow(addResource(spans, target), addScope(reports, target));
  putColumns(reports, spans, row, target);
  const { attributes, events, links } = target;
  target.attributeStart[row] = attributes.length;
  addAttributes(united(spans.map((span) => span.attributes)), target);
  target.attributeEnd[row] = attributes.length;
  target.eventStart[row] = events.length;
  addEvents(reports, target);
  target.eventEnd[row] = events.length;
  target.linkStart[row] = links.length;
  addLinks(reports, target);
  target.linkEnd[row] = links.length;
  return row;
}

/** Where a report that knows only one time was put because something happened then: no end. */
function isPlacedByEvent({ table, row }: RowRef): boolean {
  const { startTime, endTime, events, eventStart, eventEnd } = table;
  if (startTime[row * 2] !== 0 || startTime[row * 2 + 1] !== 0) return false;
  for (let i = eventStart[row] as number; i < (eventEnd[row] as number); i += 1)
    if (events.time[i * 2] === endTime[row * 2] && events.time[i * 2 + 1] === endTime[row * 2 + 1])
      return true;
  return false;
}

function putColumns(
  reports: readonly RowRef[],
  spans: readonly Span[],
  row: number,
  target: SpanTable,
): void {
  const { strings } = target;
  const text = (of: (span: Span) => string): number => strings.intern(spans.map(of).find(Boolean) ?? "");
  const put = (column: Uint32Array, words: ArrayLike<number>): void => column.set(words, row * words.length);
  const first = reports[0] as RowRef;
  put(target.traceId, first.table.traceId.subarray(first.row * 4, first.row * 4 + 4));
  put(target.spanId, wordsOf("spanId", first));
  put(target.parentSpanId, firstWords("parentSpanId", reports));
  put(target.startTime, firstWords("startTime", reports));
  const ends = reports.filter((report) => !isPlacedByEvent(report));
  put(target.endTime, ends.map((report) => wordsOf("endTime", report)).reduce(laterOf, [0, 0]));
  const status = spans.reduce((worst, span) => Math.max(worst, span.statusCode), 0);
  target.kind[row] = spans.map(({ kind }) => kind).find(Boolean) ?? 0;
  target.statusCode[row] = status;
  target.statusMessage[row] = text((span) => (span.statusCode === status ? span.statusMessage : ""));
  target.flags[row] = spans.reduce((all, span) => (all | span.flags) >>> 0, 0);
  target.name[row] = text((span) => span.name);
  target.traceState[row] = text((span) => span.traceState);
  const dropped = spans.find((span) => span.table.dropped.has(span.row))?.dropped;
  if (dropped !== undefined) target.dropped.set(row, dropped);
}

type Words = readonly [number, number];
type WordColumn = "spanId" | "parentSpanId" | "startTime" | "endTime";

function wordsOf(column: WordColumn, { table, row }: RowRef): Words {
  return [table[column][row * 2] as number, table[column][row * 2 + 1] as number];
}

function firstWords(column: WordColumn, reports: readonly RowRef[]): Words {
  const words = reports.map((report) => wordsOf(column, report));
  return words.find(([high, low]) => high !== 0 || low !== 0) ?? [0, 0];
}

function laterOf(a: Words, b: Words): Words {
  return a[0] > b[0] || (a[0] === b[0] && a[1] >= b[1]) ? a : b;
}

/** The first value of each key. */
function united(all: readonly Attributes[]): Attributes {
  return new Map(all.toReversed().flatMap((attributes) => [...attributes]));
}

function addAttributes(attributes: Attributes, { strings, attributes: pool }: SpanTable): void {
  for (const [key, value] of attributes) pool.addValue(strings.intern(key), value);
}

function addResource(spans: readonly Span[], target: SpanTable): number {
  const { resources, attributes } = target;
  const resource = resources.add();
  resources.attributeStart[resource] = attributes.length;
  addAttributes(united(spans.map((span) => span.resourceAttributes)), target);
  resources.attributeEnd[resource] = attributes.length;
  return resource;
}

/** The scope of the first report that names one. */
function addScope(reports: readonly RowRef[], { scopes, strings }: SpanTable): number {
  const scope = scopes.add();
  for (const { table, row } of reports) {
    const own = table.scope[row] as number;
    const name = table.scopes.name[own] ?? 0;
    if (name === 0) continue;
    scopes.name[scope] = strings.intern(table.strings.get(name));
    scopes.version[scope] = strings.intern(table.strings.get(table.scopes.version[own] ?? 0));
    break;
  }
  return scope;
}

/** Each event that differs from the others, once. */
function addEvents(reports: readonly RowRef[], target: SpanTable): void {
  const { events, attributes: pool, strings } = target;
  const known = new Set<string>();
  for (const { table, row } of reports)
    for (let i = table.eventStart[row] as number; i < (table.eventEnd[row] as number); i += 1) {
      const { time, name, attributeStart, attributeEnd, droppedAttributes } = table.events;
      const words = time.subarray(i * 2, i * 2 + 2);
      const attributes = table.attributes.read(attributeStart[i] as number, attributeEnd[i] as number);
      const text = table.strings.get(name[i] as number);
      const key = `${words.join()} ${textOf(attributes)} ${text}`;
      if (known.has(key)) continue;
      known.add(key);
      const event = events.add();
      events.time.set(words, event * 2);
      events.name[event] = strings.intern(text);
      events.attributeStart[event] = pool.length;
      addAttributes(attributes, target);
      events.attributeEnd[event] = pool.length;
      events.droppedAttributes[event] = droppedAttributes[i] as number;
    }
}

/** Each linked span once. */
function addLinks(reports: readonly RowRef[], target: SpanTable): void {
  const { links, attributes: pool, strings } = target;
  const known = new Set<string>();
  for (const { table, row } of reports)
    for (let i = table.linkStart[row] as number; i < (table.linkEnd[row] as number); i += 1) {
      const from = table.links;
      const traceId = from.traceId.subarray(i * 4, i * 4 + 4);
      const spanId = from.spanId.subarray(i * 2, i * 2 + 2);
      const key = `${traceId.join()} ${spanId.join()}`;
      if (known.has(key)) continue;
      known.add(key);
      const link = links.add();
      links.traceId.set(traceId, link * 4);
      links.spanId.set(spanId, link * 2);
      links.traceState[link] = strings.intern(table.strings.get(from.traceState[i] as number));
      links.flags[link] = from.flags[i] as number;
      links.attributeStart[link] = pool.length;
      addAttributes(
        table.attributes.read(from.attributeStart[i] as number, from.attributeEnd[i] as number),
        target,
      );
      links.attributeEnd[link] = pool.length;
      links.droppedAttributes[link] = from.droppedAttributes[i] as number;
    }
}
