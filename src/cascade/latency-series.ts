import type { VisitSums } from "./visit-rollup.ts";
import type { VisitCall } from "./visits.ts";

/** Times of one thing that happened many times: own time of an operation, or what calls of one operation took. */
export interface Series {
  readonly kind: "own" | VisitCall["kind"];
  /** for own time, both are the service */
  readonly caller: string;
  readonly callee: string;
  /** of the callee; for a peer, the caller's words */
  readonly operation: string;
  /** in nanoseconds, in the order of `traces` */
  readonly values: Float64Array;
  /** places of traces in the order of their start */
  readonly traces: Int32Array;
  /** of what calls lost, the time before the callee began; null where that is not measured */
  readonly requestNanos: Float64Array | null;
  /** by value, places in `LatencySide.instances`; -1 = unknown */
  readonly callerInstances: Int32Array;
  readonly calleeInstances: Int32Array;
}

/** The times of one window. */
export interface LatencySide {
  readonly traces: number;
  /** how long a request takes on average */
  readonly requestNanos: number;
  readonly series: ReadonlyMap<string, Series>;
  readonly instances: readonly string[];
}

export interface SeriesOptions {
  /** failures shorten requests and make callers wait: where they are a finding of their own, they are left out */
  readonly withFailed: boolean;
  /** requests that came in at different operations are told apart */
  readonly byEntry: boolean;
}

/** The times of all visits and calls, by what they are of. */
export function latencySideOf(sums: VisitSums, options: SeriesOptions): LatencySide {
  const drafts = new Map<string, Draft>();
  addOwn(drafts, sums, options);
  addCalls(drafts, sums, options);
  const series = new Map<string, Series>();
  for (const [key, draft] of drafts) series.set(key, finished(draft));
  return {
    traces: sums.traceIds.length,
    requestNanos: meanRequestNanos(sums),
    series,
    instances: sums.instances,
  };
}

interface Draft extends Pick<Series, "kind" | "caller" | "callee" | "operation"> {
  readonly rows: { value: number; trace: number; request: number; caller: number; callee: number }[];
}

function addOwn(drafts: Map<string, Draft>, sums: VisitSums, { withFailed, byEntry }: SeriesOptions): void {
  const { visits, operations } = sums;
  for (const [row, value] of visits.ownNanos.entries()) {
    const at = operations[visits.operation[row] as number];
    if (at === undefined || Number.isNaN(value) || (!withFailed && visits.failed[row] === 1)) continue;
    const { service, operation } = at;
    const entry = byEntry ? entryOf(sums, row) : "";
    const names = { kind: "own", caller: service, callee: service, operation } as const;
    const instance = visits.instance[row] as number;
    const trace = visits.trace[row] as number;
    draftOf(drafts, names, entry).rows.push({
      value,
      trace,
      request: Number.NaN,
      caller: instance,
      callee: instance,
    });
  }
}

function addCalls(drafts: Map<string, Draft>, sums: VisitSums, { withFailed, byEntry }: SeriesOptions): void {
  const { visits, calls, callNames } = sums;
  for (const [row, value] of calls.nanos.entries()) {
    const names = callNames[calls.name[row] as number];
    if (names === undefined || Number.isNaN(value) || (!withFailed && calls.failed[row] === 1)) continue;
    const callerVisit = calls.callerVisit[row] as number;
    const entry = byEntry ? entryOf(sums, callerVisit) : "";
    draftOf(drafts, names, entry).rows.push({
      value,
      trace: visits.trace[callerVisit] as number,
      request: calls.requestNanos[row] as number,
      caller: visits.instance[callerVisit] as number,
      callee: visits.instance[calls.calleeVisit[row] as number] ?? -1,
    });
  }
}

function entryOf({ visits, operations }: VisitSums, row: number): string {
  const at = operations[visits.entry[row] as number];
  return at === undefined ? "" : `${at.service}\u0000${at.operation}`;
}

function draftOf(drafts: Map<string, Draft>, names: Omit<Draft, "rows">, entry: string): Draft {
  const { kind, caller, callee, operation } = names;
  const key = [kind, caller, callee, operation, entry].join("\u0000");
  const known = drafts.get(key);
  if (known !== undefined) return known;
  const draft = { kind, caller, callee, operation, rows: [] };
  drafts.set(key, draft);
  return draft;
}

function finished({ kind, caller, callee, operation, rows }: Draft): Series {
  const requestNanos = Float64Array.from(rows, ({ request }) => request);
  return {
    kind,
    caller,
    callee,
    operation,
    values: Float64Array.from(rows, ({ value }) => value),
    traces: Int32Array.from(rows, ({ trace }) => trace),
    requestNanos: requestNanos.some((nanos) => Number.isNaN(nanos)) ? null : requestNanos,
    callerInstances: Int32Array.from(rows, (row) => row.caller),
    calleeInstances: Int32Array.from(rows, (row) => row.callee),
  };
}

/** Over the visits that nobody of the trace called. */
function meanRequestNanos({ visits }: VisitSums): number {
  let sum = 0;
  let count = 0;
  for (const [row, parent] of visits.parent.entries()) {
    const nanos = visits.durationNanos[row] as number;
    if (parent >= 0 || Number.isNaN(nanos)) continue;
    sum += nanos;
    count += 1;
  }
  return count === 0 ? 0 : sum / count;
}
