import type { RedWindow } from "../metrics/red-metrics.ts";
import { SpanKind } from "../model/span-table.ts";
import { criticalPath, type PathSection } from "../trace/critical-path.ts";
import { type FailureOrigin, type OriginReason, stepsOf, type UsualDuration } from "../trace/error-origin.ts";
import { peerOf, remoteChild } from "../trace/peers.ts";
import { durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import type { Candidate, CauseKind, EvidenceFact, PropagationMechanism } from "./candidate.ts";
import {
  agreeingScopeConfidenceMax,
  candidateCountMax,
  errorRatioMax,
  factCountMax,
  oneTraceConfidenceMax,
  pathShareMin,
  slowFactorMin,
  unreferencedConfidenceMax,
  usualRequestsMin,
  visibilityWeight,
} from "./scoring.ts";

/** What the evidence engine says of one trace. */
export interface TraceEvidence {
  /** by score, then name */
  readonly candidates: readonly Candidate[];
  /** 0..1, null where there is no candidate */
  readonly confidence: number | null;
  readonly origins: readonly FailureOrigin[];
  readonly propagation: readonly Propagation[];
  /** the critical path of the trace's first root, earliest section first */
  readonly path: readonly PathSection[];
  /** the root's usual duration in the scope, null where too little is known */
  readonly usualRootNanos: number | null;
}

/** How a failure crossed from one service to its caller; spans are indices in the trace. */
interface Propagation {
  readonly caller: string;
  readonly callee: string;
  readonly mechanism: PropagationMechanism;
  readonly spans: readonly number[];
}

/** Medians of the scope's operations, as far as enough requests back them. */
export function usualDurationIn(red: RedWindow): UsualDuration {
  return (service, operation) => {
    const latency = red.service(service)?.operations.get(operation)?.latency;
    return latency !== undefined && latency.count >= usualRequestsMin ? latency.quantile(0.5) : null;
  };
}

/**
 * Ranks what may have made one trace fail, or, where nothing failed, what made it take its time. Failures: each origin's
 * share, weighted by whether a user saw it. Latency: each service's part of the critical path, as far as it is more than usual.
 */
export function traceEvidence(
  trace: Trace,
  origins: readonly FailureOrigin[],
  red: RedWindow,
): TraceEvidence {
  const usual = usualDurationIn(red);
  const root = trace.spans[trace.roots[0] ?? -1];
  const path = root === undefined ? [] : criticalPath(trace, root.index);
  const usualRootNanos = root === undefined ? null : usual(root.service, root.operation);
  const blames =
    origins.length > 0
      ? blameOrigins(trace, origins)
      : root === undefined
        ? []
        : blamePath(trace, root, path, usual);
  const orphans = trace.roots.filter((index) => trace.spans[index]?.isOrphan);
  const total = blames.reduce((sum, blame) => sum + blame.weight, 0);
  const candidates = blames
    .sort((a, b) => b.weight - a.weight || (a.service < b.service ? -1 : a.service > b.service ? 1 : 0))
    .slice(0, candidateCountMax)
    .map(
      (blame): Candidate => ({
        service: blame.service,
        kind: blame.kind,
        score: blame.weight / total,
        operation: blame.span === null ? null : blame.span.operation,
        instance:
          blame.span === null || blame.isPeer || blame.span.instance === "" ? null : blame.span.instance,
        edge: blame.edge,
        evidence: [...blame.facts.slice(0, factCountMax), ...scopeFacts(blame, red), ...gapFacts(orphans)],
      }),
    );
  return {
    candidates,
    confidence: confidenceOf(candidates, origins.length > 0, usualRootNanos !== null, trace, red),
    origins,
    propagation: propagationOf(trace, origins),
    path,
    usualRootNanos,
  };
}

interface Blame {
  readonly service: string;
  readonly isPeer: boolean;
  weight: number;
  /** of its heaviest part */
  heaviest: number;
  kind: CauseKind;
  span: TraceSpan | null;
  edge: { readonly caller: string; readonly callee: string } | null;
  readonly facts: EvidenceFact[];
}

interface BlamePart {
  readonly service: string;
  readonly isPeer: boolean;
  readonly weight: number;
  readonly kind: CauseKind;
  readonly span: TraceSpan;
  readonly edge: { readonly caller: string; readonly callee: string } | null;
  readonly facts: readonly EvidenceFact[];
}

function addBlame(blames: Map<string, Blame>, part: BlamePart): void {
  let blame = blames.get(part.service);
  if (blame === undefined) {
    const { service, isPeer, kind, span, edge } = part;
    blame = { service, isPeer, weight: 0, heaviest: 0, kind, span, edge, facts: [] };
    blames.set(service, blame);
  }
  blame.weight += part.weight;
  if (part.weight > blame.heaviest) {
    blame.heaviest = part.weight;
    blame.kind = part.kind;
    blame.span = part.span;
    blame.edge = part.edge;
    blame.facts.unshift(...part.facts);
  } else blame.facts.push(...part.facts);
}

function blameOrigins(trace: Trace, origins: readonly FailureOrigin[]): Blame[] {
  const blames = new Map<string, Blame>();
  for (const origin of origins) {
    const span = trace.spans[origin.span] as TraceSpan;
    const { service, isPeer, edge, share, visibility } = origin;
    addBlame(blames, {
      service,
      isPeer,
      weight: visibilityWeight[visibility] * share,
      kind: kindOf(origin.reason),
      span,
      edge,
      facts: originFacts(trace, origin, span),
    });
  }
  return [...blames.values()];
}

/** What kind of fault a reason stands for. */
export function kindOf(reason: OriginReason): CauseKind {
  switch (reason.kind) {
    case "unreachable":
      return "unreachable";
    case "slow_work":
    case "peer_timeout":
    case "tight_timeout":
      return "latency";
    case "network_gap":
      return "network";
    case "own_error":
    case "peer_error":
    case "rejected_request":
      return "error";
  }
}

function originFacts(trace: Trace, origin: FailureOrigin, span: TraceSpan): readonly EvidenceFact[] {
  const { reason, visibility, service, lastStep } = origin;
  const giveUp = reason.kind === "slow_work" ? [reason.giveUpSpan] : [];
  const facts: EvidenceFact[] = [
    {
      kind: "origin",
      service,
      caller:
        reason.kind === "slow_work" ? (trace.spans[reason.giveUpSpan] as TraceSpan).service : span.service,
      operation: span.operation,
      reason,
      spans: [...new Set([span.index, ...giveUp])],
    },
  ];
  if (lastStep !== null && lastStep.attempts.length > 1)
    facts.push({ kind: "retries_failed", attempts: lastStep.attempts.length, spans: lastStep.attempts });
  if (visibility !== "visible") {
    const failure = trace.spans[origin.failure] as TraceSpan;
    const hiddenBy = trace.spans[failure.parent]?.service ?? failure.service;
    facts.push({ kind: "hidden", by: visibility, service: hiddenBy, spans: [failure.index] });
  }
  return facts;
}

/** The critical path by service; the part of a call that passed outside the callee is charged to the callee's network. */
function blamePath(
  trace: Trace,
  root: TraceSpan,
  path: readonly PathSection[],
  usual: UsualDuration,
): Blame[] {
  const rootNanos = durationOf(root);
  const usualRoot = usual(root.service, root.operation);
  if (rootNanos === 0 || (usualRoot !== null && rootNanos < usualRoot * slowFactorMin)) return [];
  const selfNanos = new Map<number, number>();
  for (const section of path)
    selfNanos.set(section.span, (selfNanos.get(section.span) ?? 0) + section.end - section.start);
  const blames = new Map<string, Blame>();
  for (const [index, nanos] of selfNanos) {
    const span = trace.spans[index] as TraceSpan;
    const share = nanos / rootNanos;
    const usualNanos = usual(span.service, span.operation);
    const excess = usualNanos === null || durationOf(span) === 0 ? 1 : 1 - usualNanos / durationOf(span);
    if (share < pathShareMin || excess <= 0) continue;
    const owner = ownerOf(trace, span);
    const facts: EvidenceFact[] = [
      { kind: "path_share", operation: span.operation, share, selfNanos: nanos, spans: [index] },
    ];
    if (usualNanos !== null)
      facts.push({
        kind: "slower_than_usual",
        operation: span.operation,
        durationNanos: durationOf(span),
        usualNanos,
        spans: [index],
      });
    addBlame(blames, { ...owner, weight: share * excess, span, facts });
  }
  return [...blames.values()];
}

/** Who answers for the time that a span spends itself: for a call, the far side. */
export function ownerOf(trace: Trace, span: TraceSpan): Owner {
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

export type Owner = Pick<BlamePart, "service" | "isPeer" | "kind" | "edge">;

function scopeFacts(blame: Blame, red: RedWindow): readonly EvidenceFact[] {
  const cell = red.service(blame.service)?.cell;
  if (cell === undefined || cell.requests < usualRequestsMin || blame.kind === "network") return [];
  const { errorRatio: ratio, requests } = cell;
  if (ratio > errorRatioMax) return [{ kind: "scope_error_ratio", ratio, requests }];
  return blame.kind === "error" || blame.kind === "unreachable"
    ? [{ kind: "scope_healthy", ratio, requests }]
    : [];
}

function gapFacts(orphans: readonly number[]): readonly EvidenceFact[] {
  if (orphans.length === 0) return [];
  return [{ kind: "incomplete_trace", orphans: orphans.length, spans: orphans.slice(0, 3) }];
}

/**
 * How far the first candidate stands out, how whole the trace is and whether the scope agrees. Not calibrated yet: it
 * orders cases, it is no probability.
 */
function confidenceOf(
  candidates: readonly Candidate[],
  hasFailure: boolean,
  hasReference: boolean,
  trace: Trace,
  red: RedWindow,
): number | null {
  const first = candidates[0];
  if (first === undefined) return null;
  const lead = first.score - 0.5 * (candidates[1]?.score ?? 0);
  const orphanCount = trace.spans.reduce((count, span) => count + (span.isOrphan ? 1 : 0), 0);
  const completeness = 1 - Math.min(0.5, orphanCount / trace.spans.length);
  const cell = red.service(first.service)?.cell;
  const ratio = cell !== undefined && cell.requests >= usualRequestsMin ? cell.errorRatio : 0;
  const limit = hasFailure
    ? ratio > errorRatioMax
      ? agreeingScopeConfidenceMax
      : oneTraceConfidenceMax
    : hasReference
      ? oneTraceConfidenceMax
      : unreferencedConfidenceMax;
  return Math.round(lead * completeness * limit * 1000) / 1000;
}

/** The crossings between services on the way of each failure, origin first, each pair and mechanism once. */
function propagationOf(trace: Trace, origins: readonly FailureOrigin[]): readonly Propagation[] {
  const found = new Map<string, Propagation>();
  const add = (
    caller: string,
    callee: string,
    mechanism: PropagationMechanism,
    spans: readonly number[],
  ): void => {
    const key = `${caller}\u0000${callee}\u0000${mechanism}`;
    if (caller !== callee && !found.has(key)) found.set(key, { caller, callee, mechanism, spans });
  };
  for (const origin of origins) {
    const at = trace.spans[origin.span] as TraceSpan;
    const { reason } = origin;
    if (origin.isPeer) add(at.service, origin.service, peerMechanism(reason), [origin.span]);
    if (reason.kind === "slow_work" || reason.kind === "network_gap") addWait(trace, origin, add);
    for (const step of stepsOf(origin).toReversed()) {
      const from = trace.spans[step.from] as TraceSpan;
      const to = trace.spans[step.to] as TraceSpan;
      add(from.service, to.service, step.attempts.length > 1 ? "retries_exhausted" : "error", [
        step.from,
        step.to,
      ]);
    }
    const failure = trace.spans[origin.failure] as TraceSpan;
    const parent = trace.spans[failure.parent];
    if (parent !== undefined) add(parent.service, failure.service, "masked", [parent.index, failure.index]);
  }
  return [...found.values()];
}

function peerMechanism(reason: OriginReason): PropagationMechanism {
  if (reason.kind === "unreachable") return "unreachable";
  if (reason.kind === "peer_timeout") return "timeout";
  return reason.kind === "slow_work" ? "slow" : "error";
}

/** From slow work up to the span that gave up: slow on the way, a timeout at the top. */
function addWait(
  trace: Trace,
  origin: FailureOrigin,
  add: (caller: string, callee: string, mechanism: PropagationMechanism, spans: readonly number[]) => void,
): void {
  const { reason, edge } = origin;
  if (reason.kind === "network_gap" && edge !== null) add(edge.caller, edge.callee, "timeout", [origin.span]);
  if (reason.kind !== "slow_work") return;
  let at = trace.spans[origin.span] as TraceSpan;
  while (at.index !== reason.giveUpSpan && at.parent >= 0) {
    const parent = trace.spans[at.parent] as TraceSpan;
    const isLast = parent.index === reason.giveUpSpan;
    add(parent.service, at.service, isLast ? "timeout" : "slow", [parent.index, at.index]);
    at = parent;
  }
}
