import type { PathSection } from "../trace/critical-path.ts";
import { remoteChild } from "../trace/peers.ts";
import { semanticsOf } from "../trace/semantics.ts";
import { durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import { type CauseKind, type Edge, edgeKey } from "./candidate.ts";
import { Connections, type EndpointVotes, lostBefore, lostSide } from "./network-gap.ts";
import { ownerOf, type TimeOwner } from "./time-owner.ts";
import type { Population, Usual, UsualTime } from "./usual.ts";

/** A part of a request's time on the critical path, and who answers for it. */
export interface PathBlame extends Omit<TimeOwner, "kind"> {
  readonly kind: CauseKind;
  /** where most of it was spent */
  readonly span: TraceSpan;
  /** of the critical path */
  readonly nanos: number;
  /** what of it is more than usual; all of it where nothing is known to compare with */
  readonly excessNanos: number;
  /** the whole request or call that the part belongs to */
  readonly whole: TraceSpan;
  /** of the whole; for a connection, of what its calls lose on the way */
  readonly usual: UsualTime | null;
  /** for a connection: how the other connections of both ends fared */
  readonly votes: EndpointVotes | null;
  /** where it stands for work that a hidden failure made necessary: whose work, and how seldom healthy requests need it */
  readonly instead: (StepShare & { readonly service: string }) | null;
}

interface StepShare {
  readonly shown: number;
  readonly compared: number;
}

export interface PathQuestion {
  readonly root: TraceSpan;
  readonly usual: Usual;
  readonly scope: Population;
}

/**
 * The critical path by who answers for it: the own work of each request that a service handled, calls to peers, and what
 * of a call passed between the services. What is unusual is told by subtraction, so that only the usual durations of
 * requests need to be known: the excess of a request that the calls below it do not explain is its own.
 *
 *   web     [==================]   200 ms more than usual    own work of web:    50 ms
 *     cart     [===========]       150 ms more than usual    own work of cart:  150 ms
 */
export function pathBlames(
  trace: Trace,
  path: readonly PathSection[],
  { root, usual, scope }: PathQuestion,
): readonly PathBlame[] {
  const walk = walkOf(trace, path, root);
  const blames: PathBlame[] = [];
  const late = new Map<string, LateConnection>();
  // children before parents: what calls explain is known before the request that made them is looked at
  for (const span of walk.order.toReversed()) {
    const nanos = walk.onPath[span.index] as number;
    const entry = walk.entryOf[span.index] as number;
    if (nanos > 0) {
      const owner = ownerOf(trace, span);
      // nobody is to blame for how long others listen
      if (semanticsOf(span.table).isStream(span.row)) addAt(walk.explained, entry, nanos);
      else if (owner.edge === null) noteOwnWork(walk, span, nanos);
      else if (owner.isPeer) {
        const known = usual.durationOf(owner.service, span.operation);
        const excessNanos = Math.max(0, nanos - (known?.nanos ?? 0));
        addAt(walk.explained, entry, excessNanos);
        blames.push({
          ...owner,
          span,
          nanos,
          excessNanos,
          whole: span,
          usual: known,
          votes: null,
          instead: null,
        });
      } else {
        const known = usual.gapOf(owner.edge.caller, owner.edge.callee);
        const excessNanos = Math.max(0, nanos - (known?.nanos ?? 0));
        addAt(walk.explained, entry, excessNanos);
        const gap = { owner, connection: owner.edge, span, nanos, excessNanos, usual: known };
        noteGap(late, { ...gap, ...placedGap(trace, span) });
      }
    }
    if (entry === span.index) settleRequest(trace, walk, { span, usual, blames });
  }
  return [...blames, ...judgeConnections(trace, { late, blames, usual, scope })];
}

/** Sums by index in `Trace.spans`; times in nanoseconds on the critical path. */
interface Walk {
  /** the spans below the root, parents before children */
  readonly order: readonly TraceSpan[];
  /** the span with which the request began that a span is part of */
  readonly entryOf: Int32Array;
  readonly onPath: Float64Array;
  /** with everything below */
  readonly below: Float64Array;
  /** by entry: own work of the request, where most of it was spent, and the excess of the calls that it made */
  readonly own: Float64Array;
  readonly heaviest: Int32Array;
  readonly explained: Float64Array;
}

function walkOf({ spans }: Trace, path: readonly PathSection[], root: TraceSpan): Walk {
  const entryOf = new Int32Array(spans.length).fill(-1);
  const onPath = new Float64Array(spans.length);
  for (const { span, start, end } of path) addAt(onPath, span, end - start);
  const order = [root];
  entryOf[root.index] = root.index;
  for (let i = 0; i < order.length; i += 1) {
    const span = order[i] as TraceSpan;
    for (const index of span.children) {
      const child = spans[index] as TraceSpan;
      entryOf[index] = child.service === span.service ? (entryOf[span.index] as number) : index;
      order.push(child);
    }
  }
  const below = Float64Array.from(onPath);
  for (let i = order.length - 1; i > 0; i -= 1) {
    const { index, parent } = order[i] as TraceSpan;
    addAt(below, parent, below[index] as number);
  }
  return {
    order,
    entryOf,
    onPath,
    below,
    own: new Float64Array(spans.length),
    heaviest: new Int32Array(spans.length).fill(-1),
    explained: new Float64Array(spans.length),
  };
}

function addAt(sums: Float64Array, index: number, amount: number): void {
  sums[index] = (sums[index] as number) + amount;
}

function noteOwnWork({ entryOf, own, heaviest, onPath }: Walk, span: TraceSpan, nanos: number): void {
  const entry = entryOf[span.index] as number;
  addAt(own, entry, nanos);
  const known = heaviest[entry] as number;
  if (known < 0 || nanos >= (onPath[known] as number)) heaviest[entry] = span.index;
}

/** The own work of a request, once all below it is known, and what the request explains of its caller's excess. */
function settleRequest(
  trace: Trace,
  { entryOf, below, own, heaviest, explained }: Walk,
  { span, usual, blames }: { readonly span: TraceSpan; readonly usual: Usual; readonly blames: PathBlame[] },
): void {
  const { index, service, operation, parent } = span;
  const ownNanos = own[index] as number;
  const byCalls = explained[index] as number;
  const known = span.isOpenEnded ? null : usual.durationOf(service, operation);
  const duration = durationOf(span);
  // of a request that was waited for in part, its excess counts in part
  const share = duration > 0 ? Math.min(1, (below[index] as number) / duration) : 0;
  const excess = known === null ? ownNanos + byCalls : Math.max(0, duration - known.nanos) * share;
  if (parent >= 0 && (entryOf[parent] as number) >= 0) addAt(explained, entryOf[parent] as number, excess);
  if (ownNanos === 0) return;
  const excessNanos = Math.min(ownNanos, Math.max(0, excess - byCalls));
  const heaviestSpan = trace.spans[heaviest[index] as number] as TraceSpan;
  blames.push({
    service,
    isPeer: false,
    kind: "latency",
    edge: null,
    span: heaviestSpan,
    nanos: ownNanos,
    excessNanos,
    whole: span,
    usual: known,
    votes: null,
    instead: null,
  });
}

/** The callee's half of a call that a service with spans answered. */
function calleeOf(trace: Trace, span: TraceSpan): TraceSpan {
  return remoteChild(trace, span) ?? (trace.spans[span.children[0] as number] as TraceSpan);
}

/** All gaps of one connection on the critical path. */
interface LateConnection {
  readonly owner: TimeOwner;
  readonly connection: Edge;
  span: TraceSpan;
  /** of the call with the largest gap */
  most: number;
  mostExcess: number;
  nanos: number;
  excessNanos: number;
  readonly usual: UsualTime | null;
  /** of the calls whose clocks tell where their time was lost: what they lost, and what of it before the callee began */
  placed: number;
  before: number;
}

function placedGap(trace: Trace, call: TraceSpan): Pick<LateConnection, "placed" | "before"> {
  const server = calleeOf(trace, call);
  const before = lostBefore(call, server, trace.clockRanges);
  return before === null
    ? { placed: 0, before: 0 }
    : { placed: durationOf(call) - durationOf(server), before };
}

function noteGap(late: Map<string, LateConnection>, gap: Omit<LateConnection, "most" | "mostExcess">): void {
  const { connection, span, nanos, excessNanos, placed, before } = gap;
  const key = edgeKey(connection);
  const known = late.get(key);
  if (known === undefined) {
    late.set(key, { ...gap, most: nanos, mostExcess: excessNanos });
    return;
  }
  known.nanos += nanos;
  known.excessNanos += excessNanos;
  known.placed += placed;
  known.before += before;
  known.mostExcess = Math.max(known.mostExcess, excessNanos);
  if (nanos < known.most) return;
  known.most = nanos;
  known.span = span;
}

function judgeConnections(trace: Trace, { late, blames, usual, scope }: JudgeQuestion): readonly PathBlame[] {
  if (late.size === 0) return [];
  const ownExcess = new Map<string, number>();
  for (const { service, excessNanos } of blames)
    ownExcess.set(service, (ownExcess.get(service) ?? 0) + excessNanos);
  const connections = new Connections(trace, { scope, usual, ownExcess });
  return [...late.values()].map(({ owner, connection, mostExcess, ...gap }) => {
    const votes = connections.judge(connection, mostExcess, lostSide(gap.before, gap.placed));
    const { span, nanos, excessNanos } = gap;
    return {
      ...owner,
      service: votes.blamed,
      span,
      nanos,
      excessNanos,
      whole: span,
      usual: gap.usual,
      votes,
      instead: null,
    };
  });
}

interface JudgeQuestion extends Omit<PathQuestion, "root"> {
  readonly late: ReadonlyMap<string, LateConnection>;
  readonly blames: readonly PathBlame[];
}
