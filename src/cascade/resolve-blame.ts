import { mapEntry } from "../base/map-entry.ts";
import type { ServiceGraph } from "../graph/service-graph.ts";
import { almostAlways, mostly } from "../model/scoring.ts";
import { type BlameSums, FailureSums, type NodeNames } from "./blame.ts";
import type { Edge } from "./candidate.ts";
import { Reach } from "./reach.ts";
import type { WaySums } from "./way-sums.ts";

/** A service that alone could not reach another one. */
interface Unreached {
  readonly callee: string;
  /** of other callers, which reached it */
  readonly otherCalls: number;
  readonly visible: number;
  readonly hidden: number;
}

/** The failures of a window, blamed on whom all of them together tell. */
export interface ResolvedBlame {
  readonly sums: BlameSums;
  /** by the caller that is to blame */
  readonly unreached: ReadonlyMap<string, readonly Unreached[]>;
}

const named: NodeNames = { nameOfKey: (name) => name };

/**
 * Whoever is not reached is not always to blame: where nearly all failures to reach it are those of one caller, `Reach` tells.
 * And where a circuit breaker keeps requests from calling, whom they would have called is to blame.
 */
export function resolveBlame(sums: BlameSums, graph: ServiceGraph): ResolvedBlame {
  const failures = new Map(sums.failures);
  const unreached = new Map<string, Unreached[]>();
  const single = [...sums.failures].flatMap(([callee, own]) => singleCallerOf(callee, own) ?? []);
  const reach = new Reach(graph, () => calleesByCaller(single));
  for (const { caller, callee, failures: own } of single) {
    const { visible, hidden, unresolved } = own;
    const votes = reach.judge({ caller, callee }, unresolved >= mostly * (visible + hidden));
    if (!votes.isCaller) continue;
    move(failures, callee, caller);
    const found = { callee, otherCalls: votes.reachedCalls, visible, hidden };
    unreached.set(caller, [...(unreached.get(caller) ?? []), found]);
  }
  for (const [service, own] of sums.failures) {
    const callee = failures.get(service) === own ? heldBackFrom(service, own, failures) : null;
    if (callee !== null) move(failures, service, callee);
  }
  return { sums: { ...sums, failures }, unreached };
}

/** Blames `to` for the failures of `from`. */
function move(failures: Map<string, FailureSums>, from: string, to: string): void {
  const blamed = new FailureSums();
  for (const service of [to, from]) {
    const own = failures.get(service);
    if (own !== undefined) blamed.merge(own, named);
  }
  failures.delete(from);
  failures.set(to, blamed);
}

/** Where a breaker kept most failing requests from calling: whose failures came up to it most before it did; null = nobody's. */
function heldBackFrom(
  service: string,
  { visible, hidden, heldBack }: FailureSums,
  failures: ReadonlyMap<string, FailureSums>,
): string | null {
  if (heldBack < mostly * (visible + hidden)) return null;
  const failed = [...failures]
    .filter(([origin]) => origin !== service)
    .map(([origin, { ways }]) => ({ origin, count: reaching(service, ways.values()) }))
    .filter(({ count }) => count > 0);
  const [most] = failed.sort((a, b) => b.count - a.count || (a.origin < b.origin ? -1 : 1));
  return most?.origin ?? null;
}

/** How many requests failed on a way that led to this caller. */
function reaching(caller: string, ways: Iterable<WaySums>): number {
  let count = 0;
  for (const { steps } of ways)
    for (const step of steps.values()) if (step.edge.caller === caller) count += step.count;
  return count;
}

interface SingleCaller extends Edge {
  readonly failures: FailureSums;
}

/** The only caller that failed to reach a callee; null where there are several, or something else failed. */
function singleCallerOf(callee: string, failures: FailureSums): SingleCaller | null {
  const all = failures.visible + failures.hidden;
  if ((failures.kinds.get("unreachable") ?? 0) < mostly * all) return null;
  const most = [...failures.edges.values()].find((edge) => edge.count >= almostAlways * all);
  return most === undefined || most.callee !== callee ? null : { caller: most.caller, callee, failures };
}

function calleesByCaller(edges: readonly Edge[]): ReadonlyMap<string, ReadonlySet<string>> {
  const callees = new Map<string, Set<string>>();
  for (const { caller, callee } of edges) mapEntry(callees, caller, () => new Set()).add(callee);
  return callees;
}
