import { signedG } from "../base/count-test.ts";
import { Interner } from "../base/interner.ts";
import { mapEntry } from "../base/map-entry.ts";
import type { ServiceGraph } from "../graph/service-graph.ts";
import {
  addedLatencyShareMin,
  adviceRule,
  amountStrength,
  baselineRequestsMin,
  candidateCountMax,
  excessTestMin,
  factCountMax,
  falseAlarmsMax,
  hintConfidenceMax,
  hintScoreMin,
  latencyTestMin,
  marginOf,
  mixShift,
  nearLimitShare,
  rightByScore,
  unreferencedErrorRatio,
  usualRequestsMin,
} from "../model/scoring.ts";
import { contrastFacts } from "./attribute-contrast.ts";
import type { BlameSums, EntrySums } from "./blame.ts";
import { entryKey } from "./blame.ts";
import type { Candidate, EvidenceFact } from "./candidate.ts";
import { errorSignal, requestsOf, significantExcess } from "./error-signal.ts";
import { type FusedFinding, factsOf, fuse } from "./fusion.ts";
import { latencySideOf } from "./latency-series.ts";
import { latencySignal } from "./latency-signal.ts";
import { logSignal } from "./log-signal.ts";
import { resolveBlame } from "./resolve-blame.ts";
import {
  type LogLines,
  type SignalFindings,
  type SignalName,
  type SignalResult,
  withoutTest,
} from "./signals.ts";
import { instanceKey } from "./split-sets.ts";
import { structureSignal } from "./structure-signal.ts";
import { requestsByTrace } from "./thinned-alike.ts";
import type { VisitSums } from "./visit-rollup.ts";

/** What the evidence engine says of many traces, against a healthy time where there is one. */
export interface WindowEvidence {
  /** by score, then name; empty = nothing significant */
  readonly candidates: readonly Candidate[];
  readonly confidence: number | null;
  readonly entries: readonly EntryFinding[];
  readonly requests: number;
  /** failures that nobody hid, beyond what is usual; 0 where that may be chance */
  readonly excessFailed: number;
  /** of such services, failures in work that no request waited for */
  readonly failedAside: number;
  /** service -> minute in which its failures first exceeded what was to be expected */
  readonly onsets: ReadonlyMap<string, number>;
}

/** What traces of one window add up to. */
export interface WindowTraces {
  readonly blame: BlameSums;
  /** null where nothing is compared */
  readonly visits: VisitSums | null;
}

/** Telemetry beside traces that says something about a window. */
export interface OtherSignals {
  readonly metrics?: SignalFindings;
  /** of the healthy time and of the window */
  readonly logLines?: { readonly baseline: LogLines; readonly window: LogLines };
}

export interface WindowQuestion extends OtherSignals {
  readonly window: WindowTraces;
  /** a healthy time, null where none is known */
  readonly baseline: WindowTraces | null;
  /** whether so many of a service's own requests fail that it is unhealthy by itself */
  readonly isFailing: (service: string) => boolean;
  /** of the window */
  readonly graph: ServiceGraph;
}

/** How one entry operation fared. */
export interface EntryFinding {
  readonly entry: EntrySums;
  /** how many would fail in a healthy time */
  readonly usualFailed: number;
  /** failed requests beyond that; 0 where not significant */
  readonly excessFailed: number;
  /** growth of the mean latency; 0 where not significant or nothing to compare with */
  readonly addedNanos: number;
}

/**
 * Ranks services by what all signals say of them: failures that began at them, request by request, and what only two
 * populations can tell, which of their times, steps, resources and log lines changed. Without anything that many
 * comparisons would not show by chance there are no candidates.
 */
