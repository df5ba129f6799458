import { assert } from "../base/assert.ts";
import { mapEntry } from "../base/map-entry.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import type { Attributes } from "../model/attributes.ts";
import { deltaPointsPerMinuteMax, metricSeriesMax } from "../model/limits.ts";
import { type MetricRule, metricRuleOf } from "../model/metric-names.ts";
import { Minutes } from "../model/minutes.ts";
import { counterStartSlackNanos } from "../model/scoring.ts";
import { nameOfSender, peerKeysOf, type Sender, type SenderNames, senderOf } from "../model/sender.ts";
import type { MetricPoint } from "../model/telemetry.ts";
import { minuteOf, NANOS_PER_SECOND, type UnixNanos } from "../model/time.ts";
import { isSelected, labelsOf, modeOf, type ReadingKind, readingOf } from "./metric-reading.ts";
import {
  type CpuModeValue,
  type InstanceValues,
  isHealthMeasure,
  type ResourceHealth,
  resourceHealthOf,
} from "./resource-health.ts";

/** What a window of metrics is asked for. */
export interface HealthWindowQuery extends SenderNames {
  /** first and last minute, both included; null = no end on that side */
  readonly from: number | null;
  readonly to: number | null;
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
      if (rule === null || !isHealthMeasure(rule.measure) || !isSelected(rule, point.attributes)) continue;
      const read = readingOf(point);
      if (read === null) continue;
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

  save(out: SnapshotWriter): void {
    out.number(this.#seriesCount);
    out.number(this.#droppedPoints);
    out.optional(this.#earliest, (time) => out.whole(time));
    out.map(this.#groups, (key, { names, series }) => {
      out.text(key);
      out.texts(names);
      out.map(series, (seriesKey, each) => {
        out.text(seriesKey);
        out.texts([each.metric, each.kind, each.instance, each.mode.mode, each.mode.cpu]);
        each.save(out);
      });
    });
  }

  load(from: SnapshotReader): void {
    this.#seriesCount = from.number();
    this.#droppedPoints = from.number();
    this.#earliest = from.optional(() => from.whole() as UnixNanos);
    from.map(this.#groups, () => {
      const [key, names, series] = [from.text(), from.texts(), new Map<string, Series>()];
      from.map(series, () => {
        const [seriesKey, texts] = [from.text(), from.texts()];
        const [metric = "", kind, instance = "", mode = "", cpu = ""] = texts;
        const rule = metricRuleOf(metric);
        assert(rule !== null, "series are kept of metrics that have a rule");
        const each = new Series({ metric, rule, kind: kind as ReadingKind, instance, mode: { mode, cpu } });
        each.load(from);
        return [seriesKey, each];
      });
      return [key, { names, series }];
    });
  }

  /** The health of every sender of metrics, by the name that reports use. */
  window(query: HealthWindowQuery): HealthWindow {
    const { from, to } = query;
    const start = from === null ? (this.#earliest ?? 0n) : BigInt(from) * 60_000_000_000n;
    const groups = new Map<string, SeriesGroup[]>();
    for (const group of this.#groups.values()) {
      const name = nameOfSender(group.names, query);
      if (name !== "") mapEntry(groups, name, () => []).push(group);
    }
    return new HealthWindow(groups, { from, to, since: start - BigInt(counterStartSlackNanos) });
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
    const key = [sender.key, point.name, kind, labelsOf(point.attributes)].join("\u0000");
    const known = group.series.get(key);
    if (known !== undefined) return known;
    if (this.#seriesCount >= metricSeriesMax) {
      this.#droppedPoints += 1;
      return null;
    }
    const series = new Series({
      metric: point.name,
      rule,
      kind,
      instance: sender.instance,
      mode: modeOf(point.attributes),
    });
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

interface SeriesKind {
  readonly metric: string;
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
  readonly metric: string;
  readonly rule: MetricRule;
  readonly kind: ReadingKind;
  readonly instance: string;
  readonly mode: CpuModeValue;
  readonly #minutes = new Minutes(
    (): SeriesMinute => ({ first: null, last: null, deltas: null, deltaRest: 0 }),
  );
  #deltaCount = 0;

  constructor({ metric, rule, kind, instance, mode }: SeriesKind) {
    this.metric = metric;
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

  save(out: SnapshotWriter): void {
    out.number(this.#deltaCount);
    const writeReading = ({ time, startTime, value }: Reading): void => {
      out.whole(time);
      out.whole(startTime);
      out.number(value);
    };
    this.#minutes.save(out, ({ first, last, deltas, deltaRest }) => {
      out.optional(first, writeReading);
      out.optional(last, writeReading);
      out.optional(deltas, (all) =>
        out.map(all, (time, delta) => {
          out.whole(time);
          out.number(delta);
        }),
      );
      out.number(deltaRest);
    });
  }

  load(from: SnapshotReader): void {
    this.#deltaCount = from.number();
    const readTime = (): UnixNanos => from.whole() as UnixNanos;
    const readReading = (): Reading => ({ time: readTime(), startTime: readTime(), value: from.number() });
    this.#minutes.load(from, (minute) => {
      minute.first = from.optional(readReading);
      minute.last = from.optional(readReading);
      minute.deltas = from.optional(() => {
        const deltas = new Map<UnixNanos, number>();
        from.map(deltas, () => [readTime(), from.number()]);
        return deltas;
      });
      minute.deltaRest = from.number();
    });
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
