import { grow } from "../base/grow.ts";
import { mapEntry } from "../base/map-entry.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { type Attributes, textOf } from "../model/attributes.ts";
import { metricCoursePointsMax, metricCoursesMax } from "../model/limits.ts";
import {
  durationUnits,
  isUtilisation,
  type Measure,
  type MetricRule,
  metricRuleOf,
  poolKeys,
} from "../model/metric-names.ts";
import { metricStaleNanos, plausibleShareMax } from "../model/scoring.ts";
import { nameOfSender, peerKeysOf, type Sender, type SenderNames, senderOf } from "../model/sender.ts";
import type { MetricPoint } from "../model/telemetry.ts";
import type { TimeRange, UnixNanos } from "../model/time.ts";
import {
  isSelected,
  labelsOf,
  type MetricReading,
  modeOf,
  type ReadingKind,
  readingOf,
} from "./metric-reading.ts";
import {
  type CpuModeValue,
  type InstanceValues,
  type Resource,
  resourceReadings,
  type SeriesValue,
} from "./resource-health.ts";

/** Nanoseconds since 1970 as a double, which is exact to 256 ns: enough to put points in order. */
type RoughNanos = number;

export interface CoursePoint {
  readonly time: RoughNanos;
  readonly value: number;
}

/**
 * What a course is about: the `share` of a limit that is used (1 = all of it), a `pressure` that is known to mean that work
 * waits or something is used up, but has no limit to compare with, or any `other` figure. Counts are per minute.
 */
type CourseKind = "share" | "pressure" | "other";

/** How one figure of one process went over time. */
export interface MetricCourse {
  readonly service: string;
  /** "" = the sender does not tell its processes apart */
  readonly instance: string;
  /** as it was sent; where several metrics give the figure together, the one that counts most */
  readonly metric: string;
  /** what else tells courses of this metric apart, "" = nothing */
  readonly labels: string;
  /** null = of no resource that is known by name */
  readonly resource: Resource | null;
  readonly kind: CourseKind;
  /** in order of time, each time once */
  readonly points: readonly CoursePoint[];
}

/**
 * All gauges and sums of a window over time, for comparisons of windows: shares of limits where metrics and their limits are
 * known, and the rest as it is. Durations are left out, for traces tell them better. The result depends on the set of
 * points, not on their order; repeated points count once.
 */
export class MetricRollup {
  readonly #series = new Map<string, CourseSeries>();
  #points = 0;
  #dropped = 0;

  /** Points left out because there were too many, or too many series. */
  get droppedPoints(): number {
    return this.#dropped;
  }

  add(points: Iterable<MetricPoint>): void {
    const senders = new Map<Attributes, Sender>();
    const rules = new Map<string, MetricRule | null>();
    for (const point of points) {
      const rule = mapEntry(rules, point.name, () => metricRuleOf(point.name));
      if (rule !== null && !isSelected(rule, point.attributes)) continue;
      const reading = courseReadingOf(point, rule);
      if (reading === null || point.time <= 0n) continue;
      const sender = mapEntry(senders, point.resource, () => senderOf(point.resource));
      const series = this.#seriesOf(point, rule, { sender, kind: reading.kind });
      if (series === null || this.#points >= metricCoursePointsMax) {
        this.#dropped += 1;
        continue;
      }
      series.values.add(point, reading.value);
      this.#points += 1;
    }
  }

  /** Points that are kept. */
  get pointCount(): number {
    return this.#points;
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    return this.#points * pointBytes + this.#series.size * seriesBytes;
  }

  /** Forgets the points before a time, and series that have no other. */
  dropBefore(time: UnixNanos): void {
    for (const [key, { values }] of this.#series) {
      this.#points -= values.dropBefore(Number(time));
      if (values.length === 0) this.#series.delete(key);
    }
  }

