import { minuteOf } from "../model/time.ts";
import type { EngineLimits } from "./limits.ts";
import type { Clock } from "./ports.ts";

/** Minutes this far ahead of the clock are senders whose clocks run ahead; those beyond must not push out what is true. */
const aheadMinutesMax = 60;

/** Latencies of the newest minutes are exact for thousands of requests, to the minute of these counts. */
const exactMinutes = 15;
/** The same when memory runs short: with less room for each minute, more of them are kept. */
const exactMinutesWhenShort = 2;

/** Spans or points added between two looks at the memory: with hostile names they take about 1 KB each. */
const itemsBetweenLooks = 50_000;

/** Of all minutes, one part goes at a time when the process has too little memory. */
const partsGivenBack = 8;

/** Sums by the minute. */
export interface MinuteSums {
  /** Makes the minutes before one take as little room as they can, and answers what all take in memory, roughly. */
  compact(oldBefore: number): number;
  /** Forgets what happened before a minute, and ignores it from now on. */
  dropBefore(minute: number): void;
}

/**
 * How far back graph and metrics go: at most so many minutes and so many bytes; the oldest minute goes first. Counted by the
 * time of the data, so that a replay of last year is kept too.
 */
export class History {
  readonly #sums: readonly MinuteSums[];
  readonly #clock: Clock;
  readonly #limits: EngineLimits;
  readonly #minutes = new Set<number>();
  #first = Number.NEGATIVE_INFINITY;
  #newest = Number.NEGATIVE_INFINITY;
  #itemsSinceLook = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(sums: readonly MinuteSums[], clock: Clock, limits: EngineLimits) {
    this.#sums = sums;
    this.#clock = clock;
    this.#limits = limits;
  }

  get minuteCount(): number {
    return this.#minutes.size;
  }
  /** Rough, and as of the last look. */
  get bytes(): number {
    return this.#bytes;
  }
  get droppedMinutes(): number {
    return this.#dropped;
  }

  /** Whether a minute is so far ahead that a clock must be wrong. */
  isAhead(minute: number): boolean {
    return minute > minuteOf(this.#clock.unixNanos()) + aheadMinutesMax;
  }

  /** So many spans, points or lines of a minute were added. Answers the first minute that is left if older ones had to go, else null. */
  noteAdded(minute: number, items: number): number | null {
    const firstBefore = this.#first;
    const now = minuteOf(this.#clock.unixNanos());
    this.#itemsSinceLook += items;
    if (minute >= this.#first && !this.isAhead(minute)) this.#minutes.add(minute);
    if (this.#minutes.size > this.#limits.minutesMax) this.#drop(1);
    // The clock may have been set back: what was newest then must not make all that comes old.
    if (this.#newest > now) this.#newest = now - 1;
    const isNewer = minute > this.#newest && minute <= now;
    if (isNewer) this.#newest = minute;
    if (isNewer || this.#itemsSinceLook >= itemsBetweenLooks) this.#look();
    return this.#first > firstBefore ? this.#first : null;
  }

  /**
   * A part of the minutes goes, the oldest first, and the last one where there is no other: the rest of it is not counted then.
   * Answers the first minute that is left, null where none went.
   */
  giveBack(): number | null {
    const firstBefore = this.#first;
    const [last] = this.#minutes;
    if (this.#minutes.size === 1 && last !== undefined) {
      // With one ahead of the clock all until then would be left out.
      if (last > minuteOf(this.#clock.unixNanos())) return null;
      this.#minutes.clear();
      this.#dropped += 1;
      this.#dropBefore(last + 1);
    } else this.#drop(Math.ceil(this.#minutes.size / partsGivenBack));
    this.#bytes = this.#compact(exactMinutesWhenShort);
    return this.#first > firstBefore ? this.#first : null;
  }

  #look(): void {
    const { historyBytesMax } = this.#limits;
    this.#itemsSinceLook = 0;
    this.#bytes = this.#compact(exactMinutes);
    if (this.#bytes > historyBytesMax / 2) this.#bytes = this.#compact(exactMinutesWhenShort);
    // What one minute may take is bounded by the limits of services, operations and edges.
    while (this.#bytes > historyBytesMax && this.#minutes.size > 1) {
      this.#drop(Math.ceil(this.#minutes.size / 16));
      this.#bytes = this.#compact(exactMinutesWhenShort);
    }
  }

  #compact(exact: number): number {
    return this.#sums.reduce((bytes, sums) => bytes + sums.compact(this.#newest - exact), 0);
  }

  /** The oldest minutes go, but never the last one. */
  #drop(count: number): void {
    const minutes = [...this.#minutes].sort((a, b) => a - b);
    const goes = Math.min(count, minutes.length - 1);
    for (const minute of minutes.slice(0, goes)) this.#minutes.delete(minute);
    this.#dropped += goes;
    this.#dropBefore(minutes[goes] ?? this.#first);
  }

  #dropBefore(first: number): void {
    this.#first = first;
    for (const sums of this.#sums) sums.dropBefore(first);
  }
}
