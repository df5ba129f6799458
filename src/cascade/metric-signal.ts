import { mapEntry } from "../base/map-entry.ts";
import { quantileOfUnsorted } from "../base/quantile.ts";
import type { CoursePoint, MetricCourse } from "../metrics/metric-courses.ts";
import {
  amountDoublingsMin,
  amountFloor,
  amountPointsMin,
  amountStrength,
  amountTestMin,
  commonRiseProcessesMin,
  factCountMax,
  metricDelayNanos,
  metricPointsMin,
  metricScaleMin,
  metricTestMin,
  mostly,
  shareRiseMin,
} from "../model/scoring.ts";
import type { TimeRange } from "../model/time.ts";
import type { MetricRiseFact } from "./candidate.ts";
import type { SignalFinding, SignalFindings } from "./signals.ts";

/** The metrics that there are about a window. */
export interface MetricWindow {
  readonly courses: readonly MetricCourse[];
  /** when it was; null = all the time that the courses cover */
  readonly ranges: readonly TimeRange[] | null;
}

/**
 * Who runs short of something in an incident: of each process the rise of its metrics, as shares of a limit, beyond the
 * rise that all processes have in common. Medians are compared, for single points spike on healthy processes too.
 *
 * A service's strength is its largest rise, in shares of a limit. Figures without a limit count as well, but need a rise
 * that is more certain and at least a doubling, and are worth less (see `amountStrength`): traffic moves them at victims too.
 *
 * Where there is no baseline, or it has only few points of a process, those before the incident are taken to them. A process
 * that still has none is new: then it is compared with the service's other processes. Nothing to compare with, no finding.
 */
export function metricSignal(incident: MetricWindow, baseline: MetricWindow | null): SignalFindings {
  const usual = new UsualPoints(incident, baseline);
  const changes = incident.courses.flatMap((course) => changeOf(course, incident.ranges, usual) ?? []);
  const families = new Map<string, Change[]>();
  for (const change of changes) mapEntry(families, familyOf(change.course), () => []).push(change);
  const byService = new Map<string, Rise[]>();
  for (const family of families.values())
    for (const rise of risesOf(family)) mapEntry(byService, rise.course.service, () => []).push(rise);
  const findings = new Map<string, SignalFinding>();
  for (const service of [...byService.keys()].sort())
    findings.set(service, findingOf(service, byService.get(service) ?? []));
  return findings;
}

/** A course in the incident against the healthy time. */
interface Change {
  readonly course: MetricCourse;
  /** medians */
  readonly before: number;
  readonly after: number;
  readonly z: number;
  /** in shares of a limit, or in doublings */
  readonly rise: number;
}

/** A change that is evidence. */
interface Rise extends Change {
  readonly strength: number;
}

function changeOf(
  course: MetricCourse,
  ranges: readonly TimeRange[] | null,
  usual: UsualPoints,
): Change | null {
  const least = course.kind === "share" ? metricPointsMin : amountPointsMin;
  const during = pointsWithin(course.points, ranges, metricDelayNanos).map(({ value }) => value);
  if (during.length < least.incident) return null;
  const healthy = usual.of(course, least.baseline);
  if (healthy === null) return null;
  const { median: before, spread } = healthy;
  const after = medianOf(during);
  const isShare = course.kind === "share";
  const floor = isShare ? metricScaleMin.ofLimit : floorOf(course);
  const z = (after - before) / Math.max(spread, metricScaleMin.ofMedian * before, floor);
  const rise = isShare ? after - before : Math.log2((after + floor) / (before + floor));
  return { course, before, after, z, rise };
}

function floorOf({ resource }: MetricCourse): number {
  return resource === "cpu" ? amountFloor.cores : amountFloor.any;
}

/** Courses of one resource, or of one metric, rise together when there is more to do. */
function familyOf({ kind, resource, metric }: MetricCourse): string {
  return [kind, kind === "share" && resource !== null ? resource : `${resource}\u0000${metric}`].join(
    "\u0000",
  );
}

/** The changes of a family that stand out. */
function risesOf(family: readonly Change[]): readonly Rise[] {
  const isLarge = family.length >= commonRiseProcessesMin;
  const ofAll = medianOf(family.map(({ rise }) => rise));
  const rises = family.flatMap((change) => {
    const others = isLarge ? [] : family.filter((other) => other !== change);
    const common = isLarge ? ofAll : medianOf(others.map(({ rise }) => rise));
    const strength = strengthOf(change, change.rise - Math.max(common, 0));
    return strength > 0 ? [{ ...change, strength }] : [];
  });
  if (rises[0]?.course.kind !== "other") return rises;
  // what rises at many at once (traffic, or a figure of the host that they share) points at none of them
  const services = new Set(rises.map(({ course }) => course.service)).size;
  return rises.map((rise) => ({ ...rise, strength: rise.strength / services }));
}

/** 0 = no evidence. `own` = the part of the rise that is not common. */
function strengthOf({ course: { kind }, z }: Change, own: number): number {
  if (kind === "share") return z >= metricTestMin && own >= shareRiseMin ? own : 0;
  if (z < amountTestMin || own < amountDoublingsMin) return 0;
  return amountStrength[kind] * Math.min(1, own / amountStrength.doublingsForFull);
}

