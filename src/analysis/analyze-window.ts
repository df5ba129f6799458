import { adviceFor } from "../advice/advice.ts";
import { type WindowOutcome, windowVerdict } from "../advice/evidence-texts.ts";
import { structuralReport } from "../advice/structural-texts.ts";
import { BlameRollup, entryKey, type FailureSums } from "../cascade/blame.ts";
import { errorRatioMax, exemplarsInAllMax } from "../cascade/scoring.ts";
import { VisitRollup, type VisitSums } from "../cascade/visit-rollup.ts";
import {
  type EntryFinding,
  type OtherSignals,
  type WindowEvidence,
  type WindowTraces,
  windowEvidence,
} from "../cascade/window-evidence.ts";
import { mergeProblems, type Problem } from "../model/problems.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { formatTime, NANOS_PER_MS, startOfMinute, type UnixNanos } from "../model/time.ts";
import { callsOf } from "../trace/extract-calls.ts";
import type { Trace } from "../trace/trace.ts";
import { candidateJson } from "./candidate-json.ts";
import { graphJson } from "./graph-json.ts";
import type { EntryPointJson, Language, WindowReport } from "./report.ts";
import { type Scope, ScopeRollup } from "./scope.ts";
import { impactOf, structuralAnalysis } from "./structural-analysis.ts";

/** Everything that the report of a window is made of. */
export interface WindowSums extends WindowTraces {
  readonly scope: Scope;
}

export interface WindowRollupOptions {
  /** what is compared with each other shares a directory, so that the same service has the same name */
  readonly directory?: ServiceDirectory;
  /** without anything to compare with less has to be kept; default true */
  readonly isCompared?: boolean;
  /** whether log lines will be compared too; default false */
  readonly joinsLogs?: boolean;
}

/** Folds the traces of one window, in any order, for its report. Traces are only added: a window is read when it is whole. */
export class WindowRollup extends ScopeRollup {
  readonly #blame = new BlameRollup();
  readonly #visits: VisitRollup | null;

  constructor({ directory, isCompared = true, joinsLogs = false }: WindowRollupOptions = {}) {
    super(directory);
    this.#visits = isCompared ? new VisitRollup({ joinsLogs }) : null;
  }

  override addTrace(trace: Trace, calls = callsOf(trace)): void {
    super.addTrace(trace, calls);
    this.#blame.add(trace);
    this.#visits?.add(trace, calls);
  }

  /** Everything that was folded. */
  window(): WindowSums {
    const { directory } = this;
    return {
      scope: this.scope(null),
      blame: this.#blame.read(directory),
      visits: this.#visits?.read(directory) ?? null,
    };
  }
}

export interface WindowOptions {
  readonly language: Language;
  /** where the structural engine starts; default: the entry that suffers most */
  readonly failedService?: string;
  /** what telemetry beside traces says */
  readonly signals?: OtherSignals;
  /** what was asked for; where it has no bound, the first or last minute that has a trace */
  readonly window?: { readonly from: UnixNanos | null; readonly to: UnixNanos | null };
}

