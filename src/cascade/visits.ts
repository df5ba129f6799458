import { sortFew } from "../base/sort-few.ts";
import { judgedSpansMax } from "../model/scoring.ts";
import { SpanKind } from "../model/span-table.ts";
import type { Call, TraceCalls } from "../trace/calls.ts";
import { durationNanosOf } from "../trace/extract-calls.ts";
import { semanticsOf } from "../trace/semantics.ts";
import { parentOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import { isAsynchronous } from "../trace/waiting.ts";

/** One request as one service worked on it: the span that received it, and the local work below. */
export interface Visit {
  readonly service: string;
  /** of the span that received it */
  readonly operation: string;
  /** that span, as index in `Trace.spans` */
  readonly entry: number;
  /** which process of the service; "" = unknown */
  readonly instance: string;
  /** the visit that it was called from, which comes before it; -1 = none */
  readonly parent: number;
  /** null where a duration says nothing (unfinished, streams) */
  readonly durationNanos: number | null;
  /** what of it was not spent waiting for others; null as above */
  readonly ownNanos: number | null;
  /** whether any of its spans failed */
  readonly failed: boolean;
  /** whether the span that received it did: all that its caller gets to see */
  readonly answerFailed: boolean;
  /** what it did, in the order of spans; one thing may come several times */
  readonly steps: readonly Step[];
}

/**
 * One thing that a visit did: local work (`step`), a call that another service answered (`call`) or that no span answers
 * (`peer`), or a message that was worked on elsewhere (`message`).
 */
export interface Step {
  readonly kind: "step" | "call" | "peer" | "message";
  /** "" for local work */
  readonly callee: string;
  readonly operation: string;
  readonly start: number;
}

/** What visits can have in common, whichever window they are of. */
export interface StepName extends Pick<Step, "kind" | "callee" | "operation"> {}

/** A call between two visits, or to a peer without spans of its own, or the way of a message. */
export interface VisitCall {
  readonly kind: "call" | "peer" | "message";
  readonly callerVisit: number;
  /** -1 for a peer */
  readonly calleeVisit: number;
  /** the span of the caller that made it, as index in `Trace.spans` */
  readonly span: number;
  readonly callee: string;
  readonly operation: string;
  /** name of the span that did nothing but make this call; "" = there is none, or nobody answered */
  readonly via: string;
  /**
   * what it lost beyond the callee's work; for a peer how long it took in all, for a message from its sending until work
   * on it began. Null = unknown
   */
  readonly nanos: number | null;
  /** of what a call lost, the time before the callee began, by the clocks as they were sent; null = unknown */
  readonly requestNanos: number | null;
  /** what of the caller's time passed in waiting for it: all waits of a visit and its own time add up to its duration */
  readonly waitedNanos: number;
  /** the end of that, when the caller waited for nothing else: a faster answer of it alone saves no more */
  readonly aloneNanos: number;
  readonly failed: boolean;
}

export interface TraceVisits {
  readonly visits: readonly Visit[];
  readonly calls: readonly VisitCall[];
  /** by index of the span, its visit */
  readonly visitOf: Int32Array;
}

/**
 * A trace as visits of services, and calls between them. A call loses time on the way there and on the way back; both are
 * read from the clocks as they were sent, because correcting clocks would make them equal.
 *
 *   web     |==========---------------====|     a visit; waiting (---) is not its own time
 *     web             [===============]         the call
 *       cart             |========|             another visit
 *                     ^^^          ^^^^         request and response
 *
 * Where no kinds are known, a span that does nothing but have another service work is the call. `calls` = those of the trace.
 */
export function visitsOf(trace: Trace, { calls }: TraceCalls): TraceVisits {
  const walk: Walk = {
    trace,
    peers: peerCallsOf(calls),
    drafts: [],
    calls: [],
    visitOf: new Int32Array(trace.spans.length),
    nextOfVisit: new Int32Array(trace.spans.length).fill(-1),
  };
  const open: number[] = [];
  for (const root of trace.roots) {
    open.push(root);
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      const span = trace.spans[index] as TraceSpan;
      enter(walk, span);
      for (let i = span.children.length - 1; i >= 0; i -= 1) open.push(span.children[i] as number);
    }
  }
  // calls go between visits, so all visits come first
  for (const draft of walk.drafts)
    for (let index = draft.entry.index; index >= 0; index = walk.nextOfVisit[index] as number)
      leave(walk, draft, trace.spans[index] as TraceSpan);
  return { visits: walk.drafts.map(finished), calls: walk.calls, visitOf: walk.visitOf };
}

/** What tells a step from others. */
export function stepText({ kind, callee, operation }: StepName): string {
  return `${kind}\u0000${callee}\u0000${operation}`;
}

