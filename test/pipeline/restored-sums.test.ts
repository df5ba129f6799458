import * as fc from "fast-check";
import { expect, test } from "vitest";
import { analyzeWindow, WindowRollup, type WindowSums } from "../../src/analysis/analyze-window.ts";
import { graphJson } from "../../src/analysis/graph-json.ts";
import { ScopeRollup } from "../../src/analysis/scope.ts";
import { servicesJson } from "../../src/analysis/services-json.ts";
import { type Saved, snapshotOf, restored as takenOver } from "../../src/base/snapshot.ts";
import { ServiceDirectory } from "../../src/model/service-directory.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import type { LogRecord, MetricPoint } from "../../src/model/telemetry.ts";
import { minuteOf, type UnixNanos } from "../../src/model/time.ts";
import { decodeLogsJson } from "../../src/otlp/json-logs.ts";
import { decodeMetricsJson } from "../../src/otlp/json-metrics.ts";
import { decodeTracesJson } from "../../src/otlp/json-traces.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { notationStart, tableOf } from "../notation.ts";
import { runs } from "../runs.ts";
import { rawTracesOf } from "../scopes.ts";
import { simulateCase } from "../simulator/case.ts";
import { filesOf } from "../simulator/write-case.ts";
import { telemetry } from "./telemetry-generator.ts";

/** Another one that says the same: what was saved of one went to another thread, say. */
function restored<T extends Saved>(made: T, saved: Saved): T {
  return takenOver(made, structuredClone(snapshotOf(saved)));
}

/** Everything that windows are compared by. */
class Sums {
  scope = new ScopeRollup();
  window = new WindowRollup({ visitsMax: 16 });

  restored(): Sums {
    const copy = new Sums();
    restored(copy.scope, this.scope);
    restored(copy.window, this.window);
    return copy;
  }

  observe(table: SpanTable): void {
    this.scope.observe(table);
    this.window.observe(table);
  }

  add(trace: Trace): void {
    this.scope.addTrace(trace);
    this.window.addTrace(trace);
  }

  remove(trace: Trace): void {
    this.scope.removeTrace(trace);
  }

  measure(points: readonly MetricPoint[]): void {
    this.scope.addMetricPoints(points);
    this.window.addMetricPoints(points);
    this.window.addMetricCourses(points);
  }

  log(records: readonly LogRecord[]): void {
    this.window.addLogRecords(records);
  }

  /** Of the first minute, and of all. */
  answers(): readonly unknown[] {
    const first = minuteOf(notationStart as UnixNanos);
    const usual = this.window.window();
    const answers: unknown[] = [partsOf(usual)];
    answers.push(writeJson(analyzeWindow(usual, usual, { language: "en" }), { pretty: true }));
    for (const to of [first, first + 4]) {
      const start = notationStart as UnixNanos;
      const end = (notationStart + BigInt((to - first) * 60_000_000_000)) as UnixNanos;
      const scope = this.scope.scope({ from: start, to: end });
      answers.push(
        ...[
          servicesJson(scope, "en"),
          graphJson(scope),
          scope.red.services.map((service) => [service, scope.health.service(service)]),
          scope.red.services.flatMap((service) =>
            ["op0", "op1", "op2"].map((operation) => scope.steps.of(service, operation)),
          ),
          scope.problems,
        ].map((answer) => writeJson(answer, { pretty: true })),
      );
    }
    return answers;
  }
}

/** What windows are compared by, without what is worked out when asked for. */
function partsOf({ blame, visits, logLines, metrics }: WindowSums) {
  const { attributesOf, visitOfSpan, ...columns } = visits!;
  return {
    blame: {
      ...blame,
      entries: [...blame.entries].map(([key, { cell, finished, meanNanos, varianceNanos2 }]) => {
        const { requests, failed, firstStart } = cell;
        return { key, requests, failed, firstStart, finished, meanNanos, varianceNanos2 };
      }),
    },
    columns,
    attributes: [...columns.visits.split].map((split) => attributesOf(split)),
    visits: columns.traceIds.map((traceId) => visitOfSpan(traceId, "0000000000000001")),
    logLines,
    courses: metrics.courses,
  };
}

const telemetries = fc.tuple(telemetry(), telemetry());

