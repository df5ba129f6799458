import { type AttributePool, ValueType } from "../model/attributes.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { RowRef } from "../trace/trace.ts";
import { ProtobufWriter, putVarint, varintLength } from "./protobuf-writer.ts";

/** Bytes that the fixed-size fields of a span, an event or a link take together at most. */
const fixedFieldsMax = 128;
/** A length below 2^14 takes two bytes: what most spans need. */
const spanWidth = 2;
const envelopeWidth = 3;

const writer = new ProtobufWriter();

/**
 * An ExportTraceServiceRequest of some rows of any tables, grouped by resource and scope in the order in which these come
 * first. Straight from the columns to bytes; all that a table holds is written, ill-formed UTF-8 as it came.
 */
export function encodeTraces(rows: readonly RowRef[]): Uint8Array {
  for (const group of groupByResource(rows)) {
    const { table, resource } = group;
    const { resources } = table;
    const start = writer.begin(0x0a, envelopeWidth);
    const resourceStart = writer.begin(0x0a, spanWidth);
    writeAttributes(
      table,
      0x0a,
      resources.attributeStart[resource] as number,
      resources.attributeEnd[resource] as number,
    );
    writer.uint(0x10, resources.droppedAttributes[resource] as number);
    writer.end(resourceStart, spanWidth);
    for (const [scope, scopeRows] of group.scopes) writeScopeSpans(table, scope, scopeRows);
    writeString(table, 0x1a, resources.schemaUrl[resource] as number);
    writer.end(start, envelopeWidth);
  }
  return writer.finish();
}

export interface ResourceGroup {
  readonly table: SpanTable;
  readonly resource: number;
  /** the rows of each scope */
  readonly scopes: Map<number, number[]>;
}

export function groupByResource(rows: readonly RowRef[]): readonly ResourceGroup[] {
  const groups: ResourceGroup[] = [];
  const byTable = new Map<SpanTable, Map<number, ResourceGroup>>();
  let group: ResourceGroup | undefined;
  let scope = -1;
  let scopeRows: number[] = [];
  for (const { table, row } of rows) {
    const resource = table.resource[row] as number;
    const rowScope = table.scope[row] as number;
    if (group === undefined || group.table !== table || group.resource !== resource) {
      group = groupOf(byTable, table, resource, groups);
      scope = -1;
    }
    if (scope !== rowScope) {
      scope = rowScope;
      scopeRows = group.scopes.get(scope) ?? [];
      if (scopeRows.length === 0) group.scopes.set(scope, scopeRows);
    }
    scopeRows.push(row);
  }
  return groups;
}

function groupOf(
  byTable: Map<SpanTable, Map<number, ResourceGroup>>,
  table: SpanTable,
  resource: number,
  groups: ResourceGroup[],
): ResourceGroup {
  let byResource = byTable.get(table);
  if (byResource === undefined) {
    byResource = new Map();
    byTable.set(table, byResource);
  }
  let group = byResource.get(resource);
  if (group === undefined) {
    group = { table, resource, scopes: new Map() };
    byResource.set(resource, group);
    groups.push(group);
  }
  return group;
}

function writeScopeSpans(table: SpanTable, scope: number, rows: readonly number[]): void {
  const { scopes } = table;
  const start = writer.begin(0x12, envelopeWidth);
  const scopeStart = writer.begin(0x0a, 1);
  writeString(table, 0x0a, scopes.name[scope] as number);
  writeString(table, 0x12, scopes.version[scope] as number);
  writeAttributes(table, 0x1a, scopes.attributeStart[scope] as number, scopes.attributeEnd[scope] as number);
  writer.uint(0x20, scopes.droppedAttributes[scope] as number);
  writer.end(scopeStart, 1);
  for (const row of rows) writeSpan(table, row);
  writeString(table, 0x1a, scopes.schemaUrl[scope] as number);
  writer.end(start, envelopeWidth);
}

