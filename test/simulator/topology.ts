/** What is simulated: services with their operations and instances, and what they call that sends no telemetry of its own. */
export interface Topology {
  readonly services: readonly Service[];
  readonly peers: readonly Peer[];
  readonly topics: readonly Topic[];
  readonly hosts: readonly Host[];
  readonly entries: readonly Entry[];
  readonly crons: readonly Cron[];
  /** services whose health probes are instrumented */
  readonly probed: readonly Service[];
}

export interface Host {
  readonly name: string;
  readonly zone: string;
  /** by how much its clock is ahead, ms */
  readonly skewMs: number;
}

export interface Service {
  readonly index: number;
  readonly name: string;
  /** 0 = entered by users; calls go to higher layers only */
  readonly layer: number;
  /** has no services behind it */
  readonly isLeaf: boolean;
  readonly protocol: "http" | "grpc";
  readonly language: string;
  readonly version: string;
  readonly nextVersion: string;
  /** thread pools open the server span when a thread is free, event loops when the request arrives */
  readonly spanStart: "arrival" | "worker";
  /** failures of calls are recorded as exceptions too */
  readonly recordsExceptions: boolean;
  readonly operations: Operation[];
  readonly instances: Instance[];
  /** requests that an instance works on at a time */
  workers: number;
  /** requests that may wait for a worker before more are turned away */
  queueMax: number;
  /** CPU time that an instance may use in a second, ms */
  cpuLimitMs: number;
  /** the share of it that the runtime itself takes */
  cpuIdleRatio: number;
}

export interface Instance {
  /** among all instances */
  readonly index: number;
  readonly service: Service;
  readonly ordinal: number;
  readonly host: Host;
}

export interface Operation {
  readonly kind: "operation";
  /** among all operations */
  readonly index: number;
  readonly service: Service;
  readonly trigger: "request" | "message" | "cron";
  /** `GET /carts/{id}`, `shop.Cart/GetItems`, or the name of a job */
  readonly name: string;
  /** one after the other, the calls of one stage in parallel */
  readonly stages: Call[][];
  /** own work, median */
  workMs: number;
  readonly workSigma: number;
  /** of requests that fail without any fault */
  readonly errorRatio: number;
  /** of requests that are answered 4xx */
  readonly clientErrorRatio: number;
}

/** A database, cache or API that sends no spans. */
export interface Peer {
  readonly kind: "database" | "cache" | "external";
  /** among all peers */
  readonly index: number;
  readonly system: string;
  /** of databases */
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
  workMs: number;
  /** queries that it works on at a time */
  workers: number;
}

export interface Topic {
  readonly kind: "topic";
  readonly index: number;
  readonly name: string;
  readonly system: "kafka" | "rabbitmq";
  readonly consumer: Operation;
  /** until a consumer that has nothing to do looks again */
  readonly pollMs: number;
  /** messages that an instance works on at a time */
  readonly concurrency: number;
  /** the consumer begins a trace of its own, linked to the producer's */
  readonly isLinked: boolean;
}

export interface Call {
  /** among all calls */
  readonly index: number;
  readonly from: Operation;
  readonly to: Operation | Peer | Topic;
  readonly probability: number;
  /** of one attempt; Infinity = none */
  timeoutMs: number;
  attempts: number;
  backoffMs: number;
  /** whoever calls can do without the answer */
  hasFallback: boolean;
  hasBreaker: boolean;
  /** connections of one instance of the caller; Infinity = no pool */
  poolSize: number;
  /** of caches: what is called where they do not know the answer */
  readonly onMiss: Call | null;
  missRatio: number;
  /** of databases: `SELECT`, and the table */
  readonly verb: string;
  readonly table: string;
}

export interface Entry {
  readonly operation: Operation;
  /** requests a second */
  readonly rate: number;
}

export interface Cron {
  readonly operation: Operation;
  readonly periodMs: number;
}

/** The node of a graph that a call goes to, by the name that a report gives it. */
export function nameOfTarget(to: Operation | Peer | Topic): string {
  switch (to.kind) {
    case "operation":
      return to.service.name;
    case "topic":
      return `${to.system}:${to.name}`;
    case "database":
    case "cache":
    case "external":
      return nameOfPeer(to);
  }
}

/** A database by its namespace, a cache by system and address, an API by its address. */
export function nameOfPeer({ kind, namespace, system, address }: Peer): string {
  if (kind === "external") return address;
  return namespace === "" ? `${system}@${address}` : namespace;
}

/** All calls of an operation, those behind cache misses included. */
export function callsOf(operation: Operation): Call[] {
  return operation.stages.flat().flatMap((call) => (call.onMiss === null ? [call] : [call, call.onMiss]));
}

/** All calls of a topology. */
export function allCalls(topology: Topology): Call[] {
  return topology.services.flatMap((service) => service.operations.flatMap(callsOf));
}
