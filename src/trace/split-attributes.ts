import { grow } from "../base/grow.ts";
import { textOf } from "../model/attributes.ts";
import { splitValueLengthMax } from "../model/limits.ts";
import { isSplitName, resourceKeys } from "../model/semconv.ts";
import type { SpanTable } from "../model/span-table.ts";

/** One thing that may tell requests of a service apart. */
export interface SplitAttribute {
  readonly key: string;
  readonly value: string;
}

const none: readonly SplitAttribute[] = [];
const instanceNames: ReadonlySet<string> = new Set(resourceKeys.instance);

const known = new WeakMap<SpanTable, SplitAttributes>();
/** What was asked for last: questions come many at a time about one table. */
let last: SplitAttributes | null = null;

/** What the resources and rows of a table say that may split requests into groups. */
export function splitAttributesOf(table: SpanTable): SplitAttributes {
  if (last !== null && last.table === table) return last;
  last = known.get(table) ?? new SplitAttributes(table);
  known.set(table, last);
  return last;
}

/** By string id of a name. */
const Verdict = { Unknown: 0, Split: 1, Other: 2 } as const;

/**
 * The attributes of a table's resources and spans that may split requests into groups, see `isSplitName`. Instances are left
 * out: a span knows its own. Names are judged once; most spans have no such attribute, and those cost a scan.
 */
class SplitAttributes {
  readonly table: SpanTable;
  #verdicts = new Uint8Array(64);

  constructor(table: SpanTable) {
    this.table = table;
  }

  ofResource(resource: number): readonly SplitAttribute[] {
    const { attributeStart, attributeEnd } = this.table.resources;
    return this.#within(attributeStart[resource] ?? 0, attributeEnd[resource] ?? 0);
  }

  ofRow(row: number): readonly SplitAttribute[] {
    const { attributeStart, attributeEnd } = this.table;
    return this.#within(attributeStart[row] as number, attributeEnd[row] as number);
  }

  #within(start: number, end: number): readonly SplitAttribute[] {
    const { attributes } = this.table;
    let found: SplitAttribute[] | null = null;
    for (let i = start; i < end; i += 1) {
      if (!this.#isSplit(attributes.key[i] as number)) continue;
      const value = textOf(attributes.valueAt(i)).trim().slice(0, splitValueLengthMax);
      if (value === "") continue;
      found ??= [];
      found.push({ key: attributes.keyAt(i), value });
    }
    return found ?? none;
  }

  #isSplit(key: number): boolean {
    if (key >= this.#verdicts.length) this.#verdicts = grow(this.#verdicts, key + 1);
    if (this.#verdicts[key] === Verdict.Unknown) {
      const name = this.table.strings.get(key);
      this.#verdicts[key] = isSplitName(name) && !instanceNames.has(name) ? Verdict.Split : Verdict.Other;
    }
    return this.#verdicts[key] === Verdict.Split;
  }
}
