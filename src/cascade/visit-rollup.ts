import { Column } from "../base/column.ts";
import { gather } from "../base/gather.ts";
import { Interner } from "../base/interner.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { sortFew } from "../base/sort-few.ts";
import { overflowName } from "../model/limits.ts";
import { shapesMax, visitNamesMax, visitsMax } from "../model/scoring.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { minuteOf, type UnixNanos } from "../model/time.ts";
import type { TraceCalls } from "../trace/calls.ts";
import type { SplitAttribute } from "../trace/split-attributes.ts";
import type { Trace } from "../trace/trace.ts";
import { spanIdOf } from "../trace/trace.ts";
import { SplitSets } from "./split-sets.ts";
import { type Step, type TraceVisits, type Visit, type VisitCall, visitsOf } from "./visits.ts";

/** An operation of a service. */
export interface ServiceOperation {
  readonly service: string;
  readonly operation: string;
}

/** What visits can have in common, whichever window they are of. */
export interface StepName extends Pick<Step, "kind" | "callee" | "operation"> {}

/** What a visit did: each step once, and the call that began last (-1 = none), as indices in `steps`. */
export interface Shape {
  readonly steps: readonly number[];
  readonly lastCall: number;
}

/** A step that is a call, and who makes it. */
export interface CallName extends StepName {
  readonly caller: string;
}

/** All visits of a window in columns, by the names that reports use. Numbers that are not known are NaN. */
export interface VisitSums {
  /** hex, by the start of the trace, then id; whatever the order in which they were added */
  readonly traceIds: readonly string[];
  /** in which they started, by place in `traceIds` */
  readonly traceMinutes: readonly number[];
  /** traces that were left out, evenly, because there is no room for the visits of all */
  readonly omittedTraces: number;
  readonly operations: readonly ServiceOperation[];
  readonly instances: readonly string[];
  readonly steps: readonly StepName[];
  readonly shapes: readonly Shape[];
  /** what tells visits of one service apart beside their operation: each attribute once */
  readonly splits: readonly (readonly SplitAttribute[])[];
  readonly callNames: readonly CallName[];
  /** from the first start of a trace to the last one */
  readonly extentNanos: number;
  /** one row a visit; those of a trace stand together, callers before callees */
  readonly visits: {
    /** place in `traceIds` */
    readonly trace: Int32Array;
    readonly operation: Int32Array;
    /** the operation at which the request came in */
    readonly entry: Int32Array;
    readonly instance: Int32Array;
    readonly shape: Int32Array;
    /** place in `splits` */
    readonly split: Int32Array;
    /** row of the caller's visit, -1 = none */
    readonly parent: Int32Array;
    readonly durationNanos: Float64Array;
    readonly ownNanos: Float64Array;
    readonly failed: Uint8Array;
    readonly answerFailed: Uint8Array;
  };
  /** one row a call */
  readonly calls: {
    readonly name: Int32Array;
    readonly callerVisit: Int32Array;
    readonly calleeVisit: Int32Array;
    readonly nanos: Float64Array;
    readonly requestNanos: Float64Array;
    readonly waitedNanos: Float64Array;
    readonly aloneNanos: Float64Array;
    readonly failed: Uint8Array;
  };
  /** row of the visit by `traceId + spanId`; empty unless logs are to be joined */
  readonly visitOfSpan: ReadonlyMap<string, number>;
}

/** By visit, 1 = a call of it to one of these services (or peers) failed. */
export function visitsWithFailedCalls(
  { visits, calls, callNames }: VisitSums,
  callees: { has(service: string): boolean },
): Uint8Array {
  const isOf = callNames.map(({ callee }) => callees.has(callee));
  const found = new Uint8Array(visits.parent.length);
  for (let row = 0; row < calls.name.length; row += 1)
    if (calls.failed[row] === 1 && isOf[calls.name[row] as number] === true)
      found[calls.callerVisit[row] as number] = 1;
  return found;
}

/**
 * Keeps the visits of many traces, for questions that only two populations can answer. Traces come in any order. Where there
 * are more visits than there is room for, traces are thinned by a hash of their id: the same ones remain whatever the order.
 */
