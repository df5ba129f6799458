import type { AnyValue, Attributes } from "../model/attributes.ts";
import { valueDepthMax } from "../model/limits.ts";
import { endOfObject, KeySet } from "./json-keys.ts";
import type { JsonScanner } from "./json-scanner.ts";

export const keyValueKeys = new KeySet(["key", "value", "keyStrindex"]);
export const KeyValueKey = { Key: 0, Value: 1, KeyIndex: 2 } as const;

export const anyValueKeys = new KeySet([
  "stringValue",
  "intValue",
  "boolValue",
  "doubleValue",
  "arrayValue",
  "kvlistValue",
  "bytesValue",
  "stringValueStrindex",
]);
export const AnyValueKey = {
  String: 0,
  Int: 1,
  Bool: 2,
  Double: 3,
  Array: 4,
  KvList: 5,
  Bytes: 6,
  StringIndex: 7,
} as const;

export const resourceKeys = new KeySet(["attributes", "droppedAttributesCount"]);
export const ResourceKey = { Attributes: 0, DroppedAttributesCount: 1 } as const;

const listKeys = new KeySet(["values"]);
const ListKey = { Values: 0 } as const;
const tooDeep = "…";

/**
 * Reads an AnyValue object as a plain value; `{}` and null are the empty value. `depth` is 1 for the value of an
 * attribute; what lies deeper than `valueDepthMax` becomes "…", so the recursion is bounded.
 */
export function readAnyValue(scanner: JsonScanner, depth: number): AnyValue {
  if (depth > valueDepthMax) {
    scanner.skipValue();
    return tooDeep;
  }
  let value: AnyValue = null;
  let key = scanner.firstKey(anyValueKeys);
  for (; key !== endOfObject; key = scanner.nextKey(anyValueKeys, key)) {
    const variant = readVariant(scanner, key, depth);
    if (variant !== undefined) value = variant;
  }
  return value;
}

/** The value of one key of an AnyValue object; undefined if it says nothing: unknown, null or misshapen. */
export function readVariant(scanner: JsonScanner, key: number, depth: number): AnyValue | undefined {
  switch (key) {
    case AnyValueKey.String:
      return scanner.string() ? scanner.textString() : undefined;
    case AnyValueKey.Int:
      return scanner.int64() ? signedOf(scanner.words) : undefined;
    case AnyValueKey.Bool:
      return scanner.boolean() ? scanner.number === 1 : undefined;
    case AnyValueKey.Double:
      return scanner.double() ? scanner.number : undefined;
    case AnyValueKey.Bytes:
      return scanner.base64() ?? undefined;
    case AnyValueKey.Array:
      return scanner.isNull() ? undefined : readArray(scanner, depth + 1);
    case AnyValueKey.KvList:
      return scanner.isNull() ? undefined : readKeyValueList(scanner, depth + 1);
    default:
      skipOther(scanner, key === AnyValueKey.StringIndex);
      return undefined;
  }
}

/** Over the value of a key that says nothing; counted where it is the number of a string in a table that is not there. */
export function skipOther(scanner: JsonScanner, isStringIndex: boolean): void {
  if (isStringIndex) scanner.stringIndices += 1;
  scanner.skipValue();
}

/** An array of KeyValue objects as a Map; the last of two equal keys wins. */
export function readAttributes(scanner: JsonScanner, depth = 1): Attributes {
  const attributes = new Map<string, AnyValue>();
  for (let more = scanner.firstElement(); more; more = scanner.nextElement()) {
    if (scanner.isNull()) continue;
    let name = "";
    let value: AnyValue = null;
    let key = scanner.firstKey(keyValueKeys);
    for (; key !== endOfObject; key = scanner.nextKey(keyValueKeys, key)) {
      if (key === KeyValueKey.Key) name = scanner.string() ? scanner.textString() : name;
      else if (key === KeyValueKey.Value) value = readAnyValue(scanner, depth);
      else skipOther(scanner, key === KeyValueKey.KeyIndex);
    }
    attributes.set(name, value);
  }
  return attributes;
}

/** The attributes of a Resource object. */
export function readResource(scanner: JsonScanner): Attributes {
  let attributes: Attributes = new Map();
  let key = scanner.firstKey(resourceKeys);
  for (; key !== endOfObject; key = scanner.nextKey(resourceKeys, key)) {
    if (key !== ResourceKey.Attributes) scanner.skipValue();
    else if (!scanner.isNull()) attributes = readAttributes(scanner);
  }
  return attributes;
}

/** The first two of `words` as a two's complement integer. */
export function signedOf(words: Uint32Array): bigint {
  return BigInt.asIntN(64, (BigInt(words[0] ?? 0) << 32n) | BigInt(words[1] ?? 0));
}

function readArray(scanner: JsonScanner, depth: number): AnyValue {
  let values: AnyValue[] = [];
  let key = scanner.firstKey(listKeys);
  for (; key !== endOfObject; key = scanner.nextKey(listKeys, key)) {
    if (key === ListKey.Values) {
      values = [];
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        values.push(readAnyValue(scanner, depth));
    } else scanner.skipValue();
  }
  return values;
}

function readKeyValueList(scanner: JsonScanner, depth: number): AnyValue {
  let attributes: Attributes = new Map();
  let key = scanner.firstKey(listKeys);
  for (; key !== endOfObject; key = scanner.nextKey(listKeys, key)) {
    if (key === ListKey.Values) attributes = readAttributes(scanner, depth);
    else scanner.skipValue();
  }
  return attributes;
}
