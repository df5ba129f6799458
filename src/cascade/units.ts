import { gather } from "../base/gather.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { sortFew } from "../base/sort-few.ts";

/** Something that a unit shows: a step of a visit, or a kind of log line. */
export interface UnitLabel {
  /** what tells it from others; labels are put in order by it */
  readonly text: string;
  /** as users know it: the operation, or the line */
  readonly name: string;
  readonly isError: boolean;
  /** tells of somebody else's trouble: no symptom of who shows it */
  readonly isHearsay?: boolean;
  /** what all labels have in common that stand for the same trouble, whichever service shows it */
  readonly group: string;
  /** for a call or a message, where it goes; else "" */
  readonly callee: string;
  readonly kind: LabelKind;
}

/** `unanswered` = a call to a service that has spans, and that answered this call with none. */
export type LabelKind = "step" | "call" | "unanswered" | "message" | "status" | "line";

/** What several units show alike. */
interface UnitShape {
  /** places in `Units.labels`, each once */
  readonly labels: readonly number[];
  /** the call that began last, -1 = none */
  readonly lastCall: number;
}

interface UnitKey {
  readonly service: string;
  readonly operation: string;
}

/** What can be compared between two windows by what it shows: visits, with the steps or the log lines of each. */
export interface Units {
  readonly keys: readonly UnitKey[];
  readonly labels: readonly UnitLabel[];
  readonly shapes: readonly UnitShape[];
  /** one row a unit, those of a trace together; places in `keys` and `shapes`, and of the trace in the order of starts */
  readonly key: Int32Array;
  readonly trace: Int32Array;
  readonly shape: Int32Array;
  /** row of the unit above, which comes before; -1 = none */
  readonly parent: Int32Array;
  /** by unit, 1 = a call of it failed because of somebody who is blamed for failures: that explains what it does otherwise */
  readonly explained: Uint8Array;
  /** traces of the window, with units or without */
  readonly traces: number;
}

/** Units in which those that show the same at the same operation are known to be alike. */
export interface SortedUnits extends Units {
  /** by unit, what it is like */
  readonly sort: Int32Array;
  readonly sorts: readonly { readonly key: number; readonly labels: readonly number[] }[];
}

/** Units of two windows, with one numbering of keys and labels in their order. */
export interface UnitPair {
  readonly keys: readonly UnitKey[];
  readonly labels: readonly UnitLabel[];
  readonly before: SortedUnits;
  readonly after: SortedUnits;
}

/** Numbers the keys and labels of two windows alike. */
export function pairUnits(before: Units, after: Units): UnitPair {
  const keys = new Map<string, UnitKey>();
  const labels = new Map<string, UnitLabel>();
  for (const side of [before, after]) {
    for (const key of side.keys) keys.set(keyText(key), key);
    for (const label of side.labels) labels.set(label.text, label);
  }
  const keyTexts = [...keys.keys()].sort();
  const labelTexts = [...labels.keys()].sort();
  const numbers = {
    keys: new Map(keyTexts.map((text, i) => [text, i])),
    labels: new Map(labelTexts.map((text, i) => [text, i])),
  };
  const shared = {
    keys: keyTexts.map((text) => keys.get(text) as UnitKey),
    labels: labelTexts.map((text) => labels.get(text) as UnitLabel),
  };
  return { ...shared, before: renumber(before, shared, numbers), after: renumber(after, shared, numbers) };
}

function renumber(
  units: Units,
  shared: Pick<Units, "keys" | "labels">,
  numbers: { readonly keys: ReadonlyMap<string, number>; readonly labels: ReadonlyMap<string, number> },
): SortedUnits {
  const keyOf = Int32Array.from(units.keys.map((key) => numbers.keys.get(keyText(key)) as number));
  const labelOf = units.labels.map(({ text }) => numbers.labels.get(text) as number);
  const key = gather(keyOf, units.key);
  const shapes = units.shapes.map(({ labels, lastCall }) => ({
    labels: distinctInOrder(labels.map((label) => labelOf[label] as number)),
    lastCall: labelOf[lastCall] ?? -1,
  }));
  const pairs = new PairInterner();
  const sort = new Int32Array(key.length);
  for (let row = 0; row < key.length; row += 1)
    sort[row] = pairs.idOf(key[row] as number, units.shape[row] as number);
  const sorts = pairs.pairs().map(([each, shape]) => ({ key: each, labels: shapes[shape]?.labels ?? [] }));
  return { ...units, ...shared, key, shapes, sort, sorts };
}

/** Sorts `numbers` in place. */
function distinctInOrder(numbers: number[]): readonly number[] {
  sortFew(numbers, (a, b) => a - b);
  return numbers.filter((number, i) => number !== numbers[i - 1]);
}

function keyText({ service, operation }: UnitKey): string {
  return `${service}\u0000${operation}`;
}
