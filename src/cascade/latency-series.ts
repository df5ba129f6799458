import { flagsOf, gather, gatherNumbers } from "../base/gather.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { sumOf } from "../base/sum.ts";
import { valuesPerSeriesMin } from "../model/scoring.ts";
import { requestsByTrace } from "./thinned-alike.ts";
import type { VisitSums } from "./visit-rollup.ts";
import type { StepName } from "./visits.ts";

/** Times of one thing that happened many times: own time of an operation, or what calls of one operation took. */
export interface Series {
  readonly kind: "own" | StepName["kind"];
  /** for own time, both are the service */
  readonly caller: string;
  readonly callee: string;
  /** of the callee; for a peer, the caller's words */
  readonly operation: string;
  /** in nanoseconds, in the order of `traces` */
  readonly values: Float64Array;
  /** places of traces in the order of their start */
  readonly traces: Int32Array;
  /** that one of the values stands for, on average */
  readonly requestsEach: number;
  /** of what calls lost, the time before the callee began, for calls that became slower; null where that is not measured */
  readonly requestNanos: () => Float64Array | null;
  /** by value, places in `LatencySide.instances`; -1 = unknown */
  readonly callerInstances: Int32Array;
  readonly calleeInstances: Int32Array;
}

/** The times of one window. */
export interface LatencySide {
  readonly traces: number;
  /** that all traces stand for */
  readonly requests: number;
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

/** The times of all visits and calls, by what they are of; of what happened too rarely to be compared, nothing. */
export function latencySideOf(sums: VisitSums, options: SeriesOptions): LatencySide {
  const { traceIds, instances } = sums;
  const standFor = requestsByTrace(sums);
  const meanOf = (traces: Int32Array): number => {
    let sum = 0;
    for (let i = 0; i < traces.length; i += 1) sum += standFor[traces[i] as number] as number;
    return sum / traces.length;
  };
  const series = new Map<string, Series>();
  for (const named of [ownSeries(sums, options), callSeries(sums, options)])
    for (const [key, times] of named) series.set(key, { ...times, requestsEach: meanOf(times.traces) });
  const requests = sumOf(standFor);
  return {
    traces: traceIds.length,
    requests,
    requestNanos: meanRequestNanos(sums, standFor),
    series,
    instances,
  };
}

type Times = Omit<Series, "requestsEach">;
type NamedSeries = readonly [key: string, times: Times];

function ownSeries(sums: VisitSums, { withFailed, byEntry }: SeriesOptions): readonly NamedSeries[] {
  const { visits, operations } = sums;
  const isCounted = (row: number): boolean =>
    !Number.isNaN(visits.ownNanos[row]) && (withFailed || visits.failed[row] === 0);
  const entryOf = byEntry ? (row: number) => visits.entry[row] as number : null;
  const { rows, groups } = groupRows({ name: visits.operation, entryOf, isCounted });
  const values = gatherNumbers(visits.ownNanos, rows);
  const traces = gather(visits.trace, rows);
  const instances = gather(visits.instance, rows);
  return groups.map(({ name, entry, from, to }) => {
    const { service, operation } = operations[name] as (typeof operations)[number];
    const own = instances.subarray(from, to);
    const series: Times = {
      kind: "own",
      caller: service,
      callee: service,
      operation,
      values: values.subarray(from, to),
      traces: traces.subarray(from, to),
      requestNanos: () => null,
      callerInstances: own,
      calleeInstances: own,
    };
    return [seriesKey(series, entryText(sums, entry)), series] as const;
  });
}

function callSeries(sums: VisitSums, { withFailed, byEntry }: SeriesOptions): readonly NamedSeries[] {
  const { visits, calls, callNames } = sums;
  const { callerVisit, calleeVisit } = calls;
  const isCounted = (row: number): boolean =>
    !Number.isNaN(calls.nanos[row]) && (withFailed || calls.failed[row] === 0);
  // a queue does not know where the requests came in whose messages wait in it
  const isMessage = flagsOf(callNames, ({ kind }) => kind === "message");
  const entryOf = byEntry
    ? (row: number) =>
        isMessage[calls.name[row] as number] === 1 ? -1 : (visits.entry[callerVisit[row] as number] as number)
    : null;
  const { rows, groups } = groupRows({ name: calls.name, entryOf, isCounted });
  const callers = gather(callerVisit, rows);
  const values = gatherNumbers(calls.nanos, rows);
  const traces = gather(visits.trace, callers);
  const callerInstances = gather(visits.instance, callers);
  const calleeInstances = gather(visits.instance, gather(calleeVisit, rows), -1);
  return groups.map(({ name, entry, from, to }) => {
    const { kind, caller, callee, operation } = callNames[name] as (typeof callNames)[number];
    const series: Times = {
      kind,
      caller,
      callee,
      operation,
      values: values.subarray(from, to),
      traces: traces.subarray(from, to),
      requestNanos: () => {
        const nanos = gatherNumbers(calls.requestNanos, rows.subarray(from, to));
        return nanos.includes(Number.NaN) ? null : nanos;
      },
      callerInstances: callerInstances.subarray(from, to),
      calleeInstances: calleeInstances.subarray(from, to),
    };
    return [seriesKey(series, entryText(sums, entry)), series] as const;
  });
}

/** Rows of one thing; they stand from one place to before another. */
interface Group {
  readonly name: number;
  /** -1 = of any */
  readonly entry: number;
  readonly from: number;
  readonly to: number;
}

/**
 * The rows that count, by name (and entry), where there are enough to be compared. All stand in one column, each group in the
 * order of rows: a column for each of thousands of groups takes several times as long.
 */
function groupRows({
  name,
  entryOf,
  isCounted,
}: {
  readonly name: Int32Array;
  readonly entryOf: ((row: number) => number) | null;
  readonly isCounted: (row: number) => boolean;
}): { readonly rows: Int32Array; readonly groups: readonly Group[] } {
  const pairs = new PairInterner();
  const groupOf = new Int32Array(name.length).fill(-1);
  const sizes: number[] = [];
  for (let row = 0; row < name.length; row += 1) {
    if (!isCounted(row)) continue;
    const group = pairs.idOf(name[row] as number, entryOf === null ? 0 : entryOf(row) + 1);
    groupOf[row] = group;
    if (group === sizes.length) sizes.push(0);
    sizes[group] = (sizes[group] as number) + 1;
  }
  const groups: Group[] = [];
  // of each group the place of its next row, -1 = too few
  const next = new Int32Array(sizes.length).fill(-1);
  let end = 0;
  for (const [group, size] of sizes.entries()) {
    if (size < valuesPerSeriesMin) continue;
    next[group] = end;
    groups.push({
      name: pairs.firstAt(group),
      entry: pairs.secondAt(group) - 1,
      from: end,
      to: end + size,
    });
    end += size;
  }
  const rows = new Int32Array(end);
  for (let row = 0; row < name.length; row += 1) {
    const group = groupOf[row] as number;
    const at = group < 0 ? -1 : (next[group] as number);
    if (at < 0) continue;
    rows[at] = row;
    next[group] = at + 1;
  }
  return { rows, groups };
}

function seriesKey({ kind, caller, callee, operation }: Times, entry: string): string {
  return [kind, caller, callee, operation, entry].join("\u0000");
}

function entryText({ operations }: VisitSums, entry: number): string {
  const at = operations[entry];
  return at === undefined ? "" : `${at.service}\u0000${at.operation}`;
}

/** Over the visits that nobody of the trace called. */
function meanRequestNanos({ visits }: VisitSums, standFor: Float64Array): number {
  let sum = 0;
  let count = 0;
  for (let row = 0; row < visits.parent.length; row += 1) {
    const nanos = visits.durationNanos[row] as number;
    if ((visits.parent[row] as number) >= 0 || Number.isNaN(nanos)) continue;
    const requests = standFor[visits.trace[row] as number] as number;
    sum += nanos * requests;
    count += requests;
  }
  return count === 0 ? 0 : sum / count;
}