function writeSpan(table: SpanTable, row: number): void {
  const start = writer.begin(0x12, spanWidth);
  writer.reserve(fixedFieldsMax);
  putId(0x0a, table.traceId, row * 4, 4);
  putId(0x12, table.spanId, row * 2, 2);
  writeString(table, 0x1a, table.traceState[row] as number);
  writer.reserve(fixedFieldsMax);
  putId(0x22, table.parentSpanId, row * 2, 2);
  writeString(table, 0x2a, table.name[row] as number);
  writer.reserve(fixedFieldsMax);
  const kind = table.kind[row] as number;
  if (kind !== 0) writer.uint(0x30, kind);
  putTime(0x39, table.startTime, row);
  putTime(0x41, table.endTime, row);
  writeAttributes(table, 0x4a, table.attributeStart[row] as number, table.attributeEnd[row] as number);
  const dropped = table.dropped.size === 0 ? undefined : table.dropped.get(row);
  if (dropped !== undefined) writer.uint(0x50, dropped.attributes);
  for (let i = table.eventStart[row] as number; i < (table.eventEnd[row] as number); i += 1)
    writeEvent(table, i);
  if (dropped !== undefined) writer.uint(0x60, dropped.events);
  for (let i = table.linkStart[row] as number; i < (table.linkEnd[row] as number); i += 1)
    writeLink(table, i);
  if (dropped !== undefined) writer.uint(0x70, dropped.links);
  const statusCode = table.statusCode[row] as number;
  const statusMessage = table.statusMessage[row] as number;
  if (statusCode !== 0 || statusMessage !== 0) {
    const statusStart = writer.begin(0x7a, 1);
    writeString(table, 0x12, statusMessage);
    writer.uint(0x18, statusCode);
    writer.end(statusStart, 1);
  }
  const flags = table.flags[row] as number;
  if (flags !== 0) putFixed32(0x85, flags);
  writer.end(start, spanWidth);
}

function writeEvent(table: SpanTable, event: number): void {
  const { events } = table;
  const start = writer.begin(0x5a, spanWidth);
  writer.reserve(fixedFieldsMax);
  putTime(0x09, events.time, event);
  writeString(table, 0x12, events.name[event] as number);
  writeAttributes(table, 0x1a, events.attributeStart[event] as number, events.attributeEnd[event] as number);
  writer.uint(0x20, events.droppedAttributes[event] as number);
  writer.end(start, spanWidth);
}

function writeLink(table: SpanTable, link: number): void {
  const { links } = table;
  const start = writer.begin(0x6a, 1);
  writer.reserve(fixedFieldsMax);
  putId(0x0a, links.traceId, link * 4, 4);
  putId(0x12, links.spanId, link * 2, 2);
  writeString(table, 0x1a, links.traceState[link] as number);
  writeAttributes(table, 0x22, links.attributeStart[link] as number, links.attributeEnd[link] as number);
  writer.uint(0x28, links.droppedAttributes[link] as number);
  const flags = links.flags[link] as number;
  if (flags !== 0) putFixed32(0x35, flags);
  writer.end(start, 1);
}

function writeAttributes(table: SpanTable, tag: number, start: number, end: number): void {
  const { attributes, strings } = table;
  for (let i = start; i < end; i += 1) {
    const key = attributes.key[i] as number;
    const keyLength = strings.byteLengthOf(key);
    const valueLength = scalarLength(table, i);
    if (valueLength < 0) {
      writeComplex(table, tag, i);
      continue;
    }
    writer.reserve(keyLength + valueLength + 32);
    const { bytes, view } = writer;
    let at = writer.at;
    bytes[at] = tag;
    const length = 4 + keyLength + valueLength;
    if (length < 0x80) {
      bytes[at + 1] = length;
      bytes[at + 2] = 0x0a;
      bytes[at + 3] = keyLength;
      at = strings.copyBytes(key, bytes, view, at + 4);
      bytes[at] = 0x12;
      bytes[at + 1] = valueLength;
      at += 2;
    } else {
      at = putVarint(bytes, at + 1, length - 2 + varintLength(keyLength) + varintLength(valueLength));
      bytes[at] = 0x0a;
      at = strings.copyBytes(key, bytes, view, putVarint(bytes, at + 1, keyLength));
      bytes[at] = 0x12;
      at = putVarint(bytes, at + 1, valueLength);
    }
    writer.at = putScalar(table, i, at);
  }
}

