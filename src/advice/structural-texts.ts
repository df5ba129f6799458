import { formatDecimal } from "../base/format-decimal.ts";
import type { StructuralRecommendation, StructuralResult } from "../cascade/structural-engine.ts";
import type { HealthIssue } from "../health/assess-health.ts";
import type { HealthMetrics } from "../health/health.ts";

export type Language = "en" | "ko";

export interface ServiceStateJson {
  readonly healthy: boolean;
  readonly issues: readonly string[];
  readonly metrics: HealthMetrics;
}

export interface StructuralCandidateJson {
  readonly service: string;
  readonly issues: readonly string[];
  readonly impact_score: number;
}

export interface FailurePropagationJson {
  readonly failed_service: string;
  readonly affected_services: readonly string[];
  readonly failure_reasons: readonly string[];
}

/** The report of the structural engine alone; `--scoring structural` prints exactly this. */
export interface StructuralReport {
  readonly trace_id: string;
  readonly failed_service: string;
  readonly dependency_chain: readonly string[];
  /** by service, in chain order; written as a JSON object in that order */
  readonly service_states: ReadonlyMap<string, ServiceStateJson>;
  readonly root_cause_candidates: readonly StructuralCandidateJson[];
  readonly cascade_analysis: {
    readonly failure_propagation: readonly FailurePropagationJson[];
    readonly blast_radius: number;
    readonly critical_path: readonly string[];
  };
  readonly recommendations: readonly string[];
}

/** The report of a result, in the words of the language. The texts are public interface: scripts compare them. */
export function structuralReport(result: StructuralResult, language: Language): StructuralReport {
  const { candidates } = result;
  const textsOf = (issues: readonly HealthIssue[]): readonly string[] =>
    issues.map((issue) => issueText(issue, language));
  const states = new Map<string, ServiceStateJson>();
  for (const [service, { healthy, issues, metrics }] of result.states)
    states.set(service, { healthy, issues: textsOf(issues), metrics });
  return {
    trace_id: result.traceId,
    failed_service: result.failedService,
    dependency_chain: result.chain,
    service_states: states,
    root_cause_candidates: candidates.map(({ service, issues, impactScore }) => ({
      service,
      issues: textsOf(issues),
      impact_score: impactScore,
    })),
    cascade_analysis: {
      failure_propagation: candidates.map(({ service, issues, affectedServices }) => ({
        failed_service: service,
        affected_services: affectedServices,
        failure_reasons: textsOf(issues),
      })),
      blast_radius: candidates.length,
      critical_path: candidates.map(({ service }) => service),
    },
    recommendations: result.recommendations.map((each) => recommendationText(each, language)),
  };
}

/** One issue in words, with the measured value. */
export function issueText(issue: HealthIssue, language: Language): string {
  const ko = language === "ko";
  switch (issue.kind) {
    case "high_error_rate": {
      const percent = formatDecimal(issue.errorRate * 100, 2);
      return ko ? `높은 에러율: ${percent}%` : `High error rate: ${percent}%`;
    }
    case "slow_response": {
      const seconds = formatDecimal(issue.p99Seconds, 2);
      return ko ? `느린 응답시간: P99 ${seconds}s` : `Slow responses: p99 ${seconds}s`;
    }
    case "high_cpu": {
      const percent = formatDecimal(issue.cpuUsage * 100, 1);
      return ko ? `높은 CPU 사용률: ${percent}%` : `High CPU usage: ${percent}%`;
    }
    case "check_failed":
      return ko ? `헬스 체크 실패: ${issue.message}` : `Health check failed: ${issue.message}`;
    case "unreachable":
      return ko ? `서비스 접근 불가: ${issue.message}` : `Service unreachable: ${issue.message}`;
  }
}

const recommendationTexts: Readonly<
  Record<StructuralRecommendation["kind"], readonly [en: string, ko: string]>
> = {
  fix_errors: [
    "review recent changes and strengthen exception handling to bring the error rate down",
    "에러율 개선을 위한 코드 리뷰 및 예외 처리 강화",
  ],
  speed_up: ["optimise the slow operation and consider caching", "성능 최적화 및 캐싱 도입 검토"],
  scale_out: ["scale out or improve load balancing", "리소스 스케일링 또는 로드 밸런싱 개선"],
  restart: ["restart it and improve its health check", "서비스 재시작 및 헬스 체크 개선"],
  add_circuit_breakers: [
    "Add circuit breakers to stop the cascade",
    "서킷 브레이커 패턴 도입으로 계단식 실패 방지",
  ],
  reduce_dependencies: [
    "Reduce dependencies between services and make calls asynchronous",
    "서비스 간 의존성 감소 및 비동기 처리 도입",
  ],
};

/** One recommendation as a sentence. */
export function recommendationText(recommendation: StructuralRecommendation, language: Language): string {
  const text = recommendationTexts[recommendation.kind][language === "ko" ? 1 : 0];
  return "service" in recommendation ? `${recommendation.service}: ${text}` : text;
}
