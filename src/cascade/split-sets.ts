import { Interner } from "../base/interner.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { Places } from "../base/places.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
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

  /** The attributes of a set, each key once: the last one of it. */
  attributesOf(set: number): readonly SplitAttribute[] {
    const { texts } = this.#texts;
    const found = new Map<string, SplitAttribute>();
    // from the last one to the first
    for (let at = set + 1; at > 0; at = this.#sets.firstAt(at - 1)) {
      const value = this.#sets.secondAt(at - 1);
      const key = this.#values.firstAt(value);
      const name = texts[this.#keys.secondAt(key)];
      if (value === 0 || !this.#keeps(key) || name === undefined || found.has(name)) continue;
      found.set(name, { key: name, value: texts[this.#values.secondAt(value)] ?? "" });
    }
    return [...found.values()].reverse();
  }

  /** What the numbers of the sets of another one are here. Its values are added at once, all of them: they are counted. */
  placesOf(other: SplitSets): Places {
    const [keys, sets] = [other.#keys, other.#sets];
    const texts = new Places(other.#texts.texts.length, (text) =>
      this.#texts.idOf(other.#texts.texts[text] as string),
    );
    const ownKeys = new Places(keys.size, (key) =>
      this.#keyOf(texts.at(keys.firstAt(key)), texts.at(keys.secondAt(key))),
    );
    const values = new Int32Array(other.#values.size);
    for (let value = 1; value < values.length; value += 1) {
      const key = ownKeys.at(other.#values.firstAt(value));
      if (this.#keeps(key)) values[value] = this.#valueOf(key, texts.at(other.#values.secondAt(value)));
    }
    for (let key = 0; key < keys.size; key += 1)
      if ((other.#valueCounts[key] ?? 0) > splitValuesMax)
        this.#valueCounts[ownKeys.at(key)] = splitValuesMax + 1;
    const places: Places = new Places(sets.size, (set) => {
      if (set === 0) return 0;
      const before = sets.firstAt(set);
      const above = before === 0 ? 0 : places.at(before - 1);
      const own = values[sets.secondAt(set)] as number;
      return own > 0 ? this.#sets.idOf(above + 1, own) : above;
    });
    return places;
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    return (
      this.#texts.texts.length * textBytes +
      (this.#keys.size + this.#values.size + this.#sets.size) * pairBytes
    );
  }

  save(out: SnapshotWriter): void {
    out.numbers(Float64Array.from({ length: this.#keys.size }, (_, key) => this.#valueCounts[key] ?? 0));
    for (const part of [this.#texts, this.#keys, this.#values, this.#sets]) part.save(out);
  }

  load(from: SnapshotReader): void {
    for (const count of from.numbers()) this.#valueCounts.push(count);
    for (const part of [this.#texts, this.#keys, this.#values, this.#sets]) part.load(from);
  }

  #extended(set: number, service: string, attributes: readonly SplitAttribute[]): number {
    const values: number[] = [];
    for (const { key, value } of attributes) {
      const own = this.#keyOf(this.#texts.idOf(service), this.#texts.idOf(key));
      if (this.#keeps(own)) values.push(this.#valueOf(own, this.#texts.idOf(value)));
    }
    sortFew(values, (a, b) => a - b);
    let place = set;
    let last = 0;
    for (const value of values) {
      if (value > last) place = this.#sets.idOf(place + 1, value);
      last = value;
    }
    return place;
  }

  /** 0 = there is no room for it */
  #keyOf(service: number, key: number): number {
    return service < 0 || key < 0 ? 0 : this.#keys.idOf(service, key);
  }

  /** Not those of an attribute that has too many values at a service. */
  #keeps(key: number): boolean {
    return key !== 0 && (this.#valueCounts[key] ?? 0) <= splitValuesMax;
  }

  /** Of a key that is kept; 0 = there is no room for the text. */
  #valueOf(key: number, text: number): number {
    if (text < 0) return 0;
    const known = this.#values.size;
    const id = this.#values.idOf(key, text);
    if (this.#values.size > known) this.#valueCounts[key] = (this.#valueCounts[key] ?? 0) + 1;
    return id;
  }
}