/** Whether a trace is whole, and small enough to say what requests do as a rule. */
export function isJudged({ spans, omittedSpans }: Trace): boolean {
  return omittedSpans === 0 && spans.length <= judgedSpansMax;
}

/**
 * By visit, 1 = it did all of its work as far as it tells itself: neither it nor the call that it answered failed, and its
 * answer was neither a refusal nor a redirection, after which the rest is left out for a reason. None of a trace that is not
 * judged.
 */
export function plainVisits(trace: Trace, { visits, calls }: TraceVisits): Uint8Array {
  const isPlain = new Uint8Array(visits.length);
  if (!isJudged(trace)) return isPlain;
  for (const [index, { entry, failed, durationNanos }] of visits.entries()) {
    if (failed || durationNanos === null) continue;
    const { table, row } = trace.spans[entry] as TraceSpan;
    if (!semanticsOf(table).isTurnedAway(row)) isPlain[index] = 1;
  }
  for (const { calleeVisit, failed } of calls) if (failed && calleeVisit >= 0) isPlain[calleeVisit] = 0;
  return isPlain;
}

interface Walk {
  readonly trace: Trace;
  /** by index of the calling span */
  readonly peers: ReadonlyMap<number, Call>;
  readonly drafts: Draft[];
  readonly calls: DraftCall[];
  readonly visitOf: Int32Array;
  /** by index of the span, the next one of its visit; -1 = none */
  readonly nextOfVisit: Int32Array;
}

interface DraftCall extends VisitCall {
  waitedNanos: number;
  aloneNanos: number;
}

/** A time in which a visit waited for a call. */
interface Wait {
  readonly call: DraftCall;
  readonly start: number;
  readonly end: number;
}

interface Draft {
  readonly index: number;
  readonly entry: TraceSpan;
  readonly parent: number;
  /** index of its last span so far */
  last: number;
  steps: Step[];
  /** when it waited for others */
  waits: Wait[];
  failed: boolean;
}

/** The calls that no span answers, by the span that made them. */
function peerCallsOf(calls: readonly Call[]): ReadonlyMap<number, Call> {
  const peers = new Map<number, Call>();
  for (const call of calls)
    if (call.server === null && call.client !== null && call.calleeKind !== "unknown")
      peers.set(call.client.span, call);
  return peers;
}

function enter(walk: Walk, span: TraceSpan): void {
  const parent = parentOf(walk.trace.spans, span);
  const above = parent === undefined ? -1 : (walk.visitOf[parent.index] as number);
  let draft = above < 0 ? undefined : walk.drafts[above];
  if (draft === undefined || isEntry(parent, span)) {
    const index = walk.drafts.length;
    const last = span.index;
    draft = { index, entry: span, parent: above, last, steps: noSteps, waits: noWaits, failed: false };
    walk.drafts.push(draft);
  } else {
    walk.nextOfVisit[draft.last] = span.index;
    draft.last = span.index;
  }
  walk.visitOf[span.index] = draft.index;
  if (span.failed) draft.failed = true;
}

/** Whether a span received a request: from another service, or from a client of its own one. */
function isEntry(parent: TraceSpan | undefined, { service, kind }: TraceSpan): boolean {
  if (parent === undefined || parent.service !== service) return true;
  return (
    (kind === SpanKind.Server && parent.kind === SpanKind.Client) ||
    (kind === SpanKind.Consumer && parent.kind === SpanKind.Producer)
  );
}

/** What a span adds to its visit: a step, or calls and the time that it waited for them. */
function leave(walk: Walk, draft: Draft, span: TraceSpan): void {
  const { trace, peers } = walk;
  let answered = 0;
  for (const child of span.children) {
    const remote = trace.spans[child] as TraceSpan;
    if (!isEntry(span, remote)) continue;
    if (isAsynchronous(span, remote)) addMessage(walk, draft, { from: span, to: remote });
    else addCall(walk, draft, { from: span, to: remote });
    answered += 1;
  }
  const peer = peers.get(span.index);
  if (peer !== undefined) addPeer(walk, draft, { span, peer });
  else if (answered === 0 && span !== draft.entry)
    addStep(draft, { kind: "step", callee: "", operation: span.operation, start: span.start });
}

/** Until there is one. An array that begins empty takes room for seventeen with the first item, and most visits have few. */
const noSteps: Step[] = [];
const noWaits: Wait[] = [];

function addStep(draft: Draft, step: Step): void {
  if (draft.steps === noSteps) draft.steps = [step];
  else draft.steps.push(step);
}

function addWait(draft: Draft, wait: Wait): void {
  if (draft.waits === noWaits) draft.waits = [wait];
  else draft.waits.push(wait);
}

