import { sumOf } from "../base/sum.ts";
import { latencyShift, otherInstancesPart, valuesPerSeriesMin } from "../model/scoring.ts";
import type { LatencySide, Series } from "./latency-series.ts";
import { type Shift, shiftOf, type UsualChange } from "./shift.ts";

/** Instances that became slower while the others did not. */
export interface Carriers {
  /** null = several */
  readonly instance: string | null;
  /** of their values alone */
  readonly shift: Shift;
  /** whether hardly anything of it shows at the others: then it lies at this end */
  readonly isAlone: boolean;
}

/** A series before and after. */
export interface SeriesPair {
  readonly before: Series;
  readonly after: Series;
  /** all values, sorted */
  readonly sorted: {
    readonly before: Float64Array;
    readonly after: Float64Array;
    /** those of the first and second half of the traces before */
    readonly halves: UsualChange["halves"];
  };
  readonly sides: Sides;
}

export interface Sides {
  readonly before: LatencySide;
  readonly after: LatencySide;
  /** places of instances in `before.instances` */
  readonly placesBefore: ReadonlyMap<string, number>;
}

/**
 * The instances at an end of a series that became slower while the others together did not; null where there are none, or
 * nothing to tell them from. An instance is compared with its own past, a new one with that of all.
 */
export function carriersOf(
  { before, after, sides, sorted }: SeriesPair,
  end: "callerInstances" | "calleeInstances",
  change: UsualChange,
): Carriers | null {
  if (!hasSeveral(after[end])) return null;
  const now = valuesByPlace(after, end);
  const past = valuesByPlace(before, end);
  const slower = new Set<number>();
  for (const [place, values] of now) {
    const instance = sides.after.instances[place] ?? "";
    if (instance === "" || values.length < valuesPerSeriesMin) continue;
    const own = past.get(sides.placesBefore.get(instance) ?? -1);
    const usual = own === undefined || own.length < valuesPerSeriesMin ? sorted.before : own;
    const shift = shiftOf(usual, values, change);
    if (shift.isShifted && shift.z >= latencyShift.zMin) slower.add(place);
  }
  if (slower.size === 0) return null;
  const valuesAt = (isSlower: boolean): Float64Array =>
    joined([...now].filter(([place]) => slower.has(place) === isSlower).map(([, values]) => values)).sort();
  const others = valuesAt(false);
  if (others.length < valuesPerSeriesMin || shiftOf(sorted.before, others, change).isShifted) return null;
  const [only, ...more] = slower;
  const instance = more.length > 0 || only === undefined ? null : (sides.after.instances[only] ?? null);
  const carried = valuesAt(true);
  const [usualMean, othersMean, carriedMean] = [meanOf(sorted.before), meanOf(others), meanOf(carried)];
  return {
    instance,
    shift: shiftOf(sorted.before, carried, change),
    isAlone: othersMean - usualMean < otherInstancesPart * (carriedMean - usualMean),
  };
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of those that are known. */
function hasSeveral(places: Int32Array): boolean {
  let first = -1;
  for (let i = 0; i < places.length; i += 1) {
    const place = places[i] as number;
    if (place < 0 || place === first) continue;
    if (first >= 0) return true;
    first = place;
  }
  return false;
}

/** The values of each place, sorted. */
function valuesByPlace(
  { values, ...series }: Series,
  end: "callerInstances" | "calleeInstances",
): ReadonlyMap<number, Float64Array> {
  const places = series[end];
  const counts = new Map<number, number>();
  for (let i = 0; i < places.length; i += 1) {
    const place = places[i] as number;
    if (place >= 0) counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  const all = new Float64Array(values.length);
  const byPlace = new Map<number, Float64Array>();
  let start = 0;
  for (const [place, count] of counts) {
    byPlace.set(place, all.subarray(start, start + count));
    counts.set(place, start);
    start += count;
  }
  for (let i = 0; i < places.length; i += 1) {
    const next = counts.get(places[i] as number);
    if (next === undefined) continue;
    all[next] = values[i] as number;
    counts.set(places[i] as number, next + 1);
  }
  for (const own of byPlace.values()) own.sort();
  return byPlace;
}

function joined(lists: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(sumOf(lists.map(({ length }) => length)));
  let start = 0;
  for (const list of lists) {
    all.set(list, start);
    start += list.length;
  }
  return all;
}
