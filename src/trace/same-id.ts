import { compareText } from "../base/compare-text.ts";
import { mapEntry } from "../base/map-entry.ts";
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
  /** versions of a span that contradict the one that was kept, however often each was sent */
  readonly conflicts: number;
  /** spans that are kept though only one of them can own the id (a caller's and a callee's half may share it) */
  readonly collisions: number;
}

/**
 * Which records of one span id are spans of their own. Two records of one service and side are about one span, unless they
 * are requests (server, consumer) that began at different times or on different hosts. A report that lacks a time and
 * contradicts no other is a part of its span, as clients of Zipkin send them; `merge` puts the parts together, most complete
 * first. Of versions that contradict each other the most complete one is kept. The answer does not depend on the order of
 * the records.
 */
export function resolveSameId<T extends SameIdRecord>(
  records: readonly T[],
  merge: (reports: readonly T[]) => T,
): SameIdResult<T> {
  const versions = new Map<string, T[]>();
  for (const record of records)
    if (!isOpen(record)) mapEntry(versions, identityKey(record), () => []).push(record);
  const open = records.filter(isOpen);
  const owners = ownersOf(open.length > 0 ? versions.values() : []);
  const strays: T[] = [];
  for (const record of open) {
    const [owner, ...others] = owners.get(partialKey(record)) ?? [];
    if (owner === undefined) mapEntry(versions, identityKey(record), () => []).push(record);
    else if (others.length === 0) owner.push(record);
    else strays.push(record);
  }
  let conflicts = distinctCount(strays);
  const kept: T[] = [];
  for (const group of versions.values()) {
    const [only, ...rest] = group;
    if (only !== undefined && rest.length === 0) {
      kept.push(only);
      continue;
    }
    const best = group.reduce((first, record) => (compareVersions(record, first) > 0 ? record : first));
    const others = group.filter((record) => record !== best);
    const parts = others.filter((record) => isPartOf(record, best));
    kept.push(parts.length === 0 ? best : merge([best, ...parts.sort((a, b) => compareVersions(b, a))]));
    conflicts += distinctCount([best, ...others.filter((record) => !isPartOf(record, best))]) - 1;
  }
  return { kept, conflicts, collisions: collisionsOf(kept) };
}

/** The groups that a record may belong to which does not say enough, by `partialKey`. */
function ownersOf<T extends SameIdRecord>(groups: Iterable<T[]>): ReadonlyMap<string, readonly T[][]> {
  const owners = new Map<string, T[][]>();
  for (const group of groups) {
    const { kind, service } = group[0] as T;
    for (const key of [service, `${kind} ${service}`]) mapEntry(owners, key, () => []).push(group);
  }
  return owners;
}

/** Whether a record does not say enough to know whose it is. */
function isOpen({ table, row, hasStart, hasEnd }: SameIdRecord): boolean {
  return !hasStart || (!hasEnd && table.kind[row] === SpanKind.Unspecified);
}

/** What an open record must have in common with another: the service, and the kind if there is one. */
function partialKey({ table, row, service, kind }: SameIdRecord): string {
  return table.kind[row] === SpanKind.Unspecified ? service : `${kind} ${service}`;
}

/** Whether a report lacks a time, and says nothing against a more complete one. */
function isPartOf(record: SameIdRecord, best: SameIdRecord): boolean {
  if (record.hasStart && record.hasEnd) return false;
  return !record.hasStart || record.start === best.start;
}

/** How many of the records differ in what matters: sending one again is normal and changes nothing. */
function distinctCount(records: readonly RowRef[]): number {
  const sorted = records.toSorted(compareMeaning);
  return sorted.filter((record, i) => i === 0 || compareMeaning(sorted[i - 1] as RowRef, record) !== 0)
    .length;
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

/** Ended before unended, those with a start first; more attributes before fewer, longer before shorter, then by content. */
function compareVersions(a: SameIdRecord, b: SameIdRecord): number {
  return (
    Number(a.hasStart) - Number(b.hasStart) ||
    Number(a.hasEnd) - Number(b.hasEnd) ||
    meaningCount(a) - meaningCount(b) ||
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

/** How many of a record's own attributes matter. */
function meaningCount({ table, row }: RowRef): number {
  const end = table.attributeEnd[row] as number;
  let count = 0;
  for (let i = table.attributeStart[row] as number; i < end; i += 1)
    if (meaningfulAttributes.has(table.attributes.keyAt(i))) count += 1;
  return count;
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
