// `npm run sensitivity -- FOLDER…`: how far accuracy hangs on the value of each scoring constant. Every number of
// src/model/scoring.ts is lowered and raised by half, one at a time, and all cases below the folders are ranked again.
// `--only NAME` (more than once) takes those whose names begin so, also what is left out otherwise.
import { register } from "node:module";
import { parseArgs } from "node:util";
import type { Answer, EvaluatedCase } from "../src/evaluation/evaluation.ts";

register("./adjustable-constants.ts", import.meta.url);
const table = (await import("../src/model/scoring.ts")) as Readonly<Record<string, unknown>>;
const { loadSettings } = await import("../src/config/load-settings.ts");
const { answerOf } = await import("../src/cli/case-answer.ts");
const { answerTraces } = await import("../src/cli/evaluate-traces.ts");
const { readWindow, reportOf } = await import("../src/cli/evaluate-window.ts");
const { findCases } = await import("../src/cli/evaluation-cases.ts");
const { evaluationOf } = await import("../src/evaluation/evaluation.ts");

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string", multiple: true, default: [] } },
});

/** No constant may move AC@1 of a set by more than the first, that of all windows together by more than the second. */
const bars = { set: 0.09, allWindows: 0.05 } as const;

/** No ranking here hangs on them: limits of memory, which no case reaches, what is shown, and answers to other questions. */
const unranked = new Set([
  "visitsMax",
  "stepVisitsMax",
  "visitNamesMax",
  "shapesMax",
  "blameEntriesMax",
  "exemplarCountMax",
  "exemplarsInAllMax",
  "factCountMax",
  "factsPerSignalMax",
  "adviceRule",
  "adviceCountMax",
  "toldSkewNanos",
  "structuralRule",
  "anomalyRule",
  "shownPath",
  "serviceFlood",
  "biasedTracesMin",
  "doctorRule",
  "onlyFailedRule",
  "onlySlowRule",
  "findingPenalty",
]);

/** What is applied while telemetry of a window is read: for each value it has to be read again. */
const appliedOnReading = new Set([
  "clockToleranceShare",
  "clockTickNanos",
  "lateEndShare",
  "episodeGapNanos",
  "serverShareMin",
  "judgedSpansMax",
  "logTemplateRule",
  "plausibleShareMax",
  "metricStaleNanos",
  "counterStartSlackNanos",
  "visitsMax",
  "stepVisitsMax",
  "visitNamesMax",
  "shapesMax",
  "blameEntriesMax",
  "exemplarCountMax",
]);

/** One constant at another value; the first is the table as it is. */
interface Variation {
  /** `fusion.logs.half` */
  readonly name: string;
  readonly value: number | null;
  readonly apply: () => void;
  readonly restore: () => void;
  readonly isAppliedOnReading: boolean;
  readonly cases: EvaluatedCase[];
}

const factors = [0.5, 1.5] as const;

function variations(): readonly Variation[] {
  const asItIs = { name: "", value: null, apply() {}, restore() {}, isAppliedOnReading: false, cases: [] };
  const found: Variation[] = [];
  const setConstant = table["setConstant"] as (name: string, value: unknown) => void;
  for (const [name, value] of Object.entries(table))
    addNumbers(found, { name, value, set: (changed) => setConstant(name, changed) });
  const wanted = values.only;
  const isWanted = ({ name }: Variation): boolean =>
    wanted.length > 0 ? wanted.some((each) => name.startsWith(each)) : !unranked.has(constantOf(name));
  return [asItIs, ...found.filter(isWanted)];
}

/** `fusion` of `fusion.logs.half` */
function constantOf(name: string): string {
  return name.split(".")[0] ?? name;
}

interface Slot {
  readonly name: string;
  readonly value: unknown;
  readonly set: (value: unknown) => void;
}

/** All numbers in a constant, itself or anywhere in a record. */
function addNumbers(found: Variation[], { name, value, set }: Slot): void {
  if (typeof value === "number") {
    for (const factor of factors) {
      const changed = changedBy(value, factor);
      if (changed === value) continue;
      found.push({
        name,
        value: changed,
        apply: () => set(changed),
        restore: () => set(value),
        isAppliedOnReading: appliedOnReading.has(constantOf(name)),
        cases: [],
      });
    }
  } else if (typeof value === "object" && value !== null && !(value instanceof RegExp)) {
    const record = value as Record<string, unknown>;
    for (const [key, each] of Object.entries(record))
      addNumbers(found, {
        name: `${name}.${key}`,
        value: each,
        set: (changed) => {
          record[key] = changed;
        },
      });
  }
}

