/** The simple rules that a ranking of ours is compared with. */
export const rankerNames = [
  "random",
  "error_rate_delta",
  "p95_ratio",
  "self_time_p95",
  "self_gap",
  "shared_endpoint",
  "deepest_error",
  "simple_rca",
  "call_structure",
  "cpu_gain",
  "traversal",
  "n_sigma",
  "robust_scorer",
  "trace_rca_like",
  "microrank_like",
  "shapley_like",
  "impact_score",
] as const;
export type RankerName = (typeof rankerNames)[number];
