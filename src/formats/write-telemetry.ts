import { TraceIdTable } from "../engine/trace-id-table.ts";
import { convertItemsMax, convertTracesMax } from "../model/limits.ts";
import type { Problem } from "../model/problems.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import { encodeLogs } from "../otlp/encode-logs.ts";
import { encodeMetrics } from "../otlp/encode-metrics.ts";
import { encodeTraces } from "../otlp/encode-traces.ts";
import { tracesToJson } from "../otlp/json-write.ts";
import { logsToJson } from "../otlp/json-write-logs.ts";
import { metricsToJson } from "../otlp/json-write-metrics.ts";
import { groupByTrace } from "../trace/group-rows.ts";
import type { RowRef } from "../trace/trace.ts";
import type { ByteSource } from "./byte-source.ts";
import { type ReadOptions, type ReadSummary, readTelemetry } from "./read-telemetry.ts";
import { TraceBuffer } from "./trace-buffer.ts";
import { jaegerJson } from "./write-jaeger.ts";
import { zipkinJson } from "./write-zipkin.ts";

/** The formats that telemetry can be written in. */
export type WrittenFormat = "otlp-jsonl" | "otlp-proto" | "jaeger" | "zipkin";

/** Takes a piece of the output; the writer waits for it. */
type Write = (part: string | Uint8Array) => Promise<void>;

export interface ConvertOptions {
  readonly format: WrittenFormat;
  /** what is converted of what the inputs hold */
  readonly signals: readonly string[];
  /** for formats that need whole traces */
  readonly memoryBudgetBytes: number;
  readonly onReadProgress: NonNullable<ReadOptions["onProgress"]>;
  readonly onWriteProgress: (progress: { readonly written: number; readonly total: number }) => void;
  readonly onProblem: (problem: Problem) => void;
}

/** What was written, and what the format has no place for. */
export interface ConvertSummary {
  readonly read: ReadSummary;
  readonly spans: number;
  readonly traces: number;
  /** there were more traces than are counted */
  readonly hasMoreTraces: boolean;
  readonly points: number;
  readonly logs: number;
  readonly leftOut: { readonly points: number; readonly logs: number };
}

/**
 * Reads telemetry and writes it in another format, piece by piece: memory stays constant whatever the size of the input. Jaeger
 * wants all spans of a trace in one place, so there the spans wait in a `TraceBuffer` until all is read.
 */
export async function convertTelemetry(
  inputs: readonly (string | ByteSource)[],
  write: Write,
  options: ConvertOptions,
): Promise<ConvertSummary> {
  const { format, signals } = options;
  const writer = writerOf(format, write, options);
  const traces = new TraceCount();
  const counts = { spans: 0, points: 0, logs: 0 };
  const leftOut = { points: 0, logs: 0 };
  try {
    await writer.begin();
    const read = await readTelemetry(
      inputs,
      {
        async traces(table) {
          if (!signals.includes("traces")) return;
          counts.spans += table.rowCount;
          traces.add(table);
          await writer.traces(table);
        },
        async metrics(points) {
          if (!signals.includes("metrics")) return;
          if (writer.metrics === undefined) leftOut.points += points.length;
          else {
            counts.points += points.length;
            for (const some of slices(points)) await writer.metrics(some);
          }
        },
        async logs(records) {
          if (!signals.includes("logs")) return;
          if (writer.logs === undefined) leftOut.logs += records.length;
          else {
            counts.logs += records.length;
            for (const some of slices(records)) await writer.logs(some);
          }
        },
        problem: options.onProblem,
      },
      { onProgress: options.onReadProgress },
    );
    await writer.end();
    return { read, ...counts, traces: traces.count, hasMoreTraces: traces.isFull, leftOut };
  } finally {
    await writer.dispose();
  }
}

/** Writes one file of a format. */
interface Writer {
  begin(): Promise<void>;
  /** Takes the table over. */
  traces(table: SpanTable): Promise<void>;
  /** absent where the format holds traces only */
  metrics?(points: readonly MetricPoint[]): Promise<void>;
  logs?(records: readonly LogRecord[]): Promise<void>;
  end(): Promise<void>;
  /** Lets everything go, also after a failure. */
  dispose(): Promise<void>;
}

const nothing = async (): Promise<void> => {};

