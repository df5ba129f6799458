import { valueDepthMax } from "../model/limits.ts";

/** A JSON value whose objects are Maps: `JSON.parse` would move keys that look like integers to the front. */
export type OrderedJson =
  | null
  | boolean
  | number
  | string
  | readonly OrderedJson[]
  | ReadonlyMap<string, OrderedJson>;

/** Text that is not JSON, and where it stops being JSON (both from 1; the column counts UTF-16 units). */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";

  constructor(text: string, at: number, complaint: string) {
    const before = text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    super(`line ${line}, column ${column}: ${complaint}`);
  }
}

/**
 * Reads JSON and keeps the order of keys; of a repeated key the last value counts, at the first one's place. Nesting is
 * bounded. Throws `JsonSyntaxError`.
 */
export function parseJsonOrdered(text: string): OrderedJson {
  const reader: Reader = { text, at: text.startsWith("\ufeff") ? 1 : 0 };
  const value = readValue(reader, 0);
  skipBlanks(reader);
  if (reader.at < text.length) fail(reader, "expected the end of the text");
  return value;
}

interface Reader {
  readonly text: string;
  at: number;
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const literals: Readonly<Record<string, readonly [text: string, value: null | boolean]>> = {
  t: ["true", true],
  f: ["false", false],
  n: ["null", null],
};

function readValue(reader: Reader, depth: number): OrderedJson {
  skipBlanks(reader);
  const first = reader.text[reader.at];
  if (first === "{" || first === "[") {
    if (depth >= valueDepthMax) fail(reader, `nested deeper than ${valueDepthMax} levels`);
    return first === "{" ? readObject(reader, depth + 1) : readArray(reader, depth + 1);
  }
  if (first === '"') return readString(reader);
  const literal = first === undefined ? undefined : literals[first];
  if (literal !== undefined && reader.text.startsWith(literal[0], reader.at)) {
    reader.at += literal[0].length;
    return literal[1];
  }
  return readNumber(reader);
}

function readObject(reader: Reader, depth: number): ReadonlyMap<string, OrderedJson> {
  const members = new Map<string, OrderedJson>();
  reader.at += 1;
  if (skipped(reader, "}")) return members;
  do {
    skipBlanks(reader);
    if (reader.text[reader.at] !== '"') fail(reader, "expected a key in double quotes");
    const key = readString(reader);
    if (!skipped(reader, ":")) fail(reader, 'expected ":"');
    members.set(key, readValue(reader, depth));
  } while (skipped(reader, ","));
  if (!skipped(reader, "}")) fail(reader, 'expected "," or "}"');
  return members;
}

function readArray(reader: Reader, depth: number): readonly OrderedJson[] {
  const items: OrderedJson[] = [];
  reader.at += 1;
  if (skipped(reader, "]")) return items;
  do items.push(readValue(reader, depth));
  while (skipped(reader, ","));
  if (!skipped(reader, "]")) fail(reader, 'expected "," or "]"');
  return items;
}

function readString(reader: Reader): string {
  const { text, at: start } = reader;
  let hasEscapes = false;
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      reader.at = at + 1;
      return hasEscapes ? unescaped(reader, start) : text.slice(start + 1, at);
    }
    if (code < 0x20) {
      reader.at = at;
      return fail(reader, "a control character in a string must be escaped");
    }
    if (code === backslash) {
      hasEscapes = true;
      at += 1;
    }
  }
  return fail(reader, "this string is not closed");
}

const quote = 0x22;
const backslash = 0x5c;

function unescaped(reader: Reader, start: number): string {
  const literal = reader.text.slice(start, reader.at);
  const badEscape = /\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(literal.replaceAll("\\\\", "\\/"));
  if (badEscape === null) return JSON.parse(literal) as string;
  reader.at = start + badEscape.index;
  return fail(reader, "this escape is not one of JSON");
}

function readNumber(reader: Reader): number {
  const start = reader.at;
  const text = matched(reader, numberPattern);
  if (text === null)
    return fail(reader, reader.at < reader.text.length ? "expected a value" : "the text ends early");
  const value = Number(text);
  if (Number.isFinite(value)) return value;
  reader.at = start;
  return fail(reader, "this number is too large");
}

function matched(reader: Reader, pattern: RegExp): string | null {
  pattern.lastIndex = reader.at;
  const text = pattern.exec(reader.text)?.[0];
  if (text === undefined) return null;
  reader.at += text.length;
  return text;
}

function skipped(reader: Reader, character: string): boolean {
  skipBlanks(reader);
  if (reader.text[reader.at] !== character) return false;
  reader.at += 1;
  return true;
}

function skipBlanks(reader: Reader): void {
  for (;;) {
    const code = reader.text.charCodeAt(reader.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    reader.at += 1;
  }
}

function fail(reader: Reader, complaint: string): never {
  throw new JsonSyntaxError(reader.text, reader.at, complaint);
}
