import type {
  Candidate,
  CauseKind,
  CertaintyBars,
  EvidenceFact,
  MetricRiseFact,
} from "../cascade/candidate.ts";
import type { UsualTime } from "../cascade/usual.ts";
import type { Resource } from "../metrics/resource-health.ts";
import { traceBars, windowBars } from "../model/scoring.ts";
import type { SpanError } from "../trace/semantics.ts";
import { rounded, type TestFigures } from "./chance-texts.ts";
import { contrastText, goneText } from "./contrast-texts.ts";
import { formatAmount, formatCount, formatDuration, formatPercent } from "./format-duration.ts";
import {
  slowerClaim,
  slowerText,
  stopText,
  symptomClaim,
  symptomText,
  troublesText,
} from "./population-texts.ts";
import type { Language } from "./structural-texts.ts";

/**
 * A fact as reports show it: the sentence, what was measured (ms, ratio or count, as the sentence says), and the raw figures of
 * the test that it rests on.
 */
export interface FactText extends TestFigures {
  readonly statement: string;
  readonly value: number | null;
  readonly baseline?: number;
}

export function factText(fact: EvidenceFact, language: Language): FactText {
  const ko = language === "ko";
  switch (fact.kind) {
    case "origin":
      return originText(fact, ko);
    case "retries_failed":
      return {
        statement: ko
          ? `같은 호출을 ${fact.attempts}번 시도했으나 모두 실패`
          : `the same call was tried ${fact.attempts} times and failed each time`,
        value: fact.attempts,
      };
    case "linked_failure":
      return { statement: linkedText(fact, ko), value: null };
    case "missing_step":
      return { statement: missingText(fact, ko), value: 0, baseline: fact.shown / fact.compared };
    case "hidden":
      return { statement: hiddenText(fact, ko), value: null };
    case "path_share":
      return {
        statement: ko
          ? `${fact.operation}에서 ${formatDuration(fact.selfNanos)} 동안 대기 (전체의 ${formatPercent(fact.share)})`
          : `the request waited ${formatDuration(fact.selfNanos)} for ${fact.operation} itself, ${formatPercent(fact.share)} of its time`,
        value: ms(fact.selfNanos),
      };
    case "instead":
      return { statement: insteadText(fact, ko), value: ms(fact.selfNanos) };
    case "slower_than_usual":
      return {
        statement: ko
          ? `${fact.operation}: ${formatDuration(fact.durationNanos)} 소요, ${usualText(fact.usual, ko)}`
          : `${fact.operation} took ${formatDuration(fact.durationNanos)}, ${usualText(fact.usual, ko)}`,
        value: ms(fact.durationNanos),
        baseline: ms(fact.usual.nanos),
      };
    case "call_gap":
      return callGapText(fact, ko);
    case "late_end":
      return { statement: lateEndText(fact, ko), value: null };
    case "reach":
      return { statement: reachText(fact, ko), value: null };
    case "either_end":
      return {
        statement: ko
          ? `${fact.edge.caller}와(과) ${fact.edge.callee} 중 어느 쪽 문제인지 이 연결만으로는 구분할 수 없음`
          : `nothing else tells which end of the connection is at fault, ${fact.edge.caller} or ${fact.edge.callee}`,
        value: null,
      };
    case "usual_failure":
      return {
        statement: ko
          ? `정상 시에도 ${fact.operation} 요청 ${formatCount(fact.requests)}건 중 ${formatPercent(fact.ratio)} 실패`
          : `${formatPercent(fact.ratio)} of ${formatCount(fact.requests)} requests to ${fact.operation} fail in the healthy time too`,
        value: fact.ratio,
      };
    case "scope_error_ratio":
      return {
        statement: ko
          ? `이 서비스의 전체 요청 ${formatCount(fact.requests)}건 중에서도 ${formatPercent(fact.ratio)} 실패`
          : `${formatPercent(fact.ratio)} of all ${formatCount(fact.requests)} requests to it failed`,
        value: fact.ratio,
      };
    case "scope_healthy":
      return {
        statement: ko
          ? `이 서비스의 전체 요청 ${formatCount(fact.requests)}건 중에서는 ${formatPercent(fact.ratio)}만 실패`
          : `only ${formatPercent(fact.ratio)} of all ${formatCount(fact.requests)} requests to it failed`,
        value: fact.ratio,
      };
    case "alone_unreached":
      return { statement: aloneText(fact, ko), value: fact.visible + fact.hidden };
    case "window_failures":
      return windowFailuresText(fact, ko);
    case "became_slower":
      return slowerText(fact, ko);
    case "symptom":
      return symptomText(fact, ko);
    case "more_troubles":
      return troublesText(fact, ko);
    case "stops_after":
      return stopText(fact, ko);
    case "metric_rise":
      return metricText(fact, ko);
    case "only_where":
      return contrastText(fact, ko);
    case "gone_instance":
      return goneText(fact, ko);
    case "incomplete_trace":
      return {
        statement: ko
          ? `트레이스에 상위 스팬 ${fact.orphans}개 누락`
          : `the trace is incomplete: ${fact.orphans} ${fact.orphans === 1 ? "parent span is" : "parent spans are"} missing`,
        value: fact.orphans,
      };
  }
}

