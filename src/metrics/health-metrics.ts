import { type Attributes, textOf } from "../model/attributes.ts";
import { deltaPointsPerMinuteMax, metricSeriesMax, metricValueMax } from "../model/limits.ts";
import {
  cpuModeKeys,
  cpuNumberKeys,
  destinationKeys,
  type MetricRule,
  metricRuleOf,
  peerNameKeys,
} from "../model/metric-names.ts";
import { Minutes } from "../model/minutes.ts";
import { rawNaming, type ServiceDirectory } from "../model/service-directory.ts";
import { identityOf, unknownService } from "../model/service-identity.ts";
import type { MetricPoint } from "../model/telemetry.ts";
import { minuteOf, NANOS_PER_SECOND, type UnixNanos } from "../model/time.ts";
import {
  type CpuModeValue,
  type InstanceValues,
  type ResourceHealth,
  resourceHealthOf,
} from "./resource-health.ts";

/** A counter that began to count this long before the first data, or later, is taken to have begun with it. */
const counterStartSlackNanos = 300_000_000_000n;

/** What a window of metrics is asked for. */
export interface HealthWindowQuery {
  /** first and last minute, both included; null = no end on that side */
  readonly from: number | null;
  readonly to: number | null;
  readonly directory: ServiceDirectory;
  /** whether a service or peer of this name is in the scope: metrics go to the first name of their sender that is */
  readonly isKnown: (name: string) => boolean;
}

/**
 * CPU, memory, queues, connections and the like of each service, from OTLP metrics, minute by minute. Only metrics that
 * `metricRuleOf` knows are kept. The result depends on the set of points, not on their order; repeated points count once.
 */
export class HealthRollup {
  /** series by name and labels, by sender */
  readonly #groups = new Map<string, SeriesGroup>();
  readonly #rules = new Map<string, MetricRule | null>();
  #seriesCount = 0;
  #droppedPoints = 0;
  #earliest: UnixNanos | null = null;

  /** Points left out because there were too many series. */
  get droppedPoints(): number {
    return this.#droppedPoints;
  }

