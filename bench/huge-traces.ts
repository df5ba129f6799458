import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { analyzeTrace } from "../src/analysis/analyze-trace.ts";
import { type Scope, ScopeRollup } from "../src/analysis/scope.ts";
import { rawNaming } from "../src/model/service-directory.ts";
import type { SpanTable } from "../src/model/span-table.ts";
import { assembleTrace } from "../src/trace/assemble.ts";
import { groupByTrace } from "../src/trace/group-rows.ts";
import type { Trace } from "../src/trace/trace.ts";
import type { BenchOptions } from "./main.ts";
import { median, type Row, wholeNumber } from "./measure.ts";
import { makeHugeTrace, type TraceForm } from "./span-fixtures.ts";

const runs = 5;

/** One trace, from its rows in a table to its report: found, folded into its scope, assembled, analysed. */
export async function benchHugeTraces({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  const forms: Readonly<Record<TraceForm, string>> = {
    chain: "each the child of the one before",
    wide: "all children of one span",
    tree: "2 or 3 children a span, all services and kinds",
  };
  const rows: Row[] = [];
  for (const [form, note] of Object.entries(forms) as [TraceForm, string][]) {
    const spans = isQuick ? 10_000 : 100_000;
    const times = Array.from({ length: runs }, () => reportMs(form, spans));
    rows.push({
      subject: `report of one trace of ${wholeNumber(spans)} spans, ${form}`,
      result: `${wholeNumber(median(times))} ms`,
      bar: "< 1,000 ms",
      note: `${note}; the first of ${runs} runs ${wholeNumber(times[0] ?? Number.NaN)} ms`,
    });
  }
  rows.push(ordinary());
  for (const form of Object.keys(forms) as TraceForm[])
    rows.push(largest(form, isQuick ? 100_000 : 1_000_000));
  return rows;
}

const ordinarySpans = 1_000;
/** Enough of them to know what such requests do as a rule. */
const ordinaryTraces = 50;
const ordinaryRuns = 200;

/** A trace as large as real ones get, among others like it: CPU time, so that other work does not count. */
function ordinary(): Row {
  const table = makeHugeTrace("tree", ordinarySpans);
  const { rows, scope } = fold(table, ordinaryTraces);
  const times = Array.from({ length: ordinaryRuns }, () => {
    const start = process.cpuUsage();
    report(assembleTrace(rows, scope.directory), scope, ordinarySpans);
    return cpuMsSince(start);
  }).sort((a, b) => a - b);
  const slowest = times[Math.floor(ordinaryRuns * 0.99)] ?? Number.NaN;
  return {
    subject: `report of one trace of ${wholeNumber(ordinarySpans)} spans among ${ordinaryTraces} like it`,
    result: `${median(times).toFixed(1)} CPU-ms`,
    bar: "< 20 ms",
    note: `p99 of ${ordinaryRuns} runs ${slowest.toFixed(1)} ms; folding them beforehand not counted`,
  };
}

/** The largest trace that is analysed whole, in a process of its own: each is the first one, and its memory is its own. */
function largest(form: TraceForm, spans: number): Row {
  const script = fileURLToPath(import.meta.url);
  const output = execFileSync(process.execPath, [
    "--expose-gc",
    "--import",
    "tsx",
    script,
    form,
    String(spans),
  ]);
  const { ms, bytesPerSpan } = JSON.parse(output.toString()) as Measured;
  return {
    subject: `report of one trace of ${wholeNumber(spans)} spans, ${form}, in a new process`,
    result: `${wholeNumber(ms)} CPU-ms`,
    bar: "< 5,000 ms",
    note: `folding it beforehand not counted; the assembled trace holds ${wholeNumber(bytesPerSpan)} bytes a span beside its rows (bar 1,000)`,
  };
}

interface Measured {
  readonly ms: number;
  /** of the assembled trace, beside its rows */
  readonly bytesPerSpan: number;
}

/** From nothing but rows. */
function reportMs(form: TraceForm, spans: number): number {
  const table = makeHugeTrace(form, spans);
  const start = performance.now();
  const { rows, scope } = fold(table);
  report(assembleTrace(rows, scope.directory), scope, spans);
  return performance.now() - start;
}

/** The question alone, about a trace that has been folded: CPU time of all threads, so that other work does not count. */
function questionOf(form: TraceForm, spans: number): Measured {
  const { rows, scope } = fold(makeHugeTrace(form, spans));
  const before = heapBytes();
  let start = process.cpuUsage();
  const trace = assembleTrace(rows, scope.directory);
  let ms = cpuMsSince(start);
  const bytesPerSpan = (heapBytes() - before) / spans;
  start = process.cpuUsage();
  report(trace, scope, spans);
  ms += cpuMsSince(start);
  return { ms, bytesPerSpan };
}

function fold(table: SpanTable, times = 1) {
  const rollup = new ScopeRollup();
  rollup.observe(table);
  const rows = groupByTrace([table]).rowsOf(0);
  const trace = assembleTrace(rows, rawNaming);
  for (let i = 0; i < times; i += 1) rollup.addTrace(trace);
  return { rows, scope: rollup.scope(null) };
}

function report(trace: Trace, scope: Scope, spans: number): void {
  const { span_count: count } = analyzeTrace(trace, scope, { language: "en", scoring: "evidence" }).trace;
  if (count !== spans) throw new Error("the report lacks spans");
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

const [, main, form, spans] = process.argv;
if (main === fileURLToPath(import.meta.url) && form !== undefined)
  process.stdout.write(JSON.stringify(questionOf(form as TraceForm, Number(spans))));
