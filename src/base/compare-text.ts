/** An order of texts that is the same on every machine: by UTF-16 unit, equal texts are 0. */
export function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