  save(out: SnapshotWriter): void {
    out.number(this.#points);
    out.number(this.#dropped);
    out.map(
      this.#series,
      (key, { names, instance, metric, labels, mode, pool, isUtilisation: isRatio, values }) => {
        out.texts([key, instance, metric, labels, pool, values.kind, mode.mode, mode.cpu]);
        out.texts(names);
        out.flag(isRatio);
        values.save(out);
      },
    );
  }

  load(from: SnapshotReader): void {
    this.#points = from.number();
    this.#dropped = from.number();
    from.map(this.#series, () => {
      const [texts, names, isRatio] = [from.texts(), from.texts(), from.flag()];
      const [key = "", instance = "", metric = "", labels = "", pool = "", kind, mode = "", cpu = ""] = texts;
      const values = new CourseValues(kind as ReadingKind);
      values.load(from);
      const rule = metricRuleOf(metric);
      const about = { names, instance, metric, rule, labels, mode: { mode, cpu }, pool };
      return [key, { ...about, isUtilisation: isRatio, values }];
    });
  }

  /** All courses, by service, instance, metric and labels; with the points within some times only, where those are given. */
  read(names: SenderNames, ranges: readonly TimeRange[] | null = null): readonly MetricCourse[] {
    const within: Within = ranges?.map(({ from, to }) => [Number(from), Number(to)] as const) ?? null;
    const processes = new Map<string, { service: string; instance: string; series: CourseSeries[] }>();
    for (const series of this.#series.values()) {
      const service = nameOfSender(series.names, names);
      const { instance } = series;
      if (service !== "")
        mapEntry(processes, `${service}\u0000${instance}`, () => ({
          service,
          instance,
          series: [],
        })).series.push(series);
    }
    return [...processes.values()]
      .flatMap(({ service, instance, series }) =>
        [...resourceCourses(series, within), ...otherCourses(series, within)].map((course) => ({
          service,
          instance,
          ...course,
        })),
      )
      .sort(byIdentity);
  }

  #seriesOf(
    point: MetricPoint,
    rule: MetricRule | null,
    { sender, kind }: { readonly sender: Sender; readonly kind: ReadingKind },
  ): CourseSeries | null {
    const { name, unit, attributes } = point;
    const labels = labelsOf(attributes);
    const peers = peerKeysOf(name, attributes);
    const key = [sender.key, ...peers, "", name, kind, labels].join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= metricCoursesMax) return null;
    const series: CourseSeries = {
      names: [...sender.names, ...peers, ...sender.addresses],
      instance: sender.instance,
      metric: name,
      rule,
      labels,
      mode: modeOf(attributes),
      pool: poolKeys.map((pool) => textOf(attributes.get(pool))).find((text) => text !== "") ?? "",
      isUtilisation: isUtilisation(name, unit),
      values: new CourseValues(kind),
    };
    this.#series.set(key, series);
    return series;
  }
}

interface CourseSeries {
  readonly names: readonly string[];
  readonly instance: string;
  readonly metric: string;
  readonly rule: MetricRule | null;
  readonly labels: string;
  readonly mode: CpuModeValue;
  readonly pool: string;
  readonly isUtilisation: boolean;
  readonly values: CourseValues;
}

/** First and last times of points that are asked for; null = all. */
type Within = readonly (readonly [from: RoughNanos, to: RoughNanos])[] | null;

/** Series of a process that say something together. */
interface JoinedSeries {
  readonly own: readonly CourseSeries[];
  readonly limiting: readonly CourseSeries[];
  readonly within: Within;
}

/** Rough sizes: of a point in three columns that double, and of a series with its key. */
const pointBytes = 32;
const seriesBytes = 1_500;

type Course = Omit<MetricCourse, "service" | "instance">;

function byIdentity(a: MetricCourse, b: MetricCourse): number {
  for (const key of ["service", "instance", "metric", "labels"] as const)
    if (a[key] !== b[key]) return a[key] < b[key] ? -1 : 1;
  return 0;
}

/** As health reads it; time spent in garbage collection may come as a histogram. Null for what is no course. */
function courseReadingOf(point: MetricPoint, rule: MetricRule | null): MetricReading | null {
  const { unit, value } = point;
  if (rule?.measure === "gc_seconds") {
    const seconds = durationUnits.get(unit) ?? 1;
    if (value.kind !== "histogram" && value.kind !== "exponential_histogram") {
      const reading = readingOf(point);
      return reading === null ? null : { kind: reading.kind, value: reading.value * seconds };
    }
    if (value.sum === null || !(value.sum >= 0)) return null;
    return { kind: value.temporality === "delta" ? "delta" : "counter", value: value.sum * seconds };
  }
  return rule === null && durationUnits.has(unit) ? null : readingOf(point);
}

