import type { TraceId } from "../model/ids.ts";
import type { MinuteTime } from "../model/time.ts";

/** What stands at the far end of a call. */
export type NodeKind = "service" | "database" | "messaging" | "external" | "unknown";

/**
 * How a call was seen: `sync` and `async` = the callee's entry span is there; `inferred` = from the caller's side only
 * (or, between a producer, its destination and a consumer, the hops by way of the destination).
 */
export type CallKind = "sync" | "async" | "inferred";

/** One request that a service received: its entry span, or for a peer without spans of its own the span that called it. */
export interface Entry {
  readonly service: string;
  readonly operation: string;
  readonly nodeKind: NodeKind;
  /** no span of the service itself stands behind it */
  readonly isInferred: boolean;
  /** index in `Trace.spans` */
  readonly span: number;
  readonly startTime: MinuteTime;
  /** null for an unfinished span */
  readonly durationNanos: number | null;
  readonly failed: boolean;
  /** the callee could not be reached at all: refused, DNS, UNAVAILABLE, connect timeout; the message, else null */
  readonly unreachable: string | null;
  /** timeouts and rate-limit answers (HTTP 429, RESOURCE_EXHAUSTED) as the caller saw them */
  readonly timedOut: boolean;
  readonly rateLimited: boolean;
  readonly weight: number;
}

/** One call across an edge of the graph. Client and server side are kept apart; a side that was not seen is null. */
export interface Call {
  readonly caller: string;
  readonly callerKind: NodeKind;
  readonly callee: string;
  readonly calleeKind: NodeKind;
  readonly kind: CallKind;
  readonly operation: string;
  readonly startTime: MinuteTime;
  readonly client: CallSide | null;
  readonly server: CallSide | null;
  /** the callee found the request wrong (a 404) and counts no failure of its own: no error of the call, though its caller failed */
  readonly isRefused?: boolean;
  readonly weight: number;
}

export interface CallSide {
  /** index in `Trace.spans`; -1 = a span of another trace (reached over a link) */
  readonly span: number;
  readonly durationNanos: number | null;
  readonly failed: boolean;
}

/** A link to a span that is not in this trace: becomes an asynchronous call once the span is known. */
export interface OpenLink {
  readonly traceId: TraceId;
  /** 16 hex digits */
  readonly spanId: string;
  /** the span that carries the link */
  readonly span: number;
  readonly service: string;
  readonly operation: string;
  /** the destination that the linking consumer itself names (`system:destination`), else null */
  readonly destination: string | null;
  readonly startTime: MinuteTime;
  readonly durationNanos: number | null;
  readonly failed: boolean;
  readonly weight: number;
}

/** What one trace adds to graph and metrics. */
export interface TraceCalls {
  readonly traceId: TraceId;
  readonly entries: readonly Entry[];
  readonly calls: readonly Call[];
  readonly openLinks: readonly OpenLink[];
}

/** The span that an open link turned out to point at. */
export interface LinkTarget {
  readonly service: string;
  /** the destination that the span sent a message to, else null */
  readonly destination: string | null;
  readonly durationNanos: number | null;
  readonly failed: boolean;
}