/** What a fact says, for a verdict: without the figures that it rests on. */
function claimText(fact: EvidenceFact, language: Language): string {
  const ko = language === "ko";
  if (fact.kind === "became_slower") return slowerClaim(fact, ko);
  if (fact.kind === "symptom") return symptomClaim(fact, ko);
  return fact.kind === "metric_rise" ? metricClaim(fact, ko) : factText(fact, language).statement;
}

/** "usually 6 ms", or what can be said where half of the requests may be slow. */
export function usualText({ nanos, isTypical }: UsualTime, ko: boolean): string {
  const time = formatDuration(nanos);
  if (isTypical) return ko ? `평소 ${time}` : `usually ${time}`;
  return ko ? `요청 넷 중 하나는 ${time} 이내` : `one request in four takes no more than ${time}`;
}

function callGapText(fact: Extract<EvidenceFact, { kind: "call_gap" }>, ko: boolean): FactText {
  const { caller, callee } = fact.edge;
  const [gap, share] = [formatDuration(fact.gapNanos), formatPercent(fact.share)];
  const usual = fact.usualNanos === null ? null : formatDuration(fact.usualNanos);
  const statement = ko
    ? `${caller}이(가) ${callee} 호출에서 ${callee}의 처리 외에 ${gap} 대기 (전체의 ${share}${usual === null ? "" : `, 평소 ${usual}`})`
    : `${caller} waited ${gap} for calls to ${callee} that ${callee} was not working on, ${share} of the request's time${usual === null ? "" : ` (usually ${usual} a call)`}`;
  return {
    statement,
    value: ms(fact.gapNanos),
    ...(fact.usualNanos === null ? {} : { baseline: ms(fact.usualNanos) }),
  };
}

function lateEndText(fact: Extract<EvidenceFact, { kind: "late_end" }>, ko: boolean): string {
  const { service, isCaller, lost, late, inOrder, isSlowItself, other, otherInOrder } = fact;
  const parts: string[] = [];
  if (lost === "before" && isCaller)
    parts.push(ko ? "요청이 늦게 도착함" : `the requests arrived late at ${other}`);
  if (lost === "after" && !isCaller)
    parts.push(
      ko
        ? `${service}의 처리가 끝난 뒤 응답이 늦게 도착함`
        : `the answers arrived late, after ${service} was done`,
    );
  if (late > 0) parts.push(othersLate(service, { isCaller, late, all: late + inOrder }, ko));
  if (isSlowItself) parts.push(ko ? `${service} 자체의 처리도 느림` : `${service}'s own work is slow too`);
  if (otherInOrder > 0) {
    if (ko) parts.push(`${other}의 다른 연결 ${otherInOrder}개는 정상`);
    else if (isCaller)
      parts.push(
        `${otherInOrder} other ${otherInOrder === 1 ? "service reaches" : "services reach"} ${other} in time`,
      );
    else
      parts.push(
        `${other} reaches ${otherInOrder} other ${otherInOrder === 1 ? "service" : "services"} in time`,
      );
  }
  if (parts.length === 0)
    parts.push(
      ko ? `${other} 쪽보다 지연된 연결의 비율이 높음` : `${other} has more connections that are in order`,
    );
  return parts.join(ko ? ", " : "; ");
}

