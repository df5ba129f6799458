import { quantileOfUnsorted } from "../base/quantile.ts";
import { type Calibration, calibrationOf } from "./calibration.ts";
import type { RankerName } from "./ranker-names.ts";
import type { Ranking } from "./ranking.ts";
import {
  accuracyAt,
  type BoundedFigures,
  boundedFigures,
  type Figures,
  f1Of,
  figuresOfScores,
  jaccardOf,
  macroFigures,
  type Score,
  scoreOf,
} from "./scores.ts";
import { meanOf, pairedTestP } from "./statistics.ts";
import type { CallEdge, Label } from "./truth.ts";

/** What an analysis said of a case, as far as it is scored. */
export interface Answer {
  /** the services in the order of the report's candidates, each once */
  readonly ranking: Ranking;
  /** it found nothing significant */
  readonly healthy: boolean;
  readonly confidence: number | null;
  /** the first candidate below the level of the service */
  readonly instance: string | null;
  readonly operation: string | null;
  readonly edge: CallEdge | null;
  /** from the one that failed to the one that it made fail; null = the report does not say */
  readonly propagation: readonly { readonly from: string; readonly to: string }[] | null;
  readonly affectedServices: readonly string[] | null;
  /** what the simple rules say of the same case, those that were asked */
  readonly rankers: ReadonlyMap<RankerName, Ranking>;
}

/** One case after its analysis. */
export interface EvaluatedCase {
  readonly caseId: string;
  readonly dataset: string;
  /** null = nobody knows what is right */
  readonly label: Label | null;
  /** the kinds of telemetry that were there and used */
  readonly signals: readonly string[];
  /** of the analysis, reading included, without the simple rules */
  readonly seconds: number;
  /** or why there is none */
  readonly answer: Answer | { readonly error: string };
}

export interface CaseJson {
  readonly case_id: string;
  readonly dataset: string;
  readonly fault_type: string;
  /** the true causes; empty where nothing is wrong or nobody knows */
  readonly truth: readonly string[];
  readonly candidates: readonly string[];
  /** what the report says; null = there is no report */
  readonly healthy: boolean | null;
  readonly rank: number | null;
  readonly ranks: readonly (number | null)[];
  readonly confidence: number | null;
  readonly signals: readonly string[];
  readonly seconds: number;
  /** where the truth tells them */
  readonly propagation_f1?: number;
  readonly blast_radius_jaccard?: number;
  readonly error?: string;
  /** by ranker */
  readonly rankers?: Readonly<Record<string, number | null>>;
}

interface PairsJson {
  readonly only_hypocenter: number;
  readonly only_ranker: number;
  readonly p: number;
}

export interface RankerJson extends BoundedFigures {
  readonly ranker: string;
  readonly macro: Figures;
  readonly datasets: Readonly<Record<string, Figures>>;
  readonly fault_types: Readonly<Record<string, Figures>>;
  /** of the windows in which nothing is wrong, how many it named somebody in */
  readonly false_alarms: number;
  /** cases in which only one of both has the right candidate first, and how likely chance alone parts them so (McNemar) */
  readonly paired?: PairsJson;
}

export interface SummaryJson {
  readonly cases: number;
  /** cases with a cause to find, failed ones included */
  readonly scored: number;
  readonly failed: number;
  readonly unlabelled: number;
  readonly overall: BoundedFigures;
  /** the mean over fault types, each counted once */
  readonly macro: Figures;
  readonly datasets: Readonly<Record<string, BoundedFigures>>;
  readonly fault_types: Readonly<Record<string, BoundedFigures>>;
  /** by the kinds of telemetry that were used */
  readonly signals: Readonly<Record<string, BoundedFigures>>;
  readonly impact_types: Readonly<Record<string, BoundedFigures>>;
  /** of cases with two causes */
  readonly two_causes: { readonly cases: number; readonly recall2: number } | null;
  readonly healthy: { readonly windows: number; readonly false_alarms: number };
  /** faults without any effect: the right answer is nobody, the culprit is no mistake */
  readonly silent: { readonly cases: number; readonly named_nobody: number; readonly named_cause: number };
  readonly calibration: (Calibration & { readonly answers: number }) | null;
  /** mean over the cases whose truth tells them; null = none does */
  readonly levels: Readonly<Record<"instance_ac1" | "operation_ac1" | "edge_ac1", MeanJson | null>>;
  readonly propagation_f1: MeanJson | null;
  readonly blast_radius_jaccard: MeanJson | null;
  readonly seconds: {
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
    readonly total: number;
  };
  /** ours first */
  readonly rankers: readonly RankerJson[];
}

export interface MeanJson {
  readonly cases: number;
  readonly mean: number;
}

export interface EvaluationJson {
  readonly cases: readonly CaseJson[];
  readonly summary: SummaryJson;
}

/** The name of the analysis itself in the table of rankers. */
const ownRanker = "hypocenter";

