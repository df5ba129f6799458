import { SpanKind } from "../model/span-table.ts";
import { laterBy, type MinuteTime, minuteTimeOf } from "../model/time.ts";
import type { Call, CallSide, Entry, LinkTarget, OpenLink, TraceCalls } from "./calls.ts";
import { linksOf } from "./links.ts";
import { type NamedPeer, peerOf } from "./peers.ts";
import { type SpanError, semanticsOf } from "./semantics.ts";
import { shownErrorOf } from "./shown-error.ts";
import { isRejection } from "./span-error.ts";
import { isEntry, parentOf, type Trace, type TraceSpan } from "./trace.ts";

/**
 * The requests that services received in a trace, and the calls between them. Found in the tree: a span whose parent
 * belongs to another service was called by that service, whatever the kinds say; spans of one service between its request
 * and its calls do not matter. A call that no span answers goes to the peer that the calling span describes.
 *
 *   web     [============]
 *     web     [========]        client: nobody answers in `cart`? then a call to what its attributes name
 *       cart    [====]          entry of `cart`: a call web -> cart with both sides
 */
export function callsOf(trace: Trace): TraceCalls {
  return callsBetween(walkOf(trace), 0, trace.spans.length);
}

/** Spans whose calls are found together: few enough to be forgotten soon, and no less than the small columns are for. */
const partSpans = 1024;

/**
 * The same in parts: who only adds calls up need not hold those of a huge trace all at once, which take more memory than its
 * spans do.
 */
export function* callsInParts(trace: Trace): Iterable<TraceCalls> {
  const walk = walkOf(trace);
  for (let from = 0; from < trace.spans.length; from += partSpans)
    yield callsBetween(walk, from, Math.min(from + partSpans, trace.spans.length));
}

/** What the spans from `from` to `to` - 1 show. */
function callsBetween(walk: Walk, from: number, to: number): TraceCalls {
  const { trace } = walk;
  walk.entries = [];
  walk.calls = [];
  walk.openLinks = [];
  for (let i = from; i < to; i += 1) {
    const span = trace.spans[i] as TraceSpan;
    const parent = parentOf(trace.spans, span);
    if (isEntry(trace, span)) addEntry(walk, span, parent);
    let source: NamedPeer | null = null;
    if (isOutgoing(span)) source = addOutgoing(walk, span);
    else if (span.kind === SpanKind.Consumer) source = addConsumer(walk, span, parent);
    if (span.table.linkStart[span.row] !== span.table.linkEnd[span.row]) addLinks(walk, span, source);
  }
  const { entries, calls, openLinks } = walk;
  return { traceId: trace.traceId, entries, calls, openLinks };
}

/** The asynchronous calls that a link to another trace stands for, now that its target is known. */
export function callsOfLink(link: OpenLink, target: LinkTarget): readonly Call[] {
  const { service, operation, startTime, weight, durationNanos, failed } = link;
  const server = { span: link.span, durationNanos, failed };
  const shared = {
    callee: service,
    calleeKind: "service",
    operation,
    startTime,
    server,
    isRefused: false,
    weight,
  } as const;
  const calls: Call[] = [];
  if (target.service !== service)
    calls.push({
      ...shared,
      caller: target.service,
      callerKind: "service",
      kind: "async",
      client: { span: -1, durationNanos: target.durationNanos, failed: target.failed },
    });
  if (link.destination === null && target.destination !== null)
    calls.push({
      ...shared,
      caller: target.destination,
      callerKind: "messaging",
      kind: "inferred",
      client: null,
    });
  return calls;
}

/** A span as links of other traces see it. */
export function linkTargetOf(trace: Trace, span: TraceSpan): LinkTarget {
  const { service, failed } = span;
  const durationNanos = durationNanosOf(span);
  return { service, destination: destinationOf(trace, span)?.name ?? null, durationNanos, failed };
}

/** A span of the same service that calls is below (1), one that answers is below (2). */
const callBelow = 1;
const answerBelow = 2;

interface Walk {
  readonly trace: Trace;
  readonly startTime: MinuteTime;
  /** the span that a call from here leaves its service by (client or producer, over local spans), -1 = none was seen */
  readonly outgoing: Int32Array;
  /** `callBelow`, `answerBelow` */
  readonly below: Uint8Array;
  /** what the spans that are looked at have shown so far */
  entries: Entry[];
  calls: Call[];
  openLinks: OpenLink[];
}

/** Columns of the walk through a small trace: making them anew for each would cost more than filling them. */
const smallOutgoing = new Int32Array(256);
const smallBelow = new Uint8Array(256);