/** Who else reaches whom, where a connection did not come about. */
function reachText(fact: Extract<EvidenceFact, { kind: "reach" }>, ko: boolean): string {
  const { caller, callee, reachedBy, unreachedBy, alsoUnreached } = fact;
  const services = (count: number): string => `${count} other ${count === 1 ? "service" : "services"}`;
  const parts: string[] = [];
  if (unreachedBy > 0)
    parts.push(
      ko
        ? `다른 서비스 ${unreachedBy}개도 ${callee}에 연결하지 못함`
        : `${services(unreachedBy)} cannot reach ${callee} either`,
    );
  if (reachedBy > 0)
    parts.push(
      ko
        ? `다른 서비스 ${reachedBy}개는 ${callee}에 정상적으로 연결`
        : `${services(reachedBy)} ${reachedBy === 1 ? "reaches" : "reach"} ${callee} as always`,
    );
  if (alsoUnreached > 0)
    parts.push(
      ko
        ? `${caller}은(는) 다른 대상 ${alsoUnreached}개에도 연결하지 못함`
        : `${caller} cannot reach ${services(alsoUnreached)} either`,
    );
  return parts.join(ko ? ", " : "; ");
}

function othersLate(
  service: string,
  { isCaller, late, all }: { readonly isCaller: boolean; readonly late: number; readonly all: number },
  ko: boolean,
): string {
  const others = all === 1 ? "its only other connection" : `${late} of its ${all} other connections`;
  if (ko) return `${service}의 다른 ${isCaller ? "호출 대상" : "호출자"} ${all}개 중 ${late}개도 지연`;
  return `${others} ${isCaller ? "to services" : "from callers"} ${late === 1 ? "is" : "are"} late too`;
}

function originText(fact: Extract<EvidenceFact, { kind: "origin" }>, ko: boolean): FactText {
  const { caller, operation, reason, address } = fact;
  const service = address === "" ? fact.service : `${fact.service} (${address})`;
  const usual = fact.usual === null ? "" : `, ${usualText(fact.usual, ko)}`;
  switch (reason.kind) {
    case "own_error": {
      const error = errorText(reason.error);
      const statement = ko
        ? `${service}의 ${operation} 실패${error}; 호출한 하위 작업은 실패하지 않음`
        : `${service} failed in ${operation}${error}, and nothing that it waited for had failed`;
      return { statement, value: null };
    }
    case "peer_error": {
      const error = errorText(reason.error);
      const statement = ko
        ? `${caller}의 ${operation} 호출에 ${service}이(가) 오류로 응답${error}`
        : `${service} answered ${caller}'s call ${operation} with an error${error}`;
      return { statement, value: null };
    }
    case "peer_timeout": {
      const waited = formatDuration(reason.waitedNanos);
      const statement = ko
        ? `${caller}이(가) ${operation} 호출에서 ${waited} 기다린 뒤 포기; ${service} 응답 없음${usual}`
        : `${caller} gave up on ${operation} after ${waited}: no answer from ${service}${usual}`;
      return { statement, value: ms(reason.waitedNanos) };
    }
    case "unreachable": {
      const error = errorText(reason.error);
      const statement = ko
        ? `${caller}이(가) ${operation} 호출에서 ${service}에 연결하지 못함${error}`
        : `${caller} could not reach ${service} for ${operation}${error}`;
      return { statement, value: null };
    }
    case "slow_work": {
      const waited = formatDuration(reason.waitedNanos);
      const self = formatDuration(reason.selfNanos);
      const statement = ko
        ? `${caller}이(가) ${waited} 뒤 포기; 그중 ${self}을(를) ${service}의 ${operation}에서 소비${usual} (오류 표시 없음)`
        : `${caller} gave up after ${waited}; ${self} of that went into ${operation} of ${service}${usual}, which reported no error`;
      return { statement, value: ms(reason.selfNanos), baseline: ms(reason.waitedNanos) };
    }
    case "tight_timeout": {
      const [waited, needed] = [formatDuration(reason.waitedNanos), formatDuration(reason.usualNanos)];
      const statement = ko
        ? `${service}이(가) ${operation}에서 ${waited} 만에 포기; 호출 대상은 평소(${needed})보다 느리지 않음`
        : `${service} gave up on ${operation} after ${waited}, though its callee was no slower than usual (${needed})`;
      return { statement, value: ms(reason.waitedNanos), baseline: ms(reason.usualNanos) };
    }
    case "network_gap": {
      const [client, server] = [formatDuration(reason.clientNanos), formatDuration(reason.serverNanos)];
      const statement = ko
        ? `${caller}은(는) ${service}을(를) ${client} 기다렸으나 ${service}의 처리는 ${server}뿐: 나머지는 네트워크 또는 대기열`
        : `${caller} waited ${client} for ${service}, which worked for ${server} only: the rest is network or queue`;
      return { statement, value: ms(reason.clientNanos), baseline: ms(reason.serverNanos) };
    }
    case "rejected_request": {
      const error = errorText(reason.error);
      const statement = ko
        ? `${service}의 ${operation} 호출 실패${error}; ${reason.callee}은(는) 오류로 보지 않음`
        : `${service}'s call ${operation} failed${error}, but ${reason.callee} counts it as no error of its own`;
      return { statement, value: null };
    }
  }
}