function writerOf(format: WrittenFormat, write: Write, options: ConvertOptions): Writer {
  switch (format) {
    case "otlp-jsonl": {
      const line = (request: string) => write(`${request}\n`);
      return otlpWriter({
        traces: (rows) => line(tracesToJson(rows)),
        metrics: (points) => line(metricsToJson(points)),
        logs: (records) => line(logsToJson(records)),
      });
    }
    case "otlp-proto": {
      const record = (request: Uint8Array) => write(delimited(request));
      return otlpWriter({
        traces: (rows) => record(encodeTraces(rows)),
        metrics: (points) => record(encodeMetrics(points)),
        logs: (records) => record(encodeLogs(records)),
      });
    }
    case "jaeger":
      return jaegerWriter(write, options);
    case "zipkin":
      return zipkinWriter(write);
  }
}

/** A request for each batch; each signal in the order of the input. */
function otlpWriter(requests: {
  readonly traces: (rows: readonly RowRef[]) => Promise<void>;
  readonly metrics: (points: readonly MetricPoint[]) => Promise<void>;
  readonly logs: (records: readonly LogRecord[]) => Promise<void>;
}): Writer {
  return {
    begin: nothing,
    async traces(table) {
      for (const rows of slices(rowsOf(table))) await requests.traces(rows);
    },
    metrics: requests.metrics,
    logs: requests.logs,
    end: nothing,
    dispose: nothing,
  };
}

function zipkinWriter(write: Write): Writer {
  let isFirst = true;
  return {
    begin: () => write("["),
    async traces(table) {
      for (const rows of slices(rowsOf(table))) {
        await write((isFirst ? "\n" : ",\n") + zipkinJson(rows));
        isFirst = false;
      }
    },
    end: () => write("\n]\n"),
    dispose: nothing,
  };
}

/** Characters that are gathered before they are written. */
const gatheredMax = 1 << 18;

/** What Jaeger's UI saves: `data` is the list of traces. */
function jaegerWriter(write: Write, { memoryBudgetBytes, onWriteProgress }: ConvertOptions): Writer {
  const buffer = new TraceBuffer({ budgetBytes: memoryBudgetBytes });
  // Most traces are small: a write for each would cost more than what is written.
  let gathered = "";
  const gather = async (part: string): Promise<void> => {
    gathered += part;
    if (gathered.length < gatheredMax) return;
    await write(gathered);
    gathered = "";
  };
  return {
    begin: () => gather('{"data":['),
    traces: (table) => buffer.add(table),
    async end() {
      let traces = 0;
      let written = 0;
      for await (const tables of buffer.partitions()) {
        const groups = groupByTrace(tables);
        for (const i of groups.byStart()) {
          const rows = groups.rowsOf(i);
          await gather(traces === 0 ? "\n" : ",\n");
          for (const part of jaegerJson(rows)) await gather(part);
          traces += 1;
          written += rows.length;
          onWriteProgress({ written, total: buffer.spanCount });
        }
      }
      await write(`${gathered}\n],"total":${traces},"limit":0,"offset":0,"errors":null}\n`);
    },
    dispose: () => buffer.dispose(),
  };
}

/** Distinct traces, as far as they are counted. */
class TraceCount {
  readonly #ids = new TraceIdTable();
  isFull = false;

  get count(): number {
    return this.#ids.size;
  }

  add({ traceId, rowCount }: SpanTable): void {
    for (let row = 0; row < rowCount; row += 1) {
      if (this.#ids.size < convertTracesMax) this.#ids.add(traceId, row * 4);
      else if (this.#ids.find(traceId, row * 4) < 0) this.isFull = true;
    }
  }
}

function rowsOf(table: SpanTable): readonly RowRef[] {
  return Array.from({ length: table.rowCount }, (_, row) => ({ table, row }));
}

function* slices<T>(items: readonly T[]): Iterable<readonly T[]> {
  for (let at = 0; at < items.length; at += convertItemsMax) yield items.slice(at, at + convertItemsMax);
}

/** A record as the collector's file exporter writes it: behind its length in four bytes, big-endian. */
function delimited(request: Uint8Array): Uint8Array {
  const record = new Uint8Array(4 + request.length);
  new DataView(record.buffer).setUint32(0, request.length);
  record.set(request, 4);
  return record;
}
