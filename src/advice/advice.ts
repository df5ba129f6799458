import type { Candidate, Edge, EvidenceFact, SlowerFact } from "../cascade/candidate.ts";
import type { Remedy } from "../cascade/remedy.ts";
import { adviceCountMax } from "../model/scoring.ts";
import { shortageIn } from "../trace/span-error.ts";
import { adviceOnContrast, adviceOnGoneInstance, adviceOnMetric } from "./contrast-advice.ts";
import { usualText } from "./evidence-texts.ts";
import { formatDuration, formatPercent } from "./format-duration.ts";
import { adviceOnRemedy } from "./remedy-advice.ts";
import type { Language } from "./structural-texts.ts";

/** What to do, and which spans of a trace (indices), or traces of a window (hex ids), made us say so. */
export interface Advice {
  readonly kind: string;
  readonly service: string;
  readonly sentence: string;
  readonly spans: readonly number[];
  readonly traceIds: readonly string[];
}

export interface AdviceQuestion {
  readonly candidates: readonly Candidate[];
  readonly remedies: readonly Remedy[];
}

/**
 * Advice that the evidence of the candidates supports, in their order and for each the most useful first; none where the
 * evidence suggests nothing.
 */
export function adviceFor({ candidates, remedies }: AdviceQuestion, language: Language): readonly Advice[] {
  const ko = language === "ko";
  const found = new Map<string, Advice>();
  for (const candidate of candidates) {
    const own = remedies.filter(({ about }) => about === candidate.service);
    const advice = [
      ...own.map((remedy) => adviceOnRemedy(remedy, ko)),
      ...candidate.evidence.flatMap((fact) => adviceOn(candidate, fact, ko) ?? []),
    ];
    for (const each of mostUseful(advice)) if (!found.has(gistOf(each))) found.set(gistOf(each), each);
  }
  return [...found.values()].slice(0, adviceCountMax);
}

/** Both ends of a connection may be candidates: what lies between them is looked at once. */
function gistOf({ kind, sentence }: Advice): string {
  return kind === "network" ? sentence.slice(sentence.indexOf(": ")) : sentence;
}

/** What says the same in more general words. */
const covered: ReadonlyMap<string, string> = new Map([
  ["egress", "unreachable"],
  ["database", "slow_operation"],
]);

/**
 * First what can be done at once and ends the trouble, then what removes its cause, then what keeps it from spreading, and
 * last where to look. Where there is something to do, that requests took another course is no more than that.
 */
const usefulness: readonly string[] = [
  "roll_back",
  "instance",
  "place",
  "pool_size",
  "memory_limit",
  "cpu_limit",
  "disk_space",
  "capacity",
  "queue_consumer",
  "database",
  "egress",
  "timeout_budget",
  "some_requests",
];

function mostUseful(advice: readonly Advice[]): readonly Advice[] {
  const place = ({ kind }: Advice): number => {
    const at = usefulness.indexOf(kind);
    return at < 0 ? usefulness.length : at;
  };
  const general = new Set(advice.map(({ kind }) => covered.get(kind) ?? ""));
  const useful = advice.filter(({ kind }) => kind !== "changed_behaviour" && !general.has(kind));
  const places = new Map<string, Advice>();
  // several figures of one shortage say the same
  for (const each of useful.length > 0 ? useful : advice) {
    const key = usefulness.includes(each.kind) ? `${each.kind}\u0000${each.service}` : each.sentence;
    if (!places.has(key)) places.set(key, each);
  }
  return [...places.values()].sort((a, b) => place(a) - place(b));
}

function adviceOn(candidate: Candidate, fact: EvidenceFact, ko: boolean): Advice | null {
  if (fact.kind === "only_where") return adviceOnContrast(candidate, fact, ko);
  if (fact.kind === "gone_instance") return adviceOnGoneInstance(candidate, fact, ko);
  if (fact.kind === "metric_rise") return adviceOnMetric(candidate, fact, ko);
  const advice = placeToLook(candidate, fact, ko);
  return advice === null ? null : { ...advice, traceIds: [] };
}

