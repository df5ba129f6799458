import { gather, gatherBytes, gatherNumbers } from "../base/gather.ts";
import { mapEntry } from "../base/map-entry.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { type OpenCall, type OpenCalls, openCalls } from "./open-calls.ts";
import { failedAttempts } from "./repeated-calls.ts";
import type { Shape, VisitSums } from "./visit-rollup.ts";
import { stepText } from "./visits.ts";

/**
 * Both windows with the failures that nothing says are any: where spans have no status, or no kind, a call that nobody answers
 * looks like local work, and one whose answer was bad like any other until it is made again. `before` is a healthy time, which
 * knows what visits do. A visit waits in vain for such calls, and until it tries again: how much of its time is work of its
 * own is not known.
 */
export function withUntoldFailures(
  before: VisitSums,
  after: VisitSums,
): readonly [before: VisitSums, after: VisitSums] {
  const open = openCalls(before, after);
  const failed = failedAttempts(before, after);
  return [
    withOpenCalls(withFailed(before, failed.before), open.before),
    withOpenCalls(withFailed(after, failed.after), open.after),
  ];
}

function withFailed(sums: VisitSums, rows: readonly number[]): VisitSums {
  if (rows.length === 0) return sums;
  const { visits, calls } = sums;
  const failed = calls.failed.slice();
  const ownNanos = visits.ownNanos.slice();
  for (const row of rows) {
    failed[row] = 1;
    ownNanos[calls.callerVisit[row] as number] = Number.NaN;
  }
  return { ...sums, visits: { ...visits, ownNanos }, calls: { ...calls, failed } };
}

/** Puts the calls in place of the local work that they seemed to be. */
function withOpenCalls(sums: VisitSums, { calls: found, ofVisit }: OpenCalls): VisitSums {
  if (found.length === 0) return sums;
  const { visits } = sums;
  const steps = [...sums.steps];
  const callNames = [...sums.callNames];
  const stepPlace = placing(steps, stepText);
  const callPlace = placing(callNames, (name) => `${name.caller}\u0000${stepText(name)}`);
  const named = found.map(({ caller, callee, span }) => {
    const step = { kind: "peer", callee, operation: span } as const;
    return { step: stepPlace(step), call: callPlace({ ...step, caller }) };
  });
  const shapes = [...sums.shapes];
  const opened = new PairInterner();
  const shape = visits.shape.slice();
  const ownNanos = visits.ownNanos.slice();
  for (let row = 0; row < shape.length; row += 1) {
    const call = ofVisit[row] as number;
    if (call < 0) continue;
    shape[row] = sums.shapes.length + opened.idOf(shape[row] as number, call);
    ownNanos[row] = Number.NaN;
  }
  for (const [of, call] of opened.pairs())
    shapes.push(
      openedShape(sums, sums.shapes[of] as Shape, {
        ...(found[call] as OpenCall),
        step: (named[call] as (typeof named)[number]).step,
      }),
    );
  const calls = withRows(
    sums.calls,
    ofVisit,
    named.map(({ call }) => call),
  );
  return { ...sums, steps, callNames, shapes, visits: { ...visits, shape, ownNanos }, calls };
}

/** Says where an item stands in a list, and puts it there if it is not in it. */
function placing<T>(items: T[], textOf: (item: T) => string): (item: T) => number {
  const places = new Map(items.map((item, place) => [textOf(item), place]));
  return (item) => mapEntry(places, textOf(item), () => items.push(item) - 1);
}

function openedShape(
  { steps }: VisitSums,
  { steps: shown, lastCall }: Shape,
  { span, isLast, isAlsoStep, step }: OpenCall & { readonly step: number },
): Shape {
  const isIt = (place: number): boolean => steps[place]?.kind === "step" && steps[place].operation === span;
  const others = isAlsoStep ? shown : shown.filter((place) => !isIt(place));
  return { steps: [...others, step], lastCall: isLast ? step : lastCall };
}

/** Adds a failed call for each visit that has one; nothing else of it is known. Calls of one visit stand together. */
function withRows(
  calls: VisitSums["calls"],
  ofVisit: Int32Array,
  names: readonly number[],
): VisitSums["calls"] {
  const rows: number[] = [];
  const callers: number[] = [];
  let next = 0;
  for (let visit = 0; visit < ofVisit.length; visit += 1) {
    for (; calls.callerVisit[next] === visit; next += 1) {
      rows.push(next);
      callers.push(visit);
    }
    if (ofVisit[visit] === -1) continue;
    rows.push(-1);
    callers.push(visit);
  }
  const from = Int32Array.from(rows);
  const callerVisit = Int32Array.from(callers);
  const isNew = (place: number): boolean => from[place] === -1;
  return {
    callerVisit,
    name: gather(calls.name, from).map((name, place) =>
      isNew(place) ? (names[ofVisit[callerVisit[place] as number] as number] as number) : name,
    ),
    calleeVisit: gather(calls.calleeVisit, from, -1),
    via: gather(calls.via, from, -1),
    nanos: gatherNumbers(calls.nanos, from),
    requestNanos: gatherNumbers(calls.requestNanos, from),
    waitedNanos: gatherNumbers(calls.waitedNanos, from).map((nanos, place) => (isNew(place) ? 0 : nanos)),
    aloneNanos: gatherNumbers(calls.aloneNanos, from).map((nanos, place) => (isNew(place) ? 0 : nanos)),
    failed: gatherBytes(calls.failed, from).map((failed, place) => (isNew(place) ? 1 : failed)),
  };
}
