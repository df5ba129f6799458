import type { AnyValue, Attributes } from "../model/attributes.ts";
import type { DecodeResult, LogRecord, RejectReason } from "../model/telemetry.ts";
import { nanosFromWords } from "../model/time.ts";
import { endOfObject, KeySet } from "./json-keys.ts";
import { JsonScanner } from "./json-scanner.ts";
import { readAnyValue, readAttributes, readResource } from "./json-values.ts";

const topKeys = new KeySet(["resourceLogs"]);
const TopKey = { ResourceLogs: 0 } as const;

const resourceLogsKeys = new KeySet(["resource", "scopeLogs"], { instrumentationLibraryLogs: "scopeLogs" });
const ResourceLogsKey = { Resource: 0, ScopeLogs: 1 } as const;

const scopeLogsKeys = new KeySet(["scope", "logRecords"], {
  instrumentationLibrary: "scope",
  logs: "logRecords",
});
const ScopeLogsKey = { Scope: 0, LogRecords: 1 } as const;

const scopeKeys = new KeySet(["name"]);
const ScopeKey = { Name: 0 } as const;

const recordKeys = new KeySet([
  "timeUnixNano",
  "observedTimeUnixNano",
  "severityNumber",
  "severityText",
  "body",
  "attributes",
  "traceId",
  "spanId",
  "eventName",
]);
const RecordKey = {
  TimeUnixNano: 0,
  ObservedTimeUnixNano: 1,
  SeverityNumber: 2,
  SeverityText: 3,
  Body: 4,
  Attributes: 5,
  TraceId: 6,
  SpanId: 7,
  EventName: 8,
} as const;

/** SEVERITY_NUMBER_TRACE, …_TRACE2, … 1-4; DEBUG 5-8 and so on. */
const severityNames = [
  "SEVERITY_NUMBER_UNSPECIFIED",
  ...["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap((level) =>
    ["", "2", "3", "4"].map((step) => `SEVERITY_NUMBER_${level}${step}`),
  ),
];

/**
 * Reads an ExportLogsServiceRequest (LogsData) in OTLP's JSON encoding. A record with a value of the wrong type is left out
 * and counted; a bad trace or span id only leaves that id empty. Throws `MalformedBodyError` for broken JSON and for a
 * wrong type outside of records.
 */
export function decodeLogsJson(body: Uint8Array): {
  readonly records: LogRecord[];
  readonly result: DecodeResult;
} {
  const scanner = new JsonScanner();
  scanner.reset(body);
  const reading: Reading = { records: [], rejected: 0 };
  for (let key = scanner.topKey(topKeys); key !== endOfObject; key = scanner.nextKey(topKeys, key)) {
    if (key !== TopKey.ResourceLogs) scanner.skipValue();
    else
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        if (!scanner.isNull()) readResourceLogs(scanner, reading);
  }
  scanner.requireEnd();
  scanner.requireShape();
  const { records, rejected } = reading;
  const reasons = new Map<RejectReason, number>();
  if (rejected > 0) reasons.set("malformed_log_record", rejected);
  return { records, result: { accepted: records.length, rejected, reasons } };
}

interface Reading {
  readonly records: LogRecord[];
  rejected: number;
}

/** What is known of a record before its scope and its resource are; both may come after it. */
type UnscopedRecord = Omit<LogRecord, "resource" | "scopeName">;
type UnplacedRecord = Omit<LogRecord, "resource">;

function readResourceLogs(scanner: JsonScanner, reading: Reading): void {
  const unplaced: UnplacedRecord[] = [];
  let resource: Attributes = new Map();
  let key = scanner.firstKey(resourceLogsKeys);
  for (; key !== endOfObject; key = scanner.nextKey(resourceLogsKeys, key)) {
    if (key === ResourceLogsKey.Resource) {
      if (!scanner.isNull()) resource = readResource(scanner);
    } else if (key === ResourceLogsKey.ScopeLogs) {
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        if (!scanner.isNull()) readScopeLogs(scanner, reading, unplaced);
    } else scanner.skipValue();
  }
  for (const record of unplaced) reading.records.push({ resource, ...record });
}

function readScopeLogs(scanner: JsonScanner, reading: Reading, unplaced: UnplacedRecord[]): void {
  const unscoped: UnscopedRecord[] = [];
  let scopeName = "";
  let key = scanner.firstKey(scopeLogsKeys);
  for (; key !== endOfObject; key = scanner.nextKey(scopeLogsKeys, key)) {
    if (key === ScopeLogsKey.Scope) {
      if (!scanner.isNull()) scopeName = readScopeName(scanner);
    } else if (key === ScopeLogsKey.LogRecords) {
      for (let more = scanner.firstElement(); more; more = scanner.nextElement()) {
        scanner.requireShape();
        const record = readRecord(scanner);
        if (scanner.misshapen) reading.rejected += 1;
        else unscoped.push(record);
        scanner.misshapen = false;
      }
    } else scanner.skipValue();
  }
  for (const record of unscoped) unplaced.push({ scopeName, ...record });
}

function readScopeName(scanner: JsonScanner): string {
  let name = "";
  let key = scanner.firstKey(scopeKeys);
  for (; key !== endOfObject; key = scanner.nextKey(scopeKeys, key)) {
    if (key === ScopeKey.Name) name = scanner.string() ? scanner.textString() : name;
    else scanner.skipValue();
  }
  return name;
}

function readRecord(scanner: JsonScanner): UnscopedRecord {
  const { words } = scanner;
  let time = nanosFromWords(0, 0);
  let observedTime = time;
  let severityNumber = 0;
  let severityText = "";
  let body: AnyValue = null;
  let attributes: Attributes = new Map();
  let traceId = "";
  let spanId = "";
  let eventName = "";
  let key = scanner.firstKey(recordKeys);
  for (; key !== endOfObject; key = scanner.nextKey(recordKeys, key)) {
    if (key === RecordKey.TimeUnixNano) {
      if (scanner.uint64()) time = nanosFromWords(words[0] ?? 0, words[1] ?? 0);
    } else if (key === RecordKey.ObservedTimeUnixNano) {
      if (scanner.uint64()) observedTime = nanosFromWords(words[0] ?? 0, words[1] ?? 0);
    } else if (key === RecordKey.SeverityNumber) {
      if (scanner.enumeration(severityNames)) severityNumber = scanner.number;
    } else if (key === RecordKey.SeverityText) severityText = readText(scanner, severityText);
    else if (key === RecordKey.EventName) eventName = readText(scanner, eventName);
    else if (key === RecordKey.TraceId) traceId = readId(scanner, 4, traceId);
    else if (key === RecordKey.SpanId) spanId = readId(scanner, 2, spanId);
    else if (key === RecordKey.Body) body = readAnyValue(scanner, 1);
    else if (key === RecordKey.Attributes)
      attributes = scanner.isNull() ? attributes : readAttributes(scanner);
    else scanner.skipValue();
  }
  return { time, observedTime, severityNumber, severityText, body, attributes, traceId, spanId, eventName };
}

function readText(scanner: JsonScanner, absent: string): string {
  return scanner.string() ? scanner.textString() : absent;
}

/** An id in lower-case hex; "" where it is all zero or no id. */
function readId(scanner: JsonScanner, wordCount: 2 | 4, absent: string): string {
  if (!scanner.hexId(wordCount)) return absent;
  const words = scanner.words.subarray(0, wordCount);
  if (words.every((word) => word === 0)) return "";
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}
