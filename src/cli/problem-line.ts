import type { Problem } from "../model/problems.ts";

/** One flaw of the input as a line for standard error. */
export function problemLine({ message, count, source }: Problem): string {
  const place = source === undefined ? "" : `${source}: `;
  return `${place}${message}${count > 1 ? ` (${count} times)` : ""}`;
}