export function windowEvidence(question: WindowQuestion): WindowEvidence {
  const { sums, unreached } = resolveBlame(question.window.blame, question.graph);
  const baseline = question.baseline?.blame ?? null;
  const entries = [...sums.entries.values()].map((entry) => findingOf(entry, baseline));
  const { isFailing } = question;
  const trafficRatioOf = trafficRatios(question.baseline?.visits ?? null, question.window.visits);
  // visits may be missing where nothing is compared: then they must not tell either
  const hasInstances = severalInstances(question.baseline === null ? null : question.window.visits);
  const errors = errorSignal({ sums, unreached, baseline, isFailing, trafficRatioOf, hasInstances });
  const signals = {
    ...comparedSignals(question, errors.findings),
    errors,
  };
  const fused = fuse(findingsOf(signals));
  const margin = surestMargin(fused, signals);
  const listed = margin >= marginOf(falseAlarmsMax.hint) ? fused.slice(0, candidateCountMax) : [];
  const scoreMin = adviceRule.scoreShareMin * (listed[0]?.score ?? 0);
  const candidates = listed.map((each) =>
    candidateOf(each, each.score >= scoreMin ? contrastOf(each, question) : []),
  );
  return {
    candidates,
    confidence: confidenceOf(candidates, margin, sums),
    entries,
    requests: requestsOf(sums),
    excessFailed: errors.excessFailed,
    failedAside: errors.failedAside,
    onsets: errors.onsets,
  };
}

/** Which requests of a service it is about, where two populations can tell. */
function contrastOf(
  { service }: FusedFinding,
  { window, baseline }: WindowQuestion,
): readonly EvidenceFact[] {
  const before = baseline?.visits ?? null;
  return before === null || window.visits === null ? [] : contrastFacts(service, before, window.visits);
}

type Signals = Partial<Readonly<Record<SignalName, SignalResult>>>;

/** What two populations tell. Failures cut requests short and make callers wait; where they are found, they are told once. */
function comparedSignals(
  { window, baseline, metrics, logLines }: WindowQuestion,
  blamed: SignalFindings,
): Signals {
  const hasErrors = blamed.size > 0;
  const [before, after] = [baseline?.visits ?? null, window.visits];
  if (before === null || after === null) return metrics === undefined ? {} : { metrics: judged(metrics) };
  const options = { withFailed: !hasErrors, byEntry: hasOtherMix(before, after) };
  const latency = latencySignal(latencySideOf(before, options), latencySideOf(after, options));
  const others = metrics === undefined ? {} : { metrics: judged(withoutQueues(metrics, latency.findings)) };
  const structure = structureSignal(before, after, { withStatus: !hasErrors, blamed });
  if (logLines === undefined) return { ...others, latency, structure };
  const logs = logSignal(
    { visits: before, lines: logLines.baseline },
    { visits: after, lines: logLines.window },
    { blamed },
  );
  return { ...others, latency, structure, logs };
}

/** By service (or peer), requests of the window for one of the healthy time; null where there are too few. */
function trafficRatios(
  before: VisitSums | null,
  after: VisitSums | null,
): (service: string) => number | null {
  if (before === null || after === null) return () => null;
  const [was, is] = [trafficOf(before), trafficOf(after)];
  return (service) => {
    const [x, y] = [was.get(service) ?? noTraffic, is.get(service) ?? noTraffic];
    return Math.min(x.rows, y.rows) < baselineRequestsMin ? null : y.requests / x.requests;
  };
}

interface Traffic {
  rows: number;
  /** that they stand for */
  requests: number;
}

const noTraffic: Readonly<Traffic> = { rows: 0, requests: 0 };

/** Visits of each service, and calls to it that no span answers. */
function trafficOf(sums: VisitSums): ReadonlyMap<string, Readonly<Traffic>> {
  const { visits, operations, calls, callNames } = sums;
  const standFor = requestsByTrace(sums);
  const ofOperations = operations.map(() => ({ ...noTraffic }));
  const ofCalls = callNames.map(() => ({ ...noTraffic }));
  const add = (own: Traffic, visit: number): void => {
    own.rows += 1;
    own.requests += standFor[visits.trace[visit] as number] as number;
  };
  for (let row = 0; row < visits.operation.length; row += 1)
    add(ofOperations[visits.operation[row] as number] as Traffic, row);
  for (let row = 0; row < calls.name.length; row += 1)
    add(ofCalls[calls.name[row] as number] as Traffic, calls.callerVisit[row] as number);
  const traffic = new Map<string, Traffic>();
  const put = (service: string, { rows, requests }: Traffic): void => {
    const own = mapEntry(traffic, service, () => ({ ...noTraffic }));
    own.rows += rows;
    own.requests += requests;
  };
  for (const [place, { service }] of operations.entries()) put(service, ofOperations[place] as Traffic);
  for (const [place, { kind, callee }] of callNames.entries())
    if (kind === "peer") put(callee, ofCalls[place] as Traffic);
  return traffic;
}

