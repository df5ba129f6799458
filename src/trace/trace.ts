import { type SpanId, spanIdFromWords, type TraceId } from "../model/ids.ts";
import type { Problem } from "../model/problems.ts";
import type { NodeNaming } from "../model/service-directory.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { UnixNanos } from "../model/time.ts";

/** One row of one table: how spans of a trace are handed to assembly, in any order and from any number of tables. */
export interface RowRef {
  readonly table: SpanTable;
  readonly row: number;
}

/**
 * A span as a node of its trace. Times are nanoseconds since `Trace.startTime`, exact, corrected for clock skew; the
 * times as sent are `start - clockShift` and `end - clockShift`.
 *
 *   Trace.startTime
 *   |----start---->[======= span =======]<-end
 */
export interface TraceSpan extends RowRef {
  /** position in `Trace.spans` */
  readonly index: number;
  /** as `Trace.naming` calls it */
  readonly service: string;
  /** which process of the service; "" = unknown */
  readonly instance: string;
  /** whose clock; "" = unknown */
  readonly host: string;
  /** the span's name */
  readonly operation: string;
  /** a `SpanKind`; unknown numbers are read as Internal */
  readonly kind: number;
  /** whether the work failed by the rules for span status and semantic conventions */
  readonly failed: boolean;
  /** index of the parent, -1 for a root; for a record that shares its span id with its caller's half, that half */
  readonly parent: number;
  /** a parent id was sent but no such span is there */
  readonly isOrphan: boolean;
  /** indices of the children, by start, then index */
  readonly children: readonly number[];
  readonly start: number;
  readonly end: number;
  /** no end was sent: `end` equals `start`, and the span counts in no latency */
  readonly isUnfinished: boolean;
  /**
   * how long it lasted says nothing of how fast it was: a connection that stays open (either half of the call), or local work
   * or a consumer that goes on for an hour
   */
  readonly isOpenEnded: boolean;
  /** what clock-skew correction added to start and end; 0 = none */
  readonly clockShift: number;
}

/** A clock that ran apart from its caller's: what was added to the times of all spans of a host (or, with no host known, service). */
export interface ClockOffset {
  /** host, or service where no host is known */
  readonly clock: string;
  readonly service: string;
  readonly shiftNanos: number;
}

/** By how much two clocks may differ, in nanoseconds: what to add to the callee's times so that every call fits. */
export interface ClockRange {
  /** above `high` where no one difference fits all calls */
  readonly low: number;
  readonly high: number;
}

/** What the calls of a trace say of the clocks that timed them. */
export interface ClockRanges {
  /** Null for two clocks that agree. */
  between(caller: TraceSpan, callee: TraceSpan): ClockRange | null;
}

/** Which one of the traces that share an id, by time. */
export interface Episode {
  /** from 1 */
  readonly number: number;
  readonly count: number;
}

/** One trace, put together from whatever spans arrived: any order, repeats, gaps and cycles are normal. */
export interface Trace {
  readonly traceId: TraceId;
  /** null = the only one with this id */
  readonly episode: Episode | null;
  /** how services and peers of this trace are named */
  readonly naming: NodeNaming;
  /** whether what programs say of their failures is shown without secrets */
  readonly redacts: boolean;
  /** the earliest start as sent; times of spans count from here */
  readonly startTime: UnixNanos;
  /** by start, then span id, then service, then kind: the same set of spans gives the same order */
  readonly spans: readonly TraceSpan[];
  /** spans that were left out, because there are more than are analysed */
  readonly omittedSpans: number;
  /** indices of spans without parent, orphans included, by start */
  readonly roots: readonly number[];
  /** how many requests of the population this one stands for, from the sampling threshold in `tracestate`; 1 = not sampled */
  readonly weight: number;
  readonly clockOffsets: readonly ClockOffset[];
  readonly clockRanges: ClockRanges;
  readonly problems: readonly Problem[];
}

/** Undefined for a root; what is not an index costs a lookup by name. */
export function parentOf<Span extends TraceSpan>(spans: readonly Span[], { parent }: Span): Span | undefined {
  return parent < 0 ? undefined : spans[parent];
}

/** Whether a span began the work of its service on the request: its parent, if there is one, belongs to another. */
export function isEntry({ spans }: Trace, span: TraceSpan): boolean {
  return parentOf(spans, span)?.service !== span.service;
}

export function spanIdOf({ table, row }: RowRef): SpanId {
  return spanIdFromWords(table.spanId[row * 2] as number, table.spanId[row * 2 + 1] as number);
}

/** Nanoseconds; 0 for an unfinished span. */
export function durationOf(span: TraceSpan): number {
  return span.end - span.start;
}
