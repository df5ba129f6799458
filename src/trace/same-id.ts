import { textOf } from "../model/attributes.ts";
import { meaningfulAttributes } from "../model/semconv.ts";
import { SpanKind, type SpanTable } from "../model/span-table.ts";
import type { RowRef } from "./trace.ts";

/** A record that shares its span id with others of its trace. */
export interface SameIdRecord extends RowRef {
  readonly service: string;
  readonly host: string;
  readonly kind: number;
  readonly start: number;
  readonly end: number;
  readonly hasStart: boolean;
  readonly hasEnd: boolean;
}

export interface SameIdResult<T> {
  readonly kept: readonly T[];
  /** further versions of one span, however often each was sent: the most complete one was kept */
  readonly conflicts: number;
  /** spans that are kept though only one of them can own the id (a caller's and a callee's half may share it) */
  readonly collisions: number;
}

/**
 * Which records of one span id are spans of their own. A record without times repeats a complete one of its service; two
 * records of one service and side are versions of one span, unless they are requests (server, consumer) that began at
 * different times or on different hosts. The answer does not depend on the order of the records.
 */
export function resolveSameId<T extends SameIdRecord>(records: readonly T[]): SameIdResult<T> {
  const complete = new Set<string>();
  for (const { hasStart, service, kind } of records)
    if (hasStart) complete.add(service).add(`${kind} ${service}`);
  const versions = new Map<string, T[]>();
  const partial: T[] = [];
  for (const record of records) {
    if (!record.hasStart && complete.has(partialKey(record))) {
      partial.push(record);
      continue;
    }
    const key = identityKey(record);
    const group = versions.get(key);
    if (group === undefined) versions.set(key, [record]);
    else group.push(record);
  }
  let conflicts = distinctCount(partial);
  const kept: T[] = [];
  for (const group of versions.values()) {
    kept.push(group.reduce((first, record) => (compareVersions(record, first) > 0 ? record : first)));
    conflicts += distinctCount(group) - 1;
  }
  return { kept, conflicts, collisions: collisionsOf(kept) };
}

/** How many of the records differ in what matters: sending one again is normal and changes nothing. */
function distinctCount(records: readonly RowRef[]): number {
  const sorted = records.toSorted(compareMeaning);
  return sorted.filter((record, i) => i === 0 || compareMeaning(sorted[i - 1] as RowRef, record) !== 0)
    .length;
}

/** What a complete record must have in common with one without times: the service, and the kind if there is one. */
function partialKey({ table, row, service, kind }: SameIdRecord): string {
  return table.kind[row] === SpanKind.Unspecified ? service : `${kind} ${service}`;
}

function isRequest(kind: number): boolean {
  return kind === SpanKind.Server || kind === SpanKind.Consumer;
}

function identityKey({ service, kind, start, host }: SameIdRecord): string {
  return isRequest(kind) ? `${kind} ${start} ${host} ${service}` : `${kind} ${service}`;
}

/** One caller's and one callee's half are as they should be; anything more collides. */
function collisionsOf(kept: readonly SameIdRecord[]): number {
  if (kept.length < 2) return 0;
  const callers = kept.filter(({ kind }) => kind === SpanKind.Client || kind === SpanKind.Producer);
  const requests = kept.filter(({ kind }) => isRequest(kind));
  const isPair = kept.length === 2 && callers.length === 1 && requests.length === 1;
  return isPair ? 0 : kept.length - 1;
}

/** Ended before unended, more attributes before fewer, longer before shorter, then by content. */
function compareVersions(a: SameIdRecord, b: SameIdRecord): number {
  return (
    Number(a.hasEnd) - Number(b.hasEnd) ||
    attributesOf(a, true).length - attributesOf(b, true).length ||
    a.end - b.end ||
    compareContent(a, b)
  );
}

/**
 * An order over everything that a record says, what matters first, so that records which were read without the rest are in
 * the same order; 0 = the same span, sent again.
 */
