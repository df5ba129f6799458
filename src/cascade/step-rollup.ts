import { mapEntry } from "../base/map-entry.ts";
import { stepOperationsPerMinuteMax, stepsPerMinuteMax, stepsPerOperationMax } from "../model/limits.ts";
import { Minutes } from "../model/minutes.ts";
import { judgedSpansMax } from "../model/scoring.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { minuteOf } from "../model/time.ts";
import type { TraceCalls } from "../trace/calls.ts";
import type { Trace } from "../trace/trace.ts";
import type { StepName } from "./visit-rollup.ts";
import { plainVisits, type Step, stepText, type Visit, visitsOf } from "./visits.ts";

/** What healthy visits of one operation do. */
export interface OperationSteps {
  readonly visits: number;
  /** in the order of their texts */
  readonly steps: readonly CountedStep[];
}

/** A step, and how many of the visits show it. */
export interface CountedStep {
  readonly step: StepName;
  readonly visits: number;
}

/**
 * What healthy visits of each operation do, minute by minute: how many there were, and how many of them showed which step. A
 * visit counts in the minute in which its trace starts. Sampling weights do not matter, because only shares of one operation
 * are read from it. Keys are as `rawNaming` makes them; a window turns them into names. Adding and taking back traces gives
 * the same sums in any order. What there is no room for is left out: a step of which the first visits were not counted seems
 * less usual than it is, never more.
 */
export class StepRollup {
  readonly #minutes = new Minutes(() => new MinuteSteps());

  /** `calls` = those of the trace. */
  add(trace: Trace, calls: TraceCalls): void {
    const minute = isJudged(trace) ? this.#minutes.cellFor(minuteOf(trace.startTime)) : undefined;
    if (minute === undefined) return;
    for (const visit of plainVisits(trace, visitsOf(trace, calls))) minute.add(visit);
  }

  /** Takes back a trace as it was added. */
  remove(trace: Trace, calls: TraceCalls): void {
    const minute = isJudged(trace) ? this.#minutes.find(minuteOf(trace.startTime)) : undefined;
    if (minute === undefined) return;
    for (const visit of plainVisits(trace, visitsOf(trace, calls))) minute.remove(visit);
  }

  dropBefore(minute: number): void {
    this.#minutes.dropBefore(minute);
  }

  /** What all minutes take in memory, roughly. They take as little as they can from the beginning. */
  weigh(oldBefore: number): number {
    return this.#minutes.compact(oldBefore, ({ byteLength }) => byteLength);
  }

  /** The sums of the minutes from `from` to `to`, both included; null = no end on that side. */
  window(from: number | null, to: number | null, directory: ServiceDirectory): StepWindow {
    const minutes = this.#minutes.within(from, to).map(([, minute]) => minute.services);
    return new StepWindow(minutes, directory);
  }
}

/** Whether a trace is whole, and small enough to say what requests do as a rule. */
export function isJudged({ spans, omittedSpans }: Trace): boolean {
  return omittedSpans === 0 && spans.length <= judgedSpansMax;
}

type Services = ReadonlyMap<string, ReadonlyMap<string, OperationCounts>>;

/** The steps of a window, added up when they are asked for. */
export class StepWindow {
  readonly #directory: ServiceDirectory;
  readonly #minutes: readonly Services[];
  readonly #sums = new Map<string, OperationSteps | null>();
  /** by name, the operations of a service in each minute; null = nobody has asked yet */
  #byService: ReadonlyMap<string, readonly ReadonlyMap<string, OperationCounts>[]> | null = null;

  constructor(minutes: readonly Services[], directory: ServiceDirectory) {
    this.#minutes = minutes;
    this.#directory = directory;
  }

