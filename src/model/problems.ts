/** What was wrong with the input and survived. Kinds are stable: users filter on them. */
export type ProblemKind =
  | "conflicting_duplicate"
  | "shared_span_id"
  | "missing_parent"
  | "self_parent"
  | "parent_cycle"
  | "several_roots"
  | "reused_trace_id"
  | "negative_duration"
  | "unfinished_span"
  | "missing_time"
  | "implausible_time"
  | "repaired_time"
  | "clock_skew"
  | "missing_service_name"
  | "missing_trace_id"
  | "ill_formed_utf8"
  | "duplicate_attribute"
  | "dropped_data"
  | "truncated_trace"
  | "rejected_span"
  | "malformed_record"
  | "unreadable_input"
  | "sampled"
  | "summary_span"
  | "biased_sampling"
  | "unlike_baseline"
  | "unresolved_link"
  | "overflow";

/** One kind of flaw, with how often it occurred and where to look. */
export interface Problem {
  readonly kind: ProblemKind;
  /** a sentence for a person, in English until a report tells it in its own language */
  readonly message: string;
  readonly count: number;
  /** whose flaw it is, where it is told service by service */
  readonly service?: string;
  /** of `clock_skew`: by how many ms the clock is off at most, to two significant digits */
  readonly shift_ms?: number;
  /** span ids in hex, at most `problemSpansMax` */
  readonly spans: readonly string[];
  /** `file:line` or the like, where the input is a file */
  readonly source?: string;
}

export const problemSpansMax = 5;

/**
 * Joins equal problems (kind, message, source, service), adds their counts, keeps the largest shift and sorts them, so that
 * input order does not show.
 */
export function mergeProblems(problems: Iterable<Problem>): readonly Problem[] {
  const merged = new Map<string, { problem: Problem; count: number; spans: Set<string> }>();
  for (const problem of problems) {
    const { kind, source = "", message, service = "" } = problem;
    const key = [kind, source, message, service].join("\u0000");
    const entry = merged.get(key) ?? { problem, count: 0, spans: new Set<string>() };
    entry.count += problem.count;
    if ((problem.shift_ms ?? 0) > (entry.problem.shift_ms ?? 0)) entry.problem = problem;
    for (const span of problem.spans) entry.spans.add(span);
    merged.set(key, entry);
  }
  return [...merged.entries()]
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, { problem, count, spans }]) => ({
      ...problem,
      count,
      spans: [...spans].sort().slice(0, problemSpansMax),
    }));
}