/** What says where to look, and no more. */
type Look = Omit<Advice, "traceIds">;

function placeToLook(candidate: Candidate, fact: EvidenceFact, ko: boolean): Look | null {
  const { service } = candidate;
  if (fact.kind === "retries_failed") {
    const caller = candidate.edge?.caller ?? service;
    const sentence = ko
      ? `${caller}: ${service} 호출을 ${fact.attempts}번 반복해도 모두 실패. 백오프와 서킷 브레이커로 재시도를 제한`
      : `${caller}: its ${fact.attempts} attempts to call ${service} all failed; limit retries with back-off and a circuit breaker`;
    return { kind: "retry_policy", service: caller, sentence, spans: fact.spans };
  }
  if (fact.kind === "hidden" && fact.by === "masked") {
    const sentence = ko
      ? `${fact.service}: ${service}의 실패를 감추고 정상으로 응답함. 의도한 폴백이 아니라면 오류로 처리하고, 맞다면 경보를 설정`
      : `${fact.service}: it answers as if ${service} had not failed; unless that is an intended fallback, report the error, and alert on it in any case`;
    return { kind: "masked_error", service: fact.service, sentence, spans: fact.spans };
  }
  if (fact.kind === "linked_failure") {
    const sentence = ko
      ? `${service}: 이 요청이 시작한 ${fact.operation}이(가) 실패한 트레이스 ${fact.traceId} 확인`
      : `${service}: look at trace ${fact.traceId}, in which ${fact.operation} failed after this request had set it off`;
    return { kind: "linked_trace", service, sentence, spans: fact.spans };
  }
  if (fact.kind === "missing_step") return adviceOnMissing(candidate, fact, ko);
  // one connection of a service is enough to start at
  if (fact.kind === "call_gap")
    return fact === candidate.evidence.find(({ kind }) => kind === "call_gap")
      ? networkAdvice(service, fact.edge, fact.spans, ko)
      : null;
  if (fact.kind === "path_share") return adviceOnPath(candidate, fact, ko);
  if (fact.kind === "alone_unreached") return aloneAdvice(fact, ko);
  if (fact.kind === "window_failures") return adviceOnFailures(candidate, ko);
  if (fact.kind === "became_slower") return adviceOnSlower(candidate, fact, ko);
  if (fact.kind === "symptom" || fact.kind === "stops_after") return adviceOnSymptom(candidate, fact, ko);
  return fact.kind === "origin" ? adviceOnOrigin(fact, ko) : null;
}

/** What became slower by most says where to look; its other parts get no advice of their own. */
function adviceOnSlower({ service, evidence }: Candidate, fact: SlowerFact, ko: boolean): Look | null {
  if (fact !== evidence.find(({ kind }) => kind === "became_slower")) return null;
  const { role, operation, caller, callee, beforeNanos, afterNanos, tail } = fact;
  if (fact.isMessage) {
    const [before, after] = [formatDuration(beforeNanos), formatDuration(afterNanos)];
    const sentence = ko
      ? `${service}: ${operation} 메시지가 처리되기까지 ${after} 대기 (이전 ${before}). 소비자 상태를 확인하고 수를 늘릴 것`
      : `${service}: messages for ${operation} wait ${after} instead of ${before}; see that its consumers keep up, or add some`;
    return { kind: "queue_consumer", service, sentence, spans: [] };
  }
  if (role === "calling" || (role === "called" && !fact.isMessage && !fact.isPeer))
    return networkAdvice(service, { caller, callee }, [], ko);
  if (tail !== null) {
    const limit = formatDuration(tail.limitNanos);
    const sentence = ko
      ? `${service}: ${operation} 중 일부만 ${limit}보다 오래 걸리는 원인 조사 (정지, 잠금, 재시도)`
      : `${service}: find out why some ${operation} take longer than ${limit} while most do not (pauses, locks, retries)`;
    return { kind: "slow_operation", service, sentence, spans: [] };
  }
  const [before, after] = [formatDuration(beforeNanos), formatDuration(afterNanos)];
  const sentence = ko
    ? `${service}: ${operation}이(가) ${before}에서 ${after}(으)로 느려진 원인 조사`
    : `${service}: find out why ${operation} takes ${after} instead of ${before}`;
  return { kind: "slow_operation", service, sentence, spans: [] };
}

