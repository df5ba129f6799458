import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { DoctorReport } from "../../src/analysis/doctor.ts";
import { boundedWidth } from "../../src/cli/render/ansi.ts";
import { doctorDocument } from "../../src/cli/render/doctor-document.ts";
import { renderHuman } from "../../src/cli/render/human.ts";
import { widthOf } from "../../src/cli/render/text-width.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { recorded } from "../data-folder.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { runInProcess } from "./in-process.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, tracesToJson(rowsOf(tableOf(text))));
  return file;
}

const place = "host=n1 instance=i1 version=1";
const fine = fileOf("fine.jsonl", `web GET 0..9ms server ${place}`);
const warned = fileOf(
  "warned.jsonl",
  `web GET 9..5ms server ${place}\ncron job 0..9ms internal trace=2 ${place}`,
);
const broken = fileOf(
  "broken.jsonl",
  `web GET 0..9ms server parent=77 flags=256 ${place}\ncart GET 0.. server trace=2`,
);

async function reportOf(line: string): Promise<DoctorReport> {
  const { exitCode, stdout } = await runInProcess(`doctor ${line}`);
  expect(exitCode).toBe(0);
  return JSON.parse(stdout) as DoctorReport;
}

test("JSON has scores, findings with evidence and the fix, the worst first", async () => {
  const report = await reportOf(broken);
  expect(report).toMatchObject({
    totals: { spans: 2, traces: 2, services: 2 },
    services: [{ service: "web" }, { service: "cart" }],
    problems: [],
  });
  expect(report.findings[0]).toEqual({
    id: "lost_local_parent",
    severity: "critical",
    service: "web",
    count: 1,
    of: 1,
    share: 1,
    statement: "The parent span is of the same process and was not sent: 1 of 1 spans with a parent",
    fix: expect.stringContaining("OTEL_BSP_MAX_QUEUE_SIZE"),
    details: [],
    evidence: [{ trace_id: "1".padStart(32, "0"), span_id: "1".padStart(16, "0") }],
  });
});

test("good instrumentation is said to be good", async () => {
  expect(await reportOf(fine)).toMatchObject({ score: 100, findings: [] });
  const { stdout } = await runInProcess(`doctor ${fine} --format human`);
  expect(stdout).toMatch(/^✓ Instrumentation scores 100 of 100/);
  expect(stdout).not.toContain("WHAT IS WRONG");
});

test("the exit code follows --fail-on", async () => {
  const codeOf = async (file: string, threshold: string) =>
    (await runInProcess(`doctor ${file} --fail-on ${threshold}`)).exitCode;
  expect(await codeOf(broken, "critical")).toBe(1);
  expect(await codeOf(broken, "none")).toBe(0);
  expect(await codeOf(warned, "critical")).toBe(0);
  expect(await codeOf(warned, "degraded")).toBe(1);
  expect(await codeOf(fine, "degraded")).toBe(0);
});

test("what cannot be read, or is no option of it, is said", async () => {
  expect((await runInProcess("doctor")).exitCode).toBe(2);
  expect((await runInProcess(`doctor ${fine} --format dot`)).exitCode).toBe(2);
  const missing = await runInProcess(`doctor ${join(folder, "nothing.jsonl")}`);
  expect([missing.exitCode, missing.stdout]).toEqual([3, ""]);
  expect(missing.stderr).toContain("nothing.jsonl");
});

test("only traces within the bounds count", async () => {
  const report = await reportOf(`${warned} --from 2024-01-01T00:00:00.005Z`);
  expect(report.services.map(({ service }) => service)).toEqual(["web"]);
});

test("a bad line is a problem of the input, and the rest is examined", async () => {
  const file = join(folder, "half.jsonl");
  writeFileSync(
    file,
    `{"resourceSpans": nonsense}\n${tracesToJson(rowsOf(tableOf(`web GET 0..9ms server ${place}`)))}\n`,
  );
  const report = await reportOf(file);
  expect(report.totals.spans).toBe(1);
  expect(report.problems.map(({ kind }) => kind)).toContain("malformed_record");
});

test("a terminal of 80 columns shows each finding once, with the services that have it", async () => {
  const report = await reportOf(`${broken} ${warned}`);
  const text = renderHuman(doctorDocument(report, "en"), { width: 80, color: false, unicode: true });
  expect(boundedWidth(80)).toBe(80);
  for (const line of text.split("\n")) expect(widthOf(line)).toBeLessThanOrEqual(80);
  expect(text.match(/lost_local_parent/g)).toHaveLength(1);
  expect(text).toContain("negative_duration");
  expect(text).not.toContain("…");
});

test("Markdown and Korean say the same", async () => {
  const markdown = await runInProcess(`doctor ${broken} --format markdown --lang ko`);
  expect((await runInProcess(`doctor ${broken} --format html`)).stdout).toContain("<!doctype html>");
  expect(markdown.stdout).toContain("# ✗ 계측 진단: 계측 점수 100점 중 62점");
  expect(markdown.stdout).toContain("| ✗ ");
  expect(markdown.stdout).toContain("lost\\_local\\_parent");
});

const capture = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");

test.skipIf(capture.missing)(
  `the recorded demo is told what its senders leave out ${capture.reason}`,
  async () => {
    const { services, findings } = await reportOf(capture.path);
    expect(services).toHaveLength(8);
    const of = (id: string) => findings.filter((finding) => finding.id === id);
    expect(of("missing_status").map(({ service, count, of: all }) => [service, count, all])).toEqual([
      ["frontend-proxy", 40, 40],
    ]);
    expect(of("lost_remote_parent").map(({ service, count }) => [service, count])).toEqual([["flagd", 1]]);
    expect(of("old_names").every(({ share }) => share === 1)).toBe(true);
    expect(of("both_generations")).toEqual([]);
  },
);

const skew = recorded("samples", "zipkin-json", "skew.json");

test.skipIf(skew.missing)(`a recorded clock is told by how much it is off ${skew.reason}`, async () => {
  const { findings } = await reportOf(skew.path);
  expect(findings.filter(({ id }) => id === "clock_skew")).toMatchObject([
    { service: "serviceb", details: ["192.0.0.0: -65.9 ms"] },
  ]);
});