function findingOf(service: string, rises: readonly Rise[]): SignalFinding {
  const sorted = rises.toSorted(
    (a, b) => b.strength - a.strength || (keyOf(a.course) < keyOf(b.course) ? -1 : 1),
  );
  const ofProcesses = new Map<string, Rise[]>();
  for (const rise of sorted) mapEntry(ofProcesses, serviceKeyOf(rise.course), () => []).push(rise);
  const facts = [...ofProcesses.values()].map(factOf);
  const [first] = facts;
  return {
    service,
    strength: sorted[0]?.strength ?? 0,
    kind: "saturation",
    operation: null,
    instance: first === undefined || first.instance === "" || first.alike > 0 ? null : first.instance,
    edge: null,
    evidence: facts.slice(0, factCountMax),
  };
}

/** `rises` = of one metric at the processes of a service, the strongest first. */
function factOf(rises: readonly Rise[]): MetricRiseFact {
  const [{ course, before, after, z, strength }] = rises as readonly [Rise];
  const { metric, resource, instance, kind } = course;
  const alike = rises.filter((other) => other.strength >= mostly * strength).length - 1;
  return {
    kind: "metric_rise",
    metric,
    resource,
    instance,
    alike,
    isShare: kind === "share",
    before,
    after,
    z,
  };
}

/** What was usual for each process. */
class UsualPoints {
  /** by course, then by what the processes of a service have in common */
  readonly #levels: readonly UsualLevel[];

  constructor(incident: MetricWindow, baseline: MetricWindow | null) {
    const start = startOf(incident.ranges);
    const earlier = ({ points }: MetricCourse): readonly CoursePoint[] =>
      points.filter(({ time }) => start !== null && time < start);
    const healthy = ({ points }: MetricCourse): readonly CoursePoint[] =>
      pointsWithin(points, baseline?.ranges ?? null, 0);
    this.#levels = [keyOf, serviceKeyOf].map((key) => ({
      key,
      healthy: collect(baseline?.courses ?? [], key, healthy),
      earlier: collect(incident.courses, key, earlier),
      known: new Map(),
    }));
  }

  /** Null where there are fewer points than so many. */
  of(course: MetricCourse, pointsMin: number): Usual | null {
    for (const { key, healthy, earlier, known } of this.#levels) {
      const name = key(course);
      const usual = mapEntry(known, name, () => usualOf(healthy.get(name) ?? [], earlier.get(name) ?? []));
      if (usual.points >= pointsMin) return usual;
    }
    return null;
  }
}

interface UsualLevel {
  readonly key: (course: MetricCourse) => string;
  /** points of the healthy time, and of the time before the incident */
  readonly healthy: ReadonlyMap<string, readonly CoursePoint[]>;
  readonly earlier: ReadonlyMap<string, readonly CoursePoint[]>;
  /** what was asked for before: the processes of a service ask for the same */
  readonly known: Map<string, Usual>;
}

interface Usual {
  readonly points: number;
  readonly median: number;
  /** a robust standard deviation */
  readonly spread: number;
}

function usualOf(healthy: readonly CoursePoint[], earlier: readonly CoursePoint[]): Usual {
  // a baseline and an incident that were read together hold the same points
  const points = healthy.length < metricPointsMin.enough ? new Set([...healthy, ...earlier]) : healthy;
  const values = [...points].map(({ value }) => value);
  const median = medianOf(values);
  const spread = 1.4826 * medianOf(values.map((value) => Math.abs(value - median)));
  return { points: values.length, median, spread };
}

function collect(
  courses: readonly MetricCourse[],
  key: (course: MetricCourse) => string,
  choose: (course: MetricCourse) => readonly CoursePoint[],
): ReadonlyMap<string, readonly CoursePoint[]> {
  const chosen = new Map<string, CoursePoint[]>();
  for (const course of courses) {
    const known = mapEntry(chosen, key(course), () => []);
    for (const point of choose(course)) known.push(point);
  }
  return chosen;
}

function keyOf(course: MetricCourse): string {
  return `${serviceKeyOf(course)}\u0000${course.instance}`;
}

function serviceKeyOf({ service, metric, labels, resource, kind }: MetricCourse): string {
  return [service, kind, resource ?? "", metric, labels].join("\u0000");
}

function startOf(ranges: readonly TimeRange[] | null): number | null {
  if (ranges === null || ranges.length === 0) return null;
  return Math.min(...ranges.map(({ from }) => Number(from)));
}

function pointsWithin(
  points: readonly CoursePoint[],
  ranges: readonly TimeRange[] | null,
  delayNanos: number,
): readonly CoursePoint[] {
  if (ranges === null) return points;
  const ends = ranges.map(({ from, to }) => [Number(from), Number(to) + delayNanos] as const);
  return points.filter(({ time }) => ends.some(([from, to]) => time >= from && time <= to));
}

/** 0 of none. */
function medianOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : quantileOfUnsorted(values, 0.5);
}
