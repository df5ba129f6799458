import { graphJson } from "../src/analysis/graph-json.ts";
import type { GraphEdgeJson, GraphNodeJson } from "../src/analysis/report.ts";
import { type Scope, ScopeRollup } from "../src/analysis/scope.ts";
import { rawNaming } from "../src/model/service-directory.ts";
import type { SpanTable } from "../src/model/span-table.ts";
import { assembleTrace } from "../src/trace/assemble.ts";
import { groupByTrace } from "../src/trace/group-rows.ts";
import type { Trace } from "../src/trace/trace.ts";
import { tableOf } from "./notation.ts";

/** The sums of all spans in some texts of the notation; a trace may be spread over several. */
export function rollupOf(...texts: readonly string[]): ScopeRollup {
  const tables = texts.map((text) => tableOf(text));
  const rollup = new ScopeRollup();
  for (const table of tables) rollup.observe(table);
  for (const trace of rawTracesOf(tables)) rollup.addTrace(trace);
  return rollup;
}

export function scopeOf(...texts: readonly string[]): Scope {
  return rollupOf(...texts).scope(null);
}

/** The traces of some tables, named by raw keys, by trace id. */
export function rawTracesOf(tables: readonly SpanTable[]): Trace[] {
  const groups = groupByTrace(tables);
  return Array.from({ length: groups.count }, (_, i) => assembleTrace(groups.rowsOf(i), rawNaming));
}

/** Edges as short pictures, `web -> cart: 2 sync, 1 failed`, by caller, callee, kind. */
export function edgesOf(...texts: readonly string[]): readonly string[] {
  return graphJson(scopeOf(...texts)).edges.map(picture);
}

export function picture({ caller, callee, kind, calls, errors }: GraphEdgeJson): string {
  return `${caller} -> ${callee}: ${calls} ${kind}${errors > 0 ? `, ${errors} failed` : ""}`;
}

export function nodeOf(scope: Scope, service: string): GraphNodeJson {
  const node = graphJson(scope).nodes.find((each) => each.service === service);
  if (node === undefined) throw new Error(`there is no node ${service}`);
  return node;
}

export function edgeOf(scope: Scope, caller: string, callee: string): GraphEdgeJson {
  const edges = graphJson(scope).edges.filter((each) => each.caller === caller && each.callee === callee);
  if (edges.length !== 1) throw new Error(`there are ${edges.length} edges ${caller} -> ${callee}`);
  return edges[0] as GraphEdgeJson;
}
