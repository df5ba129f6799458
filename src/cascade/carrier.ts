import type { LatencySide, Series } from "./latency-series.ts";
import { latencyShift, valuesPerSeriesMin } from "./scoring.ts";
import { type Shift, shiftOf, type UsualChange } from "./shift.ts";

/** One of several instances that alone became slower. */
export interface Carrier {
  readonly instance: string;
  readonly shift: Shift;
}

/** A series before and after. */
export interface SeriesPair {
  readonly before: Series;
  readonly after: Series;
  /** all values, sorted */
  readonly sorted: { readonly before: Float64Array; readonly after: Float64Array };
  readonly sides: { readonly before: LatencySide; readonly after: LatencySide };
}

/**
 * The one instance at an end of a series that became slower while the others together did not; null where there is none,
 * or nothing to tell it from. An instance is compared with its own past, a new one with that of all.
 */
export function carrierOf(
  { before, after, sides, sorted }: SeriesPair,
  end: "callerInstances" | "calleeInstances",
  change: UsualChange,
): Carrier | null {
  const now = valuesByPlace(after, end);
  if (now.size < 2) return null;
  const past = valuesByPlace(before, end);
  const placeOf = new Map(sides.before.instances.map((instance, place) => [instance, place]));
  const found: (Carrier & { readonly place: number })[] = [];
  for (const [place, values] of now) {
    const instance = sides.after.instances[place] ?? "";
    if (instance === "" || values.length < valuesPerSeriesMin) continue;
    const own = past.get(placeOf.get(instance) ?? -1) ?? [];
    const usual = own.length < valuesPerSeriesMin ? sorted.before : Float64Array.from(own).sort();
    const shift = shiftOf(usual, Float64Array.from(values).sort(), change);
    if (shift.isShifted && shift.z >= latencyShift.zMin) found.push({ instance, shift, place });
    if (found.length > 1) return null;
  }
  const [only] = found;
  if (only === undefined) return null;
  const others = [...now].filter(([place]) => place !== only.place).flatMap(([, values]) => values);
  if (others.length < valuesPerSeriesMin) return null;
  return shiftOf(sorted.before, Float64Array.from(others).sort(), change).isShifted ? null : only;
}

function valuesByPlace(
  { values, ...series }: Series,
  end: "callerInstances" | "calleeInstances",
): ReadonlyMap<number, readonly number[]> {
  const byPlace = new Map<number, number[]>();
  const places = series[end];
  for (let i = 0; i < values.length; i += 1) {
    const place = places[i] as number;
    if (place < 0) continue;
    const known = byPlace.get(place);
    if (known === undefined) byPlace.set(place, [values[i] as number]);
    else known.push(values[i] as number);
  }
  return byPlace;
}
