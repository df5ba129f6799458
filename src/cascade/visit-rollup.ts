import { Column } from "../base/column.ts";
import { compareText } from "../base/compare-text.ts";
import { gather } from "../base/gather.ts";
import { Interner } from "../base/interner.ts";
import { mapEntry } from "../base/map-entry.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { Places } from "../base/places.ts";
import type { Saved, SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { sortFew } from "../base/sort-few.ts";
import { traceIdFromWords, wordsOfHex } from "../model/ids.ts";
import { overflowName } from "../model/limits.ts";
import { shapesMax, visitNamesMax, visitsMax } from "../model/scoring.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { minuteOf, startOfMinute, type UnixNanos } from "../model/time.ts";
import { requestsAtLevel, thinningLevelOf } from "../model/trace-choice.ts";
import type { TraceCalls } from "../trace/calls.ts";
import type { SplitAttribute } from "../trace/split-attributes.ts";
import type { Trace } from "../trace/trace.ts";
import { FairShares, requestGroupOf, type ThinnedTrace } from "./fair-shares.ts";
import { PlainVisits } from "./plain-visits.ts";
import { SplitSets } from "./split-sets.ts";
import {
  plainVisits,
  type Step,
  type StepName,
  type TraceVisits,
  type Visit,
  type VisitCall,
  visitsOf,
} from "./visits.ts";

/** An operation of a service. */
export interface ServiceOperation {
  readonly service: string;
  readonly operation: string;
}

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
  /** group of requests that each is of, by place in `traceIds` */
  readonly traceGroups: Uint16Array;
  /** by group, how far its traces were thinned: those that were left out have a lower level, see `thinningLevelOf` */
  readonly levels: Uint8Array;
  /** traces that were left out because there is no room for the visits of all */
  readonly omittedTraces: number;
  readonly operations: readonly ServiceOperation[];
  readonly instances: readonly string[];
  /** of spans that make calls */
  readonly spanNames: readonly string[];
  readonly steps: readonly StepName[];
  readonly shapes: readonly Shape[];
  /** what tells visits of one service apart beside their operation, by number of the set: each key once */
  readonly attributesOf: (split: number) => readonly SplitAttribute[];
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
    /** see `attributesOf` */
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
    /** name of the span that made it, place in `spanNames`; -1 = unknown */
    readonly via: Int32Array;
    readonly nanos: Float64Array;
    readonly requestNanos: Float64Array;
    readonly waitedNanos: Float64Array;
    readonly aloneNanos: Float64Array;
    readonly failed: Uint8Array;
  };
  /** row of the visit of a span, by its ids in hex; undefined where it is not known, or logs are not to be joined */
  readonly visitOfSpan: (traceId: string, spanId: string) => number | undefined;
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

interface KeptTrace extends ThinnedTrace {
  readonly id: string;
  readonly startTime: UnixNanos;
  /** rows of each sort that are its own: those of one trace stand together, in the order of traces */
  readonly visits: number;
  readonly calls: number;
  readonly spans: number;
  /** it was taken back, or had to go */
  isGone: boolean;
}

export interface VisitRollupOptions {
  /** the visits of spans will be asked for by id */
  readonly joinsLogs: boolean;
  /** nothing but `plainVisits` will be asked: calls and attributes are left out; default false */
  readonly onlySteps?: boolean;
  /** visits that are kept */
  readonly capacity?: number;
  /** a trace with more visits is left out: it would take the room of all others; default: none is */
  readonly traceVisitsMax?: number;
}

