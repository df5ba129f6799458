import { failureOriginsMax, searchedSectionsMax } from "../model/limits.ts";
import { clockTickNanos, noSlowerFactorMax, serverShareMin } from "../model/scoring.ts";
import { SpanKind } from "../model/span-table.ts";
import { criticalPath } from "./critical-path.ts";
import { calleeNameOf, peerOf, remoteChild } from "./peers.ts";
import { semanticsOf } from "./semantics.ts";
import { shownErrorOf } from "./shown-error.ts";
import { isConnectionLost, isRejection, type SpanError } from "./span-error.ts";
import { durationOf, parentOf, type Trace, type TraceSpan } from "./trace.ts";
import { gaveUp, isAsynchronous } from "./waiting.ts";

/** Why a failure is said to have begun where it did. Spans are indices in `Trace.spans`. */
export type OriginReason =
  /** the work failed, and nothing that it waited for had failed */
  | { readonly kind: "own_error"; readonly error: SpanError | null }
  /** the callee (a peer without spans of its own, or one that does not mark its errors) answered with an error */
  | { readonly kind: "peer_error"; readonly error: SpanError | null }
  /** a peer without spans of its own did not answer in time */
  | { readonly kind: "peer_timeout"; readonly error: SpanError | null; readonly waitedNanos: number }
  /** the connection itself failed */
  | { readonly kind: "unreachable"; readonly error: SpanError | null }
  /** the caller gave up on work that reported no error; `selfNanos` of the wait went into this span itself */
  | {
      readonly kind: "slow_work";
      readonly giveUpSpan: number;
      readonly waitedNanos: number;
      readonly selfNanos: number;
    }
  /** the caller gave up, but the callee took no longer than it usually does */
  | { readonly kind: "tight_timeout"; readonly waitedNanos: number; readonly usualNanos: number }
  /** most of the caller's wait passed outside the callee */
  | { readonly kind: "network_gap"; readonly clientNanos: number; readonly serverNanos: number }
  /** the callee did its work without error; what the caller made of it failed (a 4xx answer, a broken contract) */
  | { readonly kind: "rejected_request"; readonly error: SpanError | null; readonly callee: string };

/**
 * One step of a failure's way, from the span that shows it to the one that it came from. Steps are linked, because
 * origins below one failure share most of their way.
 */
export interface OriginStep {
  readonly from: number;
  readonly to: number;
  /** the failed attempts of that call, the last one included */
  readonly attempts: readonly number[];
  /** the step before, nearer to the failure */
  readonly previous: OriginStep | null;
}

/** Where one failure of a trace began. */
export interface FailureOrigin {
  /** the topmost failed span: what the caller (or user) got to see */
  readonly failure: number;
  /** `visible` = a root failed; otherwise something above hid it: a later attempt or a fallback */
  readonly visibility: "visible" | "retried" | "masked";
  /** 0..1; branches that failed side by side share */
  readonly share: number;
  /** the span that shows the cause */
  readonly span: number;
  /** who is blamed: the span's own service or the peer that it called */
  readonly service: string;
  readonly isPeer: boolean;
  readonly edge: { readonly caller: string; readonly callee: string } | null;
  readonly reason: OriginReason;
  readonly lastStep: OriginStep | null;
}

/** How long an operation of a service usually takes, in nanoseconds; null where too little is known. */
export type UsualDuration = (service: string, operation: string) => number | null;

/**
 * For each failure of a trace, the work where it began: down from the topmost failed span through failed work that it
 * waited for, past attempts that a later one made good, into slow work when the caller only gave up waiting. Spans that
 * merely pass an error on are never the origin. The idea of exact counterfactuals inside a trace: had this span not
 * failed (or been slow), would the one above have?
 */
