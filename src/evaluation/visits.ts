import { evaluatedVisitsMax } from "../model/limits.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { SpanKind } from "../model/span-table.ts";
import { callsOf } from "../trace/extract-calls.ts";
import { selfTimeOf } from "../trace/self-time.ts";
import { durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";

/**
 * One request at a service, with all local work for it; of a peer without spans of its own, the call that it received.
 * Times are nanoseconds since the start of the trace.
 *
 *   caller  [====|==============|====]      own = own time
 *     client     [g|==========|g]           gap = g + g, told of the visit that was called
 *       callee     [==========]
 */
export interface Visit {
  readonly service: string;
  readonly operation: string;
  /** index of the visit that called it; -1 = it came from outside */
  readonly caller: number;
  readonly start: number;
  readonly end: number;
  /** time in which nothing that it waited for ran, the gaps of its calls left out */
  readonly own: number;
  /** time of the call to it that passed outside it; 0 where the caller's side was not seen */
  readonly gap: number;
  readonly failed: boolean;
  /** failed spans without a failed child: where errors began */
  readonly errorOrigins: number;
}

/** How long it took, waiting included. */
export function nanosOf({ start, end }: Visit): number {
  return end - start;
}

/** The visits of one trace; a caller may stand behind what it called. */
export interface TraceVisits {
  readonly traceId: string;
  /** nanoseconds since 1970 */
  readonly startTime: bigint;
  readonly visits: readonly Visit[];
}

/** Collects the visits of traces that are named by raw keys, in any order. */
export class VisitRollup {
  readonly #traces: TraceVisits[] = [];
  #visits = 0;
  /** traces for which there was no room */
  leftOut = 0;

  add(trace: Trace): void {
    const taken = visitsOf(trace);
    if (this.#visits + taken.visits.length > evaluatedVisitsMax) {
      this.leftOut += 1;
      return;
    }
    this.#visits += taken.visits.length;
    this.#traces.push(taken);
  }

  /** By start, then trace id, with the names that reports use. */
  read(directory: ServiceDirectory): readonly TraceVisits[] {
    return this.#traces
      .map((trace) => ({
        ...trace,
        visits: trace.visits.map((visit) => ({ ...visit, service: directory.nameOfKey(visit.service) })),
      }))
      .sort((a, b) => Number(a.startTime - b.startTime) || (a.traceId < b.traceId ? -1 : 1));
  }
}

/** Takes a trace apart into visits. Sampling weights are left aside: what is compared was sampled alike. */
function visitsOf(trace: Trace): TraceVisits {
  const { spans } = trace;
  const entries = callsOf(trace).entries;
  const visits: Mutable<Visit>[] = entries.map(({ service, operation, span, failed }) => {
    const { start, end } = spans[span] as TraceSpan;
    return { service, operation, caller: -1, start, end, own: 0, gap: 0, failed, errorOrigins: 0 };
  });
  const owner = ownersOf(trace, entries);
  /** spans whose own time is the gap of a call */
  const gaps = new Set<number>();
  /** the visit that a span's own time and errors belong to, where that is another than its owner */
  const peerAt = new Map<number, number>();
  for (const [index, { span: at, isInferred }] of entries.entries()) {
    const visit = visits[index] as Mutable<Visit>;
    const span = spans[at] as TraceSpan;
    if (isInferred) {
      visit.caller = owner[at] as number;
      peerAt.set(at, index);
      continue;
    }
    const parent = spans[span.parent];
    if (parent === undefined) continue;
    visit.caller = owner[parent.index] as number;
    if (!isCallOf(parent, span, entries[visit.caller]?.span)) continue;
    visit.gap = Math.max(0, durationOf(parent) - durationOf(span));
    gaps.add(parent.index);
  }
  for (const span of spans) {
    const visit = visits[peerAt.get(span.index) ?? owner[span.index] ?? -1];
    if (visit === undefined) continue;
    if (!gaps.has(span.index)) visit.own += selfTimeOf(trace, span);
    if (span.failed && !span.children.some((child) => spans[child]?.failed)) visit.errorOrigins += 1;
  }
  return { traceId: trace.traceId, startTime: trace.startTime, visits };
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** The visit that each span works for. */
function ownersOf(
  { spans, roots }: Trace,
  entries: readonly { readonly span: number; readonly isInferred: boolean }[],
): Int32Array {
  const owner = new Int32Array(spans.length).fill(-1);
  for (const [index, { span, isInferred }] of entries.entries()) if (!isInferred) owner[span] = index;
  const open = [...roots];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { parent, children } = spans[at] as TraceSpan;
    if (owner[at] === -1 && parent >= 0) owner[at] = owner[parent] as number;
    for (const child of children) open.push(child);
  }
  return owner;
}

/** Whether a span is nothing but the caller's side of one call, so that its time beside the callee's is the way between them. */
function isCallOf(parent: TraceSpan, { index }: TraceSpan, callerEntry: number | undefined): boolean {
  if (parent.children.length !== 1 || parent.index === callerEntry) return false;
  const isCall = parent.kind === SpanKind.Client || parent.table.kind[parent.row] === SpanKind.Unspecified;
  return isCall && parent.children[0] === index;
}
