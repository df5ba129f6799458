import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rawNaming } from "../../src/model/service-directory.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { criticalPath } from "../../src/trace/critical-path.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { recorded } from "../data-folder.ts";
import { traceOf } from "../notation.ts";

const demo = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");
const edges = recorded("samples", "expected-edges.json");

describe("recorded traces", () => {
  test.skipIf(demo.missing || edges.missing)("the demo capture has exactly the expected edges", () => {
    const table = new SpanTable();
    for (const line of readFileSync(demo.path, "utf8").split("\n"))
      if (line.includes('"resourceSpans"')) decodeTracesJson(Buffer.from(line), table);
    const groups = groupByTrace([table]);
    const counts = new Map<string, number>();
    let orphans = 0;
    for (let i = 0; i < groups.count; i += 1) {
      const trace = assembleTrace(groups.rowsOf(i), rawNaming);
      orphans += trace.spans.filter(({ isOrphan }) => isOrphan).length;
      for (const { caller, callee, kind } of callsOf(trace).calls) {
        const key = `${caller.split("\u0001")[0]} > ${callee.split("\u0001")[0]}`;
        if (kind !== "inferred") counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    const expected = JSON.parse(readFileSync(edges.path, "utf8")).files["otlp-jsonl/otel-tui-test_data.json"];
    expect(table.rowCount).toBe(expected.records);
    expect(groups.count).toBe(expected.traces);
    expect(orphans).toBe(expected.orphanSpans);
    expect(Object.fromEntries(counts)).toEqual(
      Object.fromEntries(
        expected.edges.map((edge: { caller: string; callee: string; calls: number }) => [
          `${edge.caller} > ${edge.callee}`,
          edge.calls,
        ]),
      ),
    );
  });

  const crisp = recorded("samples", "jaeger-json", "crisp");
  // where siblings overlap, CRISP charges the parent or counts time twice; ours stays an exact partition and marks it
  test.skipIf(crisp.missing)("critical paths agree with CRISP's wherever siblings do not overlap", () => {
    let compared = 0;
    for (const file of readdirSync(crisp.path)) {
      const { data, testing } = JSON.parse(readFileSync(join(crisp.path, file), "utf8"));
      const published: Record<string, number> = testing[0] ?? testing.opTimeExclusive;
      const trace = traceOfJaeger(data[0]);
      const path = criticalPath(trace, trace.roots[0]!);
      if (path.some(({ isContested }) => isContested)) continue;
      const micros: Record<string, number> = {};
      for (const { span, start, end } of path) {
        const name = `[${trace.spans[span]!.service}] ${trace.spans[span]!.operation}`;
        micros[name] = (micros[name] ?? 0) + (end - start) / 1000;
      }
      expect(micros).toEqual(Object.fromEntries(Object.entries(published).filter(([, time]) => time !== 0)));
      compared += 1;
    }
    expect(compared).toBeGreaterThanOrEqual(10);
  });
});

interface JaegerTrace {
  readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
  readonly spans: readonly {
    readonly spanID: string;
    readonly operationName: string;
    readonly startTime: number;
    readonly duration: number;
    readonly processID: string;
    readonly references: readonly { readonly spanID: string }[];
  }[];
}

function traceOfJaeger({ processes, spans }: JaegerTrace): Trace {
  const idOf = (spanID: string): number => spans.findIndex((span) => span.spanID === spanID) + 1;
  const lines = spans.map(({ spanID, operationName, startTime, duration, processID, references }) => {
    const parent = references[0] === undefined ? "none" : idOf(references[0].spanID);
    const service = processes[processID]!.serviceName;
    return `${service} ${operationName} ${startTime}..${startTime + duration}us host=h id=${idOf(spanID)} parent=${parent}`;
  });
  return traceOf(lines.join("\n"));
}
