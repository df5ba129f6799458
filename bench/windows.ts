import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type MessagePort, parentPort, Worker, workerData } from "node:worker_threads";
import { restored, type Snapshot, snapshotOf } from "../src/base/snapshot.ts";
import type { SpanTable, WindowRollup } from "../src/index.ts";
import { tableRowsMax } from "../src/model/limits.ts";
import { simulateCase } from "../test/simulator/case.ts";
import { filesOf } from "../test/simulator/write-case.ts";
import type { BenchOptions } from "./main.ts";
import { median, type Row, wholeNumber } from "./measure.ts";

const runs = 3;
/** requests of users that are simulated of each window; more of them are the same again, under other trace ids */
const requests = 2_000;
const sides = ["baseline", "incident"] as const;

/** A window and its baseline of simulated systems, from decoded spans to the report. */
export async function benchWindows({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  const spans = isQuick ? 50_000 : 500_000;
  return [60, 200].map((services) => rowOf(services, spans));
}

function rowOf(services: number, spans: number): Row {
  const folder = mkdtempSync(join(tmpdir(), "hypocenter-bench-"));
  try {
    writeTelemetry(folder, services);
    const all = Array.from({ length: runs }, () => measuredAlone(folder, spans));
    const of = (figure: (each: Measured) => number): number => median(all.map(figure));
    const seconds = (figure: (each: Measured) => number): string => of(figure).toFixed(1);
    return {
      subject: `report of a window of ${wholeNumber(spans)} spans and a baseline of as many, ${services} services`,
      result: `${seconds((each) => each.seconds)} s, peak ${wholeNumber(of(({ peakBytes }) => peakBytes) / 2 ** 20)} MiB`,
      bar: "< 5 s, < 1,430 MiB",
      note: `${seconds(({ cpuSeconds }) => cpuSeconds)} CPU-s in 2 threads; ${seconds(({ foldSeconds }) => foldSeconds)} s folding the window, ${seconds(({ waitSeconds }) => waitSeconds)} s more for the baseline beside it, ${seconds(({ reportSeconds }) => reportSeconds)} s comparing; spans already decoded; median of ${runs}`,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A retry storm shows in every signal that spans have: failures, times and numbers of calls. */
function writeTelemetry(folder: string, services: number): void {
  const options = { seed: 1, faultType: "retry_storm", windowMs: 300_000, sampleEveryMs: 30_000 };
  const files = filesOf(simulateCase({ ...options, services, requests }), { dataset: "bench", lostShare: 0 });
  for (const side of sides) writeFileSync(join(folder, side), files[side].join("\n"));
}

interface Measured {
  readonly seconds: number;
  /** of both threads */
  readonly cpuSeconds: number;
  /** until the window was folded, and from then on until the sums of the baseline were there */
  readonly foldSeconds: number;
  readonly waitSeconds: number;
  /** from both sums to the report */
  readonly reportSeconds: number;
  readonly peakBytes: number;
}

type Library = typeof import("../src/index.ts");

/** As it is built: what users run. */
const library = new URL("../dist/index.js", import.meta.url).href;

/** In a process of its own: each is the first one, and its memory is its own. */
function measuredAlone(folder: string, spans: number): Measured {
  const script = fileURLToPath(import.meta.url);
  const words = ["--expose-gc", "--import", "tsx", script, folder, String(spans)];
  return JSON.parse(execFileSync(process.execPath, words).toString()) as Measured;
}

/** A thread does not inherit the loader of TypeScript. */
const threadCode = `import("tsx/esm/api").then(({ register }) => {
  register();
  return import(${JSON.stringify(import.meta.url)});
});`;

/** As `analyze` does it: the baseline is folded in a thread of its own, and its sums are sent to the one that makes the report. */
async function measure(folder: string, spans: number): Promise<Measured> {
  const built = (await import(library)) as Library;
  const beside = new Worker(threadCode, { eval: true, workerData: { folder, spans } });
  const during = tablesOf(join(folder, "incident"), spans, built);
  await once(beside, "message");
  globalThis.gc?.();
  forgetPeak();
  const cpu = process.cpuUsage();
  const started = performance.now();
  const sent = once(beside, "message") as Promise<[Snapshot]>;
  beside.postMessage("fold");
  const rollup = new built.WindowRollup();
  fold(during, rollup, built);
  const foldedOwn = performance.now();
  const [snapshot] = await sent;
  const usual = restored(new built.WindowRollup({ directory: rollup.directory }), snapshot);
  const folded = performance.now();
  const report = built.analyzeWindow(rollup.window(), usual.window(), { language: "en" });
  const ended = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  if (report.healthy || report.totals.spans < spans) throw new Error("the report lacks what it is about");
  return {
    seconds: (ended - started) / 1000,
    cpuSeconds: (user + system) / 1e6,
    foldSeconds: (foldedOwn - started) / 1000,
    waitSeconds: (folded - foldedOwn) / 1000,
    reportSeconds: (ended - folded) / 1000,
    peakBytes: largestPeak(),
  };
}

/** In the other thread: says that it has decoded, and once it is asked to, folds. */
async function foldBaseline({ folder, spans }: BaselineTask, port: MessagePort): Promise<void> {
  const built = (await import(library)) as Library;
  const tables = tablesOf(join(folder, "baseline"), spans, built);
  globalThis.gc?.();
  port.postMessage("decoded");
  await once(port, "message");
  const rollup = new built.WindowRollup();
  fold(tables, rollup, built);
  port.postMessage(snapshotOf(rollup));
  port.close();
}

interface BaselineTask {
  readonly folder: string;
  readonly spans: number;
}

function fold(
  tables: readonly SpanTable[],
  rollup: WindowRollup,
  { assembleEpisodes, groupByTrace, rawNaming }: Library,
): void {
  for (const table of tables) rollup.observe(table);
  if (tables.every(({ links }) => links.length === 0)) rollup.expectNoLinks();
  const groups = groupByTrace(tables);
  for (const i of groups.byStart())
    for (const trace of assembleEpisodes(groups.rowsOf(i), rawNaming)) rollup.addTrace(trace);
}

/** The spans of a file, as often as it takes, each time under other trace ids. */
function tablesOf(path: string, spans: number, built: Library): readonly SpanTable[] {
  const lines = readFileSync(path, "utf8").split("\n");
  const tables = [new built.SpanTable()];
  for (let time = 0, made = 0; made < spans; time += 1)
    for (const line of lines) {
      const table = tables.at(-1) as SpanTable;
      const first = time.toString(16).padStart(4, "0");
      made -= table.rowCount;
      built.decodeTracesJson(Buffer.from(line.replaceAll(/"traceId":"..../g, `"traceId":"${first}`)), table);
      made += table.rowCount;
      if (table.rowCount >= tableRowsMax) tables.push(new built.SpanTable());
    }
  return tables;
}

/** Linux keeps the largest memory of a process and starts anew when asked to; elsewhere the peak includes decoding. */
function forgetPeak(): void {
  if (process.platform === "linux") writeFileSync("/proc/self/clear_refs", "5");
}

function largestPeak(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "latin1"))?.[1]) * 1024;
}

const [, main, folder, spans] = process.argv;
if (parentPort !== null) await foldBaseline(workerData as BaselineTask, parentPort);
else if (main === fileURLToPath(import.meta.url) && folder !== undefined)
  process.stdout.write(JSON.stringify(await measure(folder, Number(spans))));