/** What was left out first says where to look. Of a callee that fails itself, its own failures say more. */
function adviceOnMissing(
  { service, kind, evidence }: Candidate,
  fact: Extract<EvidenceFact, { kind: "missing_step" }>,
  ko: boolean,
): Look | null {
  if (fact !== evidence.find((each) => each.kind === "missing_step")) return null;
  const { operation, callee, name, spans } = fact;
  if (kind !== "missing_call") {
    const sentence = ko
      ? `${service}: 호출이 실패하는 원인부터 조사. ${fact.service}은(는) 호출을 시도하지 않음 (서킷 브레이커 또는 폴백)`
      : `${service}: find out why calls to it fail; ${fact.service} does not even try (a circuit breaker or fallback)`;
    return { kind: "fix_error", service, sentence, spans };
  }
  const what = callee === "" || callee === service ? name : `${callee} ${name}`;
  const sentence = ko
    ? `${service}: ${operation} 요청에서 ${what}이(가) 빠진 원인 조사 (배포, 설정, 기능 플래그, 입력)`
    : `${service}: find out why ${what} is left out of ${operation} (deploy, configuration, feature flag, input)`;
  return { kind: "missing_call", service, sentence, spans };
}

/** The strongest change of what requests do. */
function adviceOnSymptom(
  { service, evidence }: Candidate,
  fact: Extract<EvidenceFact, { kind: "symptom" | "stops_after" }>,
  ko: boolean,
): Look | null {
  if (fact !== evidence.find(({ kind }) => kind === "symptom" || kind === "stops_after")) return null;
  const { operation, before, after } = fact;
  if (fact.kind === "symptom" && fact.label === "message" && fact.g < 0) {
    const counts = `${before.count}/${before.of} → ${after.count}/${after.of}`;
    const sentence = ko
      ? `${fact.callee}: ${operation}이(가) 보낸 메시지가 처리되는 비율 감소 (${counts}). 소비자가 동작하는지 확인`
      : `${fact.callee}: fewer messages of ${operation} are worked on (${counts}); check that its consumer runs`;
    return { kind: "queue_consumer", service: fact.callee, sentence, spans: [] };
  }
  const counts = `${before.count}/${before.of} → ${after.count}/${after.of}`;
  const sentence = ko
    ? `${service}: ${operation}의 처리 과정이 달라진 원인 조사 (${counts}건; 배포, 설정, 입력 변경)`
    : `${service}: find out what made requests of ${operation} take another course (${counts}; deploy, configuration, input)`;
  return { kind: "changed_behaviour", service, sentence, spans: [] };
}

/** The heaviest part of the critical path that a service answers for; its smaller parts get no advice of their own. */
function adviceOnPath(
  { service, evidence }: Candidate,
  fact: Extract<EvidenceFact, { kind: "path_share" }>,
  ko: boolean,
): Look | null {
  if (fact !== evidence.find((each) => each.kind === "path_share")) return null;
  const { operation, selfNanos, share, spans } = fact;
  const slower = evidence.find((each) => each.kind === "slower_than_usual" && each.operation === operation);
  const [self, part] = [formatDuration(selfNanos), formatPercent(share)];
  if (slower?.kind !== "slower_than_usual") {
    const sentence = ko
      ? `${service}: ${operation}이(가) 요청 시간의 ${part}(${self})를 차지. 단축하거나 요청 경로에서 분리`
      : `${service}: ${operation} takes ${part} of the request (${self}); make it faster, or do it after the answer`;
    return { kind: "slow_operation", service, sentence, spans };
  }
  const [now, usual] = [formatDuration(slower.durationNanos), usualText(slower.usual, ko)];
  const sentence = ko
    ? `${service}: ${operation}이(가) ${now} 걸리는 원인 조사 (${usual})`
    : `${service}: find out why ${operation} takes ${now} (${usual})`;
  return { kind: "slow_operation", service, sentence, spans };
}

