import { type BlameSums, FailureSums, type NodeNames } from "./blame.ts";
import { almostAlways, baselineRequestsMin, likeUnreached, mostly } from "./scoring.ts";

/** How many calls a service made to another one in a window. */
export type CallersOf = (callee: string) => ReadonlyMap<string, number>;

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
 * Whoever is not reached is not always to blame. Where others reach the callee, the trouble is the one caller's (its names,
 * its way out, a policy); so it is where a caller reaches several callees no more that nobody else calls, and where it
 * cannot even look up the name. Where most callers fail, the callee is down. And where a circuit breaker keeps requests from
 * calling, whom they would have called is to blame.
 */
export function resolveBlame(sums: BlameSums, callersOf: CallersOf): ResolvedBlame {
  const failures = new Map(sums.failures);
  const unreached = new Map<string, Unreached[]>();
  const alone = [...sums.failures].flatMap(([callee, own]) => aloneOf(callee, own, callersOf) ?? []);
  for (const each of alone) {
    const { callee, caller, otherCalls, isUnresolved, failures: own } = each;
    const isOneOfSeveral = alone.some((other) => other.caller === caller && other.callee !== callee);
    if (otherCalls < baselineRequestsMin && !isUnresolved && !isOneOfSeveral) continue;
    move(failures, callee, caller);
    const { visible, hidden } = own;
    unreached.set(caller, [...(unreached.get(caller) ?? []), { callee, otherCalls, visible, hidden }]);
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

/** Where a breaker kept most failing requests from calling: whose calls failed most before it did; null = nobody's. */
function heldBackFrom(
  service: string,
  { visible, hidden, heldBack }: FailureSums,
  failures: ReadonlyMap<string, FailureSums>,
): string | null {
  if (heldBack < mostly * (visible + hidden)) return null;
  const failed = [...failures].flatMap(([callee, { edges }]) =>
    [...edges.values()]
      .filter((edge) => callee !== service && edge.caller === service && edge.callee === callee)
      .map(({ count }) => ({ callee, count })),
  );
  const [most] = failed.sort((a, b) => b.count - a.count || (a.callee < b.callee ? -1 : 1));
  return most?.callee ?? null;
}

interface Alone {
  readonly callee: string;
  readonly caller: string;
  readonly otherCalls: number;
  /** most of the failures were to look up its name */
  readonly isUnresolved: boolean;
  readonly failures: FailureSums;
}

/** The only caller that failed to reach a callee; null where there are several, or something else failed. */
function aloneOf(callee: string, failures: FailureSums, callersOf: CallersOf): Alone | null {
  const all = failures.visible + failures.hidden;
  if ((failures.kinds.get("unreachable") ?? 0) < mostly * all) return null;
  const edges = [...failures.edges.values()].sort(
    (a, b) => b.count - a.count || (a.caller < b.caller ? -1 : 1),
  );
  const [most] = edges;
  if (most === undefined || most.callee !== callee || most.count < almostAlways * all) return null;
  const { caller } = most;
  const callers = callersOf(callee);
  const shareOf = (service: string, count: number): number => count / Math.max(1, callers.get(service) ?? 0);
  const isLikeOthers = edges.some(
    (edge) =>
      edge !== most && shareOf(edge.caller, edge.count) >= likeUnreached * shareOf(caller, most.count),
  );
  if (isLikeOthers) return null;
  let otherCalls = 0;
  for (const [other, calls] of callers) if (other !== caller) otherCalls += calls;
  return { callee, caller, otherCalls, isUnresolved: failures.unresolved >= mostly * all, failures };
}