/** Whether visits of a service went to more than one instance; false where visits are not known. */
function severalInstances(sums: VisitSums | null): (service: string) => boolean {
  if (sums === null) return () => false;
  const { visits, operations, instances } = sums;
  const services = new Interner();
  const serviceOf = Int32Array.from(operations, ({ service }) => services.idOf(service));
  const unknown = instances.indexOf("");
  const first = new Int32Array(services.texts.length).fill(-1);
  const hasSeveral = new Uint8Array(services.texts.length);
  for (let row = 0; row < visits.instance.length; row += 1) {
    const instance = visits.instance[row] as number;
    if (instance === unknown) continue;
    const service = serviceOf[visits.operation[row] as number] as number;
    if (first[service] === -1) first[service] = instance;
    else if (first[service] !== instance) hasSeveral[service] = 1;
  }
  const several = new Set(services.texts.filter((_, service) => hasSeveral[service] === 1));
  return (service) => several.has(service);
}

/** Whether the shares of the operations at which requests come in have changed: then each is compared with itself. */
function hasOtherMix(before: VisitSums, after: VisitSums): boolean {
  const [was, is] = [entryCounts(before), entryCounts(after)];
  return [...new Set([...was.counts.keys(), ...is.counts.keys()])].some((entry) => {
    const shares = {
      before: { count: was.counts.get(entry) ?? 0, of: was.all },
      after: { count: is.counts.get(entry) ?? 0, of: is.all },
    };
    const [x, y] = [shares.before.count / shares.before.of, shares.after.count / shares.after.of];
    return (
      Math.abs(y - x) > mixShift.shareMin * x &&
      Math.abs(signedG(shares.before, shares.after)) >= mixShift.testMin
    );
  });
}

function entryCounts({ visits, operations }: VisitSums): {
  readonly counts: ReadonlyMap<string, number>;
  readonly all: number;
} {
  const counted = new Float64Array(operations.length);
  let all = 0;
  for (let row = 0; row < visits.parent.length; row += 1) {
    if ((visits.parent[row] as number) >= 0) continue;
    const place = visits.operation[row] as number;
    counted[place] = (counted[place] as number) + 1;
    all += 1;
  }
  const counts = new Map<string, number>();
  for (const [place, { service, operation }] of operations.entries())
    if (counted[place] !== 0) counts.set(entryKey(service, operation), counted[place] as number);
  return { counts, all };
}

/** Who waits longer for others needs more connections and threads for it: that is no shortage of its own. */
function withoutQueues(metrics: SignalFindings, latency: SignalFindings): SignalFindings {
  const isWaiting = (service: string): boolean =>
    latency
      .get(service)
      ?.evidence.some((fact) => fact.kind === "became_slower" && fact.role === "calling") === true;
  const isQueue = (fact: EvidenceFact): boolean =>
    fact.kind === "metric_rise" && (fact.resource === "connections" || fact.resource === "threads");
  return new Map(
    [...metrics].filter(([service, { evidence }]) => !(evidence.every(isQueue) && isWaiting(service))),
  );
}

/** A rise of a metric proves nothing by itself, unless it comes near the limit, or work piles up as it never did. */
function judged(findings: SignalFindings): SignalResult {
  const isNearLimit = (fact: EvidenceFact): boolean =>
    fact.kind === "metric_rise" && fact.isShare && fact.after >= nearLimitShare;
  const sure = [...findings].filter(
    ([, { strength, evidence }]) =>
      evidence.some(isNearLimit) ||
      (strength >= amountStrength.pressure && evidence[0]?.kind === "metric_rise" && !evidence[0].isShare),
  );
  return { findings, margins: new Map(sure.map(([service]) => [service, withoutTest])) };
}

