import { adviceFor } from "../advice/advice.ts";
import { type Outcome, traceVerdict } from "../advice/evidence-texts.ts";
import { structuralReport } from "../advice/structural-texts.ts";
import { slowFactorMin } from "../cascade/scoring.ts";
import { type TraceEvidence, traceEvidence, usualDurationIn } from "../cascade/trace-evidence.ts";
import { mergeProblems } from "../model/problems.ts";
import { formatTime, NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import type { TraceCalls } from "../trace/calls.ts";
import { type FailureOrigin, failureOrigins } from "../trace/error-origin.ts";
import { callsOf } from "../trace/extract-calls.ts";
import { selfTimes } from "../trace/self-time.ts";
import { durationOf, spanIdOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import { candidateJson } from "./candidate-json.ts";
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
  const calls = callsOf(trace);
  const own = ownGraphOf(calls, scope);
  const origins = failureOrigins(trace, usualDurationIn(scope.red));
  const failedService = options.failedService ?? serviceOfSymptom(trace, calls, origins);
  const structural = structuralAnalysis({ traceId: trace.traceId, failedService, own, scope });
  const base = structuralReport(structural.result, language);
  if (options.scoring === "structural") return base;
  const evidence = traceEvidence(trace, origins, scope.red);
  return { ...base, ...evidenceParts(trace, scope, { evidence, structural, base, own, language }) };
}

/** The names that a trace knows: its services and the peers that they call; sorted. */
export function servicesOf(trace: Trace): readonly string[] {
  const { entries, calls } = callsOf(trace);
  const names = new Set(trace.spans.map(({ service }) => service));
  for (const { service } of entries) names.add(service);
  for (const { caller, callee } of calls) names.add(caller).add(callee);
  return [...names].sort();
}

/** The service of the failed, else slowest, entry span nearest the root on the path to the (most visible) error origin. */
function serviceOfSymptom(trace: Trace, { entries }: TraceCalls, origins: readonly FailureOrigin[]): string {
  const isEntry = new Uint8Array(trace.spans.length);
  for (const { isInferred, span } of entries) if (!isInferred) isEntry[span] = 1;
  const [first] = byVisibility(origins);
  const root = trace.spans[trace.roots[0] ?? -1];
  let failed: TraceSpan | undefined;
  let slowest: TraceSpan | undefined;
  for (let at = first?.span ?? -1; at >= 0; at = (trace.spans[at] as TraceSpan).parent) {
    if (isEntry[at] === 0) continue;
    const span = trace.spans[at] as TraceSpan;
    if (span.failed) failed = span;
    if (slowest === undefined || durationOf(span) >= durationOf(slowest)) slowest = span;
  }
  return (failed ?? slowest ?? root)?.service ?? "";
}

interface Parts {
  readonly evidence: TraceEvidence;
  readonly structural: StructuralAnalysis;
  readonly base: StructuralReport;
  readonly own: OwnGraph;
  readonly language: Language;
}

type EvidenceParts = Omit<TraceReport, Exclude<keyof StructuralReport, "root_cause_candidates">>;

function evidenceParts(trace: Trace, scope: Scope, parts: Parts): EvidenceParts {
  const { evidence, structural, base, own, language } = parts;
  const { candidates, confidence, origins, propagation, path } = evidence;
  const idsOf = (spans: readonly number[]): readonly string[] =>
    spans.map((index) => spanIdOf(trace.spans[index] as TraceSpan));
  return {
    structural: { root_cause_candidates: base.root_cause_candidates },
    verdict: traceVerdict(outcomeOf(trace, evidence), candidates[0], confidence, language),
    confidence,
    root_cause_candidates: candidates.map((candidate, index) =>
      candidateJson(candidate, {
        rank: index + 1,
        impactScore: impactOf(candidate.service, structural),
        scope,
        language,
        idsOf,
      }),
    ),
    advice: adviceFor(candidates, language).map((advice) => ({ ...advice, spans: idsOf(advice.spans) })),
    failing_path: failingPath(trace, origins, path),
    propagation: propagation.map((step) => ({ ...step, spans: idsOf(step.spans) })),
    trace: summaryOf(trace),
    trace_critical_path: criticalPathJson(trace, evidence),
    dependency_graph: graphOfTrace(scope, own),
    problems: mergeProblems(trace.problems),
  };
}

function outcomeOf(trace: Trace, { origins, usualRootNanos }: TraceEvidence): Outcome {
  const root = trace.spans[trace.roots[0] ?? -1];
  if (root === undefined) return { kind: "empty" };
  const { service, operation } = root;
  if (origins.length > 0) {
    const seen = origins.find(({ visibility }) => visibility === "visible");
    if (seen === undefined) return { kind: "masked", service, operation };
    const failure = trace.spans[seen.failure] as TraceSpan;
    return { kind: "failed", service: failure.service, operation: failure.operation };
  }
  const durationNanos = durationOf(root);
  const isSlow = usualRootNanos === null || durationNanos >= usualRootNanos * slowFactorMin;
  return { kind: isSlow ? "slow" : "normal", service, operation, durationNanos, usualNanos: usualRootNanos };
}

function summaryOf(trace: Trace): TraceReport["trace"] {
  const root = trace.spans[trace.roots[0] ?? -1];
  const end = trace.spans.reduce((latest, span) => Math.max(latest, span.end), 0);
  const start = trace.spans.reduce((earliest, span) => Math.min(earliest, span.start), 0);
  return {
    root_service: root?.service ?? "",
    root_operation: root?.operation ?? "",
    start: formatTime(trace.startTime),
    duration_ms: (end - start) / NANOS_PER_MS,
    span_count: trace.spans.length,
    error_count: trace.spans.reduce((count, { failed }) => count + (failed ? 1 : 0), 0),
    services: [...new Set(trace.spans.map(({ service }) => service))].sort(),
  };
}

function criticalPathJson(trace: Trace, { path }: TraceEvidence): readonly PathSectionJson[] {
  const root = trace.spans[trace.roots[0] ?? -1];
  if (root === undefined) return [];
  const self = selfTimes(trace);
  const rootNanos = durationOf(root);
  return path.map(({ span: index, start, end }) => {
    const span = trace.spans[index] as TraceSpan;
    return {
      span_id: spanIdOf(span),
      service: span.service,
      operation: span.operation,
      start: formatTime((trace.startTime + BigInt(Math.round(start))) as UnixNanos),
      duration_ms: (end - start) / NANOS_PER_MS,
      self_time_ms: (self[index] ?? 0) / NANOS_PER_MS,
      share: rootNanos > 0 ? (end - start) / rootNanos : 0,
    };
  });
}

/** Nodes and edges that the trace touches, with the figures of the scope (its own where the scope does not have them). */
function graphOfTrace(scope: Scope, own: OwnGraph): GraphJson {
  const inScope = new Map(scope.graph.edges.map((edge) => [edgeKey(edge), edge]));
  const edges = own.graph.edges.map((edge) => inScope.get(edgeKey(edge)) ?? edge);
  return graphJsonOf(scope, { services: [...own.red.services, ...own.graph.nodeKinds.keys()], edges });
}
