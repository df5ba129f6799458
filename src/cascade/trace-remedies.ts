import { mapEntry } from "../base/map-entry.ts";
import { quantileOf } from "../base/quantile.ts";
import { pathShareMin } from "../model/scoring.ts";
import { SpanKind } from "../model/span-table.ts";
import { callsInParts } from "../trace/extract-calls.ts";
import { calleeNameOf } from "../trace/peers.ts";
import { semanticsOf } from "../trace/semantics.ts";
import { durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import type { Candidate } from "./candidate.ts";
import type { Remedy } from "./remedy.ts";
import type { Usual } from "./usual.ts";

/** What the calls and deadlines of one trace suggest to do about its candidates. */
export function traceRemedies(
  trace: Trace,
  { candidates, usual }: { readonly candidates: readonly Candidate[]; readonly usual: Usual },
): readonly Remedy[] {
  if (!trace.spans.some((span) => span.failed)) return [];
  const inverted = deadlines(trace, usual);
  const failed = failedCalls(trace, new Set(candidates.map(({ service }) => service)));
  return candidates.flatMap(({ service }) => [
    ...inverted.filter(({ path }) => path.has(service)).map(({ remedy }) => ({ ...remedy, about: service })),
    ...failFast(trace, service, failed.get(service) ?? new Map()),
  ]);
}

/** By callee and caller, the calling spans that failed. */
type FailedCalls = ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>;

function failedCalls(trace: Trace, callees: ReadonlySet<string>): FailedCalls {
  const found = new Map<string, Map<string, number[]>>();
  for (const { calls } of callsInParts(trace))
    for (const { caller, callee, client } of calls) {
      if (client === null || client.span < 0 || !client.failed || !callees.has(callee)) continue;
      mapEntry(
        mapEntry(found, callee, () => new Map()),
        caller,
        () => [],
      ).push(client.span);
    }
  return found;
}

/** Several failed calls to one callee that its caller waited for, a part of the request that users notice. */
function failFast(
  trace: Trace,
  service: string,
  byCaller: ReadonlyMap<string, readonly number[]>,
): readonly Remedy[] {
  const root = trace.spans[trace.roots[0] ?? -1];
  const rootNanos = root === undefined ? 0 : durationOf(root);
  return [...byCaller].flatMap(([caller, spans]): readonly Remedy[] => {
    const waits = Float64Array.from(spans, (index) => durationOf(trace.spans[index] as TraceSpan)).sort();
    const total = waits.reduce((sum, nanos) => sum + nanos, 0);
    if (spans.length < 2 || total < pathShareMin * rootNanos) return [];
    const edge = { caller, callee: service };
    const waitedNanos = quantileOf(waits, 0.5);
    return [
      { kind: "fail_fast", edge, calls: spans.length, waitedNanos, about: service, spans, traceIds: [] },
    ];
  });
}

interface Inversion {
  /** services whose deadlines, or whose work, are at odds */
  readonly path: ReadonlySet<string>;
  readonly remedy: Remedy;
}

/**
 * Callers that give up sooner than what they wait for: its own deadline for something below is longer, or its requests take
 * longer in a healthy time (p99). Walks from the roots down, with the shortest deadline above.
 *
 *   web     [======x]            gave up
 *     cart   [=============x]    would have waited longer
 */
function deadlines(trace: Trace, usual: Usual): readonly Inversion[] {
  const found: Inversion[] = [];
  const open = trace.roots.map((index) => ({ index, above: null as TraceSpan | null }));
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const span = trace.spans[at.index] as TraceSpan;
    let { above } = at;
    if (hasTimedOut(span)) {
      if (above !== null && above.service !== span.service && durationOf(span) > durationOf(above))
        found.push(inversion(trace, above, { span, neededNanos: durationOf(span), by: "deadline" }));
      else if (above === null || durationOf(span) < durationOf(above)) above = span;
      const callee = calleeOf(trace, span);
      const neededNanos = callee === null ? null : usual.highNanos(callee.service, callee.operation);
      if (callee !== null && neededNanos !== null && durationOf(span) < neededNanos)
        found.push(inversion(trace, span, { span: callee, neededNanos, by: "usual" }));
    }
    for (const child of span.children) open.push({ index: child, above });
  }
  return found;
}

function inversion(
  trace: Trace,
  above: TraceSpan,
  { span, neededNanos, by }: { span: TraceSpan; neededNanos: number; by: "deadline" | "usual" },
): Inversion {
  const below = [above, span].flatMap((each) => calleeOf(trace, each)?.service ?? calleeNameOf(trace, each));
  return {
    path: new Set([above.service, span.service, ...below]),
    remedy: {
      kind: "deadline",
      edge: { caller: above.service, callee: span.service },
      operation: span.operation,
      deadlineNanos: durationOf(above),
      neededNanos,
      by,
      about: "",
      spans: [above.index, span.index],
      traceIds: [],
    },
  };
}

function calleeOf(trace: Trace, { children, service }: TraceSpan): TraceSpan | null {
  const callees = children.map((index) => trace.spans[index] as TraceSpan);
  return callees.find((callee) => callee.service !== service) ?? null;
}

/** Whether a call ended because its caller's time was up. */
function hasTimedOut({ failed, kind, isUnfinished, table, row }: TraceSpan): boolean {
  if (!failed || isUnfinished || kind !== SpanKind.Client) return false;
  return semanticsOf(table).errorOf(row)?.kind === "timeout";
}
