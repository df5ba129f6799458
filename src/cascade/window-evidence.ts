import { signedG } from "../base/count-test.ts";
import { contrastFacts } from "./attribute-contrast.ts";
import type { BlameSums, EntrySums } from "./blame.ts";
import { entryKey } from "./blame.ts";
import type { Candidate, EvidenceFact } from "./candidate.ts";
import { errorSignal, requestsOf, significantExcess } from "./error-signal.ts";
import { type FusedFinding, factsOf, fuse } from "./fusion.ts";
import { latencySideOf } from "./latency-series.ts";
import { latencySignal } from "./latency-signal.ts";
import { logSignal } from "./log-signal.ts";
import {
  addedLatencyShareMin,
  adviceRule,
  candidateCountMax,
  excessTestMin,
  factCountMax,
  hintConfidenceMax,
  hintScoreMin,
  latencyTestMin,
  marginMin,
  mixShift,
  unreferencedErrorRatio,
  usualRequestsMin,
  windowConfidenceMax,
} from "./scoring.ts";
import type { LogLines, SignalFindings, SignalName, SignalResult } from "./signals.ts";
import { instanceKey } from "./split-sets.ts";
import { structureSignal } from "./structure-signal.ts";
import type { VisitSums } from "./visit-rollup.ts";

/** What the evidence engine says of many traces, against a healthy time where there is one. */
export interface WindowEvidence {
  /** by score, then name; empty = nothing significant */
  readonly candidates: readonly Candidate[];
  readonly confidence: number | null;
  readonly entries: readonly EntryFinding[];
  readonly requests: number;
  readonly excessFailed: number;
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
}

/** How one entry operation fared. */
export interface EntryFinding {
  readonly entry: EntrySums;
  /** failed requests beyond the expected number; 0 where not significant */
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
  const sums = question.window.blame;
  const baseline = question.baseline?.blame ?? null;
  const entries = [...sums.entries.values()].map((entry) => findingOf(entry, baseline));
  const errors = errorSignal({ sums, baseline, isFailing: question.isFailing });
  const signals = {
    ...comparedSignals(question, errors.findings.size > 0),
    errors: certain(errors.findings),
  };
  const fused = fuse(findingsOf(signals));
  const margin = marginOf(fused[0], signals);
  const isHint = margin >= marginMin.hint && (fused[0]?.score ?? 0) >= hintScoreMin;
  const listed = isHint ? fused.slice(0, candidateCountMax) : [];
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
  hasErrors: boolean,
): Signals {
  const [before, after] = [baseline?.visits ?? null, window.visits];
  const others = metrics === undefined ? {} : { metrics: certain(metrics) };
  if (before === null || after === null) return others;
  const options = { withFailed: !hasErrors, byEntry: hasOtherMix(before, after) };
  const latency = latencySignal(latencySideOf(before, options), latencySideOf(after, options));
  const structure = structureSignal(before, after, { withStatus: !hasErrors });
  if (logLines === undefined) return { ...others, latency, structure };
  const logs = logSignal(
    { visits: before, lines: logLines.baseline },
    { visits: after, lines: logLines.window },
  );
  return { ...others, latency, structure, logs };
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
  const counts = new Map<string, number>();
  let all = 0;
  for (let row = 0; row < visits.parent.length; row += 1) {
    const at = operations[visits.operation[row] as number];
    if ((visits.parent[row] as number) >= 0 || at === undefined) continue;
    const key = entryKey(at.service, at.operation);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    all += 1;
  }
  return { counts, all };
}

/** Of findings that were tested before. */
function certain(findings: SignalFindings): SignalResult {
  return { findings, margins: new Map([...findings.keys()].map((service) => [service, marginMin.finding])) };
}

function findingsOf(signals: Signals): Partial<Record<SignalName, SignalFindings>> {
  return Object.fromEntries(Object.entries(signals).map(([name, { findings }]) => [name, findings]));
}

/** Of the signal that is surest of the first service. */
function marginOf(first: FusedFinding | undefined, signals: Signals): number {
  const none = Number.NEGATIVE_INFINITY;
  if (first === undefined) return none;
  return Math.max(...first.terms.map(({ signal }) => signals[signal]?.margins.get(first.service) ?? none));
}

function findingOf(entry: EntrySums, baseline: BlameSums | null): EntryFinding {
  const before = baseline?.entries.get(entryKey(entry.service, entry.operation));
  const { requests, failed } = entry.cell;
  const usualRatio = baseline === null ? unreferencedErrorRatio : (before?.cell.errorRatio ?? 0);
  const excessFailed = significantExcess(failed, requests * usualRatio, excessTestMin);
  const isComparable =
    before !== undefined && before.finished >= usualRequestsMin && entry.finished >= usualRequestsMin;
  const addedNanos = isComparable ? significantlyAdded(entry, before) : 0;
  return { entry, excessFailed, addedNanos };
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

/**
 * The score of the first candidate, which those share that are as strong; of what may be chance it stays below a verdict.
 * Not calibrated: it is no probability.
 */
function confidenceOf(
  candidates: readonly Candidate[],
  margin: number,
  { completeness }: BlameSums,
): number | null {
  const score = candidates[0]?.score;
  if (score === undefined) return null;
  const equals = candidates.filter((candidate) => candidate.score === score).length;
  const most = margin >= marginMin.finding ? windowConfidenceMax : hintConfidenceMax;
  return Math.round(Math.min(most, (score / equals) * completeness) * 1000) / 1000;
}
