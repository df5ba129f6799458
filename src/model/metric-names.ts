/** What a metric says about the health of who sends it. */
export type Measure =
  | "cpu_ratio"
  | "cpu_by_mode"
  | "cpu_seconds"
  | "cpu_cores"
  | "cpu_limit"
  | "memory_ratio"
  | "memory_bytes"
  | "memory_limit"
  | "queue_depth"
  | "connections"
  | "connections_max"
  | "deadlocks"
  | "slow_queries"
  | "timeouts"
  | "rate_limit_hits"
  | "threads"
  | "threads_max"
  | "waiting_requests"
  | "file_system_ratio"
  | "event_loop_ratio"
  | "gc_seconds";

export interface MetricRule {
  /** where several metrics give the same measure, the lowest number wins */
  readonly rank: number;
  readonly measure: Measure;
  /** names as `plainName` writes them, whole or, with a leading `*`, as an ending */
  readonly names: readonly string[];
  /** how the series of one process are brought together */
  readonly join: "sum" | "max";
  /** only series where one of these attributes has one of these values, or none of the attributes is there */
  readonly only?: { readonly keys: readonly string[]; readonly values: readonly string[] };
  /** what values are divided by to be ratios; otherwise the unit `%` decides */
  readonly divisor?: number;
}

/** The rule for a metric name, null where it says nothing about health. */
export function metricRuleOf(name: string): MetricRule | null {
  const plain = plainName(name);
  const exact = exactRules.get(plain);
  if (exact !== undefined) return exact;
  return endingRules.find(([ending]) => plain === ending.slice(1) || plain.endsWith(ending))?.[1] ?? null;
}

/** Attributes of a metric, or of its resource, that name a database or queue without spans of its own. */
export const peerNameKeys = [
  "service.peer.name",
  "peer.service",
  "db.namespace",
  "db.name",
  "postgresql.database.name",
  "mysql.database.name",
  "sqlserver.database.name",
  "mongodb.database.name",
  "elasticsearch.cluster.name",
  "database",
] as const;
/** The same for destinations: the node is called `system:destination`. */
export const destinationKeys = [
  "messaging.destination.name",
  "rabbitmq.queue.name",
  "topic",
  "queue",
] as const;
export const cpuModeKeys = ["cpu.mode", "state"] as const;
export const cpuNumberKeys = ["cpu.logical_number", "cpu"] as const;

/** Attributes that tell the pools of one process apart. */
export const poolKeys = ["db.client.connection.pool.name", "pool.name", "pool"] as const;

/** Units of time, in seconds. */
export const durationUnits: ReadonlyMap<string, number> = new Map([
  ["ns", 1e-9],
  ["us", 1e-6],
  ["ms", 1e-3],
  ["s", 1],
  ["min", 60],
  ["h", 3600],
]);

/** Whether a metric is the used share of a limit, as the conventions understand `utilization`; what was requested is no limit. */
export function isUtilisation(name: string, unit: string): boolean {
  const plain = plainName(name);
  if (!plain.endsWith("utilization") || plain.endsWith("request.utilization")) return false;
  return ["1", "%", "percent", ""].includes(unit);
}

/** Lower case, dots between words, without the suffixes that Prometheus adds. */
function plainName(name: string): string {
  return name
    .toLowerCase()
    .replace(/[_\-/\s]+/g, ".")
    .replace(/\.(?:total|ratio|percent|seconds|bytes)$/, "");
}

/**
 * Names of the semantic conventions, old and new, of the collector's receivers, and then the generic ones that people
 * give their own metrics. Limits and counters stand behind the ratios that senders compute themselves.
 */
