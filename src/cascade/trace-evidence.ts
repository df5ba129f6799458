import {
  agreeingScopeConfidenceMax,
  baselineConfidenceMax,
  breakerPart,
  candidateCountMax,
  errorRatioMax,
  excessShareMin,
  factCountMax,
  failureCover,
  latencyStrength,
  linkedFailureWeight,
  missingStepWeight,
  nothingUnusualConfidenceMax,
  oneTraceConfidenceMax,
  pathShareMin,
  plainTimeWeight,
  slowFactorMin,
  unreferencedConfidenceMax,
  usualRequestsMin,
  visibilityWeight,
} from "../model/scoring.ts";
import { criticalPath, type PathSection, pathNanosOf, pathOfRequests } from "../trace/critical-path.ts";
import type { FailureOrigin } from "../trace/error-origin.ts";
import { durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import {
  type Candidate,
  type CauseKind,
  completenessOf,
  type Edge,
  type EvidenceFact,
  type LinkedFailure,
  leadOf,
} from "./candidate.ts";
import { breakerBlame, missingBlames, missingCertainty } from "./missing-blame.ts";
import { isUnresolved, kindOf, originFacts } from "./origin-facts.ts";
import { type PathBlame, pathBlames } from "./path-blame.ts";
import { pathFacts } from "./path-facts.ts";
import { type Propagation, propagationOf } from "./propagation.ts";
import { Reach } from "./reach.ts";
import { type Instead, TraceHabits } from "./trace-habits.ts";
import type { Population, Usual, UsualTime } from "./usual.ts";

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
  /** how long the root usually takes, null where too little is known */
  readonly usualRoot: UsualTime | null;
}

export interface TraceQuestion {
  readonly trace: Trace;
  /** false = spans of it may still arrive, and what is not there is not known to be missing */
  readonly isComplete: boolean;
  readonly origins: readonly FailureOrigin[];
  /** what failed of what the trace set off */
  readonly linked: readonly LinkedFailure[];
  /** what the trace is part of */
  readonly scope: Population;
  /** how things are when all is well */
  readonly usual: Usual;
}

/**
 * Ranks what may have made one trace fail or take its time. Failures: each origin's share, weighted by whether a user saw
 * it and whether it is unusual. Failures of work that it only set off count less, and so does what it left out. Latency: each
 * service's part of the critical path, what is more than usual before the rest. Where nothing failed and nothing is unusual,
 * the parts are still listed: whoever asks about a trace wants to know.
 */
export function traceEvidence({
  trace,
  isComplete,
  origins,
  linked,
  scope,
  usual,
}: TraceQuestion): TraceEvidence {
  const root = trace.spans[trace.roots[0] ?? -1];
  const path = root === undefined ? [] : pathOfRequests(trace, criticalPath(trace, root.index));
  const usualRoot =
    root === undefined || root.isOpenEnded ? null : usual.durationOf(root.service, root.operation);
  const slowdown = root === undefined || usualRoot === null ? null : durationOf(root) / usualRoot.nanos;
  const blames = new Map<string, Blame>();
  const habits = TraceHabits.of(trace, usual);
  const failing =
    blameOrigins(blames, { trace, origins, usual, scope, habits }) + blameLinked(blames, trace, linked);
  const isIncomplete = habits !== null && isComplete && blameMissing(blames, habits, scope);
  const hasFailure = origins.length > 0 || linked.length > 0;
  const isSlow = slowdown !== null && slowdown >= slowFactorMin;
  if (root !== undefined && (!hasFailure || isSlow)) {
    const hidden = origins.filter(({ visibility }) => visibility !== "visible");
    const parts = pathBlames(trace, path, { root, usual, scope }).map((part) => {
      const instead = habits?.insteadOf(part.span, hidden) ?? null;
      return instead === null ? part : doneInstead(part, instead);
    });
    const plain = isIncomplete && !isSlow ? plainTimeWeight : 1;
    const strength = hasFailure ? latencyBesideFailure(slowdown ?? 1, Math.min(1, failing)) : plain;
    blameTime(blames, parts, { pathNanos: pathNanosOf(path), strength, isSlow, isBeside: hasFailure });
  }
  const candidates = ranked([...blames.values()], trace, scope);
  return {
    candidates,
    confidence: confidenceOf(candidates, {
      trace,
      scope,
      limit: isFailure(candidates[0]) ? null : healthyConfidenceMax(candidates[0], slowdown, usual),
    }),
    origins,
    propagation: propagationOf(trace, origins),
    path,
    usualRoot,
  };
}

