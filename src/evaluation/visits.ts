import { visitsOf } from "../cascade/visits.ts";
import { evaluatedVisitsMax } from "../model/limits.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { callsOf } from "../trace/extract-calls.ts";
import { selfTimeOf } from "../trace/self-time.ts";
import type { Trace, TraceSpan } from "../trace/trace.ts";

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

/** The visits of one trace, callers before what they called. */
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
    const taken = requestsOf(trace);
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

/**
 * The visits that the engine sees, and its calls to peers as visits of them. Sampling weights are left aside: what is compared
 * was sampled alike.
 */
function requestsOf(trace: Trace): TraceVisits {
  const { visits, calls, visitOf } = visitsOf(trace, callsOf(trace));
  const { spans } = trace;
  const requests: Mutable<Visit>[] = visits.map(({ service, operation, parent, entry, answerFailed }) =>
    requestAt(spans[entry] as TraceSpan, { service, operation, caller: parent, failed: answerFailed }),
  );
  /** spans that are nothing but the caller's side of a call: their own time is its gap */
  const gaps = new Set<number>();
  /** by the span that called it */
  const peers = new Map<number, Mutable<Visit>>();
  for (const {
    kind,
    callerVisit: caller,
    calleeVisit,
    span,
    callee: service,
    operation,
    nanos,
    failed,
  } of calls) {
    const callee = requests[calleeVisit];
    if (kind === "call" && callee !== undefined && nanos !== null && span !== visits[caller]?.entry) {
      callee.gap = Math.max(0, nanos);
      gaps.add(span);
    } else if (kind === "peer") {
      const peer = requestAt(spans[span] as TraceSpan, { service, operation, caller, failed });
      peers.set(span, peer);
      requests.push(peer);
    }
  }
  for (const span of spans) {
    const request = peers.get(span.index) ?? requests[visitOf[span.index] as number];
    if (request === undefined) continue;
    if (!gaps.has(span.index)) request.own += selfTimeOf(trace, span);
    if (span.failed && !span.children.some((child) => spans[child]?.failed)) request.errorOrigins += 1;
  }
  return { traceId: trace.traceId, startTime: trace.startTime, visits: requests };
}

function requestAt(
  { start, end }: TraceSpan,
  known: Pick<Visit, "service" | "operation" | "caller" | "failed">,
): Mutable<Visit> {
  return { ...known, start, end, own: 0, gap: 0, errorOrigins: 0 };
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
