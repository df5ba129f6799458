import {
  type FaultContext,
  type FaultKind,
  inPeer,
  inService,
  onEdge,
  one,
  type Scenario,
  setPolicy,
} from "./fault-context.ts";
import type { Operation, Topic } from "./topology.ts";

/** Faults between services, and in what they call that sends no telemetry: networks, databases, caches, queues. */
export const dependencyFaults: Readonly<Record<string, FaultKind>> = {
  network_delay: {
    mechanism: "All links of one instance are slow; its own work is not.",
    wanted: "visible",
    build: (context) => {
      const service = context.service();
      const instance = context.random.pick(service.instances);
      const link = {
        instance,
        caller: null,
        callee: null,
        delayMs: context.random.between(60, 250),
        loss: 0,
      };
      return one(inService({ service, instance }, "network", [{ kind: "link", ...context.during, ...link }]));
    },
  },
  packet_loss: {
    mechanism: "Packets of one instance are lost and sent again after 200 ms, 400 ms, …",
    wanted: "visible",
    build: (context) => {
      const service = context.service();
      const instance = context.random.pick(service.instances);
      const link = {
        instance,
        caller: null,
        callee: null,
        delayMs: 0,
        loss: context.random.between(0.25, 0.5),
      };
      return one(inService({ service, instance }, "network", [{ kind: "link", ...context.during, ...link }]));
    },
  },
  edge_delay: {
    mechanism: "The links between one service and one that it calls are slow.",
    wanted: "visible",
    build: (context) => edgeFault(context, context.random.between(120, 400), 0),
  },
  edge_loss: {
    mechanism: "Packets between one service and one that it calls are lost.",
    wanted: "visible",
    build: (context) => edgeFault(context, 0, context.random.between(0.35, 0.6)),
  },
  dns: {
    mechanism: "One service cannot resolve names; all others can.",
    wanted: "visible",
    build: (context) => {
      const service = context.service((candidate) =>
        candidate.operations.some(({ stages }) => stages.length > 0),
      );
      const probability = context.random.between(0.5, 1);
      return one(
        inService({ service }, "network", [{ kind: "dns", ...context.during, service, probability }]),
      );
    },
  },
  db_slow: {
    mechanism: "A database's queries take longer.",
    wanted: "visible",
    build: (context) => {
      const peer = context.peer("database");
      const [factor, addMs] = [context.random.between(2, 8), context.random.between(60, 400)];
      return one(
        inPeer(peer, "latency", [
          { kind: "peer", ...context.during, peer, writesOnly: false, factor, addMs },
        ]),
      );
    },
  },
  db_lock: {
    mechanism: "Writes to a database wait for a lock, each for seconds.",
    wanted: "visible",
    build: (context) => {
      const call = context.call(({ to, verb }) => to.kind === "database" && verb !== "SELECT", 30);
      if (call.to.kind !== "database") throw new Error("the call goes to a database");
      const peer = call.to;
      const addMs = context.random.between(1000, 3000);
      return one(
        inPeer(peer, "latency", [
          { kind: "peer", ...context.during, peer, writesOnly: true, factor: 1, addMs },
        ]),
      );
    },
  },
  db_down: {
    mechanism: "A database refuses connections.",
    wanted: "visible",
    build: (context) => {
      const peer = context.peer("database");
      return one(
        inPeer(peer, "unreachable", [{ kind: "peer_down", ...context.during, peer, isSilent: false }]),
      );
    },
  },
  cache_down: {
    mechanism: "A cache is gone, and the database behind it gets every request.",
    wanted: "visible",
    build: cacheDown,
  },
  external_down: {
    mechanism: "An external API fails or does not answer.",
    wanted: "visible",
    build: (context) => {
      const peer = context.peer("external");
      setPolicy(context.callsTo(peer), { hasFallback: false });
      const message = "503 from provider";
      const probability = context.random.between(0.5, 1);
      const isSilent = context.random.chance(0.5);
      return one(
        context.random.chance(0.5)
          ? inPeer(peer, "unreachable", [{ kind: "peer_down", ...context.during, peer, isSilent }])
          : inPeer(peer, "error", [{ kind: "peer_error", ...context.during, peer, probability, message }]),
      );
    },
  },
  pool_exhausted: {
    mechanism: "A service loses its connections to a database that is fine: requests wait for one in vain.",
    wanted: "visible",
    build: poolExhausted,
  },
  consumer_stalled: {
    mechanism: "A consumer no longer takes messages.",
    wanted: "noticed",
    build: (context) => {
      const topic = topicOf(context);
      const { service } = topic.consumer;
      return one(inService({ service }, "missing_call", [{ kind: "stall", ...context.during, topic }]));
    },
  },
  poison_message: {
    mechanism:
      "A consumer fails on some messages, which are delivered again and again and hold up the others.",
    wanted: "noticed",
    build: (context) => {
      const topic = topicOf(context);
      const { service } = topic.consumer;
      const probability = context.random.between(0.15, 0.35);
      return one(
        inService({ service, operation: topic.consumer }, "error", [
          { kind: "poison", ...context.during, topic, probability },
        ]),
      );
    },
  },
};

function edgeFault(context: FaultContext, delayMs: number, loss: number): Scenario {
  const call = context.call(({ to, from }) => to.kind === "operation" && from.service.layer > 0);
  const caller = call.from.service;
  const callee = (call.to as Operation).service;
  return one(
    onEdge(caller, callee.name, [
      { kind: "link", ...context.during, instance: null, caller, callee, delayMs, loss },
    ]),
  );
}

/** What is cached is expensive to compute: the database manages misses, not all requests. */
function cacheDown(context: FaultContext): Scenario {
  const call = context.call(({ to, onMiss }) => to.kind === "cache" && onMiss !== null);
  const database = call.onMiss?.to;
  if (call.to.kind !== "cache" || database?.kind !== "database") throw new Error("the call goes to a cache");
  const peer = call.to;
  setPolicy(context.callsTo(peer), { missRatio: 0.04 });
  const misses = context
    .callsTo(peer)
    .reduce((sum, other) => sum + (context.rates.ofCall.get(other) ?? 0), 0);
  database.workers = 1;
  database.workMs = Math.min(120, 800 / (misses + (context.rates.ofPeer[database.index] ?? 0)));
  const isSilent = context.random.chance(0.3);
  return one(inPeer(peer, "unreachable", [{ kind: "peer_down", ...context.during, peer, isSilent }]));
}

function poolExhausted(context: FaultContext): Scenario {
  const { from, to, poolSize } = context.call((call) => call.to.kind === "database");
  if (to.kind !== "database") throw new Error("the call goes to a database");
  const { service } = from;
  const calls = context.callsTo(to).filter((call) => call.from.service === service);
  setPolicy(calls, { poolSize });
  const leak = { kind: "pool_leak" as const, service, peer: to };
  const middle = context.onset + 15_000;
  return one(
    inService({ service }, "saturation", [
      { ...leak, from: context.onset, to: middle, connections: Math.floor(poolSize / 2) },
      { ...leak, from: middle, to: Number.POSITIVE_INFINITY, connections: poolSize },
    ]),
  );
}

/** A topic with many messages, or the one with most. */
function topicOf({ topology, random, rates, durationMs }: FaultContext): Topic {
  const messages = ({ consumer }: Topic): number =>
    ((rates.ofOperation.get(consumer) ?? 0) * durationMs) / 1000;
  const busy = topology.topics.filter((topic) => messages(topic) >= 50);
  if (busy.length > 0) return random.pick(busy);
  return topology.topics.reduce((most, topic) => (messages(topic) > messages(most) ? topic : most));
}
