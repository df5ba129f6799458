import { holdTimesOf, ratesOf } from "./capacity.ts";
import { type Cause, type FaultContext, inService, NoTargetError } from "./fault-context.ts";
import type { Entry, Operation } from "./topology.ts";

/** The share of its workers that the bottleneck uses before the surge, and would need in it. */
const busyBefore = 0.35;
const busyDuring = 1.2;
const workMsMax = 700;
const factorMax = 9;

interface Bottleneck {
  readonly operation: Operation;
  readonly entry: Entry;
  readonly factor: number;
  readonly workMs: number;
}

/** Traffic of one entry grows until a service behind it, and only that one, has more to do than it can. */
export function overloadByTraffic(context: FaultContext): Cause {
  const { topology, random, durationMs, onset } = context;
  const candidates = bottlenecks(context);
  if (candidates.length === 0) throw new NoTargetError("no service depends enough on one entry");
  const { operation, entry, factor, workMs } = random.pick(candidates);
  const { service } = operation;
  operation.workMs = workMs;
  for (const other of topology.services) {
    other.workers = other === service ? 1 : other.workers * 10;
    other.queueMax = other === service ? 12 : other.queueMax * 10;
  }
  for (const peer of topology.peers) peer.workers *= 10;
  const cause = inService({ service }, "overload", [
    { kind: "arrivals", from: onset, to: durationMs, entry, factor },
  ]);
  return { ...cause, operation: operation.name, entry: entry.operation };
}

/** Operations of which one entry causes so much that a surge of it can be too much, with what that takes. */
function bottlenecks({ topology, rates }: FaultContext): Bottleneck[] {
  const holds = holdTimesOf(topology);
  const found: Bottleneck[] = [];
  for (const entry of topology.entries) {
    const alone = ratesOf({ ...topology, entries: [entry], crons: [] }).ofOperation;
    for (const [operation, fromEntry] of alone) {
      const { service, trigger } = operation;
      if (service.layer === 0 || trigger !== "request") continue;
      const rate = rates.ofOperation.get(operation) ?? 0;
      const others = service.operations.reduce(
        (sum, other) =>
          sum + (other === operation ? 0 : (rates.ofOperation.get(other) ?? 0) * (holds.get(other) ?? 0)),
        0,
      );
      const holdMs = (busyBefore * service.instances.length * 1000 - others) / rate;
      const workMs = holdMs - (holds.get(operation) ?? 0);
      const factor = ((busyDuring / busyBefore) * rate - (rate - fromEntry)) / fromEntry;
      if (workMs > 0 && workMs < workMsMax && factor < factorMax)
        found.push({ operation, entry, factor, workMs });
    }
  }
  return found;
}
