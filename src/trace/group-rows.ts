import { grow } from "../base/grow.ts";
import { type TraceId, traceIdFromWords } from "../model/ids.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { RowRef } from "./trace.ts";

/** The rows of each trace; traces are numbered as they came. */
export interface TraceGroups {
  readonly count: number;
  rowsOf(trace: number): RowRef[];
  traceIdOf(trace: number): TraceId;
  /** All traces by earliest start, then id, whatever order they came in: those that lie near each other follow each other. */
  byStart(): readonly number[];
}

/** Brings the rows of each trace together, whatever tables they are in. */
export function groupByTrace(tables: readonly SpanTable[]): TraceGroups {
  const total = tables.reduce((sum, table) => sum + table.rowCount, 0);
  const index = new TraceIdIndex();
  const groupOf = new Int32Array(total);
  let first = 0;
  for (const table of tables) {
    numberRows(table, index, groupOf.subarray(first, first + table.rowCount));
    first += table.rowCount;
  }
  const ends = endsOf(groupOf, index.count);
  const starts = ends.slice();
  const tableOf = new Int32Array(total);
  const rowOf = new Int32Array(total);
  for (let t = tables.length - 1; t >= 0; t -= 1) {
    const { rowCount } = tables[t] as SpanTable;
    first -= rowCount;
    placeRows(t, groupOf.subarray(first, first + rowCount), { starts, tableOf, rowOf });
  }
  return {
    count: index.count,
    traceIdOf: (group) => index.idOf(group),
    rowsOf: (group) => {
      const rows: RowRef[] = [];
      for (let slot = starts[group] as number; slot < (ends[group] as number); slot += 1)
        rows.push({ table: tables[tableOf[slot] as number] as SpanTable, row: rowOf[slot] as number });
      return rows;
    },
    byStart: () => {
      const earliest = new Float64Array(index.count).fill(Number.POSITIVE_INFINITY);
      for (let t = 0, row = 0; t < tables.length; t += 1) {
        const table = tables[t] as SpanTable;
        noteStarts(table, groupOf.subarray(row, row + table.rowCount), earliest);
        row += table.rowCount;
      }
      return Array.from(earliest, (_, group) => group).sort(
        (a, b) => (earliest[a] as number) - (earliest[b] as number) || index.compareIds(a, b),
      );
    },
  };
}

// The loops over all rows stand alone: in one function, each of them would have it compiled again.

function numberRows({ traceId }: SpanTable, index: TraceIdIndex, groupOf: Int32Array): void {
  for (let row = 0; row < groupOf.length; row += 1) groupOf[row] = index.groupOf(traceId, row * 4);
}

/** Where the rows of each group end when those of all groups stand one after the other. */
function endsOf(groupOf: Int32Array, groupCount: number): Int32Array {
  const ends = new Int32Array(groupCount);
  for (const group of groupOf) ends[group] = (ends[group] as number) + 1;
  for (let i = 1; i < groupCount; i += 1) ends[i] = (ends[i] as number) + (ends[i - 1] as number);
  return ends;
}

/** Lowers the earliest start of each group to what the rows of one table say; Unix nanoseconds, to 256 ns. */
function noteStarts({ startTime }: SpanTable, groupOf: Int32Array, earliest: Float64Array): void {
  for (let row = 0; row < groupOf.length; row += 1) {
    const start = (startTime[row * 2] as number) * 2 ** 32 + (startTime[row * 2 + 1] as number);
    const group = groupOf[row] as number;
    if (start < (earliest[group] as number)) earliest[group] = start;
  }
}

interface Places {
  /** by group: the place behind the one that is free */
  readonly starts: Int32Array;
  readonly tableOf: Int32Array;
  readonly rowOf: Int32Array;
}

/** Gives the rows of one table places before those that have one already. */
function placeRows(table: number, groupOf: Int32Array, { starts, tableOf, rowOf }: Places): void {
  for (let row = groupOf.length - 1; row >= 0; row -= 1) {
    const group = groupOf[row] as number;
    const slot = (starts[group] as number) - 1;
    starts[group] = slot;
    tableOf[slot] = table;
    rowOf[slot] = row;
  }
}

/** Distinct trace ids, numbered as they come. Open addressing over the four words of an id. */
class TraceIdIndex {
  count = 0;
  #ids = new Uint32Array(1024);
  /** group + 1, 0 = free; at most half full */
  #slots = new Int32Array(512);

  groupOf(words: Uint32Array, at: number): number {
    const a = words[at] as number;
    const b = words[at + 1] as number;
    const c = words[at + 2] as number;
    const d = words[at + 3] as number;
    const ids = this.#ids;
    const mask = this.#slots.length - 1;
    for (let slot = hashOf(a, b, c, d) & mask; ; slot = (slot + 1) & mask) {
      const entry = (this.#slots[slot] as number) * 4 - 4;
      if (entry < 0) return this.#add(slot, a, b, c, d);
      if (ids[entry + 3] === d && ids[entry + 2] === c && ids[entry + 1] === b && ids[entry] === a)
        return entry / 4;
    }
  }

  idOf(group: number): TraceId {
    const [a = 0, b = 0, c = 0, d = 0] = this.#ids.subarray(group * 4, group * 4 + 4);
    return traceIdFromWords(a, b, c, d);
  }

  compareIds(a: number, b: number): number {
    const ids = this.#ids;
    for (let i = 0; i < 4; i += 1) {
      const difference = (ids[a * 4 + i] as number) - (ids[b * 4 + i] as number);
      if (difference !== 0) return difference;
    }
    return 0;
  }

  #add(slot: number, a: number, b: number, c: number, d: number): number {
    const group = this.count;
    if (group * 4 + 4 > this.#ids.length) this.#ids = grow(this.#ids, group * 4 + 4);
    this.#ids[group * 4] = a;
    this.#ids[group * 4 + 1] = b;
    this.#ids[group * 4 + 2] = c;
    this.#ids[group * 4 + 3] = d;
    this.#slots[slot] = group + 1;
    this.count = group + 1;
    if (this.count * 2 > this.#slots.length) this.#rehash();
    return group;
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    const ids = this.#ids;
    for (let group = 0; group < this.count; group += 1) {
      const at = group * 4;
      let slot =
        hashOf(ids[at] as number, ids[at + 1] as number, ids[at + 2] as number, ids[at + 3] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = group + 1;
    }
    this.#slots = slots;
  }
}

function hashOf(a: number, b: number, c: number, d: number): number {
  let hash = Math.imul(a ^ Math.imul(b, 0x85ebca6b), 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 15) ^ c, 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 13) ^ d, 0x297a2d39);
  return (hash ^ (hash >>> 16)) >>> 0;
}
