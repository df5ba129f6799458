import { planCapacity } from "./capacity.ts";
import { languageOf, operationName, serviceNames, tableName } from "./names.ts";
import { Sequence } from "./random.ts";
import type { Call, Cron, Entry, Host, Operation, Peer, Service, Topic, Topology } from "./topology.ts";
import { callsOf } from "./topology.ts";

export interface TopologyOptions {
  readonly seed: number;
  readonly services: number;
  /** requests of users a second, all entries together */
  readonly requestRate: number;
}

/** Published call graphs have about this share of services that call no other service. */
const leafShare = 0.39;
const entryShare = 0.08;
/** Spans that one request makes in the mean, at most: of an entry, and of any operation behind it. */
const entrySpansMax = 22;
const innerSpansMax = 8;

/**
 * A layered graph without cycles: few services get most calls (Zipf), most requests are shallow and wide, every service is
 * reachable, and stores, caches and external APIs stand behind the services without telemetry of their own. Equal options give
 * equal topologies.
 */
export function makeTopology({ seed, services: count, requestRate }: TopologyOptions): Topology {
  const random = new Sequence(seed, 0x70b0);
  const builder = new Builder(random, count);
  const layers = builder.services.reduce((most, { layer }) => Math.max(most, layer), 0);
  for (let layer = layers; layer >= 0; layer -= 1)
    for (const service of builder.services.filter((candidate) => candidate.layer === layer))
      builder.addOperations(service);
  builder.addTopics(Math.max(1, Math.round(count / 15)));
  builder.callTheUncalled();
  const entries = makeEntries(builder.services, requestRate, random);
  const crons = makeCrons(builder, Math.max(1, Math.round(count / 25)));
  const hosts = makeHosts(count, random);
  const { services, peers, topics } = builder;
  const probed = services.filter(() => random.chance(2 / count));
  const topology = { services, peers, topics, hosts, entries, crons, probed };
  planCapacity(topology, random);
  return topology;
}

class Builder {
  readonly services: Service[];
  readonly peers: Peer[] = [];
  readonly topics: Topic[] = [];
  readonly random: Sequence;
  #operationCount = 0;
  #callCount = 0;
  readonly #popularity: readonly number[];
  /** expected spans of one execution */
  readonly #spans = new Map<Operation, number>();
  readonly #stores = new Map<Service, readonly Peer[]>();

  constructor(random: Sequence, count: number) {
    this.random = random;
    this.services = makeServices(count, random);
    const ranks = random.shuffled(Array.from({ length: count }, (_, i) => i + 1));
    this.#popularity = ranks.map((rank) => 1 / rank ** 0.9);
    this.#makePeers(count);
  }

  /** Operations that requests reach; call in order from the last layer to the first. */
  addOperations(service: Service): void {
    const count = service.layer === 0 ? this.random.whole(2, 4) : this.random.whole(1, 3);
    for (let i = 0; i < count; i += 1) this.addOperation(service, "request");
  }

  addOperation(service: Service, trigger: Operation["trigger"]): Operation {
    const { random } = this;
    const ordinal = service.operations.length;
    const isEntry = service.layer === 0;
    const operation: Operation = {
      kind: "operation",
      index: this.#operationCount,
      service,
      trigger,
      name: trigger === "cron" ? `${service.name}.sweep` : operationName(service, ordinal, random),
      stages: [],
      workMs: random.between(1.5, isEntry ? 4 : 9),
      workSigma: random.between(0.25, 0.5),
      errorRatio: random.chance(0.3) ? random.between(0.0005, 0.008) : 0,
      clientErrorRatio: isEntry && random.chance(0.5) ? random.between(0.005, 0.03) : 0,
    };
    this.#operationCount += 1;
    service.operations.push(operation);
    this.#addStages(operation, isEntry || trigger === "cron" ? entrySpansMax : innerSpansMax);
    return operation;
  }