/** "it alone could not reach cart, in 12 calls; 340 calls of others got through" */
function aloneText(fact: Extract<EvidenceFact, { kind: "alone_unreached" }>, ko: boolean): string {
  const { callee, otherCalls, visible, hidden } = fact;
  const [failed, others] = [formatCount(visible + hidden), formatCount(otherCalls)];
  if (otherCalls === 0)
    return ko ? `${callee}에 연결하지 못함 (${failed}건)` : `it could not reach ${callee}, ${failed} times`;
  return ko
    ? `이 서비스만 ${callee}에 연결하지 못함 (${failed}건); 다른 호출자의 ${others}건은 성공`
    : `it alone could not reach ${callee}, ${failed} times; ${others} calls of others got through`;
}

function windowFailuresText(fact: Extract<EvidenceFact, { kind: "window_failures" }>, ko: boolean): FactText {
  const { isVisible, cause, failures, aside, requests, expected } = fact;
  const [failed, all] = [formatCount(failures), formatCount(requests)];
  const words = (cause === null ? undefined : windowFailureWords[cause]) ?? mixedFailureWords;
  const [why, what] = ko ? words.ko : words.en;
  const parts = aside < failures - 0.5 ? formatCount(aside) : null;
  let statement: string;
  if (!isVisible)
    statement = ko
      ? `요청 ${all}건에서 ${what} ${failed}건이 재시도나 폴백으로 감춰짐`
      : `${failed} ${what}, in ${all} requests, were hidden by retries or fallbacks`;
  else if (aside < 0.5)
    statement = ko
      ? `요청 ${all}건 중 ${failed}건이 ${why} 실패`
      : `${failed} of ${all} requests failed ${why}`;
  else if (parts === null)
    statement = ko
      ? `요청 ${all}건에서 ${what} ${failed}건이 요청이 기다리지 않는 작업에서 발생`
      : `${failed} ${what}, in ${all} requests, all in work that no request waited for`;
  else
    statement = ko
      ? `요청 ${all}건에서 ${what} ${failed}건 중 ${parts}건이 요청이 기다리지 않는 작업에서 발생`
      : `${failed} ${what}, in ${all} requests, ${parts} of them in work that no request waited for`;
  return {
    statement: statement + (expected === null ? "" : usualCountText(expected, ko)),
    value: failures,
    ...(expected === null ? {} : { baseline: expected }),
  };
}

/** `of its limit` or what else all of it is. */
interface ResourceWords {
  readonly en: readonly [name: string, whole: string];
  readonly ko: readonly [name: string, whole: string];
}

