import { gather, gatherBytes, gatherNumbers } from "../base/gather.ts";
import { mapEntry } from "../base/map-entry.ts";
import { requestsAtLevel, thinningLevelMax, thinningLevelOf } from "../model/trace-choice.ts";
import type { VisitSums } from "./visit-rollup.ts";

/**
 * How many requests each trace stands for, by place in `traceIds`: as many as were left out for it, and itself. To be counted
 * wherever requests of several kinds are put together, which ranks need not.
 */
export function requestsByTrace({ traceGroups, levels }: VisitSums): Float64Array {
  const requests = new Float64Array(traceGroups.length);
  for (let trace = 0; trace < requests.length; trace += 1)
    requests[trace] = requestsAtLevel(levels[traceGroups[trace] as number] as number);
  return requests;
}

/**
 * Two windows in which each group of requests was thinned as far as any other, but for a factor that is the same for all: then
 * a mix of requests means the same in both. The factor is the one that leaves the most traces to be compared. Windows that are
 * alike already are answered as they are.
 */
export function thinnedAlike(
  before: VisitSums,
  after: VisitSums,
): readonly [before: VisitSums, after: VisitSums] {
  const offset = bestOffset(before, after);
  const levels = before.levels.map((was, group) => alikeLevels(was, levelAt(after, group), offset).before);
  return [
    thinnedTo(before, levels),
    thinnedTo(
      after,
      levels.map((level) => level - offset),
    ),
  ];
}

/** By how many levels the first window is to be thinned further than the second one. */
function bestOffset(before: VisitSums, after: VisitSums): number {
  const groups = groupsOf(before, after);
  const offsets = new Set(groups.map((group) => levelAt(before, group) - levelAt(after, group)));
  const [only = 0] = offsets;
  if (offsets.size < 2) return only;
  const [was, is] = [rowsByLevel(before), rowsByLevel(after)];
  let best = { compared: -1, offset: 0 };
  // the smallest one of those that are as good
  for (const offset of [...offsets].sort((a, b) => Math.abs(a) - Math.abs(b) || a - b)) {
    let compared = 0;
    for (const group of groups) {
      const levels = alikeLevels(levelAt(before, group), levelAt(after, group), offset);
      compared += Math.min(keptRows(was.get(group), levels.before), keptRows(is.get(group), levels.after));
    }
    if (compared > best.compared) best = { compared, offset };
  }
  return best.offset;
}

/** Says of which traces log lines are kept: of those that are, and of those that no visits are known of, where none had to go. */
export function keepsLines(sums: VisitSums): (traceId: string) => boolean {
  const highest = Math.max(...sums.levels);
  if (highest === 0) return () => true;
  // many windows have no lines
  let kept: ReadonlySet<string> | null = null;
  return (traceId) => {
    kept ??= new Set(sums.traceIds);
    return kept.has(traceId) || thinningLevelOf(traceId) >= highest;
  };
}

/** Of the traces of both, in order. */
function groupsOf(before: VisitSums, after: VisitSums): readonly number[] {
  const isThere = new Uint8Array(before.levels.length);
  for (const { traceGroups } of [before, after])
    for (let trace = 0; trace < traceGroups.length; trace += 1) isThere[traceGroups[trace] as number] = 1;
  return [...isThere.keys()].filter((group) => isThere[group] === 1);
}

function levelAt({ levels }: VisitSums, group: number): number {
  return levels[group] as number;
}

/** No lower than either is, and so far apart. */
function alikeLevels(
  before: number,
  after: number,
  offset: number,
): { readonly before: number; readonly after: number } {
  const level = Math.max(before, after + offset);
  return { before: level, after: level - offset };
}

/** By group, then by level of the trace. */
type RowsByLevel = ReadonlyMap<number, Float64Array>;

function rowsByLevel({ visits, traceIds, traceGroups }: VisitSums): RowsByLevel {
  const levels = traceIds.map(thinningLevelOf);
  const rows = new Map<number, Float64Array>();
  for (let row = 0; row < visits.trace.length; row += 1) {
    const trace = visits.trace[row] as number;
    const group = traceGroups[trace] as number;
    const own = mapEntry(rows, group, () => new Float64Array(thinningLevelMax + 1));
    const level = levels[trace] as number;
    own[level] = (own[level] as number) + 1;
  }
  return rows;
}