export class VisitRollup {
  /** of services, peers, operations and instances */
  readonly #names = new Interner(visitNamesMax);
  /** service and operation */
  readonly #operations = new PairInterner(visitNamesMax);
  /** callee and operation, kind and target, caller and step */
  readonly #targets = new PairInterner(visitNamesMax);
  readonly #steps = new PairInterner(visitNamesMax);
  readonly #callNames = new PairInterner(visitNamesMax);
  /** sets of steps: place + 1 of the set without the last one (0 = nothing), and the last one */
  readonly #stepSets = new PairInterner(shapesMax);
  /** set, and call that began last + 1 */
  readonly #shapes = new PairInterner(shapesMax);
  readonly #splits = new SplitSets();
  readonly #visits = visitColumns();
  readonly #calls = callColumns();
  readonly #spanVisits = new Column(new Int32Array(0));
  #spanIds: string[] = [];
  #traces: { id: string; startTime: UnixNanos }[] = [];
  #omitted = 0;
  /** traces are kept whose hash ends with so many zeros */
  #level = 0;
  readonly #joinsLogs: boolean;
  readonly #capacity: number;

  /** `joinsLogs` = the visits of spans will be asked for by id; `capacity` = visits that are kept */
  constructor({
    joinsLogs,
    capacity = visitsMax,
  }: {
    readonly joinsLogs: boolean;
    readonly capacity?: number;
  }) {
    this.#joinsLogs = joinsLogs;
    this.#capacity = capacity;
    // what there is no room for any more goes by the first number
    this.#names.idOf(overflowName);
    for (const pairs of [
      this.#operations,
      this.#targets,
      this.#steps,
      this.#callNames,
      this.#stepSets,
      this.#shapes,
    ])
      pairs.idOf(0, 0);
  }

