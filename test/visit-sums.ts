import { VisitRollup, type VisitSums } from "../src/cascade/visit-rollup.ts";
import type { ServiceDirectory } from "../src/model/service-directory.ts";
import type { SpanTable } from "../src/model/span-table.ts";
import { callsOf } from "../src/trace/extract-calls.ts";
import { directoryOf, tableOf } from "./notation.ts";
import { rawTracesOf } from "./scopes.ts";

/** `count` traces a second apart; `lines` says what one looks like, from 0 ms, with `TRACE` at its root. */
export function tracesText(count: number, lines: (i: number) => string): string {
  const shifted = (text: string, i: number): string =>
    text
      .replace("TRACE", `trace=${i + 1}`)
      .replace(
        /(-?[\d.]+)\.\.(-?[\d.]+)/g,
        (_, start, end) => `${i * 1000 + Number(start)}..${i * 1000 + Number(end)}`,
      );
  return Array.from({ length: count }, (_, i) => shifted(lines(i), i)).join("\n");
}

/** The visits of a text in the notation. */
export function visitSumsOf(text: string): VisitSums {
  const table = tableOf(text);
  return visitSumsOfTable(table, directoryOf([table]));
}

export function visitSumsOfTable(
  table: SpanTable,
  directory: ServiceDirectory,
  { isReversed = false }: { readonly isReversed?: boolean } = {},
): VisitSums {
  const rollup = new VisitRollup({ joinsLogs: true });
  const traces = rawTracesOf([table]);
  for (const trace of isReversed ? traces.toReversed() : traces) rollup.add(trace, callsOf(trace));
  return rollup.read(directory);
}
