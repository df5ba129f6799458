import { grow } from "../base/grow.ts";
import type { EngineLimits } from "./limits.ts";
import { TraceIdTable } from "./trace-id-table.ts";

/**
 * What the engine remembers of each trace, in columns: when its last span arrived, how much of it has been folded into
 * graph and metrics, and which traces are due. Times are monotonic milliseconds of arrival, never times of spans.
 *
 *   arrivals   x x  x          x
 *   open      |--------------|  |----------|      from the first arrival until it is folded
 *                   |-idle-->|  |-idle---->|
 *                         version 1     version 2
 */
export class TraceStates {
  readonly #ids = new TraceIdTable();
  readonly #limits: EngineLimits;
  readonly #bucketMs: number;
  /** bucket number -> entries to be looked at then; an entry is valid in the bucket that `#bucketOf` names */
  readonly #buckets = new Map<number, number[]>();
  #current: readonly number[] = [];
  #currentAt = 0;
  #currentKey: number;
  #lastKey: number;
  /** open traces whose rest is not over */
  #resting: number[] = [];
  #openCount = 0;
  #forgotten = 0;
  /** entries in order of creation, a ring */
  #order = new Uint32Array(1024);
  #orderStart = 0;
  // Columns by entry.
  #isOpen = new Uint8Array(256);
  #lastArrivalMs = new Float64Array(256);
  #openedMs = new Float64Array(256);
  #bucketOf = new Float64Array(256);
  #arrivedRows = new Uint32Array(256);
  #foldedRows = new Uint32Array(256);
  #readRows = new Uint32Array(256);
  #restUntilMs = new Float64Array(256);
  #version = new Uint32Array(256);
  #foldedAt = new Float64Array(256);
  #isFrozen = new Uint8Array(256);
  #isLeftOut = new Uint8Array(256);
  #settledRows = new Uint32Array(256);
  #waitingRows = 0;

  constructor(limits: EngineLimits, nowMs: number) {
    this.#limits = limits;
    this.#bucketMs = Math.max(1, limits.idleMs / 20);
    this.#currentKey = Math.floor(nowMs / this.#bucketMs);
    this.#lastKey = this.#currentKey;
  }

  get size(): number {
    return this.#ids.size;
  }
  /** Traces that wait to be folded. */
  get openCount(): number {
    return this.#openCount;
  }
  /** Rows that have arrived since their trace was last folded. */
  get waitingRows(): number {
    return this.#waitingRows;
  }
  /** Traces that had to be forgotten for lack of room. */
  get forgotten(): number {
    return this.#forgotten;
  }

  find(words: ArrayLike<number>): number {
    return this.#ids.find(words, 0);
  }

  wordsOf(entry: number): Uint32Array {
    return this.#ids.wordsOf(entry);
  }

