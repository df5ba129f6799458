import { adviceFor } from "../advice/advice.ts";
import { isFine, type Outcome, traceVerdict } from "../advice/evidence-texts.ts";
import { problemsIn } from "../advice/problem-texts.ts";
import { structuralReport } from "../advice/structural-texts.ts";
import { selectRank } from "../base/select-rank.ts";
import type { Candidate, LinkedFailure } from "../cascade/candidate.ts";
import { isFailure, type TraceEvidence, traceEvidence } from "../cascade/trace-evidence.ts";
import { traceRemedies } from "../cascade/trace-remedies.ts";
import { Usual } from "../cascade/usual.ts";
import { pathSectionsMax } from "../model/limits.ts";
import { mergeProblems, type Problem } from "../model/problems.ts";
import { slowFactorMin } from "../model/scoring.ts";
import { formatTime, NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { type PathSection, pathNanosOf } from "../trace/critical-path.ts";
import { type FailureOrigin, failureOrigins } from "../trace/error-origin.ts";
import { callsInParts } from "../trace/extract-calls.ts";
import { selfTimes } from "../trace/self-time.ts";
import { durationOf, isEntry, spanIdOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import { candidateJson } from "./candidate-json.ts";
import { commonServices } from "./common-ground.ts";
import { byVisibility, failingPath } from "./failing-path.ts";
import { edgeKey, graphJsonOf } from "./graph-json.ts";
import type { GraphJson, Language, PathSectionJson, StructuralReport, TraceReport } from "./report.ts";
import type { Scope } from "./scope.ts";
import {
  impactOf,
  type OwnGraph,
  ownGraphOf,
  type StructuralAnalysis,
  structuralAnalysis,
} from "./structural-analysis.ts";

export interface TraceOptions {
  readonly language: Language;
  /** where the structural engine starts; default: where the failure shows. Names that `servicesOf` does not list are answered too */
  readonly failedService?: string;
  readonly scoring?: "evidence" | "structural";
  /** a healthy time to compare with, named by the same directory; default: the scope itself, as far as it seems healthy */
  readonly baseline?: Scope;
  /** false = spans of it may still arrive, and what is not there is not known to be missing; default true */
  readonly isComplete?: boolean;
}

/**
 * The report of one trace, seen against its scope. The trace is assembled with the directory of the scope as naming; it
 * should be part of the scope.
 */
export function analyzeTrace(
  trace: Trace,
  scope: Scope,
  options: TraceOptions & { readonly scoring?: "evidence" },
): TraceReport;
export function analyzeTrace(
  trace: Trace,
  scope: Scope,
  options: TraceOptions,
): TraceReport | StructuralReport;
export function analyzeTrace(
  trace: Trace,
  scope: Scope,
  options: TraceOptions,
): TraceReport | StructuralReport {
  const { language } = options;
  const own = ownGraphOf(trace, scope);
  const { baseline = null } = options;
  const ground = baseline === null ? null : commonServices(sendersOf(trace), baseline);
  const usual = new Usual(scope, ground?.isComparable === true ? baseline : null);
  const origins = failureOrigins(trace, (service, operation) => usual.durationNanos(service, operation));
  const failedService = options.failedService ?? serviceOfSymptom(trace, origins);
  const structural = structuralAnalysis({ traceId: trace.traceId, failedService, own, scope });
  const base = structuralReport(structural.result, language);
  if (options.scoring === "structural") return base;
  const evidence = traceEvidence({
    trace,
    isComplete: options.isComplete ?? true,
    origins,
    linked: linkedFailures(trace, scope),
    scope,
    usual,
  });
  const parts = evidenceParts(trace, scope, { evidence, usual, structural, base, own, language });
  return {
    ...base,
    ...parts,
    problems: mergeProblems([...parts.problems, ...problemsIn(language, ground?.problems ?? [])]),
  };
}

/** The services that spans of it are from. */
function sendersOf(trace: Trace): readonly string[] {
  return [...new Set(trace.spans.map(({ service }) => service))];
}

/** What the trace set off in other traces and failed there, each request once. */
function linkedFailures(trace: Trace, scope: Scope): readonly LinkedFailure[] {
  const failures = scope.failuresLinkedTo(trace.traceId);
  if (failures.length === 0) return [];
  const indexOf = new Map<string, number>(trace.spans.map((span) => [spanIdOf(span), span.index]));
  const found = new Map<string, LinkedFailure>();
  for (const { from, link } of failures) {
    const target = indexOf.get(link.spanId);
    if (target === undefined) continue;
    const key = `${from} ${link.span}`;
    const service = scope.directory.nameOfKey(link.service);
    const spans = [...(found.get(key)?.spans ?? []), target];
    found.set(key, { traceId: from, service, operation: link.operation, spans });
  }
  return [...found.values()];
}

/** The names that a trace knows: its services and the peers that they call; sorted. */
export function servicesOf(trace: Trace): readonly string[] {
  const names = new Set<string>();
  for (const { service } of trace.spans) names.add(service);
  for (const { entries, calls } of callsInParts(trace)) {
    for (const { service } of entries) names.add(service);
    for (const { caller, callee } of calls) names.add(caller).add(callee);
  }
  return [...names].sort();
}

/** The service of the failed, else slowest, entry span nearest the root on the path to the (most visible) error origin. */
function serviceOfSymptom(trace: Trace, origins: readonly FailureOrigin[]): string {
  const [first] = byVisibility(origins);
  const root = trace.spans[trace.roots[0] ?? -1];
  let failed: TraceSpan | undefined;
  let slowest: TraceSpan | undefined;
  for (let at = first?.span ?? -1; at >= 0; at = (trace.spans[at] as TraceSpan).parent) {
    const span = trace.spans[at] as TraceSpan;
    if (!isEntry(trace, span)) continue;
    if (span.failed) failed = span;
    if (slowest === undefined || durationOf(span) >= durationOf(slowest)) slowest = span;
  }
  return (failed ?? slowest ?? root)?.service ?? "";
}

interface Parts {
  readonly evidence: TraceEvidence;
  readonly usual: Usual;
  readonly structural: StructuralAnalysis;
  readonly base: StructuralReport;
  readonly own: OwnGraph;
  readonly language: Language;
}

type EvidenceParts = Omit<TraceReport, Exclude<keyof StructuralReport, "root_cause_candidates">>;

function evidenceParts(trace: Trace, scope: Scope, parts: Parts): EvidenceParts {
  const { evidence, usual, structural, base, own, language } = parts;
  const { candidates, confidence, origins, propagation, path } = evidence;
  const idsOf = (spans: readonly number[]): readonly string[] =>
    spans.map((index) => spanIdOf(trace.spans[index] as TraceSpan));
  const outcome = outcomeOf(trace, evidence, usual);
  const isHealthy = isFine(outcome);
  const remedies = isHealthy ? [] : traceRemedies(trace, { candidates, usual });
  const advice = isHealthy ? [] : adviceFor({ candidates, remedies }, language);
  return {
    structural: { root_cause_candidates: base.root_cause_candidates },
    verdict: traceVerdict(outcome, candidates[0], confidence, language),
    confidence,
    healthy: isHealthy,
    root_cause_candidates: candidates.map((candidate, index) =>
      candidateJson(candidate, {
        rank: index + 1,
        impactScore: impactOf(candidate.service, structural),
        scope,
        language,
        idsOf,
      }),
    ),
    advice: advice.map(({ kind, service, sentence, spans }) => ({
      kind,
      service,
      sentence,
      spans: idsOf(spans),
    })),
    failing_path: failingPath(trace, origins, { path, slowSpan: slowSpanOf(candidates[0]) }),
    propagation: propagation.map((step) => ({ ...step, spans: idsOf(step.spans) })),
    trace: summaryOf(trace),
    trace_critical_path: criticalPathJson(trace, evidence),
    dependency_graph: graphOfTrace(scope, own),
    problems: problemsIn(language, mergeProblems([...trace.problems, ...omittedSections(path)])),
  };
}

/** Where the first candidate spent the time that it is blamed for; null where it is blamed for a failure. */
function slowSpanOf(first: Candidate | undefined): number | null {
  if (first === undefined || isFailure(first)) return null;
  const [fact] = first.evidence;
  return fact !== undefined && "spans" in fact ? (fact.spans[0] ?? null) : null;
}

function outcomeOf(trace: Trace, { origins, usualRoot, candidates }: TraceEvidence, usual: Usual): Outcome {
  const root = trace.spans[trace.roots[0] ?? -1];
  if (root === undefined) return { kind: "empty" };
  const { service, operation } = root;
  const seen = origins.find(({ visibility }) => visibility === "visible");
  const failure = trace.spans[seen?.failure ?? -1];
  const durationNanos = durationOf(root);
  const unseen = origins.length > 0 ? "masked" : isFailure(candidates[0]) ? "set_off" : null;
  const isIncomplete = candidates.some(({ evidence }) =>
    evidence.some((fact) => fact.kind === "missing_step"),
  );
  return {
    kind: failure !== undefined ? "failed" : (unseen ?? (isIncomplete ? "incomplete" : "succeeded")),
    service: failure?.service ?? service,
    operation: failure?.operation ?? operation,
    durationNanos,
    usual: usualRoot,
    // of another root than the first one nothing is said about time
    isSlow:
      (failure === undefined || failure === root) &&
      usualRoot !== null &&
      durationNanos >= usualRoot.nanos * slowFactorMin,
    isBaseline: usual.isBaseline,
    compared: usual.requests(service, operation),
  };
}

function summaryOf(trace: Trace): TraceReport["trace"] {
  const root = trace.spans[trace.roots[0] ?? -1];
  // A clock that was corrected may have shown the earliest time of all: the trace begins where its spans do now.
  let start = Number.POSITIVE_INFINITY;
  let end = Number.NEGATIVE_INFINITY;
  let failedCount = 0;
  const services = new Set<string>();
  for (const span of trace.spans) {
    start = Math.min(start, span.start);
    end = Math.max(end, span.end);
    if (span.failed) failedCount += 1;
    services.add(span.service);
  }
  return {
    root_service: root?.service ?? "",
    root_operation: root?.operation ?? "",
    start: formatTime((trace.startTime + BigInt(Math.round(root === undefined ? 0 : start))) as UnixNanos),
    duration_ms: root === undefined ? 0 : (end - start) / NANOS_PER_MS,
    span_count: trace.spans.length + trace.omittedSpans,
    error_count: failedCount,
    services: [...services].sort(),
    ...(trace.episode === null ? {} : { episode: trace.episode }),
  };
}

function criticalPathJson(trace: Trace, { path }: TraceEvidence): readonly PathSectionJson[] {
  const root = trace.spans[trace.roots[0] ?? -1];
  if (root === undefined) return [];
  const shown = longestSections(path);
  const self = selfTimes(trace, new Set(shown.map(({ span }) => span)));
  const pathNanos = pathNanosOf(path);
  return shown.map(({ span: index, start, end }) => {
    const span = trace.spans[index] as TraceSpan;
    return {
      span_id: spanIdOf(span),
      service: span.service,
      operation: span.operation,
      start: formatTime((trace.startTime + BigInt(Math.round(start))) as UnixNanos),
      duration_ms: (end - start) / NANOS_PER_MS,
      self_time_ms: (self.get(index) ?? 0) / NANOS_PER_MS,
      share: pathNanos > 0 ? (end - start) / pathNanos : 0,
    };
  });
}

/** Nodes and edges that the trace touches, with the figures of the scope (its own where the scope does not have them). */
function graphOfTrace(scope: Scope, own: OwnGraph): GraphJson {
  const inScope = new Map(scope.graph.edges.map((edge) => [edgeKey(edge), edge]));
  const edges = own.graph.edges.map((edge) => inScope.get(edgeKey(edge)) ?? edge);
  return graphJsonOf(scope, { services: [...own.red.services, ...own.graph.nodeKinds.keys()], edges });
}

/** What a report shows of a path, in its order: a trace of 100,000 spans may have 200,000 sections. */
function longestSections(path: readonly PathSection[]): readonly PathSection[] {
  if (path.length <= pathSectionsMax) return path;
  const durations = new Float64Array(path.length);
  for (const [i, { start, end }] of path.entries()) durations[i] = end - start;
  const least = selectRank(durations, path.length - pathSectionsMax);
  // of those that are as long as the shortest one shown, the earliest
  let room = pathSectionsMax - durations.reduce((longer, nanos) => longer + (nanos > least ? 1 : 0), 0);
  return path.filter(({ start, end }) => {
    if (end - start !== least) return end - start > least;
    room -= 1;
    return room >= 0;
  });
}

function omittedSections({ length }: readonly PathSection[]): readonly Problem[] {
  if (length <= pathSectionsMax) return [];
  const message = `The shortest sections of the critical path were left out; the ${pathSectionsMax} longest are listed`;
  return [{ kind: "overflow", message, count: length - pathSectionsMax, spans: [] }];
}
