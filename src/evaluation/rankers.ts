import {
  callStructure,
  cpuGain,
  deepestError,
  errorRateDelta,
  p95Ratio,
  random,
  selfGap,
  selfTimeP95,
} from "./change-rankers.ts";
import { impactOnly, sharedEndpoint, traversal } from "./graph-rankers.ts";
import { microRankLike } from "./micro-rank.ts";
import type { RankerName } from "./ranker-names.ts";
import type { Ranking } from "./ranking.ts";
import { nSigma, robustScorer, simpleRca } from "./series-rankers.ts";
import { shapleyIqLike } from "./shapley-iq.ts";
import { traceRcaLike } from "./trace-rca.ts";
import type { CaseFigures } from "./window-figures.ts";

/** Orders the services and peers of a case by how much one simple rule has against them. Pure, equal input gives equal order. */
export type Ranker = (figures: CaseFigures) => Ranking;

/** What a ranking of ours has to beat. Those called "like" were written from the description of a published method. */
export const rankers: Readonly<Record<RankerName, Ranker>> = {
  random,
  error_rate_delta: errorRateDelta,
  p95_ratio: p95Ratio,
  self_time_p95: selfTimeP95,
  self_gap: selfGap,
  shared_endpoint: sharedEndpoint,
  deepest_error: deepestError,
  simple_rca: simpleRca,
  call_structure: callStructure,
  cpu_gain: cpuGain,
  traversal,
  n_sigma: nSigma,
  robust_scorer: robustScorer,
  trace_rca_like: traceRcaLike,
  microrank_like: microRankLike,
  shapley_like: shapleyIqLike,
  impact_score: impactOnly,
};
