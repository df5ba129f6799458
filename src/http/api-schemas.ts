import { findingIds } from "../advice/doctor-texts.ts";
import { errorCatalogue } from "../engine/errors/operation-error.ts";

/** A JSON Schema (2020-12), as far as OpenAPI 3.1 documents of ours use it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export type SchemaName = keyof typeof schemas;

/** A reference to one of the schemas below. */
export function schemaReference(name: SchemaName): JsonSchema {
  return reference(name);
}

const text: JsonSchema = { type: "string" };
const number: JsonSchema = { type: "number" };
const count: JsonSchema = { type: "integer", minimum: 0 };
const flag: JsonSchema = { type: "boolean" };
const score: JsonSchema = { type: "integer", minimum: 0, maximum: 100 };
const ratio: JsonSchema = { type: "number", minimum: 0, maximum: 1 };
const spanId: JsonSchema = { type: "string", pattern: "^[0-9a-f]{16}$" };
const traceId: JsonSchema = { type: "string", pattern: "^[0-9a-f]{32}$" };
const time: JsonSchema = { type: "string", description: "RFC 3339, UTC, nanoseconds" };
const texts = listOf(text);
const spanIds = listOf(spanId);
const nodeKind = oneOf("service", "database", "messaging", "external", "unknown");

function object(
  required: Readonly<Record<string, JsonSchema>>,
  optional: Readonly<Record<string, JsonSchema>> = {},
) {
  return { type: "object", properties: { ...required, ...optional }, required: Object.keys(required) };
}

function listOf(items: JsonSchema): JsonSchema {
  return { type: "array", items };
}

function mapOf(additionalProperties: JsonSchema): JsonSchema {
  return { type: "object", additionalProperties };
}

function oneOf(...values: readonly string[]): JsonSchema {
  return { type: "string", enum: values };
}

function orNull(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: "null" }] };
}

