import type { StructuralReport, TraceReport, WindowReport } from "../analysis/report.ts";
import type { SettingValues } from "../config/settings.ts";

/** 1 where the report reaches the `--fail-on` threshold, else 0. */
export function exitCodeOf(
  report: StructuralReport | TraceReport | WindowReport,
  threshold: SettingValues["fail_on"],
): number {
  if (threshold === "none") return 0;
  const severity = severityOf(report);
  return severity === "critical" || severity === threshold ? 1 : 0;
}

/** Critical = a service is unhealthy; degraded = one has an issue (slow, short of CPU), or a cause was found without one. */
function severityOf(report: StructuralReport | TraceReport | WindowReport): "critical" | "degraded" | "none" {
  const states = [...report.service_states.values()];
  if (states.some(({ healthy }) => !healthy)) return "critical";
  const isBlamed = "healthy" in report ? !report.healthy : report.root_cause_candidates.length > 0;
  const hasFinding = states.some(({ issues }) => issues.length > 0) || isBlamed;
  return hasFinding ? "degraded" : "none";
}
