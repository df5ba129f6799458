// `npm run stability -- FOLDER…`: how much the ranking of a window changes if only half of its traces are there. Each case below the
// folders is ranked with all traces and with either half of them, and the rankings are compared.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import type { WindowCase } from "../src/cli/evaluate-window.ts";
import { readWindow, reportOf } from "../src/cli/evaluate-window.ts";
import { findCases } from "../src/cli/evaluation-cases.ts";
import { loadSettings } from "../src/config/load-settings.ts";
import { rankBiasedOverlap } from "./rank-biased-overlap.ts";

const { values: settings, origins } = loadSettings({ flags: new Map(), environment: {}, file: null });
const { stdin, stdout, stderr } = process;
const run = {
  host: { stdin, stdout, stderr, env: {} },
  settings: { ...settings, quiet: true },
  origins,
  operands: [],
  format: "json" as const,
};

const folder = await mkdtemp(join(tmpdir(), "hypocenter-stability-"));
const compared: Compared[] = [];
try {
  for (const { name, files, truth } of await findCases(process.argv.slice(2))) {
    if (truth?.kind !== "window" || files.incident === undefined || truth.label.isHealthy) continue;
    const input = { incidentFile: files.incident, files, windows: truth.windows, asked: [] };
    const all = await rankingOf(input);
    const halves = [await rankingOf(await halfOf(input, 0)), await rankingOf(await halfOf(input, 1))];
    for (const half of halves) compared.push(compare({ all, half }));
    stderr.write(`${name}: ${all.join(" ")} | ${halves.map((half) => half.join(" ")).join(" | ")}\n`);
  }
} finally {
  await rm(folder, { recursive: true });
}
stdout.write(summaryOf(compared));

interface Compared {
  readonly overlap: number;
  readonly sameFirst: boolean;
}

/** The candidates of a window in order. */
async function rankingOf(input: WindowCase): Promise<readonly string[]> {
  const report = reportOf(await readWindow(run, input));
  return [...new Set(report.root_cause_candidates.map(({ service }) => service))];
}

/** The same case without the spans and log lines of the other half of the traces. */
async function halfOf({ files, ...input }: WindowCase, which: 0 | 1): Promise<WindowCase> {
  const path = await mkdtemp(join(folder, "half-"));
  await mkdir(path, { recursive: true });
  const halved: Partial<Record<keyof typeof files, string>> = { ...files };
  for (const name of ["incident", "baseline", "logs"] as const) {
    const file = files[name];
    if (file === undefined) continue;
    halved[name] = join(path, basename(file));
    const lines = gunzipSync(await readFile(file))
      .toString()
      .split("\n");
    const kept = lines
      .filter((line) => line !== "")
      .map((line) => JSON.stringify(keepHalf(JSON.parse(line), which)));
    await writeFile(halved[name], gzipSync(`${kept.join("\n")}\n`, { level: 1 }));
  }
  return { ...input, files: halved, incidentFile: halved.incident ?? input.incidentFile };
}

/** An export request without what names a trace of the other half; lines of the log without a trace stay. */
function keepHalf(value: unknown, which: 0 | 1): unknown {
  if (Array.isArray(value))
    return value.filter((each) => isInHalf(each, which)).map((each) => keepHalf(each, which));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, keepHalf(each, which)]));
}

function isInHalf(value: unknown, which: 0 | 1): boolean {
  if (typeof value !== "object" || value === null || !("traceId" in value)) return true;
  const { traceId } = value;
  // a link to a trace of the other half leads nowhere, as in a real half
  return typeof traceId !== "string" || traceId === "" || halfOfTrace(traceId) === which;
}

/** Ids may be counters, or begin alike: all digits decide. */
function halfOfTrace(traceId: string): number {
  let hash = 0x811c9dc5;
  for (const digit of traceId) hash = Math.imul(hash ^ digit.charCodeAt(0), 0x01000193);
  return ((hash ^ (hash >>> 15) ^ (hash >>> 7)) >>> 3) & 1;
}

function compare({
  all,
  half,
}: {
  readonly all: readonly string[];
  readonly half: readonly string[];
}): Compared {
  return { overlap: rankBiasedOverlap(all, half), sameFirst: all[0] === half[0] };
}

function summaryOf(all: readonly Compared[]): string {
  const mean = (of: (each: Compared) => number): string =>
    (all.reduce((sum, each) => sum + of(each), 0) / all.length).toFixed(3);
  return (
    `${all.length / 2} windows, each with all traces against either half of them\n` +
    `rank-biased overlap (p = 0.9, extrapolated), mean: ${mean(({ overlap }) => overlap)} (bar: 0.9)\n` +
    `the same first candidate: ${mean(({ sameFirst }) => Number(sameFirst))}\n`
  );
}