  /** What healthy visits of an operation do; null where there were none. */
  of(service: string, operation: string): OperationSteps | null {
    const key = `${service}\u0000${operation}`;
    let sum = this.#sums.get(key);
    if (sum === undefined) {
      this.#byService ??= this.#named();
      const parts: OperationCounts[] = [];
      for (const operations of this.#byService.get(service) ?? []) {
        const part = operations.get(operation);
        if (part !== undefined && part.visits > 0) parts.push(part);
      }
      sum = parts.length === 0 ? null : sumOf(parts, this.#directory);
      this.#sums.set(key, sum);
    }
    return sum;
  }

  #named(): ReadonlyMap<string, readonly ReadonlyMap<string, OperationCounts>[]> {
    const named = new Map<string, ReadonlyMap<string, OperationCounts>[]>();
    for (const services of this.#minutes)
      for (const [key, operations] of services) {
        const name = this.#directory.nameOfKey(key);
        const known = named.get(name);
        if (known === undefined) named.set(name, [operations]);
        else known.push(operations);
      }
    return named;
  }
}

function sumOf(parts: readonly OperationCounts[], directory: ServiceDirectory): OperationSteps {
  const visits = parts.reduce((sum, part) => sum + part.visits, 0);
  const steps = new Map<string, CountedStep>();
  for (const part of parts)
    for (const { step, visits: shown } of part.inOrder) {
      if (shown === 0) continue;
      const named = step.callee === "" ? step : { ...step, callee: directory.nameOfKey(step.callee) };
      const text = stepText(named);
      const known = steps.get(text)?.visits ?? 0;
      // keys that turned out to name the same service may have been in one visit
      steps.set(text, { step: named, visits: Math.min(visits, known + shown) });
    }
  const inOrder = [...steps].sort(([a], [b]) => (a < b ? -1 : 1));
  return { visits, steps: inOrder.map(([, counted]) => counted) };
}

/** What an operation and a step take, with their names and places in maps. */
const operationBytes = 350;
const stepBytes = 250;

/** Counts of one operation in one minute. */
interface OperationCounts {
  visits: number;
  /** by the operation of the step: of one name there are hardly ever two */
  readonly steps: Map<string, StepCount[]>;
  /** the same, in the order in which they came */
  readonly inOrder: StepCount[];
}

interface StepCount {
  readonly step: StepName;
  /** in `inOrder` */
  readonly place: number;
  visits: number;
  /** number of the visit that showed it last: each counts once */
  lastVisit: number;
}

/** Emptied counts stay, so that what was left out for lack of room is never looked for in the room of others. */
class MinuteSteps {
  readonly services = new Map<string, Map<string, OperationCounts>>();
  #operationCount = 0;
  #stepCount = 0;
  #visitNumber = 0;

  get byteLength(): number {
    return this.#operationCount * operationBytes + this.#stepCount * stepBytes;
  }

  add(visit: Visit): void {
    const operation = this.#operationToAdd(visit);
    if (operation === undefined) return;
    operation.visits += 1;
    this.#visitNumber += 1;
    let last: StepCount | undefined;
    for (const step of visit.steps) {
      const count =
        countAfter(operation, last, step) ?? countOf(operation, step) ?? this.#newCount(operation, step);
      if (count === undefined) continue;
      last = count;
      if (count.lastVisit === this.#visitNumber) continue;
      count.lastVisit = this.#visitNumber;
      count.visits += 1;
    }
  }

  remove(visit: Visit): void {
    const operation = this.services.get(visit.service)?.get(visit.operation);
    if (operation === undefined || operation.visits === 0) return;
    operation.visits -= 1;
    this.#visitNumber += 1;
    for (const step of visit.steps) {
      const count = countOf(operation, step);
      if (count === undefined || count.visits === 0 || count.lastVisit === this.#visitNumber) continue;
      count.lastVisit = this.#visitNumber;
      count.visits -= 1;
    }
  }

  /** Undefined where there is no room for one. */
  #newCount(to: OperationCounts, { kind, callee, operation }: Step): StepCount | undefined {
    const { steps, inOrder } = to;
    if (inOrder.length >= stepsPerOperationMax || this.#stepCount >= stepsPerMinuteMax) return undefined;
    const step = { kind, callee, operation };
    const count: StepCount = { step, place: inOrder.length, visits: 0, lastVisit: 0 };
    mapEntry(steps, operation, () => []).push(count);
    inOrder.push(count);
    this.#stepCount += 1;
    return count;
  }

  #operationToAdd({ service, operation }: Visit): OperationCounts | undefined {
    let operations = this.services.get(service);
    const known = operations?.get(operation);
    if (known !== undefined || this.#operationCount >= stepOperationsPerMinuteMax) return known;
    if (operations === undefined) {
      operations = new Map();
      this.services.set(service, operations);
    }
    const counts: OperationCounts = { visits: 0, steps: new Map(), inOrder: [] };
    operations.set(operation, counts);
    this.#operationCount += 1;
    return counts;
  }
}

function countOf({ steps }: OperationCounts, step: Step): StepCount | undefined {
  for (const count of steps.get(step.operation) ?? []) if (isOf(count, step)) return count;
  return undefined;
}

/** Visits of one operation mostly do the same in the same order: what came after a step comes after it again. */
function countAfter(
  { inOrder }: OperationCounts,
  last: StepCount | undefined,
  step: Step,
): StepCount | undefined {
  const next = inOrder[last === undefined ? 0 : last.place + 1];
  return next !== undefined && isOf(next, step) ? next : undefined;
}

function isOf({ step: own }: StepCount, { kind, callee, operation }: Step): boolean {
  return own.operation === operation && own.callee === callee && own.kind === kind;
}
