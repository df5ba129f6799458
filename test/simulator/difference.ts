import { hasEnded, type Recording, type SimRequest, type SimSpan } from "./recording.ts";
import { nameOfTarget, type Operation } from "./topology.ts";

/** How a failure or a delay got from one node to the next. */
export type Propagation =
  | "error"
  | "timeout"
  | "unreachable"
  | "overloaded"
  | "slow"
  | "retried"
  | "breaker"
  | "missing_call"
  | "queue_lag"
  | "not_consumed";

/** What the fault did to one request: the run with it against the run without. */
export interface RequestDifference {
  readonly request: SimRequest;
  readonly entry: Operation;
  /** with the fault, and not without */
  readonly hasFailed: boolean;
  readonly isWrong: boolean;
  /** longer with the fault than without, ms; null where one of both gave no answer */
  readonly addedMs: number | null;
  readonly spans: readonly SpanDifference[];
}

/** What the fault did to one span. */
interface SpanDifference {
  readonly span: SimSpan;
  readonly change: "failed" | "slow" | "missing" | "extra" | "late";
  /** ms since the start of the window */
  readonly time: number;
}

export interface EdgeDifference {
  readonly caller: string;
  readonly callee: string;
  readonly mechanism: Propagation;
  readonly time: number;
}

/** Slower by more than both of these, or later by more than the last: less would not be noticed. */
const slowMsMin = 2;
const slowRatioMin = 0.15;
const lateMsMin = 100;

/** What the fault changed, request by request: both runs drew the same numbers for everything else. */
export function requestDifferences(off: Recording, on: Recording): RequestDifference[] {
  const before = spansByRequest(off);
  const after = spansByRequest(on);
  const requestsBefore = new Map(off.requests.map((request) => [request.label, request]));
  const differences: RequestDifference[] = [];
  for (const request of on.requests) {
    if (request.operation === null) continue;
    const twin = requestsBefore.get(request.label);
    const failsBefore = twin !== undefined && hasRequestFailed(twin);
    differences.push({
      request,
      entry: request.operation,
      hasFailed: hasRequestFailed(request) && !failsBefore,
      isWrong: request.isWrong && !(twin?.isWrong ?? false),
      addedMs: twin === undefined ? null : addedMs(twin.root, request.root),
      spans: twin === undefined ? [] : spanDifferences(before.get(request.label), after.get(request.label)),
    });
  }
  return differences;
}

/** No answer is a failure too. */
export function hasRequestFailed({ root }: SimRequest): boolean {
  return root === null || !hasEnded(root) || root.failure !== null;
}

type SpansByKey = ReadonlyMap<number, SimSpan>;

/** The exported spans of each request, by label and key. */
export function spansByRequest({ spans }: Recording): ReadonlyMap<string, SpansByKey> {
  const result = new Map<string, Map<number, SimSpan>>();
  for (const span of spans) {
    if (!hasEnded(span)) continue;
    const spansOf = result.get(span.request.label) ?? new Map<number, SimSpan>();
    result.set(span.request.label, spansOf);
    spansOf.set(span.key, span);
  }
  return result;
}

function addedMs(before: SimSpan | null, after: SimSpan | null): number | null {
  if (before === null || after === null || !hasEnded(before) || !hasEnded(after)) return null;
  return after.end - after.start - (before.end - before.start);
}

function spanDifferences(before: SpansByKey = new Map(), after: SpansByKey = new Map()): SpanDifference[] {
  const differences: SpanDifference[] = [];
  for (const [key, span] of after) {
    const twin = before.get(key);
    const time = span.start;
    if (twin === undefined) differences.push({ span, change: "extra", time });
    else if (span.failure !== null && twin.failure === null)
      differences.push({ span, change: "failed", time });
    else {
      const [was, is] = [twin.end - twin.start, span.end - span.start];
      if (is - was > Math.max(slowMsMin, was * slowRatioMin))
        differences.push({ span, change: "slow", time });
      const [lagBefore, lagAfter] = [lagOf(twin), lagOf(span)];
      if (lagAfter - lagBefore > lateMsMin) differences.push({ span, change: "late", time });
    }
  }
  for (const [key, span] of before)
    if (!after.has(key)) differences.push({ span, change: "missing", time: span.start });
  return differences;
}

/** How long a message waited for its consumer, ms; 0 for other spans. */
function lagOf({ role, parent, link, start }: SimSpan): number {
  const producer = parent ?? link;
  return role === "consumer" && producer !== null ? start - producer.end : 0;
}

/** The ways that the fault took in one request. */
export function edgeDifferences({ spans }: RequestDifference, on: SpansByKey): EdgeDifference[] {
  const edges: EdgeDifference[] = [];
  for (const { span, change, time } of spans) {
    const ends = endsOf(span);
    const mechanism = ends === null ? null : mechanismOf(span, change, on);
    if (ends !== null && mechanism !== null) edges.push({ ...ends, mechanism, time });
  }
  return edges;
}

function endsOf(span: SimSpan): { readonly caller: string; readonly callee: string } | null {
  if (span.role === "client" && span.call !== null)
    return { caller: span.instance.service.name, callee: nameOfTarget(span.call.to) };
  const producer = span.parent ?? span.link;
  if (span.role === "consumer" && producer !== null)
    return { caller: producer.instance.service.name, callee: span.instance.service.name };
  return null;
}

function mechanismOf(span: SimSpan, change: SpanDifference["change"], on: SpansByKey): Propagation | null {
  if (span.role === "consumer") {
    if (change === "late") return "queue_lag";
    const wasSent = span.parent === null || on.has(span.parent.key);
    return change === "missing" && wasSent ? "not_consumed" : null;
  }
  switch (change) {
    case "slow":
      return "slow";
    case "failed":
    case "extra":
      return span.failure === null ? (span.attempt > 0 ? "retried" : null) : mechanismOfFailure(span);
    case "missing":
      return mechanismOfMissing(span, on);
    case "late":
      return null;
  }
}

function mechanismOfFailure({ failure }: SimSpan): Propagation {
  switch (failure?.type) {
    case "timeout":
      return "timeout";
    case "refused":
    case "reset":
    case "dns":
      return "unreachable";
    case "overloaded":
      return "overloaded";
    case undefined:
    case "error":
    case "downstream":
    case "pool":
    case "breaker":
    case "query":
      return "error";
  }
}

/** A call that was no longer made: only where whoever makes it got that far, else it is a consequence of something before. */
function mechanismOfMissing({ parent, call }: SimSpan, on: SpansByKey): Propagation | null {
  const caller = parent === null ? undefined : on.get(parent.key);
  if (caller === undefined || call === null) return null;
  if (caller.withheld?.includes(call) === true) return "breaker";
  return caller.failure === null ? "missing_call" : null;
}
