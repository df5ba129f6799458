import type { TestFigures } from "../advice/chance-texts.ts";
import type {
  FailurePropagationJson,
  ServiceStateJson,
  StructuralCandidateJson,
  StructuralReport,
} from "../advice/structural-texts.ts";
import type { CauseKind, PropagationMechanism } from "../cascade/candidate.ts";
import type { HealthMetrics } from "../health/health.ts";
import type { Problem } from "../model/problems.ts";
import type { CallKind, NodeKind } from "../trace/calls.ts";
import type { Episode } from "../trace/trace.ts";

export type {
  FailurePropagationJson,
  Language,
  ServiceStateJson,
  StructuralCandidateJson,
  StructuralReport,
} from "../advice/structural-texts.ts";

// The shapes of our JSON. They are snake_case because they are the public interface: what is made here is what `writeJson` of
// wire/ sends (it writes a Map as an object, in the Map's order). Times are RFC 3339 strings with nanoseconds, ids lower-case
// hex, ratios 0..1.

/** One thing that speaks for or against a candidate, with the spans that show it. */
export interface EvidenceJson extends TestFigures {
  readonly statement: string;
  readonly direction: "for" | "against";
  /** span ids, hex */
  readonly spans: readonly string[];
  /** what was measured, in the unit that the statement names; null where there is nothing to measure */
  readonly value: number | null;
  readonly baseline?: number;
}

export interface CandidateJson {
  readonly service: string;
  /** from 1 */
  readonly rank: number;
  /** 0..1 */
  readonly score: number;
  /** the structural formula */
  readonly impact_score: number;
  readonly kind: CauseKind;
  readonly operation?: string;
  readonly instance?: string;
  readonly edge?: { readonly caller: string; readonly callee: string };
  readonly issues: readonly string[];
  readonly evidence: readonly EvidenceJson[];
  readonly onset?: string;
  /** of a window, the values of attributes that together mark its requests in trouble; each further one is found among those that the ones before mark */
  readonly contrast?: readonly ContrastJson[];
}

export interface ContrastJson {
  readonly key: string;
  readonly value: string;
  /** requests with the value, and how many of them failed or took longer than usual */
  readonly requests: number;
  readonly bad: number;
  readonly other_requests: number;
  readonly other_bad: number;
  /** what marks the same requests */
  readonly alike: readonly { readonly key: string; readonly value: string }[];
}

export interface AdviceJson {
  readonly sentence: string;
  readonly kind: string;
  readonly service: string;
  /** of a trace, span ids, hex */
  readonly spans: readonly string[];
  /** of a window, ids of up to three traces that show it, hex */
  readonly traces?: readonly string[];
}

export interface GraphNodeJson {
  readonly service: string;
  readonly kind: NodeKind;
  readonly inferred: boolean;
  readonly calls_in: number;
  readonly error_rate: number;
  /** seconds; null where no request has finished */
  readonly response_time_p50: number | null;
  readonly response_time_p99: number | null;
}

export interface GraphEdgeJson {
  readonly caller: string;
  readonly callee: string;
  readonly kind: CallKind;
  readonly calls: number;
  readonly errors: number;
  readonly error_rate: number;
  /** as the caller saw it where the caller's side is known, else the callee's; null where nothing has finished */
  readonly p50_ms: number | null;
  readonly p99_ms: number | null;
  readonly client_p99_ms?: number;
  readonly server_p99_ms?: number;
}

export interface GraphJson {
  readonly nodes: readonly GraphNodeJson[];
  readonly edges: readonly GraphEdgeJson[];
}

/** Rate, errors and duration of one operation of a service; latencies in ms, null where nothing has finished. */
export interface OperationJson {
  readonly operation: string;
  readonly requests: number;
  readonly errors: number;
  readonly error_rate: number;
  readonly p50_ms: number | null;
  readonly p90_ms: number | null;
  readonly p99_ms: number | null;
}

/** One service of a window, busiest operation first (`services`, `GET /api/v1/services/{name}`). */
export interface ServiceJson extends Omit<OperationJson, "operation"> {
  readonly service: string;
  readonly kind: NodeKind;
  readonly inferred: boolean;
  readonly healthy: boolean;
  readonly issues: readonly string[];
  readonly metrics: HealthMetrics;
  readonly operations: readonly OperationJson[];
  /** one entry a minute that had requests, oldest first */
  readonly minutes: readonly {
    readonly start: string;
    readonly requests: number;
    readonly errors: number;
    readonly p99_ms: number | null;
  }[];
}

/** A part of the time that the trace had to wait for one span. */
export interface PathSectionJson {
  readonly span_id: string;
  readonly service: string;
  readonly operation: string;
  readonly start: string;
  readonly duration_ms: number;
  /** time of the whole span in which none of its children ran */
  readonly self_time_ms: number;
  /** of the whole path; as a rule that is the trace's duration */
  readonly share: number;
}

/** How one failure came up to the caller: from the origin to the entry, callee first. */
export interface PropagationStepJson {
  readonly caller: string;
  readonly callee: string;
  readonly mechanism: PropagationMechanism;
  readonly spans: readonly string[];
}

/** The span tree that a person needs to see: the way from the root to the origin, siblings folded. */
export interface FailingPathJson {
  readonly span_id: string;
  readonly depth: number;
  readonly service: string;
  readonly operation: string;
  readonly start_ms: number;
  readonly duration_ms: number;
  readonly failed: boolean;
  /** "origin" where the failure began, "reporter" where it only passed, "none" for context */
  readonly role: "origin" | "reporter" | "none";
  readonly error: string | null;
  readonly hidden_siblings: number;
  /** those of them that are alike, by operation, the most time first; absent = no two are */
  readonly hidden_groups?: readonly HiddenGroupJson[];
}

