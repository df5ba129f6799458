import { grow } from "../base/grow.ts";
import { spanIdHash } from "../model/ids.ts";
import { episodeGapNanos } from "../model/scoring.ts";
import type { NodeNaming } from "../model/service-directory.ts";
import type { SpanTable } from "../model/span-table.ts";
import { type AssemblyOptions, assembleTrace } from "./assemble.ts";
import type { Episode, RowRef, Trace } from "./trace.ts";

/** What one request sent. */
export interface EpisodeRows {
  readonly rows: readonly RowRef[];
  /** null = the only one with its trace id */
  readonly episode: Episode | null;
}

/**
 * The rows of one trace id by the requests that they come from, earliest first: one, unless the id was used again. Senders
 * that make ids badly use one months later, or for everything they do; each such episode is a trace of its own.
 *
 *   id 7   [==]  [====]      > 1 h, no parent or link across      [===]
 *          '-episode 1-'                                          '2--'
 *
 * The same set of rows gives the same episodes in any order.
 */
export function episodesOf(rows: readonly RowRef[]): readonly EpisodeRows[] {
  const groups = isBrief(rows) ? [] : separateGroups(rows);
  const count = groups.length;
  if (count <= 1) return [{ rows, episode: null }];
  return groups.map((group, i) => ({ rows: group.rows, episode: { number: i + 1, count } }));
}

/** The traces that use one trace id, from all rows with it. */
export function assembleEpisodes(
  all: readonly RowRef[],
  naming: NodeNaming,
  options: Omit<AssemblyOptions, "episode"> = {},
): readonly Trace[] {
  return episodesOf(all).map(({ rows, episode }) => assembleTrace(rows, naming, { ...options, episode }));
}

/** The episode that was asked for; of itself, the latest one that failed, else the latest. */
export function episodeToShow(episodes: readonly Trace[], number: number | null): Trace | undefined {
  if (number !== null) return episodes[number - 1];
  return episodes.findLast(({ spans }) => spans.some(({ failed }) => failed)) ?? episodes.at(-1);
}

/** Whether all rows begin within one gap, as those of nearly every trace do. */
function isBrief(rows: readonly RowRef[]): boolean {
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (const { table, row } of rows) {
    const start = timeAt(table.startTime, row) || timeAt(table.endTime, row);
    if (start === 0) continue;
    if (start < first) first = start;
    if (start > last) last = start;
  }
  return last - first <= episodeGapNanos;
}

/** Rows that hang together, from their first start to their last end. */
interface Group {
  start: number;
  end: number;
  readonly rows: RowRef[];
}

/** Joins what hangs together or lies near in time. What has no times goes with the first. */
function separateGroups(rows: readonly RowRef[]): readonly Group[] {
  const groups = groupsOf(rows).sort((a, b) => a.start - b.start);
  const episodes: Group[] = [];
  for (const group of groups) {
    const last = episodes.at(-1);
    if (last === undefined || (last.end !== 0 && group.start - last.end > episodeGapNanos)) {
      episodes.push(group);
      continue;
    }
    last.end = Math.max(last.end, group.end);
    for (const row of group.rows) last.rows.push(row);
  }
  return episodes;
}

/** Rows that share a span id, a parent (also one that is missing) or a link within the trace are of one group. */
function groupsOf(rows: readonly RowRef[]): Group[] {
  const sets = new IdSets();
  for (const { table, row } of rows) {
    const own = sets.of(table.spanId, row);
    if (!isZero(table.parentSpanId, row)) sets.join(own, sets.of(table.parentSpanId, row));
    const { links, linkStart, linkEnd } = table;
    for (let i = linkStart[row] as number; i < (linkEnd[row] as number); i += 1)
      if (isOfTrace(links.traceId, i, table, row)) sets.join(own, sets.of(links.spanId, i));
  }
  const groups = new Map<number, Group>();
  for (const ref of rows) {
    const { table, row } = ref;
    const set = sets.rootOf(sets.of(table.spanId, row));
    let group = groups.get(set);
    if (group === undefined) {
      group = { start: 0, end: 0, rows: [] };
      groups.set(set, group);
    }
    group.rows.push(ref);
    const start = timeAt(table.startTime, row) || timeAt(table.endTime, row);
    if (start === 0) continue;
    if (group.start === 0 || start < group.start) group.start = start;
    group.end = Math.max(group.end, start, timeAt(table.endTime, row));
  }
  return [...groups.values()];
}

/** Which span ids belong together. Ids are numbered as they come: open addressing over their two words. */
class IdSets {
  #count = 0;
  #ids = new Uint32Array(1024);
  /** number + 1, 0 = free; at most half full */
  #slots = new Int32Array(1024);
  /** by number of an id: another one of its set, nearer to the one that stands for the set */
  readonly #next: number[] = [];

  /** The number of an id in a column of ids. */
  of(ids: Uint32Array, at: number): number {
    const high = ids[at * 2] as number;
    const low = ids[at * 2 + 1] as number;
    const slot = this.#slotOf(high, low);
    const known = (this.#slots[slot] as number) - 1;
    if (known >= 0) return known;
    const number = this.#count;
    this.#count += 1;
    this.#next.push(number);
    if (this.#count * 2 > this.#ids.length) this.#ids = grow(this.#ids, this.#count * 2);
    this.#ids[number * 2] = high;
    this.#ids[number * 2 + 1] = low;
    this.#slots[slot] = this.#count;
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    return number;
  }

  join(a: number, b: number): void {
    this.#next[this.rootOf(a)] = this.rootOf(b);
  }

  rootOf(number: number): number {
    let at = number;
    for (let next = this.#next[at] as number; next !== at; next = this.#next[at] as number) {
      const after = this.#next[next] as number;
      this.#next[at] = after;
      at = after;
    }
    return at;
  }

  /** Where an id is, or belongs. */
  #slotOf(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = spanIdHash(high, low) & mask; ; slot = (slot + 1) & mask) {
      const at = (this.#slots[slot] as number) * 2 - 2;
      if (at < 0 || (this.#ids[at + 1] === low && this.#ids[at] === high)) return slot;
    }
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let number = 0; number < this.#count; number += 1)
      this.#slots[this.#slotOf(this.#ids[number * 2] as number, this.#ids[number * 2 + 1] as number)] =
        number + 1;
  }
}

function isOfTrace(traceIds: Uint32Array, link: number, { traceId }: SpanTable, row: number): boolean {
  for (let word = 0; word < 4; word += 1)
    if (traceIds[link * 4 + word] !== traceId[row * 4 + word]) return false;
  return true;
}

function isZero(ids: Uint32Array, at: number): boolean {
  return ids[at * 2] === 0 && ids[at * 2 + 1] === 0;
}

/** Unix nanoseconds, to 256 ns; 0 = none. */
function timeAt(times: Uint32Array, row: number): number {
  return (times[row * 2] as number) * 2 ** 32 + (times[row * 2 + 1] as number);
}