function walkOf(trace: Trace): Walk {
  const { spans } = trace;
  const isSmall = spans.length <= smallOutgoing.length;
  const outgoing = isSmall ? smallOutgoing : new Int32Array(spans.length);
  const below = isSmall ? smallBelow : new Uint8Array(spans.length);
  outgoing.fill(-1, 0, spans.length);
  below.fill(0, 0, spans.length);
  const order = topDown(trace);
  for (const span of order) {
    const parent = parentOf(spans, span);
    if (isOutgoing(span)) outgoing[span.index] = span.index;
    else if (parent?.service === span.service && span.kind === SpanKind.Internal)
      outgoing[span.index] = outgoing[parent.index] as number;
  }
  for (let i = order.length - 1; i >= 0; i -= 1) {
    const span = order[i] as TraceSpan;
    const { index, service, kind } = span;
    const parent = parentOf(spans, span);
    if (parent === undefined) continue;
    const isAnswer = service !== parent.service || kind === SpanKind.Server || kind === SpanKind.Consumer;
    const isCall = kind === SpanKind.Client || kind === SpanKind.Producer;
    const add = isAnswer ? answerBelow : isCall ? callBelow : (below[index] as number);
    below[parent.index] = (below[parent.index] as number) | add;
  }
  const startTime = minuteTimeOf(trace.startTime);
  return { trace, startTime, outgoing, below, entries: [], calls: [], openLinks: [] };
}

/** All spans, parents before children: mostly the order that they are in. */
function topDown({ spans, roots }: Trace): readonly TraceSpan[] {
  let isTopDown = true;
  for (const { parent, index } of spans) if (parent > index) isTopDown = false;
  if (isTopDown) return spans;
  const order = roots.map((index) => spans[index] as TraceSpan);
  for (let i = 0; i < order.length; i += 1)
    for (const child of (order[i] as TraceSpan).children) order.push(spans[child] as TraceSpan);
  return order;
}

function isOutgoing({ kind }: TraceSpan): boolean {
  return kind === SpanKind.Client || kind === SpanKind.Producer;
}

/** A request that a service received, and the call that brought it. */
function addEntry(walk: Walk, span: TraceSpan, parent: TraceSpan | undefined): void {
  const { trace, outgoing, entries, calls } = walk;
  const client = parent === undefined ? undefined : trace.spans[outgoing[parent.index] as number];
  const seenBy = client ?? span;
  const startTime = startTimeOf(walk, span);
  entries.push({
    service: span.service,
    operation: span.operation,
    nodeKind: "service",
    isInferred: false,
    span: span.index,
    startTime,
    durationNanos: durationNanosOf(span),
    failed: span.failed,
    unreachable: null,
    timedOut: errorOf(seenBy)?.kind === "timeout",
    rateLimited: wasRateLimited(seenBy),
    weight: weightOf(trace, span),
  });
  if (parent === undefined) return;
  const isMessage = span.kind === SpanKind.Consumer || (client ?? parent).kind === SpanKind.Producer;
  calls.push({
    caller: parent.service,
    callerKind: "service",
    callee: span.service,
    calleeKind: "service",
    kind: isMessage ? "async" : "sync",
    operation: span.operation,
    startTime,
    client: client === undefined ? null : sideOf(client),
    server: sideOf(span),
    isRefused: !span.failed && client !== undefined && wasRejected(client),
    weight: weightOf(trace, span),
  });
}

/** A call that leaves the service; answers the destination that it fetched a message from, if that is what it did. */
function addOutgoing(walk: Walk, span: TraceSpan): NamedPeer | null {
  const { trace } = walk;
  const below = walk.below[span.index] as number;
  if ((below & callBelow) !== 0) return null;
  const peer = peerOf(trace, span);
  if (peer?.kind === "messaging") {
    const semantics = semanticsOf(span.table);
    if (semantics.receives(span.row)) {
      addFromDestination(walk, span, peer.name);
      return peer;
    }
    if (semantics.sendsNothing(span.row)) return null;
  }
  const isAnswered = (below & answerBelow) !== 0;
  if (isAnswered && (span.kind === SpanKind.Client || peer?.kind !== "messaging")) return null;
  addPeerCall(walk, span, outerPeer(walk, span, peer) ?? unknownPeer(walk, span));
  return null;
}

/** A client library may call over another one: what the outer span names (a database, a service) says more than an address. */
function outerPeer({ trace, outgoing }: Walk, span: TraceSpan, peer: NamedPeer | null): NamedPeer | null {
  if (peer !== null && peer.kind !== "external") return peer;
  const parent = parentOf(trace.spans, span);
  if (parent === undefined || parent.service !== span.service) return peer;
  const outer = trace.spans[outgoing[parent.index] as number];
  const named = outer === undefined ? null : peerOf(trace, outer);
  return named === null || (peer !== null && named.kind === "external") ? peer : named;
}

function unknownPeer({ trace }: Walk, span: TraceSpan): NamedPeer {
  return { name: trace.naming.nameOfUnknownPeer(span.service), kind: "unknown" };
}