function findingsOf(signals: Signals): Partial<Record<SignalName, SignalFindings>> {
  return Object.fromEntries(Object.entries(signals).map(([name, { findings }]) => [name, findings]));
}

/** How sure it is that anything is wrong at all: of the signal that is surest, of all that matter to anybody. */
function surestMargin(fused: readonly FusedFinding[], signals: Signals): number {
  let margin = Number.NEGATIVE_INFINITY;
  for (const { service, terms } of fused)
    for (const { signal, part } of terms)
      if (part >= hintScoreMin) margin = Math.max(margin, signals[signal]?.margins.get(service) ?? margin);
  return margin;
}

function findingOf(entry: EntrySums, baseline: BlameSums | null): EntryFinding {
  const before = baseline?.entries.get(entryKey(entry.service, entry.operation));
  const { requests, failed } = entry.cell;
  const usualRatio = baseline === null ? unreferencedErrorRatio : (before?.cell.errorRatio ?? 0);
  const usualFailed = requests * usualRatio;
  const excessFailed = significantExcess(failed, usualFailed, excessTestMin);
  const isComparable =
    before !== undefined && before.finished >= usualRequestsMin && entry.finished >= usualRequestsMin;
  const addedNanos = isComparable ? significantlyAdded(entry, before) : 0;
  return { entry, usualFailed, excessFailed, addedNanos };
}

/** Welch's test of the means; 0 where the difference may be chance or too small to notice. */
function significantlyAdded(entry: EntrySums, before: EntrySums): number {
  const added = entry.meanNanos - before.meanNanos;
  const error = Math.sqrt(entry.varianceNanos2 / entry.finished + before.varianceNanos2 / before.finished);
  return added > before.meanNanos * addedLatencyShareMin && added > error * latencyTestMin ? added : 0;
}

/** The strongest signal says what sort of fault it is, and where the others are silent, the next one. */
function candidateOf(fused: FusedFinding, contrast: readonly EvidenceFact[]): Candidate {
  const findings = fused.terms.map(({ finding }) => finding);
  const place = findings.find(({ operation, edge }) => operation !== null || edge !== null);
  const [first, ...others] = factsOf(fused);
  return {
    service: fused.service,
    kind: findings[0]?.kind ?? "error",
    score: fused.score,
    operation: place?.operation ?? null,
    instance: instanceOf(contrast) ?? findings.find(({ instance }) => instance !== null)?.instance ?? null,
    edge: place?.edge ?? null,
    evidence: [...(first === undefined ? [] : [first]), ...contrast, ...others].slice(0, factCountMax),
  };
}

/** The instance that requests in trouble have in common, or that is gone. */
function instanceOf(contrast: readonly EvidenceFact[]): string | null {
  for (const fact of contrast) {
    if (fact.kind === "gone_instance") return fact.instance;
    if (fact.kind !== "only_where") continue;
    const values = fact.where.flatMap((each) => [each, ...each.alike]);
    const instance = values.find(({ key }) => key === instanceKey);
    if (instance !== undefined) return instance.value;
  }
  return null;
}

/** How often such an answer is right; candidates that are as strong share that. What may be chance stays below a verdict. */
function confidenceOf(
  candidates: readonly Candidate[],
  margin: number,
  { completeness }: BlameSums,
): number | null {
  const score = candidates[0]?.score;
  if (score === undefined) return null;
  const equals = candidates.filter((candidate) => candidate.score === score).length;
  const most = margin >= marginOf(falseAlarmsMax.finding) ? 1 : hintConfidenceMax;
  return Math.round(Math.min(most, (calibrated(score) / equals) * completeness) * 1000) / 1000;
}

function calibrated(score: number): number {
  const above = rightByScore.findIndex(([from]) => from > score);
  const [lower, upper] = [rightByScore.at(above < 0 ? -1 : above - 1), rightByScore[above]];
  if (lower === undefined || upper === undefined) return lower?.[1] ?? 0;
  return lower[1] + ((score - lower[0]) / (upper[0] - lower[0])) * (upper[1] - lower[1]);
}
