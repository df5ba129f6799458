import { expect, test } from "vitest";
import {
  analyzeTrace,
  analyzeWindow,
  assembleTrace,
  decodeTraces,
  decodeTracesJson,
  groupByTrace,
  rawNaming,
  SpanTable,
  type TraceReport,
  WindowRollup,
} from "../../src/index.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { rowsOf, tableOf } from "../notation.ts";

const text = `
  web       GET /cart     0..90ms   server error id=1
    web     GET           5..85ms   client error id=2
      cart  GET /items   10..80ms   server error id=3 http.response.status_code=500 host=n1
        cart SELECT      20..70ms   client error id=4 db.system=postgresql db.namespace=orders exception="Deadlock: x"
        cart GET         72..74ms   client id=5 server.address=prices
  mail      process     200..300ms  consumer trace=2 id=6 link=1/2`;

test("encoding, order and batches of the same spans give the same report", () => {
  const rows = rowsOf(tableOf(text));
  const reports = [
    reportOf([json(rows)]),
    reportOf([protobuf(rows)]),
    reportOf([protobuf(rows.toReversed())]),
    reportOf([json(rows.slice(3)), protobuf(rows.slice(0, 3))]),
    reportOf([json([...rows].sort((a, b) => (a.row % 2) - (b.row % 2)))]),
  ];
  for (const report of reports) expect(report).toEqual(reports[0]);
  expect(reports[0]?.trace.root_cause_candidates[0]?.service).toBe("orders");
  expect(reports[0]?.window.dependency_graph.edges.map(({ callee }) => callee)).toContain("mail");
});

function reportOf(tables: readonly SpanTable[]): {
  readonly trace: TraceReport;
  readonly window: ReturnType<typeof analyzeWindow>;
} {
  const rollup = new WindowRollup();
  for (const table of tables) rollup.observe(table);
  const groups = groupByTrace(tables);
  for (let i = 0; i < groups.count; i += 1) rollup.addTrace(assembleTrace(groups.rowsOf(i), rawNaming));
  const sums = rollup.window();
  const [first = 0] = groups.byStart();
  const trace = assembleTrace(groups.rowsOf(first), sums.scope.directory);
  return {
    trace: analyzeTrace(trace, sums.scope, { language: "en" }),
    window: analyzeWindow(sums, null, { language: "en" }),
  };
}

function json(rows: readonly RowRef[]): SpanTable {
  const table = new SpanTable();
  decodeTracesJson(new TextEncoder().encode(tracesToJson(rows)), table);
  return table;
}

function protobuf(rows: readonly RowRef[]): SpanTable {
  const table = new SpanTable();
  decodeTraces(encodeTraces(rows), table);
  return table;
}