interface Blame extends BlamePart {
  readonly facts: EvidenceFact[];
  weight: number;
  /** of its heaviest part */
  heaviest: number;
  kind: CauseKind;
  span: TraceSpan;
  operation: string;
  edge: Edge | null;
}

interface BlamePart {
  readonly service: string;
  readonly isPeer: boolean;
  readonly weight: number;
  readonly kind: CauseKind;
  readonly span: TraceSpan;
  readonly operation: string;
  readonly edge: Edge | null;
  readonly facts: readonly EvidenceFact[];
}

/** Kind and place of a candidate are those of its heaviest part; facts stay in the order in which parts are added. */
function addBlame(blames: Map<string, Blame>, part: BlamePart): void {
  const blame = blames.get(part.service);
  if (blame === undefined) {
    blames.set(part.service, { ...part, heaviest: part.weight, facts: [...part.facts] });
    return;
  }
  blame.weight += part.weight;
  blame.facts.push(...part.facts);
  if (part.weight <= blame.heaviest) return;
  blame.heaviest = part.weight;
  blame.kind = part.kind;
  blame.span = part.span;
  blame.operation = part.operation;
  blame.edge = part.edge;
}

/** The heaviest first, so that facts come in the order of their weight. */
function byWeight(origins: readonly FailureOrigin[]): readonly FailureOrigin[] {
  const weightOf = ({ visibility, share }: FailureOrigin): number => visibilityWeight[visibility] * share;
  return origins.toSorted((a, b) => weightOf(b) - weightOf(a) || a.span - b.span);
}

/** Returns how strongly failures speak that users saw, 0..1. A failure that is usual in healthy times explains little. */
function blameOrigins(
  blames: Map<string, Blame>,
  {
    trace,
    origins,
    usual,
    scope,
    habits,
  }: Omit<TraceQuestion, "linked" | "isComplete"> & { readonly habits: TraceHabits | null },
): number {
  let visible = 0;
  const reach = Reach.of(trace, scope.graph);
  for (const origin of byWeight(origins)) {
    const { share, visibility } = origin;
    const failure = trace.spans[origin.failure] as TraceSpan;
    const surprise = 1 - (usual.errorRatio(failure.service, failure.operation) ?? 0);
    const weight = Math.max(plainTimeWeight, visibilityWeight[visibility] * surprise) * share;
    if (visibility === "visible") visible += weight;
    const behind = habits === null ? null : breakerBlame(trace, origin, { habits, usual, scope, reach });
    const blame = originBlame(trace, origin, { usual, reach });
    if (behind !== null)
      addBlame(blames, {
        ...behind,
        facts: [...behind.facts, ...blame.facts],
        weight: weight * breakerPart,
      });
    addBlame(blames, {
      ...blame,
      weight: behind === null ? weight : weight * (1 - breakerPart),
    });
  }
  return Math.min(1, visible);
}

function originBlame(
  trace: Trace,
  origin: FailureOrigin,
  { usual, reach }: { readonly usual: Usual; readonly reach: Reach },
): Omit<BlamePart, "weight"> {
  const { service, isPeer, edge, reason } = origin;
  const span = trace.spans[origin.span] as TraceSpan;
  const at = { service, isPeer, kind: kindOf(reason), span, operation: span.operation, edge };
  const facts = originFacts(trace, origin, usual);
  if (reason.kind !== "unreachable" || edge === null) return { ...at, facts };
  const votes = reach.judge(edge, isUnresolved(reason));
  const isTelling = votes.reachedBy + votes.unreachedBy + votes.alsoUnreached > 0;
  return {
    ...at,
    ...(votes.isCaller ? { service: edge.caller, isPeer: false, kind: "network" } : {}),
    facts: isTelling ? [...facts, { kind: "reach", ...votes }] : facts,
  };
}