/** Within the table of schemas, whose names are not known yet. */
function reference(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

const rates = {
  requests: number,
  errors: number,
  error_rate: ratio,
  p50_ms: orNull(number),
  p90_ms: orNull(number),
  p99_ms: orNull(number),
};

/** What a report and a search both say of a trace. */
const traceFacts = {
  root_service: text,
  root_operation: text,
  start: time,
  duration_ms: number,
  span_count: count,
  error_count: count,
  services: texts,
};

const graphParts = {
  nodes: listOf(
    object({
      service: text,
      kind: nodeKind,
      inferred: flag,
      calls_in: number,
      error_rate: ratio,
      response_time_p50: orNull(number),
      response_time_p99: orNull(number),
    }),
  ),
  edges: listOf(
    object(
      {
        caller: text,
        callee: text,
        kind: oneOf("sync", "async", "inferred"),
        calls: number,
        errors: number,
        error_rate: ratio,
        p50_ms: orNull(number),
        p99_ms: orNull(number),
      },
      { client_p99_ms: number, server_p99_ms: number },
    ),
  ),
};

const incidentFacts = {
  id: text,
  status: { ...oneOf("open", "closed", "merged"), description: "merged = part of another, see merged_into" },
  start: { ...time, description: "the first minute of which the report shows that it was worse than usual" },
  end: orNull(time),
  detected: time,
  delay_seconds: {
    ...number,
    description: "from its start, which is known to the minute, until it was opened",
  },
  updated: time,
  version: { type: "integer", minimum: 1, description: "grows with every report" },
  merged_into: orNull(text),
  services: { ...texts, description: "those with operations that fared worse" },
  verdict: text,
  confidence: orNull(ratio),
  cause: orNull(object({ service: text, kind: text })),
  affected_services: texts,
  exemplar_trace_ids: listOf(traceId),
};

const failurePropagation = listOf(
  object({ failed_service: text, affected_services: texts, failure_reasons: texts }),
);

const structuralFields = {
  trace_id: traceId,
  failed_service: text,
  dependency_chain: texts,
  service_states: mapOf(reference("ServiceState")),
  cascade_analysis: object({
    failure_propagation: failurePropagation,
    blast_radius: count,
    critical_path: texts,
  }),
  recommendations: texts,
};

const testFigures = {
  baseline: number,
  chance: { ...ratio, description: "how often chance alone would make such a difference" },
  z: {
    ...number,
    description: "of times, the rank test in standard deviations; of a metric, its rise in robust ones",
  },
  g: { ...number, description: "likelihood ratio of four counts; below 0 = less often than before" },
  leaf_share: { ...ratio, description: "share of what is unusual below which nothing is" },
  slower: count,
  compared: count,
};

const windowFacts = {
  window: reference("Window"),
  baseline: orNull(reference("Baseline")),
  verdict: text,
  confidence: orNull(ratio),
  healthy: { ...flag, description: "nothing significant: there are no candidates" },
  root_cause_candidates: listOf(reference("Candidate")),
  failure_propagation: failurePropagation,
  propagation: listOf(
    object(
      {
        caller: text,
        callee: text,
        mechanism: text,
        requests: number,
        share: ratio,
        in_order: orNull(flag),
      },
      { onset: time },
    ),
  ),
  affected_services: {
    ...texts,
    description: "those that failed or became slower because of the first candidate, itself included",
  },
  services_at_risk: { ...texts, description: "those that would fail with it, though nothing shows yet" },
  entry_points: listOf(
    object({
      service: text,
      operation: text,
      requests: number,
      failed: number,
      excess_failed: { ...number, description: "of them, beyond what is usual; 0 where that may be chance" },
      added_latency_ms: number,
      share: ratio,
      failed_by_cause: { ...number, description: "that failed because of the first candidate" },
      latency_by_cause_ms: { ...number, description: "waited for it more than usual, on average" },
    }),
  ),
  traffic_share: {
    ...ratio,
    description: "of all requests, those that failed or became slower because of the first candidate",
  },
  what_if: listOf(
    object({
      service: text,
      entry_points: listOf(
        object({
          service: text,
          operation: text,
          error_rate: ratio,
          error_rate_without: ratio,
          mean_ms: orNull(number),
          mean_ms_without: orNull(number),
        }),
      ),
    }),
  ),
  blast_radius: count,
  service_states: mapOf(reference("ServiceState")),
  dependency_graph: reference("Graph"),
  onset_order: listOf(object({ service: text, onset: time })),
  recommendations: texts,
  advice: listOf(reference("Advice")),
  exemplar_trace_ids: listOf(traceId),
  totals: object({ spans: count, traces: count, services: count }),
  problems: listOf(reference("Problem")),
};

/** Everything that answers are made of, for `components/schemas`. */
export const schemas = {
  Error: object({
    error: object({ code: oneOf(...Object.keys(errorCatalogue), "internal"), message: text, hint: text }),
  }),
  Health: object({ status: oneOf("ok", "starting_or_stopping"), version: text }),
  OtlpTraces: {
    ...object({ resourceSpans: listOf({ type: "object" }) }),
    description: "OTLP JSON: the protobuf message TracesData in its JSON form",
  },
  HealthMetrics: {
    ...object(
      {},
      {
        error_rate: number,
        response_time_p99: number,
        cpu_usage: number,
        memory_usage: number,
        queue_depth: number,
        connection_count: number,
        max_connections: number,
        deadlock_count: number,
        slow_query_count: number,
        timeout_count: number,
        rate_limit_hits: number,
      },
    ),
    description: "ratios 0..1, seconds, counts; what is not known is left out",
  },
  ServiceState: object({ healthy: flag, issues: texts, metrics: reference("HealthMetrics") }),
  StructuralCandidate: object({ service: text, issues: texts, impact_score: number }),
  StructuralReport: object({
    ...structuralFields,
    root_cause_candidates: listOf(reference("StructuralCandidate")),
  }),
  Candidate: object(
    {
      service: text,
      rank: { type: "integer", minimum: 1 },
      score: ratio,
      impact_score: number,
      kind: text,
      issues: texts,
      evidence: listOf(
        object(
          { statement: text, direction: oneOf("for", "against"), spans: spanIds, value: orNull(number) },
          testFigures,
        ),
      ),
    },
    {
      operation: text,
      instance: text,
      edge: object({ caller: text, callee: text }),
      onset: time,
      contrast: listOf(
        object({
          key: text,
          value: text,
          requests: count,
          bad: count,
          other_requests: count,
          other_bad: count,
          alike: listOf(object({ key: text, value: text })),
        }),
      ),
    },
  ),
  TraceReport: object({
    version: { type: "integer", minimum: 1, description: "grows when late spans change the trace" },
    complete: { ...flag, description: "nothing has arrived for the trace for the idle time" },
    ...structuralFields,
    structural: object({ root_cause_candidates: listOf(reference("StructuralCandidate")) }),
    verdict: text,
    confidence: orNull(ratio),
    healthy: {
      ...flag,
      description:
        "nothing failed and it took no longer than usual: candidates only tell where its time went",
    },
    root_cause_candidates: listOf(reference("Candidate")),
    advice: listOf(reference("Advice")),
    failing_path: listOf(
      object(
        {
          span_id: spanId,
          depth: count,
          service: text,
          operation: text,
          start_ms: number,
          duration_ms: number,
          failed: flag,
          role: oneOf("origin", "reporter", "none"),
          error: orNull(text),
          hidden_siblings: count,
        },
        {
          hidden_groups: listOf(
            object({
              service: text,
              operation: text,
              spans: count,
              failed: count,
              total_ms: number,
              max_ms: number,
            }),
          ),
        },
      ),
    ),
    propagation: listOf(object({ caller: text, callee: text, mechanism: text, spans: spanIds })),
    trace: object(traceFacts, {
      episode: {
        ...object({ number: count, count }),
        description: "which of the requests that share the trace id this is, from 1",
      },
    }),
    trace_critical_path: listOf(
      object({
        span_id: spanId,
        service: text,
        operation: text,
        start: time,
        duration_ms: number,
        self_time_ms: number,
        share: ratio,
      }),
    ),
    dependency_graph: reference("Graph"),
    problems: listOf(reference("Problem")),
  }),
  WindowReport: object(windowFacts),
  Incident: object(incidentFacts),
  Incidents: object({
    incidents: listOf(reference("Incident")),
    lag: {
      ...object({ seconds: number, spans: count, look_seconds: orNull(number) }),
      description:
        "how far behind the analysis is: how late the next trace is, spans that wait, and since when nobody has looked",
    },
  }),
  IncidentReport: object({ ...incidentFacts, ...windowFacts }),
  Window: object({ from: time, to: time }),
  Baseline: object(
    { from: time, to: time },
    { reason: { ...text, description: "how it was chosen, where nobody named it" } },
  ),
  Advice: object({ sentence: text, kind: text, service: text, spans: spanIds }, { traces: listOf(traceId) }),
  Problem: object(
    { kind: text, message: text, count, spans: spanIds },
    { source: text, service: text, shift_ms: number },
  ),
  TraceSummary: object({
    trace_id: traceId,
    ...traceFacts,
  }),
  TracePage: object({
    traces: listOf(reference("TraceSummary")),
    total: { ...count, description: "how many there are of what was searched" },
    complete: {
      ...flag,
      description:
        "everything was searched; a search by attribute ends when its page is full, or after a while",
    },
    searched_from: {
      ...orNull(time),
      description: "where it is not complete: what is found since then was searched",
    },
    truncated: { ...flag, description: "there are more, or may be; ask again with the cursor" },
    cursor: orNull(text),
    pending: { ...count, description: "traces that have arrived and are not searched yet" },
  }),
  Graph: object(graphParts),
  GraphPage: object({
    ...graphParts,
    total: { ...count, description: "edges in all" },
    truncated: { ...flag, description: "there are more edges; ask with a higher limit or a focus" },
  }),
  Finding: object({
    id: oneOf(...findingIds),
    severity: oneOf("critical", "warning", "info"),
    service: { ...orNull(text), description: "null = all services together" },
    count,
    of: { ...count, description: "how many could have been affected" },
    share: ratio,
    statement: text,
    fix: text,
    details: texts,
    evidence: listOf(object({ trace_id: traceId, span_id: spanId })),
  }),
  DoctorReport: object({
    score: orNull(score),
    totals: object({ spans: count, traces: count, services: count }),
    services: listOf(
      object({ service: text, score, spans: count, critical: count, warnings: count, infos: count }),
    ),
    findings: listOf(reference("Finding")),
    problems: listOf(reference("Problem")),
    sample: {
      ...object({ traces: count, of: count }),
      description: "traces that were looked at, and how many there are",
    },
  }),
  Service: object({
    service: text,
    kind: nodeKind,
    inferred: flag,
    ...rates,
    healthy: flag,
    issues: texts,
    metrics: reference("HealthMetrics"),
    operations: listOf(object({ operation: text, ...rates })),
    minutes: listOf(object({ start: time, requests: number, errors: number, p99_ms: orNull(number) })),
  }),
  Services: object({
    services: listOf(reference("Service")),
    total: count,
    truncated: { ...flag, description: "there are more services; ask with a higher limit" },
  }),
} as const satisfies Readonly<Record<string, JsonSchema>>;
