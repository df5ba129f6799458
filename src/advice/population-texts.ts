import { chanceOfG, type Share } from "../base/count-test.ts";
import type { EvidenceFact, SlowerFact, SymptomFact } from "../cascade/candidate.ts";
import type { Tail } from "../cascade/shift.ts";
import { chanceText, rounded } from "./chance-texts.ts";
import type { FactText } from "./evidence-texts.ts";
import { formatCount, formatDuration, formatPercent } from "./format-duration.ts";

/** What became slower, and the part that did most: now and usually, and how rare that is by chance. */
export function slowerText(fact: SlowerFact, ko: boolean): FactText {
  const { z, slower, series, beforeNanos, afterNanos, tail } = fact;
  const chance = chanceOfG(z * z);
  const notes = [chanceText(chance, ko)];
  if (series > 1)
    notes.unshift(
      ko ? `비교 ${series}건 중 ${slower}건 지연` : `slower in ${slower} of ${series} comparisons`,
    );
  const change = tail === null ? medianText(fact, ko) : tailText(fact, tail, ko);
  return {
    statement: `${slowerClaim(fact, ko)}; ${change} (${notes.join("; ")})`,
    value: afterNanos / 1_000_000,
    baseline: beforeNanos / 1_000_000,
    chance: rounded(chance),
    z: rounded(z),
    slower,
    compared: series,
  };
}

function medianText(fact: SlowerFact, ko: boolean): string {
  const [usual, now] = [fact.beforeNanos, fact.afterNanos].map(formatDuration);
  const largest = largestText(fact, ko);
  return ko
    ? `${largest} 중앙값 ${now}, 평소 ${usual}`
    : `half of all ${largest} take ${now} or more, usually ${usual}`;
}

/** The same without what it rests on. */
export function slowerClaim(fact: SlowerFact, ko: boolean): string {
  const added = formatDuration(fact.addedNanos);
  return ko
    ? `${roleText(fact, ko)} 요청당 평균 ${added} 증가`
    : `${roleText(fact, ko)} ${added} to each request on average`;
}

function tailText(fact: SlowerFact, { limitNanos, before, after }: Tail, ko: boolean): string {
  const [limit, largest] = [formatDuration(limitNanos), largestText(fact, ko)];
  return ko
    ? `${largest} ${shareText(after, ko)}이 ${limit} 초과, 평소 ${shareText(before, ko)}`
    : `${shareText(after, ko)} ${largest} take longer than ${limit}, usually ${shareText(before, ko)}`;
}

function roleText({ role, isMessage, isPeer, service }: SlowerFact, ko: boolean): string {
  if (isMessage)
    return ko ? `메시지가 ${service}의 처리를 기다리는 시간:` : `messages that wait for ${service} add`;
  if (role === "own") return ko ? "자체 처리 시간:" : "its own work adds";
  if (role === "called" && isPeer) return ko ? "이 대상으로의 호출 시간:" : "calls to it add";
  if (role === "called")
    return ko ? "이 서비스로의 호출 구간(네트워크, 대기열):" : "the way of calls to it (network, queue) adds";
  return ko
    ? "이 서비스에서 나가는 호출 구간(네트워크, 대기열):"
    : "the way of its calls (network, queue) adds";
}

function largestText({ role, caller, callee, operation }: SlowerFact, ko: boolean): string {
  if (role === "own") return operation;
  return ko ? `${caller} → ${callee} ${operation} 호출` : `calls ${caller} → ${callee} ${operation}`;
}

/** What requests show more or less often, with both counts, and whether something below them does too. */
export function symptomText(fact: SymptomFact, ko: boolean): FactText {
  const { before, after, g, leaf } = fact;
  const chance = chanceOfG(Math.abs(g));
  return {
    statement: `${symptomClaim(fact, ko)} (${chanceText(chance, ko)}; ${belowText(leaf, ko)})`,
    value: shareOf(after),
    baseline: shareOf(before),
    chance: rounded(chance),
    g: rounded(g),
    leaf_share: rounded(leaf),
  };
}

function belowText(leaf: number, ko: boolean): string {
  if (leaf > 0.995) return ko ? "하위 호출은 정상" : "nothing unusual below it";
  if (leaf < 0.005) return ko ? "하위 호출에도 매번 이상" : "something unusual below it each time";
  const share = formatPercent(leaf);
  return ko ? `그중 ${share}은 하위 호출 정상` : `nothing unusual below ${share} of them`;
}

/** The same without what it rests on. */
export function symptomClaim(fact: SymptomFact, ko: boolean): string {
  const { operation, before, after, g } = fact;
  const often = ko ? (g > 0 ? "증가" : "감소") : g > 0 ? "more often" : "less often";
  const [now, usual] = [shareText(after, ko), shareText(before, ko)];
  const requests =
    operation === "*" ? (ko ? "요청 " : "requests") : ko ? `${operation} 요청 ` : `${operation} requests`;
  return ko
    ? `${labelText(fact, ko)} ${often}: ${requests}${now}, 평소 ${usual}`
    : `${labelText(fact, ko)} ${often}: in ${now} ${requests}, usually in ${usual}`;
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
  const [now, usual] = [shareText(after, ko), shareText(before, ko)];
  const what = ko
    ? signal === "logs"
      ? "평소에도 있던 오류 로그"
      : "평소에도 있던 오류 단계"
    : signal === "logs"
      ? "error lines that are usual elsewhere"
      : "error steps that are usual elsewhere";
  return {
    statement: ko
      ? `${what} 증가: ${operation} 요청 ${now}, 평소 ${usual}`
      : `${what} gather here: in ${now} ${operation} requests, usually in ${usual}`,
    value: shareOf(after),
    baseline: shareOf(before),
  };
}

type StopFact = Extract<EvidenceFact, { kind: "stops_after" }>;

export function stopText({ caller, service, operation, before, after }: StopFact, ko: boolean): FactText {
  const [now, usual] = [shareText(after, ko), shareText(before, ko)];
  return {
    statement: ko
      ? `${caller}의 요청이 ${service} ${operation} 호출 뒤 중단: ${now}, 평소 ${usual}`
      : `${now} requests of ${caller} do nothing more after ${service} ${operation}, usually ${usual}`,
    value: shareOf(after),
    baseline: shareOf(before),
  };
}

/** "58 of 61" */
function shareText({ count, of }: Share, ko: boolean): string {
  return ko
    ? `${formatCount(of)}건 중 ${formatCount(count)}건`
    : `${formatCount(count)} of ${formatCount(of)}`;
}

function shareOf({ count, of }: Share): number {
  return of === 0 ? 0 : count / of;
}