  /** `calls` = those of the trace. */
  add(trace: Trace, calls: TraceCalls): void {
    if (!isKept(trace.traceId, this.#level)) {
      this.#omitted += 1;
      return;
    }
    const found = visitsOf(trace, calls);
    const firstVisit = this.#visits.trace.length;
    for (const visit of found.visits) this.#addVisit(visit, firstVisit, this.#splits.setOf(trace, visit));
    for (const call of found.calls) this.#addCall(call, found, firstVisit);
    if (this.#joinsLogs) this.#addSpans(trace, found, firstVisit);
    this.#traces.push({ id: trace.traceId, startTime: trace.startTime });
    while (this.#visits.trace.length > this.#capacity && this.#traces.length > 1) this.#thinOut();
  }

  #addVisit(visit: Visit, firstVisit: number, split: number): void {
    const columns = this.#visits;
    const operation = this.#operationOf(visit);
    const parent = visit.parent < 0 ? -1 : firstVisit + visit.parent;
    columns.trace.push(this.#traces.length);
    columns.operation.push(operation);
    columns.entry.push(parent < 0 ? operation : columns.entry.at(parent));
    columns.instance.push(this.#nameOf(visit.instance));
    columns.shape.push(this.#shapeOf(visit.steps));
    columns.split.push(split);
    columns.parent.push(parent);
    columns.durationNanos.push(visit.durationNanos ?? Number.NaN);
    columns.ownNanos.push(visit.ownNanos ?? Number.NaN);
    columns.failed.push(visit.failed ? 1 : 0);
    columns.answerFailed.push(visit.answerFailed ? 1 : 0);
  }

  #addCall(call: VisitCall, { visits }: TraceVisits, firstVisit: number): void {
    const { service: caller } = visits[call.callerVisit] as Visit;
    const columns = this.#calls;
    columns.name.push(this.#callNames.idOf(this.#nameOf(caller), this.#stepOf(call)));
    columns.callerVisit.push(firstVisit + call.callerVisit);
    columns.calleeVisit.push(call.calleeVisit < 0 ? -1 : firstVisit + call.calleeVisit);
    columns.nanos.push(call.nanos ?? Number.NaN);
    columns.requestNanos.push(call.requestNanos ?? Number.NaN);
    columns.waitedNanos.push(call.waitedNanos);
    columns.aloneNanos.push(call.aloneNanos);
    columns.failed.push(call.failed ? 1 : 0);
  }

  #addSpans(trace: Trace, { visitOf }: TraceVisits, firstVisit: number): void {
    for (const span of trace.spans) {
      this.#spanVisits.push(firstVisit + (visitOf[span.index] as number));
      this.#spanIds.push(trace.traceId + spanIdOf(span));
    }
  }

  #nameOf(name: string): number {
    return Math.max(0, this.#names.idOf(name));
  }

  #operationOf({ service, operation }: ServiceOperation): number {
    return this.#operations.idOf(this.#nameOf(service), this.#nameOf(operation));
  }

  #shapeOf(steps: readonly Step[]): number {
    const ids: number[] = [];
    let last: Step | null = null;
    let lastCall = -1;
    for (const step of steps) {
      const id = this.#stepOf(step);
      ids.push(id);
      if (!isCall(step) || (last !== null && !isLater(step, last))) continue;
      last = step;
      lastCall = id;
    }
    sortFew(ids, (a, b) => a - b);
    let set = 0;
    for (let i = 0; i < ids.length; i += 1)
      if (i === 0 || ids[i] !== ids[i - 1]) set = this.#stepSets.idOf(set, ids[i] as number) + 1;
    return this.#shapes.idOf(set, lastCall + 1);
  }

  #stepOf({ kind, callee, operation }: StepName): number {
    const target = this.#targets.idOf(this.#nameOf(callee), this.#nameOf(operation));
    return this.#steps.idOf(stepKinds.indexOf(kind), target);
  }

  /** Lets half of the traces go. */
  #thinOut(): void {
    this.#level += 1;
    const traces = this.#traces;
    const numbers = renumbered(traces.length, (i) => isKept(traces[i]?.id ?? "", this.#level));
    const visitTraces = Int32Array.from(this.#visits.trace.values);
    const visits = renumbered(visitTraces.length, (row) => (numbers[visitTraces[row] as number] ?? -1) >= 0);
    const callers = Int32Array.from(this.#calls.callerVisit.values);
    const spanVisits = Int32Array.from(this.#spanVisits.values);
    this.#omitted += traces.length;
    this.#traces = traces.filter((_, i) => (numbers[i] ?? -1) >= 0);
    this.#omitted -= this.#traces.length;
    const isVisitKept = (row: number): boolean => (visits[row] ?? -1) >= 0;
    const isCallKept = (row: number): boolean => isVisitKept(callers[row] as number);
    const isSpanKept = (row: number): boolean => isVisitKept(spanVisits[row] as number);
    for (const column of Object.values(this.#visits)) column.retain(isVisitKept);
    for (const column of Object.values(this.#calls)) column.retain(isCallKept);
    this.#spanVisits.retain(isSpanKept);
    this.#spanIds = this.#spanIds.filter((_, row) => isSpanKept(row));
    this.#visits.trace.replace((trace) => numbers[trace] as number);
    const renumber = (row: number): number => (row < 0 ? -1 : (visits[row] as number));
    for (const column of [
      this.#visits.parent,
      this.#calls.callerVisit,
      this.#calls.calleeVisit,
      this.#spanVisits,
    ])
      column.replace(renumber);
  }

  /** Everything that was added, by the names that reports use. */
  read(directory: ServiceDirectory): VisitSums {
    const ranks = ranksOf(this.#traces);
    const visitOfSpan = new Map<string, number>();
    for (const [row, visit] of this.#spanVisits.values.entries())
      visitOfSpan.set(this.#spanIds[row] as string, visit);
    const nodes = this.#names.texts.map((key) => directory.nameOfKey(key));
    const [operations, steps, callNames] = this.#readNames(nodes);
    const { trace, operation, entry, ...visits } = valuesOf(this.#visits);
    const { name, ...calls } = valuesOf(this.#calls);
    return {
      traceIds: ranks.ids,
      traceMinutes: ranks.minutes,
      omittedTraces: this.#omitted,
      operations: operations.items,
      instances: this.#names.texts,
      steps: steps.items,
      shapes: this.#readShapes(steps.placeOf),
      splits: this.#splits.read(),
      extentNanos: ranks.extentNanos,
      callNames: callNames.items,
      visits: {
        ...visits,
        trace: gather(ranks.of, trace),
        operation: gather(operations.placeOf, operation),
        entry: gather(operations.placeOf, entry),
      },
      calls: { ...calls, name: gather(callNames.placeOf, name) },
      visitOfSpan,
    };
  }

  #readShapes(placeOf: Int32Array): readonly Shape[] {
    const sets = this.#stepSets.pairs();
    return this.#shapes.pairs().map(([set, last]) => {
      const steps = new Set<number>();
      for (let at = sets[set - 1]; at !== undefined; at = sets[at[0] - 1])
        steps.add(placeOf[at[1]] as number);
      return { steps: [...steps], lastCall: placeOf[last - 1] ?? -1 };
    });
  }

  /** What keys stand for: two keys may have one name. */
  #readNames(
    nodes: readonly string[],
  ): readonly [Distinct<ServiceOperation>, Distinct<StepName>, Distinct<CallName>] {
    const texts = this.#names.texts;
    const targets = this.#targets
      .pairs()
      .map(([node, operation]) => ({ callee: nodes[node] ?? "", operation: texts[operation] ?? "" }));
    const steps = this.#steps.pairs().map(([kind, target]) => ({
      kind: stepKinds[kind] ?? "step",
      callee: "",
      operation: "",
      ...targets[target],
    }));
    const operations = this.#operations
      .pairs()
      .map(([node, operation]) => ({ service: nodes[node] ?? "", operation: texts[operation] ?? "" }));
    const calls = this.#callNames
      .pairs()
      .map(([caller, step]) => ({ ...(steps[step] as StepName), caller: nodes[caller] ?? "" }));
    return [
      distinct(operations, ({ service, operation }) => joined(service, operation)),
      distinct(steps, ({ kind, callee, operation }) => joined(kind, callee, operation)),
      distinct(calls, ({ kind, caller, callee, operation }) => joined(kind, caller, callee, operation)),
    ];
  }
}

const stepKinds: readonly Step["kind"][] = ["step", "call", "peer", "message"];

interface Distinct<T> {
  readonly items: readonly T[];
  /** by old place */
  readonly placeOf: Int32Array;
}

function distinct<T>(all: readonly T[], textOf: (item: T) => string): Distinct<T> {
  const texts = new Interner();
  const items: T[] = [];
  const placeOf = new Int32Array(all.length);
  for (const [i, item] of all.entries()) {
    placeOf[i] = texts.idOf(textOf(item));
    if (placeOf[i] === items.length) items.push(item);
  }
  return { items, placeOf };
}

const separator = "\u0000";

function joined(...parts: readonly string[]): string {
  return parts.join(separator);
}

function visitColumns() {
  return {
    trace: new Column(new Int32Array(0)),
    operation: new Column(new Int32Array(0)),
    entry: new Column(new Int32Array(0)),
    instance: new Column(new Int32Array(0)),
    shape: new Column(new Int32Array(0)),
    split: new Column(new Int32Array(0)),
    parent: new Column(new Int32Array(0)),
    durationNanos: new Column(new Float64Array(0)),
    ownNanos: new Column(new Float64Array(0)),
    failed: new Column(new Uint8Array(0)),
    answerFailed: new Column(new Uint8Array(0)),
  };
}

function callColumns() {
  return {
    name: new Column(new Int32Array(0)),
    callerVisit: new Column(new Int32Array(0)),
    calleeVisit: new Column(new Int32Array(0)),
    nanos: new Column(new Float64Array(0)),
    requestNanos: new Column(new Float64Array(0)),
    waitedNanos: new Column(new Float64Array(0)),
    aloneNanos: new Column(new Float64Array(0)),
    failed: new Column(new Uint8Array(0)),
  };
}

type ValuesOf<T> = { [Name in keyof T]: T[Name] extends Column<infer Values> ? Values : never };

function valuesOf<T extends Record<string, Column<Int32Array | Float64Array | Uint8Array>>>(
  columns: T,
): ValuesOf<T> {
  return Object.fromEntries(
    Object.entries(columns).map(([key, column]) => [key, column.values]),
  ) as ValuesOf<T>;
}

function isCall({ kind }: Step): boolean {
  return kind === "call" || kind === "peer";
}

function isLater(a: Step, b: Step): boolean {
  if (a.start !== b.start) return a.start > b.start;
  return joined(a.callee, a.operation) > joined(b.callee, b.operation);
}

/** By old number the new one, -1 = gone. */
function renumbered(length: number, isKeptAt: (i: number) => boolean): Int32Array {
  const numbers = new Int32Array(length);
  let next = 0;
  for (let i = 0; i < length; i += 1) {
    numbers[i] = isKeptAt(i) ? next : -1;
    if (numbers[i] === next) next += 1;
  }
  return numbers;
}

/** Places of traces when they are put in order. */
function ranksOf(traces: readonly { readonly id: string; readonly startTime: UnixNanos }[]): {
  readonly ids: readonly string[];
  readonly minutes: readonly number[];
  readonly of: Int32Array;
  readonly extentNanos: number;
} {
  const order = traces.map((trace, i) => ({ ...trace, i }));
  order.sort((a, b) => {
    if (a.startTime !== b.startTime) return a.startTime < b.startTime ? -1 : 1;
    return a.id < b.id ? -1 : Number(a.id > b.id);
  });
  const of = new Int32Array(traces.length);
  for (const [rank, { i }] of order.entries()) of[i] = rank;
  const [first, last] = [order[0]?.startTime ?? 0n, order.at(-1)?.startTime ?? 0n];
  return {
    ids: order.map(({ id }) => id),
    minutes: order.map(({ startTime }) => minuteOf(startTime)),
    of,
    extentNanos: Number(last - first),
  };
}

/** Whether a trace is among one of 2^level: ids may be counters, so they are mixed first (FNV-1a). */
function isKept(traceId: string, level: number): boolean {
  if (level === 0) return true;
  let hash = 0x811c9dc5;
  for (let i = 0; i < traceId.length; i += 1) hash = Math.imul(hash ^ traceId.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  hash ^= hash >>> 12;
  return (hash & (2 ** level - 1)) === 0;
}
