import { grow } from "../base/grow.ts";
import { type AnyValue, numberOf, textOf, ValueType } from "../model/attributes.ts";
import { resourceKeys, spanKeys } from "../model/semconv.ts";
import type { SpanTable } from "../model/span-table.ts";

/** One thing that attributes say, under any of its names: slots from `from` to `to` - 1, the preferred name first. */
interface Role {
  readonly from: number;
  readonly to: number;
}

/** Slot 0 = an attribute that means nothing to us. */
const slotNames: string[] = [""];

function roleFor(names: readonly string[]): Role {
  const from = slotNames.length;
  for (const name of names) slotNames.push(name);
  return { from, to: slotNames.length };
}

/** What span attributes are about; see `spanKeys`. Those that decide whether a span failed come first. */
export const role = Object.fromEntries(
  Object.entries(spanKeys).map(([name, names]) => [name, roleFor(names)]),
) as Readonly<Record<keyof typeof spanKeys, Role>>;

const firstPeerSlot = role.peerName.from;
/** Where a call went, for want of a host by name; values mostly differ from call to call. */
const fallbackSlots = new Uint8Array(256);
for (const { from, to } of [
  role.url,
  role.httpHost,
  role.networkAddress,
  role.networkPort,
  role.peerHost,
  role.peerAddress,
  role.peerIp,
])
  fallbackSlots.fill(1, from, to);
const firstResourceSlot = slotNames.length;
for (const name of new Set(Object.values(resourceKeys).flat())) roleFor([name]);

/** What identity reads of a value: its text, of an array those of its items. With lengths, so that no text can look like several. */
function keyOf(value: AnyValue): string {
  if (Array.isArray(value)) return `[${(value as readonly AnyValue[]).map(textKeyOf).join("")}]`;
  return textKeyOf(value);
}

function textKeyOf(value: AnyValue): string {
  const text = textOf(value);
  return `:${text.length}:${text}`;
}

/** Finds things by sequences of attributes, without making a key for each search. */
export class ValueTree<T> {
  thing: T | undefined;
  readonly #below = new Map<number, Map<number, ValueTree<T>>>();

  /** One attribute further; made if it is new. */
  below(attribute: number, value: number): ValueTree<T> {
    let byValue = this.#below.get(attribute);
    if (byValue === undefined) {
      byValue = new Map();
      this.#below.set(attribute, byValue);
    }
    let tree = byValue.get(value);
    if (tree === undefined) {
      tree = new ValueTree();
      byValue.set(value, tree);
    }
    return tree;
  }
}

/**
 * The known attributes of one row at a time: names are looked up once per table, a row is scanned once without making
 * strings, and values are read when asked for.
 */
export class RowAttributes {
  readonly #table: SpanTable;
  /** string id -> slot */
  #slotOfKey = new Uint8Array(256);
  #stringCount = 0;
  #row = -1;
  /** slot -> index of the attribute, -1 = none */
  readonly #found = new Int32Array(slotNames.length).fill(-1);
  readonly #touched = new Uint8Array(slotNames.length);
  #touchedCount = 0;
  #statusCount = 0;
  #repeatCount = 0;

  constructor(table: SpanTable) {
    this.#table = table;
  }

