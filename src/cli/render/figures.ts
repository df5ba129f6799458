import { formatCount, formatDuration, formatPercent } from "../../advice/format-duration.ts";
import type { Language } from "../../analysis/report.ts";
import { type LabelKey, label } from "./labels.ts";

// Numbers, times and lists as people read them.

/** Rows of one table or list; what is left out is counted, and JSON has it all. */
export const rowCountMax = 30;

export function counted(n: number, one: LabelKey, many: LabelKey, language: Language): string {
  return n === 1 ? label(one, language) : label(many, language, { n: formatCount(n) });
}

/** RFC 3339 to the millisecond: people do not read nanoseconds. */
export function moment(time: string): string {
  return time.replace(/(\.\d{3})\d*Z$/, "$1Z").replace(".000Z", "Z");
}

export function rangeText({ from, to }: { readonly from: string; readonly to: string }): string {
  return `${moment(from)} … ${moment(to)}`;
}

export function milliseconds(ms: number | null): string {
  return ms === null ? "-" : formatDuration(ms * 1e6);
}

export function ratio(value: number | undefined): string {
  return value === undefined ? "-" : formatPercent(value);
}

export function listed(names: readonly string[], namesMax = rowCountMax): string {
  const shown = names.slice(0, namesMax).join(", ");
  return names.length > namesMax ? `${shown} (+${names.length - namesMax})` : shown;
}