interface Ends {
  readonly from: TraceSpan;
  readonly to: TraceSpan;
}

/**
 * Nothing was waited for yet. Not 0: the engine gives a field that starts as a small integer a place for one, and copies every call
 * when a fraction is added, which took a twentieth of the analysis of a window.
 */
const noTime = -0;

function addCall({ calls, visitOf }: Walk, draft: Draft, { from, to }: Ends): void {
  const { service: callee, operation, start, end } = to;
  const hasGap = from.children.length === 1 && mayBeCall(from);
  const [outer, inner] = [durationNanosOf(from), durationNanosOf(to)];
  const call: DraftCall = {
    kind: "call",
    callerVisit: draft.index,
    calleeVisit: visitOf[to.index] as number,
    span: from.index,
    callee,
    operation,
    via: hasGap ? from.operation : "",
    nanos: hasGap && outer !== null && inner !== null ? outer - inner : null,
    requestNanos: hasGap ? sentStart(to) - sentStart(from) : null,
    waitedNanos: noTime,
    aloneNanos: noTime,
    failed: from.failed || to.failed,
  };
  calls.push(call);
  addWait(draft, hasGap ? { call, start: from.start, end: from.end } : { call, start, end });
  addStep(draft, { kind: "call", callee, operation, start });
}

function addMessage({ calls, visitOf }: Walk, draft: Draft, { from, to }: Ends): void {
  const { service: callee, operation, start, failed } = to;
  // a clock that is behind shows a beginning before the sending
  const waited = Math.max(0, sentStart(to) - sentStart(from));
  calls.push({
    kind: "message",
    callerVisit: draft.index,
    calleeVisit: visitOf[to.index] as number,
    span: from.index,
    callee,
    operation,
    via: "",
    nanos: waited,
    requestNanos: null,
    waitedNanos: noTime,
    aloneNanos: noTime,
    failed,
  });
  addStep(draft, { kind: "message", callee, operation, start });
}

function addPeer({ calls }: Walk, draft: Draft, { span, peer }: { span: TraceSpan; peer: Call }): void {
  const { start, end, operation, failed } = span;
  const call: DraftCall = {
    kind: "peer",
    callerVisit: draft.index,
    calleeVisit: -1,
    span: span.index,
    callee: peer.callee,
    operation,
    via: "",
    nanos: durationNanosOf(span),
    requestNanos: null,
    waitedNanos: noTime,
    aloneNanos: noTime,
    failed,
  };
  calls.push(call);
  addWait(draft, { call, start, end });
  addStep(draft, { kind: "peer", callee: peer.callee, operation, start });
}

/** Whether a span may be the caller's half of a call: a client, or work of which no kind is known. */
function mayBeCall({ kind, table, row }: TraceSpan): boolean {
  if (kind === SpanKind.Client || kind === SpanKind.Producer) return true;
  return kind === SpanKind.Internal && table.kind[row] === SpanKind.Unspecified;
}

function sentStart({ start, clockShift }: TraceSpan): number {
  return start - clockShift;
}

function finished({ entry, parent, steps, waits, failed }: Draft): Visit {
  const durationNanos = durationNanosOf(entry);
  const { service, operation, instance, failed: answerFailed } = entry;
  const ownNanos = durationNanos === null ? null : Math.max(0, durationNanos - waitedNanos(entry, waits));
  return {
    entry: entry.index,
    service,
    operation,
    instance,
    parent,
    durationNanos,
    ownNanos,
    failed,
    answerFailed,
    steps,
  };
}

/**
 * The length of the union of all waits, within the visit. Where calls ran at one time, it is the one that ended last that was
 * waited for. `waits` is sorted in place, and its calls are told what was waited for them, and for them alone.
 *
 *   visit   [===------------===]
 *     a        |====---|           waited for until b starts; alone until then
 *     b             |=======|      waited for all of its time; alone after a
 */
function waitedNanos({ start, end }: TraceSpan, waits: Wait[]): number {
  sortFew(waits, (a, b) => b.end - a.end || b.start - a.start);
  let waited = 0;
  let until = end;
  for (let i = 0; i < waits.length; i += 1) {
    const wait = waits[i] as Wait;
    const from = Math.max(start, wait.start);
    const nanos = Math.min(until, wait.end) - from;
    if (nanos <= 0) continue;
    const next = waits[i + 1];
    wait.call.waitedNanos += nanos;
    // those that follow end earlier: the next one is the last that ran beside it
    const aloneFrom = next === undefined ? from : Math.max(from, next.end);
    wait.call.aloneNanos += Math.max(0, from + nanos - aloneFrom);
    waited += nanos;
    until = from;
  }
  return waited;
}
