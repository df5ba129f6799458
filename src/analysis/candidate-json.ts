import { factText } from "../advice/evidence-texts.ts";
import { issueText } from "../advice/structural-texts.ts";
import { type Candidate, speaksAgainst } from "../cascade/candidate.ts";
import type { CandidateJson, Language } from "./report.ts";
import type { Scope } from "./scope.ts";
import { healthStateOf } from "./service-health.ts";

export interface CandidateContext {
  readonly rank: number;
  readonly impactScore: number;
  readonly scope: Scope;
  readonly language: Language;
  /** hex ids of spans that a fact names by index */
  readonly idsOf: (spans: readonly number[]) => readonly string[];
  readonly onset?: string;
}

/** A candidate as reports show it, every fact a sentence. */
export function candidateJson(candidate: Candidate, context: CandidateContext): CandidateJson {
  const { service, kind, score, operation, instance, edge, evidence } = candidate;
  const { rank, impactScore, scope, language, idsOf, onset } = context;
  return {
    service,
    rank,
    score,
    impact_score: impactScore,
    kind,
    ...(operation === null ? {} : { operation }),
    ...(instance === null ? {} : { instance }),
    ...(edge === null ? {} : { edge }),
    issues: healthStateOf(scope, service).issues.map((issue) => issueText(issue, language)),
    evidence: evidence.map((fact) => ({
      ...factText(fact, language),
      direction: speaksAgainst(fact) ? "against" : "for",
      spans: "spans" in fact ? idsOf(fact.spans) : [],
    })),
    ...(onset === undefined ? {} : { onset }),
    ...contrastOf(evidence),
  };
}

function contrastOf(evidence: Candidate["evidence"]): Pick<CandidateJson, "contrast"> {
  const fact = evidence.find((each) => each.kind === "only_where");
  if (fact?.kind !== "only_where") return {};
  return {
    contrast: fact.where.map(({ key, value, inside, others, alike }) => ({
      key,
      value,
      requests: inside.of,
      bad: inside.count,
      other_requests: others.of,
      other_bad: others.count,
      alike,
    })),
  };
}
