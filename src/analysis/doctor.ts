import { type FindingId, findingText, type Severity, severityOf } from "../advice/doctor-texts.ts";
import { problemsIn } from "../advice/problem-texts.ts";
import type { Language } from "../advice/structural-texts.ts";
import { compareText } from "../base/compare-text.ts";
import { mergeProblems, type Problem } from "../model/problems.ts";
import { findingPenalty } from "../model/scoring.ts";
import type { RowRef, Trace } from "../trace/trace.ts";
import { arrivalFindings, type Finding, findingsOf, findingsOfAll, shareOf } from "./doctor-findings.ts";
import { DoctorSums, type Place } from "./doctor-sums.ts";
import { examineTrace } from "./doctor-trace.ts";

/** One thing that is wrong with the instrumentation of a service. */
export interface FindingJson {
  readonly id: FindingId;
  readonly severity: Severity;
  /** null = it concerns all services together */
  readonly service: string | null;
  /** how many of `of` are affected; `share` = count / of */
  readonly count: number;
  readonly of: number;
  readonly share: number;
  readonly statement: string;
  readonly fix: string;
  /** names, hosts or patterns that belong to it */
  readonly details: readonly string[];
  /** where to look: the places with the smallest ids */
  readonly evidence: readonly Place[];
}

export interface DoctorServiceJson {
  readonly service: string;
  /** 0..100 */
  readonly score: number;
  readonly spans: number;
  readonly critical: number;
  readonly warnings: number;
  readonly infos: number;
}

export interface DoctorReport {
  /** 0..100, null where there is no span */
  readonly score: number | null;
  readonly totals: { readonly spans: number; readonly traces: number; readonly services: number };
  /** the lowest score first */
  readonly services: readonly DoctorServiceJson[];
  /** the most severe first, and of these the most frequent */
  readonly findings: readonly FindingJson[];
  /** what was wrong with the input itself */
  readonly problems: readonly Problem[];
}

/**
 * What is wrong with the instrumentation of services, from any traces in any order: the same set gives the same report. Traces
 * have to be named as reports name them (assembled with a directory that has seen all of them).
 *
 * The score of a service is 100 x the product of (1 - penalty x share) over its findings, with `findingPenalty` by severity. The
 * score of all is the mean of the services, each counting the same because a gap in one tears the traces of all, times the
 * same product over the findings that concern all services together. Both are rounded.
 */
export class DoctorRollup {
  readonly #sums = new DoctorSums();

  /** `rows` = what the trace was put together from: repeats are not in its spans any more. */
  add(trace: Trace, rows: readonly RowRef[]): void {
    examineTrace(this.#sums, trace, rows);
  }

  report(language: Language, problems: Iterable<Problem> = []): DoctorReport {
    const sums = this.#sums;
    // who is only known from a call to it has sent nothing
    const services = sums.services.entries().filter(([, { spans }]) => spans > 0);
    const arrivals = arrivalFindings(sums, new Map(services));
    const ofAll = findingsOfAll(sums);
    const findings = [
      ...ofAll,
      ...services.flatMap(([name, service]) => [
        ...findingsOf(name, service),
        ...arrivals.filter((finding) => finding.service === name),
      ]),
    ];
    const listed = services.map(([name, { spans }]) =>
      serviceLine(
        name,
        spans,
        findings.filter(({ service }) => service === name),
      ),
    );
    return {
      score: scoreOfAll(listed, ofAll),
      totals: { spans: sums.spans, traces: sums.traces, services: services.length },
      services: listed.sort((a, b) => a.score - b.score || (a.service < b.service ? -1 : 1)),
      findings: findings.sort(compareFindings).map((finding) => findingJson(finding, language)),
      problems: problemsIn(language, mergeProblems(problems)),
    };
  }
}

function findingJson({ places, ...finding }: Finding, language: Language): FindingJson {
  const { id, service, count, of, details } = finding;
  return {
    id,
    severity: severityOf(id),
    service,
    count,
    of,
    share: shareOf(finding),
    ...findingText(finding, language),
    details,
    evidence: places.list(),
  };
}

function penaltyOf(finding: Finding): number {
  return findingPenalty[severityOf(finding.id)] * shareOf(finding);
}

function scoreOf(findings: readonly Finding[]): number {
  return Math.round(100 * findings.reduce((score, finding) => score * (1 - penaltyOf(finding)), 1));
}

function scoreOfAll(services: readonly DoctorServiceJson[], ofAll: readonly Finding[]): number | null {
  if (services.length === 0) return null;
  const mean = services.reduce((sum, { score }) => sum + score, 0) / services.length;
  return Math.round((mean * scoreOf(ofAll)) / 100);
}

function serviceLine(service: string, spans: number, findings: readonly Finding[]): DoctorServiceJson {
  const countOf = (severity: Severity) => findings.filter(({ id }) => severityOf(id) === severity).length;
  return {
    service,
    score: scoreOf(findings),
    spans,
    critical: countOf("critical"),
    warnings: countOf("warning"),
    infos: countOf("info"),
  };
}

const severityOrder: readonly Severity[] = ["critical", "warning", "info"];

function compareFindings(a: Finding, b: Finding): number {
  return (
    severityOrder.indexOf(severityOf(a.id)) - severityOrder.indexOf(severityOf(b.id)) ||
    shareOf(b) - shareOf(a) ||
    compareText(a.service ?? "", b.service ?? "") ||
    compareText(a.id, b.id)
  );
}
