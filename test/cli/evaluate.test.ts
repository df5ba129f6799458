import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { boundedWidth } from "../../src/cli/render/ansi.ts";
import { evaluationDocument } from "../../src/cli/render/evaluation-document.ts";
import { renderHuman } from "../../src/cli/render/human.ts";
import { widthOf } from "../../src/cli/render/text-width.ts";
import type { CaseJson, EvaluationJson } from "../../src/evaluation/evaluation.ts";
import { rankerNames } from "../../src/evaluation/ranker-names.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { recorded } from "../data-folder.ts";
import { notationStart, rowsOf, tableOf } from "../notation.ts";
import { runInProcess } from "./in-process.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface CaseParts {
  /** texts in the notation */
  readonly incident?: string;
  readonly baseline?: string;
  readonly traces?: string;
  readonly metrics?: object;
  readonly logs?: object;
  /** a text is written as it is */
  readonly truth?: object | string;
}

function writeCase(path: string, parts: CaseParts): string {
  const place = join(folder, path);
  mkdirSync(place, { recursive: true });
  for (const name of ["incident", "baseline", "traces"] as const)
    if (parts[name] !== undefined)
      writeFileSync(join(place, `${name}.jsonl.gz`), gzipSync(tracesToJson(rowsOf(tableOf(parts[name])))));
  for (const name of ["metrics", "logs"] as const)
    if (parts[name] !== undefined)
      writeFileSync(join(place, `${name}.jsonl.gz`), gzipSync(JSON.stringify(parts[name])));
  const { truth } = parts;
  if (truth !== undefined)
    writeFileSync(join(place, "truth.json"), typeof truth === "string" ? truth : JSON.stringify(truth));
  return place;
}

/** Requests of a shop, one a second; the database fails in every `failEvery`-th. */
function requests(count: number, failEvery: number, from = 0): string {
  return Array.from({ length: count }, (_, i) => {
    const at = (from + i) * 1000;
    const error = i % failEvery === 0 ? "error" : "";
    return `
web      GET /cart  ${at}..${at + 50 + (i % 5)}ms server ${error} trace=${from + i + 1}
  cart   GET /items ${at + 5}..${at + 40}ms server ${error}
    cart SELECT     ${at + 10}..${at + 30}ms client ${error} db.system.name=mysql db.namespace=orders`;
  }).join("");
}

const never = Number.POSITIVE_INFINITY;
const incident = requests(60, 2);
const baseline = requests(100, never);
const nanos = (seconds: number): string => String(notationStart + BigInt(seconds) * 1_000_000_000n);

