import { atOnce } from "../base/at-once.ts";
import { minuteOf, startOfMinute, type TimeRange, type UnixNanos } from "../model/time.ts";
import { type Anomaly, findAnomalies } from "./anomalies.ts";
import type { Scope } from "./scope.ts";

/** A time before which all was well, and what is worse since. */
export interface ChangePoint {
  /** the last moment of the calm part */
  readonly calmUntil: UnixNanos;
  /** the surest sign of the change */
  readonly anomaly: Anomaly;
}

/** Of longer recordings the slices are longer, so that a look at all of them stays cheap. */
const slicesMax = 60;
/** With fewer slices that hold traces there is no calm part to speak of. */
const calmSlicesMin = 2;

/** What was folded, to be asked for any part of it; null = all of it. */
export interface Recording {
  scope(part: TimeRange | null): Scope;
}

/** The answer of `findChangePoint` about all of a recording. */
export function changePointOf(recording: Recording): ChangePoint | null {
  return atOnce(findChangePoint(recording, null));
}

/**
 * Where a recording, or a part of it, has a calm part and then one in which some operation fares worse than ever before; null =
 * nowhere. Looks as a server does while traffic goes on: at two minutes at a time, against each piece of what was before them.
 * One look is one step.
 *
 *   slices   | | | | | | |x|x|x|x|
 *   look      usual      ? recent      ? = the slice before is on neither side: faults begin before they are seen
 *   answer    calm      | changed
 */
export function* findChangePoint(
  recording: Recording,
  part: TimeRange | null,
): Generator<undefined, ChangePoint | null> {
  const { from, to } = recording.scope(part).totals;
  if (from === null || to === null) return null;
  const [first, end] = [minuteOf(from), minuteOf(to) + 1];
  const length = Math.ceil((end - first) / slicesMax);
  const scopeOf = (minute: number, slices: number): Scope =>
    recording.scope({
      from: startOfMinute(minute),
      to: startOfMinute(Math.min(end, minute + slices * length) - 1),
    });
  const usual: Scope[] = [];
  let found: ChangePoint | null = null;
  for (let minute = first; minute + 2 * length < end; minute += length) {
    yield;
    const calm = scopeOf(minute, 1);
    if (calm.totals.traces > 0) usual.push(calm);
    if (usual.length < calmSlicesMin) continue;
    const recent = scopeOf(minute + 2 * length, 2);
    const [surest] = findAnomalies({ recent, usual }).toSorted((a, b) => b.g - a.g);
    const calmUntil = (startOfMinute(minute + length) - 1n) as UnixNanos;
    const change: ChangePoint | null = surest === undefined ? null : { calmUntil, anomaly: surest };
    // where only the second of the two slices was worse, the next look is surer
    if (found !== null) return change !== null && change.anomaly.g > found.anomaly.g ? change : found;
    found = change;
  }
  return found;
}