const resourceWords: Readonly<Record<Resource, ResourceWords>> = {
  cpu: { en: ["CPU", "of its limit"], ko: ["CPU", "한도의"] },
  memory: { en: ["memory", "of its limit"], ko: ["메모리", "한도의"] },
  connections: { en: ["the connection pool", "of its limit"], ko: ["연결 풀", "한도의"] },
  threads: { en: ["the thread pool", "of its limit"], ko: ["스레드 풀", "한도의"] },
  file_system: { en: ["the file system", "of its size"], ko: ["파일 시스템", "용량의"] },
  event_loop: { en: ["the event loop", "of the time"], ko: ["이벤트 루프", "전체 시간의"] },
  garbage_collection: { en: ["garbage collection", "of the time"], ko: ["가비지 컬렉션", "전체 시간의"] },
};

/** "CPU of cart-1 rises from 20 % to 72 % of its limit, 35 times its usual ups and downs" */
function metricText(fact: MetricRiseFact, ko: boolean): FactText {
  const times = formatAmount(Number(fact.z.toPrecision(2)));
  const apart = ko ? ` (평소 변동 폭의 ${times}배)` : `, ${times} times its usual ups and downs`;
  return {
    statement: metricClaim(fact, ko) + apart,
    value: fact.after,
    baseline: fact.before,
    z: rounded(fact.z),
  };
}

/** The same without what it rests on. */
function metricClaim(fact: MetricRiseFact, ko: boolean): string {
  const { metric, resource, instance, alike, isShare, before, after } = fact;
  const words = isShare && resource !== null ? resourceWords[resource][ko ? "ko" : "en"] : [metric, ""];
  const [name = "", whole = ""] = words;
  const [from, to] = [before, after].map(isShare ? formatPercent : formatAmount);
  if (ko) {
    const others = alike === 0 ? "" : ` 외 ${alike}개`;
    const whose = instance === "" ? "" : `${instance}${others}의 `;
    return `${whose}${name} 수치가 ${whole === "" ? "" : `${whole} `}${from}에서 ${to}${isShare ? "" : "(으)"}로 상승`;
  }
  const others = alike === 0 ? "" : ` and ${alike} ${alike === 1 ? "other" : "others"}`;
  const whose = instance === "" ? "" : ` of ${instance}${others}`;
  return `${name}${whose} rises from ${from} to ${to}${whole === "" ? "" : ` ${whole}`}`;
}

interface FailureWords {
  readonly en: readonly [why: string, what: string];
  readonly ko: readonly [why: string, what: string];
}

const mixedFailureWords: FailureWords = {
  en: ["because of what began here", "failures that began here"],
  ko: ["여기서 시작된 문제로", "여기서 시작된 실패"],
};

/** Why requests failed, and what was hidden, by the sort of fault. Only what marks an error began with one. */
const windowFailureWords: Partial<Readonly<Record<CauseKind, FailureWords>>> = {
  error: {
    en: ["with an error that began here", "failures that began here"],
    ko: ["여기서 시작된 오류로", "여기서 시작된 실패"],
  },
  latency: {
    en: ["because callers gave up waiting for it", "calls that callers gave up waiting for"],
    ko: ["응답을 기다리던 호출자가 포기하여", "호출자가 기다리다 포기한 호출"],
  },
  network: {
    en: ["on the way between it and its callers", "failures on the way between it and its callers"],
    ko: ["호출자와의 연결 구간에서", "호출자와의 연결 구간에서 생긴 실패"],
  },
  unreachable: {
    en: ["because it could not be reached", "calls that could not reach it"],
    ko: ["연결할 수 없어", "연결하지 못한 호출"],
  },
};

function linkedText(
  { service, operation, traceId }: Extract<EvidenceFact, { kind: "linked_failure" }>,
  ko: boolean,
): string {
  return ko
    ? `이 요청이 시작한 ${service}의 ${operation} 실패 (트레이스 ${traceId})`
    : `${service} failed in ${operation}, which this request had set off (trace ${traceId})`;
}

