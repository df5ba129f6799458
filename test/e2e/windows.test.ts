import * as fc from "fast-check";
import { expect, test } from "vitest";
import { analyzeWindow, WindowRollup } from "../../src/analysis/analyze-window.ts";
import type { WindowReport } from "../../src/analysis/report.ts";
import type { TimeWindow } from "../../src/engine/ports.ts";
import { rawNaming } from "../../src/model/service-directory.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import type { LogRecord, MetricPoint } from "../../src/model/telemetry.ts";
import { minuteOf, startOfMinute, type UnixNanos } from "../../src/model/time.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { assembleEpisodes } from "../../src/trace/episodes.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { live } from "../engine/live.ts";
import { type CaseTraffic, caseTraffic, play } from "../engine/simulated-traffic.ts";
import { runs } from "../runs.ts";

const kinds = ["latency", "error", "missing_step", "error_in_body"] as const;

/** In whole minutes, as a server counts. */
function wholeMinutes({ from, to }: { readonly from: bigint; readonly to: bigint }): TimeWindow {
  const [first, last] = [minuteOf(from as UnixNanos), minuteOf(to as UnixNanos)];
  return { from: startOfMinute(first), to: (startOfMinute(last + 1) - 1n) as UnixNanos };
}

/** The same telemetry as files are analysed: all spans, log lines and points of each time in one piece. */
function reportOfFiles(traffic: CaseTraffic, visitsMax: number): WindowReport {
  const [usualTime, window] = [wholeMinutes(traffic.baseline), wholeMinutes(traffic.incident)];
  const incident = new WindowRollup({ visitsMax, logsComeLast: true });
  const { directory } = incident;
  const usual = new WindowRollup({ directory, visitsMax, logsComeLast: true });
  const isIn = (time: bigint, { from, to }: TimeWindow): boolean => time >= from && time <= to;
  const sideOf = (time: bigint): WindowRollup => (isIn(time, window) ? incident : usual);
  const tables: SpanTable[] = [];
  const [points, records]: [MetricPoint[], LogRecord[]] = [[], []];
  for (const { signal, body } of traffic.requests) {
    const { decoded } = decodeBody(signal, "json", body);
    if (decoded.signal === "traces") tables.push(decoded.table);
    else if (decoded.signal === "metrics") points.push(...decoded.points);
    else records.push(...decoded.records);
  }
  for (const table of tables) incident.observe(table);
  const groups = groupByTrace(tables);
  for (let i = 0; i < groups.count; i += 1)
    for (const trace of assembleEpisodes(groups.rowsOf(i), rawNaming, { spansMax: 1_000_000 }))
      sideOf(trace.startTime).addTrace(trace);
  for (const point of points) sideOf(point.time).addMetricPoints([point]);
  for (const record of records) sideOf(record.time).addLogRecords([record]);
  incident.addMetricCourses(points);
  return analyzeWindow(incident.window([window]), usual.window([usualTime]), { language: "en", window });
}

async function reportOfServer(
  traffic: CaseTraffic,
  {
    visitsMax,
    requests = traffic.requests,
    pauseMs = 0,
  }: { visitsMax: number; requests?: CaseTraffic["requests"]; pauseMs?: number },
): Promise<WindowReport> {
  const server = live({ windowVisitsMax: visitsMax });
  await play(server, traffic, { requests, pauseMs });
  // whoever pauses folds traces of which more comes, and takes back what they had added
  if (pauseMs > 0) expect(server.engine.stats()["refolded_traces_total"]).toBeGreaterThan(100);
  expect(server.faults).toEqual([]);
  const [baseline, window] = [wholeMinutes(traffic.baseline), wholeMinutes(traffic.incident)];
  return server.engine.analyzeWindow({ window, baseline, language: "en" });
}

test.each(kinds)("%s: a server says of a window what its files say", async (kind) => {
  const traffic = caseTraffic(kind, 7_100);
  const ofServer = await reportOfServer(traffic, { visitsMax: 1_000_000 });
  expect(ofServer.root_cause_candidates[0]?.service).toBe(traffic.cause);
  expect(ofServer.exemplar_trace_ids.length).toBeGreaterThan(0);
  expect(JSON.parse(writeJson(ofServer))).toEqual(JSON.parse(writeJson(reportOfFiles(traffic, 1_000_000))));
});

test("the same where traces have to be thinned, whatever the order in which everything arrives", async () => {
  const traffic = caseTraffic("latency", 7_100);
  const expected = JSON.parse(writeJson(reportOfFiles(traffic, 500))) as WindowReport;
  expect(expected.problems.map(({ kind }) => kind)).toContain("overflow");
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray([...traffic.requests], {
        minLength: traffic.requests.length,
        maxLength: traffic.requests.length,
      }),
      async (requests) => {
        const report = await reportOfServer(traffic, { visitsMax: 500, requests, pauseMs: 2_500 });
        expect(JSON.parse(writeJson(report))).toEqual(expected);
      },
    ),
    { numRuns: runs(3) },
  );
});
