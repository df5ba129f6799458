import { analyzeTrace } from "../src/analysis/analyze-trace.ts";
import { ScopeRollup } from "../src/analysis/scope.ts";
import { rawNaming } from "../src/model/service-directory.ts";
import { assembleTrace } from "../src/trace/assemble.ts";
import { groupByTrace } from "../src/trace/group-rows.ts";
import type { BenchOptions } from "./main.ts";
import { median, type Row, wholeNumber } from "./measure.ts";
import { makeHugeTrace, type TraceForm } from "./span-fixtures.ts";

const runs = 5;

/** One trace of 100,000 spans, from its rows in a table to its report: found, folded into its scope, assembled, analysed. */
export async function benchHugeTraces({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  const spans = isQuick ? 10_000 : 100_000;
  const forms: Readonly<Record<TraceForm, string>> = {
    chain: "each the child of the one before",
    wide: "all children of one span",
    tree: "2 or 3 children a span, all services and kinds",
  };
  return Object.entries(forms).map(([form, note]): Row => {
    const times = Array.from({ length: runs }, () => reportMs(form as TraceForm, spans));
    return {
      subject: `report of one trace of ${wholeNumber(spans)} spans, ${form}`,
      result: `${wholeNumber(median(times))} ms`,
      bar: "< 1,000 ms",
      note: `${note}; the first of ${runs} runs ${wholeNumber(times[0] ?? Number.NaN)} ms`,
    };
  });
}

function reportMs(form: TraceForm, spans: number): number {
  const table = makeHugeTrace(form, spans);
  const start = performance.now();
  const rollup = new ScopeRollup();
  rollup.observe(table);
  const rows = groupByTrace([table]).rowsOf(0);
  rollup.addTrace(assembleTrace(rows, rawNaming));
  const scope = rollup.scope(null);
  const report = analyzeTrace(assembleTrace(rows, scope.directory), scope, { language: "en" });
  const ms = performance.now() - start;
  if (!("trace" in report) || report.trace.span_count !== spans) throw new Error("the report lacks spans");
  return ms;
}