function missingText(fact: Extract<EvidenceFact, { kind: "missing_step" }>, ko: boolean): string {
  const { service, operation, step, callee, name } = fact;
  const [shown, all] = [formatCount(fact.shown), formatCount(fact.compared)];
  if (ko) {
    const others = `${service}의 ${operation} 요청은 살펴본 ${all}건 중 ${shown}건이`;
    if (step === "step") return `${others} ${name}도 수행하나 이 요청은 수행하지 않음`;
    if (step === "message") return `${others} ${callee}의 ${name} 처리로 이어지나 이 요청은 이어지지 않음`;
    return `${others} ${callee}도 호출하나 (${name}) 이 요청은 호출하지 않음`;
  }
  const others = `${shown} of ${all} such requests that were looked at (${service} ${operation})`;
  if (step === "step") return `${others} also do ${name}; this one did not`;
  if (step === "message") return `${others} make ${callee} work on ${name}; this one did not`;
  return `${others} also call ${callee} (${name}); this one did not`;
}

function insteadText(fact: Extract<EvidenceFact, { kind: "instead" }>, ko: boolean): string {
  const [self, share] = [formatDuration(fact.selfNanos), formatPercent(fact.share)];
  const [shown, all] = [formatCount(fact.shown), formatCount(fact.compared)];
  return ko
    ? `이 실패 뒤 ${fact.service}의 ${fact.operation}에서 ${self} 대기 (전체의 ${share}); 정상 요청은 살펴본 ${all}건 중 ${shown}건만 수행`
    : `because of this failure the request waited ${self} for ${fact.operation} of ${fact.service}, ${share} of its time; only ${shown} of ${all} healthy ones that were looked at do that`;
}

function hiddenText({ by, service }: Extract<EvidenceFact, { kind: "hidden" }>, ko: boolean): string {
  if (by === "retried")
    return ko
      ? "이후 재시도가 성공하여 상위에는 영향 없음"
      : "a later attempt went well, so nobody above felt it";
  return ko
    ? `${service}이(가) 이 실패를 받고도 정상 응답 (폴백 또는 무시)`
    : `${service} got this failure and answered without an error all the same (a fallback, or it was ignored)`;
}

/** What went wrong, in brackets, or "" where the span says nothing. */
function errorText(error: SpanError | null): string {
  const text = error === null ? "" : errorWords(error);
  return text === "" ? "" : ` (${shorten(text.replace(/\s+/g, " "))})`;
}

/** Type and message of an error; many messages begin with the type already. */
export function errorWords({ type, message }: SpanError): string {
  if (type === "" || message.includes(type)) return message;
  return message === "" ? type : `${type}: ${message}`;
}

/** Stack traces and whole pages come as messages; the first 160 characters say what it is. */
function shorten(text: string): string {
  return text.length <= 160 ? text : `${text.slice(0, 159).replace(/[\ud800-\udbff]$/, "")}…`;
}

function ms(nanos: number): number {
  return nanos / 1_000_000;
}

const kindNames: Readonly<Record<CauseKind, readonly [en: string, ko: string]>> = {
  error: ["errors", "오류"],
  latency: ["slow work", "지연"],
  network: ["network", "네트워크"],
  unreachable: ["unreachable", "접근 불가"],
  missing_call: ["missing call", "누락된 호출"],
  saturation: ["saturation", "포화"],
  overload: ["overload", "과부하"],
  dependency: ["dependency", "의존성"],
};

export function kindText(kind: CauseKind, language: Language): string {
  return kindNames[kind][language === "ko" ? 1 : 0];
}

/** What became of the request: where it failed, or else where it came in, and how long it took. */
export type Outcome =
  | { readonly kind: "empty" }
  | {
      /**
       * `set_off` = nothing of the trace failed, but something of another one that links to it; `incomplete` = nothing failed, but
       * something was left out
       */
      readonly kind: "failed" | "masked" | "set_off" | "incomplete" | "succeeded";
      readonly service: string;
      readonly operation: string;
      readonly durationNanos: number;
      /** null = too few requests to compare with */
      readonly usual: UsualTime | null;
      readonly isSlow: boolean;
      /** whether `usual` is that of a healthy time */
      readonly isBaseline: boolean;
      /** how many requests `usual` is read from */
      readonly compared: number;
    };