export function compareContent(a: RowRef, b: RowRef): number {
  if (a.table === b.table && a.row === b.row) return 0;
  return compareMeaning(a, b) || compareText(saidBy(a, false), saidBy(b, false));
}

/** The same over what matters: attributes without a meaning to us are left out. */
function compareMeaning(a: RowRef, b: RowRef): number {
  return compareColumns(a, b) || compareText(saidBy(a, true), saidBy(b, true));
}

function compareColumns(a: RowRef, b: RowRef): number {
  const at = a.row * 2;
  const bt = b.row * 2;
  return (
    compareAt(a.table.startTime, at, b.table.startTime, bt) ||
    compareAt(a.table.startTime, at + 1, b.table.startTime, bt + 1) ||
    compareAt(a.table.endTime, at, b.table.endTime, bt) ||
    compareAt(a.table.endTime, at + 1, b.table.endTime, bt + 1) ||
    compareAt(a.table.parentSpanId, at, b.table.parentSpanId, bt) ||
    compareAt(a.table.parentSpanId, at + 1, b.table.parentSpanId, bt + 1) ||
    compareAt(a.table.kind, a.row, b.table.kind, b.row) ||
    compareAt(a.table.statusCode, a.row, b.table.statusCode, b.row) ||
    compareAt(a.table.flags, a.row, b.table.flags, b.row)
  );
}

function compareAt(a: Uint32Array | Uint8Array, i: number, b: Uint32Array | Uint8Array, j: number): number {
  return (a[i] as number) - (b[j] as number);
}

/** What a record says outside of its columns, as one text. */
function saidBy(record: RowRef, isMeaningOnly: boolean): string {
  const { table, row } = record;
  const { strings, events, links, resources, scopes } = table;
  const parts = [strings.get(table.name[row] as number), ...attributesOf(record, isMeaningOnly)];
  const addRange = (start: number, end: number): void => {
    for (const text of attributesIn(table, start, end, isMeaningOnly)) parts.push(text);
  };
  parts.push(strings.get(table.statusMessage[row] as number), strings.get(table.traceState[row] as number));
  for (let i = table.eventStart[row] as number; i < (table.eventEnd[row] as number); i += 1) {
    parts.push(
      "event",
      `${events.time[i * 2]} ${events.time[i * 2 + 1]}`,
      strings.get(events.name[i] as number),
    );
    addRange(events.attributeStart[i] as number, events.attributeEnd[i] as number);
  }
  for (let i = table.linkStart[row] as number; i < (table.linkEnd[row] as number); i += 1) {
    parts.push(
      "link",
      links.traceId.subarray(i * 4, i * 4 + 4).join(),
      links.spanId.subarray(i * 2, i * 2 + 2).join(),
    );
    addRange(links.attributeStart[i] as number, links.attributeEnd[i] as number);
  }
  const resource = table.resource[row] as number;
  parts.push("resource");
  addRange(resources.attributeStart[resource] ?? 0, resources.attributeEnd[resource] ?? 0);
  const scope = table.scope[row] as number;
  parts.push("scope", strings.get(scopes.name[scope] ?? 0), strings.get(scopes.version[scope] ?? 0));
  return parts.join("\u0000");
}

function attributesOf({ table, row }: RowRef, isMeaningOnly: boolean): readonly string[] {
  return attributesIn(
    table,
    table.attributeStart[row] as number,
    table.attributeEnd[row] as number,
    isMeaningOnly,
  );
}

/** Each attribute of a range as a text. */
function attributesIn(
  { attributes }: SpanTable,
  start: number,
  end: number,
  isMeaningOnly: boolean,
): readonly string[] {
  const texts: string[] = [];
  for (let i = start; i < end; i += 1) {
    const key = attributes.keyAt(i);
    if (isMeaningOnly && !meaningfulAttributes.has(key)) continue;
    const value = attributes.valueAt(i);
    texts.push(`${key}=${typeof value} ${textOf(value)}`);
  }
  return texts;
}

export function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
