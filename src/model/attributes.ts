import { grow } from "../base/grow.ts";
import type { StringDictionary } from "./string-dictionary.ts";

/** Which attributes are of use, by name. */
export interface AttributeNames {
  has(name: string): boolean;
}

/**
 * An attribute value outside the columns. OTLP's int is `bigint`, its double is `number`, so that both survive a round
 * trip; `null` is the empty value; key-value lists are Maps, so that a key such as `__proto__` is only a key.
 */
export type AnyValue =
  | null
  | string
  | boolean
  | bigint
  | number
  | Uint8Array
  | readonly AnyValue[]
  | ReadonlyMap<string, AnyValue>;

export type Attributes = ReadonlyMap<string, AnyValue>;

/** What `AttributePool.value` holds for an entry. */
export const ValueType = {
  /** nothing */ Empty: 0,
  /** a string id */ String: 1,
  /** 0 or 1 */ Bool: 2,
  /** an int64 that a double holds exactly */ Int: 3,
  /** a double */ Double: 4,
  /** an index into `complex`: array, key-value list, bytes, or an int64 beyond 2^53 */ Complex: 5,
} as const;

/** 0 = not known yet */
const Verdict = { Kept: 1, LeftOut: 2 } as const;

/**
 * Attributes of spans, events, links, resources and scopes of one table, in columns. An owner holds a range
 * [start, end) of entries. Where a key occurs twice the last entry wins.
 */
export class AttributePool {
  length = 0;
  /** string id of the key */
  key: Uint32Array;
  /** a `ValueType` */
  type: Uint8Array;
  value: Float64Array;
  readonly complex: AnyValue[] = [];
  readonly #strings: StringDictionary;
  readonly #kept: AttributeNames | null;
  /** by string id of a key: whether it is kept, a `Verdict` */
  #verdicts = new Uint8Array(64);

  /** `kept` = names of the attributes that are worth keeping; null = all */
  constructor(strings: StringDictionary, capacity: number, kept: AttributeNames | null) {
    this.#strings = strings;
    this.#kept = kept;
    this.key = new Uint32Array(capacity);
    this.type = new Uint8Array(capacity);
    this.value = new Float64Array(capacity);
  }

  get byteLength(): number {
    return this.key.byteLength + this.type.byteLength + this.value.byteLength + this.complex.length * 64;
  }

  /** Whether attributes of this name are kept; decoders leave the others out. */
  keeps(key: number): boolean {
    if (this.#kept === null) return true;
    const verdict = this.#verdicts[key] as number;
    return verdict === 0 || key >= this.#verdicts.length
      ? this.#judge(key, this.#kept)
      : verdict === Verdict.Kept;
  }

  add(key: number, type: number, value: number): void {
    const at = this.length;
    if (at === this.key.length) this.#grow();
    this.key[at] = key;
    this.type[at] = type;
    this.value[at] = value;
    this.length = at + 1;
  }

  /** Adds a value of any type; the decoders take the short way for the scalar ones. */
  addValue(key: number, value: AnyValue): void {
    if (value === null) this.add(key, ValueType.Empty, 0);
    else if (typeof value === "string") this.add(key, ValueType.String, this.#strings.intern(value));
    else if (typeof value === "boolean") this.add(key, ValueType.Bool, value ? 1 : 0);
    else if (typeof value === "number") this.add(key, ValueType.Double, value);
    else if (typeof value === "bigint" && BigInt.asIntN(54, value) === value)
      this.add(key, ValueType.Int, Number(value));
    else {
      this.add(key, ValueType.Complex, this.complex.length);
      this.complex.push(value);
    }
  }

  keyAt(index: number): string {
    return this.#strings.get(this.key[index] as number);
  }

  valueAt(index: number): AnyValue {
    const value = this.value[index] as number;
    switch (this.type[index] as number) {
      case ValueType.String:
        return this.#strings.get(value);
      case ValueType.Bool:
        return value === 1;
      case ValueType.Int:
        return BigInt(value);
      case ValueType.Double:
        return value;
      case ValueType.Complex:
        return this.complex[value] ?? null;
      default:
        return null;
    }
  }

  /** The attributes of a range, by key; the last of two equal keys wins. */
  read(start: number, end: number): Attributes {
    const attributes = new Map<string, AnyValue>();
    for (let i = start; i < end; i += 1) attributes.set(this.keyAt(i), this.valueAt(i));
    return attributes;
  }

  /** Takes back all entries from `length` on and all complex values from `complexLength` on. */
  truncate(length: number, complexLength: number): void {
    this.length = length;
    if (complexLength < this.complex.length) this.complex.length = complexLength;
  }

  #judge(key: number, kept: AttributeNames): boolean {
    const isKept = kept.has(this.#strings.get(key));
    if (key >= this.#verdicts.length) this.#verdicts = grow(this.#verdicts, key + 1);
    this.#verdicts[key] = isKept ? Verdict.Kept : Verdict.LeftOut;
    return isKept;
  }

  #grow(): void {
    this.key = grow(this.key, this.length + 1);
    const { length } = this.key;
    this.type = grow(this.type, length);
    this.value = grow(this.value, length);
  }
}

/** A value as plain text, the way a person would write it; null and empty values give "". */
export function textOf(value: AnyValue | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array)
    return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (value instanceof Map)
    return `{${[...value].map(([key, item]) => `${key}: ${textOf(item)}`).join(", ")}}`;
  if (typeof value === "object") return `[${(value as readonly AnyValue[]).map(textOf).join(", ")}]`;
  return String(value);
}

/** A value as a number: numbers, integers and numeric strings ("500", "500.0"); otherwise NaN. */
export function numberOf(value: AnyValue | undefined): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string" && value.trim().length > 0) return Number(value);
  return Number.NaN;
}
