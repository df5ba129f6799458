import { orderlessSum } from "../base/sum.ts";
import type { Measure, MetricRule } from "../model/metric-names.ts";
import { plausibleShareMax } from "../model/scoring.ts";

/** What OTLP metrics say of one service: ratios 0..1 and counts. All optional. */
export interface ResourceHealth {
  readonly cpu_usage?: number;
  readonly memory_usage?: number;
  readonly queue_depth?: number;
  readonly connection_count?: number;
  readonly max_connections?: number;
  readonly deadlock_count?: number;
  readonly slow_query_count?: number;
  readonly timeout_count?: number;
  readonly rate_limit_hits?: number;
}

export interface CpuModeValue {
  /** `idle`, `user`, …; "" = not told apart */
  readonly mode: string;
  readonly cpu: string;
}

/** One series of a process in a window. */
export interface SeriesValue {
  readonly rule: MetricRule;
  readonly mode: CpuModeValue;
  /** the last value, or how much a counter grew */
  readonly value: number;
  /** in how many seconds it grew */
  readonly seconds: number;
  readonly isGrowth: boolean;
}

/** Measures that the health of a service is read from; the others show only in their course over time. */
export function isHealthMeasure(measure: Measure): boolean {
  return !courseMeasures.has(measure);
}

const courseMeasures: ReadonlySet<Measure> = new Set([
  "threads",
  "threads_max",
  "waiting_requests",
  "file_system_ratio",
  "event_loop_ratio",
  "gc_seconds",
]);

/** The series of one process by what they measure. */
export type InstanceValues = Map<Measure, SeriesValue[]>;

/** What the processes of one service say together: of levels the highest, of counts the sum. */
export function resourceHealthOf(instances: readonly InstanceValues[]): ResourceHealth {
  const highest = (read: (instance: InstanceValues) => number | null): number | undefined => {
    const values = instances.map(read).filter((value) => value !== null);
    return values.length === 0 ? undefined : values.reduce((a, b) => Math.max(a, b));
  };
  /** growth adds up over processes; what is sent as a level (a count so far) does not */
  const count = (measure: Measure): number | undefined => {
    const joined = instances
      .map((instance) => joinedBest(instance.get(measure)))
      .filter((value) => value !== null);
    if (joined.length === 0) return undefined;
    const growth = sumOf(joined.filter(({ isGrowth }) => isGrowth));
    return joined.reduce((most, { value, isGrowth }) => (isGrowth ? most : Math.max(most, value)), growth);
  };
  const health: { [Key in keyof ResourceHealth]?: number | undefined } = {
    cpu_usage: highest(cpuOf),
    memory_usage: highest(memoryOf),
    queue_depth: highest((instance) => levelOf(instance.get("queue_depth"))),
    ...connectionsOf(instances),
    deadlock_count: count("deadlocks"),
    slow_query_count: count("slow_queries"),
    timeout_count: count("timeouts"),
    rate_limit_hits: count("rate_limit_hits"),
  };
  // a limit next to nothing makes an endless ratio
  return Object.fromEntries(Object.entries(health).filter(([, value]) => Number.isFinite(value)));
}

/** What a process can run out of. */
export type Resource =
  | "cpu"
  | "memory"
  | "connections"
  | "threads"
  | "file_system"
  | "event_loop"
  | "garbage_collection";

/** How the state of a resource is read from the metrics of one process. */
export interface ResourceReading {
  /** null = of no resource: a sign that work waits or was turned away */
  readonly resource: Resource | null;
  /** what it is read from, what counts most first; and what limits it */
  readonly measures: readonly Measure[];
  readonly limits: readonly Measure[];
  /** pools of one process are apart: one of them may be full while others are not */
  readonly isPerPool: boolean;
  /** how much of the limit is used; null = there never is a limit */
  readonly shareOf: ((instance: InstanceValues) => number | null) | null;
  /** how much is used (of CPU: how many); counts as growth per minute */
  readonly amountOf: (instance: InstanceValues) => number | null;
}

export const resourceReadings: readonly ResourceReading[] = [
  {
    resource: "cpu",
    measures: ["cpu_ratio", "cpu_by_mode", "cpu_seconds", "cpu_cores"],
    limits: ["cpu_limit"],
    isPerPool: false,
    shareOf: cpuOf,
    amountOf: coresOf,
  },
  {
    resource: "memory",
    measures: ["memory_ratio", "memory_bytes"],
    limits: ["memory_limit"],
    isPerPool: false,
    shareOf: memoryOf,
    amountOf: (instance) => amountOf(instance, ["memory_bytes"]),
  },
  usedOf("connections", "connections", "connections_max"),
  usedOf("threads", "threads", "threads_max"),
  ratioReading("file_system", "file_system_ratio"),
  ratioReading("event_loop", "event_loop_ratio"),
  {
    resource: "garbage_collection",
    measures: ["gc_seconds"],
    limits: [],
    isPerPool: false,
    shareOf: (instance) => {
      const spent = joinedBest(instance.get("gc_seconds"));
      return spent === null || !spent.isGrowth || spent.seconds <= 0 ? null : spent.value / spent.seconds;
    },
    amountOf: () => null,
  },
  ...(
    ["queue_depth", "waiting_requests", "timeouts", "rate_limit_hits", "deadlocks", "slow_queries"] as const
  ).map(
    (measure): ResourceReading => ({
      resource: null,
      measures: [measure],
      limits: [],
      isPerPool: measure === "waiting_requests",
      shareOf: null,
      amountOf: (instance) => amountOf(instance, [measure]),
    }),
  ),
];