/** The report of a window, against a healthy time where there is one. */
export function analyzeWindow(
  window: WindowSums,
  baseline: WindowSums | null,
  options: WindowOptions,
): WindowReport {
  const { scope, blame } = window;
  const { language } = options;
  const evidence = windowEvidence({
    ...options.signals,
    window,
    baseline,
    isFailing: (service) => (scope.red.service(service)?.cell.errorRatio ?? 0) > errorRatioMax,
  });
  const { candidates, confidence, entries, requests, excessFailed, onsets } = evidence;
  const suffering = bySuffering(entries);
  const failedService = options.failedService ?? suffering[0]?.entry.service ?? "";
  const own = { red: scope.red, graph: scope.graph };
  const structural = structuralAnalysis({ traceId: "", failedService, own, scope });
  const base = structuralReport(structural.result, language);
  const slowest = suffering.find(({ addedNanos }) => addedNanos > 0);
  const onsetOrder = onsetOrderOf(onsets);
  return {
    window: windowJson(scope, options.window),
    baseline: baseline === null ? null : windowJson(baseline.scope, undefined),
    verdict: windowVerdict(
      {
        requests,
        excessFailed,
        slowest: slowest === undefined ? null : slowestEntry(slowest),
      },
      candidates[0],
      confidence,
      language,
    ),
    confidence,
    healthy: candidates.length === 0,
    root_cause_candidates: candidates.map((candidate, index) => {
      const onset = onsets.get(candidate.service);
      return candidateJson(candidate, {
        rank: index + 1,
        impactScore: impactOf(candidate.service, structural),
        scope,
        language,
        idsOf: () => [],
        ...(onset === undefined ? {} : { onset: formatTime(startOfMinute(onset)) }),
      });
    }),
    failure_propagation: base.cascade_analysis.failure_propagation,
    affected_services: affectedServices(scope, evidence),
    entry_points: suffering.map((finding) => entryJson(finding, requests)),
    blast_radius: base.cascade_analysis.blast_radius,
    service_states: failedService === "" ? new Map() : base.service_states,
    dependency_graph: graphJson(scope),
    onset_order: onsetOrder,
    recommendations: base.recommendations,
    advice: adviceFor(candidates, language).map((advice) => ({ ...advice, spans: [] })),
    exemplar_trace_ids: exemplarsOf(evidence, blame),
    totals: {
      spans: scope.totals.spans,
      traces: scope.totals.traces,
      services: scope.red.services.filter((name) => scope.red.service(name)?.isInferred === false).length,
    },
    problems: mergeProblems([...scope.problems, ...thinnedProblems(window.visits)]),
  };
}

function thinnedProblems(visits: VisitSums | null): readonly Problem[] {
  const count = visits?.omittedTraces ?? 0;
  if (count === 0) return [];
  const message =
    "There are more visits of services than are compared with the baseline: traces were left out evenly, only from that comparison";
  return [{ kind: "overflow", message, count, spans: [] }];
}

function slowestEntry({ entry: { service, operation }, addedNanos }: EntryFinding): WindowOutcome["slowest"] {
  return { service, operation, addedNanos };
}

function windowJson({ totals }: Scope, asked: WindowOptions["window"]): WindowReport["window"] {
  const from = asked?.from ?? totals.from ?? (0n as UnixNanos);
  const to = asked?.to ?? totals.to ?? (0n as UnixNanos);
  return { from: formatTime(from), to: formatTime(to) };
}

/** Most excess failures first, then most added time, then most requests, then by name. */
function bySuffering(entries: readonly EntryFinding[]): readonly EntryFinding[] {
  return entries.toSorted(
    (a, b) =>
      b.excessFailed - a.excessFailed ||
      b.addedNanos * b.entry.finished - a.addedNanos * a.entry.finished ||
      b.entry.cell.failed - a.entry.cell.failed ||
      b.entry.cell.requests - a.entry.cell.requests ||
      (entryKey(a.entry.service, a.entry.operation) < entryKey(b.entry.service, b.entry.operation) ? -1 : 1),
  );
}

function entryJson({ entry, excessFailed, addedNanos }: EntryFinding, requestsInAll: number): EntryPointJson {
  const { service, operation, cell } = entry;
  return {
    service,
    operation,
    requests: cell.requests,
    excess_failed: excessFailed,
    added_latency_ms: addedNanos / NANOS_PER_MS,
    share: requestsInAll > 0 ? cell.requests / requestsInAll : 0,
  };
}

/** Everybody who depends on a candidate, directly or by way of others; sorted. */
function affectedServices({ graph }: Scope, { candidates }: WindowEvidence): readonly string[] {
  const affected = new Set<string>();
  const open = candidates.slice(0, 1).map(({ service }) => service);
  for (let service = open.pop(); service !== undefined; service = open.pop())
    for (const caller of graph.callersOf(service))
      if (!affected.has(caller)) {
        affected.add(caller);
        open.push(caller);
      }
  return [...affected].sort();
}

function onsetOrderOf(onsets: ReadonlyMap<string, number>): WindowReport["onset_order"] {
  return [...onsets]
    .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))
    .map(([service, minute]) => ({ service, onset: formatTime(startOfMinute(minute)) }));
}

function exemplarsOf(
  { candidates }: WindowEvidence,
  { failures }: { readonly failures: ReadonlyMap<string, FailureSums> },
): readonly string[] {
  const ids = candidates.flatMap(({ service }) => failures.get(service)?.exemplars ?? []);
  return [...new Set(ids)].slice(0, exemplarsInAllMax);
}