/**
 * Keeps the visits of many traces, for questions that only two populations can answer. Traces come in any order. Where there
 * are more visits than there is room for, traces of busy kinds of requests are thinned (`FairShares`) by a hash of their id: the
 * same ones remain whatever the order.
 * Several rollups can be read as one, with the result that one rollup of all their traces would give.
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
  readonly #spans = spanColumns();
  #traces: KeptTrace[] = [];
  /** of traces that are not gone */
  #visitCount = 0;
  #omitted = 0;
  #shares: FairShares;
  /** some traces have to go that are still here */
  #isThinned = false;
  /** with so many traces, gone ones included, that is done */
  #thinAt = 0;
  /** of all traces; null = not asked for since one came or went */
  #plain: PlainVisits | null = null;
  #joinsLogs: boolean;
  readonly #onlySteps: boolean;
  readonly #traceVisitsMax: number;

  constructor({
    joinsLogs,
    onlySteps = false,
    capacity = visitsMax,
    traceVisitsMax = Number.POSITIVE_INFINITY,
  }: VisitRollupOptions) {
    this.#joinsLogs = joinsLogs;
    this.#onlySteps = onlySteps;
    this.#shares = new FairShares(capacity);
    this.#traceVisitsMax = traceVisitsMax;
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

  /** `traceCalls` = those of the trace. */
  add(trace: Trace, traceCalls: TraceCalls): void {
    const chosen = { group: requestGroupOf(trace), level: thinningLevelOf(trace.traceId) };
    if (!this.#shares.keeps(chosen)) {
      this.#omitted += 1;
      return;
    }
    const found = visitsOf(trace, traceCalls);
    if (found.visits.length > this.#traceVisitsMax) {
      this.#omitted += 1;
      return;
    }
    const firstVisit = this.#visits.trace.length;
    const calls = this.#onlySteps ? [] : found.calls;
    for (const visit of found.visits)
      this.#addVisit(visit, firstVisit, this.#onlySteps ? 0 : this.#splits.setOf(trace, visit));
    for (const isPlain of plainVisits(trace, found)) this.#visits.plain.push(isPlain);
    for (const call of calls) this.#addCall(call, found, firstVisit);
    if (this.#joinsLogs) this.#addSpans(trace, found, firstVisit);
    const visits = found.visits.length;
    this.#pushTrace({
      ...chosen,
      id: trace.traceId,
      startTime: trace.startTime,
      visits,
      calls: calls.length,
      spans: this.#joinsLogs ? trace.spans.length : 0,
      isGone: false,
    });
    if (this.#shares.add(chosen, visits)) this.#isThinned = true;
    if (this.#traces.length >= this.#thinAt) this.#thinOut();
  }

  /** Takes back a trace that was added; one that is not there was left out. */
  remove({ traceId, startTime }: Pick<Trace, "traceId" | "startTime">): void {
    this.#thinOut();
    const kept = this.#traces.find(
      (trace) => trace.id === traceId && trace.startTime === startTime && !trace.isGone,
    );
    if (kept === undefined) {
      this.#omitted = Math.max(0, this.#omitted - 1);
      return;
    }
    this.#takeBack(kept);
    this.#retainFew();
  }

  /** Takes back all traces that started before a minute. */
  dropBefore(minute: number): void {
    this.#thinOut();
    const start = startOfMinute(minute);
    for (const trace of this.#traces) if (!trace.isGone && trace.startTime < start) this.#takeBack(trace);
    this.#retainFew();
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    const pairs =
      this.#operations.size + this.#targets.size + this.#steps.size + this.#callNames.size +
      this.#stepSets.size + this.#shapes.size; // biome-ignore format: a sum
    return (
      this.#visits.trace.length * visitBytes +
      this.#calls.name.length * callBytes +
      this.#spans.visit.length * spanBytes +
      this.#traces.length * traceBytes +
      this.#names.texts.length * nameBytes +
      this.#shares.byteLength +
      pairs * pairBytes +
      this.#splits.byteLength
    );
  }

  save(out: SnapshotWriter): void {
    this.#thinOut();
    if (!this.#traces.every(isThere)) this.#retain();
    const words = new Uint32Array(this.#traces.length * traceWords);
    for (const [i, trace] of this.#traces.entries()) words.set(wordsOfTrace(trace), i * traceWords);
    out.column(words);
    // rows of spans are there or not, whatever the new one was made for
    out.flag(this.#joinsLogs);
    out.number(this.#visitCount);
    out.number(this.#omitted);
    for (const part of this.#parts()) part.save(out);
  }

  load(from: SnapshotReader): void {
    const words = from.column(Uint32Array);
    for (let at = 0; at < words.length; at += traceWords) this.#traces.push(traceOfWords(words, at));
    this.#joinsLogs = from.flag();
    this.#visitCount = from.number();
    this.#omitted = from.number();
    for (const part of this.#parts()) part.load(from);
  }

  #parts(): readonly Saved[] {
    return [
      this.#names,
      this.#operations,
      this.#targets,
      this.#steps,
      this.#callNames,
      this.#stepSets,
      this.#shapes,
      this.#splits,
      this.#shares,
      ...Object.values(this.#visits),
      ...Object.values(this.#calls),
      ...Object.values(this.#spans),
    ];
  }

  /**
   * Everything that was added to any of some rollups, by the names that reports use, in memory of its own. Where there are
   * more than `capacity` visits, traces are thinned further.
   */
  static readAll(
    parts: readonly VisitRollup[],
    directory: ServiceDirectory,
    { joinsLogs, capacity = visitsMax }: VisitRollupOptions,
  ): VisitSums {
    const all = new VisitRollup({ joinsLogs, capacity });
    for (const part of parts) all.#shares.startAbove(part.#shares);
    for (const part of parts) all.#shares.addAll(part.#shares);
    for (const part of parts) all.#absorb(part);
    return all.read(directory);
  }

  /** What the plain visits of traces did that start in the minutes from `from` to `to`, both included; null = no end on that side. */
  plainVisits(from: number | null = null, to: number | null = null): PlainVisits {
    if (from === null && to === null) {
      this.#plain ??= this.#plainVisits(isThere);
      return this.#plain;
    }
    return this.#plainVisits((trace) => {
      const minute = minuteOf(trace.startTime);
      return isThere(trace) && minute >= (from ?? minute) && minute <= (to ?? minute);
    });
  }

  #plainVisits(isChosen: (trace: KeptTrace) => boolean): PlainVisits {
    this.#thinOut();
    const { plain, operation, shape } = valuesOf(this.#visits);
    const rows = new Int32Array(plain.length);
    const weights = new Float64Array(plain.length);
    const levels = this.#shares.levels();
    let [count, end] = [0, 0];
    for (const trace of this.#traces) {
      const start = end;
      end += trace.visits;
      if (!isChosen(trace)) continue;
      const weight = requestsAtLevel(levels[trace.group] as number);
      for (let row = start; row < end; row += 1) {
        if (plain[row] === 0) continue;
        rows[count] = row;
        weights[count] = weight;
        count += 1;
      }
    }
    const numbers = {
      names: this.#names,
      operations: this.#operations,
      stepsOfShape: (number: number) => this.#stepsOf(this.#shapes.firstAt(number)),
      nameOfStep: (step: number) => this.#nameOfStep(step),
    };
    return new PlainVisits(numbers, { rows: rows.subarray(0, count), weights, operation, shape });
  }

  #nameOfStep(step: number): StepName | null {
    const target = this.#steps.secondAt(step);
    const [callee, operation] = [this.#targets.firstAt(target), this.#targets.secondAt(target)];
    if (callee === 0 || operation === 0) return null;
    return {
      kind: stepKinds[this.#steps.firstAt(step)] ?? "step",
      callee: this.#names.texts[callee] as string,
      operation: this.#names.texts[operation] as string,
    };
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
    columns.via.push(call.via === "" ? -1 : this.#nameOf(call.via));
    columns.nanos.push(call.nanos ?? Number.NaN);
    columns.requestNanos.push(call.requestNanos ?? Number.NaN);
    columns.waitedNanos.push(call.waitedNanos);
    columns.aloneNanos.push(call.aloneNanos);
    columns.failed.push(call.failed ? 1 : 0);
  }

  #addSpans(trace: Trace, { visitOf }: TraceVisits, firstVisit: number): void {
    for (const { index, table, row } of trace.spans) {
      this.#spans.visit.push(firstVisit + (visitOf[index] as number));
      this.#spans.high.push(table.spanId[row * 2] as number);
      this.#spans.low.push(table.spanId[row * 2 + 1] as number);
    }
  }

  #pushTrace(trace: KeptTrace): void {
    this.#traces.push(trace);
    this.#visitCount += trace.visits;
    this.#plain = null;
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
    return this.#shapes.idOf(this.#setOf(ids), lastCall + 1);
  }

  /** The number of a set of steps + 1. `ids` is sorted in place. */
  #setOf(ids: number[]): number {
    sortFew(ids, (a, b) => a - b);
    let set = 0;
    for (let i = 0; i < ids.length; i += 1)
      if (i === 0 || ids[i] !== ids[i - 1]) set = this.#stepSets.idOf(set, ids[i] as number) + 1;
    return set;
  }

  #stepOf({ kind, callee, operation }: StepName): number {
    const target = this.#targets.idOf(this.#nameOf(callee), this.#nameOf(operation));
    return this.#steps.idOf(stepKinds.indexOf(kind), target);
  }

  /**
   * Lets the traces go that there is no room for. Shares fall many times until they are what they will be, so this waits until there are
   * an eighth more traces, or somebody looks.
   */
  #thinOut(): void {
    if (!this.#isThinned) return;
    this.#isThinned = false;
    for (const trace of this.#traces) {
      if (trace.isGone || this.#shares.keeps(trace)) continue;
      this.#letGo(trace);
      this.#omitted += 1;
    }
    this.#retainFew();
    this.#thinAt = Math.ceil(this.#traces.length * 1.125);
  }

  #takeBack(trace: KeptTrace): void {
    this.#shares.add(trace, -trace.visits);
    this.#letGo(trace);
  }

  #letGo(trace: KeptTrace): void {
    trace.isGone = true;
    this.#visitCount -= trace.visits;
    this.#plain = null;
  }

  /** Rows are moved rarely: one trace may go after the other. */
  #retainFew(): void {
    if (this.#visits.trace.length > 2 * this.#visitCount) this.#retain();
  }

  /** Lets go of the rows of traces that are gone. */
  #retain(): void {
    const { traces, numbers, visits, rows } = this.#chosen(isThere);
    this.#traces = [...traces];
    for (const column of Object.values(this.#visits)) column.retain(rows.visits);
    for (const column of Object.values(this.#calls)) column.retain(rows.calls);
    for (const column of Object.values(this.#spans)) column.retain(rows.spans);
    this.#visits.trace.replace((trace) => numbers[trace] as number);
    const renumber = (row: number): number => (row < 0 ? -1 : (visits[row] as number));
    for (const column of [
      this.#visits.parent,
      this.#calls.callerVisit,
      this.#calls.calleeVisit,
      this.#spans.visit,
    ])
      column.replace(renumber);
  }

  /** Some of the traces and their rows; by old number the new ones of traces and of visits, where they are kept. */
  #chosen(isTraceKept: (trace: KeptTrace) => boolean) {
    const numbers = new Int32Array(this.#traces.length).fill(-1);
    const traces: KeptTrace[] = [];
    const counts = { visits: 0, calls: 0, spans: 0 };
    for (let i = 0; i < numbers.length; i += 1) {
      const trace = this.#traces[i] as KeptTrace;
      if (!isTraceKept(trace)) continue;
      numbers[i] = traces.length;
      traces.push(trace);
      counts.visits += trace.visits;
      counts.calls += trace.calls;
      counts.spans += trace.spans;
    }
    const rows = {
      visits: new RowRanges(counts.visits),
      calls: new RowRanges(counts.calls),
      spans: new RowRanges(counts.spans),
    };
    for (let i = 0; i < numbers.length; i += 1) {
      const trace = this.#traces[i] as KeptTrace;
      const isKept = (numbers[i] as number) >= 0;
      rows.visits.next(trace.visits, isKept);
      rows.calls.next(trace.calls, isKept);
      rows.spans.next(trace.spans, isKept);
    }
    const kept = { visits: rows.visits.kept, calls: rows.calls.kept, spans: rows.spans.kept };
    const visits = new Int32Array(this.#visits.trace.length);
    for (let row = 0; row < kept.visits.length; row += 1) visits[kept.visits[row] as number] = row;
    return { traces, numbers, visits, rows: kept };
  }

  /** Adds what another one holds of traces that this one keeps. */
  #absorb(other: VisitRollup): void {
    other.#thinOut();
    const levels = this.#shares.levels();
    const { traces, numbers, visits, rows } = other.#chosen((trace) => {
      if (trace.isGone) return false;
      const isKept = trace.level >= (levels[trace.group] as number);
      if (!isKept) this.#omitted += 1;
      return isKept;
    });
    const place = this.#placesOf(other, rows);
    const by = (places: Int32Array, shift = 0) => ({ places, shift });
    const trace = by(numbers, this.#traces.length);
    const visit = by(visits, this.#visits.trace.length);
    const operation = by(place.operations.found);
    this.#omitted += other.#omitted;
    for (const each of traces) this.#pushTrace(this.#joinsLogs ? each : { ...each, spans: 0 });
    appendColumns(this.#visits, other.#visits, {
      rows: rows.visits,
      places: {
        trace,
        operation,
        entry: operation,
        instance: by(place.names.found),
        shape: by(place.shapes.found),
        split: by(place.splits.found),
        parent: visit,
      },
    });
    appendColumns(this.#calls, other.#calls, {
      rows: rows.calls,
      places: {
        name: by(place.callNames.found),
        callerVisit: visit,
        calleeVisit: visit,
        via: by(place.names.found),
      },
    });
    if (this.#joinsLogs) appendColumns(this.#spans, other.#spans, { rows: rows.spans, places: { visit } });
  }

  /**
   * What the numbers of another rollup are here. Of operations all, for they say which services have spans; of the rest only
   * what some of its rows use: of many minutes few rows are kept.
   */
  #placesOf(other: VisitRollup, rows: { readonly visits: Int32Array; readonly calls: Int32Array }) {
    const names = new Places(other.#names.texts.length, (name) =>
      this.#nameOf(other.#names.texts[name] as string),
    );
    const placesOfPairs = (
      [own, theirs]: readonly [PairInterner, PairInterner],
      [first, second]: readonly [Places | null, Places],
    ): Places =>
      new Places(theirs.size, (pair) => {
        const a = theirs.firstAt(pair);
        return own.idOf(first === null ? a : first.at(a), second.at(theirs.secondAt(pair)));
      });
    const operations = placesOfPairs([this.#operations, other.#operations], [names, names]);
    const targets = placesOfPairs([this.#targets, other.#targets], [names, names]);
    const steps = placesOfPairs([this.#steps, other.#steps], [null, targets]);
    const callNames = placesOfPairs([this.#callNames, other.#callNames], [names, steps]);
    const shapes = new Places(other.#shapes.size, (shape) => {
      const ids = other.#stepsOf(other.#shapes.firstAt(shape));
      for (let i = 0; i < ids.length; i += 1) ids[i] = steps.at(ids[i] as number);
      const last = other.#shapes.secondAt(shape);
      return this.#shapes.idOf(this.#setOf(ids), last === 0 ? 0 : steps.at(last - 1) + 1);
    });
    const splits = this.#splits.placesOf(other.#splits);
    for (let operation = 0; operation < other.#operations.size; operation += 1) operations.at(operation);
    const { instance, shape, split } = other.#visits;
    names.findAll(instance, rows.visits);
    shapes.findAll(shape, rows.visits);
    splits.findAll(split, rows.visits);
    callNames.findAll(other.#calls.name, rows.calls);
    names.findAll(other.#calls.via, rows.calls);
    return { names, operations, callNames, shapes, splits };
  }

  /** Everything that was added, by the names that reports use. */
  read(directory: ServiceDirectory): VisitSums {
    this.#thinOut();
    if (!this.#traces.every(isThere)) this.#retain();
    const ranks = ranksOf(this.#traces);
    const nodes = this.#names.texts.map((key) => directory.nameOfKey(key));
    const [operations, steps, callNames] = this.#readNames(nodes);
    const { trace, operation, entry, ...visits } = valuesOf(this.#visits);
    const { name, ...calls } = valuesOf(this.#calls);
    const traceOf = gather(ranks.of, trace);
    return {
      traceIds: ranks.ids,
      traceMinutes: ranks.minutes,
      traceGroups: ranks.groups,
      levels: this.#shares.levels(),
      omittedTraces: this.#omitted,
      operations: operations.items,
      instances: this.#names.texts,
      spanNames: this.#names.texts,
      steps: steps.items,
      shapes: this.#readShapes(steps.placeOf),
      attributesOf: (split) => this.#splits.attributesOf(split),
      extentNanos: ranks.extentNanos,
      callNames: callNames.items,
      visits: {
        ...visits,
        trace: traceOf,
        operation: gather(operations.placeOf, operation),
        entry: gather(operations.placeOf, entry),
      },
      calls: { ...calls, name: gather(callNames.placeOf, name) },
      visitOfSpan: spanLookup(valuesOf(this.#spans), traceOf, ranks.ids),
    };
  }

  #readShapes(placeOf: Int32Array): readonly Shape[] {
    return this.#shapes.pairs().map(([set, last]) => ({
      steps: [...new Set(this.#stepsOf(set).map((step) => placeOf[step] as number))],
      lastCall: placeOf[last - 1] ?? -1,
    }));
  }

  /** `set` = number of a set + 1. */
  #stepsOf(set: number): number[] {
    const steps: number[] = [];
    for (let at = set; at > 0; at = this.#stepSets.firstAt(at - 1))
      steps.push(this.#stepSets.secondAt(at - 1));
    return steps;
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
    plain: new Column(new Uint8Array(0)),
  };
}

function callColumns() {
  return {
    name: new Column(new Int32Array(0)),
    callerVisit: new Column(new Int32Array(0)),
    calleeVisit: new Column(new Int32Array(0)),
    via: new Column(new Int32Array(0)),
    nanos: new Column(new Float64Array(0)),
    requestNanos: new Column(new Float64Array(0)),
    waitedNanos: new Column(new Float64Array(0)),
    aloneNanos: new Column(new Float64Array(0)),
    failed: new Column(new Uint8Array(0)),
  };
}

function spanColumns() {
  return {
    visit: new Column(new Int32Array(0)),
    high: new Column(new Uint32Array(0)),
    low: new Column(new Uint32Array(0)),
  };
}

/** Rough sizes of a row, and of what is numbered. Of a visit 16 are its part in `PlainVisits`, which may be made at any time. */
const visitBytes = 63;
const callBytes = 49;
const spanBytes = 12;
const traceBytes = 160;
const nameBytes = 160;
const pairBytes = 16;

type NumberColumns = Readonly<Record<string, Column<Int32Array | Uint32Array | Float64Array | Uint8Array>>>;

/** Adds some rows of other columns; `places` says what the numbers of some columns become. */
function appendColumns<T extends NumberColumns>(
  own: T,
  theirs: T,
  {
    rows,
    places,
  }: {
    readonly rows: Int32Array;
    readonly places: { readonly [Name in keyof T]?: Parameters<Column<Int32Array>["append"]>[2] };
  },
): void {
  for (const [name, column] of Object.entries(own) as [keyof T & string, Column<Int32Array>][])
    column.append(theirs[name] as Column<Int32Array>, rows, places[name]);
}

/** The rows of some traces among all, one trace after the other. */
class RowRanges {
  readonly kept: Int32Array;
  #next = 0;
  #count = 0;

  /** `keptCount` = rows that will stay */
  constructor(keptCount: number) {
    this.kept = new Int32Array(keptCount);
  }

  /** The rows of the next trace stay, or go. */
  next(count: number, isKept: boolean): void {
    const end = this.#next + count;
    if (isKept)
      for (let row = this.#next; row < end; row += 1) {
        this.kept[this.#count] = row;
        this.#count += 1;
      }
    this.#next = end;
  }
}

/** How many words a trace is saved as: 4 of its id, 2 of its time, and its numbers. */
const traceWords = 11;

function wordsOfTrace({ id, startTime, visits, calls, spans, group, level }: KeptTrace): readonly number[] {
  const time = [Number(startTime >> 32n), Number(startTime & 0xffff_ffffn)];
  return [...wordsOfHex(id), ...time, visits, calls, spans, group, level];
}

function traceOfWords(words: Uint32Array, at: number): KeptTrace {
  const word = (i: number): number => words[at + i] as number;
  return {
    id: traceIdFromWords(word(0), word(1), word(2), word(3)),
    startTime: ((BigInt(word(4)) << 32n) | BigInt(word(5))) as UnixNanos,
    visits: word(6),
    calls: word(7),
    spans: word(8),
    group: word(9),
    level: word(10),
    isGone: false,
  };
}

function isThere({ isGone }: KeptTrace): boolean {
  return !isGone;
}

/** Finds visits by ids; of each trace that is asked about, its spans are looked through once. */
function spanLookup(
  { visit, high, low }: ValuesOf<ReturnType<typeof spanColumns>>,
  traceOf: Int32Array,
  traceIds: readonly string[],
): VisitSums["visitOfSpan"] {
  const rowsOfTrace = new Map<string, Map<number, number>>();
  let ranges: ReadonlyMap<string, readonly RowRange[]> | null = null;
  return (traceId, spanId) => {
    const rows = mapEntry(rowsOfTrace, traceId, () => {
      ranges ??= spanRanges(visit, traceOf, traceIds);
      const found = new Map<number, number>();
      for (const [from, to] of ranges.get(traceId) ?? [])
        for (let row = from; row < to; row += 1)
          found.set(spanKey(high[row] as number, low[row] as number), row);
      return found;
    });
    if (rows.size === 0 || spanId === "") return undefined;
    const [first = 0, second = 0] = wordsOfHex(spanId);
    const row = rows.get(spanKey(first, second));
    return row === undefined || high[row] !== first ? undefined : visit[row];
  };
}

type RowRange = [from: number, to: number];

/** By trace id, where its spans stand. */
function spanRanges(
  visit: Int32Array,
  traceOf: Int32Array,
  traceIds: readonly string[],
): ReadonlyMap<string, readonly RowRange[]> {
  const ranges = new Map<string, RowRange[]>();
  let [lastTrace, last]: [number, RowRange] = [-1, [0, 0]];
  for (let row = 0; row < visit.length; row += 1) {
    const trace = traceOf[visit[row] as number] as number;
    if (trace !== lastTrace) {
      last = [row, row];
      lastTrace = trace;
      mapEntry(ranges, traceIds[trace] ?? "", () => []).push(last);
    }
    last[1] = row + 1;
  }
  return ranges;
}

/** A number is quicker to find than a text. It holds 53 of the 64 bits: the others are compared. */
function spanKey(high: number, low: number): number {
  return (high & 0x1fffff) * 0x1_0000_0000 + low;
}

type ValuesOf<T> = { [Name in keyof T]: T[Name] extends Column<infer Values> ? Values : never };

function valuesOf<T extends NumberColumns>(columns: T): ValuesOf<T> {
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

/** Places of traces when they are put in order. */
function ranksOf(traces: readonly KeptTrace[]): {
  readonly ids: readonly string[];
  readonly minutes: readonly number[];
  readonly groups: Uint16Array;
  readonly of: Int32Array;
  readonly extentNanos: number;
} {
  // doubles are near enough for all but a few
  const times = Float64Array.from(traces, ({ startTime }) => Number(startTime));
  const order = Array.from(traces, (trace, i) => ({ trace, i }));
  order.sort(({ trace: a, i }, { trace: b, i: j }) => {
    const apart = (times[i] as number) - (times[j] as number);
    if (apart !== 0) return apart;
    if (a.startTime !== b.startTime) return a.startTime < b.startTime ? -1 : 1;
    return compareText(a.id, b.id);
  });
  const of = new Int32Array(traces.length);
  for (const [rank, { i }] of order.entries()) of[i] = rank;
  const [first, last] = [order[0]?.trace.startTime ?? 0n, order.at(-1)?.trace.startTime ?? 0n];
  return {
    ids: order.map(({ trace }) => trace.id),
    minutes: order.map(({ trace }) => minuteOf(trace.startTime)),
    groups: Uint16Array.from(order, ({ trace }) => trace.group),
    of,
    extentNanos: Number(last - first),
  };
}