export function failureOrigins(trace: Trace, usualDuration: UsualDuration): readonly FailureOrigin[] {
  const origins: FailureOrigin[] = [];
  if (!trace.spans.some(({ failed }) => failed)) return origins;
  const search: Search = {
    trace,
    usualDuration,
    retries: new Retries(trace),
    isLookedThrough: new Map(),
    pathSectionsLeft: searchedSectionsMax,
  };
  for (const span of trace.spans) {
    if (!span.failed || isExplainedAbove(search, span)) continue;
    const visibility = visibilityOf(search, span);
    const open: Branch[] = [{ span, share: 1, step: null }];
    for (let branch = open.pop(); branch !== undefined; branch = open.pop()) {
      const causes = failedCauses(search, branch.span);
      for (const cause of causes) open.push(branchTo(branch, cause, causes.length));
      if (causes.length > 0) continue;
      const settled = settle(search, branch.span);
      origins.push({
        failure: span.index,
        visibility,
        share: branch.share,
        lastStep: branch.step,
        ...settled,
      });
    }
    if (origins.length >= failureOriginsMax) break;
  }
  return origins;
}

interface Search {
  readonly trace: Trace;
  readonly usualDuration: UsualDuration;
  readonly retries: Retries;
  /** local work that does not mark its errors -> whether it is part of failed work */
  readonly isLookedThrough: Map<number, boolean>;
  pathSectionsLeft: number;
}

/** Whether a failed span above waited for this one, directly or over local work that does not mark its errors. */
function isExplainedAbove({ trace, isLookedThrough }: Search, span: TraceSpan): boolean {
  const passed: number[] = [];
  let child = span;
  let isExplained = false;
  for (
    let parent = parentOf(trace.spans, child);
    parent !== undefined;
    parent = parentOf(trace.spans, child)
  ) {
    const isSameService = child === span || parent.service === child.service;
    if (!isSameService || !isWaitedFor(parent, child)) break;
    isExplained = parent.failed || isLookedThrough.get(parent.index) === true;
    if (isExplained || parent.kind !== SpanKind.Internal || isLookedThrough.has(parent.index)) break;
    passed.push(parent.index);
    child = parent;
  }
  for (const index of passed) isLookedThrough.set(index, isExplained);
  return isExplained;
}

function visibilityOf({ trace, retries }: Search, span: TraceSpan): FailureOrigin["visibility"] {
  const parent = parentOf(trace.spans, span);
  // a consumer's work is a request of its own: nothing above can hide its failure
  if (parent === undefined || isAsynchronous(parent, span)) return "visible";
  return retries.madeGood(span) ? "retried" : "masked";
}

interface Branch {
  readonly span: TraceSpan;
  readonly share: number;
  readonly step: OriginStep | null;
}

function branchTo(branch: Branch, { span, attempts }: Cause, branchCount: number): Branch {
  const step = {
    from: branch.span.index,
    to: span.index,
    attempts: attempts.map((attempt) => attempt.index),
    previous: branch.step,
  };
  return { span, share: branch.share / branchCount, step };
}

