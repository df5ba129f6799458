import { expect, test } from "vitest";
import { issueText, recommendationText } from "../../src/advice/structural-texts.ts";

test.each([
  [{ kind: "high_error_rate", errorRate: 0.15 }, "High error rate: 15.00%", "높은 에러율: 15.00%"],
  [{ kind: "slow_response", p99Seconds: 2.625 }, "Slow responses: p99 2.62s", "느린 응답시간: P99 2.62s"],
  [{ kind: "high_cpu", cpuUsage: 0.95 }, "High CPU usage: 95.0%", "높은 CPU 사용률: 95.0%"],
  [{ kind: "check_failed", message: "timeout" }, "Health check failed: timeout", "헬스 체크 실패: timeout"],
  [{ kind: "unreachable", message: "refused" }, "Service unreachable: refused", "서비스 접근 불가: refused"],
] as const)("an issue in both languages: %o", (issue, english, korean) => {
  expect(issueText(issue, "en")).toBe(english);
  expect(issueText(issue, "ko")).toBe(korean);
});

test.each([
  [
    { kind: "fix_errors", service: "s" },
    "s: review recent changes and strengthen exception handling to bring the error rate down",
    "s: 에러율 개선을 위한 코드 리뷰 및 예외 처리 강화",
  ],
  [
    { kind: "speed_up", service: "s" },
    "s: optimise the slow operation and consider caching",
    "s: 성능 최적화 및 캐싱 도입 검토",
  ],
  [
    { kind: "scale_out", service: "s" },
    "s: scale out or improve load balancing",
    "s: 리소스 스케일링 또는 로드 밸런싱 개선",
  ],
  [
    { kind: "restart", service: "s" },
    "s: restart it and improve its health check",
    "s: 서비스 재시작 및 헬스 체크 개선",
  ],
  [
    { kind: "add_circuit_breakers" },
    "Add circuit breakers to stop the cascade",
    "서킷 브레이커 패턴 도입으로 계단식 실패 방지",
  ],
  [
    { kind: "reduce_dependencies" },
    "Reduce dependencies between services and make calls asynchronous",
    "서비스 간 의존성 감소 및 비동기 처리 도입",
  ],
] as const)("a recommendation in both languages: %o", (recommendation, english, korean) => {
  expect(recommendationText(recommendation, "en")).toBe(english);
  expect(recommendationText(recommendation, "ko")).toBe(korean);
});
