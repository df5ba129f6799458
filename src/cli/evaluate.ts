import { OperationError } from "../engine/errors/operation-error.ts";
import { type EvaluatedCase, evaluationOf } from "../evaluation/evaluation.ts";
import { type RankerName, rankerNames } from "../evaluation/ranker-names.ts";
import { bestRank, ranksOf } from "../evaluation/ranking.ts";
import type { Label } from "../evaluation/truth.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { answerTraces } from "./evaluate-traces.ts";
import { answerWindow } from "./evaluate-window.ts";
import { type CaseFolder, findCases } from "./evaluation-cases.ts";
import { reportBug } from "./main.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter evaluate`: how often the cause is found in cases of which it is known. */
export async function evaluate(run: CommandRun): Promise<number> {
  const folders = await findCases(run.operands);
  const asked = askedRankers(run);
  const cases: EvaluatedCase[] = [];
  for (const [index, folder] of folders.entries())
    for await (const each of casesIn(run, folder, asked)) {
      cases.push(each);
      note(run, `[${index + 1}/${folders.length}] ${progressText(each)}`);
    }
  await writeResult(run, renderResult(run, { kind: "evaluation", evaluation: evaluationOf(cases) }));
  return 0;
}

function askedRankers({ settings }: CommandRun): readonly RankerName[] {
  const asked = settings.ranker ?? [];
  return rankerNames.filter((name) => asked.includes("all") || asked.includes(name));
}

/** What one folder stands for: a case, or as many as it labels traces. One that cannot be analysed is a failed case. */
async function* casesIn(
  run: CommandRun,
  folder: CaseFolder,
  asked: readonly RankerName[],
): AsyncGenerator<EvaluatedCase> {
  const { name, parentName, files, truth } = folder;
  const label = truth?.kind === "window" ? truth.label : null;
  const whole = { caseId: label?.caseId ?? name, dataset: label?.dataset ?? parentName, label };
  try {
    if (truth?.kind === "unusable") throw unusable(`truth.json: ${truth.complaint}`);
    if (truth?.kind === "traces") {
      const file = files.traces ?? files.incident;
      if (file === undefined) throw unusable("truth.json labels traces, but there is no traces.jsonl.gz");
      yield* labelledTraces(run, { file, parentName, asked, labels: truth.labels });
      return;
    }
    if (files.incident === undefined) throw unusable("there is a truth.json, but no incident.jsonl.gz");
    const windows = truth?.windows ?? { incident: null, baseline: null };
    yield { ...whole, ...(await answerWindow(run, { incidentFile: files.incident, files, windows, asked })) };
  } catch (error) {
    yield { ...whole, ...failedWith(run, error) };
  }
}

interface LabelledTraces {
  readonly file: string;
  readonly parentName: string;
  readonly asked: readonly RankerName[];
  readonly labels: ReadonlyMap<string, Label>;
}

async function* labelledTraces(
  run: CommandRun,
  { file, parentName, asked, labels }: LabelledTraces,
): AsyncGenerator<EvaluatedCase> {
  const traceIds = new Set(labels.keys());
  for await (const [traceId, answer] of answerTraces(run, { file, traceIds, asked })) {
    const label = labels.get(traceId) ?? null;
    const outcome = answer instanceof OperationError ? failedWith(run, answer) : answer;
    yield { caseId: traceId, dataset: label?.dataset ?? parentName, label, ...outcome };
  }
}

function unusable(complaint: string): OperationError {
  return new OperationError(
    "input_unreadable",
    complaint,
    "docs/accuracy.md says what belongs into a case; mend it, or move the folder elsewhere.",
  );
}

/** A case without an answer counts as one in which nothing was found. What is our own mistake is told as such. */
function failedWith(
  { host }: CommandRun,
  error: unknown,
): Pick<EvaluatedCase, "answer" | "signals" | "seconds"> {
  if (!(error instanceof OperationError)) reportBug(error, host);
  const hint = error instanceof OperationError ? error.hint : "This is a bug in hypocenter.";
  const message = error instanceof Error ? error.message : String(error);
  return { answer: { error: `${message}. ${hint}`.trim() }, signals: [], seconds: 0 };
}

/** `shop/slow-database: rank 1 (0.82 s)` */
function progressText({ caseId, label, answer, seconds }: EvaluatedCase): string {
  if ("error" in answer) return `${caseId}: ${answer.error}`;
  const { ranking } = answer;
  const time = `(${seconds.toFixed(2)} s)`;
  if (label === null || label.causes.length === 0)
    return `${caseId}: ${ranking.length === 0 ? "names nobody" : `names ${ranking[0]?.name}`} ${time}`;
  return `${caseId}: rank ${bestRank(ranksOf(ranking, label.causes)) ?? "-"} ${time}`;
}
