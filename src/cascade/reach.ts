import type { ServiceGraph } from "../graph/service-graph.ts";
import { likeUnreached, unlikeUnreached, unreachedMin } from "../model/scoring.ts";
import { SpanKind } from "../model/span-table.ts";
import { peerOf } from "../trace/peers.ts";
import { semanticsOf } from "../trace/semantics.ts";
import type { Trace } from "../trace/trace.ts";
import { type Edge, edgeKey } from "./candidate.ts";

/** Who is to blame where a connection did not come about, and what tells so. */
export interface ReachVotes extends Edge {
  /** the caller alone does not get through (DNS, egress, policy), rather than nobody reaching the callee */
  readonly isCaller: boolean;
  /** other callers that reach the callee, in so many calls that as many failing as its own would show; else 0 */
  readonly reachedBy: number;
  readonly reachedCalls: number;
  /** other callers that mostly do not */
  readonly unreachedBy: number;
  /** other callees that this caller does not reach, in the request or around it */
  readonly alsoUnreached: number;
}

/** Callers, and the callees that they could not connect to. */
type Unreached = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * A callee that nobody reaches is down; one that others reach is not, and whoever does not get through has lost its way: when
 * most of its own calls fail to connect while others connect as always, when it cannot reach anybody else either, or when it
 * cannot even look up the name.
 *
 *   a --x--> b    c --x--> b                b is down
 *   a --x--> b    c -----> b                a does not get through
 *   a --x--> b    a --x--> d                a does not get through, unless others do not reach b either
 */
export class Reach {
  readonly #graph: ServiceGraph;
  readonly #findUnreached: () => Unreached;
  /** null = nobody has asked yet */
  #unreached: Unreached | null = null;
  #answering: ReadonlySet<string> | null = null;
  readonly #known = new Map<string, ReachVotes>();

  /** `findUnreached` = what is known beside the graph; asked for once, if at all */
  constructor(graph: ServiceGraph, findUnreached: () => Unreached) {
    this.#graph = graph;
    this.#findUnreached = findUnreached;
  }

  /** Of one trace, within its scope. */
  static of(trace: Trace, graph: ServiceGraph): Reach {
    return new Reach(graph, () => unreachedIn(trace));
  }

  /** `isUnresolved` = what failed was to look up the name of the callee */
  judge(edge: Edge, isUnresolved: boolean): ReachVotes {
    const key = edgeKey(edge);
    const votes = this.#known.get(key) ?? this.#votesOn(edge);
    this.#known.set(key, votes);
    return isUnresolved && votes.unreachedBy === 0 ? { ...votes, isCaller: true } : votes;
  }

  #votesOn(edge: Edge): ReachVotes {
    this.#unreached ??= this.#findUnreached();
    const unreached = new Set(this.#unreached.get(edge.caller));
    for (const [callee, attempts] of attemptsOf("caller", edge.caller, this.#graph))
      if (isUnreached(attempts) && this.#answers(callee)) unreached.add(callee);
    unreached.delete(edge.callee);
    return votesOn(edge, attemptsOf("callee", edge.callee, this.#graph), unreached.size);
  }

  /** Whether a callee has spans of its own: then a call without one did not reach it, while others may have failed otherwise. */
  #answers(callee: string): boolean {
    this.#answering ??= new Set(
      this.#graph.edges.filter(({ kind }) => kind === "sync").map((edge) => edge.callee),
    );
    return this.#answering.has(callee);
  }
}

/** `byCaller` = attempts of all callers to the callee; `alsoUnreached` = other callees that this caller does not reach. */
export function votesOn(
  { caller, callee }: Edge,
  byCaller: ReadonlyMap<string, Attempts>,
  alsoUnreached: number,
): ReachVotes {
  const attempts = byCaller.get(caller);
  const own = shareOf(attempts);
  let reachedBy = 0;
  let reachedCalls = 0;
  let unreachedBy = 0;
  for (const [other, { calls, unreached }] of byCaller) {
    if (other === caller) continue;
    const share = shareOf({ calls, unreached });
    if (share > 0 && share >= own * likeUnreached) unreachedBy += 1;
    else if (share <= own * unlikeUnreached) {
      reachedBy += 1;
      reachedCalls += calls;
    }
  }
  // fewer calls might all have come through by chance
  if (reachedCalls * own < unreachedMin.calls) reachedBy = 0;
  const isAlone = reachedBy > 0 && attempts !== undefined && isUnreached(attempts);
  const isCaller = unreachedBy === 0 && (isAlone || alsoUnreached > 0);
  return { caller, callee, isCaller, reachedBy, reachedCalls, unreachedBy, alsoUnreached };
}

/** Calls of one caller, and those that did not connect. */
export interface Attempts {
  calls: number;
  unreached: number;
}

function shareOf(attempts: Attempts | undefined): number {
  return attempts === undefined || attempts.calls === 0 ? 0 : attempts.unreached / attempts.calls;
}

export function isUnreached(attempts: Attempts): boolean {
  return attempts.unreached >= unreachedMin.calls && shareOf(attempts) >= unreachedMin.share;
}

/** The edges that have a service at one end, by the other end. */
function attemptsOf(
  end: "caller" | "callee",
  service: string,
  { edges }: ServiceGraph,
): ReadonlyMap<string, Attempts> {
  const byOther = new Map<string, Attempts>();
  for (const edge of edges) {
    if (edge[end] !== service || edge.kind === "async") continue;
    const other = end === "caller" ? edge.callee : edge.caller;
    const attempts = byOther.get(other) ?? { calls: 0, unreached: 0 };
    attempts.calls += edge.calls;
    // what the callee answered, even with an error, has reached it
    if (edge.kind === "inferred") attempts.unreached += edge.errors;
    byOther.set(other, attempts);
  }
  return byOther;
}

function unreachedIn(trace: Trace): Unreached {
  const found = new Map<string, Set<string>>();
  for (const span of trace.spans) {
    if (!span.failed || span.kind !== SpanKind.Client) continue;
    if (semanticsOf(span.table).errorOf(span.row)?.kind !== "unreachable") continue;
    const peer = peerOf(trace, span);
    if (peer === null) continue;
    const callees = found.get(span.service);
    if (callees === undefined) found.set(span.service, new Set([peer.name]));
    else callees.add(peer.name);
  }
  return found;
}
