import type { ServiceGraph } from "../graph/service-graph.ts";
import { SpanKind } from "../model/span-table.ts";
import { peerOf } from "../trace/peers.ts";
import { semanticsOf } from "../trace/semantics.ts";
import type { Trace } from "../trace/trace.ts";
import { type Edge, edgeKey } from "./candidate.ts";
import { errorRatioMax, unreachedShareMin, usualRequestsMin } from "./scoring.ts";

/** Who is to blame where a connection did not come about, and what tells so. */
export interface ReachVotes extends Edge {
  /** the caller alone does not get through (DNS, egress, policy), rather than nobody reaching the callee */
  readonly isCaller: boolean;
  /** other callers that reach the callee, and that mostly do not */
  readonly reachedBy: number;
  readonly unreachedBy: number;
  /** other callees that the request could not reach from the same caller */
  readonly alsoUnreached: number;
}

/**
 * A callee that nobody reaches is down; one that others reach is not, and whoever does not get through has lost its way: when
 * most of its own calls fail to connect while others connect as always, or when it cannot reach anybody else either.
 *
 *   a --x--> b    c --x--> b                b is down
 *   a --x--> b    c -----> b                a does not get through
 *   a --x--> b    a --x--> d                a does not get through, unless others do not reach b either
 */
export class Reach {
  readonly #trace: Trace;
  readonly #graph: ServiceGraph;
  /** caller -> peers that it could not connect to in the trace; null = nobody has asked yet */
  #unreached: ReadonlyMap<string, ReadonlySet<string>> | null = null;
  readonly #known = new Map<string, ReachVotes>();

  constructor(trace: Trace, graph: ServiceGraph) {
    this.#trace = trace;
    this.#graph = graph;
  }

  judge(edge: Edge): ReachVotes {
    const key = edgeKey(edge);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#unreached ??= unreachedIn(this.#trace);
    const alsoUnreached = Math.max(0, (this.#unreached.get(edge.caller)?.size ?? 0) - 1);
    const votes = votesOn(edge, attemptsTo(edge.callee, this.#graph), alsoUnreached);
    this.#known.set(key, votes);
    return votes;
  }
}

function votesOn(
  { caller, callee }: Edge,
  byCaller: ReadonlyMap<string, Attempts>,
  alsoUnreached: number,
): ReachVotes {
  let reachedBy = 0;
  let unreachedBy = 0;
  for (const [other, attempts] of byCaller) {
    if (other === caller) continue;
    if (isUnreached(attempts)) unreachedBy += 1;
    else if (attempts.calls >= usualRequestsMin && attempts.unreached <= errorRatioMax * attempts.calls)
      reachedBy += 1;
  }
  const own = byCaller.get(caller);
  const isAlone = reachedBy > 0 && own !== undefined && isUnreached(own);
  const isCaller = unreachedBy === 0 && (isAlone || alsoUnreached > 0);
  return { caller, callee, isCaller, reachedBy, unreachedBy, alsoUnreached };
}

/** Calls of one caller, and those that did not connect. */
interface Attempts {
  calls: number;
  unreached: number;
}

function isUnreached({ calls, unreached }: Attempts): boolean {
  return unreached > 0 && unreached >= unreachedShareMin * calls;
}

function attemptsTo(callee: string, { edges }: ServiceGraph): ReadonlyMap<string, Attempts> {
  const byCaller = new Map<string, Attempts>();
  for (const edge of edges) {
    if (edge.callee !== callee || edge.kind === "async") continue;
    const attempts = byCaller.get(edge.caller) ?? { calls: 0, unreached: 0 };
    attempts.calls += edge.calls;
    // what the callee answered, even with an error, has reached it
    if (edge.kind === "inferred") attempts.unreached += edge.errors;
    byCaller.set(edge.caller, attempts);
  }
  return byCaller;
}

function unreachedIn(trace: Trace): ReadonlyMap<string, ReadonlySet<string>> {
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