  /** A span of the trace in `words` from `at` on has arrived. */
  arrive(words: ArrayLike<number>, at: number, nowMs: number): void {
    const sizeBefore = this.#ids.size;
    const entry = this.#ids.add(words, at);
    if (this.#ids.size > sizeBefore) this.#begin(entry);
    this.#lastArrivalMs[entry] = nowMs;
    this.#arrivedRows[entry] = (this.#arrivedRows[entry] as number) + 1;
    this.#waitingRows += 1;
    if (this.#isOpen[entry] === 1) return;
    this.#isOpen[entry] = 1;
    this.#openedMs[entry] = nowMs;
    this.#openCount += 1;
    if ((this.#restUntilMs[entry] as number) > nowMs) this.#resting.push(entry);
    else this.#file(entry);
  }

  /** The next trace to fold, closed by this; -1 = none. `early`: the longest waiting one even if it is not due yet. */
  nextDue(nowMs: number, early: boolean): number {
    if (this.#resting.length > 0) this.#wake(nowMs);
    for (;;) {
      while (this.#currentAt < this.#current.length) {
        const entry = this.#current[this.#currentAt++] as number;
        if (this.#isOpen[entry] !== 1 || this.#bucketOf[entry] !== this.#currentKey) continue;
        if (early || this.#dueMs(entry) <= nowMs) {
          this.close(entry);
          return entry;
        }
        this.#file(entry);
      }
      if (!this.#nextBucket(early ? this.#lastKey : Math.floor(nowMs / this.#bucketMs))) return -1;
    }
  }

  /** How far `nextDue` is behind; it looks through one bucket after the other. */
  lateMs(nowMs: number): number {
    return Math.max(0, nowMs - this.#currentKey * this.#bucketMs);
  }

  isOpen(entry: number): boolean {
    return this.#isOpen[entry] === 1;
  }

  /** Takes a trace out of those that wait, because it is being folded; the next arrival opens it again. */
  close(entry: number): void {
    if (this.#isOpen[entry] !== 1) return;
    this.#isOpen[entry] = 0;
    this.#openCount -= 1;
  }

  /** Whatever arrives, the trace is not due before this time: one that takes long to fold must not take all the time there is. */
  rest(entry: number, untilMs: number): void {
    this.#restUntilMs[entry] = untilMs;
  }

  isComplete(entry: number, nowMs: number): boolean {
    return nowMs - (this.#lastArrivalMs[entry] as number) >= this.#limits.idleMs;
  }

  arrivedRows(entry: number): number {
    return this.#arrivedRows[entry] as number;
  }
  /** How many of the trace's rows, in order of arrival, are in graph and metrics. */
  foldedRows(entry: number): number {
    return this.#foldedRows[entry] as number;
  }
  /** How many of them have been read, repeated ones included, which add nothing. */
  readRows(entry: number): number {
    return this.#readRows[entry] as number;
  }
  version(entry: number): number {
    return this.#version[entry] as number;
  }
  /** The number that the fold of this version had among all folds. */
  foldedAt(entry: number): number {
    return this.#foldedAt[entry] as number;
  }
  /** What it has added can no longer be taken back, because some of its spans had to go. */
  isFrozen(entry: number): boolean {
    return this.#isFrozen[entry] === 1;
  }
  freeze(entry: number): void {
    this.#isFrozen[entry] = 1;
  }

  /** Whether windows are compared without what is folded of it. */
  isLeftOut(entry: number): boolean {
    return this.#isLeftOut[entry] === 1;
  }
  setLeftOut(entry: number, isLeftOut: boolean): void {
    this.#isLeftOut[entry] = isLeftOut ? 1 : 0;
  }

  /** Of all rows that arrived, so many wait no longer: they are folded, or gone. */
  settle(entry: number, rows: number): void {
    this.#waitingRows -= rows - (this.#settledRows[entry] as number);
    this.#settledRows[entry] = rows;
  }

  /** The first `rows` rows were read, and showed nothing new. */
  noteRead(entry: number, rows: number): void {
    this.#readRows[entry] = rows;
  }

  /** The first `rows` rows make the next version. */
  noteFold(entry: number, rows: number, foldNumber: number): void {
    this.#readRows[entry] = rows;
    this.#foldedRows[entry] = rows;
    this.#version[entry] = (this.#version[entry] as number) + 1;
    this.#foldedAt[entry] = foldNumber;
  }

  #dueMs(entry: number): number {
    return Math.min(
      (this.#lastArrivalMs[entry] as number) + this.#limits.idleMs,
      (this.#openedMs[entry] as number) + this.#limits.openAgeMsMax,
    );
  }

  #wake(nowMs: number): void {
    const still: number[] = [];
    for (const entry of this.#resting) {
      if (this.#isOpen[entry] !== 1) continue;
      if ((this.#restUntilMs[entry] as number) > nowMs) still.push(entry);
      else this.#file(entry);
    }
    this.#resting = still;
  }

  /** Buckets that have been looked through are never filled again. */
  #file(entry: number): void {
    const key = Math.max(Math.ceil(this.#dueMs(entry) / this.#bucketMs), this.#currentKey + 1);
    this.#bucketOf[entry] = key;
    this.#lastKey = Math.max(this.#lastKey, key);
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) this.#buckets.set(key, [entry]);
    else bucket.push(entry);
  }

  #nextBucket(untilKey: number): boolean {
    while (this.#currentKey < untilKey) {
      this.#currentKey = this.#buckets.size === 0 ? untilKey : this.#currentKey + 1;
      const bucket = this.#buckets.get(this.#currentKey);
      if (bucket === undefined) continue;
      this.#buckets.delete(this.#currentKey);
      this.#current = bucket;
      this.#currentAt = 0;
      return true;
    }
    return false;
  }

  #begin(entry: number): void {
    if (this.#ids.size > this.#limits.traceStatesMax) this.#forgetOldest();
    if (entry >= this.#isOpen.length) this.#grow(entry + 1);
    this.#isOpen[entry] = 0;
    this.#arrivedRows[entry] = 0;
    this.#isLeftOut[entry] = 0;
    this.#settledRows[entry] = 0;
    this.#foldedRows[entry] = 0;
    this.#readRows[entry] = 0;
    this.#restUntilMs[entry] = 0;
    this.#version[entry] = 0;
    this.#foldedAt[entry] = 0;
    this.#isFrozen[entry] = 0;
    this.#bucketOf[entry] = -1;
    this.#enqueue(entry);
  }

  /** Open ones get another round: they have yet to add what they hold. */
  #forgetOldest(): void {
    const count = this.#ids.size - 1;
    for (let i = 0; i < count; i += 1) {
      const entry = this.#order[this.#orderStart] as number;
      this.#orderStart = (this.#orderStart + 1) % this.#order.length;
      if (this.#isOpen[entry] === 1) {
        this.#order[(this.#orderStart + count - 1) % this.#order.length] = entry;
        continue;
      }
      this.settle(entry, this.#arrivedRows[entry] as number);
      this.#ids.remove(entry);
      this.#forgotten += 1;
      return;
    }
  }

  /** The newest entry's place is the last one: all others are before it. */
  #enqueue(entry: number): void {
    const count = this.#ids.size - 1;
    if (count >= this.#order.length) {
      const larger = new Uint32Array(this.#order.length * 2);
      for (let i = 0; i < count; i += 1)
        larger[i] = this.#order[(this.#orderStart + i) % this.#order.length] as number;
      this.#order = larger;
      this.#orderStart = 0;
    }
    this.#order[(this.#orderStart + count) % this.#order.length] = entry;
  }

  #grow(length: number): void {
    this.#isOpen = grow(this.#isOpen, length);
    this.#lastArrivalMs = grow(this.#lastArrivalMs, length);
    this.#openedMs = grow(this.#openedMs, length);
    this.#bucketOf = grow(this.#bucketOf, length);
    this.#arrivedRows = grow(this.#arrivedRows, length);
    this.#foldedRows = grow(this.#foldedRows, length);
    this.#readRows = grow(this.#readRows, length);
    this.#restUntilMs = grow(this.#restUntilMs, length);
    this.#version = grow(this.#version, length);
    this.#foldedAt = grow(this.#foldedAt, length);
    this.#isFrozen = grow(this.#isFrozen, length);
    this.#isLeftOut = grow(this.#isLeftOut, length);
    this.#settledRows = grow(this.#settledRows, length);
  }
}
