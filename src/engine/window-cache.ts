/** Whole minutes since 1970, both ends included; null = no end on that side. */
export interface MinuteRange {
  readonly from: number | null;
  readonly to: number | null;
}

interface Kept<Window> {
  readonly window: Window;
  readonly changeNumber: number;
  readonly madeMs: number;
}

/** A change over more minutes, or changes in more minutes, count as one everywhere. */
const changedSpanMax = 64;
const changedMinutesMax = 20_000;

/** A window takes megabytes: one that was made this long ago makes room when another is made. */
const keptMsMax = 60_000;

/**
 * Windows of graph and metrics that were asked for, kept until something in them changes. While traces keep coming in, a
 * window may be used a little longer than it is true, so that a hundred questions a second do not add up the same minutes
 * a hundred times.
 */
export class WindowCache<Window> {
  readonly #countMax: number;
  readonly #ageMsMax: number;
  readonly #make: (range: MinuteRange) => Window;
  readonly #kept = new Map<string, Kept<Window>>();
  /** minute -> number of its last change */
  readonly #changedAt = new Map<number, number>();
  #changeNumber = 0;
  #allChangedAt = 0;

  constructor(countMax: number, ageMsMax: number, make: (range: MinuteRange) => Window) {
    this.#countMax = countMax;
    this.#ageMsMax = ageMsMax;
    this.#make = make;
  }

  /** Counts a change in these minutes and returns its number. */
  change(from: number, to: number): number {
    this.#changeNumber += 1;
    if (to - from > changedSpanMax || this.#changedAt.size > changedMinutesMax) {
      this.#allChangedAt = this.#changeNumber;
      this.#changedAt.clear();
    } else for (let minute = from; minute <= to; minute += 1) this.#changedAt.set(minute, this.#changeNumber);
    return this.#changeNumber;
  }

  /** Counts a change that shows everywhere, such as a new name. */
  changeAll(): void {
    this.#changeNumber += 1;
    this.#allChangedAt = this.#changeNumber;
  }

  /** Forgets the minutes before `minute`, which are gone. */
  dropBefore(minute: number): void {
    for (const key of this.#changedAt.keys()) if (key < minute) this.#changedAt.delete(key);
    this.#kept.clear();
    this.changeAll();
  }

  /** Forgets the windows that are kept ready. */
  clear(): void {
    this.#kept.clear();
  }

  /** The window of the range. `atLeast` = the number of a change that must be in it. */
  get(range: MinuteRange, nowMs: number, atLeast: number): Window {
    const key = `${range.from}:${range.to}`;
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    if (kept !== undefined && kept.changeNumber >= atLeast && this.#isFresh(kept, range, nowMs)) {
      this.#kept.set(key, kept);
      return kept.window;
    }
    const made = { window: this.#make(range), changeNumber: this.#changeNumber, madeMs: nowMs };
    for (const [oldKey, { madeMs }] of this.#kept)
      if (this.#kept.size >= this.#countMax || nowMs - madeMs > keptMsMax) this.#kept.delete(oldKey);
    this.#kept.set(key, made);
    return made.window;
  }

  #isFresh(kept: Kept<Window>, range: MinuteRange, nowMs: number): boolean {
    return nowMs - kept.madeMs < this.#ageMsMax || kept.changeNumber >= this.#lastChangeIn(range);
  }

  #lastChangeIn({ from, to }: MinuteRange): number {
    if (from === null || to === null || to - from > 10_000) return this.#changeNumber;
    let last = this.#allChangedAt;
    for (let minute = from; minute <= to; minute += 1)
      last = Math.max(last, this.#changedAt.get(minute) ?? 0);
    return last;
  }
}