function addPeerCall(walk: Walk, span: TraceSpan, { name, kind }: NamedPeer): void {
  if (name === span.service) return;
  const { trace, entries, calls } = walk;
  const startTime = startTimeOf(walk, span);
  const durationNanos = durationNanosOf(span);
  const error = span.failed ? shownErrorOf(trace, span) : null;
  const { failed, operation, index } = span;
  const weight = weightOf(trace, span);
  entries.push({
    service: name,
    operation,
    nodeKind: kind,
    isInferred: true,
    span: index,
    startTime,
    durationNanos,
    failed,
    unreachable: error?.kind === "unreachable" ? error.message || error.type : null,
    timedOut: error?.kind === "timeout",
    rateLimited: wasRateLimited(span),
    weight,
  });
  calls.push({
    caller: span.service,
    callerKind: "service",
    callee: name,
    calleeKind: kind,
    kind: "inferred",
    operation,
    startTime,
    client: { span: index, durationNanos, failed },
    server: null,
    isRefused: false,
    weight,
  });
}

/** The hop from a destination to its consumer, unless the span only works on what another one of the service fetched. */
function addConsumer(walk: Walk, span: TraceSpan, parent: TraceSpan | undefined): NamedPeer | null {
  const { trace, outgoing } = walk;
  const isLocal = parent?.service === span.service;
  if (isLocal && (parent.kind === SpanKind.Consumer || parent.kind === SpanKind.Client)) return null;
  const producer = trace.spans[outgoing[parent?.index ?? -1] ?? -1];
  const destination =
    destinationOf(trace, span) ?? (producer === undefined ? null : destinationOf(trace, producer));
  if (destination !== null) addFromDestination(walk, span, destination.name);
  return destination;
}

function addFromDestination(walk: Walk, span: TraceSpan, destination: string): void {
  walk.calls.push({
    caller: destination,
    callerKind: "messaging",
    callee: span.service,
    calleeKind: "service",
    kind: "inferred",
    operation: span.operation,
    startTime: startTimeOf(walk, span),
    client: null,
    server: sideOf(span),
    isRefused: false,
    weight: weightOf(walk.trace, span),
  });
}

/** Links make a span the callee of what they point at; `source` is the destination that the span itself names. */
function addLinks(walk: Walk, span: TraceSpan, source: NamedPeer | null): void {
  const { trace, calls, openLinks } = walk;
  const parent = parentOf(trace.spans, span);
  const startTime = startTimeOf(walk, span);
  const server = sideOf(span);
  let destination = source?.name ?? null;
  for (const link of linksOf(trace, span)) {
    const { target } = link;
    if (target === null) {
      const { traceId, spanId } = link;
      const { service, operation, index } = span;
      const { durationNanos, failed } = server;
      openLinks.push({
        traceId,
        spanId,
        span: index,
        service,
        operation,
        destination,
        startTime,
        durationNanos,
        failed,
        weight: weightOf(trace, span),
      });
      continue;
    }
    if (target === parent || (parent !== undefined && walk.outgoing[parent.index] === target.index)) continue;
    if (target.service !== span.service)
      calls.push({
        caller: target.service,
        callerKind: "service",
        callee: span.service,
        calleeKind: "service",
        kind: "async",
        operation: span.operation,
        startTime,
        client: sideOf(target),
        server,
        isRefused: false,
        weight: weightOf(trace, span),
      });
    const sentTo = destination === null ? destinationOf(trace, target) : null;
    if (sentTo === null) continue;
    addFromDestination(walk, span, sentTo.name);
    destination = sentTo.name;
  }
}

/** Where a message was sent to or came from, by the span that did it; null for any other span. */
function destinationOf(trace: Trace, span: TraceSpan): NamedPeer | null {
  const peer = peerOf(trace, span);
  return peer?.kind === "messaging" ? peer : null;
}

function sideOf(span: TraceSpan): CallSide {
  return { span: span.index, durationNanos: durationNanosOf(span), failed: span.failed };
}

/** How long one of the requests that a span stands for took; null where that says nothing. */
export function durationNanosOf(span: TraceSpan): number | null {
  if (span.isUnfinished || span.isOpenEnded) return null;
  const semantics = semanticsOf(span.table);
  return semantics.isSummary(span.row) ? semantics.summaryMeanNanosOf(span.row) : span.end - span.start;
}

/** How many requests or calls a span stands for. */
function weightOf(trace: Trace, span: TraceSpan): number {
  const semantics = semanticsOf(span.table);
  return semantics.isSummary(span.row) ? trace.weight * semantics.summaryCountOf(span.row) : trace.weight;
}

/** As the clock of the trace's root showed it. */
function startTimeOf({ startTime }: Walk, span: TraceSpan): MinuteTime {
  return laterBy(startTime, span.start);
}

function errorOf(span: TraceSpan): SpanError | null {
  return span.failed ? semanticsOf(span.table).errorOf(span.row) : null;
}

function wasRejected(client: TraceSpan): boolean {
  const error = errorOf(client);
  return error !== null && isRejection(error);
}

function wasRateLimited(span: TraceSpan): boolean {
  // too many requests are a failure for the caller; for the server they are not
  return (span.failed || span.kind === SpanKind.Server) && semanticsOf(span.table).rateLimited(span.row);
}
