import { mapEntry } from "../base/map-entry.ts";
import { NANOS_PER_SECOND } from "../model/time.ts";
import type { TraceVisits, Visit } from "./visits.ts";

/** What the rankers compare of one side of a case. */
export interface WindowFigures {
  readonly traces: readonly TraceVisits[];
  /** names of all services and peers, sorted */
  readonly services: readonly string[];
  readonly ofService: ReadonlyMap<string, readonly Visit[]>;
  /** by service and operation */
  readonly ofOperation: ReadonlyMap<string, readonly Visit[]>;
  /** the time between caller and callee of each call whose two sides were seen, by edge */
  readonly gaps: ReadonlyMap<string, EdgeGaps>;
  /** by service, what each slice of time showed; slices without any trace are left out */
  readonly series: ReadonlyMap<string, readonly SliceFigures[]>;
  /** CPU as a share of its limit, by service that sent it */
  readonly cpu: ReadonlyMap<string, number>;
  /** records of severity ERROR or worse, by service */
  readonly errorLogs: ReadonlyMap<string, number>;
  /** caller -> callees in the order of their first call, callers in the order of their first request */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
}

interface EdgeGaps {
  readonly caller: string;
  readonly callee: string;
  readonly gaps: number[];
}

/** One service in one slice of time. */
export interface SliceFigures {
  /** per trace: one side may hold a thinner sample than the other */
  readonly requests: number;
  /** 0..1, of the requests */
  readonly errorRatio: number;
  /** nanoseconds; 0 where there was no request */
  readonly latencyMean: number;
}

/** What does not come from traces. */
export type SideFigures = Pick<WindowFigures, "cpu" | "errorLogs" | "dependencies">;

/** Both sides of a case; the baseline may have no traces. */
export interface CaseFigures {
  readonly incident: WindowFigures;
  readonly baseline: WindowFigures;
}

/** Long enough for some requests of a busy service, short enough that an incident of a minute has several. */
const sliceNanos = BigInt(10 * NANOS_PER_SECOND);

export function figuresOf(traces: readonly TraceVisits[], side: SideFigures): WindowFigures {
  const ofService = new Map<string, Visit[]>();
  const ofOperation = new Map<string, Visit[]>();
  const gaps = new Map<string, EdgeGaps>();
  for (const { visits } of traces)
    for (const visit of visits) {
      mapEntry(ofService, visit.service, () => []).push(visit);
      mapEntry(ofOperation, operationKey(visit), () => []).push(visit);
      const caller = visits[visit.caller];
      if (caller === undefined || visit.gap === 0) continue;
      const key = `${caller.service}\u0000${visit.service}`;
      const edge = gaps.get(key) ?? { caller: caller.service, callee: visit.service, gaps: [] };
      edge.gaps.push(visit.gap);
      gaps.set(key, edge);
    }
  const services = [...ofService.keys()].sort();
  return { traces, services, ofService, ofOperation, gaps, series: seriesOf(traces, services), ...side };
}

export function operationKey({ service, operation }: Pick<Visit, "service" | "operation">): string {
  return `${service}\u0000${operation}`;
}

export function serviceOfKey(key: string): string {
  return key.slice(0, key.indexOf("\u0000"));
}

/** A visit counts in the slice in which its trace started: then no slice sees a part of a request. */
function seriesOf(
  traces: readonly TraceVisits[],
  services: readonly string[],
): ReadonlyMap<string, readonly SliceFigures[]> {
  const slices = new Map<bigint, Slice>();
  for (const { startTime, visits } of traces) {
    const slice = slices.get(startTime / sliceNanos) ?? { traces: 0, sums: new Map() };
    slices.set(startTime / sliceNanos, slice);
    slice.traces += 1;
    for (const { service, failed, start, end } of visits) {
      const sums = slice.sums.get(service) ?? { requests: 0, failed: 0, nanos: 0 };
      sums.requests += 1;
      sums.failed += failed ? 1 : 0;
      sums.nanos += end - start;
      slice.sums.set(service, sums);
    }
  }
  const inOrder = [...slices].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slice]) => slice);
  return new Map(services.map((service) => [service, inOrder.map((slice) => figuresIn(slice, service))]));
}

interface Slice {
  traces: number;
  readonly sums: Map<string, { requests: number; failed: number; nanos: number }>;
}

function figuresIn({ traces, sums }: Slice, service: string): SliceFigures {
  const { requests, failed, nanos } = sums.get(service) ?? { requests: 0, failed: 0, nanos: 0 };
  const per = Math.max(1, requests);
  return { requests: requests / traces, errorRatio: failed / per, latencyMean: nanos / per };
}
