import type { Share } from "../base/count-test.ts";
import type { EvidenceFact, SlowerFact, SymptomFact } from "../cascade/candidate.ts";
import type { Tail } from "../cascade/shift.ts";
import type { FactText } from "./evidence-texts.ts";
import { formatCount, formatDuration, formatPercent } from "./format-duration.ts";

/** What became slower, how much of it, and the part that did most: medians, and how many calls they are of. */
export function slowerText(fact: SlowerFact, ko: boolean): FactText {
  const [before, after] = [formatDuration(fact.beforeNanos), formatDuration(fact.afterNanos)];
  const counts = `${formatCount(fact.before)} → ${formatCount(fact.after)}`;
  const largest = largestText(fact);
  const parts = `${fact.slower}/${fact.series}`;
  const change =
    fact.tail === null
      ? ko
        ? `중앙값 ${before} → ${after}, ${counts}건`
        : `median ${before} → ${after}, ${counts} times`
      : tailText(fact.tail, ko);
  const z = `z ${fact.z.toFixed(1)}`;
  const details = ko
    ? `계열 ${parts}개 지연; 가장 큰 것은 ${largest}: ${change}, ${z}`
    : `${parts} series slower; largest ${largest}: ${change}, ${z}`;
  return {
    statement: `${slowerClaim(fact, ko)} (${details})`,
    value: fact.afterNanos / 1_000_000,
    baseline: fact.beforeNanos / 1_000_000,
  };
}

/** The same without what it rests on. */
export function slowerClaim(fact: SlowerFact, ko: boolean): string {
  const added = formatDuration(fact.addedNanos);
  return ko ? `${roleText(fact, ko)} 요청당 ${added} 증가` : `${roleText(fact, ko)} ${added} to each request`;
}

function tailText({ limitNanos, before, after }: Tail, ko: boolean): string {
  const limit = formatDuration(limitNanos);
  const shares = `${shareText(before)} → ${shareText(after)}`;
  return ko ? `${limit} 초과 ${shares}` : `longer than ${limit} ${shares}`;
}

function roleText({ role, isMessage, isPeer, service }: SlowerFact, ko: boolean): string {
  if (isMessage)
    return ko ? `메시지가 ${service}의 처리를 기다리는 시간:` : `messages that wait for ${service} add`;
  if (role === "own") return ko ? "자체 처리 시간:" : "its own work adds";
  if (role === "called" && isPeer) return ko ? "이 대상으로의 호출 시간:" : "calls to it add";
  if (role === "called") return ko ? "이 서비스로의 호출 구간:" : "the way of calls to it adds";
  return ko ? "이 서비스에서 나가는 호출 구간:" : "the way of its calls adds";
}

function largestText({ role, caller, callee, operation }: SlowerFact): string {
  return role === "own" ? operation : `${caller} → ${callee} ${operation}`;
}

/** What visits show more or less often, with both counts. */
export function symptomText(fact: SymptomFact, ko: boolean): FactText {
  const { before, after, g, leaf } = fact;
  const below = ko
    ? `하위에 증상 없음 ${formatPercent(leaf)}`
    : `${formatPercent(leaf)} without a symptom below`;
  return {
    statement: `${symptomClaim(fact, ko)} (G ${Math.abs(g).toFixed(0)}, ${below})`,
    value: shareOf(after),
    baseline: shareOf(before),
  };
}

/** The same without what it rests on. */
export function symptomClaim(fact: SymptomFact, ko: boolean): string {
  const { operation, before, after, g } = fact;
  const shares = `${shareText(before)} → ${shareText(after)}`;
  const often = ko ? (g > 0 ? "증가" : "감소") : g > 0 ? "more often" : "less often";
  const where = operation === "*" ? "" : ko ? `${operation}에서 ` : ` in ${operation}`;
  return ko
    ? `${where}${labelText(fact, ko)} ${often}: ${shares}`
    : `${labelText(fact, ko)} ${often}${where}: ${shares}`;
}

function labelText({ label, name, callee, service }: SymptomFact, ko: boolean): string {
  switch (label) {
    case "step":
      return ko ? `단계 '${name}'` : `step '${name}'`;
    case "call":
      return ko ? `${service}의 ${callee} ${name} 호출` : `call ${service} → ${callee} ${name}`;
    case "unanswered":
      return ko
        ? `응답 없는 ${service}의 ${callee} 호출(${name})`
        : `unanswered call ${service} → ${callee} (${name})`;
    case "message":
      return ko ? `${callee}의 메시지 처리(${name})` : `message worked on by ${callee} (${name})`;
    case "status":
      return ko ? "실패" : "failure";
    case "line":
      return ko ? `로그 '${name}'` : `log line '${name}'`;
  }
}

type TroublesFact = Extract<EvidenceFact, { kind: "more_troubles" }>;

export function troublesText({ operation, before, after, signal }: TroublesFact, ko: boolean): FactText {
  const shares = `${shareText(before)} → ${shareText(after)}`;
  const what = ko
    ? signal === "logs"
      ? "평소에도 있던 오류 로그"
      : "평소에도 있던 오류 단계"
    : signal === "logs"
      ? "error lines that are usual elsewhere"
      : "error steps that are usual elsewhere";
  return {
    statement: ko ? `${operation}에서 ${what} 증가: ${shares}` : `${what} gather in ${operation}: ${shares}`,
    value: shareOf(after),
    baseline: shareOf(before),
  };
}

type StopFact = Extract<EvidenceFact, { kind: "stops_after" }>;

export function stopText({ caller, service, operation, before, after }: StopFact, ko: boolean): FactText {
  const shares = `${shareText(before)} → ${shareText(after)}`;
  return {
    statement: ko
      ? `${caller}의 요청이 ${service} ${operation} 호출 뒤 중단: ${shares}`
      : `requests of ${caller} do nothing more after ${service} ${operation}: ${shares}`,
    value: shareOf(after),
    baseline: shareOf(before),
  };
}

function shareText({ count, of }: Share): string {
  return `${formatCount(count)}/${formatCount(of)}`;
}

function shareOf({ count, of }: Share): number {
  return of === 0 ? 0 : count / of;
}
