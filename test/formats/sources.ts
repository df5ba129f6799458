import type { ByteSource } from "../../src/formats/byte-source.ts";
import { type ReadOptions, type ReadSummary, readTelemetry } from "../../src/formats/read-telemetry.ts";
import type { Problem } from "../../src/model/problems.ts";
import { Span } from "../../src/model/span.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import type { LogRecord, MetricPoint } from "../../src/model/telemetry.ts";

/** Bytes as a stream that arrives in chunks of a given size. */
export function streamOf(
  content: string | Uint8Array,
  chunkSize = 1 << 16,
  name = "spans.jsonl",
): ByteSource {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return {
    name,
    size: bytes.length,
    isFromFolder: false,
    async *chunks() {
      for (let at = 0; at < bytes.length; at += chunkSize) yield bytes.subarray(at, at + chunkSize);
    },
  };
}

export interface Collected {
  readonly tables: SpanTable[];
  readonly points: MetricPoint[];
  readonly logs: LogRecord[];
  readonly problems: Problem[];
  readonly summary: ReadSummary;
}

/** Everything that inputs hold. */
export async function collect(
  inputs: readonly (string | ByteSource)[],
  options: ReadOptions = {},
): Promise<Collected> {
  const tables: SpanTable[] = [];
  const points: MetricPoint[] = [];
  const logs: LogRecord[] = [];
  const problems: Problem[] = [];
  const summary = await readTelemetry(
    inputs,
    {
      traces: (table) => void tables.push(table),
      metrics: (some) => void points.push(...some),
      logs: (some) => void logs.push(...some),
      problem: (problem) => void problems.push(problem),
    },
    options,
  );
  return { tables, points, logs, problems, summary };
}

/** Each row as text with all that it holds, sorted: what must be the same whatever way it came in. */
export function rowsOf(tables: readonly SpanTable[]): readonly string[] {
  return tables
    .flatMap((table) => Array.from({ length: table.rowCount }, (_, row) => rowText(new Span(table, row))))
    .sort();
}

function rowText(span: Span): string {
  const { traceId, spanId, parentSpanId, name, kind, flags, startTime, endTime, traceState } = span;
  const { statusCode, statusMessage, scopeName, dropped, events, links, attributes, resourceAttributes } =
    span;
  return JSON.stringify(
    [
      traceId,
      spanId,
      parentSpanId,
      name,
      kind,
      flags,
      startTime,
      endTime,
      traceState,
      statusCode,
      statusMessage,
    ]
      .concat([scopeName])
      .map(String)
      .concat([JSON.stringify([dropped, events, links, attributes, resourceAttributes], plain)]),
  );
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Map) return { map: [...value] };
  return value instanceof Uint8Array ? { bytes: [...value] } : value;
}

/** One export request of OTLP JSON with spans of these names, all of one trace. */
export function request(...names: readonly string[]): object {
  return {
    resourceSpans: names.map((name, at) => ({
      resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
      scopeSpans: [
        {
          scope: { name: "test" },
          spans: [
            {
              traceId: "0af7651916cd43dd8448eb211c80319c",
              spanId: (at + 1).toString(16).padStart(16, "0"),
              name,
              kind: 2,
              startTimeUnixNano: "1700000000000000000",
              endTimeUnixNano: "1700000000050000000",
            },
          ],
        },
      ],
    })),
  };
}

/** A line of OTLP JSON. */
export function line(...names: readonly string[]): string {
  return `${JSON.stringify(request(...names))}\n`;
}

/** The names of all spans, in order of arrival. */
export function namesOf(tables: readonly SpanTable[]): readonly string[] {
  return tables.flatMap((table) =>
    Array.from({ length: table.rowCount }, (_, row) => new Span(table, row).name),
  );
}
