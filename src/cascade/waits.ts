import { gatherNumbers } from "../base/gather.ts";
import { quantileOf } from "../base/quantile.ts";
import { baselineRequestsMin, slowedUnit } from "../model/scoring.ts";
import type { VisitSums } from "./visit-rollup.ts";

/** What is usual of one kind of time, and from where on a time is part of what the fault changed. Nanoseconds. */
interface UsualWait {
  readonly mean: number;
  readonly median: number;
  /** infinite where nothing changed */
  readonly threshold: number;
}

/** The visits of one window, with what is usual of their times; names are those of the healthy time. */
export interface WaitQuestion {
  readonly cause: string;
  readonly before: VisitSums;
  readonly after: VisitSums;
}

/** How much of the time of each visit and each call passed in waiting for one service more than usual; by row, nanoseconds. */
export interface Waits {
  /** only where it was changed: what varies by chance is left out */
  readonly visitExcess: Float64Array;
  readonly callExcess: Float64Array;
  /** against the mean, whichever way: chance cancels out in sums */
  readonly visitDeviation: Float64Array;
}

/**
 * For each visit, how much shorter it had been if one service had been as in the healthy time: the service's own work, what its
 * calls lose on the way, and, where a call failed of it and somebody went on, all that this took. Followed up from callees to
 * callers, as far as each waited.
 *
 *   web     [====-----------------=]     waits for cart alone: all of it
 *     cart       |=----------====|       waits for the cause in part of its time
 *       cause       [xxxxxxxx]           so much is more than usual
 */
export class WaitFinder {
  readonly #cause: string;
  readonly #own: UsualWaits;
  readonly #calls: UsualWaits;
  /** of whole visits: those in which a call failed of the cause against all before */
  readonly #disturbed: UsualWaits;