function adviceOnFailures({ service, kind, operation, edge }: Candidate, ko: boolean): Look {
  const spans: readonly number[] = [];
  if (kind === "unreachable") return unreachableAdvice(service, edge?.caller ?? null, spans, ko);
  if (kind === "network") return networkAdvice(service, edge, spans, ko);
  if (kind === "latency") {
    const what = operation ?? service;
    const sentence = ko
      ? `${service}: ${what} 응답이 호출자가 포기할 만큼 느린 원인 조사`
      : `${service}: find out why ${what} takes so long that callers give up`;
    return { kind: "slow_operation", service, sentence, spans };
  }
  const where = operation === null ? "" : ko ? ` (${operation})` : ` in ${operation}`;
  const sentence = ko
    ? `${service}: 여기서 시작된 오류${where}부터 조사`
    : `${service}: start with the failures that begin there${where}`;
  return { kind: "fix_error", service, sentence, spans };
}

function unreachableAdvice(
  service: string,
  caller: string | null,
  spans: readonly number[],
  ko: boolean,
): Look {
  const sentence = ko
    ? `${service}: 실행 중인지, ${caller ?? "호출 측"}에서 접근 가능한지(주소, DNS, 네트워크 정책) 확인`
    : `${service}: check that it runs and that ${caller ?? "its callers"} can reach it (address, DNS, network policy)`;
  return { kind: "unreachable", service, sentence, spans };
}

function aloneAdvice(
  { service, callee }: Extract<EvidenceFact, { kind: "alone_unreached" }>,
  ko: boolean,
): Look {
  const sentence = ko
    ? `${service}: ${callee}(으)로 나가는 길(DNS, 주소 설정, 이그레스, 네트워크 정책) 확인`
    : `${service}: check its way to ${callee} (DNS, configured address, egress, network policy)`;
  return { kind: "egress", service, sentence, spans: [] };
}

function networkAdvice(service: string, edge: Edge | null, spans: readonly number[], ko: boolean): Look {
  const sentence = ko
    ? `${service}: ${edge?.caller ?? "호출 측"}와(과) ${edge?.callee ?? service} 사이의 네트워크, 프록시, 연결 대기열 확인`
    : `${service}: look at what lies between ${edge?.caller ?? "its callers"} and ${edge?.callee ?? service} (network, proxy, accept queue)`;
  return { kind: "network", service, sentence, spans };
}