/** Which failed calls a later call of the same kind under the same parent made good. */
class Retries {
  readonly #trace: Trace;
  /** parent -> callee -> operation -> latest start of one that went well */
  readonly #lastSuccess = new Map<number, Map<string, Map<string, number>>>();

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  madeGood(failed: TraceSpan): boolean {
    if (failed.parent < 0) return false;
    let successes = this.#lastSuccess.get(failed.parent);
    if (successes === undefined) {
      successes = this.#successesBelow(this.#trace.spans[failed.parent] as TraceSpan);
      this.#lastSuccess.set(failed.parent, successes);
    }
    const last = successes.get(calleeNameOf(this.#trace, failed))?.get(failed.operation);
    return last !== undefined && last >= failed.end;
  }

  #successesBelow({ children }: TraceSpan): Map<string, Map<string, number>> {
    const successes = new Map<string, Map<string, number>>();
    // children come by start: the latest one stays
    for (const index of children) {
      const child = this.#trace.spans[index] as TraceSpan;
      if (child.failed) continue;
      const callee = calleeNameOf(this.#trace, child);
      const known = successes.get(callee);
      if (known === undefined) successes.set(callee, new Map([[child.operation, child.start]]));
      else known.set(child.operation, child.start);
    }
    return successes;
  }
}

interface Cause {
  readonly span: TraceSpan;
  readonly attempts: readonly TraceSpan[];
}

/**
 * The failed work that made this span fail: the call that failed last, with those that ran beside it.
 *
 *   span   [==================x]
 *     a       [===x]                 made good by the next attempt: not a cause
 *     a             [===]
 *     b               [======x]      failed last: the cause
 *     c                [====x]       failed beside b: shares
 */
function failedCauses({ trace, retries }: Search, span: TraceSpan): readonly Cause[] {
  const failed = failedChildren(trace, span);
  if (failed.length === 0) return [];
  let lasting: readonly TraceSpan[] = failed.filter((child) => !retries.madeGood(child));
  if (lasting.length === 0) {
    if (errorOf(span)?.kind === "exception") return [];
    lasting = failed;
  }
  if (lasting.length === 1) return [{ span: lasting[0] as TraceSpan, attempts: lasting }];
  const byCall = new Map<string, TraceSpan[]>();
  for (const child of lasting) {
    const call = `${calleeNameOf(trace, child)}\u0000${child.operation}`;
    const attempts = byCall.get(call);
    if (attempts === undefined) byCall.set(call, [child]);
    else attempts.push(child);
  }
  const causes = [...byCall.values()].map((attempts) => ({ span: lastEnded(attempts), attempts }));
  const last = lastEnded(causes.map((cause) => cause.span));
  return causes.filter(
    ({ span: cause }) => cause === last || (cause.end > last.start && cause.start < last.end),
  );
}

/**
 * Failed children that the span waited for; local work that does not mark its own errors is looked through. Where the span
 * gave up, what it called off is an effect and no cause.
 */
function failedChildren(trace: Trace, span: TraceSpan): readonly TraceSpan[] {
  const failed: TraceSpan[] = [];
  const open = [span];
  for (let at = open.pop(); at !== undefined; at = open.pop())
    for (const index of at.children) {
      const child = trace.spans[index] as TraceSpan;
      if (!isWaitedFor(at, child)) continue;
      if (child.failed) failed.push(child);
      else if (child.kind === SpanKind.Internal && child.service === span.service) open.push(child);
    }
  failed.sort((a, b) => a.index - b.index);
  if (failed.length === 0 || !gaveUp(span)) return failed;
  return failed.filter((child) => errorOf(child)?.kind !== "cancelled");
}

function isWaitedFor(parent: TraceSpan, child: TraceSpan): boolean {
  return child.start <= parent.end + clockTickNanos && !isAsynchronous(parent, child);
}

function lastEnded(spans: readonly TraceSpan[]): TraceSpan {
  return spans.reduce((last, span) => (span.end > last.end ? span : last));
}

function errorOf(span: TraceSpan): SpanError | null {
  return semanticsOf(span.table).errorOf(span.row);
}

type Settled = Pick<FailureOrigin, "span" | "service" | "isPeer" | "edge" | "reason">;

/** What a failed span without failed causes says about the origin. */
function settle(search: Search, span: TraceSpan): Settled {
  const { trace } = search;
  const error = shownErrorOf(trace, span);
  const isTimeout = error?.kind === "timeout" || error?.kind === "cancelled";
  const isCall = span.kind === SpanKind.Client || span.kind === SpanKind.Producer;
  const callee = isCall ? remoteChild(trace, span) : undefined;
  if ((isTimeout || (error === null && isOutlived(trace, span))) && (callee !== undefined || !isCall)) {
    const slow = slowWork(search, span, callee);
    if (slow !== null) return slow;
  }
  if (!isCall) return ownError(span, error);
  return callee === undefined ? settlePeer(trace, span, error) : settleAnswered(span, callee, error);
}

/** The span ended while work that it waited for went on. */
function isOutlived(trace: Trace, span: TraceSpan): boolean {
  return span.children.some((index) => {
    const child = trace.spans[index] as TraceSpan;
    return child.end > span.end && child.start < span.end && !child.isOpenEnded && isWaitedFor(span, child);
  });
}

/**
 * The caller gave up waiting: the cause is where the wait went, followed along the critical path up to the deadline.
 *
 *   client   [==============x]          gave up here
 *     server   [==================]     says it was fine
 *       db       [===============]      most of the wait: the cause
 */
function slowWork(search: Search, span: TraceSpan, callee: TraceSpan | undefined): Settled | null {
  const { trace, usualDuration } = search;
  if (search.pathSectionsLeft <= 0) return null;
  const path = criticalPath(trace, span.index);
  search.pathSectionsLeft -= path.length + span.children.length;
  const waitedNanos = durationOf(span);
  const selfNanos = new Map<number, number>();
  for (const { span: at, start, end } of path) selfNanos.set(at, (selfNanos.get(at) ?? 0) + (end - start));
  const ownNanos = selfNanos.get(span.index) ?? 0;
  if (callee !== undefined && waitedNanos > 0 && ownNanos > (1 - serverShareMin) * waitedNanos)
    return networkGap(span, callee);
  selfNanos.delete(span.index);
  let slowest: TraceSpan | null = null;
  let slowestNanos = 0;
  for (const [index, nanos] of selfNanos)
    if (nanos > slowestNanos) {
      slowest = trace.spans[index] as TraceSpan;
      slowestNanos = nanos;
    }
  if (slowest === null || slowestNanos <= ownNanos) return null;
  const usualNanos = callee === undefined ? null : usualDuration(callee.service, callee.operation);
  if (callee !== undefined && usualNanos !== null && durationOf(callee) <= usualNanos * noSlowerFactorMax)
    return {
      ...ownError(span, null),
      edge: { caller: span.service, callee: callee.service },
      reason: { kind: "tight_timeout", waitedNanos, usualNanos },
    };
  const slowCallee = slowest.kind === SpanKind.Client ? remoteChild(trace, slowest) : undefined;
  if (slowCallee !== undefined) return networkGap(slowest, slowCallee);
  const peer = slowest.kind === SpanKind.Client ? peerOf(trace, slowest) : null;
  return {
    span: slowest.index,
    service: peer?.name ?? slowest.service,
    isPeer: peer !== null,
    edge: peer === null ? null : { caller: slowest.service, callee: peer.name },
    reason: { kind: "slow_work", giveUpSpan: span.index, waitedNanos, selfNanos: slowestNanos },
  };
}

function networkGap(client: TraceSpan, server: TraceSpan): Settled {
  return {
    span: client.index,
    service: server.service,
    isPeer: false,
    edge: { caller: client.service, callee: server.service },
    reason: { kind: "network_gap", clientNanos: durationOf(client), serverNanos: durationOf(server) },
  };
}

function ownError(span: TraceSpan, error: SpanError | null): Settled {
  return {
    span: span.index,
    service: span.service,
    isPeer: false,
    edge: null,
    reason: { kind: "own_error", error },
  };
}

/** A failed call whose callee has no span in the trace. */
function settlePeer(trace: Trace, span: TraceSpan, error: SpanError | null): Settled {
  const peer = peerOf(trace, span);
  if (peer === null) return ownError(span, error);
  const edge = { caller: span.service, callee: peer.name };
  const at = { span: span.index, service: peer.name, isPeer: true, edge };
  if (error?.kind === "unreachable") return { ...at, reason: { kind: "unreachable", error } };
  if (error?.kind === "timeout" || error?.kind === "cancelled")
    return { ...at, reason: { kind: "peer_timeout", error, waitedNanos: durationOf(span) } };
  if (error !== null && isRejection(error))
    return { ...ownError(span, error), edge, reason: { kind: "rejected_request", error, callee: peer.name } };
  return { ...at, reason: { kind: "peer_error", error } };
}

/** A failed call whose callee reports no error: the answer was lost, or was an error that the callee did not mark, or was refused. */
function settleAnswered(span: TraceSpan, callee: TraceSpan, error: SpanError | null): Settled {
  if (error !== null && (error.kind === "unreachable" || isConnectionLost(error)))
    return networkGap(span, callee);
  const edge = { caller: span.service, callee: callee.service };
  if (error?.kind === "status" && !isRejection(error))
    return {
      span: span.index,
      service: callee.service,
      isPeer: false,
      edge,
      reason: { kind: "peer_error", error },
    };
  return {
    ...ownError(span, error),
    edge,
    reason: { kind: "rejected_request", error, callee: callee.service },
  };
}
