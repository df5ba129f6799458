import type { Remedy } from "../cascade/remedy.ts";
import type { Advice } from "./advice.ts";
import { formatAmount, formatCount, formatDuration } from "./format-duration.ts";

/** A suggestion in words, with its figures. */
export function adviceOnRemedy(remedy: Remedy, ko: boolean): Advice {
  const { spans, traceIds } = remedy;
  return { ...wordsOf(remedy, ko), spans, traceIds };
}

function wordsOf(remedy: Remedy, ko: boolean): Pick<Advice, "kind" | "service" | "sentence"> {
  switch (remedy.kind) {
    case "fail_fast": {
      const { caller, callee } = remedy.edge;
      const [calls, wait] = [formatCount(remedy.calls), formatDuration(remedy.waitedNanos)];
      const sentence = ko
        ? `${caller}: ${callee} 호출 ${calls}건이 각각 ${wait} 대기 후 실패. 서킷 브레이커나 더 짧은 타임아웃으로 바로 실패 처리`
        : `${caller}: ${calls} calls to ${callee} failed after it had waited ${wait} each; fail fast, with a circuit breaker or a shorter timeout`;
      return { kind: "circuit_breaker", service: caller, sentence };
    }
    case "deadline":
      return deadlineWords(remedy, ko);
    case "retry_storm": {
      const { caller, callee } = remedy.edge;
      const [before, after] = [formatAmount(remedy.before * 100), formatAmount(remedy.after * 100)];
      const [count, of] = [formatCount(remedy.failed.count), formatCount(remedy.failed.of)];
      const factor = formatAmount(Number((remedy.after / remedy.before).toFixed(1)));
      const sentence = ko
        ? `${caller}: 요청 100건당 ${callee} 호출이 ${before}회에서 ${after}회로 증가(${factor}배), ${of}건 중 ${count}건 실패. 재시도 예산과 백오프로 제한`
        : `${caller}: its calls to ${callee} rose from ${before} to ${after} for 100 requests of users (${factor} times as many), and ${count} of ${of} failed; limit retries with a budget and back-off`;
      return { kind: "retry_policy", service: caller, sentence };
    }
    case "fallback": {
      const { edge, failed, coping } = remedy;
      const own = `${formatCount(failed.count)}/${formatCount(failed.of)}`;
      const other = `${formatCount(coping.failed.count)}/${formatCount(coping.failed.of)}`;
      const sentence = ko
        ? `${edge.caller}: ${edge.callee} 실패 시 요청도 실패(${own}). ${coping.service} ${coping.operation}은(는) 같은 상황에서 계속 동작(실패 ${other}). 폴백 추가`
        : `${edge.caller}: its requests fail when ${edge.callee} does (${own}), while ${coping.service} ${coping.operation} goes on without it (${other} failed); add a fallback`;
      return { kind: "fallback", service: edge.caller, sentence };
    }
    case "capacity": {
      const [before, after] = [formatAmount(remedy.before), formatAmount(remedy.after)];
      const sentence = ko
        ? `${remedy.about}: 초당 요청이 ${before}건에서 ${after}건으로 증가. 인스턴스를 늘리거나 입구에서 부하를 제한`
        : `${remedy.about}: it gets ${after} requests a second instead of ${before}; scale it out, or limit the load where it comes in`;
      return { kind: "capacity", service: remedy.about, sentence };
    }
    case "egress": {
      const { edge, failed, others } = remedy;
      const own = `${formatCount(failed.count)}/${formatCount(failed.of)}`;
      const rest = `${formatCount(others.count)}/${formatCount(others.of)}`;
      const sentence = ko
        ? `${edge.caller}: ${edge.callee} 호출이 이 서비스에서만 실패(${own}, 다른 호출자 ${rest}). DNS, 이그레스 정책, 프록시 확인`
        : `${edge.caller}: only its calls to ${edge.callee} get no answer (${own} failed, ${rest} of other callers); check its DNS, egress policy and proxy`;
      return { kind: "egress", service: edge.caller, sentence };
    }
    case "slow_database":
      return databaseWords(remedy, ko);
  }
}

function deadlineWords(
  remedy: Extract<Remedy, { kind: "deadline" }>,
  ko: boolean,
): Pick<Advice, "kind" | "service" | "sentence"> {
  const { operation, by } = remedy;
  const { caller, callee } = remedy.edge;
  const [deadline, needed] = [formatDuration(remedy.deadlineNanos), formatDuration(remedy.neededNanos)];
  const kind = "timeout_budget";
  if (by === "deadline") {
    const sentence = ko
      ? `${caller}: ${deadline} 만에 포기하지만 그 아래 ${callee}의 타임아웃은 ${needed}. 아래쪽 타임아웃을 더 짧게 설정`
      : `${caller}: it gives up after ${deadline}, while ${callee} below it waits for ${needed}; the timeout below must be the shorter one`;
    return { kind, service: caller, sentence };
  }
  const sentence = ko
    ? `${caller}: ${callee} ${operation} 호출을 ${deadline} 만에 포기하지만 정상 시 p99는 ${needed}. 타임아웃을 늘릴 것`
    : `${caller}: it gives up on ${callee} ${operation} after ${deadline}, which takes up to ${needed} in a healthy time (p99); raise the timeout`;
  return { kind, service: caller, sentence };
}

function databaseWords(
  remedy: Extract<Remedy, { kind: "slow_database" }>,
  ko: boolean,
): Pick<Advice, "kind" | "service" | "sentence"> {
  const { edge, operation } = remedy;
  const [before, after] = [formatDuration(remedy.beforeNanos), formatDuration(remedy.afterNanos)];
  const [otherBefore, otherAfter] = [remedy.othersBeforeNanos, remedy.othersAfterNanos].map(formatDuration);
  const what = operation ?? (ko ? "호출" : "calls");
  const look = ko
    ? operation === null
      ? "락, 실행 계획, 자원 확인"
      : "이 문장의 인덱스와 락 확인"
    : operation === null
      ? "look for locks, changed plans and its own resources"
      : "look at the index and the locks of that statement";
  const others =
    remedy.others === "calls" ? (ko ? "다른 호출은" : "any other call") : ko ? "자체 처리는" : "the own work";
  const sentence = ko
    ? `${edge.callee}: ${edge.caller}의 ${what}이(가) ${before}에서 ${after}(으)로 지연, 호출자의 ${others} ${otherBefore} → ${otherAfter}. ${look}`
    : `${edge.callee}: ${what} from ${edge.caller} ${operation === null ? "take" : "takes"} ${after} instead of ${before}, while ${others} of its callers takes ${otherAfter} (${otherBefore} before); ${look}`;
  return { kind: "database", service: edge.callee, sentence };
}
