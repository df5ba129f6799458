import { gather, gatherBytes, gatherNumbers } from "../base/gather.ts";
import { mapEntry } from "../base/map-entry.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { type OpenCall, type OpenCalls, openCalls } from "./open-calls.ts";
import { failedAttempts } from "./repeated-calls.ts";
import type { Shape, VisitSums } from "./visit-rollup.ts";
import { type StepName, stepText } from "./visits.ts";

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
function withOpenCalls(sums: VisitSums, { sets, ofVisit }: OpenCalls): VisitSums {
  if (sets.length === 0) return sums;
  const { visits } = sums;
  const steps = [...sums.steps];
  const callNames = [...sums.callNames];
  const stepPlace = placing(steps, stepText);
  const callPlace = placing(callNames, (name) => `${name.caller}\u0000${stepText(name)}`);
  const named = sets.map((set) =>
    set.map((open): NamedCall => {
      const step = { kind: "peer", callee: open.callee, operation: open.span } as const;
      return { open, step: stepPlace(step), call: callPlace({ ...step, caller: open.caller }) };
    }),
  );
  const opened = new PairInterner();
  const shape = visits.shape.slice();
  const ownNanos = visits.ownNanos.slice();
  for (let row = 0; row < shape.length; row += 1) {
    const set = ofVisit[row] as number;
    if (set < 0) continue;
    shape[row] = sums.shapes.length + opened.idOf(shape[row] as number, set);
    ownNanos[row] = Number.NaN;
  }
  const shapes = opened
    .pairs()
    .map(([of, set]) => openedShape(sums, sums.shapes[of] as Shape, named[set] as readonly NamedCall[]));
  const callsOf = (visit: number): readonly number[] =>
    named[ofVisit[visit] as number]?.map(({ call }) => call) ?? [];
  return {
    ...sums,
    steps,
    callNames,
    shapes: [...sums.shapes, ...shapes],
    visits: { ...visits, shape, ownNanos },
    calls: withFailedCalls(sums, callsOf),
  };
}

/** An open call with its places in `steps` and `callNames`. */
interface NamedCall {
  readonly open: OpenCall;
  readonly step: number;
  readonly call: number;
}

/** Says where an item stands in a list, and puts it there if it is not in it. */
function placing<T>(items: T[], textOf: (item: T) => string): (item: T) => number {
  const places = new Map(items.map((item, place) => [textOf(item), place]));
  return (item) => mapEntry(places, textOf(item), () => items.push(item) - 1);
}

function openedShape(
  { steps }: VisitSums,
  { steps: shown, lastCall }: Shape,
  calls: readonly NamedCall[],
): Shape {
  const replaced = new Set(calls.filter(({ open }) => !open.isAlsoStep).map(({ open }) => open.span));
  const others = shown.filter((place) => {
    const { kind, operation } = steps[place] as StepName;
    return kind !== "step" || !replaced.has(operation);
  });
  const last = calls.findLast(({ open }) => open.isLast);
  return { steps: [...others, ...calls.map(({ step }) => step)], lastCall: last?.step ?? lastCall };
}

/** Adds failed calls, of which nothing else is known. `callsOf` = their names, by visit. Calls of one visit stand together. */
function withFailedCalls(
  { calls, visits }: VisitSums,
  callsOf: (visit: number) => readonly number[],
): VisitSums["calls"] {
  const rows: number[] = [];
  const callers: number[] = [];
  const names: number[] = [];
  const add = (row: number, visit: number, name: number): void => {
    rows.push(row);
    callers.push(visit);
    names.push(name);
  };
  let next = 0;
  for (let visit = 0; visit < visits.shape.length; visit += 1) {
    for (; calls.callerVisit[next] === visit; next += 1) add(next, visit, calls.name[next] as number);
    for (const name of callsOf(visit)) add(-1, visit, name);
  }
  const from = Int32Array.from(rows);
  const newAs = (value: number) => (old: number, place: number) => (from[place] === -1 ? value : old);
  return {
    name: Int32Array.from(names),
    callerVisit: Int32Array.from(callers),
    calleeVisit: gather(calls.calleeVisit, from, -1),
    via: gather(calls.via, from, -1),
    nanos: gatherNumbers(calls.nanos, from),
    requestNanos: gatherNumbers(calls.requestNanos, from),
    waitedNanos: gatherNumbers(calls.waitedNanos, from).map(newAs(0)),
    aloneNanos: gatherNumbers(calls.aloneNanos, from).map(newAs(0)),
    failed: gatherBytes(calls.failed, from).map(newAs(1)),
  };
}
