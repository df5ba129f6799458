import { sumOf } from "../base/sum.ts";
import { slowedMin } from "../model/scoring.ts";
import { entryKey } from "./blame.ts";
import { requestsByTrace } from "./thinned-alike.ts";
import type { VisitSums } from "./visit-rollup.ts";
import { WaitFinder, type WaitQuestion, type Waits } from "./waits.ts";
import { Occurrences, OncePerTrace, StepSums, stepKey } from "./way-sums.ts";

/** Who waited longer because of one service, in one window; each counts once a trace. */
export interface SlowedSums {
  /** traces in which anybody did */
  readonly traces: number;
  /** that they stand for */
  readonly requests: number;
  /** by `stepKey`: `slow`, and `queue_lag` for messages */
  readonly steps: ReadonlyMap<string, StepSums>;
  /** by service */
  readonly hit: ReadonlyMap<string, Occurrences>;
  /** by `entryKey` */
  readonly entries: ReadonlyMap<string, SlowedEntry>;
}

/** Requests that came in at one operation. */
interface SlowedEntry {
  /** finished ones */
  readonly requests: number;
  /** of them, slower because of the cause, though they did not fail */
  readonly slowed: number;
  /** what it cost them on average, whether it shows in a single one or not */
  readonly addedNanos: number;
}

/** Both windows by the same measure. */
export function slowedBy(question: WaitQuestion): {
  readonly before: SlowedSums;
  readonly after: SlowedSums;
} {
  const finder = new WaitFinder(question);
  const slowedOf = (sums: VisitSums): SlowedSums => slowedIn(sums, finder.find(sums));
  return { before: slowedOf(question.before), after: slowedOf(question.after) };
}

function slowedIn(sums: VisitSums, waits: Waits): SlowedSums {
  const standFor = requestsByTrace(sums);
  const hit = hitIn(sums, { waits, standFor });
  const steps = stepsIn(sums, { waits, standFor });
  const traces = new Set([...hit.traces, ...steps.traces]);
  return {
    traces: traces.size,
    requests: sumOf(Array.from(traces, (trace) => standFor[trace] as number)),
    steps: steps.steps,
    hit: hit.services,
    entries: entriesIn(sums, waits),
  };
}

interface ThinnedWaits {
  readonly waits: Waits;
  /** by trace */
  readonly standFor: Float64Array;
}

function hitIn(
  sums: VisitSums,
  { waits: { visitExcess }, standFor }: ThinnedWaits,
): { readonly services: ReadonlyMap<string, Occurrences>; readonly traces: ReadonlySet<number> } {
  const { visits, operations, traceMinutes } = sums;
  const services = new OncePerTrace<Occurrences>();
  const traces = new Set<number>();
  for (let row = 0; row < visits.operation.length; row += 1) {
    if (!isSlowed(visits, row, visitExcess[row] as number)) continue;
    const trace = visits.trace[row] as number;
    const { service } = operations[visits.operation[row] as number] as (typeof operations)[number];
    traces.add(trace);
    services.add(service, {
      trace,
      minute: traceMinutes[trace] as number,
      requests: standFor[trace] as number,
      make: () => new Occurrences(),
    });
  }
  return { services: services.counts, traces };
}

function stepsIn(
  { visits, calls, callNames, traceMinutes }: VisitSums,
  { waits: { callExcess }, standFor }: ThinnedWaits,
): { readonly steps: ReadonlyMap<string, StepSums>; readonly traces: ReadonlySet<number> } {
  const steps = new OncePerTrace<StepSums>();
  const traces = new Set<number>();
  const keys = callNames.map((name) => stepKey(name, mechanismOf(name)));
  for (let row = 0; row < calls.name.length; row += 1) {
    const excess = callExcess[row] as number;
    if (excess <= slowedMin.nanos || calls.failed[row] !== 0) continue;
    const place = calls.name[row] as number;
    const name = callNames[place] as (typeof callNames)[number];
    const nanos = name.kind === "message" ? calls.nanos[row] : calls.waitedNanos[row];
    if (!isNoticed(excess, nanos as number) || name.caller === name.callee) continue;
    const trace = visits.trace[calls.callerVisit[row] as number] as number;
    traces.add(trace);
    const [minute, requests] = [traceMinutes[trace] as number, standFor[trace] as number];
    steps.add(keys[place] as string, {
      trace,
      minute,
      requests,
      make: () => new StepSums(name, mechanismOf(name)),
    });
  }
  return { steps: steps.counts, traces };
}

function entriesIn(
  sums: VisitSums,
  { visitExcess, visitDeviation }: Waits,
): ReadonlyMap<string, SlowedEntry> {
  const { visits, operations } = sums;
  const entries: ({ requests: number; slowed: number; nanos: number } | undefined)[] = operations.map(
    () => undefined,
  );
  for (let row = 0; row < visits.operation.length; row += 1) {
    if ((visits.parent[row] as number) >= 0 || Number.isNaN(visits.durationNanos[row])) continue;
    const place = visits.operation[row] as number;
    const entry = entries[place] ?? { requests: 0, slowed: 0, nanos: 0 };
    entries[place] = entry;
    entry.requests += 1;
    if (isSlowed(visits, row, visitExcess[row] as number)) entry.slowed += 1;
    // whole numbers, so that the sum is the same in whatever order the visits come
    entry.nanos += Math.round(visitDeviation[row] as number);
  }
  return new Map(
    operations.flatMap(({ service, operation }, place) => {
      const entry = entries[place];
      if (entry === undefined) return [];
      const { requests, slowed, nanos } = entry;
      return [[entryKey(service, operation), { requests, slowed, addedNanos: nanos / requests }] as const];
    }),
  );
}

function mechanismOf({ kind }: VisitSums["callNames"][number]): "queue_lag" | "slow" {
  return kind === "message" ? "queue_lag" : "slow";
}

/** What failed is told of as failed. */
function isSlowed(visits: VisitSums["visits"], row: number, excess: number): boolean {
  return visits.answerFailed[row] === 0 && isNoticed(excess, visits.durationNanos[row] as number);
}

/** Whether what took so long would have been clearly shorter without the excess. */
function isNoticed(excess: number, nanos: number): boolean {
  return excess > slowedMin.nanos && excess > slowedMin.share * (nanos - excess);
}