  /** Makes `row` the one that is asked about. */
  scan(row: number): void {
    if (this.#table.strings.size !== this.#stringCount) this.#findKeys();
    else if (row === this.#row) return;
    this.#row = row;
    for (let i = 0; i < this.#touchedCount; i += 1) this.#found[this.#touched[i] as number] = -1;
    this.#touchedCount = 0;
    this.#statusCount = 0;
    this.#repeatCount = 0;
    const { attributes, attributeStart, attributeEnd } = this.#table;
    const { key } = attributes;
    const slotOfKey = this.#slotOfKey;
    const end = attributeEnd[row] as number;
    for (let i = attributeStart[row] as number; i < end; i += 1) {
      const slot = slotOfKey[key[i] as number] as number;
      if (slot === 0 || slot >= firstResourceSlot) continue;
      if (this.#found[slot] === -1) {
        this.#touched[this.#touchedCount++] = slot;
        if (slot < firstPeerSlot) this.#statusCount += 1;
      } else this.#repeatCount += 1;
      this.#found[slot] = i;
    }
  }

  /** Whether anything says how the work ended. */
  get hasStatus(): boolean {
    return this.#statusCount > 0;
  }

  /** Whether anything may say who the far side is. */
  get hasPeer(): boolean {
    return this.#touchedCount > this.#statusCount;
  }

  /** Whether an attribute was sent twice: the last value counts. */
  get hasRepeats(): boolean {
    return this.#repeatCount > 0;
  }

  has(of: Role): boolean {
    return this.#indexOf(of) >= 0;
  }

  /** "" = absent */
  text(of: Role): string {
    const index = this.#indexOf(of);
    return index < 0 ? "" : this.#textAt(index);
  }

  /** NaN = present but no number; -1 = absent */
  number(of: Role): number {
    const index = this.#indexOf(of);
    if (index < 0) return -1;
    const { type, value } = this.#table.attributes;
    if (type[index] === ValueType.Int || type[index] === ValueType.Double) return value[index] as number;
    return numberOf(this.#table.attributes.valueAt(index));
  }

  /** Whether the value is true, as a boolean or in words. */
  isTrue(of: Role): boolean {
    const text = this.text(of);
    return text === "true" || text === "TRUE" || text === "True";
  }

  /**
   * The place that two rows share if all that they say about the far side is equal, and in the same order. Where there is a
   * host by name (`isNamed`), what stands in for one is left out.
   */
  peerPlace<T>(root: ValueTree<T>, isNamed: boolean): ValueTree<T> {
    const { type, value } = this.#table.attributes;
    let place = root;
    for (let i = 0; i < this.#touchedCount; i += 1) {
      const slot = this.#touched[i] as number;
      if (slot < firstPeerSlot || (isNamed && fallbackSlots[slot] === 1)) continue;
      const at = this.#found[slot] as number;
      place = place.below(slot * 8 + (type[at] as number), value[at] as number);
    }
    return place;
  }

  /** A key that two resources, of any tables, share only if they make the same identity. */
  resourceKey(resource: number): string {
    if (this.#table.strings.size !== this.#stringCount) this.#findKeys();
    const { attributes, resources } = this.#table;
    let key = "";
    const end = resources.attributeEnd[resource] ?? 0;
    for (let i = resources.attributeStart[resource] ?? 0; i < end; i += 1) {
      const slot = this.#slotOfKey[attributes.key[i] as number] as number;
      if (slot >= firstResourceSlot) key += slot + keyOf(attributes.valueAt(i));
    }
    return key;
  }

  /** The preferred name that has a value which is not empty. */
  #indexOf({ from, to }: Role): number {
    for (let slot = from; slot < to; slot += 1) {
      const index = this.#found[slot] as number;
      if (index < 0) continue;
      const { type, value } = this.#table.attributes;
      const isEmpty =
        type[index] === ValueType.Empty || (type[index] === ValueType.String && value[index] === 0);
      if (!isEmpty) return index;
    }
    return -1;
  }

  #textAt(index: number): string {
    return textOf(this.#table.attributes.valueAt(index)).trim();
  }

  /** Names may turn up at any time while a table still grows. */
  #findKeys(): void {
    const { strings } = this.#table;
    if (this.#slotOfKey.length < strings.size) this.#slotOfKey = grow(this.#slotOfKey, strings.size);
    for (let slot = 1; slot < slotNames.length; slot += 1) {
      const id = strings.find(slotNames[slot] as string);
      if (id > 0) this.#slotOfKey[id] = slot;
    }
    this.#stringCount = strings.size;
  }
}
