import { Interner } from "../base/interner.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { sortFew } from "../base/sort-few.ts";
import { splitSetsMax, splitValuesMax } from "../model/limits.ts";
import { visitNamesMax } from "../model/scoring.ts";
import type { SpanTable } from "../model/span-table.ts";
import { semanticsOf } from "../trace/semantics.ts";
import { type SplitAttribute, splitAttributesOf } from "../trace/split-attributes.ts";
import type { Trace, TraceSpan } from "../trace/trace.ts";
import type { Visit } from "./visits.ts";

/** What the process of a visit goes by, however its resource names it. */
export const instanceKey = "service.instance.id";

/** Rough sizes. */
const textBytes = 160;
const pairBytes = 16;

/**
 * Numbers the sets of attributes that tell visits of a service apart. An attribute with very many values at one service tells
 * single requests apart, not groups: it is left out as a whole, so that the order of visits never shows. Set 0 is empty.
 */
export class SplitSets {
  readonly #texts = new Interner(visitNamesMax);
  /** service and key */
  readonly #keys = new PairInterner(visitNamesMax);
  /** by place in `#keys`, how many values were seen */
  readonly #valueCounts: number[] = [];
  /** key and value */
  readonly #values = new PairInterner(visitNamesMax);
  /** place + 1 of the set without the last value (0 = nothing), and the last one */
  readonly #sets = new PairInterner(splitSetsMax);
  /** by table, the sets of its resources by number */
  readonly #ofTables = new WeakMap<SpanTable, (number | undefined)[]>();
  /** what was asked for last: visits of one table come together */
  #table: SpanTable | null = null;
  #ofResources: (number | undefined)[] = [];

  constructor() {
    this.#keys.idOf(0, 0);
    this.#values.idOf(0, 0);
    this.#sets.idOf(0, 0);
  }

  /** The set of a visit of the trace. */
  setOf({ spans }: Trace, visit: Visit): number {
    const { table, row } = spans[visit.entry] as TraceSpan;
    if (table !== this.#table) {
      this.#table = table;
      this.#ofResources = this.#ofTables.get(table) ?? [];
      this.#ofTables.set(table, this.#ofResources);
    }
    const resource = semanticsOf(table).firstEqualResource(table.resource[row] as number);
    const set = this.#ofResources[resource] ?? this.#addResource(table, resource, visit);
    const ofSpan = splitAttributesOf(table).ofRow(row);
    return ofSpan.length === 0 ? set : this.#extended(set, visit.service, ofSpan);
  }

  #addResource(table: SpanTable, resource: number, { service, instance }: Visit): number {
    const attributes = splitAttributesOf(table).ofResource(resource);
    const own = instance === "" ? attributes : [...attributes, { key: instanceKey, value: instance }];
    const set = this.#extended(0, service, own);
    while (this.#ofResources.length < resource) this.#ofResources.push(undefined);
    this.#ofResources[resource] = set;
    return set;
  }

  read(): readonly (readonly SplitAttribute[])[] {
    const keys = this.#keys.pairs();
    const values = this.#values.pairs();
    const { texts } = this.#texts;
    const sets: (readonly SplitAttribute[])[] = [];
    for (const [before, value] of this.#sets.pairs()) {
      const [key, text] = values[value] ?? [0, 0];
      const above = before === 0 ? [] : (sets[before - 1] ?? []);
      const isLeftOut = value === 0 || (this.#valueCounts[key] ?? 0) > splitValuesMax;
      const name = texts[keys[key]?.[1] ?? -1];
      sets.push(
        isLeftOut || name === undefined
          ? above
          : [...above.filter((each) => each.key !== name), { key: name, value: texts[text] ?? "" }],
      );
    }
    return sets;
  }

  /** Adds the sets of another one; answers what their numbers are here. */
  absorb(other: SplitSets): Int32Array {
    const { texts } = other.#texts;
    const [keys, sets] = [other.#keys, other.#sets];
    const values = new Int32Array(other.#values.size);
    for (let value = 1; value < values.length; value += 1) {
      const key = other.#values.firstAt(value);
      const [service, name] = [texts[keys.firstAt(key)] ?? "", texts[keys.secondAt(key)] ?? ""];
      values[value] = this.#valueOf(service, name, texts[other.#values.secondAt(value)] ?? "");
    }
    for (let key = 0; key < keys.size; key += 1)
      if ((other.#valueCounts[key] ?? 0) > splitValuesMax)
        this.#leaveOut(texts[keys.firstAt(key)] ?? "", texts[keys.secondAt(key)] ?? "");
    const places = new Int32Array(sets.size);
    for (let set = 1; set < places.length; set += 1) {
      const above = places[sets.firstAt(set) - 1] ?? 0;
      const own = values[sets.secondAt(set)] as number;
      places[set] = own > 0 ? this.#sets.idOf(above + 1, own) : above;
    }
    return places;
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    return (
      this.#texts.texts.length * textBytes +
      (this.#keys.size + this.#values.size + this.#sets.size) * pairBytes
    );
  }

  /** The attribute has too many values at a service. */
  #leaveOut(service: string, key: string): void {
    const keyId = this.#keys.idOf(this.#texts.idOf(service), this.#texts.idOf(key));
    this.#valueCounts[keyId] = splitValuesMax + 1;
  }

  #extended(set: number, service: string, attributes: readonly SplitAttribute[]): number {
    const values: number[] = [];
    for (const { key, value } of attributes) values.push(this.#valueOf(service, key, value));
    sortFew(values, (a, b) => a - b);
    let place = set;
    let last = 0;
    for (const value of values) {
      if (value > last) place = this.#sets.idOf(place + 1, value);
      last = value;
    }
    return place;
  }

  /** 0 = the value is not kept */
  #valueOf(service: string, key: string, value: string): number {
    const pair = [this.#texts.idOf(service), this.#texts.idOf(key)] as const;
    if (Math.min(...pair) < 0) return 0;
    const keyId = this.#keys.idOf(...pair);
    const count = this.#valueCounts[keyId] ?? 0;
    if (keyId === 0 || count > splitValuesMax) return 0;
    const text = this.#texts.idOf(value);
    if (text < 0) return 0;
    const known = this.#values.size;
    const id = this.#values.idOf(keyId, text);
    if (this.#values.size > known) this.#valueCounts[keyId] = count + 1;
    return id;
  }
}