test("restored sums say what those say that they were taken of, whatever comes and goes afterwards", () => {
  fc.assert(
    fc.property(
      telemetries,
      fc.infiniteStream(fc.nat(99)),
      fc.boolean(),
      ([first, second], random, isOld) => {
        const sums = new Sums();
        const tables = [first, second].map(({ text }) => tableOf(text));
        const traces = rawTracesOf(tables);
        const isChosen = traces.map(() => (random.next().value as number) < 60);
        const isRemoved = traces.map(() => (random.next().value as number) < 30);
        sums.observe(tables[0]!);
        for (const [i, trace] of traces.entries()) if (isChosen[i]!) sums.add(trace);
        sums.measure(first.metrics);
        sums.log(traces.flatMap((trace) => linesOf(trace)));
        if (isOld) {
          const nextMinute = minuteOf(notationStart as UnixNanos) + 1;
          sums.scope.compact(nextMinute);
          sums.scope.dropBefore(nextMinute);
        }
        const copy = sums.restored();
        expect(copy.answers()).toEqual(sums.answers());
        for (const each of [sums, copy]) {
          each.observe(tables[1]!);
          for (const [i, trace] of traces.entries()) if (isChosen[i]! && isRemoved[i]!) each.remove(trace);
          for (const [i, trace] of traces.entries()) if (!isChosen[i]!) each.add(trace);
          each.measure(second.metrics);
          each.log(traces.slice(1).flatMap((trace) => linesOf(trace)));
        }
        expect(copy.answers()).toEqual(sums.answers());
        expect(copy.restored().answers()).toEqual(sums.answers());
      },
    ),
    { numRuns: runs(20) },
  );
});

/** An incident that shows in failures, times, metrics and logs. */
const files = filesOf(
  simulateCase({
    seed: 2,
    faultType: "pool_exhausted",
    services: 20,
    requests: 150,
    windowMs: 120_000,
    sampleEveryMs: 15_000,
  }),
  { dataset: "", lostShare: 0 },
);

/** `then` = after a third and two thirds of the telemetry of a window, what goes on with it. */
function fold(
  lines: readonly string[],
  rollup: WindowRollup,
  then = (sums: WindowRollup) => sums,
): WindowRollup {
  const table = new SpanTable();
  for (const line of lines) decodeTracesJson(Buffer.from(line), table);
  rollup.observe(table);
  const traces = rawTracesOf([table]);
  const logs = files.logs.flatMap((line): readonly LogRecord[] => decodeLogsJson(Buffer.from(line)).records);
  const points = files.metrics.flatMap(
    (line): readonly MetricPoint[] => decodeMetricsJson(Buffer.from(line)).points,
  );
  const third = <T>(all: readonly T[], part: number): readonly T[] =>
    all.slice((all.length * part) / 3, (all.length * (part + 1)) / 3);
  let sums = rollup;
  for (const part of [0, 1, 2]) {
    if (part > 0) sums = then(sums);
    sums.addLogRecords(third(logs, part));
    for (const trace of third(traces, part)) sums.addTrace(trace);
    sums.addMetricCourses(third(points, part));
    sums.addMetricPoints(third(points, part));
  }
  return sums;
}

test("a report of sums that were sent to and fro is the same as one of sums that never left", () => {
  const directory = new ServiceDirectory();
  const window = fold(files.incident, new WindowRollup({ directory }));
  const usual = fold(files.baseline, new WindowRollup({ directory }));
  const expected = analyzeWindow(window.window(), usual.window(), { language: "en" });
  expect(expected.root_cause_candidates.length).toBeGreaterThan(0);

  const send = (sums: WindowRollup): WindowRollup => restored(new WindowRollup(), sums);
  const sentUsual = fold(files.baseline, new WindowRollup(), send);
  const sentWindow = fold(files.incident, new WindowRollup(), send);
  // both know each other's services
  const both = restored(new WindowRollup({ directory: sentWindow.directory }), sentUsual);
  const report = analyzeWindow(sentWindow.window(), both.window(), { language: "en" });
  expect(writeJson(report, { pretty: true })).toBe(writeJson(expected, { pretty: true }));
});

function linesOf(trace: Trace): readonly LogRecord[] {
  return trace.spans.slice(0, 3).map((span) => ({
    resource: new Map([["service.name", span.service]]),
    scopeName: "",
    traceId: trace.traceId,
    spanId: "",
    time: trace.startTime,
    observedTime: 0n as UnixNanos,
    severityNumber: span.failed ? 17 : 9,
    severityText: "",
    body: `${span.operation} took ${span.end - span.start} ns`,
    attributes: new Map(),
    eventName: "",
  }));
}