/** What is known of CPU, memory, pools and the like: of each the share of its limit, or what is used where no limit is known. */
function resourceCourses(series: readonly CourseSeries[], within: Within): readonly Course[] {
  const courses: Course[] = [];
  for (const reading of resourceReadings) {
    const { resource, measures, limits } = reading;
    const used = series.filter(({ rule }) => rule !== null && measures.includes(rule.measure));
    const pools = new Set(used.map(({ pool }) => (reading.isPerPool ? pool : "")));
    for (const pool of [...pools].sort()) {
      const isOfPool = (each: CourseSeries): boolean => !reading.isPerPool || each.pool === pool;
      const own = used.filter(isOfPool);
      const [main] = own.toSorted(byImportance(measures));
      if (main === undefined) continue;
      const limiting = series.filter(
        (each) => each.rule !== null && limits.includes(each.rule.measure) && isOfPool(each),
      );
      const shares = reading.shareOf === null ? [] : joinedPoints({ own, limiting, within }, reading.shareOf);
      const isShare = shares.length > 0;
      const points = isShare ? shares : joinedPoints({ own, limiting: [], within }, reading.amountOf);
      const kind = isShare ? "share" : "pressure";
      if (points.length > 0) courses.push({ metric: main.metric, labels: pool, resource, kind, points });
    }
  }
  return courses;
}

/** The metric that a figure is read from first. */
function byImportance(measures: readonly Measure[]): (a: CourseSeries, b: CourseSeries) => number {
  const place = ({ rule }: CourseSeries): number => (rule === null ? -1 : measures.indexOf(rule.measure));
  return (a, b) =>
    place(a) - place(b) || (a.rule?.rank ?? 0) - (b.rule?.rank ?? 0) || (a.metric < b.metric ? -1 : 1);
}

function otherCourses(series: readonly CourseSeries[], within: Within): readonly Course[] {
  return series
    .filter(({ rule }) => rule === null)
    .map(({ metric, labels, isUtilisation: isRatio, values }) => {
      const points = values.read(within).map(({ time, value, seconds, isGrowth }) => ({
        time,
        value: isGrowth ? (value * 60) / seconds : value,
      }));
      const isShare = isRatio && points.every(({ value }) => value <= plausibleShareMax);
      return {
        metric,
        labels,
        resource: null,
        kind: isShare ? ("share" as const) : ("other" as const),
        points,
      };
    })
    .filter(({ points }) => points.length > 0);
}

/**
 * What several series of a process say together, at each time at which one of `own` said something, with the latest values of
 * the others.
 */
function joinedPoints(
  { own, limiting, within }: JoinedSeries,
  read: (values: InstanceValues) => number | null,
): readonly CoursePoint[] {
  const events = [...own, ...limiting]
    .flatMap((series) => series.values.read(within).map((value) => ({ series, value })))
    .sort((a, b) => a.value.time - b.value.time);
  const isOwn = new Set(own);
  const latest = new Map<CourseSeries, CourseValue>();
  const points: CoursePoint[] = [];
  let isNew = false;
  for (const [i, { series, value }] of events.entries()) {
    latest.set(series, value);
    isNew ||= isOwn.has(series);
    const { time } = value;
    if (!isNew || events[i + 1]?.value.time === time) continue;
    isNew = false;
    const joined = read(valuesAt(latest, time));
    if (joined !== null && Number.isFinite(joined)) points.push({ time, value: joined });
  }
  return points;
}

function valuesAt(latest: ReadonlyMap<CourseSeries, CourseValue>, time: RoughNanos): InstanceValues {
  const values: InstanceValues = new Map();
  for (const [{ rule, mode }, { time: saidAt, value, seconds, isGrowth }] of latest) {
    if (rule === null || time - saidAt > metricStaleNanos) continue;
    const said: SeriesValue = { rule, mode, value, seconds, isGrowth };
    mapEntry(values, rule.measure, () => []).push(said);
  }
  return values;
}

