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
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => written(item, inner));
    return enclosed("[", items, "]", lineBreak);
  }
  const colon = lineBreak === "" ? ":" : ": ";
  const members: string[] = [];
  const entries: Iterable<[unknown, unknown]> = value instanceof Map ? value : Object.entries(value);
  for (const [key, member] of entries)
    if (member !== undefined) members.push(JSON.stringify(String(key)) + colon + written(member, inner));
  return enclosed("{", members, "}", lineBreak);
}

function enclosed(open: string, parts: readonly string[], close: string, lineBreak: string): string {
  if (parts.length === 0 || lineBreak === "") return open + parts.join(",") + close;
  const inner = `${lineBreak}  `;
  return open + inner + parts.join(`,${inner}`) + lineBreak + close;
}
