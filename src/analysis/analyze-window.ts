import { adviceFor } from "../advice/advice.ts";
import { type BaselineChoice, baselineText } from "../advice/baseline-texts.ts";
import { type WindowOutcome, windowVerdict } from "../advice/evidence-texts.ts";
import { problemsIn } from "../advice/problem-texts.ts";
import { structuralReport } from "../advice/structural-texts.ts";
import type { Saved, SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { orderlessSum } from "../base/sum.ts";
import { BlameRollup, entryKey } from "../cascade/blame.ts";
import type { Candidate } from "../cascade/candidate.ts";
import { exemplarsOf } from "../cascade/exemplars.ts";
import { LogRollup } from "../cascade/log-lines.ts";
import { LogTemplates } from "../cascade/log-template.ts";
import { type MetricWindow, metricSignal } from "../cascade/metric-signal.ts";
import type { Remedy } from "../cascade/remedy.ts";
import type { LogLines, SignalFindings } from "../cascade/signals.ts";
import { keepsLines, thinnedAlike } from "../cascade/thinned-alike.ts";
import { withUntoldFailures } from "../cascade/untold-failures.ts";
import { VisitRollup, type VisitSums } from "../cascade/visit-rollup.ts";
import {
  type EntryFinding,
  type OtherSignals,
  type WindowEvidence,
  type WindowTraces,
  windowEvidence,
} from "../cascade/window-evidence.ts";
import { windowRemedies } from "../cascade/window-remedies.ts";
import { MetricRollup } from "../metrics/metric-courses.ts";
import { mergeProblems, type Problem } from "../model/problems.ts";
import { adviceRule, errorRatioMax, exemplarsInAllMax, visitsMax } from "../model/scoring.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { formatTime, startOfMinute, type UnixNanos } from "../model/time.ts";
import { callsOf } from "../trace/extract-calls.ts";
import type { Trace } from "../trace/trace.ts";
import { candidateJson } from "./candidate-json.ts";
import { commonGround } from "./common-ground.ts";
import { graphJson } from "./graph-json.ts";
import { ofOneSystem } from "./one-system.ts";
import { reachJson } from "./reach-json.ts";
import type { AdviceJson, Language, WindowReport } from "./report.ts";
import { type Scope, ScopeRollup, type SharedSums, senderNames } from "./scope.ts";
import { impactOf, structuralAnalysis } from "./structural-analysis.ts";

/** Everything that the report of a window is made of. */
export interface WindowSums extends WindowTraces {
  readonly scope: Scope;
  readonly logLines: LogLines;
  /** with what was measured before the window, and after it */
  readonly metrics: MetricWindow;
}

export interface WindowRollupOptions extends SharedSums {
  /** without anything to compare with less has to be kept; default true */
  readonly isCompared?: boolean;
  /** whether log lines come when traces have been added already; default false */
  readonly logsComeLast?: boolean;
  /** visits that are compared; of more, see `FairShares` */
  readonly visitsMax?: number;
}

/** The part of what was folded that a window is about; null = no bound. */
export interface WindowBounds {
  readonly from: UnixNanos | null;
  readonly to: UnixNanos | null;
}

const unbounded: WindowBounds = { from: null, to: null };

/** What had to be left out of comparisons. */
export interface LeftOut {
  readonly linesWithoutTrace: number;
  readonly droppedLines: number;
  readonly droppedPoints: number;
}

/** Tells what was left out. */
export function signalProblems({
  linesWithoutTrace,
  droppedLines,
  droppedPoints,
}: LeftOut): readonly Problem[] {
  const problems: Problem[] = [];
  const add = (kind: Problem["kind"], message: string, count: number): void => {
    if (count > 0) problems.push({ kind, message, count, spans: [] });
  };
  add("missing_trace_id", "log records carry no trace id: they belong to no request", linesWithoutTrace);
  add("overflow", "log lines were left out: too many", droppedLines);
  add("overflow", "metric points were left out of comparisons: too many", droppedPoints);
  return problems;
}

/** Folds the traces of one window, in any order, for its report. Traces are only added: a window is read when it is whole. */
export class WindowRollup extends ScopeRollup {
  readonly #blame = new BlameRollup();
  readonly #templates = new LogTemplates();
  readonly #logs = new LogRollup({ templates: this.#templates });
  readonly #courses = new MetricRollup();
  readonly #isCompared: boolean;
  readonly #visitsMax: number;
  #joinsLogs: boolean;
  /** made with the first trace, when it is known whether there are logs to join */
  #visits: VisitRollup | null = null;

  constructor({
    isCompared = true,
    logsComeLast = false,
    visitsMax: kept = visitsMax,
    ...shared
  }: WindowRollupOptions = {}) {
    super({ ...shared, learnsSteps: false });
    this.#visitsMax = kept;
    this.#isCompared = isCompared;
    this.#joinsLogs = logsComeLast;
  }

  override addTrace(trace: Trace, calls = callsOf(trace)): void {
    super.addTrace(trace, calls);
    this.#blame.add(trace);
    if (this.#isCompared) this.#visitRollup().add(trace, calls);
  }

  /** Lines say something only against those of a baseline. */
  addLogRecords(records: Iterable<LogRecord>): void {
    if (!this.#isCompared) return;
    this.#joinsLogs = true;
    this.#logs.add(records);
  }

  /** Points of the window and of the time around it: what is unusual in the window shows against that. */
  addMetricCourses(points: Iterable<MetricPoint>): void {
    this.#courses.add(points);
  }

  /**
   * Everything that was folded. `bounds` = when the window was, in one piece or several, for what comes without traces: log
   * lines outside are left out. Metrics are looked at from the first to the last trace where there is no bound.
   */
  window(bounds: readonly WindowBounds[] = [unbounded]): WindowSums {
    const scope = this.scope(null);
    const { directory } = this;
    const names = senderNames(scope);
    const isUnbounded = bounds.every(({ from, to }) => from === null && to === null);
    const logRanges = bounds.map(({ from, to }) => ({ from: from ?? firstTime, to: to ?? lastTime }));
    const { from: first, to: last } = scope.totals;
    const visits = this.#isCompared ? this.#visitRollup().read(directory) : null;
    const left: LeftOut = {
      linesWithoutTrace: this.#logs.linesWithoutTrace,
      droppedLines: this.#logs.droppedLines,
      droppedPoints: this.#courses.droppedPoints,
    };
    const ranges = isUnbounded ? null : logRanges;
    return {
      scope: { ...scope, problems: mergeProblems([...scope.problems, ...signalProblems(left)]) },
      blame: this.#blame.read(directory),
      visits,
      logLines: this.#logs.read({
        ...names,
        ranges,
        isTraceKept: visits === null ? () => true : keepsLines(visits),
      }),
      metrics: {
        courses: this.#courses.read(names),
        ranges: bounds.map(({ from, to }) => ({
          from: from ?? first ?? firstTime,
          to: to ?? last ?? lastTime,
        })),
      },
    };
  }

  override save(out: SnapshotWriter): void {
    super.save(out);
    out.flag(this.#joinsLogs);
    for (const part of this.#sums) part.save(out);
    out.optional(this.#visits, (visits) => visits.save(out));
  }

  override load(from: SnapshotReader): void {
    super.load(from);
    this.#joinsLogs = from.flag();
    for (const part of this.#sums) part.load(from);
    from.optional(() => this.#visitRollup().load(from));
  }

  get #sums(): readonly Saved[] {
    return [this.#blame, this.#templates, this.#logs, this.#courses];
  }

  #visitRollup(): VisitRollup {
    this.#visits ??= new VisitRollup({ joinsLogs: this.#joinsLogs, capacity: this.#visitsMax });
    return this.#visits;
  }
}

const firstTime = 0n as UnixNanos;
const lastTime = 0xffff_ffff_ffff_ffffn as UnixNanos;

export interface WindowOptions {
  readonly language: Language;
  /** where the structural engine starts; default: the entry that suffers most */
  readonly failedService?: string;
  /** services that it is about, with all that have to do with them; default: everything */
  readonly about?: Iterable<string>;
  /** what was asked for; where it has no bound, the first or last minute that has a trace */
  readonly window?: WindowBounds;
  /** the healthy time, where it was not named but chosen */
  readonly chosenBaseline?: ChosenBaseline;
}

export interface ChosenBaseline {
  readonly bounds: WindowBounds;
  readonly choice: BaselineChoice;
}

/** Everything that is found out about a window, free of language. */
export interface WindowStudy {
  readonly window: WindowSums;
  readonly baseline: WindowSums | null;
  readonly evidence: WindowEvidence;
  /** entries by how much they suffer */
  readonly suffering: readonly EntryFinding[];
  readonly structural: ReturnType<typeof structuralAnalysis>;
  readonly failedService: string;
  readonly reach: ReturnType<typeof reachJson>;
  /** what to do about the strong candidates */
  readonly remedies: readonly Remedy[];
  readonly exemplarTraceIds: readonly string[];
  /** what stood in the way of the comparison */
  readonly problems: readonly Problem[];
  readonly asked: WindowBounds | undefined;
  readonly chosenBaseline: ChosenBaseline | undefined;
}

/** The report of a window, against a healthy time where there is one. */
export function analyzeWindow(
  window: WindowSums,
  baseline: WindowSums | null,
  { language, ...options }: WindowOptions,
): WindowReport {
  return windowReport(studyWindow(window, baseline, options), language);
}

/** Compares a window with a healthy time; `windowReport` tells it in any language. */
export function studyWindow(
  asked: WindowSums,
  healthy: WindowSums | null,
  options: Omit<WindowOptions, "language">,
): WindowStudy {
  const { window, baseline, problems } = comparable(asked, healthy, options.about);
  const { scope } = window;
  const found = windowEvidence({
    ...otherSignals(window, baseline),
    window,
    baseline,
    graph: scope.graph,
    isFailing: (service) => (scope.red.service(service)?.cell.errorRatio ?? 0) > errorRatioMax,
  });
  const remedies = remediesOf(found.candidates, window, baseline);
  const candidates = found.candidates.map((candidate) => withOverload(candidate, remedies));
  const evidence = { ...found, candidates };
  const suffering = bySuffering(evidence.entries);
  const failedService = options.failedService ?? suffering[0]?.entry.service ?? "";
  const own = { red: scope.red, graph: scope.graph };
  return {
    window,
    baseline,
    evidence,
    suffering,
    structural: structuralAnalysis({ traceId: "", failedService, own, scope }),
    failedService,
    reach: reachJson(suffering, { candidates, window, baseline, requests: evidence.requests }),
    remedies,
    exemplarTraceIds: exemplarsInAll(candidates, window),
    problems,
    asked: options.window,
    chosenBaseline: options.chosenBaseline,
  };
}

type ComparedSides = Pick<WindowStudy, "window" | "baseline" | "problems">;

/** Both sides of one system, with the same choice of traces; without a healthy time that has nothing to do with the window. */
function comparable(
  asked: WindowSums,
  healthy: WindowSums | null,
  about: WindowOptions["about"],
): ComparedSides {
  if (healthy === null) return { window: asked, baseline: null, problems: [] };
  const { isComparable, problems } = commonGround(asked, healthy);
  if (!isComparable) return { window: asked, baseline: null, problems };
  const sides = { window: asked, baseline: healthy };
  const { window, baseline } = about === undefined ? sides : ofOneSystem(asked, healthy, about);
  if (window.visits === null || baseline.visits === null) return { window, baseline, problems };
  const [before, after] = withUntoldFailures(...thinnedAlike(baseline.visits, window.visits));
  return { window: withVisits(window, after), baseline: withVisits(baseline, before), problems };
}

function withVisits(sums: WindowSums, visits: VisitSums): WindowSums {
  if (visits === sums.visits) return sums;
  const isKept = keepsLines(visits);
  const byTrace = new Map([...sums.logLines.byTrace].filter(([traceId]) => isKept(traceId)));
  const lines = [...byTrace.values()].reduce((sum, own) => sum + own.length, 0);
  return { ...sums, visits, logLines: { byTrace, lines } };
}

/** What a study says, in one language. */
export function windowReport(study: WindowStudy, language: Language): WindowReport {
  const { window, baseline, evidence, suffering, structural, failedService, reach } = study;
  const { asked, chosenBaseline } = study;
  const { scope } = window;
  const { candidates, confidence, entries, requests, excessFailed, failedAside, onsets } = evidence;
  const base = structuralReport(structural.result, language);
  const slowest = suffering.find(({ addedNanos }) => addedNanos > 0);
  const onsetOrder = onsetOrderOf(onsets);
  return {
    window: windowJson(scope, asked),
    baseline: baseline === null ? null : baselineJson(baseline.scope, chosenBaseline, language),
    verdict: windowVerdict(
      {
        requests,
        failed: orderlessSum(entries.map(({ entry }) => entry.cell.failed)),
        usualFailed: baseline === null ? null : orderlessSum(entries.map(({ usualFailed }) => usualFailed)),
        excessFailed,
        failedAside,
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
    ...reach,
    blast_radius: base.cascade_analysis.blast_radius,
    service_states: failedService === "" ? new Map() : base.service_states,
    dependency_graph: graphJson(scope),
    onset_order: onsetOrder,
    recommendations: base.recommendations,
    advice: adviceJson(study, language),
    exemplar_trace_ids: study.exemplarTraceIds,
    totals: {
      spans: scope.totals.spans,
      traces: scope.totals.traces,
      services: scope.red.services.filter((name) => !scope.red.isInferred(name)).length,
    },
    problems: problemsIn(
      language,
      mergeProblems([...scope.problems, ...study.problems, ...thinnedProblems(window.visits)]),
    ),
  };
}

/** The first candidate, and those that are nearly as strong. */
function strongOf(candidates: readonly Candidate[]): readonly Candidate[] {
  const scoreMin = adviceRule.scoreShareMin * (candidates[0]?.score ?? 0);
  return candidates.filter(({ score }) => score >= scoreMin);
}

/** What is slow, or short of something, because more is asked of it than before is overloaded. */
function withOverload(candidate: Candidate, remedies: readonly Remedy[]): Candidate {
  const isShort = candidate.kind === "latency" || candidate.kind === "saturation";
  const isAskedMore = remedies.some(({ kind, about }) => kind === "capacity" && about === candidate.service);
  return isShort && isAskedMore ? { ...candidate, kind: "overload" } : candidate;
}

function remediesOf(
  candidates: readonly Candidate[],
  window: WindowSums,
  baseline: WindowSums | null,
): readonly Remedy[] {
  const [before, after] = [baseline?.visits ?? null, window.visits];
  if (before === null || after === null) return [];
  const isDatabase = (service: string): boolean => window.scope.graph.nodeKinds.get(service) === "database";
  return strongOf(candidates).flatMap((candidate) =>
    windowRemedies(candidate, { before, after, isDatabase: isDatabase(candidate.service) }),
  );
}

/** What to do about the first candidate, and about those that are nearly as strong. */
function adviceJson({ evidence, remedies, window }: WindowStudy, language: Language): readonly AdviceJson[] {
  const candidates = strongOf(evidence.candidates);
  return adviceFor({ candidates, remedies }, language).map(({ traceIds, ...advice }) => ({
    ...advice,
    spans: [],
    traces: traceIds.length > 0 ? traceIds : (window.blame.failures.get(advice.service)?.exemplars ?? []),
  }));
}

function thinnedProblems(visits: VisitSums | null): readonly Problem[] {
  const count = visits?.omittedTraces ?? 0;
  if (count === 0) return [];
  const message =
    "There are more visits of services than are compared with the baseline: traces of frequent requests were left out, only from that comparison";
  return [{ kind: "overflow", message, count, spans: [] }];
}

/** What logs and metrics say; of metrics only those of services that traces know, for others cannot be placed. */
function otherSignals(window: WindowSums, baseline: WindowSums | null): OtherSignals {
  const { red, graph } = window.scope;
  const known = new Set([...red.services, ...graph.nodeKinds.keys()]);
  const metrics: SignalFindings = new Map(
    [...metricSignal(window.metrics, baseline?.metrics ?? null)].filter(([service]) => known.has(service)),
  );
  const hasLines = window.logLines.lines > 0 && (baseline?.logLines.lines ?? 0) > 0;
  if (baseline === null || !hasLines) return { metrics };
  return { metrics, logLines: { baseline: baseline.logLines, window: window.logLines } };
}

function slowestEntry({ entry, addedNanos }: EntryFinding): WindowOutcome["slowest"] {
  const { service, operation, meanNanos } = entry;
  return { service, operation, beforeNanos: meanNanos - addedNanos, afterNanos: meanNanos };
}

function windowJson({ totals }: Scope, asked: WindowOptions["window"]): WindowReport["window"] {
  const from = asked?.from ?? totals.from ?? (0n as UnixNanos);
  const to = asked?.to ?? totals.to ?? (0n as UnixNanos);
  return { from: formatTime(from), to: formatTime(to) };
}

function baselineJson(
  scope: Scope,
  chosen: ChosenBaseline | undefined,
  language: Language,
): WindowReport["baseline"] {
  if (chosen === undefined) return windowJson(scope, undefined);
  return { ...windowJson(scope, chosen.bounds), reason: baselineText(chosen.choice, language) };
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

function onsetOrderOf(onsets: ReadonlyMap<string, number>): WindowReport["onset_order"] {
  return [...onsets]
    .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))
    .map(([service, minute]) => ({ service, onset: formatTime(startOfMinute(minute)) }));
}

/** Traces in which failures began at a candidate, or else those that show what else speaks for it. */
function exemplarsInAll(
  candidates: readonly Candidate[],
  { blame, visits, logLines }: WindowSums,
): readonly string[] {
  const ids = candidates.flatMap((candidate) => {
    const failed = blame.failures.get(candidate.service)?.exemplars ?? [];
    if (failed.length > 0 || visits === null) return failed;
    return exemplarsOf(candidate, { visits, lines: logLines });
  });
  return [...new Set(ids)].slice(0, exemplarsInAllMax);
}
