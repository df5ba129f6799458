import type { ComparedMinutesLimits } from "../analysis/compared-minutes.ts";
import { servicesMax, traceSpansMax } from "../model/limits.ts";

/** Every capacity of the live engine: what it bounds and what happens to what does not fit. All are configurable. */
export interface EngineLimits extends ComparedMinutesLimits {
  /** Spans of one trace that are analysed; more are counted, and the report says so. */
  readonly traceSpansMax: number;
  /** Whether what programs say of their failures is shown without secrets. */
  readonly redacts: boolean;
  /** Services and peers that graph, metrics and reports tell apart; those of more share one name. */
  readonly servicesMax: number;
  /** A trace that starts further ahead of its arrival is found at the time of its arrival. */
  readonly clockApartMsMax: number;
  /** A trace is complete when nothing has arrived for it for this long. */
  readonly idleMs: number;
  /** A trace that never falls silent is folded at least this often. */
  readonly openAgeMsMax: number;
  /** Traces waiting to be folded. From 3/4 of it on the longest waiting are folded early; above it senders are asked to wait. */
  readonly openTracesMax: number;
  /** Traces of which it is remembered what they have added to graph and metrics; the oldest are forgotten, counted. */
  readonly traceStatesMax: number;
  /** Minutes of graph, metrics and comparisons that are kept; older ones go, counted. */
  readonly minutesMax: number;
  /** What they may take in memory, roughly; above it the oldest minutes go, counted. */
  readonly historyBytesMax: number;
  /** Heap and buffers of the whole process; from four fifths of it on things are given back, above it senders are asked to wait. */
  readonly memoryBytesMax: number;
  /** When folding is this late, senders wait for their acknowledgement until as many traces are folded as they brought, and some more. */
  readonly lateMsMax: number;
  /** Bytes handed over and not yet safe in the store; above it senders are asked to wait. */
  readonly ingestBytesMax: number;
  /** Windows of graph and metrics kept ready for reports; the least recently used goes. */
  readonly windowCacheMax: number;
  /** How old a kept window may be while new traces keep coming in; one that lacks the asked trace is never used. */
  readonly windowAgeMsMax: number;
  /** How often the server looks how much memory it holds. */
  readonly memoryLookMs: number;
  /** How often the server looks whether something has gone wrong. */
  readonly incidentLookMs: number;
  /** An incident is over when nothing has been worse than usual for this long. */
  readonly incidentQuietMs: number;
  /** Incidents that are kept with their report; the oldest that is over goes first. */
  readonly incidentsMax: number;
  /** Incidents that were over so long ago go too. */
  readonly incidentAgeMsMax: number;
  /** Waiting traces that one search or graph request folds before it answers; the rest follow in their own time. */
  readonly foldOnQueryMax: number;
  /** Work that takes long gives way to others after this long. */
  readonly sliceMs: number;
  /** How long a stop waits for folding. */
  readonly drainMsMax: number;
}

export const defaultEngineLimits: EngineLimits = {
  traceSpansMax,
  redacts: true,
  servicesMax,
  clockApartMsMax: 3_600_000,
  idleMs: 2_000,
  openAgeMsMax: 30_000,
  openTracesMax: 500_000,
  traceStatesMax: 1_000_000,
  minutesMax: 360,
  historyBytesMax: 512 * 1024 * 1024,
  memoryBytesMax: 512 * 1024 * 1024,
  lateMsMax: 1_000,
  ingestBytesMax: 256 * 1024 * 1024,
  windowCacheMax: 32,
  windowAgeMsMax: 1_000,
  minuteVisitsMax: 5_000,
  minuteLogLinesMax: 5_000,
  metricPointsMax: 1_000_000,
  windowVisitsMax: 10_000,
  memoryLookMs: 200,
  incidentLookMs: 10_000,
  incidentQuietMs: 180_000,
  incidentsMax: 200,
  incidentAgeMsMax: Number.POSITIVE_INFINITY,
  foldOnQueryMax: 2_000,
  sliceMs: 10,
  drainMsMax: 4_000,
};
