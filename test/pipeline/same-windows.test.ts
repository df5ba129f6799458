import * as fc from "fast-check";
import { expect, test } from "vitest";
import { analyzeWindow, WindowRollup, type WindowSums } from "../../src/analysis/analyze-window.ts";
import { rawNaming, ServiceDirectory } from "../../src/model/service-directory.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import type { LogRecord, MetricPoint } from "../../src/model/telemetry.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { decodeLogsJson } from "../../src/otlp/json-logs.ts";
import { decodeMetricsJson } from "../../src/otlp/json-metrics.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import { decodeTraces } from "../../src/otlp/protobuf-traces.ts";
import { assembleEpisodes } from "../../src/trace/episodes.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { rowsOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { simulateCase } from "../simulator/case.ts";
import { filesOf } from "../simulator/write-case.ts";
import { batchesOf, type Delivery } from "./delivery.ts";

/** An incident that shows in failures, times, metrics and logs. */
const simulated = simulateCase({
  seed: 2,
  faultType: "pool_exhausted",
  services: 20,
  requests: 150,
  windowMs: 120_000,
  sampleEveryMs: 15_000,
});
const files = filesOf(simulated, { dataset: "", lostShare: 0 });
const spans = { before: rowsOfLines(files.baseline), during: rowsOfLines(files.incident) };
const points = files.metrics.flatMap(
  (line): readonly MetricPoint[] => decodeMetricsJson(Buffer.from(line)).points,
);
const logs = files.logs.flatMap((line): readonly LogRecord[] => decodeLogsJson(Buffer.from(line)).records);

function rowsOfLines(lines: readonly string[]): readonly RowRef[] {
  const table = new SpanTable();
  for (const line of lines) decodeTracesJson(Buffer.from(line), table);
  return rowsOf(table);
}

type Arrival = Pick<Delivery, "order" | "repeats" | "batchSizes">;

const inOrder: Arrival = { order: [0], repeats: [], batchSizes: [1000] };
const arrivals: fc.Arbitrary<Arrival> = fc.record({
  order: fc.array(fc.nat(1000), { minLength: 10, maxLength: 40 }),
  repeats: fc.array(fc.nat(10_000), { maxLength: 300 }),
  batchSizes: fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 6 }),
});

/** Each batch comes as a request of its own; traces are added in the order in which they were first seen. */
function sumsOf(rows: readonly RowRef[], directory: ServiceDirectory, arrival: Arrival): () => WindowSums {
  const rollup = new WindowRollup({ directory });
  const tables = batchesOf(rows, arrival).map((batch) => {
    const table = new SpanTable();
    decodeTraces(encodeTraces(batch), table);
    rollup.observe(table);
    return table;
  });
  for (const batch of batchesOf(logs, arrival)) rollup.addLogRecords(batch);
  const groups = groupByTrace(tables);
  for (let i = 0; i < groups.count; i += 1)
    for (const trace of assembleEpisodes(groups.rowsOf(i), rawNaming)) rollup.addTrace(trace);
  for (const batch of batchesOf(points, { ...arrival, repeats: [] })) rollup.addMetricCourses(batch);
  return () => rollup.window();
}

function reportOf(arrival: Arrival): string {
  const directory = new ServiceDirectory();
  const during = sumsOf(spans.during, directory, arrival);
  const before = sumsOf(spans.before, directory, arrival);
  return writeJson(analyzeWindow(during(), before(), { language: "en" }), { pretty: true });
}

test("a window and its baseline give the same report however their telemetry comes in", () => {
  const expected = reportOf(inOrder);
  const culprit = simulated.scenario.causes[0]?.name;
  expect(JSON.parse(expected)).toMatchObject({
    healthy: false,
    root_cause_candidates: [{ service: culprit }],
  });
  fc.assert(
    fc.property(arrivals, (arrival) => {
      expect(reportOf(arrival)).toBe(expected);
    }),
    { numRuns: runs(5) },
  );
});
