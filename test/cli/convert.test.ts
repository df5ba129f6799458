import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeEach, expect, test } from "vitest";
import type { UnixNanos } from "../../src/model/time.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { logsToJson } from "../../src/otlp/json-write-logs.ts";
import { metricsToJson } from "../../src/otlp/json-write-metrics.ts";
import { collect, rowsOf } from "../formats/sources.ts";
import { rowsOf as rowsOfTable, tableOf } from "../notation.ts";
import { runInProcess } from "./in-process.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const input = join(folder, "traces.jsonl");
const out = join(folder, "out");

const spans = tracesToJson(
  rowsOfTable(
    tableOf(`
      web      GET /cart   0..90ms  server
        cart   GET /items 10..80ms  server error
      web      GET /      5..6ms   server trace=2`),
  ),
);
const resource = new Map([["service.name", "web"]]);
const time = 1_700_000_000_000_000_000n as UnixNanos;
const metrics = metricsToJson([
  {
    resource,
    name: "m",
    unit: "",
    attributes: new Map(),
    startTime: time,
    time,
    value: { kind: "gauge", value: 1 },
  },
]);
const logs = logsToJson([
  {
    resource,
    scopeName: "",
    time,
    observedTime: time,
    severityNumber: 9,
    severityText: "",
    body: "hello",
    attributes: new Map(),
    traceId: "",
    spanId: "",
    eventName: "",
  },
]);

beforeEach(() => {
  rmSync(out, { recursive: true, force: true });
  writeFileSync(input, `${spans}\n${metrics}\n${logs}\n`);
});

test("a file is written and what went into it is said", async () => {
  const { exitCode, stdout, stderr } = await runInProcess(
    `convert ${input} --to otlp-proto ${out} --format human`,
  );
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout).toBe(`Wrote 3 spans of 2 traces, 1 metric point, 1 log record to ${out} (OTLP protobuf).\n`);
  const [before, after] = [await collect([input]), await collect([out])];
  expect(rowsOf(after.tables)).toEqual(rowsOf(before.tables));
  expect([after.points, after.logs]).toEqual([before.points, before.logs]);
});

test("metrics and logs are left out of formats for traces, and counted", async () => {
  for (const to of ["jaeger", "zipkin"]) {
    const { stdout } = await runInProcess(`convert ${input} --to ${to} ${out}`);
    expect(JSON.parse(stdout)).toEqual({
      output: out,
      to,
      spans: 3,
      traces: 2,
      has_more_traces: false,
      metric_points: 0,
      log_records: 0,
      left_out: { metric_points: 1, log_records: 1 },
      rejected_spans: 0,
      malformed_records: 0,
    });
    const { stdout: human } = await runInProcess(`convert ${input} --to ${to} ${out} --format human`);
    expect(human).toContain("Left out, which the format does not hold: 1 metric point, 1 log record.");
  }
});

test("only the wanted signals are converted", async () => {
  await runInProcess(`convert ${input} --to otlp-jsonl ${out} --signals logs`);
  expect(readFileSync(out, "utf8")).toBe(`${logs}\n`);
});

test("standard output takes the telemetry alone; what is said about it goes to standard error", async () => {
  const { stdout, stderr } = await runInProcess(`convert ${input} --to otlp-jsonl -`);
  expect(sortedLines(stdout)).toEqual([logs, metrics, spans]);
  expect(stderr).toMatch(/^Wrote 3 spans of 2 traces.* to standard output/);
  expect((await runInProcess(`convert ${input} --to otlp-jsonl - --quiet`)).stderr).toBe("");
});

test("a name that ends in .gz means gzip", async () => {
  await runInProcess(`convert ${input} --to otlp-jsonl ${out}.gz`);
  expect(sortedLines(gunzipSync(readFileSync(`${out}.gz`)).toString())).toEqual([logs, metrics, spans]);
});

test("an input is never overwritten, whatever it is called", async () => {
  const inner = join(folder, "inner");
  mkdirSync(inner);
  const [hard, soft] = [join(folder, "hard"), join(inner, "soft")];
  linkSync(input, hard);
  symlinkSync(input, soft);
  for (const line of [`${input} ${input}`, `${input} ${hard}`, `${input} ${soft}`, `${inner} ${input}`]) {
    const { exitCode, stderr } = await runInProcess(`convert ${line} --to jaeger`);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/is an input and would be overwritten/);
  }
  expect(readFileSync(input, "utf8")).toContain("resourceSpans");
});

test("a failure leaves an older file as it was, and no half one", async () => {
  writeFileSync(out, "old");
  const bad = join(folder, "bad");
  writeFileSync(bad, "no telemetry");
  const before = readdirSync(folder);
  expect((await runInProcess(`convert ${bad} --to jaeger ${out}`)).exitCode).toBe(3);
  expect((await runInProcess(`convert ${bad} --to jaeger ${out}.new.gz`)).exitCode).toBe(3);
  expect(readFileSync(out, "utf8")).toBe("old");
  expect(readdirSync(folder)).toEqual(before);
  expect((await runInProcess(`convert ${input} --to zipkin ${out}`)).exitCode).toBe(0);
  expect(JSON.parse(readFileSync(out, "utf8"))).toHaveLength(3);
});

test("a process that is told to end leaves no half file", async () => {
  const inner = join(folder, "ended");
  mkdirSync(inner);
  const words = ["dist/hypocenter.js", "convert", "-", "--to", "zipkin", join(inner, "out.gz")];
  const child = spawn(process.execPath, words, { env: {} });
  child.stdin.write(`${spans}\n`);
  while (readdirSync(inner).length === 0) await sleep(10);
  const ended = once(child, "close");
  child.kill("SIGINT");
  expect(await ended).toEqual([null, "SIGINT"]);
  expect(readdirSync(inner)).toEqual([]);
});

test("a link to a file stays one", async () => {
  const link = join(folder, "link");
  writeFileSync(out, "");
  symlinkSync(out, link);
  await runInProcess(`convert ${input} --to otlp-jsonl ${link}`);
  expect(readFileSync(out, "utf8")).toContain(spans);
});

test("bad records are named, counted and left out", async () => {
  writeFileSync(input, `${spans}\n{"resourceSpans":7}\n`);
  const { exitCode, stdout, stderr } = await runInProcess(
    `convert ${input} --to jaeger ${out} --format human`,
  );
  expect(exitCode).toBe(0);
  expect(stderr).toContain(`${input}:2`);
  expect(stdout).toContain("Left out, because they could not be read: 1 record.");
});

test("wrong usage is answered with the way out", async () => {
  const check = async (line: string, exitCode: number, message: RegExp): Promise<void> => {
    const outcome = await runInProcess(`convert ${line}`);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.exitCode).toBe(exitCode);
  };
  await check(
    `${input} ${out}`,
    2,
    /convert needs --to FORMAT\nIt is one of otlp-jsonl, otlp-proto, jaeger, zipkin/,
  );
  await check(`${input} --to jaeger`, 2, /convert needs IN… --to FORMAT OUT/);
  await check(`${input} --to xml ${out}`, 2, /otlp-jsonl/);
  await check(`${join(folder, "none")} --to jaeger ${out}`, 3, /no such file/);
  await check(`${input} --to jaeger ${folder}`, 2, /Cannot write .*it is a folder/);
  await check(`${input} --to jaeger ${join(folder, "none", "x")}`, 2, /Cannot write .*ENOENT/);
  expect(existsSync(out)).toBe(false);
});

/** Each signal keeps its order; signals need not. */
function sortedLines(text: string): readonly string[] {
  return text.trimEnd().split("\n").sort();
}