/** Scores every case, and all of them together. The order of the cases is kept; it decides nothing else. */
export function evaluationOf(cases: readonly EvaluatedCase[]): EvaluationJson {
  return { cases: cases.map(caseJson), summary: summaryOf(cases) };
}

/** A case in which a cause has to be found. */
interface ScoredCase extends EvaluatedCase {
  readonly label: Label;
  readonly score: Score;
}

function answerOf({ answer }: EvaluatedCase): Answer | null {
  return "error" in answer ? null : answer;
}

function rankingBy(each: EvaluatedCase, ranker: string): Ranking {
  const answer = answerOf(each);
  if (answer === null) return [];
  return ranker === ownRanker ? answer.ranking : (answer.rankers.get(ranker as RankerName) ?? []);
}

/** What kind of answer is right. A label without a cause tells nothing, unless it says that all is well. */
function kindOf({ label }: EvaluatedCase): "faulty" | "healthy" | "silent" | "unlabelled" {
  if (label === null) return "unlabelled";
  if (label.isHealthy) return "healthy";
  if (label.causes.length === 0) return "unlabelled";
  return label.visibility === "silent" ? "silent" : "faulty";
}

function caseJson(each: EvaluatedCase): CaseJson {
  const { caseId, dataset, label, signals, seconds, answer } = each;
  const ranking = rankingBy(each, ownRanker);
  const isScored = label !== null && (kindOf(each) === "faulty" || kindOf(each) === "silent");
  const { ranks, rank } = isScored ? scoreOf(ranking, label, caseId) : { ranks: [], rank: null };
  const rankers = answerOf(each)?.rankers ?? new Map<RankerName, Ranking>();
  return {
    case_id: caseId,
    dataset,
    fault_type: label?.faultType ?? "",
    truth: label?.isHealthy === true ? [] : (label?.causes.map(({ service }) => service) ?? []),
    candidates: ranking.map(({ name }) => name),
    healthy: answerOf(each)?.healthy ?? null,
    rank,
    ranks,
    confidence: answerOf(each)?.confidence ?? null,
    signals,
    seconds,
    ...(isScored ? extentOf(label, answerOf(each)) : {}),
    ...("error" in answer ? { error: answer.error } : {}),
    ...(isScored && rankers.size > 0
      ? {
          rankers: Object.fromEntries(
            [...rankers].map(([name, ranked]) => [name, scoreOf(ranked, label, caseId).rank]),
          ),
        }
      : {}),
  };
}

function summaryOf(cases: readonly EvaluatedCase[]): SummaryJson {
  const scored = scoredBy(cases, ownRanker);
  const [healthy, silent] = (["healthy", "silent"] as const).map((kind) =>
    cases.filter((each) => kindOf(each) === kind),
  ) as [EvaluatedCase[], EvaluatedCase[]];
  const twoCauses = scored.filter(({ label }) => label.causes.length === 2);
  const seconds = cases.map((each) => each.seconds);
  return {
    cases: cases.length,
    scored: scored.length,
    failed: cases.filter((each) => answerOf(each) === null).length,
    unlabelled: cases.filter((each) => kindOf(each) === "unlabelled").length,
    overall: boundedFigures(scored.map(({ score }) => score)),
    macro: macroOf(scored),
    datasets: grouped(scored, ({ dataset }) => dataset, boundedFigures),
    fault_types: byFaultType(scored, boundedFigures),
    signals: grouped(scored, ({ signals }) => signals.join("+"), boundedFigures),
    impact_types: grouped(scored, ({ label }) => label.impactType ?? "", boundedFigures),
    two_causes:
      twoCauses.length === 0
        ? null
        : { cases: twoCauses.length, recall2: meanOf(twoCauses.map(({ score }) => accuracyAt(score, 2))) },
    healthy: { windows: healthy.length, false_alarms: falseAlarms(healthy, ownRanker) },
    silent: {
      cases: silent.length,
      named_nobody: silent.filter((each) => answerOf(each)?.ranking.length === 0).length,
      named_cause: silent.map(caseJson).filter(({ rank }) => rank === 1).length,
    },
    ...detailsOf(scored),
    seconds: {
      p50: quantileOfUnsorted(seconds, 0.5),
      p99: quantileOfUnsorted(seconds, 0.99),
      max: seconds.reduce((most, each) => Math.max(most, each), 0),
      total: seconds.reduce((sum, each) => sum + each, 0),
    },
    rankers: rankersOf(cases, healthy),
  };
}

function scoredBy(cases: readonly EvaluatedCase[], ranker: string): readonly ScoredCase[] {
  return cases.flatMap((each) => {
    const { label, caseId } = each;
    if (label === null || kindOf(each) !== "faulty") return [];
    return [{ ...each, label, score: scoreOf(rankingBy(each, ranker), label, caseId) }];
  });
}

/** Whoever names nobody raises no alarm; our own report must also say that all is well. */
function falseAlarms(healthy: readonly EvaluatedCase[], ranker: string): number {
  const isAlarm = (each: EvaluatedCase): boolean =>
    rankingBy(each, ranker).length > 0 || (ranker === ownRanker && answerOf(each)?.healthy === false);
  return healthy.filter(isAlarm).length;
}