  constructor({ cause, before, after }: WaitQuestion) {
    this.#cause = cause;
    this.#own = usualWaits(...bothOf(before, after, (sums) => ownTimes(sums, cause)));
    this.#calls = usualWaits(...bothOf(before, after, (sums) => callTimes(sums, cause)));
    const isDisturbed = disturbedBy(cause, after);
    this.#disturbed = usualWaits(
      durations(before, () => true),
      durations(after, (row) => isDisturbed[row] === 1),
    );
  }

  /** The waits of either window. */
  find(sums: VisitSums): Waits {
    const { visits, calls, callNames } = sums;
    const waits = this.#ownWaits(sums);
    const settle = this.#settling(sums, waits);
    const usualOf = callNames.map((name) => this.#calls.get(callText(name)));
    const deviations = new Float64Array(calls.name.length);
    // callers stand before callees, and calls in the order of their callers: from the end, callees are known first
    for (let end = calls.name.length; end > 0; ) {
      let first = end - 1;
      while (first > 0 && calls.callerVisit[first - 1] === calls.callerVisit[end - 1]) first -= 1;
      for (let row = first; row < end; row += 1) {
        const callee = calls.calleeVisit[row] as number;
        if (callee >= 0) settle(callee);
        const usual = usualOf[calls.name[row] as number];
        const nanos = calls.nanos[row] as number;
        const isPassedOn = callee >= 0 && callNames[calls.name[row] as number]?.kind !== "message";
        const [excess, deviation] = [excessOf(nanos, usual), deviationOf(nanos, usual)];
        waits.callExcess[row] = excess + (isPassedOn ? (waits.visitExcess[callee] as number) : 0);
        deviations[row] = deviation + (isPassedOn ? (waits.visitDeviation[callee] as number) : 0);
      }
      passOn(sums, waits, { first, end, deviations });
      end = first;
    }
    for (let row = 0; row < visits.operation.length; row += 1) settle(row);
    return waits;
  }

  #ownWaits({ visits, calls, operations }: VisitSums): Waits {
    const usualOf = operations.map((operation) => this.#own.get(operationText(operation)));
    const visitExcess = new Float64Array(visits.operation.length);
    const visitDeviation = new Float64Array(visits.operation.length);
    for (let row = 0; row < visits.operation.length; row += 1) {
      const usual = usualOf[visits.operation[row] as number];
      visitExcess[row] = excessOf(visits.ownNanos[row] as number, usual);
      visitDeviation[row] = deviationOf(visits.ownNanos[row] as number, usual);
    }
    return { visitExcess, visitDeviation, callExcess: new Float64Array(calls.name.length) };
  }

  /** For a visit all calls of which are known: if one of them failed of the cause, its whole time counts. */
  #settling(sums: VisitSums, { visitExcess, visitDeviation }: Waits): (row: number) => void {
    const { visits, operations } = sums;
    const isDisturbed = disturbedBy(this.#cause, sums);
    const usualOf = operations.map((operation) => this.#disturbed.get(operationText(operation)));
    return (row) => {
      if (isDisturbed[row] === 0) return;
      const usual = usualOf[visits.operation[row] as number];
      const nanos = visits.durationNanos[row] as number;
      visitExcess[row] = Math.max(visitExcess[row] as number, excessOf(nanos, usual));
      visitDeviation[row] = deviationOf(nanos, usual);
    };
  }
}

/** The calls of one visit. */
interface CallsOfVisit {
  readonly first: number;
  /** exclusive */
  readonly end: number;
  /** by row */
  readonly deviations: Float64Array;
}

/**
 * What a visit would save. Where only one of its calls is too long, no more than it was waited for alone: then the others are
 * waited for. Several would be shorter together; each counts by its share of the wait.
 */
function passOn(
  { calls, callNames }: VisitSums,
  waits: Waits,
  { first, end, deviations }: CallsOfVisit,
): void {
  const { visitExcess, visitDeviation, callExcess } = waits;
  let [tooLong, above] = [0, 0];
  for (let row = first; row < end; row += 1) {
    if ((callExcess[row] as number) > 0) tooLong += 1;
    if ((deviations[row] as number) > 0) above += 1;
  }
  const caller = calls.callerVisit[first] as number;
  for (let row = first; row < end; row += 1) {
    if (callNames[calls.name[row] as number]?.kind === "message") continue;
    const [waited, alone] = [calls.waitedNanos[row] as number, calls.aloneNanos[row] as number];
    callExcess[row] = Math.min(callExcess[row] as number, tooLong > 1 ? waited : alone);
    const deviation = Math.min(deviations[row] as number, above > 1 ? waited : alone);
    addTo(visitExcess, caller, callExcess[row] as number);
    // what is faster than usual saves nothing where it was not waited for
    if (deviation > 0 || waited > 0) addTo(visitDeviation, caller, deviation);
  }
}

function addTo(sums: Float64Array, row: number, amount: number): void {
  sums[row] = (sums[row] as number) + amount;
}

/** By visit, 1 where a call failed because of a service: a call to it, or to one that failed of such a call itself. */
function disturbedBy(cause: string, { visits, calls, callNames }: VisitSums): Uint8Array {
  const isDisturbed = new Uint8Array(visits.operation.length);
  for (let row = calls.name.length - 1; row >= 0; row -= 1) {
    if (calls.failed[row] === 0) continue;
    const callee = calls.calleeVisit[row] as number;
    const isPassedOn = isDisturbed[callee] === 1 && visits.answerFailed[callee] === 1;
    if (isPassedOn || callNames[calls.name[row] as number]?.callee === cause)
      isDisturbed[calls.callerVisit[row] as number] = 1;
  }
  return isDisturbed;
}

function excessOf(nanos: number, usual: UsualWait | undefined): number {
  return usual !== undefined && nanos > usual.threshold ? nanos - usual.median : 0;
}

function deviationOf(nanos: number, usual: UsualWait | undefined): number {
  return usual === undefined || Number.isNaN(nanos) ? 0 : nanos - usual.mean;
}

function operationText({ service, operation }: VisitSums["operations"][number]): string {
  return `${service}\u0000${operation}`;
}

function callText({ kind, caller, callee, operation }: VisitSums["callNames"][number]): string {
  return [kind, caller, callee, operation].join("\u0000");
}

type ValuesByName = ReadonlyMap<string, Float64Array>;
type UsualWaits = ReadonlyMap<string, UsualWait>;

function bothOf(
  before: VisitSums,
  after: VisitSums,
  valuesOf: (sums: VisitSums) => ValuesByName,
): readonly [before: ValuesByName, after: ValuesByName] {
  return [valuesOf(before), valuesOf(after)];
}

/** The service's own work, by operation. */
function ownTimes({ visits, operations }: VisitSums, service: string): ValuesByName {
  const isWanted = (row: number): boolean => operations[visits.operation[row] as number]?.service === service;
  return valuesByName(visits.ownNanos, {
    places: visits.operation,
    names: operations.map(operationText),
    isWanted,
  });
}

/** What calls from and to a service lose on the way, by call. */
function callTimes({ calls, callNames }: VisitSums, service: string): ValuesByName {
  const isWanted = (row: number): boolean => {
    const name = callNames[calls.name[row] as number];
    return name?.caller === service || name?.callee === service;
  };
  return valuesByName(calls.nanos, { places: calls.name, names: callNames.map(callText), isWanted });
}

function durations({ visits, operations }: VisitSums, isWanted: (row: number) => boolean): ValuesByName {
  const names = operations.map(operationText);
  return valuesByName(visits.durationNanos, { places: visits.operation, names, isWanted });
}

/** The known values of some rows, sorted. */
function valuesByName(
  values: Float64Array,
  {
    places,
    names,
    isWanted,
  }: {
    readonly places: Int32Array;
    readonly names: readonly string[];
    readonly isWanted: (row: number) => boolean;
  },
): ValuesByName {
  const rows = new Map<number, number[]>();
  for (let row = 0; row < places.length; row += 1) {
    if (Number.isNaN(values[row]) || !isWanted(row)) continue;
    const known = rows.get(places[row] as number);
    if (known === undefined) rows.set(places[row] as number, [row]);
    else known.push(row);
  }
  return new Map(
    [...rows].map(([place, own]) => [
      names[place] as string,
      gatherNumbers(values, Int32Array.from(own)).sort(),
    ]),
  );
}

function usualWaits(before: ValuesByName, after: ValuesByName): UsualWaits {
  const none = new Float64Array(0);
  return new Map(
    [...before].map(([name, usual]) => [
      name,
      {
        mean: usual.reduce((sum, nanos) => sum + nanos, 0) / usual.length,
        median: quantileOf(usual, 0.5),
        threshold: thresholdOf(usual, after.get(name) ?? none),
      },
    ]),
  );
}

/**
 * From which value on there are more than usual: where the two distributions are furthest apart (Kolmogorov and Smirnov), if
 * that is no chance; else well above all that was seen before. Both are sorted.
 */
function thresholdOf(before: Float64Array, after: Float64Array): number {
  let [most, threshold] = [0, Number.POSITIVE_INFINITY];
  let above = 0;
  for (const [i, value] of before.entries()) {
    while (above < after.length && (after[above] as number) <= value) above += 1;
    const apart = (i + 1) / before.length - above / Math.max(1, after.length);
    if (apart > most) [most, threshold] = [apart, value];
  }
  const size = (before.length * after.length) / (before.length + after.length);
  if (most * Math.sqrt(size) >= slowedUnit.apartMin) return threshold;
  const highest = before.at(-1) ?? Number.POSITIVE_INFINITY;
  return before.length < baselineRequestsMin ? Number.POSITIVE_INFINITY : highest * slowedUnit.outlierFactor;
}
