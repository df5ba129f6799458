import { clockSlackShare, comparableGapMin, lateAnswerShareMin, lostSideWeight } from "../model/scoring.ts";
import { remoteChild } from "../trace/peers.ts";
import { type ClockRange, durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import type { Edge, LostSide } from "./candidate.ts";
import { ownerOf } from "./time-owner.ts";
import { medianGapOf, type Population, type Usual } from "./usual.ts";

/** How the other connections of one end fared: late by about as much, or in order. */
interface EndVotes {
  readonly late: number;
  readonly inOrder: number;
  /** its own work took much longer than usual too */
  readonly isSlowItself: boolean;
}

/** Which end of a late connection is to blame, and why. */
export interface EndpointVotes {
  readonly blamed: string;
  /** false = both ends look alike */
  readonly isClear: boolean;
  readonly lost: LostSide;
  readonly caller: EndVotes;
  readonly callee: EndVotes;
}

/**
 * The connections of a trace and its surroundings, to tell which end of a late one is to blame. Who sends late is: a request
 * that takes long to arrive is the caller's (its network, DNS, connection pool), an answer that does is the callee's. Other
 * connections confirm or overrule that: a fault at a caller delays its calls to whomever by about the same time; a fault
 * at a callee (a full accept queue, which delays requests) the calls of whoever needs it.
 *
 *   client   [===================]    client   [===================]
 *     server               [====]       server  [====]
 *            before: the caller                      after: the callee
 *
 *   a ==late==> b     a --fine--> c     a reaches others in time: b
 *   a ==late==> b     a ==late==> c     all that a calls is late: a
 *   a ==late==> b     d --fine--> b     others reach b in time: a
 */
export class Connections {
  readonly #trace: Excess = { byCaller: new Map(), byCallee: new Map() };
  readonly #around: Excess = { byCaller: new Map(), byCallee: new Map() };
  readonly #ownExcess: ReadonlyMap<string, number>;

  /** `ownExcess`: by service, what its own work took beyond the usual. */
  constructor(
    trace: Trace,
    { scope, usual, ownExcess }: { scope: Population; usual: Usual; ownExcess: ReadonlyMap<string, number> },
  ) {
    this.#ownExcess = ownExcess;
    // surroundings that a fault has slowed down would make late connections look usual
    const usualGap = ({ caller, callee }: Edge): number =>
      usual.isBaseline ? (usual.gapOf(caller, callee)?.nanos ?? 0) : 0;
    for (const span of trace.spans) {
      if (span.children.length === 0) continue;
      const { kind, edge } = ownerOf(trace, span);
      if (kind !== "network" || edge === null) continue;
      const callee = remoteChild(trace, span);
      if (callee === undefined) continue;
      note(this.#trace, edge, Math.max(0, durationOf(span) - durationOf(callee) - usualGap(edge)));
    }
    for (const edge of scope.graph.edges) {
      const isNear = this.#trace.byCaller.has(edge.caller) || this.#trace.byCallee.has(edge.callee);
      const gap = edge.kind === "sync" && isNear ? medianGapOf(edge) : null;
      if (gap === null) continue;
      note(this.#around, edge, Math.max(0, gap - usualGap(edge)));
    }
  }

  /** The end that more speaks against; the callee where nothing tells them apart. */
  judge({ caller, callee }: Edge, excessNanos: number, lost: LostSide): EndpointVotes {
    const bar = excessNanos * comparableGapMin;
    const votes = (service: string, other: string, side: "byCaller" | "byCallee"): EndVotes => ({
      ...count(this.#trace[side].get(service), this.#around[side].get(service), { other, bar }),
      isSlowItself: (this.#ownExcess.get(service) ?? 0) >= bar,
    });
    const callerVotes = votes(caller, callee, "byCaller");
    const calleeVotes = votes(callee, caller, "byCallee");
    const lead =
      suspicion(callerVotes, lost === null ? null : lost === "before") -
      suspicion(calleeVotes, lost === null ? null : lost === "after");
    return {
      blamed: lead > 0 ? caller : callee,
      isClear: lead !== 0,
      lost,
      caller: callerVotes,
      callee: calleeVotes,
    };
  }
}

/** What the latest call between two services lost beyond the usual, in nanoseconds: service -> other end -> excess. */
interface Excess {
  readonly byCaller: Map<string, Map<string, number>>;
  readonly byCallee: Map<string, Map<string, number>>;
}

function note({ byCaller, byCallee }: Excess, { caller, callee }: Edge, excess: number): void {
  noteAt(byCaller, caller, callee, excess);
  noteAt(byCallee, callee, caller, excess);
}

function noteAt(sides: Map<string, Map<string, number>>, at: string, other: string, excess: number): void {
  const others = sides.get(at) ?? new Map<string, number>();
  others.set(other, Math.max(excess, others.get(other) ?? 0));
  sides.set(at, others);
}

/** What the trace shows of a connection counts; its surroundings only for connections that are not in it. */
function count(
  inTrace: ReadonlyMap<string, number> | undefined,
  around: ReadonlyMap<string, number> | undefined,
  { other, bar }: { readonly other: string; readonly bar: number },
): { readonly late: number; readonly inOrder: number } {
  let late = 0;
  let inOrder = 0;
  for (const connections of [inTrace, around])
    for (const [end, excess] of connections ?? []) {
      if (end === other || (connections === around && inTrace?.has(end) === true)) continue;
      if (excess >= bar) late += 1;
      else inOrder += 1;
    }
  return { late, inOrder };
}

/** The share of what speaks against an end, drawn towards one half where little is known. */
function suspicion({ late, inOrder, isSlowItself }: EndVotes, sentLate: boolean | null): number {
  const against = late + (isSlowItself ? 1 : 0) + (sentLate === true ? lostSideWeight : 0);
  const inFavour = inOrder + (sentLate === false ? lostSideWeight : 0);
  return (against + 0.5) / (against + inFavour + 1);
}

/**
 * How much of what a call lost passed before its callee began, in nanoseconds, by the clocks as they were sent and the least that the
 * calls between both say these differ by (correcting them in full would put every callee in the middle). Null where clocks
 * do not tell: they differ by more than a little of what was lost, and no calls say by how much; or the callee does not lie
 * within the call in spite of all.
 */
export function lostBefore(
  client: TraceSpan,
  server: TraceSpan,
  clocks: Trace["clockRanges"],
): number | null {
  const lost = durationOf(client) - durationOf(server);
  if (lost <= 0) return null;
  const slack = lost * clockSlackShare;
  const skew = leastSkew(clocks.between(client, server), slack);
  if (skew === null) return null;
  const before = server.start - server.clockShift - (client.start - client.clockShift) + skew;
  return before < -slack || before > lost + slack ? null : Math.min(lost, Math.max(0, before));
}

function leastSkew(range: ClockRange | null, slack: number): number | null {
  if (range === null) return 0;
  const { low, high } = range;
  const least = low > 0 ? low : Math.min(0, high);
  if (low > high) return low - high <= slack ? least : null;
  return Math.abs(least) <= slack || high - low <= slack ? least : null;
}

/** On which side of the callee's work calls lost their time. */
export function lostSide(beforeNanos: number, lostNanos: number): LostSide {
  if (lostNanos <= 0) return null;
  return beforeNanos > lostNanos * (1 - lateAnswerShareMin) ? "before" : "after";
}