/** Figures of each group, by name; cases without one ("") are in none. */
function grouped<Result>(
  cases: readonly ScoredCase[],
  groupOf: (each: ScoredCase) => string,
  figures: (scores: readonly Score[]) => Result,
): Readonly<Record<string, Result>> {
  const groups = new Map<string, Score[]>();
  for (const each of cases) {
    const name = groupOf(each);
    if (name === "") continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [each.score]);
    else group.push(each.score);
  }
  const names = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(names.map(([name, scores]) => [name, figures(scores)]));
}

function macroOf(cases: readonly ScoredCase[]): Figures {
  return macroFigures(Object.values(byFaultType(cases, figuresOfScores)));
}

function byFaultType<Result>(
  cases: readonly ScoredCase[],
  figures: (scores: readonly Score[]) => Result,
): Readonly<Record<string, Result>> {
  return grouped(cases, ({ label }) => label.faultType, figures);
}

function rankersOf(
  cases: readonly EvaluatedCase[],
  healthy: readonly EvaluatedCase[],
): readonly RankerJson[] {
  const names = new Set(cases.flatMap((each) => [...(answerOf(each)?.rankers.keys() ?? [])]));
  const own = scoredBy(cases, ownRanker);
  return [ownRanker, ...names].map((ranker) => {
    const scored = ranker === ownRanker ? own : scoredBy(cases, ranker);
    const figures = {
      ranker,
      ...boundedFigures(scored.map(({ score }) => score)),
      macro: macroOf(scored),
      datasets: grouped(scored, ({ dataset }) => dataset, figuresOfScores),
      fault_types: byFaultType(scored, figuresOfScores),
      false_alarms: falseAlarms(healthy, ranker),
    };
    return ranker === ownRanker ? figures : { ...figures, paired: pairsOf(own, scored) };
  });
}

function pairsOf(own: readonly ScoredCase[], other: readonly ScoredCase[]): PairsJson {
  const difference = (index: number): number =>
    accuracyAt((own[index] as ScoredCase).score, 1) - accuracyAt((other[index] as ScoredCase).score, 1);
  const wins = own.filter((_, index) => difference(index) > 0).length;
  const losses = own.filter((_, index) => difference(index) < 0).length;
  return { only_hypocenter: wins, only_ranker: losses, p: pairedTestP(wins, losses) };
}

type Details = Pick<SummaryJson, "calibration" | "levels" | "propagation_f1" | "blast_radius_jaccard">;

/** What is known of some cases only. A failed analysis found nothing of it. */
function detailsOf(scored: readonly ScoredCase[]): Details {
  const mean = (read: (each: ScoredCase, answer: Answer | null) => number | null): MeanJson | null => {
    const values = scored.map((each) => read(each, answerOf(each))).filter((value) => value !== null);
    return values.length === 0 ? null : { cases: values.length, mean: meanOf(values) };
  };
  const level = (key: "instance" | "operation"): MeanJson | null =>
    mean(({ label }, answer) => (label[key] === null ? null : Number(answer?.[key] === label[key])));
  const sure = scored.flatMap((each) => {
    const confidence = answerOf(each)?.confidence ?? null;
    return confidence === null ? [] : [{ confidence, right: accuracyAt(each.score, 1) }];
  });
  const calibration = calibrationOf(sure);
  return {
    calibration: calibration === null ? null : { answers: sure.length, ...calibration },
    levels: {
      instance_ac1: level("instance"),
      operation_ac1: level("operation"),
      edge_ac1: mean(({ label: { edge } }, answer) =>
        edge === null
          ? null
          : Number(answer?.edge?.caller === edge.caller && answer.edge.callee === edge.callee),
      ),
    },
    propagation_f1: mean(({ label }, answer) => extentOf(label, answer).propagation_f1 ?? null),
    blast_radius_jaccard: mean(({ label }, answer) => extentOf(label, answer).blast_radius_jaccard ?? null),
  };
}

/** How well the ways of a fault were found, and who was hit. */
function extentOf(
  { propagation, affectedServices }: Label,
  answer: Answer | null,
): Pick<CaseJson, "propagation_f1" | "blast_radius_jaccard"> {
  const f1 = propagation === null ? null : f1Of(stepsOf(answer?.propagation ?? []), stepsOf(propagation));
  const jaccard =
    affectedServices === null
      ? null
      : jaccardOf(new Set(answer?.affectedServices ?? []), new Set(affectedServices));
  return {
    ...(f1 === null ? {} : { propagation_f1: f1 }),
    ...(jaccard === null ? {} : { blast_radius_jaccard: jaccard }),
  };
}

function stepsOf(steps: readonly { readonly from: string; readonly to: string }[]): ReadonlySet<string> {
  return new Set(steps.map(({ from, to }) => `${from}\u0000${to}`));
}
