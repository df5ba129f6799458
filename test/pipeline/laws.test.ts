import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import type { GraphJson, ServiceJson, TraceReport } from "../../src/analysis/report.ts";
import { textOf } from "../../src/model/attributes.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { formatTime, parseTime, type UnixNanos } from "../../src/model/time.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { runInProcess } from "../cli/in-process.ts";
import { streamOf } from "../formats/sources.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { metricsToJson } from "../otlp/request-json.ts";
import { runs } from "../runs.ts";
import { type Answers, answersOfFiles } from "./answers.ts";
import { type Telemetry, telemetry } from "./telemetry-generator.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a trace of other services changes no report of any trace", async () => {
  await check(async (told) => {
    const before = await answersOf(told);
    const after = await answersOf({ ...told, text: `${told.text}\n${strangers}` });
    for (const [id, report] of before.traces) expect(after.traces.get(id)).toBe(report);
    expect(namedServices(after)).toEqual(expect.arrayContaining([...namedServices(before)]));
  });
});

test("a trace of the same services changes neither paths nor edges of any other trace", async () => {
  await check(async (told) => {
    const before = await answersOf(told);
    const after = await answersOf({
      ...told,
      text: `${told.text}\n${strangers.replaceAll("stranger", "a")}`,
    });
    for (const [id, report] of before.traces)
      expect(ownParts(after.traces.get(id) ?? "{}")).toEqual(ownParts(report));
  });
});

test("services by other names, in the same order, give the same answers by these names", async () => {
  await check(async (told) => {
    const renamed = (text: string): string => text.replace(/\ba([0-9])\b/g, "b$1");
    const expected = mapTexts(await answersOf(told), renamed);
    expect(await answersOf(withServices(told, renamed))).toEqual(expected);
  });
});

test("services that swap their names swap their figures and edges", async () => {
  const swapped = (text: string): string =>
    text.replace(/\ba([0-9])\b/g, (_, digit) => `a${9 - Number(digit)}`);
  await check(async (told) => {
    const before = mapTexts(await answersOf(told), swapped);
    const after = await answersOf(withServices(told, swapped));
    const { nodes, edges } = JSON.parse(after.graph) as GraphJson;
    const earlier = JSON.parse(before.graph) as GraphJson;
    expect(new Set(nodes)).toEqual(new Set(earlier.nodes));
    expect(new Set(edges)).toEqual(new Set(earlier.edges));
    const services = JSON.parse(after.services) as readonly ServiceJson[];
    expect(new Set(services)).toEqual(new Set(JSON.parse(before.services) as readonly ServiceJson[]));
  });
});

test("the same an hour and a minute later gives the same answers, an hour and a minute later", async () => {
  const later = 3_660_000_000_000n;
  await check(async ({ text, metrics }) => {
    const moved = metrics.map((point) => ({
      ...point,
      startTime: (point.startTime === 0n ? 0n : point.startTime + later) as UnixNanos,
      time: (point.time + later) as UnixNanos,
    }));
    const table = tableOf(text);
    for (const column of [table.startTime, table.endTime]) move(column, table, later);
    const answers = await answersOfFiles([
      streamOf(`${tracesToJson(rowsOf(table))}\n${metricsToJson(moved)}\n`),
    ]);
    const earlier = mapTexts(answers, (written) =>
      written.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (time) =>
        formatTime((parseTime(time)! - later) as UnixNanos),
      ),
    );
    expect(earlier).toEqual(await answersOf({ text, metrics }));
  });
});

test("the command line says what the parts of the program say", async () => {
  const path = join(folder, "telemetry.jsonl");
  await check(async (told) => {
    writeFileSync(path, contentOf(told));
    const { window, graph, services, traces } = await answersOf(told);
    expect(await printed(`analyze ${path}`)).toBe(window);
    expect(await printed(`graph ${path}`)).toBe(graph);
    expect(JSON.parse(await printed(`services ${path}`))).toEqual({
      services: JSON.parse(services) as unknown,
    });
    for (const [id, report] of [...traces].slice(0, 2))
      expect(await printed(`analyze ${path} --trace ${id}`)).toBe(report);
  }, 0.3);
});

/** Hosts, queues and services that the generator does not know. */
const strangers = `
stranger0 GET /else   1000..1900ms server error host=far1 id=901 trace=9000 parent=none
stranger1 GET /more   1010..1800ms server error error.type=timeout host=far2 id=902 trace=9000 parent=901
stranger1 SELECT      1020..1700ms client error db.system=oracle db.namespace=far id=903 trace=9000 parent=902
stranger1 send        1710..1711ms producer messaging.system=sqs messaging.destination.name=far id=904 trace=9000 parent=902
stranger0 on          1750..1760ms consumer messaging.system=sqs messaging.destination.name=far id=905 trace=9000 parent=904`;

async function check(law: (told: Telemetry) => Promise<void>, share = 1): Promise<void> {
  await fc.assert(fc.asyncProperty(telemetry(), law), { numRuns: runs(10 * share) });
}

function answersOf(told: Telemetry): Promise<Answers> {
  return answersOfFiles([streamOf(contentOf(told))]);
}

function contentOf({ text, metrics }: Telemetry): string {
  return `${tracesToJson(rowsOf(tableOf(text)))}\n${metricsToJson(metrics)}\n`;
}

function mapTexts({ window, graph, services, traces }: Answers, change: (text: string) => string): Answers {
  return {
    window: change(window),
    graph: change(graph),
    services: change(services),
    traces: new Map([...traces].map(([id, report]) => [id, change(report)])),
  };
}

function withServices({ text, metrics }: Telemetry, change: (text: string) => string): Telemetry {
  const renamed = metrics.map((point) => ({
    ...point,
    resource: new Map([...point.resource].map(([key, value]) => [key, change(textOf(value))])),
  }));
  return { text: change(text), metrics: renamed };
}

function namedServices({ services }: Answers): readonly string[] {
  return (JSON.parse(services) as readonly ServiceJson[]).map(({ service }) => service);
}

/** What a report says of its trace whatever else was seen. */
function ownParts(report: string): unknown {
  const { trace, trace_critical_path, dependency_graph, problems } = JSON.parse(report) as TraceReport;
  const edges = dependency_graph.edges.map(({ caller, callee, kind }) => `${caller} ${kind} ${callee}`);
  return { trace, trace_critical_path, edges, problems };
}

function move(column: Uint32Array, { rowCount }: SpanTable, nanos: bigint): void {
  for (let at = 0; at < rowCount * 2; at += 2) {
    const time = (BigInt(column[at]!) << 32n) | BigInt(column[at + 1]!);
    if (time === 0n) continue;
    column[at] = Number((time + nanos) >> 32n);
    column[at + 1] = Number((time + nanos) & 0xffffffffn);
  }
}

async function printed(line: string): Promise<string> {
  const { stdout, stderr, exitCode } = await runInProcess(line);
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  return stdout.trimEnd();
}