  /** Topics between services: a producer somewhere before the last layers, a consumer behind it. */
  addTopics(count: number): void {
    const { random } = this;
    const producers = this.services.filter(({ isLeaf, layer }) => !isLeaf && layer <= 3);
    for (let i = 0; i < count; i += 1) {
      const owner = random.pickWeighted(producers, ({ index }) => this.#popularity[index] as number);
      const producer = random.pick(owner.operations);
      const consumers = this.services.filter(({ layer }) => layer > producer.service.layer);
      const consumer = this.addOperation(random.pick(consumers), "message");
      const topic: Topic = {
        kind: "topic",
        index: i,
        name: `${consumer.service.name.split("-")[0]}.${random.pick(["changed", "created", "requested", "settled"])}.${i}`,
        system: random.chance(0.7) ? "kafka" : "rabbitmq",
        consumer,
        pollMs: random.between(20, 120),
        concurrency: random.whole(1, 2),
        isLinked: random.chance(0.3),
      };
      this.topics.push(topic);
      producer.stages.push([this.#call(producer, topic, random.between(0.5, 1))]);
    }
  }

  /** Every operation has a caller: what nobody chose gets one, with little traffic. */
  callTheUncalled(): void {
    const called = new Set(
      this.services.flatMap(({ operations }) => operations.flatMap((o) => callsOf(o).map(({ to }) => to))),
    );
    for (const service of this.services)
      for (const operation of service.operations) {
        if (service.layer === 0 || operation.trigger !== "request" || called.has(operation)) continue;
        const before = this.services.filter(({ layer, isLeaf }) => layer < service.layer && !isLeaf);
        const caller = this.random.pick(this.random.pick(before).operations);
        caller.stages.push([this.#call(caller, operation, this.random.between(0.15, 0.7))]);
      }
  }

  #addStages(operation: Operation, spansMax: number): void {
    const { service } = operation;
    let spans = 1;
    const stageCount =
      service.layer === 0 ? this.random.whole(2, 3) : service.isLeaf ? 0 : this.random.whole(1, 2);
    for (let i = 0; i < stageCount; i += 1) {
      const stage: Call[] = [];
      const width = this.random.chance(0.65) ? 1 : this.random.whole(2, 3);
      for (let j = 0; j < width; j += 1) {
        const to = this.#chooseCallee(service);
        const taken = operation.stages.flat().concat(stage);
        if (to === null || taken.some((call) => call.to === to)) continue;
        const probability = this.random.chance(0.6) ? 1 : this.random.between(0.2, 0.9);
        const cost = (1 + (this.#spans.get(to) ?? 1)) * probability;
        if (spans + cost > spansMax) continue;
        spans += cost;
        stage.push(this.#call(operation, to, probability));
      }
      if (stage.length > 0) operation.stages.push(stage);
    }
    for (const store of this.#stores.get(service) ?? []) {
      if (!this.random.chance(0.85)) continue;
      operation.stages.splice(this.random.whole(0, operation.stages.length), 0, [
        this.#callPeer(operation, store),
      ]);
      spans += 1;
    }
    this.#spans.set(operation, spans);
  }

  #chooseCallee(service: Service): Operation | null {
    const behind = this.services.filter(
      ({ layer, operations }) => layer > service.layer && operations.length > 0,
    );
    if (behind.length === 0) return null;
    const weight = (callee: Service): number =>
      (this.#popularity[callee.index] as number) * 0.5 ** (callee.layer - service.layer - 1);
    return this.random.pick(this.random.pickWeighted(behind, weight).operations);
  }

  #callPeer(operation: Operation, peer: Peer): Call {
    const databases = this.#stores.get(operation.service)?.filter(({ kind }) => kind === "database") ?? [];
    const onMiss =
      peer.kind === "cache" && databases[0] !== undefined ? this.#call(operation, databases[0], 1) : null;
    return this.#call(operation, peer, peer.kind === "external" ? this.random.between(0.4, 1) : 1, onMiss);
  }

  #call(from: Operation, to: Call["to"], probability: number, onMiss: Call | null = null): Call {
    const { random } = this;
    const isService = to.kind === "operation";
    const isRead = random.chance(0.7);
    const depth = from.service.layer;
    const patience = random.chance(0.2) ? 5000 : Math.max(600, 3000 - depth * 500);
    this.#callCount += 1;
    return {
      index: this.#callCount,
      from,
      to,
      probability,
      timeoutMs:
        to.kind === "topic"
          ? Infinity
          : to.kind === "cache"
            ? 100
            : random.chance(0.75)
              ? patience
              : Infinity,
      attempts: isService && random.chance(0.3) ? random.whole(2, 3) : 1,
      backoffMs: random.between(20, 120),
      hasFallback:
        to.kind !== "topic" && to.kind !== "database" && random.chance(to.kind === "cache" ? 1 : 0.2),
      hasBreaker: isService && random.chance(0.15),
      poolSize: to.kind === "database" ? random.whole(6, 12) : Infinity,
      onMiss,
      missRatio: random.between(0.05, 0.15),
      verb: to.kind === "cache" ? "GET" : isRead ? "SELECT" : random.pick(["INSERT", "UPDATE"]),
      table: tableName(random),
    };
  }

  #makePeers(count: number): void {
    const { random } = this;
    const add = (kind: Peer["kind"], system: string, base: string, port: number, workMs: number): Peer => {
      const index = this.peers.length;
      const namespace = kind === "database" ? `${base}_db` : "";
      const address = kind === "external" ? `api.${base}.example` : `${base}-${system}.internal`;
      const peer: Peer = { kind, index, system, namespace, address, port, workMs, workers: 4 };
      this.peers.push(peer);
      return peer;
    };
    const domains = [
      ...new Set(random.shuffled(this.services).map(({ name }) => name.split("-")[0] as string)),
    ];
    const base = (): string => {
      const round = Math.floor(this.peers.length / domains.length);
      return `${domains[this.peers.length % domains.length]}${round === 0 ? "" : String(round + 1)}`;
    };
    const make = {
      database: () =>
        random.chance(0.6)
          ? add("database", "postgresql", base(), 5432, random.between(1.5, 6))
          : add("database", "mysql", base(), 3306, random.between(1.5, 6)),
      cache: () => add("cache", "redis", base(), 6379, random.between(0.3, 0.8)),
      external: () => add("external", "", base(), 443, random.between(25, 90)),
    };
    const databases: Peer[] = [];
    for (const service of this.services) {
      if (service.layer === 0) continue;
      const stores: Peer[] = [];
      const hasDatabase = random.chance(service.isLeaf ? 0.75 : 0.3);
      if (hasDatabase) {
        const isShared = databases.length > count / 10 && random.chance(0.5);
        const database = isShared ? random.pick(databases) : make.database();
        if (!isShared) databases.push(database);
        stores.push(...(random.chance(0.35) ? [make.cache(), database] : [database]));
      }
      if (random.chance(service.isLeaf ? 0.12 : 0.04)) stores.push(make.external());
      this.#stores.set(service, stores);
    }
    const kinds = new Set(this.peers.map(({ kind }) => kind));
    const leaves = this.services.filter(({ isLeaf }) => isLeaf);
    const needy = leaves.filter((leaf) => (this.#stores.get(leaf)?.length ?? 0) === 0);
    if (!kinds.has("external")) this.#stores.set(needy[0] ?? (leaves[0] as Service), [make.external()]);
    if (!kinds.has("cache"))
      this.#stores.set(needy[1] ?? (leaves[1] as Service), [make.cache(), make.database()]);
  }
}

function makeServices(count: number, random: Sequence): Service[] {
  const names = serviceNames(count, random);
  const depth = count < 30 ? 4 : count < 100 ? 5 : 6;
  const entryCount = Math.min(8, Math.max(1, Math.round(count * entryShare)));
  return names.map((name, index) => {
    const isEntry = index < entryCount;
    const isLeaf = index >= count - Math.round(count * leafShare);
    const layer = isEntry ? 0 : isLeaf ? random.whole(2, depth - 1) : random.whole(1, depth - 2);
    const minor = random.whole(0, 9);
    return {
      index,
      name,
      layer,
      isLeaf,
      protocol: isEntry || random.chance(0.6) ? "http" : "grpc",
      language: languageOf(random),
      version: `${random.whole(1, 4)}.${minor}.${random.whole(0, 9)}`,
      nextVersion: `5.${minor + 1}.0`,
      spanStart: random.chance(0.5) ? "arrival" : "worker",
      recordsExceptions: random.chance(0.5),
      operations: [],
      instances: [],
      workers: 4,
      queueMax: 60,
      cpuLimitMs: 100,
      cpuIdleRatio: 0.1,
    };
  });
}

function makeEntries(services: readonly Service[], requestRate: number, random: Sequence): Entry[] {
  const operations = services
    .filter(({ layer }) => layer === 0)
    .flatMap((service) => service.operations.filter(({ trigger }) => trigger === "request"));
  const chosen = random.shuffled(operations).slice(0, 15);
  const weights = chosen.map((_, i) => 1 / (i + 1) ** 0.8);
  const total = weights.reduce((a, b) => a + b, 0);
  return chosen.map((operation, i) => ({ operation, rate: (requestRate * (weights[i] as number)) / total }));
}

function makeCrons(builder: Builder, count: number): Cron[] {
  const { random, services } = builder;
  const owners = random
    .shuffled(services.filter(({ layer, isLeaf }) => layer > 0 && !isLeaf))
    .slice(0, count);
  return owners.map((service) => ({
    operation: builder.addOperation(service, "cron"),
    periodMs: random.between(15_000, 60_000),
  }));
}

/** Clocks are mostly right; some hosts are off by tens of milliseconds, a few by much more. */
function makeHosts(services: number, random: Sequence): Host[] {
  return Array.from({ length: Math.max(3, Math.round(services / 4)) }, (_, i) => {
    const kind = random.next();
    const skewMax = kind < 0.7 ? 1 : kind < 0.92 ? 15 : 120;
    return {
      name: `node-${String(i + 1).padStart(2, "0")}`,
      zone: `zone-${"abc"[i % 3]}`,
      skewMs: random.between(-skewMax, skewMax),
    };
  });
}
