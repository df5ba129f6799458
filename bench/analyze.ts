import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MeteredRun } from "./child.ts";
import type { BenchOptions } from "./main.ts";
import { median, type Row, spansPerCpuSecond, wholeNumber } from "./measure.ts";
import { writeFiles } from "./span-fixtures.ts";

/** of each command; an odd number */
const runs = 3;

/** `analyze` of large files as users run it: the whole process, from its start to the written report. */
export async function benchAnalyze({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  const spans = isQuick ? 100_000 : 1_000_000;
  const folder = await mkdtemp(join(tmpdir(), "hypocenter-bench-"));
  try {
    const files = { json: join(folder, "traces.jsonl"), protobuf: join(folder, "traces.binpb") };
    const bytes = await writeFiles(files, { spans, spansPerBatch: 512, seed: 1 });
    const json = await analyzed(files.json, []);
    const protobuf = await analyzed(files.protobuf, []);
    const spilled = await analyzed(files.protobuf, ["--memory-budget", "64MiB"]);
    const row = (subject: string, run: Analyzed, size: number, bar?: string): Row => ({
      subject: `${subject}, ${wholeNumber(spans)} spans`,
      result: `${spansPerCpuSecond(spans / run.cpuSeconds)}, peak ${mebibytes(run.peakBytes)} MiB`,
      ...(bar === undefined ? {} : { bar }),
      note: `${mebibytes(size)} MiB file, ${run.seconds.toFixed(1)} s, ${run.cpuSeconds.toFixed(1)} CPU-s; median of ${runs}`,
    });
    return [
      row("analyze OTLP JSON lines", json, bytes.json, ">= 80,000 spans/CPU-s, <= 1,430 MiB"),
      row("analyze OTLP protobuf, length-delimited", protobuf, bytes.protobuf, ">= 200,000 spans/CPU-s"),
      row("the same with a memory budget of 64 MiB", spilled, bytes.protobuf),
    ];
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Analyzed {
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly seconds: number;
}

/** Of some runs the one with the median processor time. */
async function analyzed(file: string, options: readonly string[]): Promise<Analyzed> {
  const all: Analyzed[] = [];
  for (let i = 0; i < runs; i += 1) all.push(await analyzeOnce(file, options));
  const time = median(all.map(({ cpuSeconds }) => cpuSeconds));
  return all.find(({ cpuSeconds }) => cpuSeconds === time) as Analyzed;
}

async function analyzeOnce(file: string, options: readonly string[]): Promise<Analyzed> {
  const start = performance.now();
  const run = new MeteredRun([
    "analyze",
    file,
    "--format",
    "json",
    "--output",
    "/dev/null",
    "--quiet",
    ...options,
  ]);
  const usage = await run.finish();
  return { ...usage, seconds: (performance.now() - start) / 1000 };
}

function mebibytes(bytes: number): string {
  return wholeNumber(bytes / 2 ** 20);
}
