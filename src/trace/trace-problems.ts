import { mapEntry } from "../base/map-entry.ts";
import { type Problem, type ProblemKind, problemSpansMax } from "../model/problems.ts";
import { toldSkewNanos } from "../model/scoring.ts";
import { NANOS_PER_MS } from "../model/time.ts";
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

const skewSentence = "A clock differs from its callers'; the times of its spans were corrected";

/** What problems of a trace say. */
export type FlawSentence = (typeof flaws)[keyof typeof flaws][1] | typeof skewSentence;

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
    const skewOf = new Map<string, { readonly clocks: Set<string>; nanos: number }>();
    for (const { clock, service, shiftNanos } of offsets) {
      const nanos = Math.abs(shiftNanos);
      if (nanos < toldSkewNanos.analysis) continue;
      const skew = mapEntry(skewOf, service, () => ({ clocks: new Set<string>(), nanos: 0 }));
      skew.clocks.add(clock);
      skew.nanos = Math.max(skew.nanos, nanos);
    }
    for (const [service, { clocks, nanos }] of skewOf)
      this.#others.push({
        kind: "clock_skew",
        message: skewSentence,
        count: clocks.size,
        spans: [],
        service,
        // a clock is not known better than that, and few different figures can be counted
        shift_ms: Number((nanos / NANOS_PER_MS).toPrecision(2)),
      });
  }

  list(): readonly Problem[] {
    if (this.#found === null && this.#others.length === 0) return none;
    const problems = [...(this.#found ?? [])].map(([flaw, { count, spans }]): Problem => {
      const [kind, message] = flaws[flaw];
      return { kind, message, count, spans: [...new Set(spans)].sort() };
    });
    return [...problems, ...this.#others].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
  }
}

function sortKey({ kind, message, service = "" }: Problem): string {
  return [kind, message, service].join("\u0000");
}
