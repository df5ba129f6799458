import type { LogRecord, MetricPoint } from "../../src/model/telemetry.ts";
import { encodeLogs } from "../../src/otlp/encode-logs.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { oracleJson } from "./protobuf-oracle.ts";

/** Points as an ExportMetricsServiceRequest in OTLP JSON, written by protobufjs. */
export function metricsToJson(points: readonly MetricPoint[]): string {
  return oracleJson("metrics", encodeMetrics(points));
}

/** Records as an ExportLogsServiceRequest in OTLP JSON, written by protobufjs. */
export function logsToJson(records: readonly LogRecord[]): string {
  return oracleJson("logs", encodeLogs(records));
}