/** Counts stay whole, and what is a share at most all. */
function changedBy(value: number, factor: number): number {
  const changed = value * factor;
  if (value < 1) return Math.min(1, changed);
  return Number.isInteger(value) ? Math.round(changed) : changed;
}

/** `answer` with a constant at another value. */
async function answerWith(
  { apply, restore }: Variation,
  answer: () => Answer | Promise<Answer>,
): Promise<Answer> {
  apply();
  try {
    return await answer();
  } finally {
    restore();
  }
}

async function evaluateAll(all: readonly Variation[]): Promise<void> {
  const { values: settings, origins } = loadSettings({ flags: new Map(), environment: {}, file: null });
  const { stdin, stdout, stderr } = process;
  const host = { stdin, stdout, stderr, env: {} };
  const run = {
    host,
    settings: { ...settings, quiet: true },
    origins,
    operands: [],
    format: "json" as const,
  };
  const folders = await findCases(positionals);
  for (const [index, { name, parentName, files, truth }] of folders.entries()) {
    stderr.write(`[${index + 1}/${folders.length}] ${name}\n`);
    const signals: readonly string[] = [];
    if (truth?.kind === "window" && files.incident !== undefined) {
      const input = { incidentFile: files.incident, files, windows: truth.windows, asked: [] };
      const asItIs = await readWindow(run, input);
      for (const variation of all) {
        const answer = await answerWith(variation, async () => {
          const read = variation.isAppliedOnReading ? await readWindow(run, input) : asItIs;
          return answerOf(reportOf(read), { names: [], figures: read.figures });
        });
        const dataset = truth.label.dataset ?? parentName;
        variation.cases.push({ caseId: name, dataset, label: truth.label, signals, seconds: 0, answer });
      }
    } else if (truth?.kind === "traces") {
      const file = files.traces ?? files.incident;
      if (file === undefined) continue;
      const traceIds = new Set(truth.labels.keys());
      for await (const [traceId, ask] of answerTraces(run, { file, traceIds, asked: [] })) {
        const label = truth.labels.get(traceId) ?? null;
        const dataset = `${label?.dataset ?? parentName} (single traces)`;
        for (const variation of all) {
          const answer = await answerWith(variation, () => ask().answer);
          variation.cases.push({ caseId: traceId, dataset, label, signals, seconds: 0, answer });
        }
      }
    }
  }
}

const windowsTogether = "all windows";

/** AC@1 by set, and of all windows; false alarms of healthy windows. */
function figuresOf(cases: readonly EvaluatedCase[]): ReadonlyMap<string, number> {
  const { summary } = evaluationOf(cases);
  const figures = new Map(Object.entries(summary.datasets).map(([name, { ac1 }]) => [name, ac1]));
  const windows = evaluationOf(cases.filter(({ dataset }) => !dataset.endsWith("(single traces)"))).summary;
  if (windows.overall.cases > 0) figures.set(windowsTogether, windows.overall.ac1);
  if (summary.healthy.windows > 0) figures.set("false alarms", summary.healthy.false_alarms);
  return figures;
}

const all = variations();
await evaluateAll(all);
const [asItIs, ...changed] = all;
const usual = figuresOf(asItIs?.cases ?? []);
const sets = [...usual.keys()];
const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
process.stdout.write(
  row(["constant", "value", ...sets]) + row(["constant", "value", ...sets].map(() => "---")),
);
process.stdout.write(row(["as it is", "", ...sets.map((name) => (usual.get(name) ?? 0).toFixed(3))]));
const broken: string[] = [];
for (const { name, value, cases } of changed) {
  const figures = figuresOf(cases);
  const moves = sets.map((set) => (figures.get(set) ?? 0) - (usual.get(set) ?? 0));
  if (moves.every((move) => move === 0)) continue;
  const cells = moves.map((move) => (move === 0 ? "" : `${move > 0 ? "+" : ""}${Number(move.toFixed(3))}`));
  process.stdout.write(row([name, String(value), ...cells]));
  for (const [i, set] of sets.entries()) {
    const bar = set === windowsTogether ? bars.allWindows : bars.set;
    const move = Math.abs(moves[i] ?? 0);
    if (set !== "false alarms" && move > bar + 1e-9)
      broken.push(`${name} = ${value}: ${set} moves by ${move.toFixed(3)}, more than ${bar}`);
  }
}
process.stdout.write(`\n${changed.length} variations; those that are not listed move nothing.\n`);
process.stdout.write(
  broken.length === 0 ? "Every constant keeps within the bar.\n" : `${broken.join("\n")}\n`,
);
process.exitCode = broken.length === 0 ? 0 : 1;
