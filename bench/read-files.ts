import { compress, init } from "@bokuweb/zstd-wasm";
import type { ByteSource } from "../src/formats/byte-source.ts";
import { readTelemetry } from "../src/formats/read-telemetry.ts";
import { jaegerJson } from "../src/formats/write-jaeger.ts";
import { zipkinJson } from "../src/formats/write-zipkin.ts";
import { tracesToJson } from "../src/otlp/json-write.ts";
import { groupByTrace } from "../src/trace/group-rows.ts";
import type { RowRef } from "../src/trace/trace.ts";
import { v1Of } from "../test/formats/zipkin-formats.ts";
import type { BenchOptions } from "./main.ts";
import { measureRateOf, type Row, spansPerCpuSecond, wholeNumber } from "./measure.ts";
import { makeBatches } from "./span-fixtures.ts";

const bar = ">= 60,000 spans/CPU-s";

/** Files of other tools and packed ones, from their bytes to tables with all attributes. */
export async function benchReadFiles({ isQuick }: BenchOptions): Promise<readonly Row[]> {
  await init();
  const spans = isQuick ? 8_192 : 65_536;
  const batches = [...makeBatches({ spans, spansPerBatch: 512, seed: 1 })];
  const otlp = Buffer.from(batches.map((rows) => `${tracesToJson(rows)}\n`).join(""));
  const zipkin = `[${batches.map(zipkinJson).join(",\n")}]`;
  const files = {
    "OTLP JSON lines": otlp,
    "OTLP JSON lines, zstd": compress(otlp, 3),
    "Jaeger JSON": Buffer.from(jaegerFile(batches)),
    "Zipkin v2 JSON": Buffer.from(zipkin),
    "Zipkin v1 JSON": Buffer.from(JSON.stringify(JSON.parse(zipkin).map(v1Of))),
  };
  const rows: Row[] = [];
  for (const [name, bytes] of Object.entries(files)) {
    const rate = await measureRateOf({ items: spans, run: () => readSpans(bytes, spans) });
    const size = `${wholeNumber(bytes.length / spans)} bytes a span`;
    const result = spansPerCpuSecond(rate);
    rows.push({ subject: `read ${name}`, result, note: size, ...(bytes === otlp ? {} : { bar }) });
  }
  return rows;
}

/** Reads a file that is in memory already; that all of it is read is part of the measurement. */
async function readSpans(bytes: Uint8Array, expected: number): Promise<void> {
  const sink = { traces() {}, metrics() {}, logs() {}, problem() {} };
  const { spans } = await readTelemetry([sourceOf(bytes)], sink);
  if (spans.accepted !== expected) throw new Error(`${spans.accepted} of ${expected} spans were read`);
}

function sourceOf(bytes: Uint8Array): ByteSource {
  return {
    name: "file",
    size: bytes.length,
    isFromFolder: false,
    async *chunks() {
      for (let at = 0; at < bytes.length; at += 1 << 20) yield bytes.subarray(at, at + (1 << 20));
    },
  };
}

function jaegerFile(batches: readonly (readonly RowRef[])[]): string {
  const groups = groupByTrace(batches.flatMap(([first]) => (first === undefined ? [] : [first.table])));
  const traces = Array.from({ length: groups.count }, (_, i) => [...jaegerJson(groups.rowsOf(i))].join(""));
  return `{"data":[${traces.join(",\n")}]}`;
}