/** The one sentence on top of a report: what happened to the request, and what most likely made it so. */
export function traceVerdict(
  outcome: Outcome,
  first: Candidate | undefined,
  confidence: number | null,
  language: Language,
): string {
  const ko = language === "ko";
  const what = outcomeText(outcome, ko);
  if (first === undefined || isFine(outcome)) return `${what}.`;
  const fact = mainFact(first.evidence);
  const why = fact === undefined ? "" : factText(fact, language).statement;
  if (outcome.kind === "succeeded" && !outcome.isSlow) {
    const lead = ko ? "시간을 가장 많이 쓴 곳:" : "Most of its time went to";
    return `${what}. ${lead} ${first.service} - ${why}.`;
  }
  return `${what}. ${certainty(confidence, traceBars, ko)}: ${first.service} (${kindText(first.kind, language)}) - ${why}.`;
}

/** What a verdict rests on; of time, how much it is and usually was rather than its part of the request, where that is known. */
function mainFact(evidence: readonly EvidenceFact[]): EvidenceFact | undefined {
  const path = evidence.find((fact) => fact.kind === "path_share" || fact.kind === "call_gap");
  const isOfPath = (fact: EvidenceFact): boolean =>
    fact.kind === "slower_than_usual" && path !== undefined && fact.spans[0] === path.spans[0];
  return (
    evidence.find(({ kind }) => kind === "origin" || kind === "linked_failure") ??
    evidence.find(({ kind }) => kind === "missing_step") ??
    evidence.find(isOfPath) ??
    path
  );
}

/** How sure we are, as the start of a sentence. */
function certainty(confidence: number | null, { confident, probable }: CertaintyBars, ko: boolean): string {
  if (confidence !== null && confidence >= confident) return ko ? "근본 원인" : "Root cause";
  if (confidence !== null && confidence >= probable) return ko ? "유력한 원인" : "Probable cause";
  return ko ? "가능성 있는 원인 (증거 부족)" : "Possible cause (little evidence)";
}

function outcomeText(outcome: Outcome, ko: boolean): string {
  if (outcome.kind === "empty") return ko ? "스팬이 없음" : "The trace has no spans";
  const { service, operation, durationNanos, usual, isSlow } = outcome;
  const name = `${service} ${operation}`;
  const took = formatDuration(durationNanos);
  const compared = usual === null ? "" : usualText(usual, ko);
  const slow = !isSlow ? "" : ko ? ` (${took}, ${compared})` : ` after ${took} (${compared})`;
  if (outcome.kind === "failed") return ko ? `${name} 실패${slow}` : `${name} failed${slow}`;
  if (outcome.kind === "masked")
    return ko
      ? `${name} 응답은 정상이나 내부에서 실패 발생${slow}`
      : `${name} went through${slow}, but something below it failed`;
  if (outcome.kind === "set_off")
    return ko
      ? `${name} 응답은 정상이나 이 요청이 시작한 작업이 실패${slow}`
      : `${name} went through${slow}, but work that it set off failed`;
  if (outcome.kind === "incomplete")
    return ko
      ? `${name} 응답은 정상이나 평소 수행하던 작업 일부를 생략${slow}`
      : `${name} went through${slow}, but left out what such requests do`;
  if (isFine(outcome))
    return ko
      ? `${name}: 이상 없음 - 실패 없음, ${timeText(outcome, ko)}`
      : `${name}: nothing is wrong with this request - nothing failed, and ${timeText(outcome, ko)}`;
  return `${name}: ${ko ? "실패 없음, " : "nothing failed; "}${timeText(outcome, ko)}`;
}

/** Whether a request went well and took no longer than others do, so that there is nobody to blame. */
export function isFine(outcome: Outcome): boolean {
  return outcome.kind === "succeeded" && outcome.usual !== null && !outcome.isSlow;
}

