import type { LatencySide, Series } from "./latency-series.ts";
import { latencyShift, valuesPerSeriesMin } from "./scoring.ts";
import { type Shift, shiftOf } from "./shift.ts";

/** One of several instances that alone became slower. */
export interface Carrier {
  readonly instance: string;
  readonly shift: Shift;
}

/**
 * The one instance at an end of a series that became slower while the others together did not; null where there is none,
 * or nothing to tell it from. An instance is compared with its own past, a new one with that of all.
 */
export function carrierOf(
  { before, after, sides, halves }: {
    readonly before: Series;
    readonly after: Series;
    readonly sides: { readonly before: LatencySide; readonly after: LatencySide };
    readonly halves: readonly [Float64Array, Float64Array];
  },
  end: "callerInstances" | "calleeInstances",
): Carrier | null {
  const places = [...new Set(after[end])].filter((place) => place >= 0);
  if (places.length < 2) return null;
  const all = before.values.toSorted();
  const found: Carrier[] = [];
  for (const place of places) {
    const instance = sides.after.instances[place] ?? "";
    const own = valuesAt(after, end, (each) => each === place);
    if (instance === "" || own.length < valuesPerSeriesMin) continue;
    const known = sides.before.instances.indexOf(instance);
    const past = known < 0 ? all : valuesAt(before, end, (each) => each === known);
    const shift = shiftOf(past.length < valuesPerSeriesMin ? all : past, own, halves);
    if (!shift.isShifted || shift.z < latencyShift.zMin) continue;
    const others = valuesAt(after, end, (each) => each !== place);
    if (others.length < valuesPerSeriesMin || shiftOf(all, others, halves).isShifted) continue;
    found.push({ instance, shift });
  }
  const [only, ...more] = found;
  return only === undefined || more.length > 0 ? null : only;
}

function valuesAt(
  { values, ...series }: Series,
  end: "callerInstances" | "calleeInstances",
  isAt: (place: number) => boolean,
): Float64Array {
  return values.filter((_, i) => isAt(series[end][i] as number)).sort();
}