const rules: readonly MetricRule[] = [
  {
    measure: "cpu_ratio",
    rank: 1,
    join: "max",
    names: [
      "k8s.container.cpu.limit.utilization",
      "k8s.pod.cpu.limit.utilization",
      "container.cpu.limit.utilization",
    ],
  },
  {
    measure: "cpu_ratio",
    rank: 2,
    join: "sum",
    names: ["process.cpu.utilization", "jvm.cpu.recent.utilization", "process.runtime.jvm.cpu.utilization"],
  },
  { measure: "cpu_ratio", rank: 3, join: "max", names: ["container.cpu.utilization", "faas.cpu.usage"] },
  {
    measure: "cpu_ratio",
    rank: 4,
    join: "max",
    names: ["*.cpu.utilization", "*.cpu.usage", "*.cpu.load", "cpu"],
  },
  { measure: "cpu_by_mode", rank: 1, join: "sum", names: ["system.cpu.utilization"] },
  { measure: "cpu_by_mode", rank: 2, join: "sum", names: ["system.cpu.time"] },
  {
    measure: "cpu_seconds",
    rank: 1,
    join: "sum",
    names: [
      "process.cpu.time",
      "container.cpu.time",
      "k8s.pod.cpu.time",
      "dotnet.process.cpu.time",
      "go.cpu.time",
    ],
  },
  {
    measure: "cpu_cores",
    rank: 1,
    join: "max",
    names: ["container.cpu.usage", "k8s.pod.cpu.usage", "k8s.container.cpu.usage", "k8s.node.cpu.usage"],
  },
  {
    measure: "cpu_limit",
    rank: 1,
    join: "max",
    names: ["k8s.container.cpu.limit", "k8s.container.cpu.limit.desired", "container.cpu.limit"],
  },
  {
    measure: "cpu_limit",
    rank: 2,
    join: "max",
    names: ["jvm.cpu.count", "dotnet.process.cpu.count", "system.cpu.logical.count"],
  },
  {
    measure: "memory_ratio",
    rank: 1,
    join: "max",
    names: [
      "k8s.container.memory.limit.utilization",
      "k8s.pod.memory.limit.utilization",
      "container.memory.limit.utilization",
    ],
  },
  { measure: "memory_ratio", rank: 2, join: "max", names: ["process.memory.utilization"] },
  { measure: "memory_ratio", rank: 2, join: "max", divisor: 100, names: ["container.memory"] },
  {
    measure: "memory_ratio",
    rank: 3,
    join: "sum",
    only: { keys: ["system.memory.state", "state"], values: ["used"] },
    names: ["system.memory.utilization"],
  },
  { measure: "memory_ratio", rank: 4, join: "max", names: ["*.memory.utilization", "memory"] },
  {
    measure: "memory_bytes",
    rank: 1,
    join: "max",
    names: [
      "container.memory.working.set",
      "k8s.pod.memory.working.set",
      "k8s.container.memory.working.set",
      "container.memory.usage",
      "k8s.pod.memory.usage",
    ],
  },
  {
    measure: "memory_bytes",
    rank: 2,
    join: "sum",
    only: { keys: ["jvm.memory.type", "type"], values: ["heap"] },
    names: ["jvm.memory.used", "process.runtime.jvm.memory.usage"],
  },
  {
    measure: "memory_bytes",
    rank: 3,
    join: "sum",
    names: ["v8js.memory.heap.used", "go.memory.used"],
  },
  { measure: "memory_bytes", rank: 4, join: "max", names: ["process.memory.usage"] },
  /** a ratio where it is small, else bytes: what people mean by it differs */
  { measure: "memory_ratio", rank: 5, join: "max", names: ["*.memory.usage"] },
  {
    measure: "memory_limit",
    rank: 1,
    join: "max",
    names: [
      "k8s.container.memory.limit",
      "k8s.container.memory.limit.desired",
      "container.memory.limit",
      "container.memory.usage.limit",
    ],
  },
  {
    measure: "memory_limit",
    rank: 2,
    join: "sum",
    only: { keys: ["jvm.memory.type", "type"], values: ["heap"] },
    names: ["jvm.memory.limit", "process.runtime.jvm.memory.limit"],
  },
  {
    measure: "memory_limit",
    rank: 3,
    join: "sum",
    names: ["v8js.memory.heap.limit", "v8js.memory.heap.space.size", "go.memory.limit"],
  },
  { measure: "memory_limit", rank: 4, join: "max", names: ["*.memory.limit"] },
  { measure: "queue_depth", rank: 1, join: "sum", names: ["kafka.consumer.group.lag.sum"] },
  {
    measure: "queue_depth",
    rank: 2,
    join: "sum",
    names: ["kafka.consumer.group.lag", "rabbitmq.message.current", "messaging.queue.depth"],
  },
  {
    measure: "queue_depth",
    rank: 3,
    join: "sum",
    names: [
      "*.queue.depth",
      "*.queue.size",
      "*.queue.length",
      "*.queue.messages",
      "*.consumer.lag",
      "*.queue.backlog",
      "kestrel.queued.requests",
      "kestrel.queued.connections",
    ],
  },
  {
    measure: "connections",
    rank: 1,
    join: "sum",
    names: ["postgresql.backends", "redis.clients.connected", "sqlserver.user.connection.count"],
  },
  {
    measure: "connections",
    rank: 1,
    join: "sum",
    only: { keys: ["kind"], values: ["connected"] },
    names: ["mysql.threads"],
  },
  {
    measure: "connections",
    rank: 1,
    join: "sum",
    only: { keys: ["type"], values: ["current"] },
    names: ["mongodb.connection.count"],
  },
  {
    measure: "connections",
    rank: 2,
    join: "sum",
    only: { keys: ["db.client.connection.state", "state"], values: ["used"] },
    names: ["db.client.connection.count", "db.client.connections.usage"],
  },
  {
    measure: "connections",
    rank: 3,
    join: "sum",
    only: { keys: ["http.connection.state"], values: ["active"] },
    names: ["http.client.open.connections"],
  },
  {
    measure: "connections",
    rank: 3,
    join: "sum",
    names: [
      "*.connection.count",
      "*.connections",
      "*.connections.count",
      "*.connections.active",
      "*.active.connections",
      "*.connections.current",
    ],
  },
  {
    measure: "connections_max",
    rank: 1,
    join: "sum",
    names: ["postgresql.connection.max", "mysql.connection.max"],
  },
  {
    measure: "connections_max",
    rank: 2,
    join: "sum",
    names: ["db.client.connection.max", "db.client.connections.max"],
  },
  {
    measure: "connections_max",
    rank: 3,
    join: "sum",
    names: ["*.connections.max", "*.connection.max", "*.max.connections", "*.connections.limit"],
  },
  {
    measure: "deadlocks",
    rank: 1,
    join: "sum",
    names: ["postgresql.deadlocks", "oracledb.enqueue.deadlocks"],
  },
  {
    measure: "deadlocks",
    rank: 2,
    join: "sum",
    names: ["*.deadlocks", "*.deadlock.count", "*.deadlocks.count"],
  },
  {
    measure: "slow_queries",
    rank: 1,
    join: "sum",
    names: [
      "mysql.query.slow.count",
      "*.slow.queries",
      "*.slow.query.count",
      "*.slow.queries.count",
      "*.query.slow.count",
    ],
  },
  {
    measure: "timeouts",
    rank: 1,
    join: "sum",
    names: [
      "db.client.connection.timeouts",
      "db.client.connections.timeouts",
      "faas.timeouts",
      "*.timeouts",
      "*.timeout.count",
      "*.timeouts.count",
    ],
  },
  {
    measure: "rate_limit_hits",
    rank: 1,
    join: "sum",
    names: [
      "*.rate.limit.hits",
      "*.rate.limit.hits.count",
      "*.rate.limit.count",
      "*.rate.limited",
      "*.ratelimit.hits",
      "*.rate.limit.exceeded",
      "kestrel.rejected.connections",
    ],
  },
  {
    measure: "threads",
    rank: 1,
    join: "sum",
    names: ["executor.active", "*.executor.active", "*.threads.busy", "*.threads.active"],
  },
  {
    measure: "threads_max",
    rank: 1,
    join: "sum",
    names: ["executor.pool.max", "*.executor.pool.max", "*.threads.config.max", "*.threads.max"],
  },
  {
    measure: "waiting_requests",
    rank: 1,
    join: "sum",
    names: ["db.client.connection.pending.requests", "db.client.connections.pending.requests"],
  },
  {
    measure: "waiting_requests",
    rank: 2,
    join: "sum",
    names: [
      "*.connections.pending",
      "*.connections.waiting",
      "*.pending.requests",
      "executor.queued",
      "*.executor.queued",
    ],
  },
  {
    measure: "file_system_ratio",
    rank: 1,
    join: "max",
    names: ["*.filesystem.utilization", "*.disk.utilization", "*.volume.utilization"],
  },
  { measure: "event_loop_ratio", rank: 1, join: "max", names: ["nodejs.eventloop.utilization"] },
  {
    measure: "gc_seconds",
    rank: 1,
    join: "sum",
    names: [
      "jvm.gc.duration",
      "process.runtime.jvm.gc.duration",
      "jvm.gc.pause",
      "v8js.gc.duration",
      "go.memory.gc.pause.duration",
      "dotnet.gc.pause.time",
    ],
  },
];

const exactRules = new Map(
  rules.flatMap((rule) =>
    rule.names.filter((name) => !name.startsWith("*")).map((name) => [name, rule] as const),
  ),
);
/** The longest first: `max.connections` is more than `connections`. */
const endingRules = rules
  .flatMap((rule) =>
    rule.names.filter((name) => name.startsWith("*")).map((name) => [name.slice(1), rule] as const),
  )
  .sort(([a], [b]) => b.length - a.length);
