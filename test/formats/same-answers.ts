import { analyzeTrace } from "../../src/analysis/analyze-trace.ts";
import { analyzeWindow, WindowRollup } from "../../src/analysis/analyze-window.ts";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { rawNaming } from "../../src/model/service-directory.ts";
import { Span } from "../../src/model/span.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";

/** The graph, the report of the window and the reports of all traces of some tables. */
export function answersOfTables(tables: readonly SpanTable[]): object {
  const { sums, groups, indices } = rolledUp(tables);
  const { scope } = sums;
  return {
    graph: graphJson(scope),
    window: analyzeWindow(sums, null, { language: "en" }),
    traces: indices.map((i) =>
      analyzeTrace(assembleTrace(groups.rowsOf(i), scope.directory), scope, { language: "en" }),
    ),
  };
}

/** The graph alone. */
export function graphOfTables(tables: readonly SpanTable[]): object {
  return graphJson(rolledUp(tables).sums.scope);
}

function rolledUp(tables: readonly SpanTable[]) {
  const rollup = new WindowRollup();
  for (const table of tables) rollup.observe(table);
  const groups = groupByTrace(tables);
  const indices = Array.from({ length: groups.count }, (_, i) => i);
  for (const i of indices) rollup.addTrace(assembleTrace(groups.rowsOf(i), rawNaming));
  return { sums: rollup.window(), groups, indices };
}

/**
 * Makes the times such as formats without end times can hold, in place: a span that ends before it begins takes no time, one
 * that has an end alone stands there, and none that has ended is shorter than `shortestNanos`.
 */
export function withTimesToHold(table: SpanTable, shortestNanos: bigint): SpanTable {
  for (let row = 0; row < table.rowCount; row += 1) {
    const { startTime: start, endTime: end } = new Span(table, row);
    if (start === 0n) {
      setTime(table.startTime, row, end);
      setTime(table.endTime, row, 0n);
    } else if (end !== 0n && end < start + shortestNanos) setTime(table.endTime, row, start + shortestNanos);
  }
  return table;
}

function setTime(words: Uint32Array, row: number, time: bigint): void {
  words[row * 2] = Number(time >> 32n);
  words[row * 2 + 1] = Number(time & 0xffffffffn);
}
