import type { Attributes } from "../model/attributes.ts";
import type { LogRecord } from "../model/telemetry.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** An ExportLogsServiceRequest of records, grouped by resource and scope. */
export function encodeLogs(records: readonly LogRecord[]): Uint8Array {
  const writer = new ProtobufWriter();
  for (const [resource, byScope] of groupRecords(records)) {
    const start = writer.begin(0x0a, 3);
    writer.resource(0x0a, resource);
    for (const [scopeName, scopeRecords] of byScope) {
      const scopeStart = writer.begin(0x12, 3);
      const nameStart = writer.begin(0x0a, 1);
      writer.text(0x0a, scopeName);
      writer.end(nameStart, 1);
      for (const record of scopeRecords) writeRecord(writer, record);
      writer.end(scopeStart, 3);
    }
    writer.end(start, 3);
  }
  return writer.finish();
}

/** The records of each scope, by resource. */
export function groupRecords(
  records: readonly LogRecord[],
): ReadonlyMap<Attributes, ReadonlyMap<string, readonly LogRecord[]>> {
  const groups = new Map<Attributes, Map<string, LogRecord[]>>();
  for (const record of records) {
    const byScope = groups.get(record.resource) ?? new Map<string, LogRecord[]>();
    groups.set(record.resource, byScope);
    const scopeRecords = byScope.get(record.scopeName) ?? [];
    byScope.set(record.scopeName, scopeRecords);
    scopeRecords.push(record);
  }
  return groups;
}

function writeRecord(writer: ProtobufWriter, record: LogRecord): void {
  const start = writer.begin(0x12, 2);
  if (record.time !== 0n) writer.fixed64(0x09, record.time);
  writer.uint(0x10, record.severityNumber >>> 0);
  writer.text(0x1a, record.severityText);
  if (record.body !== null) writer.value(0x2a, record.body, 1);
  writer.attributes(0x32, record.attributes);
  writer.hex(0x4a, record.traceId);
  writer.hex(0x52, record.spanId);
  if (record.observedTime !== 0n) writer.fixed64(0x59, record.observedTime);
  writer.text(0x62, record.eventName);
  writer.end(start, 2);
}
