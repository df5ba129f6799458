import { flagsOf } from "../base/gather.ts";
import { mapEntry } from "../base/map-entry.ts";
import { quantileOf } from "../base/quantile.ts";
import { sumOf } from "../base/sum.ts";
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
  /** see `disturbedBy` */
  readonly #disturbedOf = new Map<VisitSums, Uint8Array>();

  constructor({ cause, before, after }: WaitQuestion) {
    this.#cause = cause;
    this.#own = usualWaits(ownTimes(before, cause), ownTimes(after, cause));
    this.#calls = usualWaits(callTimes(before, cause), callTimes(after, cause));
    this.#disturbed = usualOfDisturbed({
      before: { sums: before, isDisturbed: this.#disturbedIn(before) },
      after: { sums: after, isDisturbed: this.#disturbedIn(after) },
    });
  }

  /** The waits of either window. */
  find(sums: VisitSums): Waits {
    const { visits, calls, callNames } = sums;
    const waits = this.#ownWaits(sums);
    const isDisturbed = this.#disturbedIn(sums);
    const settle = this.#settling(sums, waits);
    const usual = tableOf(callNames, (name) =>
      isOf(this.#cause, name) ? this.#calls.get(callText(name)) : undefined,
    );
    const isMessage = flagsOf(callNames, ({ kind }) => kind === "message");
    const deviations = new Float64Array(calls.name.length);
    // callers stand before callees, and calls in the order of their callers: from the end, callees are known first
    for (let end = calls.name.length; end > 0; ) {
      let first = end - 1;
      while (first > 0 && calls.callerVisit[first - 1] === calls.callerVisit[end - 1]) first -= 1;
      let isChanged = false;
      for (let row = first; row < end; row += 1) {
        const callee = calls.calleeVisit[row] as number;
        if (callee >= 0 && isDisturbed[callee] === 1) settle(callee);
        const name = calls.name[row] as number;
        const nanos = calls.nanos[row] as number;
        let excess = excessOf(nanos, usual, name);
        let deviation = deviationOf(nanos, usual, name);
        if (callee >= 0 && isMessage[name] === 0) {
          excess += waits.visitExcess[callee] as number;
          deviation += waits.visitDeviation[callee] as number;
        }
        waits.callExcess[row] = excess;
        deviations[row] = deviation;
        if (excess !== 0 || deviation !== 0) isChanged = true;
      }
      if (isChanged) passOn(calls, waits, { first, end, deviations, isMessage });
      end = first;
    }
    for (let row = 0; row < visits.operation.length; row += 1) if (isDisturbed[row] === 1) settle(row);
    return waits;
  }

  #disturbedIn(sums: VisitSums): Uint8Array {
    return mapEntry(this.#disturbedOf, sums, () => disturbedBy(this.#cause, sums));
  }

  #ownWaits({ visits, calls, operations }: VisitSums): Waits {
    const usual = tableOf(operations, (each) =>
      each.service === this.#cause ? this.#own.get(operationText(each)) : undefined,
    );
    const visitExcess = new Float64Array(visits.operation.length);
    const visitDeviation = new Float64Array(visits.operation.length);
    for (let row = 0; row < visits.operation.length; row += 1) {
      const operation = visits.operation[row] as number;
      const nanos = visits.ownNanos[row] as number;
      visitExcess[row] = excessOf(nanos, usual, operation);
      visitDeviation[row] = deviationOf(nanos, usual, operation);
    }
    return { visitExcess, visitDeviation, callExcess: new Float64Array(calls.name.length) };
  }

  /** For a visit all calls of which are known, and one of them failed of the cause: its whole time counts. */
  #settling(
    { visits, operations }: VisitSums,
    { visitExcess, visitDeviation }: Waits,
  ): (row: number) => void {
    const { size } = this.#disturbed;
    const usual = tableOf(operations, (each) =>
      size === 0 ? undefined : this.#disturbed.get(operationText(each)),
    );
    return (row) => {
      const operation = visits.operation[row] as number;
      const nanos = visits.durationNanos[row] as number;
      visitExcess[row] = Math.max(visitExcess[row] as number, excessOf(nanos, usual, operation));
      visitDeviation[row] = deviationOf(nanos, usual, operation);
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
  /** by name of the call */
  readonly isMessage: Uint8Array;
}

/**
 * What a visit would save. Where only one of its calls is too long, no more than it was waited for alone: then the others are
 * waited for. Several would be shorter together; each counts by its share of the wait.
 */
function passOn(
  calls: VisitSums["calls"],
  waits: Waits,
  { first, end, deviations, isMessage }: CallsOfVisit,
): void {
  const { visitExcess, visitDeviation, callExcess } = waits;
  let tooLong = 0;
  let above = 0;
  for (let row = first; row < end; row += 1) {
    if ((callExcess[row] as number) > 0) tooLong += 1;
    if ((deviations[row] as number) > 0) above += 1;
  }
  const caller = calls.callerVisit[first] as number;
  for (let row = first; row < end; row += 1) {
    if (isMessage[calls.name[row] as number] === 1) continue;
    const waited = calls.waitedNanos[row] as number;
    const alone = calls.aloneNanos[row] as number;
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
  const isToCause = flagsOf(callNames, ({ callee }) => callee === cause);
  for (let row = calls.name.length - 1; row >= 0; row -= 1) {
    if (calls.failed[row] === 0) continue;
    const callee = calls.calleeVisit[row] as number;
    const isPassedOn = callee >= 0 && isDisturbed[callee] === 1 && visits.answerFailed[callee] === 1;
    if (isPassedOn || isToCause[calls.name[row] as number] === 1)
      isDisturbed[calls.callerVisit[row] as number] = 1;
  }
  return isDisturbed;
}

/** `UsualWait` in columns, by place of a name: NaN where nothing is usual. */
interface UsualTable {
  readonly mean: Float64Array;
  readonly median: Float64Array;
  readonly threshold: Float64Array;
}

function tableOf<Name>(names: readonly Name[], usualOf: (name: Name) => UsualWait | undefined): UsualTable {
  const empty = (): Float64Array => new Float64Array(names.length).fill(Number.NaN);
  const table = { mean: empty(), median: empty(), threshold: empty() };
  for (let place = 0; place < names.length; place += 1) {
    const each = usualOf(names[place] as Name);
    if (each === undefined) continue;
    table.mean[place] = each.mean;
    table.median[place] = each.median;
    table.threshold[place] = each.threshold;
  }
  return table;
}

function excessOf(nanos: number, { median, threshold }: UsualTable, place: number): number {
  return nanos > (threshold[place] as number) ? nanos - (median[place] as number) : 0;
}

function deviationOf(nanos: number, { mean }: UsualTable, place: number): number {
  const deviation = nanos - (mean[place] as number);
  return Number.isNaN(deviation) ? 0 : deviation;
}

function operationText({ service, operation }: VisitSums["operations"][number]): string {
  return `${service}\u0000${operation}`;
}

/** Whether a service makes a call, or answers it. */
function isOf(service: string, { caller, callee }: VisitSums["callNames"][number]): boolean {
  return caller === service || callee === service;
}

function callText({ kind, caller, callee, operation }: VisitSums["callNames"][number]): string {
  return [kind, caller, callee, operation].join("\u0000");
}

type ValuesByName = ReadonlyMap<string, Float64Array>;
type UsualWaits = ReadonlyMap<string, UsualWait>;

/** The service's own work, by operation. */
function ownTimes({ visits, operations }: VisitSums, service: string): ValuesByName {
  return valuesByName(visits.ownNanos, {
    places: visits.operation,
    nameOf: (place) => operationText(operations[place] as (typeof operations)[number]),
    isNameWanted: flagsOf(operations, (operation) => operation.service === service),
  });
}

/** What calls from and to a service lose on the way, by call. */
function callTimes({ calls, callNames }: VisitSums, service: string): ValuesByName {
  return valuesByName(calls.nanos, {
    places: calls.name,
    nameOf: (place) => callText(callNames[place] as (typeof callNames)[number]),
    isNameWanted: flagsOf(callNames, (name) => isOf(service, name)),
  });
}

interface DisturbedVisits {
  readonly sums: VisitSums;
  /** by visit */
  readonly isDisturbed: Uint8Array;
}

/** How long visits took: those in which a call failed of the cause against all before. Of other operations nobody will ask. */
function usualOfDisturbed({
  before,
  after,
}: {
  readonly before: DisturbedVisits;
  readonly after: DisturbedVisits;
}): UsualWaits {
  const names = new Set([...operationsWith(before), ...operationsWith(after)]);
  if (names.size === 0) return new Map();
  const durations = ({ visits, operations }: VisitSums, isRowWanted: Uint8Array | null): ValuesByName =>
    valuesByName(visits.durationNanos, {
      places: visits.operation,
      nameOf: (place) => operationText(operations[place] as (typeof operations)[number]),
      isNameWanted: flagsOf(operations, (each) => names.has(operationText(each))),
      isRowWanted,
    });
  return usualWaits(durations(before.sums, null), durations(after.sums, after.isDisturbed));
}

/** Names of the operations of disturbed visits. */
function operationsWith({ sums: { visits, operations }, isDisturbed }: DisturbedVisits): readonly string[] {
  const isFound = new Uint8Array(operations.length);
  for (let row = 0; row < isDisturbed.length; row += 1)
    if (isDisturbed[row] === 1) isFound[visits.operation[row] as number] = 1;
  return operations.filter((_, place) => isFound[place] === 1).map(operationText);
}

/** The known values of some rows, sorted. */
function valuesByName(
  values: Float64Array,
  {
    places,
    nameOf,
    isNameWanted,
    isRowWanted = null,
  }: {
    readonly places: Int32Array;
    readonly nameOf: (place: number) => string;
    /** by place, 1 = yes */
    readonly isNameWanted: Uint8Array;
    /** null = all */
    readonly isRowWanted?: Uint8Array | null;
  },
): ValuesByName {
  const found = new Map<number, number[]>();
  for (let row = 0; row < places.length; row += 1) {
    const place = places[row] as number;
    if (isNameWanted[place] === 0 || (isRowWanted !== null && isRowWanted[row] === 0)) continue;
    const value = values[row] as number;
    if (Number.isNaN(value)) continue;
    const known = found.get(place);
    if (known === undefined) found.set(place, [value]);
    else known.push(value);
  }
  return new Map([...found].map(([place, own]) => [nameOf(place), new Float64Array(own).sort()]));
}

function usualWaits(before: ValuesByName, after: ValuesByName): UsualWaits {
  const none = new Float64Array(0);
  return new Map(
    [...before].map(([name, usual]) => [
      name,
      {
        mean: sumOf(usual) / usual.length,
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
  let most = 0;
  let threshold = Number.POSITIVE_INFINITY;
  let above = 0;
  for (let i = 0; i < before.length; i += 1) {
    const value = before[i] as number;
    while (above < after.length && (after[above] as number) <= value) above += 1;
    const apart = (i + 1) / before.length - above / Math.max(1, after.length);
    if (apart > most) {
      most = apart;
      threshold = value;
    }
  }
  const size = (before.length * after.length) / (before.length + after.length);
  if (most * Math.sqrt(size) >= slowedUnit.apartMin) return threshold;
  const highest = before.at(-1) ?? Number.POSITIVE_INFINITY;
  return before.length < baselineRequestsMin ? Number.POSITIVE_INFINITY : highest * slowedUnit.outlierFactor;
}
