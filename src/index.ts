// The library: the engine behind the commands, without files, network or clock.
//
//   const table = new SpanTable();
//   decodeTraces(body, table);                             // or decodeTracesJson; any number of bodies
//   const window = new WindowRollup();
//   window.observe(table);
//   const groups = groupByTrace([table]);
//   for (let i = 0; i < groups.count; i += 1) window.addTrace(assembleTrace(groups.rowsOf(i), rawNaming));
//   const { scope } = window.window();
//   const [first = 0] = groups.byStart();
//   const report = analyzeTrace(assembleTrace(groups.rowsOf(first), scope.directory), scope, { language: "en" });

export { structuralReport } from "./advice/structural-texts.ts";
export { analyzeTrace, servicesOf, type TraceOptions } from "./analysis/analyze-trace.ts";
export {
  analyzeWindow,
  type WindowBounds,
  type WindowOptions,
  WindowRollup,
  type WindowSums,
} from "./analysis/analyze-window.ts";
export {
  type DoctorReport,
  DoctorRollup,
  type DoctorServiceJson,
  type FindingJson,
} from "./analysis/doctor.ts";
export { graphJson } from "./analysis/graph-json.ts";
export type * from "./analysis/report.ts";
export { type Scope, ScopeRollup, type ScopeWindow } from "./analysis/scope.ts";
export { serviceJson, servicesJson } from "./analysis/services-json.ts";
export {
  runStructuralEngine,
  type StructuralInput,
  type StructuralResult,
} from "./cascade/structural-engine.ts";
export type { HealthCheck, HealthMetrics } from "./health/health.ts";
export { parseTraceId, type TraceId } from "./model/ids.ts";
export type { Problem } from "./model/problems.ts";
export { rawNaming, ServiceDirectory } from "./model/service-directory.ts";
export { Span } from "./model/span.ts";
export { SpanTable } from "./model/span-table.ts";
export {
  type DecodeResult,
  type LogRecord,
  MalformedBodyError,
  type MetricPoint,
} from "./model/telemetry.ts";
export { formatTime, parseTime, type UnixNanos } from "./model/time.ts";
export { decodeLogsJson } from "./otlp/json-logs.ts";
export { decodeMetricsJson } from "./otlp/json-metrics.ts";
export { decodeTracesJson } from "./otlp/json-traces.ts";
export { decodeLogs } from "./otlp/protobuf-logs.ts";
export { decodeMetrics } from "./otlp/protobuf-metrics.ts";
export { decodeTraces } from "./otlp/protobuf-traces.ts";
export { assembleTrace } from "./trace/assemble.ts";
export type { Call, CallKind, CallSide, Entry, NodeKind, TraceCalls } from "./trace/calls.ts";
export { criticalPath, type PathSection } from "./trace/critical-path.ts";
export { assembleEpisodes, episodeToShow } from "./trace/episodes.ts";
export { type FailureOrigin, failureOrigins } from "./trace/error-origin.ts";
export { callsOf } from "./trace/extract-calls.ts";
export { groupByTrace, type TraceGroups } from "./trace/group-rows.ts";
export type { Episode, RowRef, Trace, TraceSpan } from "./trace/trace.ts";
// Reports hold Maps, whose order counts: `JSON.stringify` would lose them.
export { writeJson } from "./wire/write-json.ts";
