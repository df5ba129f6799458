import { entryKey } from "../cascade/blame.ts";
import type { Candidate } from "../cascade/candidate.ts";
import {
  type CauseImpact,
  causesAmong,
  dependentsOf,
  type EntryImpact,
  impactOf,
  together,
  type Way,
} from "../cascade/impact.ts";
import type { EntryFinding, WindowTraces } from "../cascade/window-evidence.ts";
import { whatIfCountMax } from "../model/scoring.ts";
import { formatTime, NANOS_PER_MS, startOfMinute } from "../model/time.ts";
import type {
  EntryPointJson,
  WhatIfEntryJson,
  WhatIfJson,
  WindowPropagationJson,
  WindowReport,
} from "./report.ts";
import type { Scope } from "./scope.ts";

interface Side extends WindowTraces {
  readonly scope: Scope;
}

export interface ReachQuestion {
  readonly candidates: readonly Candidate[];
  readonly window: Side;
  readonly baseline: Side | null;
  /** of the window */
  readonly requests: number;
}

type Reach = Pick<
  WindowReport,
  "propagation" | "affected_services" | "services_at_risk" | "entry_points" | "traffic_share" | "what_if"
>;

/** How far the first candidate reached, and what would be better without it and those after it. `findings` in the order to tell them in. */
export function reachJson(findings: readonly EntryFinding[], question: ReachQuestion): Reach {
  const { candidates, window, baseline, requests } = question;
  const impacts = candidates
    .slice(0, whatIfCountMax)
    .map(({ service, score }) => ({ score, ...impactOf({ window, baseline, service }) }));
  const causes = causesAmong(impacts);
  const reach = together(causes);
  const names = causes.map(({ service }) => service);
  const affected = [
    ...new Set([...reach.affected, ...names.filter((name) => sendsSpans(name, question))]),
  ].sort();
  const callersOf = (callee: string): Iterable<string> => window.scope.graph.callersOf(callee);
  const atRisk = names.flatMap((name) => dependentsOf(name, { callersOf, failures: window.blame.failures }));
  return {
    propagation: reach.ways.map(wayJson),
    affected_services: affected,
    services_at_risk: [...new Set(atRisk)].filter((name) => !affected.includes(name)).sort(),
    entry_points: findings.map((finding) => entryJson(finding, reach.entries, requests)),
    traffic_share: reach.trafficShare,
    what_if: impacts.map((impact) => whatIfJson(impact, findings)),
  };
}

/** In the window or in the healthy time. */
function sendsSpans(service: string, { window, baseline }: ReachQuestion): boolean {
  return [window, baseline].some((side) => side?.scope.red.service(service)?.isInferred === false);
}

function wayJson({
  caller,
  callee,
  mechanism,
  requests,
  share,
  onset,
  isInOrder,
}: Way): WindowPropagationJson {
  return {
    caller,
    callee,
    mechanism,
    requests,
    share,
    ...(onset === null ? {} : { onset: formatTime(startOfMinute(onset)) }),
    in_order: isInOrder,
  };
}

function entryJson(
  { entry, excessFailed, addedNanos }: EntryFinding,
  impacts: CauseImpact["entries"],
  requestsInAll: number,
): EntryPointJson {
  const { service, operation, cell } = entry;
  const impact = impacts.get(entryKey(service, operation));
  return {
    service,
    operation,
    requests: cell.requests,
    failed: cell.failed,
    excess_failed: excessFailed,
    added_latency_ms: addedNanos / NANOS_PER_MS,
    share: requestsInAll > 0 ? cell.requests / requestsInAll : 0,
    failed_by_cause: impact?.failed ?? 0,
    // in whole nanoseconds: the last bits of a sum depend on the order of its parts
    latency_by_cause_ms: Math.round(impact?.addedNanos ?? 0) / NANOS_PER_MS,
  };
}

function whatIfJson({ service, entries }: CauseImpact, findings: readonly EntryFinding[]): WhatIfJson {
  const hit = findings.flatMap(({ entry }) => {
    const impact = entries.get(entryKey(entry.service, entry.operation));
    return impact === undefined || impact.failed + impact.slowed <= 0 ? [] : [withoutCause(entry, impact)];
  });
  return { service, entry_points: hit };
}

function withoutCause(
  { service, operation, cell, finished, meanNanos }: EntryFinding["entry"],
  { failed, addedNanos }: EntryImpact,
): WhatIfEntryJson {
  const isTimed = finished > 0;
  return {
    service,
    operation,
    error_rate: cell.errorRatio,
    error_rate_without: Math.max(0, cell.failed - failed) / Math.max(1, cell.requests),
    mean_ms: isTimed ? meanNanos / NANOS_PER_MS : null,
    mean_ms_without: isTimed ? Math.round(Math.max(0, meanNanos - addedNanos)) / NANOS_PER_MS : null,
  };
}
