import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { LogRecord } from "../../src/model/telemetry.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { logsToJson } from "../../src/otlp/json-write-logs.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { notationStart, tableOf } from "../notation.ts";
import { runInProcess } from "./in-process.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Ten requests; those with an even number fail in the cart's database. */
const shop = Array.from({ length: 10 }, (_, i) => request(i + 1, i * 60, i % 2 === 1)).join("\n");
const healthy = Array.from({ length: 10 }, (_, i) => request(i + 100, 3600 + i, false)).join("\n");

function request(trace: number, startS: number, failed: boolean): string {
  const at = (ms: number) => `${startS * 1000 + ms}`;
  const status = failed ? " error" : "";
  return `
    web      GET /cart   ${at(0)}..${at(90)}ms  server${status} trace=${trace}
      web    GET         ${at(5)}..${at(85)}ms  client${status} server.address=cart
        cart GET /items ${at(10)}..${at(80)}ms  server${status} host=n1
          cart SELECT   ${at(20)}..${at(70)}ms  client${status} db.system.name=postgresql db.namespace=items`;
}

function rowsOf(text: string): readonly RowRef[] {
  const table = tableOf(text);
  return Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const traces = file("traces.jsonl", `${tracesToJson(rowsOf(shop))}\n`);
const baseline = file("baseline.jsonl", `${tracesToJson(rowsOf(healthy))}\n`);
const idOf = (trace: number) => trace.toString(16).padStart(32, "0");

interface Report {
  readonly trace_id: string;
  readonly verdict: string;
  readonly totals: { readonly traces: number; readonly spans: number };
  readonly window: { readonly from: string; readonly to: string };
  readonly baseline: unknown;
  readonly problems: readonly { readonly kind: string; readonly source?: string }[];
}

async function reportOf(line: string, stdin = ""): Promise<Report> {
  const { exitCode, stdout, stderr } = await runInProcess(line, { stdin });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return JSON.parse(stdout) as Report;
}

test("everything in the files becomes one report", async () => {
  const report = await reportOf(`analyze ${traces}`);
  expect(report.totals).toMatchObject({ traces: 10, spans: 40 });
  expect(report.baseline).toBeNull();
  expect(report).toHaveProperty("verdict");
});

test("a baseline is read apart from what is asked about", async () => {
  const report = await reportOf(`analyze ${traces} --baseline ${baseline}`);
  expect(report.totals.traces).toBe(10);
  expect(report.baseline).toHaveProperty("from");
});

test("one trace is found by its id, long or short, in any case", async () => {
  for (const id of [idOf(10), idOf(10).toUpperCase(), idOf(10).slice(16)])
    expect(await reportOf(`analyze ${traces} --trace ${id}`)).toMatchObject({
      trace_id: idOf(10),
      failed_service: "web",
      root_cause_candidates: [{ service: "items", rank: 1 }],
    });
});

test("structural scoring gives the structural report alone, byte for byte the same each time", async () => {
  const line = `analyze ${traces} --trace ${idOf(10)} --scoring structural --failed-service cart`;
  const first = await runInProcess(line);
  expect(JSON.parse(first.stdout)).toMatchObject({ dependency_chain: ["cart", "items"] });
  expect(JSON.parse(first.stdout)).not.toHaveProperty("verdict");
  expect((await runInProcess(line)).stdout).toBe(first.stdout);
});

test("JSON and protobuf say the same", async () => {
  const expected = (await runInProcess(`analyze ${traces}`)).stdout;
  const protobuf = file("traces.pb", encodeTraces(rowsOf(shop)));
  expect((await runInProcess(`analyze ${protobuf}`)).stdout).toBe(expected);
});

test("a time range keeps the traces that start in it, both ends included", async () => {
  const at = (seconds: number) => new Date(Number(notationStart / 1_000_000n) + seconds * 1000).toISOString();
  const report = await reportOf(`analyze ${traces} --from ${at(60)} --to ${at(120)}`);
  expect(report.totals.traces).toBe(2);
  expect(report.window).toEqual({
    from: at(60).replace("Z", "000000Z"),
    to: at(120).replace("Z", "000000Z"),
  });
  const swapped = await runInProcess(`analyze ${traces} --from ${at(2)} --to ${at(1)}`);
  expect(swapped).toMatchObject({ exitCode: 2, stdout: "" });
});

/** Half an hour of a calm shop, and from then on ten minutes in which two of three requests fail in the database. */
const calmMinutes = 30;
const capture = Array.from({ length: 400 }, (_, i) =>
  request(1000 + i, i * 6, i >= calmMinutes * 10 && i % 3 > 0),
);
const clock = (minute: number): string =>
  new Date(Number(notationStart / 1_000_000n) + minute * 60_000).toISOString();

function shuffledRows(text: string): readonly RowRef[] {
  const rows = rowsOf(text);
  return [3, 1, 4, 0, 2].flatMap((part) => rows.filter((_, i) => i % 5 === part)).toReversed();
}

test("what is before the window in the same files is what it is compared with", async () => {
  const path = file("capture.jsonl", `${tracesToJson(rowsOf(capture.join("\n")))}\n`);
  const shuffled = file("shuffled.jsonl", `${tracesToJson(shuffledRows(capture.join("\n")))}\n`);
  const asked = `--from ${clock(calmMinutes)} --to ${clock(calmMinutes + 5)}`;
  const report = await reportOf(`analyze ${path} ${asked}`);
  expect(report).toMatchObject({
    totals: { traces: 51 },
    baseline: {
      from: "2024-01-01T00:00:00.000000000Z",
      to: "2024-01-01T00:29:59.999999999Z",
      reason: "all that is before the window in the same files",
    },
    root_cause_candidates: [{ service: "items" }],
  });
  expect(await reportOf(`analyze ${shuffled} ${asked}`)).toEqual(report);
  const other = await reportOf(`analyze ${path} ${asked} --baseline ${baseline}`);
  expect(other.baseline).toEqual({
    from: "2024-01-01T01:00:00.000000000Z",
    to: "2024-01-01T01:00:59.999999999Z",
  });
});

test("a window with nothing before it is compared with nothing, and that is said", async () => {
  const { stdout, stderr } = await runInProcess(`analyze ${traces} --from ${clock(0)}`);
  expect((JSON.parse(stdout) as Report).baseline).toBeNull();
  expect(stderr).toBe("no trace starts before --from: there is nothing to compare with (--baseline FILE)\n");
});

test("a calm part and one in which something is worse are compared without being asked for", async () => {
  const text = capture.join("\n");
  const path = file("changing.jsonl", `${tracesToJson(rowsOf(text))}\n`);
  const report = await reportOf(`analyze ${path}`);
  expect(report).toMatchObject({
    window: { from: "2024-01-01T00:29:00.000000000Z" },
    baseline: {
      to: "2024-01-01T00:28:59.999999999Z",
      reason: "until something changed: cart GET /items failed 0 % → 65 %",
    },
    root_cause_candidates: [{ service: "items" }],
  });
  // a service that only the calm part has is not unknown
  const gone = `mail POST /send 0..20ms server trace=7777`;
  const withGone = file("gone.jsonl", `${tracesToJson(rowsOf(`${text}\n${gone}`))}\n`);
  expect(await reportOf(`analyze ${withGone} --failed-service mail`)).toMatchObject({
    window: report.window,
    root_cause_candidates: [{ service: "items" }],
  });
  const calm = file("calm.jsonl", `${tracesToJson(rowsOf(capture.slice(0, calmMinutes * 10).join("\n")))}\n`);
  expect((await reportOf(`analyze ${calm}`)).baseline).toBeNull();
});

test("one trace is compared with what is before the window", async () => {
  const slow = request(1, calmMinutes * 60, false).replace("1800090ms", "1800900ms");
  const path = file("before.jsonl", `${tracesToJson(rowsOf(`${capture.slice(0, 60).join("\n")}${slow}`))}\n`);
  const { verdict } = await reportOf(`analyze ${path} --trace ${idOf(1)} --from ${clock(calmMinutes)}`);
  expect(verdict).toContain("it took 900 ms, usually 90 ms");
});

test("what is not in the files is said, with what is, and exit code 4", async () => {
  const trace = await runInProcess(`analyze ${traces} --trace ${"f".repeat(32)}`);
  expect(trace).toMatchObject({ exitCode: 4, stdout: "" });
  expect(trace.stderr).toMatch(/no trace f{32}[\s\S]*It holds 10 traces, for example 0+1, 0+2/);
  const service = await runInProcess(`analyze ${traces} --trace ${idOf(1)} --failed-service nobody`);
  expect(service).toMatchObject({ exitCode: 4, stdout: "" });
  expect(service.stderr).toMatch(/no service nobody\nIt has cart, items, web\./);
  expect(await runInProcess(`analyze ${traces} --failed-service nobody`)).toMatchObject({ exitCode: 4 });
});

test("log records are read beside the traces of a window that is compared, unless they are not asked for", async () => {
  const logs = file("logs.jsonl", `${logsToJson([logRecord("the cart is empty")])}\n`);
  const kindsOf = async (more: string): Promise<readonly string[]> =>
    (await reportOf(`analyze ${traces} ${logs} ${more}`)).problems.map(({ kind }) => kind);
  expect(await kindsOf(`--baseline ${baseline}`)).toEqual(["missing_trace_id"]);
  expect(await kindsOf(`--baseline ${baseline} --signals traces,metrics`)).toEqual([]);
  expect(await kindsOf("")).toEqual([]);
});

function logRecord(body: string): LogRecord {
  return {
    resource: new Map([["service.name", "cart"]]),
    scopeName: "",
    time: (notationStart + 1n) as UnixNanos,
    observedTime: 0n as UnixNanos,
    severityNumber: 9,
    severityText: "INFO",
    body,
    attributes: new Map(),
    traceId: "",
    spanId: "",
    eventName: "",
  };
}

test("one trace is compared with the baseline, too", async () => {
  const slow = file(
    "slow.jsonl",
    `${tracesToJson(rowsOf(request(1, 0, false).replaceAll("90ms", "900ms")))}\n`,
  );
  const alone = await reportOf(`analyze ${slow} --trace ${idOf(1)}`);
  expect(alone.verdict).toContain("too few requests to compare with");
  const compared = await reportOf(`analyze ${slow} --trace ${idOf(1)} --baseline ${baseline}`);
  expect(compared.verdict).toContain("it took 900 ms, usually 90 ms");
});

test("several baselines of which some are as slow as the window make its slowness usual, one that is not does not", async () => {
  const day = (number: number, ms: number): string => {
    const lines = Array.from({ length: 60 }, (_, i) => {
      const at = number * 86_400_000 + i * 2000;
      const db = ms + (i % 7) / 2;
      return `
        web GET /cart ${at}..${at + db + 20}ms server trace=${number * 1000 + i + 1}
          web SELECT ${at + 5}..${at + 5 + db}ms client db.system.name=postgresql db.namespace=items`;
    });
    return file(`day-${number}-${ms}.jsonl`, `${tracesToJson(rowsOf(lines.join("")))}\n`);
  };
  const window = day(9, 30);
  const days = (...times: readonly number[]): string =>
    times.map((ms, number) => `--baseline ${day(number, ms)}`).join(" ");
  expect(await reportOf(`analyze ${window} ${days(20, 20, 20, 20)}`)).toMatchObject({ healthy: false });
  expect(await reportOf(`analyze ${window} ${days(20, 30, 20, 30)}`)).toMatchObject({ healthy: true });
});

test("a baseline of other services is said to be one, and nothing is compared with it", async () => {
  const mails = file(
    "mails.jsonl",
    `${tracesToJson(rowsOf("mail POST /send 0..20ms server trace=7\n  smtp SEND 5..10ms server"))}\n`,
  );
  const others = {
    kind: "unlike_baseline",
    message: expect.stringMatching(/: cart, web\. Baseline: mail, smtp$/),
  };
  const report = await reportOf(`analyze ${traces} --baseline ${mails}`);
  expect(report).toMatchObject({ baseline: null, problems: [others] });
  expect({ ...report, problems: [] }).toEqual(await reportOf(`analyze ${traces}`));
  const trace = await reportOf(`analyze ${traces} --trace ${idOf(1)} --baseline ${mails}`);
  expect(trace.problems).toMatchObject([others]);
  expect(trace.verdict).toBe((await reportOf(`analyze ${traces} --trace ${idOf(1)}`)).verdict);
});

test("what cannot be read is exit code 3, and what makes no sense together exit code 2", async () => {
  expect(await runInProcess("analyze missing.jsonl")).toMatchObject({ exitCode: 3, stdout: "" });
  expect(await runInProcess(`analyze ${file("notes.txt", "hello\n")}`)).toMatchObject({
    exitCode: 3,
    stdout: "",
  });
  expect(await runInProcess(`analyze ${traces} --scoring structural`)).toMatchObject({
    exitCode: 2,
    stdout: "",
  });
});

test("a bad line costs itself: it is named on standard error and in the report", async () => {
  const line = tracesToJson(rowsOf(request(1, 0, false)));
  const path = file("damaged.jsonl", `${line}\n{"resourceSpans": oops}\n`);
  const { exitCode, stdout, stderr } = await runInProcess(`analyze ${path}`);
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/damaged\.jsonl:2/);
  const { problems, totals } = JSON.parse(stdout) as Report;
  expect(totals.spans).toBe(4);
  expect(problems.find(({ kind }) => kind === "malformed_record")?.source).toMatch(/damaged\.jsonl:2/);
  expect((await runInProcess(`analyze ${path} --quiet`)).stderr).toBe("");
});