/** Spans beside one that is shown, of one operation. */
export interface HiddenGroupJson {
  readonly service: string;
  readonly operation: string;
  readonly spans: number;
  readonly failed: number;
  readonly total_ms: number;
  readonly max_ms: number;
}

export interface TraceReport extends Omit<StructuralReport, "root_cause_candidates"> {
  readonly structural: { readonly root_cause_candidates: readonly StructuralCandidateJson[] };
  /** one sentence */
  readonly verdict: string;
  readonly confidence: number | null;
  /** nothing failed and it took no longer than usual: then candidates only tell where its time went, and there is nothing to do */
  readonly healthy: boolean;
  readonly root_cause_candidates: readonly CandidateJson[];
  readonly advice: readonly AdviceJson[];
  readonly failing_path: readonly FailingPathJson[];
  readonly propagation: readonly PropagationStepJson[];
  readonly trace: {
    readonly root_service: string;
    readonly root_operation: string;
    readonly start: string;
    readonly duration_ms: number;
    readonly span_count: number;
    readonly error_count: number;
    readonly services: readonly string[];
    /** which of the requests that share the trace id this is, from 1; absent = the only one */
    readonly episode?: Episode;
  };
  readonly trace_critical_path: readonly PathSectionJson[];
  readonly dependency_graph: GraphJson;
  readonly problems: readonly Problem[];
}

export interface EntryPointJson {
  readonly service: string;
  readonly operation: string;
  readonly requests: number;
  readonly failed: number;
  /** beyond what is usual; 0 where that may be chance */
  readonly excess_failed: number;
  readonly added_latency_ms: number;
  readonly share: number;
  /** of the first candidate: requests that failed with it, and how much longer they waited for it on average */
  readonly failed_by_cause: number;
  readonly latency_by_cause_ms: number;
}

/** One way on which the first candidate's fault reached others, over all requests of a window; the most requests first. */
export interface WindowPropagationJson {
  readonly caller: string;
  readonly callee: string;
  readonly mechanism: PropagationMechanism;
  /** beyond what is usual, adjusted for sampling */
  readonly requests: number;
  /** of the requests that the cause hit anywhere */
  readonly share: number;
  /** the minute from which on there were more than usual */
  readonly onset?: string;
  /** whether it began no earlier than the trouble of its callee; null = not known */
  readonly in_order: boolean | null;
}

/** How requests would have fared had one candidate been as in the healthy time: what its traces say, added up. */
export interface WhatIfJson {
  readonly service: string;
  /** those that it hit */
  readonly entry_points: readonly WhatIfEntryJson[];
}

export interface WhatIfEntryJson {
  readonly service: string;
  readonly operation: string;
  readonly error_rate: number;
  readonly error_rate_without: number;
  /** null where no request has finished */
  readonly mean_ms: number | null;
  readonly mean_ms_without: number | null;
}

export interface WindowReport {
  readonly window: { readonly from: string; readonly to: string };
  /** `reason` = how it was chosen, where nobody named it */
  readonly baseline: { readonly from: string; readonly to: string; readonly reason?: string } | null;
  readonly verdict: string;
  readonly confidence: number | null;
  readonly healthy: boolean;
  readonly root_cause_candidates: readonly CandidateJson[];
  readonly failure_propagation: readonly FailurePropagationJson[];
  readonly propagation: readonly WindowPropagationJson[];
  /** who failed or became slower because of the first candidate, itself included unless it sends no spans */
  readonly affected_services: readonly string[];
  /** who would fail with it, though nothing shows yet */
  readonly services_at_risk: readonly string[];
  readonly entry_points: readonly EntryPointJson[];
  /** of all requests, those that failed or became slower because of the first candidate */
  readonly traffic_share: number;
  /** of the first candidates */
  readonly what_if: readonly WhatIfJson[];
  readonly blast_radius: number;
  /** by service, in chain order; written as a JSON object in that order */
  readonly service_states: ReadonlyMap<string, ServiceStateJson>;
  readonly dependency_graph: GraphJson;
  readonly onset_order: readonly { readonly service: string; readonly onset: string }[];
  readonly recommendations: readonly string[];
  readonly advice: readonly AdviceJson[];
  readonly exemplar_trace_ids: readonly string[];
  readonly totals: { readonly spans: number; readonly traces: number; readonly services: number };
  readonly problems: readonly Problem[];
}

/** Something that a server noticed by itself, as lists show it. */
export interface IncidentJson {
  readonly id: string;
  readonly status: "open" | "closed" | "merged";
  /** the first minute of which its report shows that something was worse */
  readonly start: string;
  /** null while it goes on */
  readonly end: string | null;
  readonly detected: string;
  readonly delay_seconds: number;
  readonly updated: string;
  /** grows with every report */
  readonly version: number;
  readonly merged_into: string | null;
  readonly services: readonly string[];
  readonly verdict: string;
  readonly confidence: number | null;
  readonly cause: { readonly service: string; readonly kind: string } | null;
  readonly affected_services: readonly string[];
  readonly exemplar_trace_ids: readonly string[];
}

/** The same with its last report. */
export interface IncidentReport extends IncidentJson, Omit<WindowReport, keyof IncidentJson> {}
