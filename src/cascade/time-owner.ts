import { SpanKind } from "../model/span-table.ts";
import { peerOf, remoteChild } from "../trace/peers.ts";
import type { Trace, TraceSpan } from "../trace/trace.ts";
import type { Edge } from "./candidate.ts";

/** Who answers for time that a span spends itself. */
export interface TimeOwner {
  readonly service: string;
  readonly isPeer: boolean;
  readonly kind: "latency" | "network";
  readonly edge: Edge | null;
}

/**
 * Who answers for the time that a span spends itself: its service, or for a call the far side. For a call that a service
 * with spans answered, it is the connection between the two, and only as long as nothing else is known its callee.
 */
export function ownerOf(trace: Trace, span: TraceSpan): TimeOwner {
  const own = { service: span.service, isPeer: false, kind: "latency", edge: null } as const;
  if (span.kind !== SpanKind.Client && !isUnmarkedCall(trace, span)) return own;
  const answering = remoteChild(trace, span);
  if (answering !== undefined && answering.service !== span.service)
    return {
      service: answering.service,
      isPeer: false,
      kind: "network",
      edge: { caller: span.service, callee: answering.service },
    };
  const peer = span.children.length === 0 ? peerOf(trace, span) : null;
  if (peer === null) return own;
  const edge = { caller: span.service, callee: peer.name };
  return { service: peer.name, isPeer: true, kind: "latency", edge };
}

/** Local work that does nothing but have another service work is the call to it, where senders do not mark kinds. */
function isUnmarkedCall(trace: Trace, { kind, service, parent, children }: TraceSpan): boolean {
  const [only, ...others] = children;
  return (
    kind === SpanKind.Internal &&
    others.length === 0 &&
    only !== undefined &&
    (trace.spans[only] as TraceSpan).service !== service &&
    trace.spans[parent]?.service === service
  );
}
