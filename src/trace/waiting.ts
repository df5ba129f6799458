import { clockTickNanos, clockToleranceShare } from "../model/scoring.ts";
import { SpanKind } from "../model/span-table.ts";
import { semanticsOf } from "./semantics.ts";
import type { TraceSpan } from "./trace.ts";

/** Whether the child runs on its own time: whoever sends a message does not wait for the one who gets it. */
export function isAsynchronous(parent: TraceSpan, child: TraceSpan): boolean {
  if (parent.kind === SpanKind.Producer) return true;
  // a poll and the work on what it brought are one flow
  return (
    child.kind === SpanKind.Consumer &&
    (parent.kind !== SpanKind.Consumer || parent.service !== child.service)
  );
}

/** Whether two spans may have been timed by different clocks: other hosts, or other services where a host is not known. */
export function haveDifferentClocks(a: TraceSpan, b: TraceSpan): boolean {
  return a.host !== b.host || (a.host === "" && a.service !== b.service);
}

/** Earlier than any time. */
const neverWaited = Number.NEGATIVE_INFINITY;

/**
 * Until when a parent waited for its child, at most its own end; `neverWaited` if it did not wait for it. Local work that
 * outlives its parent was not waited for, unless the parent gave up on it or was itself cut off; a callee was:
 *
 *   client   [===========x]             waited until its end, then gave up
 *     server    [=================]
 */
export function waitedUntil(parent: TraceSpan, child: TraceSpan, isCutOff = false): number {
  if (child.start > parent.end || child.end < parent.start || isAsynchronous(parent, child))
    return neverWaited;
  if (child.end <= parent.end) return child.end;
  // who opened a connection goes on while it stays open
  if (child.isOpenEnded && !parent.isOpenEnded) return neverWaited;
  const overrun = child.end - parent.end;
  const isWithinTolerance =
    overrun <= (parent.end - parent.start) * clockToleranceShare &&
    (overrun < clockTickNanos || haveDifferentClocks(parent, child));
  const isWaited = isWithinTolerance || isCutOff || areCallHalves(parent, child) || gaveUp(parent);
  return isWaited ? parent.end : neverWaited;
}

/**
 * Whether a span ended because whoever waited for it gave up: its connection was closed while it was at work. Such a span
 * did wait for what goes on below it.
 *
 *   client     [=============x]          gave up
 *     server      [===========]          cut off, and reports no error
 *       client      [===============]    was still waiting
 */
export function wasCutOff(parent: TraceSpan, child: TraceSpan, isParentCutOff: boolean): boolean {
  if (!isParentCutOff && !gaveUp(parent)) return false;
  return child.end >= parent.end - (parent.end - parent.start) * clockToleranceShare;
}

/**
 * Whether two spans are the halves of a call, so that the callee must lie within its caller: a client and what answers it,
 * or spans of two services where no kinds are known. What a server calls without a client span may go on after its answer.
 */
export function areCallHalves(parent: TraceSpan, child: TraceSpan): boolean {
  if (parent.kind === SpanKind.Client)
    return child.kind === SpanKind.Server || child.service !== parent.service;
  return child.service !== parent.service && hasNoKind(parent) && hasNoKind(child);
}

function hasNoKind({ table, row }: TraceSpan): boolean {
  return table.kind[row] === SpanKind.Unspecified;
}

/** Whether a failed span may have stopped waiting before its work was done; one without details may. */
export function gaveUp(span: TraceSpan): boolean {
  if (!span.failed) return false;
  const error = semanticsOf(span.table).errorOf(span.row);
  return error === null || error.kind === "timeout" || error.kind === "cancelled";
}
