import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SpanTable } from "../../src/model/span-table.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { criticalPath } from "../../src/trace/critical-path.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { recorded } from "../data-folder.ts";
import { directoryOf, traceOf, tracesOf } from "../notation.ts";

const demo = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");
const edges = recorded("samples", "expected-edges.json");
const zipkin = recorded("samples", "zipkin-json");

interface ExpectedEdges {
  readonly records: number;
  readonly spansAfterMerge: number;
  readonly traces: number;
  readonly orphanSpans: number;
  readonly edges: readonly { readonly caller: string; readonly callee: string; readonly calls: number }[];
}

function expectedFor(file: string): ExpectedEdges {
  return JSON.parse(readFileSync(edges.path, "utf8")).files[file];
}

function checkEdges(traces: readonly Trace[], expected: ExpectedEdges): void {
  const counts: Record<string, number> = {};
  for (const trace of traces)
    for (const { caller, callee, kind } of callsOf(trace).calls) {
      const edge = `${caller} > ${callee}`;
      if (kind !== "inferred") counts[edge] = (counts[edge] ?? 0) + 1;
    }
  const spans = traces.flatMap((trace) => trace.spans);
  expect(traces.length).toBe(expected.traces);
  expect(spans.length).toBe(expected.spansAfterMerge);
  expect(spans.filter(({ isOrphan }) => isOrphan).length).toBe(expected.orphanSpans);
  expect(counts).toEqual(
    Object.fromEntries(expected.edges.map(({ caller, callee, calls }) => [`${caller} > ${callee}`, calls])),
  );
}

describe("recorded traces", () => {
  test.skipIf(demo.missing || edges.missing)("the demo capture has exactly the expected edges", () => {
    const table = new SpanTable();
    for (const line of readFileSync(demo.path, "utf8").split("\n"))
      if (line.includes('"resourceSpans"')) decodeTracesJson(Buffer.from(line), table);
    const groups = groupByTrace([table]);
    const naming = directoryOf([table]);
    const traces = Array.from({ length: groups.count }, (_, i) => assembleTrace(groups.rowsOf(i), naming));
    checkEdges(traces, expectedFor("otlp-jsonl/otel-tui-test_data.json"));
  });

  const files = zipkin.missing || edges.missing ? [] : readdirSync(zipkin.path);
  test.each(files)("D2, D5: shared ids and partial records of %s give exactly the expected edges", (file) => {
    const text = zipkinText(JSON.parse(readFileSync(join(zipkin.path, file), "utf8")));
    checkEdges(tracesOf(text), expectedFor(`zipkin-json/${file}`));
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

interface ZipkinSpan {
  readonly id: string;
  readonly traceId: string;
  readonly parentId?: string;
  readonly name?: string;
  readonly kind?: string;
  /** microseconds */
  readonly timestamp?: number;
  readonly duration?: number;
  readonly localEndpoint?: { readonly serviceName?: string; readonly ipv4?: string };
}

/** Zipkin spans in the notation. */
function zipkinText(spans: readonly ZipkinSpan[]): string {
  const numbers = new Map<string, number>();
  const numberOf = (id: string): number => {
    const known = numbers.get(id) ?? numbers.size + 1;
    numbers.set(id, known);
    return known;
  };
  const first = Math.min(...spans.map(({ timestamp }) => timestamp ?? Number.POSITIVE_INFINITY));
  const lines = spans.map(({ id, traceId, parentId, name, kind, timestamp, duration, localEndpoint }) => {
    const start = timestamp === undefined ? "" : timestamp - first;
    const end = start === "" || duration === undefined ? "" : start + duration;
    const words = [
      localEndpoint?.serviceName ?? "-",
      name?.replaceAll(/\s+|\.\./g, " ") ?? "",
      `${start}..${end}us`,
      kind?.toLowerCase() ?? "",
      localEndpoint?.ipv4 === undefined ? "" : `host=${localEndpoint.ipv4}`,
      `id=${numberOf(id)} trace=${numberOf(`trace ${traceId}`)}`,
      parentId === undefined ? "" : `parent=${numberOf(parentId)}`,
    ];
    return words.join(" ");
  });
  return lines.join("\n");
}

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