async function evaluate(line: string): Promise<EvaluationJson> {
  const { exitCode, stdout, stderr } = await runInProcess(`evaluate ${line} --quiet`);
  expect([exitCode, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as EvaluationJson;
}

async function onlyCase(line: string): Promise<CaseJson> {
  const { cases } = await evaluate(line);
  expect(cases).toHaveLength(1);
  return cases[0]!;
}

const found = writeCase("sets/shop/found", {
  incident,
  baseline,
  truth: { dataset: "shop", case_id: "found", root_cause_service: "orders", fault_type: "db_error" },
});
writeCase("sets/shop/deep/er/accepted", {
  incident,
  baseline,
  truth: { root_cause_service: "mysql-0", accept: ["orders"], fault_type: "db_error" },
});
writeCase("sets/shop/healthy", { incident: baseline, baseline, truth: { fault_type: "healthy" } });
writeCase("sets/shop/unlabelled", { incident, baseline });

test("folders are searched, cases analysed against their baseline, and scored by their labels", async () => {
  const { cases, summary } = await evaluate(join(folder, "sets"));
  expect(
    cases.map(({ case_id, dataset, candidates, rank }) => [case_id, dataset, candidates[0], rank]),
  ).toEqual([
    [join("shop", "deep", "er", "accepted"), "er", "orders", 1],
    ["found", "shop", "orders", 1],
    [join("shop", "healthy"), "shop", undefined, null],
    [join("shop", "unlabelled"), "shop", "orders", null],
  ]);
  expect(summary).toMatchObject({
    cases: 4,
    scored: 2,
    unlabelled: 1,
    failed: 0,
    overall: { ac1: 1, mrr: 1 },
    healthy: { windows: 1, false_alarms: 0 },
    rankers: [{ ranker: "hypocenter" }],
  });
  expect(cases.every(({ seconds }) => seconds > 0)).toBe(true);
});

test("a case says what `analyze` says of the same files", async () => {
  const { stdout } = await runInProcess(
    `analyze ${join(found, "incident.jsonl.gz")} --baseline ${join(found, "baseline.jsonl.gz")}`,
  );
  const report = JSON.parse(stdout) as { confidence: number; root_cause_candidates: { service: string }[] };
  expect(await onlyCase(found)).toMatchObject({
    confidence: report.confidence,
    candidates: report.root_cause_candidates.map(({ service }) => service),
  });
});

test("a folder that is reached twice counts once, over a link too", async () => {
  symlinkSync(found, join(folder, "sets", "link"));
  expect((await evaluate(`${found} ${join(folder, "sets")}`)).cases).toHaveLength(4);
  rmSync(join(folder, "sets", "link"));
});

test("neither label nor folder names reach the analysis: only the score changes with them", async () => {
  const other = join(folder, "renamed", "web-cpu_contention");
  cpSync(found, other, { recursive: true });
  writeFileSync(
    join(other, "truth.json"),
    JSON.stringify({
      dataset: "bank",
      case_id: "web-cpu_contention",
      root_cause_service: "web",
      fault_type: "cpu_contention",
      inject_time_unix_s: 1,
      notes: "web",
    }),
  );
  const [a, b] = [await onlyCase(`${found} --ranker all`), await onlyCase(`${other} --ranker all`)];
  const said = ({ candidates, confidence, healthy, signals }: CaseJson) => ({
    candidates,
    confidence,
    healthy,
    signals,
  });
  expect(said(b)).toEqual(said(a));
  expect([a.rank, b.rank]).toEqual([1, a.candidates.indexOf("web") < 0 ? null : expect.any(Number)]);
  expect([a.truth, b.truth]).toEqual([["orders"], ["web"]]);
});

test("windows tell which traces count; the baseline may come in pieces", async () => {
  // 0..59 s and 200..259 s are healthy, 100..159 s fails, and so does what lies between the pieces
  const all = requests(60, never) + requests(60, 2, 100) + requests(60, never, 200) + requests(30, 1, 300);
  const parts = { incident: all, baseline: all };
  const windows = {
    incident: [nanos(100), nanos(160)],
    baseline: [
      [nanos(0), nanos(60)],
      [nanos(200), nanos(260)],
    ],
  };
  const truth = { root_cause_service: "orders" };
  const cut = await onlyCase(writeCase("windows/cut", { ...parts, truth: { ...truth, windows } }));
  const whole = await onlyCase(writeCase("windows/whole", { ...parts, truth }));
  expect([cut.rank, whole.rank]).toEqual([1, null]);
});

const at = (seconds: number) => ({ timeUnixNano: nanos(seconds), asDouble: 0 });
const resource = (service: string) => ({
  attributes: [{ key: "service.name", value: { stringValue: service } }],
});
const cpu = (service: string, points: readonly (readonly [seconds: number, value: number])[]) => ({
  resource: resource(service),
  scopeMetrics: [
    {
      metrics: [
        {
          name: "k8s.pod.cpu_limit_utilization",
          gauge: { dataPoints: points.map(([seconds, asDouble]) => ({ ...at(seconds), asDouble })) },
        },
      ],
    },
  ],
});
const errorLogs = (service: string, times: readonly number[]) => ({
  resource: resource(service),
  scopeLogs: [
    {
      logRecords: times.map((seconds) => ({
        timeUnixNano: nanos(seconds),
        severityNumber: 17,
        body: { stringValue: "failed" },
      })),
    },
  ],
});
const signals = writeCase("signals/case", {
  incident: requests(60, never, 200),
  baseline: requests(60, never),
  metrics: {
    resourceMetrics: [
      // busy before as well; what comes after the incident belongs to neither side
      cpu("web", [
        [30, 0.9],
        [230, 0.92],
        [400, 1],
      ]),
      cpu("cart", [
        [30, 0.1],
        [230, 0.7],
        [400, 0.1],
      ]),
    ],
  },
  logs: { resourceLogs: [errorLogs("cart", [20, 205, 206, 207, 208, 209])] },
  truth: { root_cause_service: "cart", windows: { incident: [nanos(200), nanos(260)] } },
});

test("metrics and logs belong to the side that their time tells", async () => {
  const { rankers, signals: used } = await onlyCase(`${signals} --ranker cpu_gain,simple_rca`);
  expect(used).toEqual(["traces", "metrics", "logs"]);
  // web has one alert too (its CPU), cart one (its logs)
  expect(rankers).toEqual({ simple_rca: 1.5, cpu_gain: 1 });
});

test("--signals limits what is read", async () => {
  const traces = await onlyCase(`${signals} --ranker cpu_gain,simple_rca --signals traces`);
  expect([traces.signals, traces.rankers]).toEqual([["traces"], { simple_rca: null, cpu_gain: null }]);
  const logs = await onlyCase(`${signals} --ranker simple_rca --signals traces,logs`);
  expect([logs.signals, logs.rankers]).toEqual([["traces", "logs"], { simple_rca: 1 }]);
});

const single = (trace: number, cartMs: number, authMs: number) => `
web     GET / 0..${30 + cartMs + authMs}ms server trace=${trace}
  cart  GET / 10..${10 + cartMs}ms server
  auth  GET / ${10 + cartMs}..${10 + cartMs + authMs}ms server`;
const traceId = (trace: number): string => trace.toString(16).padStart(32, "0");
const set = writeCase("traces/set", {
  traces: single(1, 900, 300) + single(2, 30, 400) + single(3, 30, 400),
  truth: {
    dataset: "singles",
    traces: {
      [traceId(1)]: { root_causes: ["cart"] },
      [traceId(2)]: { root_causes: ["auth", "cart"] },
      [traceId(9)]: { root_causes: ["auth"] },
    },
  },
});

test("labelled traces are cases of their own; one that is missing says so", async () => {
  const { exitCode, stdout } = await runInProcess(`evaluate ${set} --ranker self_time_p95`);
  const { cases, summary } = JSON.parse(stdout) as EvaluationJson;
  expect(exitCode).toBe(0);
  expect(cases.map(({ case_id, truth, rank, rankers }) => [case_id, truth, rank, rankers])).toEqual([
    [traceId(1), ["cart"], 1, { self_time_p95: 1 }],
    [traceId(2), ["auth", "cart"], 1, { self_time_p95: 1 }],
    [traceId(9), ["auth"], null, undefined],
  ]);
  expect(cases[2]?.error).toContain(`has no trace ${traceId(9)}`);
  expect(summary).toMatchObject({
    two_causes: { cases: 1, recall2: 0.5 },
    datasets: { singles: { cases: 3 } },
  });
});

test("traces are compared with what --baseline names, and with nothing else", async () => {
  // cart is always that slow, auth is not
  const slow = Array.from({ length: 30 }, (_, i) => single(i + 10, 895 + (i % 9), 20));
  const usual = join(writeCase("usual", { baseline: slow.join("") }), "baseline.jsonl.gz");
  const line = `${set} --ranker self_time_p95`;
  const alone = JSON.parse((await runInProcess(`evaluate ${line}`)).stdout) as EvaluationJson;
  const compared = JSON.parse(
    (await runInProcess(`evaluate ${line} --baseline ${usual}`)).stdout,
  ) as EvaluationJson;
  expect(alone.cases[0]?.candidates[0]).toBe("cart");
  expect(alone.cases[0]?.rankers).toEqual({ self_time_p95: 1 });
  expect(compared.cases[0]?.candidates[0]).toBe("auth");
  expect(compared.cases[0]?.rankers).toEqual({ self_time_p95: null });
});

test.each([
  ["label", { incident, truth: "{" }, "truth.json: "],
  ["shape", { incident, truth: { root_cause_service: 3 } }, "truth.json: root_cause_service is not a string"],
  ["nothing", { truth: {} }, "there is a truth.json, but no incident.jsonl.gz"],
  ["empty", { truth: { traces: {} } }, "truth.json: traces is empty"],
  [
    "elsewhen",
    { incident, truth: { windows: { incident: ["1", "2"] } } },
    "no trace of incident.jsonl.gz starts within windows.incident. Compare the times",
  ],
] as const)("a bad case (%s) costs itself alone and says what to do", async (name, parts, complaint) => {
  const place = writeCase(join("bad", name, "it"), parts);
  const { exitCode, stdout, stderr } = await runInProcess(`evaluate ${place} ${found}`);
  const { cases, summary } = JSON.parse(stdout) as EvaluationJson;
  expect(exitCode).toBe(0);
  expect(cases[0]).toMatchObject({ case_id: "it", rank: null, candidates: [] });
  expect(cases[0]?.error).toContain(complaint);
  expect(stderr).toContain(`[1/2] it: ${cases[0]?.error}`);
  expect(stderr).toMatch(/\[2\/2\] found: rank 1 \(\d+\.\d\d s\)\n$/);
  expect(summary).toMatchObject({ cases: 2, failed: 1 });
});

test("where the file of a set is missing or broken, every trace of it is a failed case", async () => {
  const truth = { dataset: "lost", traces: { a: { root_causes: ["web"] }, b: { root_causes: ["web"] } } };
  const place = writeCase("bad/set/it", { truth });
  const outcome = async (): Promise<readonly (readonly [string, string | undefined])[]> => {
    const { stdout } = await runInProcess(`evaluate ${place}`);
    return (JSON.parse(stdout) as EvaluationJson).cases.map(({ case_id, error }) => [case_id, error]);
  };
  const missing = expect.stringContaining("there is no traces.jsonl.gz") as string;
  expect(await outcome()).toEqual([
    ["a", missing],
    ["b", missing],
  ]);
  writeFileSync(join(place, "traces.jsonl.gz"), "no telemetry");
  const broken = expect.stringContaining("traces.jsonl.gz") as string;
  expect(await outcome()).toEqual([
    ["a", broken],
    ["b", broken],
  ]);
});

test("a file that cannot be read costs its case", async () => {
  const place = writeCase("bad/file/it", { truth: { root_cause_service: "a" } });
  writeFileSync(join(place, "incident.jsonl.gz"), "no telemetry");
  const { cases } = JSON.parse((await runInProcess(`evaluate ${place}`)).stdout) as EvaluationJson;
  expect(cases[0]?.error).toContain("incident.jsonl.gz");
});

test("a folder without cases, and one that is not there, are told before anything is read", async () => {
  mkdirSync(join(folder, "empty"));
  for (const [path, message] of [
    ["empty", "there is no case in"],
    ["gone", "no such file or folder"],
  ] as const) {
    const { exitCode, stdout, stderr } = await runInProcess(`evaluate ${found} ${join(folder, path)}`);
    expect([exitCode, stdout]).toEqual([3, ""]);
    expect(stderr).toContain(message);
  }
});

test("an unknown ranker is wrong usage", async () => {
  const { exitCode, stderr } = await runInProcess(`evaluate ${found} --ranker best`);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("self_gap");
});

test("the tables fit a terminal of 80 columns and hold every ranker", async () => {
  const evaluation = await evaluate(`${join(folder, "sets")} --ranker all`);
  const document = evaluationDocument(evaluation, "en");
  const text = renderHuman(document, { width: 80, color: false, unicode: true });
  expect(boundedWidth(80)).toBe(80);
  for (const line of text.split("\n")) expect(widthOf(line)).toBeLessThanOrEqual(80);
  // once against us, once by data set, once by fault type
  for (const name of rankerNames)
    expect([name, text.match(new RegExp(`^ +${name} `, "gm"))?.length]).toEqual([name, 3]);
  expect(text).toContain("The true cause comes first in 100 % of 2 cases");
  expect(text).toMatch(/false alarms on healthy windows +0 +1\n/);
});

test("Markdown and Korean say the same, and --output writes it", async () => {
  const output = join(folder, "accuracy.md");
  const { stdout } = await runInProcess(
    `evaluate ${found} --ranker p95_ratio --format markdown --lang ko --output ${output}`,
  );
  expect(stdout).toBe("");
  const text = readFileSync(output, "utf8");
  expect(text).toContain("정확도: 사례 1개 중 실제 원인이 1위 100 %");
  expect(text).toContain("| p95\\_ratio |");
});

test("the names that scripts read are there", async () => {
  const { cases, summary } = await evaluate(`${found} --ranker random`);
  expect(Object.keys(cases[0]!).join(" ")).toBe(
    "case_id dataset fault_type truth candidates healthy rank ranks confidence signals seconds rankers",
  );
  expect(Object.keys(summary).join(" ")).toBe(
    "cases scored failed unlabelled overall macro datasets fault_types signals impact_types two_causes healthy silent calibration levels propagation_f1 blast_radius_jaccard seconds rankers",
  );
  expect(Object.keys(summary.overall).join(" ")).toBe("cases ac1 ac3 ac5 avg5 mrr ac1_interval mrr_interval");
  expect(Object.keys(summary.rankers[1]!).join(" ")).toBe(
    "ranker cases ac1 ac3 ac5 avg5 mrr ac1_interval mrr_interval macro datasets fault_types false_alarms paired",
  );
});

const delays = recorded("rca", "shapleyiq-tt");

test.skipIf(delays.missing)(
  `recorded delays show in self time and every case yields an entry ${delays.reason}`,
  async () => {
    const { cases, summary } = await evaluate(`${delays.path} --ranker self_time_p95,random`);
    expect([cases.length, summary.failed]).toEqual([19, 0]);
    expect(summary.rankers.map(({ ranker, cases: scored }) => [ranker, scored])).toEqual([
      ["hypocenter", 19],
      ["random", 19],
      ["self_time_p95", 19],
    ]);
    expect(summary.rankers[2]?.ac1).toBe(1);
  },
);
