import { assert } from "../base/assert.ts";

/**
 * A value as JSON, always the same text for the same value: keys in their order. A Map is written as an object in the
 * Map's order, also where keys look like integers; members that are undefined are left out; a number that JSON cannot say
 * is null. `pretty` indents by two blanks.
 */
export function writeJson(value: unknown, options: { readonly pretty?: boolean } = {}): string {
  return written(value, options.pretty ? "\n" : "");
}

/** `lineBreak` is "" for compact text, else a line feed and the indentation of the value's own line. */
function written(value: unknown, lineBreak: string): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return Number.isFinite(value) ? JSON.stringify(value) : "null";
  if (typeof value === "boolean") return String(value);
  if (value === null || value === undefined) return "null";
  assert(typeof value === "object", "only plain data is written as JSON");
  const inner = lineBreak === "" ? "" : `${lineBreak}  `;
  // texts are put together as they come: lists of parts would be garbage
  let text = "";
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[])
      text += (text === "" ? inner : `,${inner}`) + written(item, inner);
    return text === "" ? "[]" : `[${text}${lineBreak}]`;
  }
  const colon = lineBreak === "" ? ":" : ": ";
  const add = (key: string, member: unknown): void => {
    if (member === undefined) return;
    text += (text === "" ? inner : `,${inner}`) + JSON.stringify(key) + colon + written(member, inner);
  };
  if (value instanceof Map) for (const [key, member] of value) add(String(key), member);
  else for (const key of Object.keys(value)) add(key, (value as Readonly<Record<string, unknown>>)[key]);
  return text === "" ? "{}" : `{${text}${lineBreak}}`;
}
