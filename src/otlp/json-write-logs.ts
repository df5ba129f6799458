import type { LogRecord } from "../model/telemetry.ts";
import { groupRecords } from "./encode-logs.ts";
import { attributesJson, type Json, valueJson } from "./json-write.ts";

/** An ExportLogsServiceRequest in OTLP's JSON encoding, grouped by resource and scope. Read again it gives the same records. */
export function logsToJson(records: readonly LogRecord[]): string {
  const resourceLogs = Array.from(groupRecords(records), ([resource, byScope]) => ({
    resource: { attributes: attributesJson(resource) },
    scopeLogs: Array.from(byScope, ([name, scopeRecords]) => ({
      scope: { name: name || undefined },
      logRecords: scopeRecords.map(recordJson),
    })),
  }));
  return JSON.stringify({ resourceLogs });
}

function recordJson(record: LogRecord): Json {
  const { time, observedTime, body } = record;
  return {
    timeUnixNano: time === 0n ? undefined : String(time),
    observedTimeUnixNano: observedTime === 0n ? undefined : String(observedTime),
    severityNumber: record.severityNumber || undefined,
    severityText: record.severityText || undefined,
    body: body === null ? undefined : valueJson(body),
    attributes: attributesJson(record.attributes),
    traceId: record.traceId || undefined,
    spanId: record.spanId || undefined,
    eventName: record.eventName || undefined,
  };
}