function keptRows(rows: Float64Array | undefined, level: number): number {
  return rows === undefined ? 0 : rows.subarray(level).reduce((sum, count) => sum + count, 0);
}

function thinnedTo(sums: VisitSums, levels: Uint8Array): VisitSums {
  if (levels.every((level, group) => level === sums.levels[group])) return sums;
  const isKept = sums.traceIds.map(
    (id, place) => thinningLevelOf(id) >= (levels[sums.traceGroups[place] as number] as number),
  );
  const kept = withTraces(sums, isKept);
  const omitted = sums.traceIds.length - kept.traceIds.length;
  return { ...kept, levels, omittedTraces: sums.omittedTraces + omitted };
}

/** Only what belongs to some traces, by their place. */
export function withTraces(sums: VisitSums, isKept: readonly boolean[]): VisitSums {
  const { visits, calls, visitOfSpan } = sums;
  const places = placesOf(isKept);
  const isRowKept = new Uint8Array(visits.trace.length);
  for (let row = 0; row < isRowKept.length; row += 1)
    if ((places[visits.trace[row] as number] as number) >= 0) isRowKept[row] = 1;
  const isCallKept = new Uint8Array(calls.name.length);
  for (let row = 0; row < isCallKept.length; row += 1)
    isCallKept[row] = isRowKept[calls.callerVisit[row] as number] as number;
  const visitRows = placesIn(isRowKept);
  const rows = numbered(visitRows, isRowKept.length);
  const ofKept = <T>(items: readonly T[]): readonly T[] => items.filter((_, place) => isKept[place]);
  const keptVisits = gathered(visits, visitRows);
  const keptCalls = gathered(calls, placesIn(isCallKept));
  return {
    ...sums,
    traceIds: ofKept(sums.traceIds),
    traceMinutes: ofKept(sums.traceMinutes),
    traceGroups: sums.traceGroups.filter((_, place) => isKept[place]),
    visits: {
      ...keptVisits,
      trace: gather(places, keptVisits.trace),
      parent: gather(rows, keptVisits.parent, -1),
    },
    calls: {
      ...keptCalls,
      callerVisit: gather(rows, keptCalls.callerVisit),
      calleeVisit: gather(rows, keptCalls.calleeVisit, -1),
    },
    visitOfSpan: (traceId, spanId) => {
      const row = rows[visitOfSpan(traceId, spanId) ?? -1] ?? -1;
      return row < 0 ? undefined : row;
    },
  };
}

/** By old place the new one, -1 = gone. */
function placesOf(isKept: readonly boolean[]): Int32Array {
  const places = new Int32Array(isKept.length).fill(-1);
  let next = 0;
  for (let place = 0; place < isKept.length; place += 1) {
    if (isKept[place] !== true) continue;
    places[place] = next;
    next += 1;
  }
  return places;
}

/** The places at which there is a 1. */
function placesIn(isKept: Uint8Array): Int32Array {
  const places = new Int32Array(isKept.length);
  let count = 0;
  for (let place = 0; place < isKept.length; place += 1) {
    if (isKept[place] === 0) continue;
    places[count] = place;
    count += 1;
  }
  return places.subarray(0, count);
}

/** By old place the new one, -1 = gone. */
function numbered(kept: Int32Array, length: number): Int32Array {
  const places = new Int32Array(length).fill(-1);
  for (let i = 0; i < kept.length; i += 1) places[kept[i] as number] = i;
  return places;
}

function gathered<T extends Readonly<Record<string, Int32Array | Float64Array | Uint8Array>>>(
  columns: T,
  rows: Int32Array,
): T {
  return Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [name, gatherAny(values, rows)]),
  ) as unknown as T;
}

function gatherAny(
  values: Int32Array | Float64Array | Uint8Array,
  rows: Int32Array,
): Int32Array | Float64Array | Uint8Array {
  if (values instanceof Float64Array) return gatherNumbers(values, rows);
  return values instanceof Int32Array ? gather(values, rows) : gatherBytes(values, rows);
}