/** A level, or how much was counted in so many seconds until this time. */
interface CourseValue extends CoursePoint {
  readonly seconds: number;
  readonly isGrowth: boolean;
}

/** The points of one series, in columns. */
class CourseValues {
  readonly kind: ReadingKind;
  #times = new Float64Array(16);
  #values = new Float64Array(16);
  /** of counters: when they began to count */
  #starts: Float64Array | null;
  #length = 0;

  constructor(kind: ReadingKind) {
    this.kind = kind;
    this.#starts = kind === "counter" ? new Float64Array(16) : null;
  }

  add({ time, startTime }: MetricPoint, value: number): void {
    const at = this.#length;
    if (at === this.#times.length) {
      this.#times = grow(this.#times, at + 1);
      this.#values = grow(this.#values, at + 1);
      if (this.#starts !== null) this.#starts = grow(this.#starts, at + 1);
    }
    this.#times[at] = Number(time);
    this.#values[at] = value;
    if (this.#starts !== null) this.#starts[at] = Number(startTime);
    this.#length = at + 1;
  }

  get length(): number {
    return this.#length;
  }

  save(out: SnapshotWriter): void {
    out.numbers(this.#times.subarray(0, this.#length));
    out.numbers(this.#values.subarray(0, this.#length));
    out.optional(this.#starts, (starts) => out.numbers(starts.subarray(0, this.#length)));
  }

  load(from: SnapshotReader): void {
    this.#times = from.numbers();
    this.#values = from.numbers();
    this.#starts = from.optional(() => from.numbers());
    this.#length = this.#times.length;
  }

  /** Answers how many points went. */
  dropBefore(time: RoughNanos): number {
    let kept = 0;
    for (let at = 0; at < this.#length; at += 1) {
      if (this.#timeAt(at) < time) continue;
      this.#times[kept] = this.#timeAt(at);
      this.#values[kept] = this.#valueAt(at);
      if (this.#starts !== null) this.#starts[kept] = this.#starts[at] as number;
      kept += 1;
    }
    const gone = this.#length - kept;
    this.#length = kept;
    return gone;
  }

  /** In order of time. The first point of what counts is missing: nothing says what it was before. */
  read(within: Within): readonly CourseValue[] {
    const order = this.#order(within);
    if (this.kind === "level")
      return order.map((at) => ({
        time: this.#timeAt(at),
        value: this.#valueAt(at),
        seconds: 0,
        isGrowth: false,
      }));
    return order.slice(1).map((at, i) => {
      const before = order[i] as number;
      const time = this.#timeAt(at);
      const seconds = (time - this.#timeAt(before)) / 1e9;
      return { time, value: this.#growth(before, at), seconds, isGrowth: true };
    });
  }

  /** Of points at one time the highest counts, so that their order of arrival does not. */
  #order(within: Within): readonly number[] {
    const order: number[] = [];
    for (let at = 0; at < this.#length; at += 1) {
      const time = this.#timeAt(at);
      if (within === null || within.some(([from, to]) => time >= from && time <= to)) order.push(at);
    }
    order.sort((a, b) => this.#timeAt(a) - this.#timeAt(b) || this.#valueAt(b) - this.#valueAt(a));
    return order.filter((at, i) => i === 0 || this.#timeAt(at) !== this.#timeAt(order[i - 1] as number));
  }

  /** What was counted since the point before; after a restart, what was counted since then. */
  #growth(before: number, at: number): number {
    const value = this.#valueAt(at);
    if (this.#starts === null) return value;
    const [startedBefore, started] = [this.#starts[before] as number, this.#starts[at] as number];
    const hasNewStart = started !== startedBefore && started >= this.#timeAt(before);
    return value < this.#valueAt(before) || hasNewStart ? value : value - this.#valueAt(before);
  }

  #timeAt(at: number): RoughNanos {
    return this.#times[at] as number;
  }

  #valueAt(at: number): number {
    return this.#values[at] as number;
  }
}
