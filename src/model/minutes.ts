import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { minutesMax } from "./limits.ts";

/** Minutes beyond `minutesMax` share this one; it belongs to no window with ends. */
export const overflowMinute = -1;

interface CellWeights {
  /** as last weighed, by minute */
  readonly bytes: Map<number, number>;
  /** minutes that were asked for since then */
  readonly used: Set<number>;
  oldBefore: number;
}

/**
 * One cell a minute, made when first asked for. Old minutes can be dropped: what belongs to one is ignored from then on.
 * Minutes far ahead of those (a hostile clock) share one cell, so that they neither stay for ever nor crowd others out.
 */
export class Minutes<Cell> {
  readonly #cells = new Map<number, Cell>();
  /** null = nobody wants to know what the cells take in memory */
  #weights: CellWeights | null = null;
  readonly #make: () => Cell;
  #firstKept = Number.NEGATIVE_INFINITY;
  #endKept = Number.POSITIVE_INFINITY;
  #lastMinute = Number.NaN;
  #lastCell: Cell | undefined;

  constructor(make: () => Cell) {
    this.#make = make;
  }

  /** The cell to add to, undefined where the minute has been dropped. */
  cellFor(minute: number): Cell | undefined {
    if (minute === this.#lastMinute) return this.#lastCell;
    let cell = this.find(minute);
    if (cell === undefined && minute >= this.#firstKept) {
      const key = this.#hasRoom(minute) ? minute : overflowMinute;
      cell = this.#cells.get(key) ?? this.#make();
      this.#cells.set(key, cell);
      this.#weights?.used.add(key);
    }
    this.#lastMinute = minute;
    this.#lastCell = cell;
    return cell;
  }

  /** The cell that something added at this minute is in. */
  find(minute: number): Cell | undefined {
    if (minute < this.#firstKept) return undefined;
    const key = this.#cells.has(minute) || this.#hasRoom(minute) ? minute : overflowMinute;
    this.#weights?.used.add(key);
    return this.#cells.get(key);
  }

  /**
   * What all cells take in memory, roughly. `weigh` answers it for one cell, and makes an old one, before `oldBefore`, take
   * as little as it can; it is asked only for cells that were used, or grew old, since the last time.
   */
  compact(oldBefore: number, weigh: (cell: Cell, isOld: boolean) => number): number {
    const weights = this.#weights ?? { bytes: new Map(), used: new Set(this.#cells.keys()), oldBefore };
    this.#weights = weights;
    for (const minute of this.#cells.keys())
      if (minute >= weights.oldBefore && minute < oldBefore) weights.used.add(minute);
    // It goes back where the clock does.
    weights.oldBefore = oldBefore;
    for (const minute of weights.used) {
      const cell = this.#cells.get(minute);
      if (cell !== undefined) weights.bytes.set(minute, weigh(cell, minute < weights.oldBefore));
    }
    weights.used.clear();
    this.#lastMinute = Number.NaN;
    let sum = 0;
    for (const bytes of weights.bytes.values()) sum += bytes;
    return sum;
  }

  /** Also forgets what had no minute of its own. */
  dropBefore(minute: number): void {
    this.#firstKept = Math.max(this.#firstKept, minute);
    this.#endKept = this.#firstKept + minutesMax;
    for (const key of this.#cells.keys())
      if (key < this.#firstKept || key >= this.#endKept) {
        this.#cells.delete(key);
        this.#weights?.bytes.delete(key);
      }
    this.#lastMinute = Number.NaN;
    // it would keep what was dropped
    this.#lastCell = undefined;
  }

  /** How many minutes have a cell. */
  get size(): number {
    return this.#cells.size;
  }

  /** The minutes from `from` to `to`, both included, oldest first; null = no end on that side. */
  within(from: number | null, to: number | null): readonly (readonly [minute: number, cell: Cell])[] {
    const minutes = [...this.#cells].sort(([a], [b]) => a - b);
    if (from === null && to === null) return minutes;
    return minutes.filter(
      ([minute]) => minute !== overflowMinute && minute >= (from ?? 0) && minute <= (to ?? Infinity),
    );
  }

  save(out: SnapshotWriter, write: (cell: Cell) => void): void {
    out.number(this.#firstKept);
    out.number(this.#endKept);
    out.map(this.#cells, (minute, cell) => {
      out.number(minute);
      write(cell);
    });
  }

  /** `read` fills a cell that was just made. */
  load(from: SnapshotReader, read: (cell: Cell) => void): void {
    this.#firstKept = from.number();
    this.#endKept = from.number();
    from.map(this.#cells, () => {
      const [minute, cell] = [from.number(), this.#make()];
      read(cell);
      return [minute, cell];
    });
  }

  #hasRoom(minute: number): boolean {
    return this.#cells.size < minutesMax && minute < this.#endKept;
  }
}
