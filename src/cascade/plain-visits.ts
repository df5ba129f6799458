import type { Interner } from "../base/interner.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { manySteps } from "../model/limits.ts";
import type { StepName } from "./visits.ts";

/** What visits of one operation did, each for as many as were left out for it and itself. */
export interface StandInSteps {
  /** those that were looked at */
  readonly visits: number;
  /** how many they stand for */
  readonly weight: number;
  /** each step once, and how many they stand for that show it; in no order */
  readonly steps: readonly (readonly [step: StepName, weight: number])[];
}

/** How a rollup numbers what its visits are made of: a number stays what it is. Name 0 stands for all that there is no room for. */
export interface VisitNumbers {
  readonly names: Interner;
  /** service and operation, by the numbers of their names */
  readonly operations: PairInterner;
  readonly stepsOfShape: (shape: number) => readonly number[];
  /** by keys as traces have them; null = it stands for several that there is no room for */
  readonly nameOfStep: (step: number) => StepName | null;
}

/** Some rows of a rollup. */
interface VisitRows {
  readonly rows: Int32Array;
  /** of each of them, how many visits it stands for */
  readonly weights: Float64Array;
  /** of all rows */
  readonly operation: Int32Array;
  readonly shape: Int32Array;
}

/** The plain visits (see `plainVisits`) of a rollup, counted by what they did. As of when it was made. */
export class PlainVisits {
  readonly #numbers: VisitNumbers;
  /** by operation, where its shapes begin; at the end, where the last ones end */
  readonly #starts: Int32Array;
  readonly #shapes: Int32Array;
  /** how many visits have each shape, and how many these stand for */
  readonly #counts: Int32Array;
  readonly #weights: Float64Array;

  constructor(numbers: VisitNumbers, { rows, weights, operation, shape }: VisitRows) {
    const kinds = new PairInterner();
    const counts = new Int32Array(rows.length);
    const sums = new Float64Array(rows.length);
    for (let i = 0; i < rows.length; i += 1) {
      const row = rows[i] as number;
      const kind = kinds.idOf(operation[row] as number, shape[row] as number);
      counts[kind] = (counts[kind] as number) + 1;
      sums[kind] = (sums[kind] as number) + (weights[i] as number);
    }
    const starts = new Int32Array(numbers.operations.size + 1);
    for (let kind = 0; kind < kinds.size; kind += 1) {
      const next = kinds.firstAt(kind) + 1;
      starts[next] = (starts[next] as number) + 1;
    }
    for (let at = 1; at < starts.length; at += 1)
      starts[at] = (starts[at] as number) + (starts[at - 1] as number);
    const ends = starts.slice();
    this.#numbers = numbers;
    this.#starts = starts;
    this.#shapes = new Int32Array(kinds.size);
    this.#counts = new Int32Array(kinds.size);
    this.#weights = new Float64Array(kinds.size);
    for (let kind = 0; kind < kinds.size; kind += 1) {
      const own = kinds.firstAt(kind);
      const place = ends[own] as number;
      ends[own] = place + 1;
      this.#shapes[place] = kinds.secondAt(kind);
      this.#counts[place] = counts[kind] as number;
      this.#weights[place] = sums[kind] as number;
    }
  }

  /** By number, the keys of services that have any. */
  services(): ReadonlyMap<number, string> {
    const { names, operations } = this.#numbers;
    const services = new Map<number, string>();
    // operation 0 stands for all that there is no room for
    for (let operation = 1; operation + 1 < this.#starts.length; operation += 1) {
      if (this.#starts[operation] === this.#starts[operation + 1]) continue;
      const service = operations.firstAt(operation);
      if (!services.has(service)) services.set(service, names.texts[service] as string);
    }
    return services;
  }

  /** What those of an operation did; null where there are none. `service` = a number that `services` gave. */
  of(service: number, operation: string): StandInSteps | null {
    const { names, operations, stepsOfShape, nameOfStep } = this.#numbers;
    const found = operations.find(service, names.find(operation));
    // there may be more operations by now
    if (found <= 0 || found + 1 >= this.#starts.length) return null;
    let [visits, weight] = [0, 0];
    const shown = new Map<number, number>();
    for (let at = this.#starts[found] as number; at < (this.#starts[found + 1] as number); at += 1) {
      const own = this.#weights[at] as number;
      visits += this.#counts[at] as number;
      weight += own;
      for (const step of stepsOfShape(this.#shapes[at] as number))
        shown.set(step, (shown.get(step) ?? 0) + own);
    }
    if (visits === 0) return null;
    const least = shown.size > manySteps.from ? manySteps.visitShareMin * weight : 0;
    const steps: (readonly [StepName, number])[] = [];
    for (const [number, own] of shown) {
      const step = own < least ? null : nameOfStep(number);
      if (step !== null) steps.push([step, own]);
    }
    return { visits, weight, steps };
  }
}
