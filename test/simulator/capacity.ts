import type { Sequence } from "./random.ts";
import type { Call, Operation, Topology } from "./topology.ts";

/** How many executions a second each operation, and queries each peer, get without any fault. */
export interface Rates {
  readonly ofOperation: ReadonlyMap<Operation, number>;
  readonly ofPeer: readonly number[];
  readonly ofCall: ReadonlyMap<Call, number>;
}

/** The share of its workers that a service uses in the mean. */
const utilisation = 0.15;
const roundTripMs = 1.2;

export function ratesOf(topology: Topology): Rates {
  const ofOperation = new Map<Operation, number>();
  const ofPeer = topology.peers.map(() => 0);
  const ofCall = new Map<Call, number>();
  const add = (operation: Operation, rate: number): void => {
    ofOperation.set(operation, (ofOperation.get(operation) ?? 0) + rate);
  };
  for (const { operation, rate } of topology.entries) add(operation, rate);
  for (const { operation, periodMs } of topology.crons) add(operation, 1000 / periodMs);
  const layers = [...topology.services].sort((a, b) => a.layer - b.layer || a.index - b.index);
  for (const operation of layers.flatMap(({ operations }) => operations)) {
    const rate = ofOperation.get(operation) ?? 0;
    for (const stage of operation.stages)
      for (const call of stage)
        for (const [part, share] of [
          [call, call.probability],
          [call.onMiss, call.probability * call.missRatio],
        ] as const) {
          if (part === null) continue;
          ofCall.set(part, rate * share);
          if (part.to.kind === "operation") add(part.to, rate * share);
          else if (part.to.kind === "topic") add(part.to.consumer, rate * share);
          else ofPeer[part.to.index] = (ofPeer[part.to.index] as number) + rate * share;
        }
  }
  return { ofOperation, ofPeer, ofCall };
}

/** How long an operation takes in the mean when nothing waits, ms. */
export function holdTimesOf(topology: Topology): ReadonlyMap<Operation, number> {
  const holds = new Map<Operation, number>();
  const layers = [...topology.services].sort((a, b) => b.layer - a.layer || a.index - b.index);
  const callMs = ({ to }: Call): number => {
    if (to.kind === "operation") return (holds.get(to) ?? 0) + roundTripMs;
    return to.kind === "topic" ? roundTripMs * 2 : to.workMs + roundTripMs;
  };
  for (const operation of layers.flatMap(({ operations }) => operations)) {
    const stages = operation.stages.map((stage) =>
      stage.reduce((longest, call) => Math.max(longest, callMs(call) * call.probability), 0),
    );
    holds.set(operation, operation.workMs * 1.1 + stages.reduce((a, b) => a + b, 0));
  }
  return holds;
}

/** Gives services their instances, and services and peers as many workers as their traffic needs in healthy times. */
export function planCapacity(topology: Topology, random: Sequence): void {
  const rates = ratesOf(topology);
  const holds = holdTimesOf(topology);
  let instanceCount = 0;
  for (const service of topology.services) {
    const busy = service.operations.reduce(
      (sum, operation) =>
        sum + ((rates.ofOperation.get(operation) ?? 0) * (holds.get(operation) ?? 0)) / 1000,
      0,
    );
    const count = service.layer === 0 ? 3 : random.whole(2, 3);
    service.workers = Math.max(4, Math.ceil(busy / utilisation / count));
    service.queueMax = service.workers * 15;
    // limits are set by what is used: a tenth to a third in healthy times, half of it by the runtime itself
    const workMs = service.operations.reduce(
      (sum, operation) => sum + Math.max(0.2, rates.ofOperation.get(operation) ?? 0) * operation.workMs,
      0,
    );
    const ratio = random.between(0.1, 0.33);
    service.cpuIdleRatio = ratio / 2;
    service.cpuLimitMs = workMs / count / (ratio / 2);
    const hosts = random.shuffled(topology.hosts);
    for (let i = 0; i < count; i += 1) {
      const host = hosts[i % hosts.length];
      if (host === undefined) throw new Error("a topology needs hosts");
      service.instances.push({ index: instanceCount, service, ordinal: i, host });
      instanceCount += 1;
    }
  }
  for (const peer of topology.peers)
    peer.workers = Math.max(
      4,
      Math.ceil(((rates.ofPeer[peer.index] ?? 0) * peer.workMs) / 1000 / utilisation),
    );
}
