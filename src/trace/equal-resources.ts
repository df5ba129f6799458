import { grow } from "../base/grow.ts";
import type { SpanTable } from "../model/span-table.ts";

/**
 * Which resources of a table say the same: senders repeat the resource of a process with each export. Open addressing over
 * numbers: a key of text for each resource would cost more than what is made of most of them.
 */
export class EqualResources {
  readonly #table: SpanTable;
  /** by resource: the first one that says the same + 1, 0 = not known yet */
  #firsts = new Int32Array(16);
  /** resource + 1, 0 = free; at most half full */
  #slots = new Int32Array(64);
  #count = 0;

  constructor(table: SpanTable) {
    this.#table = table;
  }

  /** The first resource, of those that were asked about, with the same attributes in the same order. */
  firstOf(resource: number): number {
    if (resource >= this.#firsts.length) this.#firsts = grow(this.#firsts, this.#table.resources.length);
    const known = this.#firsts[resource] as number;
    if (known !== 0) return known - 1;
    const slot = this.#slotOf(resource);
    const first = this.#slots[slot] as number;
    this.#firsts[resource] = first === 0 ? resource + 1 : first;
    if (first !== 0) return first - 1;
    this.#slots[slot] = resource + 1;
    this.#count += 1;
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    return resource;
  }

  /** Where an equal resource is, or this one belongs. */
  #slotOf(resource: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = this.#hashOf(resource) & mask; ; slot = (slot + 1) & mask) {
      const entry = (slots[slot] as number) - 1;
      if (entry < 0 || this.#areEqual(entry, resource)) return slot;
    }
  }

  #hashOf(resource: number): number {
    const { attributes, resources } = this.#table;
    const { key, value } = attributes;
    const end = resources.attributeEnd[resource] ?? 0;
    let hash = 0;
    for (let i = resources.attributeStart[resource] ?? 0; i < end; i += 1) {
      hash = Math.imul(hash ^ (key[i] as number), 0x85ebca6b);
      hash = Math.imul(hash ^ (value[i] as number), 0xc2b2ae35);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  #areEqual(one: number, other: number): boolean {
    const { attributes, resources } = this.#table;
    const { key, type, value } = attributes;
    const [from, to] = [resources.attributeStart[one] ?? 0, resources.attributeEnd[one] ?? 0];
    const start = resources.attributeStart[other] ?? 0;
    if ((resources.attributeEnd[other] ?? 0) - start !== to - from) return false;
    for (let i = from, j = start; i < to; i += 1, j += 1)
      if (key[i] !== key[j] || type[i] !== type[j] || value[i] !== value[j]) return false;
    return true;
  }

  #rehash(): void {
    const before = this.#slots;
    this.#slots = new Int32Array(before.length * 2);
    for (const entry of before) if (entry !== 0) this.#slots[this.#slotOf(entry - 1)] = entry;
  }
}