test("--fail-on turns the finding into an exit code, after the report is out", async () => {
  const failed = await runInProcess(`analyze ${traces} --trace ${idOf(10)} --fail-on critical`);
  expect(failed.exitCode).toBe(1);
  expect(JSON.parse(failed.stdout)).toHaveProperty("trace_id");
  expect((await runInProcess(`analyze ${baseline} --fail-on critical`)).exitCode).toBe(0);
  const many = Array.from({ length: 40 }, (_, i) => request(i + 1, i, false)).join("\n");
  const calm = file("calm.jsonl", `${tracesToJson(rowsOf(many))}\n`);
  const fine = await runInProcess(`analyze ${calm} --trace ${idOf(5)} --fail-on degraded`);
  expect(JSON.parse(fine.stdout)).toMatchObject({ healthy: true, advice: [] });
  expect(fine.exitCode).toBe(0);
});

test.each([
  ["human", /web GET \/cart/],
  ["markdown", /^# /],
  ["mermaid", /^flowchart LR\n/],
  ["dot", /^digraph /],
  ["html", /^<!doctype html>/],
] as const)("a report can be had as %s", async (format, beginning) => {
  const { exitCode, stdout } = await runInProcess(`analyze ${traces} --trace ${idOf(10)} --format ${format}`);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(beginning);
  expect(stdout).toContain("items");
  expect(stdout).not.toContain("\u001b[");
});

test("graph and services are to be had by themselves", async () => {
  const graph = JSON.parse((await runInProcess(`graph ${traces}`)).stdout) as { readonly edges: unknown };
  expect(graph.edges).toMatchObject([
    { caller: "cart", callee: "items", kind: "inferred", calls: 10, errors: 5 },
    { caller: "web", callee: "cart", kind: "sync", calls: 10, errors: 5 },
  ]);
  const { stdout } = await runInProcess(`services ${traces} --format json`);
  expect(JSON.parse(stdout)).toMatchObject({
    services: [{ service: "cart" }, { service: "items" }, { service: "web" }],
  });
  expect((await runInProcess(`graph ${traces} --format human`)).stdout).toContain("items");
});

test("--signals leaves out what is not asked for", async () => {
  const { stdout } = await runInProcess(`services ${traces} --signals metrics`);
  expect(JSON.parse(stdout)).toEqual({ services: [] });
});

test("--output takes the page, and standard output stays empty", async () => {
  const path = join(folder, "report.html");
  const { stdout } = await runInProcess(`analyze ${traces} --format html --output ${path}`);
  expect(stdout).toBe("");
  expect(readFileSync(path, "utf8")).toMatch(/^<!doctype html>/);
});

test("the ending of --output says the form, where the command has it and nobody said otherwise", async () => {
  const written = async (name: string, line = `analyze ${traces}`): Promise<string> => {
    const path = join(folder, name);
    await runInProcess(`${line} --output ${path}`);
    return readFileSync(path, "utf8");
  };
  expect(await written("ending.html")).toMatch(/^<!doctype html>/);
  expect(await written("ending.MD")).toMatch(/^# /);
  expect(await written("ending.mmd")).toMatch(/^flowchart LR\n/);
  expect(await written("ending.dot")).toMatch(/^digraph /);
  expect(await written("ending.txt")).toMatch(/^. .*\n/);
  expect(await written("ending.json")).toMatch(/^\{/);
  expect(await written("ending")).toMatch(/^\{/);
  expect(await written("ending.constructor")).toMatch(/^\{/);
  expect(await written("given.html", `analyze ${traces} --format json`)).toMatch(/^\{/);
  // a list of services cannot be drawn
  expect(await written("services.dot", `services ${traces}`)).toMatch(/^\{/);
});

test("where there was nothing to look at, nothing is said to be well, and why is told", async () => {
  const outside = await runInProcess(
    `analyze ${traces} --format human --from 2001-01-01T00:00:00Z --to 2001-01-02T00:00:00Z`,
  );
  expect(outside.stdout).toMatch(/^▲ There are no requests in this window\./);
  expect(outside.stdout).not.toContain("1970");
  expect(outside.stderr).toContain("no trace of what was read starts in that time; check --from and --to\n");
  const empty = file("logs-only.jsonl", `${logsToJson([])}\n`);
  const { stdout, stderr } = await runInProcess(`analyze ${empty} --format human`);
  expect(stdout).toMatch(/^▲ There are no requests/);
  expect(stderr).toContain("there are no spans in what was read");
});