/** Returns how strongly failures speak of what the trace set off. */
function blameLinked(blames: Map<string, Blame>, trace: Trace, linked: readonly LinkedFailure[]): number {
  for (const failure of linked) {
    const { service, operation, spans } = failure;
    addBlame(blames, {
      service,
      isPeer: false,
      weight: linkedFailureWeight / linked.length,
      kind: "error",
      span: trace.spans[spans[0] ?? 0] as TraceSpan,
      operation,
      edge: null,
      facts: [{ kind: "linked_failure", ...failure }],
    });
  }
  return linked.length > 0 ? linkedFailureWeight : 0;
}

/** Returns whether anything was left out. */
function blameMissing(blames: Map<string, Blame>, habits: TraceHabits, scope: Population): boolean {
  const found = missingBlames(habits.silent(), scope);
  for (const blame of found) addBlame(blames, { ...blame, weight: missingStepWeight / found.length });
  return found.length > 0;
}

/** A part of the path that whoever made it necessary answers for: but for the failure, healthy requests seldom need it. */
function doneInstead(part: PathBlame, { failure, shown, compared }: Instead): PathBlame {
  const { service, isPeer, edge, reason } = failure;
  return {
    ...part,
    service,
    isPeer,
    edge,
    kind: kindOf(reason),
    excessNanos: Math.max(part.excessNanos, (1 - shown / compared) * part.nanos),
    instead: { service: part.service, shown, compared },
  };
}

/** How strongly slowness speaks beside failures: `Wl` of a window, for one trace. */
function latencyBesideFailure(slowdown: number, failing: number): number {
  const { base, fullAtShare } = latencyStrength;
  return Math.min(1, base + (slowdown - 1) / fullAtShare) * (1 - failureCover * failing);
}

interface TimeQuestion {
  /** of all parts together */
  readonly pathNanos: number;
  readonly strength: number;
  /** what is listed is measured by its part of the excess */
  readonly isSlow: boolean;
  /** beside failures only what is plainly too slow is listed */
  readonly isBeside: boolean;
}

/** Shares `strength` out over the parts of the critical path. */
function blameTime(
  blames: Map<string, Blame>,
  parts: readonly PathBlame[],
  { pathNanos, strength, isSlow, isBeside }: TimeQuestion,
): void {
  const byService = new Map<string, number>();
  const weightOf = ({ excessNanos, nanos }: PathBlame): number => excessNanos + plainTimeWeight * nanos;
  let total = 0;
  for (const part of parts) {
    const weight = weightOf(part);
    total += weight;
    byService.set(part.service, (byService.get(part.service) ?? 0) + weight);
  }
  const shareMin = isSlow ? excessShareMin : pathShareMin;
  const most = [...byService.values()].reduce((max, weight) => Math.max(max, weight), 0);
  const isListed = (service: string): boolean => {
    const weight = byService.get(service) ?? 0;
    return weight >= shareMin * total || (weight === most && !isBeside);
  };
  const listed = parts.filter(({ service }) => isListed(service));
  const listedTotal = listed.reduce((sum, part) => sum + weightOf(part), 0);
  // what hardly adds to a candidate, or repeats that it was waited for in vain, would only hide the rest
  const waitedInVain = new Set(
    [...blames.values()].filter(({ kind }) => kind === "latency").map(({ service }) => service),
  );
  const isToldOf = (part: PathBlame): boolean =>
    weightOf(part) >= pathShareMin * total && !waitedInVain.has(part.service);
  // the heaviest first, so that facts come in the order of their weight
  for (const part of listed.toSorted((a, b) => weightOf(b) - weightOf(a) || a.span.index - b.span.index))
    addBlame(blames, {
      ...part,
      operation: part.span.operation,
      weight: (strength * weightOf(part)) / listedTotal,
      facts: isToldOf(part) ? pathFacts(part, pathNanos) : [],
    });
}

