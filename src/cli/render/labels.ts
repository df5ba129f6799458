import type { Language } from "../../analysis/report.ts";

const table = {
  why: ["Why we think so", "판단 근거"],
  how_it_failed: ["How it failed", "실패 경로"],
  the_way: ["Path of the request", "요청 경로"],
  who_is_hit: ["Who is hit", "영향 범위"],
  what_to_do: ["What to do", "조치"],
  in_general: ["What the health of the services suggests", "서비스 상태에 따른 권고"],
  where_time_went: ["Where the time went", "시간이 걸린 곳"],
  services: ["Services", "서비스"],
  chain_services: ["Services in the dependency chain", "의존성 체인의 서비스"],
  graph: ["Service graph", "서비스 그래프"],
  problems: ["Problems with the data", "데이터 문제"],
  onset: ["What began when", "이상 시작 순서"],
  examples: ["Traces to look at", "참고할 트레이스"],
  operations: ["Operations", "작업"],
  candidates: ["Root-cause candidates", "근본 원인 후보"],

  began_here: ["began here", "시작 지점"],
  most_time: ["the longest wait was here", "가장 오래 걸린 곳"],
  more_beside: ["(+{n} more)", "(+{n}개 더)"],
  alike_beside: ["({n} × {name}, {total} in all, at most {max})", "({n} × {name}, 합계 {total}, 최대 {max})"],
  alike_beside_failed: [
    "({n} × {name}, {failed} failed, {total} in all, at most {max})",
    "({n} × {name}, 실패 {failed}개, 합계 {total}, 최대 {max})",
  ],
  spans_between: ["({n} spans between)", "(중간 스팬 {n}개)"],
  more_rows: ["(+{n} more; all of them are in --format json)", "(+{n}개 더; 전체는 --format json)"],
  more_healthy: ["(+{n} healthy: {names})", "(정상 {n}개: {names})"],
  more_of_kind: ["{kind}: (+{n} more of this kind)", "{kind}: (같은 종류 {n}개 더)"],
  against: ["against it", "반대 근거"],

  trace: ["trace", "트레이스"],
  confidence: ["confidence", "확신도"],
  confidence_high: ["high", "높음"],
  confidence_medium: ["medium", "중간"],
  confidence_low: ["low", "낮음"],
  spans: ["{n} spans", "스팬 {n}개"],
  one_span: ["1 span", "스팬 1개"],
  errors_count: ["{n} errors", "오류 {n}건"],
  one_error: ["1 error", "오류 1건"],
  services_count: ["{n} services", "서비스 {n}개"],
  one_service: ["1 service", "서비스 1개"],
  traces_count: ["{n} traces", "트레이스 {n}개"],
  one_trace: ["1 trace", "트레이스 1개"],
  window: ["window", "구간"],
  baseline: ["baseline", "기준 구간"],
  no_baseline: ["none", "없음"],
  instance: ["instance", "인스턴스"],
  call: ["call", "호출"],

  entry_point: ["entry point", "진입점"],
  came_up: ["came up as", "전파 경로"],
  also_hit: ["also call it", "그 밖의 호출자"],
  affected: ["affected", "영향받은 서비스"],
  blast_radius: ["blast radius", "영향 반경"],
  unhealthy_of: ["{n} unhealthy of {m} in the chain", "체인 {m}개 중 비정상 {n}개"],
  without_calls: ["without calls", "호출 없음"],
  nobody: ["nobody calls it", "호출하는 곳 없음"],

  service: ["service", "서비스"],
  operation: ["operation", "작업"],
  errors: ["errors", "오류율"],
  requests: ["requests", "요청"],
  p50: ["p50", "P50"],
  p90: ["p90", "P90"],
  p99: ["p99", "P99"],
  cpu: ["CPU", "CPU"],
  caller: ["caller", "호출"],
  callee: ["callee", "피호출"],
  kind: ["kind", "종류"],
  calls: ["calls", "호출 수"],
  excess_failed: ["excess failed", "초과 실패"],
  added_latency: ["added latency", "추가 지연"],
  share: ["share", "비율"],
  impact: ["impact score", "영향 점수"],

  memory: ["memory", "메모리"],
  queue: ["queue", "대기열"],
  connections: ["connections", "연결"],
  deadlocks: ["deadlocks", "교착"],
  slow_queries: ["slow queries", "느린 쿼리"],
  timeouts: ["timeouts", "타임아웃"],
  rate_limited: ["rate-limited", "속도 제한"],

  failed: ["failed", "실패"],
  fine: ["ok", "정상"],
  notice: ["notice", "주의"],
  inferred: ["seen from its callers only", "호출 측에서만 관측"],
  root_cause: ["root cause", "근본 원인"],
  failing: ["failing", "비정상"],
  on_the_way: ["failing call", "실패한 호출"],

  sync: ["sync", "동기"],
  async: ["async", "비동기"],
  edge_inferred: ["inferred", "추정"],
  database: ["database", "데이터베이스"],
  messaging: ["messaging", "메시징"],
  external: ["external", "외부"],
  unknown: ["unknown", "알 수 없음"],

  by_error: ["error", "오류"],
  by_timeout: ["timeout", "타임아웃"],
  by_retries_exhausted: ["retries exhausted", "재시도 소진"],
  by_unreachable: ["unreachable", "접근 불가"],
  by_slow: ["slow", "지연"],
  by_masked: ["hidden there", "숨겨짐"],

  structural_verdict_bad: [
    "{service}: {n} of the {m} services in its dependency chain are unhealthy; most impact: {first}.",
    "{service}: 의존성 체인의 서비스 {m}개 중 {n}개 비정상; 영향 최대: {first}.",
  ],
  structural_verdict_one: [
    "{service}: 1 of the {m} services in its dependency chain is unhealthy: {first}.",
    "{service}: 의존성 체인의 서비스 {m}개 중 1개 비정상: {first}.",
  ],
  structural_verdict_good: [
    "{service}: all {m} services in its dependency chain are healthy.",
    "{service}: 의존성 체인의 서비스 {m}개 모두 정상.",
  ],
  doctor_verdict: [
    "Instrumentation scores {score} of 100 (critical: {critical}, warnings: {warnings}, notes: {infos})",
    "계측 점수 100점 중 {score}점: 심각 {critical}건, 경고 {warnings}건, 참고 {infos}건",
  ],
  doctor_nothing: ["There are no spans to look at", "살펴볼 스팬이 없음"],
  doctor_title: ["Instrumentation", "계측 진단"],
  findings: ["What is wrong, and how to mend it", "문제와 해결 방법"],
  finding: ["finding", "문제"],
  score: ["score", "점수"],
  critical: ["critical", "심각"],
  warnings: ["warnings", "경고"],
  infos: ["notes", "참고"],
  count: ["count", "건수"],
  span_count: ["spans", "스팬"],
  all_services: ["all services", "전체 서비스"],
  graph_verdict: ["{n} services and peers, {m} kinds of call", "서비스 및 피어 {n}개, 호출 관계 {m}개"],
  services_verdict: ["{n} services and peers, {m} unhealthy", "서비스 및 피어 {n}개, 비정상 {m}개"],
} as const satisfies Readonly<Record<string, readonly [en: string, ko: string]>>;

export type LabelKey = keyof typeof table;

/** A fixed word of reports in the asked language; `{name}` takes the value of that name. */
export function label(
  key: LabelKey,
  language: Language,
  values: Readonly<Record<string, string | number>> = {},
): string {
  return table[key][language === "ko" ? 1 : 0].replace(/\{(\w+)\}/g, (_, name: string) =>
    String(values[name] ?? ""),
  );
}

/** The word beside the sign of a service, entry point or operation in a table. */
export function stateWord(outcome: "failed" | "notice" | "fine", language: Language): string {
  return label(outcome === "failed" ? "failing" : outcome, language);
}
