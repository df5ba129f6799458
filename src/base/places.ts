import type { Column } from "./column.ts";

/** What numbers of one numbering are in another one, each looked up when it is first asked for. */
export class Places {
  /** -1 = not asked for yet */
  readonly found: Int32Array;
  readonly #find: (number: number) => number;

  /** `find` answers the place of a number below `count`; below 0 = there is none, it is asked again. */
  constructor(count: number, find: (number: number) => number) {
    this.found = new Int32Array(count).fill(-1);
    this.#find = find;
  }

  at(number: number): number {
    const known = this.found[number] as number;
    if (known >= 0) return known;
    const place = this.#find(number);
    this.found[number] = place;
    return place;
  }

  /** Looks up the numbers in some rows of a column; below 0 = none. */
  findAll(column: Column<Int32Array>, rows: Int32Array): void {
    for (let i = 0; i < rows.length; i += 1) {
      const number = column.at(rows[i] as number);
      if (number >= 0) this.at(number);
    }
  }
}
