import type { Candidate, CauseKind, EvidenceFact } from "../cascade/candidate.ts";
import { confidentFrom, probableFrom } from "../cascade/scoring.ts";
import type { SpanError } from "../trace/semantics.ts";
import { formatDuration, formatPercent } from "./format-duration.ts";

/** A fact as reports show it: the sentence, and what was measured (ms, ratio or count, as the sentence says). */
export interface FactText {
  readonly statement: string;
  readonly value: number | null;
  readonly baseline?: number;
}

type Language = "en" | "ko";

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
    case "hidden":
      return { statement: hiddenText(fact, ko), value: null };
    case "path_share":
      return {
        statement: ko
          ? `${fact.operation}에서 ${formatDuration(fact.selfNanos)} 동안 대기 (전체의 ${formatPercent(fact.share)})`
          : `the request waited ${formatDuration(fact.selfNanos)} for ${fact.operation} itself, ${formatPercent(fact.share)} of its time`,
        value: ms(fact.selfNanos),
      };
    case "slower_than_usual":
      return {
        statement: ko
          ? `${fact.operation}: ${formatDuration(fact.durationNanos)} 소요, 평소 ${formatDuration(fact.usualNanos)}`
          : `${fact.operation} took ${formatDuration(fact.durationNanos)}, usually ${formatDuration(fact.usualNanos)}`,
        value: ms(fact.durationNanos),
        baseline: ms(fact.usualNanos),
      };
    case "scope_error_ratio":
      return {
        statement: ko
          ? `전체 범위에서도 요청 ${count(fact.requests)}건 중 ${formatPercent(fact.ratio)} 실패`
          : `${formatPercent(fact.ratio)} of its ${count(fact.requests)} requests failed in the whole scope too`,
        value: fact.ratio,
      };
    case "scope_healthy":
      return {
        statement: ko
          ? `전체 범위에서는 요청 ${count(fact.requests)}건 중 ${formatPercent(fact.ratio)}만 실패`
          : `only ${formatPercent(fact.ratio)} of its ${count(fact.requests)} requests failed in the whole scope`,
        value: fact.ratio,
      };
    case "incomplete_trace":
      return {
        statement: ko
          ? `트레이스에 상위 스팬 ${fact.orphans}개 누락`
          : `the trace is incomplete: ${fact.orphans} ${fact.orphans === 1 ? "parent span is" : "parent spans are"} missing`,
        value: fact.orphans,
      };
  }
}

function originText(fact: Extract<EvidenceFact, { kind: "origin" }>, ko: boolean): FactText {
  const { service, caller, operation, reason } = fact;
  switch (reason.kind) {
    case "own_error": {
      const error = errorText(reason.error, ko);
      const statement = ko
        ? `${service}의 ${operation} 실패${error}; 호출한 하위 작업은 실패하지 않음`
        : `${service} failed in ${operation}${error}, and nothing that it waited for had failed`;
      return { statement, value: null };
    }
    case "peer_error": {
      const error = errorText(reason.error, ko);
      const statement = ko
        ? `${caller}의 ${operation} 호출에 ${service}이(가) 오류로 응답${error}`
        : `${service} answered ${caller}'s call ${operation} with an error${error}`;
      return { statement, value: null };
    }
    case "peer_timeout": {
      const waited = formatDuration(reason.waitedNanos);
      const statement = ko
        ? `${caller}이(가) ${operation} 호출에서 ${waited} 기다린 뒤 포기; ${service} 응답 없음`
        : `${caller} gave up on ${operation} after ${waited}: no answer from ${service}`;
      return { statement, value: ms(reason.waitedNanos) };
    }
    case "unreachable": {
      const error = errorText(reason.error, ko);
      const statement = ko
        ? `${caller}이(가) ${operation} 호출에서 ${service}에 연결하지 못함${error}`
        : `${caller} could not reach ${service} for ${operation}${error}`;
      return { statement, value: null };
    }
    case "slow_work": {
      const waited = formatDuration(reason.waitedNanos);
      const self = formatDuration(reason.selfNanos);
      const statement = ko
        ? `${caller}이(가) ${waited} 뒤 포기; 그중 ${self}을(를) ${service}의 ${operation}에서 소비 (오류 표시 없음)`
        : `${caller} gave up after ${waited}; ${self} of that went into ${operation} of ${service}, which reported no error`;
      return { statement, value: ms(reason.selfNanos), baseline: ms(reason.waitedNanos) };
    }
    case "tight_timeout": {
      const [waited, usual] = [formatDuration(reason.waitedNanos), formatDuration(reason.usualNanos)];
      const statement = ko
        ? `${service}이(가) ${operation}에서 ${waited} 만에 포기; 피호출 측은 평소(${usual})와 다름없음`
        : `${service} gave up on ${operation} after ${waited}, though its callee was no slower than usual (${usual})`;
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
      const error = errorText(reason.error, ko);
      const statement = ko
        ? `${service}의 ${operation} 호출 실패${error}; ${reason.callee}은(는) 오류로 보지 않음`
        : `${service}'s call ${operation} failed${error}, but ${reason.callee} counts it as no error of its own`;
      return { statement, value: null };
    }
  }
}