function timeText(
  { durationNanos, usual, isSlow, isBaseline, compared }: Exclude<Outcome, { kind: "empty" }>,
  ko: boolean,
): string {
  const took = formatDuration(durationNanos);
  if (usual === null)
    return ko
      ? `${took} 소요 (비교할 요청이 부족)`
      : `it took ${took}, with too few requests to compare with`;
  if (isSlow)
    return ko ? `${took} 소요, ${usualText(usual, ko)}` : `it took ${took}, ${usualText(usual, ko)}`;
  const known = usualText(usual, ko);
  if (isBaseline)
    return ko ? `${took} 소요, 평소와 다르지 않음 (${known})` : `${took} is nothing unusual (${known})`;
  const all = formatCount(compared);
  return ko
    ? `${took} 소요, 여기의 같은 요청 ${all}건과 다르지 않음 (${known})`
    : `${took} is nothing unusual among the ${all} requests to it here (${known})`;
}

function isHiddenFailure(fact: EvidenceFact): boolean {
  return fact.kind === "window_failures" && !fact.isVisible;
}

/** What became of the requests of a window. */
export interface WindowOutcome {
  readonly requests: number;
  /** of the requests, and how many would in a healthy time; null where none is known */
  readonly failed: number;
  readonly usualFailed: number | null;
  /** failures that nobody hid, beyond what is usual */
  readonly excessFailed: number;
  /** failures in work that no request waited for */
  readonly failedAside: number;
  /** the entry that became slower by most, null where none did; means */
  readonly slowest: {
    readonly service: string;
    readonly operation: string;
    readonly beforeNanos: number;
    readonly afterNanos: number;
  } | null;
}

/** The one sentence on top of a window's report. */
export function windowVerdict(
  outcome: WindowOutcome,
  first: Candidate | undefined,
  confidence: number | null,
  language: Language,
): string {
  const ko = language === "ko";
  const { requests, slowest } = outcome;
  if (requests === 0) return ko ? "요청이 없음." : "There are no requests in this window.";
  const all = formatCount(requests);
  if (first === undefined)
    return ko ? `요청 ${all}건에서 특이 사항 없음.` : `Nothing significant in ${all} requests.`;
  const what = failedTexts(outcome, ko);
  if (slowest !== null) {
    const entry = `${slowest.service} ${slowest.operation}`;
    const [before, after] = [slowest.beforeNanos, slowest.afterNanos].map(formatDuration);
    what.push(
      ko
        ? `${entry} 평균 ${after} 소요 (평소 ${before})`
        : `${entry} takes ${after} on average (usually ${before})`,
    );
  }
  if (what.length === 0 && first.evidence.some(isHiddenFailure))
    what.push(ko ? "사용자에게 감춰진 실패 발생" : "Failures were hidden from users");
  if (what.length === 0)
    what.push(
      ko
        ? `요청 ${all}건이 실패나 눈에 띄는 지연 없이 평소와 다름`
        : `${all} requests went another way than usual, without failing or taking noticeably longer`,
    );
  const why = first.evidence[0] === undefined ? "" : ` - ${claimText(first.evidence[0], language)}`;
  const cause = `${certainty(confidence, windowBars, ko)}: ${first.service} (${kindText(first.kind, language)})${why}`;
  return `${what.join(ko ? ", " : "; ")}. ${cause}.`;
}

/** How many requests failed, and what failed without one of them. */
function failedTexts(
  { requests, failed, usualFailed, excessFailed, failedAside }: WindowOutcome,
  ko: boolean,
): string[] {
  const texts: string[] = [];
  const all = formatCount(requests);
  if (excessFailed - failedAside >= 0.5) {
    const before = usualFailed === null ? "" : usualCountText(usualFailed, ko);
    texts.push(
      ko
        ? `요청 ${all}건 중 ${formatCount(failed)}건 실패${before}`
        : `${formatCount(failed)} of ${all} requests failed${before}`,
    );
  }
  if (failedAside >= 0.5) {
    const count = formatCount(failedAside);
    texts.push(
      ko
        ? `요청 ${all}건이 시작하고 기다리지 않은 작업에서 실패 ${count}건`
        : `${count} failures in work that ${all} requests set off and did not wait for`,
    );
  }
  return texts;
}

function usualCountText(count: number, ko: boolean): string {
  return ko ? ` (평소 ${formatCount(count)}건)` : ` (usually ${formatCount(count)})`;
}