/** What an error says in words was short, or in the way. */
function adviceOnShortage(fact: Extract<EvidenceFact, { kind: "origin" }>, ko: boolean): Look | null {
  const { service, caller, operation, reason, spans } = fact;
  const error = "error" in reason ? reason.error : null;
  const shortage = error === null ? null : shortageIn(error);
  if (error === null || shortage === null) return null;
  const words = error.type || error.message;
  switch (shortage) {
    case "pool": {
      const sentence = ko
        ? `${caller}: ${operation}이(가) 풀의 연결을 얻지 못함(${words}). 풀 크기와 연결을 오래 잡는 작업 확인`
        : `${caller}: ${operation} got no connection from its pool (${words}); look at the pool's size, and at what keeps connections so long`;
      return { kind: "pool_size", service: caller, sentence, spans };
    }
    case "name": {
      const sentence = ko
        ? `${caller}: ${service}의 이름을 찾지 못함(${words}). DNS와 설정된 주소 확인`
        : `${caller}: it could not resolve the name of ${service} (${words}); check its DNS and the address that it is given`;
      return { kind: "egress", service: caller, sentence, spans };
    }
    case "lock": {
      const sentence = ko
        ? `${service}: ${caller}의 ${operation}이(가) 락에 막힘(${words}). 같은 데이터를 잡는 트랜잭션 확인`
        : `${service}: ${operation} of ${caller} ran into a lock (${words}); find the transactions that hold the same rows`;
      return { kind: "database", service, sentence, spans };
    }
    case "memory": {
      const sentence = ko
        ? `${service}: ${operation}에서 메모리 부족(${words}). 메모리를 채우는 원인과 한도 확인`
        : `${service}: ${operation} ran out of memory (${words}); look at what fills it, and at the limit`;
      return { kind: "memory_limit", service, sentence, spans };
    }
  }
}

function adviceOnOrigin(fact: Extract<EvidenceFact, { kind: "origin" }>, ko: boolean): Look | null {
  const shortage = adviceOnShortage(fact, ko);
  if (shortage !== null) return shortage;
  const { service, caller, operation, reason, spans } = fact;
  switch (reason.kind) {
    case "own_error": {
      const type = reason.error?.type ? ` (${reason.error.type})` : "";
      const sentence = ko
        ? `${service}: ${operation}에서 시작된 오류${type}부터 조사`
        : `${service}: start with the error in ${operation}${type}`;
      return { kind: "fix_error", service, sentence, spans };
    }
    case "slow_work": {
      const [self, waited] = [formatDuration(reason.selfNanos), formatDuration(reason.waitedNanos)];
      const sentence = ko
        ? `${service}: ${operation}이(가) ${self} 걸리는 원인 조사; ${caller}은(는) ${waited} 뒤 포기`
        : `${service}: find out why ${operation} takes ${self}; ${caller} gives up after ${waited}`;
      return { kind: "slow_operation", service, sentence, spans };
    }
    case "tight_timeout": {
      const [waited, usual] = [formatDuration(reason.waitedNanos), formatDuration(reason.usualNanos)];
      const sentence = ko
        ? `${service}: ${operation}의 타임아웃(${waited})이 평소 소요 시간(${usual})에 비해 너무 짧음. 늘릴 것`
        : `${service}: its timeout for ${operation} (${waited}) leaves too little above the usual ${usual}; raise it`;
      return { kind: "timeout_budget", service, sentence, spans };
    }
    case "peer_timeout": {
      const waited = formatDuration(reason.waitedNanos);
      const sentence = ko
        ? `${caller}: ${service}이(가) ${waited} 안에 응답하지 않음. ${service} 상태를 확인하고, 더 짧은 타임아웃과 폴백을 준비`
        : `${caller}: ${service} did not answer within ${waited}; check ${service}, and give this call a shorter timeout and a fallback`;
      return { kind: "dependency_timeout", service: caller, sentence, spans };
    }
    case "peer_error": {
      const sentence = ko
        ? `${service}: ${caller}의 ${operation} 호출에 오류로 응답하는 원인 확인`
        : `${service}: find out why it answers ${caller}'s ${operation} with errors`;
      return { kind: "dependency_error", service, sentence, spans };
    }
    case "unreachable":
      return unreachableAdvice(service, caller, spans, ko);
    case "network_gap":
      return networkAdvice(service, { caller, callee: service }, spans, ko);
    case "rejected_request": {
      const sentence = ko
        ? `${service}: ${reason.callee}에 보내는 요청을 확인. ${reason.callee}은(는) 이를 자신의 오류로 보지 않음`
        : `${service}: check the request that it sends to ${reason.callee}, which refuses it and counts no error of its own`;
      return { kind: "contract", service, sentence, spans };
    }
  }
}