function ranked(blames: readonly Blame[], trace: Trace, scope: Population): readonly Candidate[] {
  const orphans = orphansOf(trace);
  const total = blames.reduce((sum, { weight }) => sum + weight, 0);
  return blames
    .toSorted((a, b) => b.weight - a.weight || (a.service < b.service ? -1 : a.service > b.service ? 1 : 0))
    .slice(0, candidateCountMax)
    .map(
      (blame): Candidate => ({
        service: blame.service,
        kind: blame.kind,
        score: blame.weight / total,
        operation: blame.operation,
        instance:
          blame.isPeer || blame.span.instance === "" || blame.span.service !== blame.service
            ? null
            : blame.span.instance,
        edge: blame.edge,
        evidence: [...blame.facts.slice(0, factCountMax), ...scopeFacts(blame, scope), ...gapFacts(orphans)],
      }),
    );
}

function scopeFacts({ service, kind }: Blame, { red }: Population): readonly EvidenceFact[] {
  const cell = red.service(service)?.cell;
  if (cell === undefined || cell.requests < usualRequestsMin || kind === "network") return [];
  const { errorRatio: ratio, requests } = cell;
  if (ratio > errorRatioMax) return [{ kind: "scope_error_ratio", ratio, requests }];
  return kind === "error" || kind === "unreachable" ? [{ kind: "scope_healthy", ratio, requests }] : [];
}

function orphansOf({ roots, spans }: Trace): readonly number[] {
  return roots.filter((index) => spans[index]?.isOrphan);
}

function gapFacts(orphans: readonly number[]): readonly EvidenceFact[] {
  if (orphans.length === 0) return [];
  return [{ kind: "incomplete_trace", orphans: orphans.length, spans: orphans.slice(0, 3) }];
}

/** Whether a candidate is one because failures began at it. */
export function isFailure(candidate: Candidate | undefined): boolean {
  return candidate?.evidence.some(({ kind }) => kind === "origin" || kind === "linked_failure") === true;
}

/** How sure a request that went well can make us of its cause, by what it left out, or by its time. */
function healthyConfidenceMax(first: Candidate | undefined, slowdown: number | null, usual: Usual): number {
  const [fact] = first?.evidence ?? [];
  if (fact?.kind !== "missing_step") return latencyConfidenceMax(slowdown, usual);
  return missingCertainty(fact) * (usual.isBaseline ? baselineConfidenceMax : oneTraceConfidenceMax);
}

/** How sure the time of one request can make us of its cause. */
function latencyConfidenceMax(slowdown: number | null, usual: Usual): number {
  if (slowdown === null) return unreferencedConfidenceMax;
  if (slowdown < slowFactorMin) return nothingUnusualConfidenceMax;
  return usual.isBaseline ? baselineConfidenceMax : oneTraceConfidenceMax;
}

/**
 * How far the first candidate stands out, how whole the trace is and whether the scope agrees. Not calibrated yet: it
 * orders cases, it is no probability. `limit` null = by whether the scope shows the same service failing.
 */
function confidenceOf(
  candidates: readonly Candidate[],
  {
    trace,
    scope,
    limit,
  }: { readonly trace: Trace; readonly scope: Population; readonly limit: number | null },
): number | null {
  const [first] = candidates;
  const lead = leadOf(candidates);
  if (first === undefined || lead === null) return null;
  const completeness = completenessOf({ orphans: orphansOf(trace).length, spans: trace.spans.length });
  const cell = scope.red.service(first.service)?.cell;
  const ratio = cell !== undefined && cell.requests >= usualRequestsMin ? cell.errorRatio : 0;
  const failureLimit = ratio > errorRatioMax ? agreeingScopeConfidenceMax : oneTraceConfidenceMax;
  return Math.round(lead * completeness * (limit ?? failureLimit) * 1000) / 1000;
}
