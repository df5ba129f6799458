import { type Problem, type ProblemKind, problemSpansMax } from "../model/problems.ts";
import { toldSkewNanos } from "../model/scoring.ts";
import { type ClockOffset, type RowRef, spanIdOf } from "./trace.ts";

/** One sentence per flaw, without ids, so that equal flaws of many traces can be counted together. */
const flaws = {
  conflicting_duplicate: [
    "conflicting_duplicate",
    "Spans were sent in several versions; the most complete one was used",
  ],
  shared_span_id: ["shared_span_id", "Different spans share one span id; all of them were used"],
  missing_parent: [
    "missing_parent",
    "Parent spans are missing; what is below them is shown as if it began there",
  ],
  missing_local_parent: [
    "missing_parent",
    "Parent spans of the same process are missing: the process did not send all of its spans, or they were lost",
  ],
  missing_remote_parent: [
    "missing_parent",
    "Parent spans of another process are missing: they were lost, are late, or their process sends none",
  ],
  self_parent: ["self_parent", "Spans name themselves as parent; they were taken as roots"],
  parent_cycle: ["parent_cycle", "Spans are their own ancestors; the circle was opened at its earliest span"],
  several_roots: ["several_roots", "The trace has several roots"],
  negative_duration: ["negative_duration", "Spans end before they start; their duration was taken as zero"],
  unfinished_span: ["unfinished_span", "Spans have no end; they count in no latency"],
  missing_time: [
    "missing_time",
    "Spans have no start time; they stand where their parent begins, or at their end",
  ],
  implausible_time: [
    "implausible_time",
    "Spans start before 2000 or after 2100: their clock, or the unit of their times, is wrong",
  ],
  reused_trace_id: [
    "reused_trace_id",
    "Requests more than an hour apart share a trace id; each was taken as a trace of its own",
  ],
  missing_service_name: [
    "missing_service_name",
    "Spans come from a service without a name (set service.name)",
  ],
  ill_formed_utf8: ["ill_formed_utf8", "Span names are not valid UTF-8; bad bytes are shown as \ufffd"],
  dropped_data: [
    "dropped_data",
    "Senders left out attributes, events or links of spans (their limits were reached)",
  ],
  duplicate_attribute: ["duplicate_attribute", "Spans give an attribute twice; the last value counts"],
  truncated_trace: [
    "truncated_trace",
    "The trace is too large: spans were counted and left out; failed ones, calls and the longest of the others were kept",
  ],
  summary_span: [
    "summary_span",
    "Spans stand for several that were merged (span pruning): each counts as often as it says, with the mean duration",
  ],
  sampled: ["sampled", "The trace was sampled; rates and counts are adjusted for it"],
} as const satisfies Readonly<Record<string, readonly [ProblemKind, string]>>;

const none: readonly Problem[] = [];

/** Counts what was wrong with a trace. */
export class TraceProblems {
  /** null = nothing yet, as with most traces */
  #found: Map<keyof typeof flaws, { count: number; spans: string[] }> | null = null;
  readonly #others: Problem[] = [];

  add(flaw: keyof typeof flaws, span: RowRef | null, count = 1): void {
    this.#found ??= new Map();
    let found = this.#found.get(flaw);
    if (found === undefined) {
      found = { count: 0, spans: [] };
      this.#found.set(flaw, found);
    }
    found.count += count;
    if (span !== null && found.spans.length < problemSpansMax) found.spans.push(spanIdOf(span));
  }

  addClockOffsets(offsets: readonly ClockOffset[]): void {
    if (offsets.length === 0) return;
    const clocksOf = new Map<string, Set<string>>();
    for (const { clock, service, shiftNanos } of offsets) {
      if (Math.abs(shiftNanos) < toldSkewNanos.analysis) continue;
      const clocks = clocksOf.get(service) ?? new Set();
      clocksOf.set(service, clocks.add(clock));
    }
    for (const [service, clocks] of clocksOf) {
      const message = `The clock of ${service} differs from its callers'; the times of its spans were corrected`;
      this.#others.push({ kind: "clock_skew", message, count: clocks.size, spans: [] });
    }
  }

  list(): readonly Problem[] {
    if (this.#found === null && this.#others.length === 0) return none;
    const problems = [...(this.#found ?? [])].map(([flaw, { count, spans }]): Problem => {
      const [kind, message] = flaws[flaw];
      return { kind, message, count, spans: [...new Set(spans)].sort() };
    });
    return [...problems, ...this.#others].sort((a, b) =>
      a.kind === b.kind ? (a.message < b.message ? -1 : 1) : a.kind < b.kind ? -1 : 1,
    );
  }
}
