import { OperationError } from "../engine/errors/operation-error.ts";
import { type EvaluatedCase, evaluationOf } from "../evaluation/evaluation.ts";
import { type RankerName, rankerNames } from "../evaluation/ranker-names.ts";
import { bestRank, ranksOf } from "../evaluation/ranking.ts";
import type { Label } from "../evaluation/truth.ts";
import type { TimedAnswer } from "./case-answer.ts";
import { type CommandRun, note, writeResult } from "./command.ts";
import { answerTraces } from "./evaluate-traces.ts";
import { answerWindow } from "./evaluate-window.ts";
import { type CaseFolder, findCases } from "./evaluation-cases.ts";
import { bugExitCode, reportBug } from "./main.ts";
import { renderResult } from "./render-report.ts";

/** `hypocenter evaluate`: how often the cause is found in cases of which it is known. */
export async function evaluate(run: CommandRun): Promise<number> {
  const folders = await findCases(run.operands);
  const evaluation: Evaluation = { run, asked: askedRankers(run), hadBug: false };
  const cases: EvaluatedCase[] = [];
  for (const [index, folder] of folders.entries()) {
    const found: EvaluatedCase[] = [];
    for await (const each of casesIn(evaluation, folder)) found.push(each);
    note(run, `[${index + 1}/${folders.length}] ${progressText(folder, found)}`);
    cases.push(...found);
  }
  await writeResult(run, renderResult(run, { kind: "evaluation", evaluation: evaluationOf(cases) }));
  return evaluation.hadBug ? bugExitCode : 0;
}

interface Evaluation {
  readonly run: CommandRun;
  readonly asked: readonly RankerName[];
  /** a case failed by our own mistake */
  hadBug: boolean;
}

function askedRankers({ settings }: CommandRun): readonly RankerName[] {
  const asked = settings.ranker ?? [];
  return rankerNames.filter((name) => asked.includes("all") || asked.includes(name));
}

/** What one folder stands for: a case, or as many as it labels traces. What cannot be analysed is a failed case. */
async function* casesIn(evaluation: Evaluation, folder: CaseFolder): AsyncGenerator<EvaluatedCase> {
  const { name, parentName, files, truth } = folder;
  if (truth?.kind === "traces" && truth.labels.size > 0) {
    yield* labelledTraces(evaluation, folder, truth.labels);
    return;
  }
  const label = truth?.kind === "window" ? truth.label : null;
  const whole = { caseId: label?.caseId ?? name, dataset: label?.dataset ?? parentName, label };
  try {
    if (truth?.kind === "unusable") throw unusable(`truth.json: ${truth.complaint}`);
    if (truth?.kind === "traces") throw unusable("truth.json: traces is empty");
    if (files.incident === undefined) throw unusable("there is a truth.json, but no incident.jsonl.gz");
    const windows = truth?.windows ?? { incident: null, baseline: null };
    const input = { incidentFile: files.incident, files, windows, asked: evaluation.asked };
    yield { ...whole, ...(await answerWindow(evaluation.run, input)) };
  } catch (error) {
    yield { ...whole, ...failedWith(evaluation, error) };
  }
}

/** Where the file cannot be read any further, each trace that is left is a failed case. */
async function* labelledTraces(
  evaluation: Evaluation,
  { files, parentName }: CaseFolder,
  labels: ReadonlyMap<string, Label>,
): AsyncGenerator<EvaluatedCase> {
  const { run, asked } = evaluation;
  const left = new Map(labels);
  const caseOf = (caseId: string, label: Label, outcome: Outcome): EvaluatedCase => {
    left.delete(caseId);
    return { caseId, dataset: label.dataset ?? parentName, label, ...outcome };
  };
  try {
    const file = files.traces ?? files.incident;
    if (file === undefined) throw unusable("truth.json labels traces, but there is no traces.jsonl.gz");
    const traceIds = new Set(labels.keys());
    for await (const [traceId, answer] of answerTraces(run, { file, traceIds, asked })) {
      const label = labels.get(traceId);
      if (label !== undefined) yield caseOf(traceId, label, outcomeOf(evaluation, answer));
    }
  } catch (error) {
    const outcome = failedWith(evaluation, error);
    for (const [traceId, label] of left) yield caseOf(traceId, label, outcome);
  }
}

type Outcome = Pick<EvaluatedCase, "answer" | "signals" | "seconds">;

function outcomeOf(evaluation: Evaluation, answer: () => TimedAnswer): Outcome {
  try {
    return answer();
  } catch (error) {
    return failedWith(evaluation, error);
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
function failedWith(evaluation: Evaluation, error: unknown): Outcome {
  const isBug = !(error instanceof OperationError);
  if (isBug) {
    reportBug(error, evaluation.run.host);
    evaluation.hadBug = true;
  }
  const hint = isBug ? "This is a bug in hypocenter." : error.hint;
  const message = error instanceof Error ? error.message : String(error);
  return { answer: { error: `${message}. ${hint}`.trim() }, signals: [], seconds: 0 };
}

/** `slow-database: rank 1 (0.82 s)`, `singles: 40 traces, the cause is first in 35`, and what failed. */
function progressText({ name }: CaseFolder, cases: readonly EvaluatedCase[]): string {
  const [first] = cases;
  if (first !== undefined && cases.length === 1) return caseText(first);
  const right = cases.filter(({ label, answer }) => label !== null && rankIn(answer, label) === 1).length;
  const failed = cases.filter(({ answer }) => "error" in answer).map((each) => `\n  ${caseText(each)}`);
  return `${name}: ${cases.length} traces, the cause is first in ${right}${failed.join("")}`;
}

function caseText({ caseId, label, answer, seconds }: EvaluatedCase): string {
  if ("error" in answer) return `${caseId}: ${answer.error}`;
  const time = `(${seconds.toFixed(2)} s)`;
  if (label !== null && label.causes.length > 0)
    return `${caseId}: rank ${rankIn(answer, label) ?? "-"} ${time}`;
  const named = answer.ranking[0]?.name;
  return `${caseId}: ${named === undefined ? "names nobody" : `names ${named}`} ${time}`;
}

function rankIn(answer: EvaluatedCase["answer"], { causes }: Label): number | null {
  return "error" in answer ? null : bestRank(ranksOf(answer.ranking, causes));
}