/** How long the AnyValue of an entry is; -1 for those that take the slow way. */
function scalarLength({ attributes, strings }: SpanTable, index: number): number {
  const value = attributes.value[index] as number;
  switch (attributes.type[index] as number) {
    case ValueType.Empty:
      return 0;
    case ValueType.String: {
      const length = strings.byteLengthOf(value);
      return 1 + varintLength(length) + length;
    }
    case ValueType.Bool:
      return 2;
    case ValueType.Int:
      return value < 0 ? -1 : 1 + varintLength(value);
    case ValueType.Double:
      return 9;
    default:
      return -1;
  }
}

function putScalar({ attributes, strings }: SpanTable, index: number, start: number): number {
  const { bytes, view } = writer;
  const value = attributes.value[index] as number;
  switch (attributes.type[index] as number) {
    case ValueType.String: {
      bytes[start] = 0x0a;
      const at = putVarint(bytes, start + 1, strings.byteLengthOf(value));
      return strings.copyBytes(value, bytes, view, at);
    }
    case ValueType.Bool:
      bytes[start] = 0x10;
      bytes[start + 1] = value;
      return start + 2;
    case ValueType.Int:
      bytes[start] = 0x18;
      return putVarint(bytes, start + 1, value);
    case ValueType.Double:
      bytes[start] = 0x21;
      view.setFloat64(start + 1, value, true);
      return start + 9;
    default:
      return start;
  }
}

function writeComplex(table: SpanTable, tag: number, index: number): void {
  const pool: AttributePool = table.attributes;
  const start = writer.begin(tag, 1);
  writeString(table, 0x0a, pool.key[index] as number);
  writer.value(0x12, pool.valueAt(index), 1);
  writer.end(start, 1);
}

/** A string field, left out where it is empty. */
function writeString({ strings }: SpanTable, tag: number, id: number): void {
  if (id === 0) return;
  const length = strings.byteLengthOf(id);
  writer.reserve(length + 10);
  const { bytes, view } = writer;
  bytes[writer.at] = tag;
  writer.at = strings.copyBytes(id, bytes, view, putVarint(bytes, writer.at + 1, length));
}

/** An id of big-endian words, left out where it is all zero. Room is there. */
function putId(tag: number, words: Uint32Array, index: number, count: number): void {
  let bits = 0;
  for (let i = 0; i < count; i += 1) bits |= words[index + i] as number;
  if (bits === 0) return;
  const { bytes, view, at } = writer;
  bytes[at] = tag;
  bytes[at + 1] = count * 4;
  for (let i = 0; i < count; i += 1) view.setUint32(at + 2 + i * 4, words[index + i] as number);
  writer.at = at + 2 + count * 4;
}

/** A fixed64 from a pair of words, left out where it is zero. Room is there. */
function putTime(tag: number, words: Uint32Array, index: number): void {
  const high = words[index * 2] as number;
  const low = words[index * 2 + 1] as number;
  if ((high | low) === 0) return;
  const { bytes, view, at } = writer;
  bytes[at] = tag;
  view.setUint32(at + 1, low, true);
  view.setUint32(at + 5, high, true);
  writer.at = at + 9;
}

function putFixed32(tag: number, value: number): void {
  writer.reserve(16);
  writer.at = putVarint(writer.bytes, writer.at, tag);
  writer.view.setUint32(writer.at, value, true);
  writer.at += 4;
}