  add(points: Iterable<MetricPoint>): void {
    const senders = new Map<Attributes, Sender>();
    for (const point of points) {
      const rule = this.#ruleOf(point.name);
      const read = rule === null || !isSelected(rule, point.attributes) ? null : readingOf(point);
      if (rule === null || read === null) continue;
      if (this.#earliest === null || point.time < this.#earliest) this.#earliest = point.time;
      const sender = mapEntry(senders, point.resource, () => senderOf(point.resource));
      this.#seriesOf(point, rule, sender, read.kind)?.add(point, read.value);
    }
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    let bytes = 0;
    for (const { series } of this.#groups.values())
      for (const each of series.values()) bytes += each.byteLength;
    return bytes;
  }

  dropBefore(minute: number): void {
    for (const [groupKey, { series }] of this.#groups) {
      for (const [key, each] of series)
        if (each.dropBefore(minute)) {
          series.delete(key);
          this.#seriesCount -= 1;
        }
      if (series.size === 0) this.#groups.delete(groupKey);
    }
  }

  /** The health of every sender of metrics, by the name that reports use. */
  window(query: HealthWindowQuery): HealthWindow {
    const { from, to, directory, isKnown } = query;
    const start = from === null ? (this.#earliest ?? 0n) : BigInt(from) * 60_000_000_000n;
    const groups = new Map<string, SeriesGroup[]>();
    for (const group of this.#groups.values()) {
      const name = nameOf(group.names, directory, isKnown);
      if (name !== "") mapEntry(groups, name, () => []).push(group);
    }
    return new HealthWindow(groups, { from, to, since: start - counterStartSlackNanos });
  }

  #ruleOf(name: string): MetricRule | null {
    let rule = this.#rules.get(name);
    if (rule === undefined) {
      if (this.#rules.size >= metricSeriesMax) this.#rules.clear();
      rule = metricRuleOf(name);
      this.#rules.set(name, rule);
    }
    return rule;
  }

  #seriesOf(point: MetricPoint, rule: MetricRule, sender: Sender, kind: ReadingKind): Series | null {
    const names = [...sender.names, ...peerKeysOf(point.name, point.attributes), ...sender.addresses];
    const group = mapEntry(this.#groups, names.join("\u0000"), () => ({ names, series: new Map() }));
    const labels = [...point.attributes].map(([key, value]) => `${key}=${textOf(value)}`).sort();
    const key = [sender.key, point.name, kind, ...labels].join("\u0000");
    const known = group.series.get(key);
    if (known !== undefined) return known;
    if (this.#seriesCount >= metricSeriesMax) {
      this.#droppedPoints += 1;
      return null;
    }
    const series = new Series({ rule, kind, instance: sender.instance, mode: modeOf(point.attributes) });
    group.series.set(key, series);
    this.#seriesCount += 1;
    return series;
  }
}

/** All series that belong to one node. */
interface SeriesGroup {
  /** keys of the node as `rawNaming` makes them, the likeliest first */
  readonly names: readonly string[];
  readonly series: Map<string, Series>;
}

interface SeriesWindow {
  readonly from: number | null;
  readonly to: number | null;
  /** counters that started then or later began with zero */
  readonly since: bigint;
}

/** What metrics say in a window; worked out when asked for. */
export class HealthWindow {
  readonly #groups: ReadonlyMap<string, readonly SeriesGroup[]>;
  readonly #window: SeriesWindow;
  readonly #known = new Map<string, ResourceHealth | undefined>();

  constructor(groups: ReadonlyMap<string, readonly SeriesGroup[]>, window: SeriesWindow) {
    this.#groups = groups;
    this.#window = window;
  }

  /** Names of all who sent metrics, sorted. */
  get services(): readonly string[] {
    return [...this.#groups.keys()].sort();
  }

  /** Undefined where the window has nothing of the service. */
  service(name: string): ResourceHealth | undefined {
    if (!this.#known.has(name)) this.#known.set(name, this.#read(name));
    return this.#known.get(name);
  }

  #read(name: string): ResourceHealth | undefined {
    const instances = new Map<string, InstanceValues>();
    for (const { series: all } of this.#groups.get(name) ?? [])
      for (const series of all.values()) {
        const value = series.within(this.#window);
        if (value === null) continue;
        const { rule, mode, instance } = series;
        const values = mapEntry(instances, instance, () => new Map());
        mapEntry(values, rule.measure, () => []).push({ rule, mode, ...value });
      }
    return instances.size === 0 ? undefined : resourceHealthOf([...instances.values()]);
  }
}

function mapEntry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

interface Sender {
  readonly key: string;
  readonly instance: string;
  /** keys as `rawNaming` makes them, the likeliest first */
  readonly names: readonly string[];
  /** of whoever runs at the sender's addresses */
  readonly addresses: readonly string[];
}

function senderOf(resource: Attributes): Sender {
  const identity = identityOf(resource);
  const own = identity.name.startsWith(unknownService) ? [] : [rawNaming.nameOf(identity)];
  const names = [...own, ...peerKeysOf("", resource)];
  const addresses = identity.addresses.map((host) => peerKey("", host, "address"));
  const instance = identity.instance || identity.host;
  return { key: [instance, ...names, ...identity.addresses].join("\u0001"), instance, names, addresses };
}

/** The database or queue that attributes name; `kafka.…{topic=orders}` is the node `kafka:orders`. */
function peerKeysOf(metric: string, attributes: Attributes): readonly string[] {
  const textsOf = (keys: readonly string[]): readonly string[] =>
    keys.map((key) => textOf(attributes.get(key))).filter((text) => text !== "");
  const system = textOf(attributes.get("messaging.system")) || (metric.split(".", 1)[0] ?? "");
  const host = textOf(attributes.get("server.address")).toLowerCase();
  const names = [...textsOf(peerNameKeys), ...textsOf(destinationKeys).map((name) => `${system}:${name}`)];
  return host === "" ? names : [...names.map((name) => peerKey(name, host, "server")), ...names];
}

function peerKey(name: string, host: string, form: "server" | "address"): string {
  return rawNaming.nameOfPeer({ name, namespace: "", host, port: "", form });
}

function nameOf(
  keys: readonly string[],
  directory: ServiceDirectory,
  isKnown: (name: string) => boolean,
): string {
  const names = keys.map((key) => directory.nameOfKey(key)).filter((name) => name !== "");
  return names.find(isKnown) ?? names[0] ?? "";
}

function isSelected({ only }: MetricRule, attributes: Attributes): boolean {
  if (only === undefined) return true;
  const given = only.keys.filter((key) => attributes.has(key));
  return given.length === 0 || given.some((key) => only.values.includes(textOf(attributes.get(key))));
}

function modeOf(attributes: Attributes): CpuModeValue {
  const first = (keys: readonly string[]): string =>
    keys.map((key) => textOf(attributes.get(key))).find((text) => text !== "") ?? "";
  return { mode: first(cpuModeKeys), cpu: first(cpuNumberKeys) };
}

/** `level` = a value of now, `counter` = counts up from its start, `delta` = what was added since the point before */
type ReadingKind = "level" | "counter" | "delta";

/** Null for what is no number of now or a count: histograms, values marked as missing, and those that cannot be (below 0, absurd). */
function readingOf({
  value,
  unit,
}: MetricPoint): { readonly kind: ReadingKind; readonly value: number } | null {
  if (
    (value.kind !== "gauge" && value.kind !== "sum") ||
    !(value.value >= 0 && value.value <= metricValueMax)
  )
    return null;
  const scaled = unit === "%" || unit === "percent" ? value.value / 100 : value.value;
  if (value.kind === "gauge") return { kind: "level", value: scaled };
  if (value.temporality === "delta") return { kind: "delta", value: scaled };
  return { kind: value.isMonotonic ? "counter" : "level", value: scaled };
}

interface SeriesKind {
  readonly rule: MetricRule;
  readonly kind: ReadingKind;
  readonly instance: string;
  readonly mode: CpuModeValue;
}

interface Measured {
  readonly value: number;
  readonly seconds: number;
  readonly isGrowth: boolean;
}

interface Reading {
  readonly time: UnixNanos;
  readonly startTime: UnixNanos;
  readonly value: number;
}

/** What a minute keeps of a series: of levels and counters the first and last point, of deltas all that are told apart. */
interface SeriesMinute {
  first: Reading | null;
  last: Reading | null;
  /** null = none yet */
  deltas: Map<UnixNanos, number> | null;
  deltaRest: number;
}

/** A series with its labels; a minute of one with two points; a point with delta temporality. */
const seriesBytes = 1_000;
const seriesMinuteBytes = 350;
const deltaBytes = 80;

class Series {
  readonly rule: MetricRule;
  readonly kind: ReadingKind;
  readonly instance: string;
  readonly mode: CpuModeValue;
  readonly #minutes = new Minutes(
    (): SeriesMinute => ({ first: null, last: null, deltas: null, deltaRest: 0 }),
  );
  #deltaCount = 0;

  constructor({ rule, kind, instance, mode }: SeriesKind) {
    this.rule = rule;
    this.kind = kind;
    this.instance = instance;
    this.mode = mode;
  }

  get byteLength(): number {
    return seriesBytes + this.#minutes.size * seriesMinuteBytes + this.#deltaCount * deltaBytes;
  }

  add({ time, startTime }: MetricPoint, value: number): void {
    const minute = this.#minutes.cellFor(minuteOf(time));
    if (minute === undefined) return;
    const reading = { time, startTime, value };
    if (this.kind !== "delta") {
      if (minute.first === null || isBefore(reading, minute.first)) minute.first = reading;
      if (minute.last === null || isBefore(minute.last, reading)) minute.last = reading;
      return;
    }
    minute.deltas ??= new Map();
    const known = minute.deltas.get(time);
    if (known === undefined && minute.deltas.size >= deltaPointsPerMinuteMax) {
      minute.deltaRest += value;
      return;
    }
    if (known === undefined) this.#deltaCount += 1;
    minute.deltas.set(time, Math.max(value, known ?? value));
  }

  /** Whether nothing is left. */
  dropBefore(minute: number): boolean {
    this.#minutes.dropBefore(minute);
    if (this.#deltaCount > 0)
      this.#deltaCount = this.#minutes
        .within(null, null)
        .reduce((sum, [, { deltas }]) => sum + (deltas?.size ?? 0), 0);
    return this.#minutes.size === 0;
  }

  /** The last level or the growth, and the seconds that the growth took; null where the window has none. */
  within({ from, to, since }: SeriesWindow): Measured | null {
    const minutes = this.#minutes.within(from, to).map(([, minute]) => minute);
    if (minutes.length === 0) return null;
    if (this.kind === "delta") return this.#deltaSum(minutes);
    const last = minutes.at(-1)?.last ?? null;
    if (last === null) return null;
    if (this.kind === "level") return { value: last.value, seconds: 0, isGrowth: false };
    const before = from === null ? undefined : this.#minutes.within(null, from - 1).at(-1)?.[1].last;
    return growthOf(before ?? null, minutes, since);
  }

  #deltaSum(minutes: readonly SeriesMinute[]): Measured {
    const deltas = minutes
      .flatMap((minute) => [...(minute.deltas ?? [])])
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const rest = minutes.reduce((sum, { deltaRest }) => sum + deltaRest, 0);
    const value = deltas.reduce((sum, [, delta]) => sum + delta, rest);
    const seconds = Number((deltas.at(-1)?.[0] ?? 0n) - (deltas[0]?.[0] ?? 0n)) / NANOS_PER_SECOND;
    return { value, seconds, isGrowth: true };
  }
}

function isBefore(a: Reading, b: Reading): boolean {
  return a.time < b.time || (a.time === b.time && a.value < b.value);
}

/**
 * How much a counter grew over the readings; a restart counts what there is since. A counter without a reading before the
 * window begins with its first reading, or with zero where it started in the window itself.
 */
function growthOf(before: Reading | null, minutes: readonly SeriesMinute[], since: bigint): Measured | null {
  const readings = minutes.flatMap(({ first, last }) =>
    first === null || last === null ? [] : [first, last],
  );
  const first = readings[0];
  const last = readings.at(-1);
  if (first === undefined || last === undefined) return null;
  const startsInside = first.startTime > 0n && first.startTime >= since;
  if (before === null && !startsInside && first.time === last.time) return null;
  let value = before === null && startsInside ? first.value : 0;
  let previous = before ?? first;
  for (const reading of readings) {
    const hasNewStart = reading.startTime !== previous.startTime && reading.startTime >= previous.time;
    const restarted = reading.value < previous.value || hasNewStart;
    if (reading.time > previous.time) value += restarted ? reading.value : reading.value - previous.value;
    previous = reading;
  }
  const start = before?.time ?? (startsInside ? first.startTime : first.time);
  return { value, seconds: Number(last.time - start) / NANOS_PER_SECOND, isGrowth: true };
}