function usedOf(resource: Resource, used: Measure, limit: Measure): ResourceReading {
  return {
    resource,
    measures: [used],
    limits: [limit],
    isPerPool: true,
    shareOf: (instance) => {
      const [count, most] = [levelOf(instance.get(used)), levelOf(instance.get(limit))];
      return count === null || most === null || most <= 0 ? null : count / most;
    },
    amountOf: (instance) => amountOf(instance, [used]),
  };
}

function ratioReading(resource: Resource, ratio: Measure): ResourceReading {
  const shareOf = (instance: InstanceValues): number | null => levelOf(instance.get(ratio));
  return { resource, measures: [ratio], limits: [], isPerPool: false, shareOf, amountOf: () => null };
}

function coresOf(instance: InstanceValues): number | null {
  const used = joinedBest(instance.get("cpu_seconds"));
  if (used?.isGrowth === true && used.seconds > 0) return used.value / used.seconds;
  return levelOf(instance.get("cpu_cores"));
}

/** The first of these measures that there is: its level, or its growth per minute. */
function amountOf(instance: InstanceValues, measures: readonly Measure[]): number | null {
  for (const measure of measures) {
    const joined = joinedBest(instance.get(measure));
    if (joined === null) continue;
    if (!joined.isGrowth) return joined.value;
    if (joined.seconds > 0) return (joined.value * 60) / joined.seconds;
  }
  return null;
}

/** The series of the best metric there is, brought together as its rule says. */
function joinedBest(
  values: readonly SeriesValue[] | undefined,
): { readonly value: number; readonly seconds: number; readonly isGrowth: boolean } | null {
  const first = values?.[0];
  if (values === undefined || first === undefined) return null;
  const rank = values.reduce((best, { rule }) => Math.min(best, rule.rank), first.rule.rank);
  const best = values.filter(({ rule }) => rule.rank === rank);
  const divisor = best[0]?.rule.divisor ?? 1;
  const isSum = best[0]?.rule.join === "sum";
  const joined = isSum ? sumOf(best) : best.reduce((most, { value }) => Math.max(most, value), -Infinity);
  const seconds = best.reduce((longest, value) => Math.max(longest, value.seconds), 0);
  return { value: joined / divisor, seconds, isGrowth: best.some(({ isGrowth }) => isGrowth) };
}

/** The same of what is a state: how often something happened (connections made since the start) is none. */
function levelOf(values: readonly SeriesValue[] | undefined): number | null {
  const joined = joinedBest(values);
  return joined === null || joined.isGrowth ? null : joined.value;
}

function sumOf(values: readonly { readonly value: number }[]): number {
  return orderlessSum(values.map(({ value }) => value));
}

/** Utilisation as sent, else busy time against all time, else CPU seconds against what the limit allows. */
function cpuOf(instance: InstanceValues): number | null {
  const ratio = levelOf(instance.get("cpu_ratio"));
  if (ratio !== null) return ratio;
  const busy = busyShare(instance.get("cpu_by_mode"));
  if (busy !== null) return busy;
  const limit = levelOf(instance.get("cpu_limit"));
  if (limit === null || limit <= 0) return null;
  const cores = levelOf(instance.get("cpu_cores"));
  if (cores !== null) return cores / limit;
  const used = joinedBest(instance.get("cpu_seconds"));
  return used === null || !used.isGrowth || used.seconds <= 0 ? null : used.value / (used.seconds * limit);
}

function busyShare(values: readonly SeriesValue[] | undefined): number | null {
  if (values === undefined || values.length === 0) return null;
  const rank = Math.min(...values.map(({ rule }) => rule.rank));
  const best = values.filter(({ rule }) => rule.rank === rank);
  const busy = sumOf(best.filter(({ mode }) => mode.mode !== "idle"));
  if (best.some(({ mode }) => mode.mode === "idle")) {
    const all = sumOf(best);
    return all > 0 ? busy / all : null;
  }
  return best.some(({ isGrowth }) => isGrowth) ? null : busy / new Set(best.map(({ mode }) => mode.cpu)).size;
}

function memoryOf(instance: InstanceValues): number | null {
  const ratio = levelOf(instance.get("memory_ratio"));
  if (ratio !== null && ratio <= plausibleShareMax) return ratio;
  const used = levelOf(instance.get("memory_bytes"));
  const limit = levelOf(instance.get("memory_limit"));
  return used === null || limit === null || limit <= 0 ? null : used / limit;
}

/** Count and limit of the same process: the one whose pool is fullest, or with the most connections where no limit is known. */
function connectionsOf(instances: readonly InstanceValues[]): ResourceHealth {
  let count: number | undefined;
  let limit: number | undefined;
  for (const instance of instances) {
    const own = levelOf(instance.get("connections")) ?? undefined;
    const ownLimit = levelOf(instance.get("connections_max")) ?? undefined;
    if (isFuller(own, ownLimit, count, limit)) {
      count = own;
      limit = ownLimit;
    }
  }
  return {
    ...(count === undefined ? {} : { connection_count: count }),
    ...(limit === undefined ? {} : { max_connections: limit }),
  };
}

function isFuller(
  count: number | undefined,
  limit: number | undefined,
  otherCount: number | undefined,
  otherLimit: number | undefined,
): boolean {
  const share = count !== undefined && limit ? count / limit : 0;
  const otherShare = otherCount !== undefined && otherLimit ? otherCount / otherLimit : 0;
  if (share !== otherShare) return share > otherShare;
  if (count !== otherCount) return (count ?? -1) > (otherCount ?? -1);
  return (limit ?? -1) > (otherLimit ?? -1);
}
