import type { AnyValue, Attributes } from "../model/attributes.ts";
import type { DecodeResult, LogRecord, RejectReason } from "../model/telemetry.ts";
import type { UnixNanos } from "../model/time.ts";
import { eachField, nanosAt, readAttributes, readResource, readValue, textAt } from "./protobuf-values.ts";
import { Wire } from "./protobuf-wire.ts";

/**
 * The records of an ExportLogsServiceRequest (or LogsData). A record that cannot be read is left out and counted; broken
 * envelopes throw `MalformedBodyError`.
 */
export function decodeLogs(body: Uint8Array): { records: LogRecord[]; result: DecodeResult } {
  const wire = new Wire(body);
  const records: LogRecord[] = [];
  let rejected = 0;
  const isWhole = eachField(wire, 0, wire.bytes.length, (tag, start, end) =>
    tag === 0x0a ? resourceLogs(start, end) : true,
  );
  if (!isWhole) throw wire.error();
  const reasons = new Map<RejectReason, number>();
  if (rejected > 0) reasons.set("malformed_log_record", rejected);
  return { records, result: { accepted: records.length, rejected, reasons } };

  function resourceLogs(start: number, end: number): boolean {
    const resource = readResource(wire, start, end);
    if (resource === undefined) return false;
    return eachField(wire, start, end, (tag, at, next) =>
      tag === 0x12 ? scopeLogs(resource, at, next) : true,
    );
  }

  function scopeLogs(resource: Attributes, start: number, end: number): boolean {
    const scopeName = readScopeName(wire, start, end);
    if (scopeName === undefined) return false;
    return eachField(wire, start, end, (tag, at, next) => {
      if (tag !== 0x12) return true;
      const record = readRecord(wire, at, next, resource, scopeName);
      if (record === undefined) rejected += 1;
      else records.push(record);
      return true;
    });
  }
}

function readScopeName(wire: Wire, start: number, end: number): string | undefined {
  let name = "";
  const isWhole = eachField(wire, start, end, (tag, at, next) => {
    if (tag !== 0x0a) return true;
    return eachField(wire, at, next, (scopeTag, nameStart, nameEnd) => {
      if (scopeTag === 0x0a) name = textAt(wire, nameStart, nameEnd);
      return true;
    });
  });
  return isWhole ? name : undefined;
}

function readRecord(
  wire: Wire,
  start: number,
  end: number,
  resource: Attributes,
  scopeName: string,
): LogRecord | undefined {
  let time = 0n as UnixNanos;
  let observedTime = 0n as UnixNanos;
  let severityNumber = 0;
  let severityText = "";
  let body: AnyValue = null;
  let traceId = "";
  let spanId = "";
  let eventName = "";
  const isWhole = eachField(wire, start, end, (tag, at, next) => {
    if (tag === 0x09) time = nanosAt(wire, at);
    else if (tag === 0x59) observedTime = nanosAt(wire, at);
    else if (tag === 0x10) severityNumber = wire.low | 0;
    else if (tag === 0x1a) severityText = textAt(wire, at, next);
    else if (tag === 0x4a) traceId = idAt(wire, at, next, 16);
    else if (tag === 0x52) spanId = idAt(wire, at, next, 8);
    else if (tag === 0x62) eventName = textAt(wire, at, next);
    else if (tag === 0x2a) {
      const value = readValue(wire, at, next, body, 1);
      if (value === undefined) return false;
      body = value;
    }
    return true;
  });
  const attributes = isWhole ? readAttributes(wire, start, end, 0x32) : undefined;
  if (attributes === undefined) return undefined;
  return {
    resource,
    scopeName,
    time,
    observedTime,
    severityNumber,
    severityText,
    body,
    attributes,
    traceId,
    spanId,
    eventName,
  };
}

/** An id in hex; "" where it is not one: a record stands without a trace too. */
function idAt(wire: Wire, start: number, end: number, length: number): string {
  if (end - start !== length) return "";
  let hex = "";
  for (let i = start; i < end; i += 1) hex += (wire.bytes[i] as number).toString(16).padStart(2, "0");
  return /^0+$/.test(hex) ? "" : hex;
}