function hiddenText({ by, service }: Extract<EvidenceFact, { kind: "hidden" }>, ko: boolean): string {
  if (by === "retried") return ko ? "이후 재시도가 성공함" : "a later attempt went well";
  return ko
    ? `${service}이(가) 이 실패를 감추고 정상 응답 (폴백 또는 무시)`
    : `${service} hid this failure: its own work ended without an error (a fallback, or ignored)`;
}

/** What went wrong, in brackets, or "" where the span says nothing. */
export function errorText(error: SpanError | null, ko: boolean): string {
  if (error === null) return "";
  const parts = [error.type, error.message].filter((part) => part !== "");
  if (parts.length === 0) return "";
  const text = parts.join(": ").replace(/\s+/g, " ");
  return ko ? ` (${shorten(text)})` : ` (${shorten(text)})`;
}

function shorten(text: string): string {
  return text.length <= 160 ? text : `${text.slice(0, 159)}…`;
}

function ms(nanos: number): number {
  return nanos / 1_000_000;
}

function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
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

export type Outcome =
  | { readonly kind: "failed"; readonly service: string; readonly operation: string }
  | { readonly kind: "masked"; readonly service: string; readonly operation: string }
  | {
      readonly kind: "slow";
      readonly service: string;
      readonly operation: string;
      readonly durationNanos: number;
      readonly usualNanos: number | null;
    }
  | {
      readonly kind: "normal";
      readonly service: string;
      readonly operation: string;
      readonly durationNanos: number;
      readonly usualNanos: number | null;
    }
  | { readonly kind: "empty" };

/** The one sentence on top of a report: what happened to the request, and what most likely made it so. */
export function traceVerdict(
  outcome: Outcome,
  first: Candidate | undefined,
  confidence: number | null,
  language: Language,
): string {
  const ko = language === "ko";
  const what = outcomeText(outcome, ko);
  if (first === undefined) return `${what}.`;
  const fact = first.evidence.find(({ kind }) => kind === "origin" || kind === "path_share");
  const why = fact === undefined ? "" : factText(fact, language).statement;
  return `${what}. ${certainty(confidence, ko)}: ${first.service} (${kindText(first.kind, language)}) - ${why}.`;
}

/** How sure we are, as the start of a sentence. */
export function certainty(confidence: number | null, ko: boolean): string {
  if (confidence !== null && confidence >= confidentFrom) return ko ? "근본 원인" : "Root cause";
  if (confidence !== null && confidence >= probableFrom) return ko ? "유력한 원인" : "Probable cause";
  return ko ? "가능성 있는 원인 (증거 부족)" : "Possible cause (little evidence)";
}

function outcomeText(outcome: Outcome, ko: boolean): string {
  if (outcome.kind === "empty") return ko ? "스팬이 없음" : "The trace has no spans";
  const name = `${outcome.service} ${outcome.operation}`;
  if (outcome.kind === "failed") return ko ? `${name} 실패` : `${name} failed`;
  if (outcome.kind === "masked")
    return ko
      ? `${name} 응답은 정상이나 내부에서 실패 발생`
      : `${name} went through, but something below it failed`;
  const took = formatDuration(outcome.durationNanos);
  const usual = outcome.usualNanos === null ? null : formatDuration(outcome.usualNanos);
  if (outcome.kind === "slow")
    return ko
      ? `${name}: 실패 없음, ${took} 소요${usual === null ? "" : ` (평소 ${usual})`}`
      : `${name}: nothing failed; it took ${took}${usual === null ? "" : `, usually ${usual}`}`;
  return ko
    ? `${name}: 실패 없음, ${took} 소요${usual === null ? "" : ` (평소 ${usual})`}`
    : `${name}: nothing failed, and ${took} is ${usual === null ? "all it took" : `no slower than usual (${usual})`}`;
}
