import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import type { ByteSource } from "../../src/formats/byte-source.ts";
import type { MetricPoint } from "../../src/model/telemetry.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { streamOf } from "../formats/sources.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { metricsToJson } from "../otlp/request-json.ts";
import type { ReadingOptions } from "./answers.ts";
import type { Telemetry } from "./telemetry-generator.ts";

const encodings = ["lines", "array", "raw", "delimited"] as const;

/** One way in which telemetry can come in: choices that apply to any telemetry. */
export interface Delivery {
  /** decide the order: each span goes behind those with a lower number */
  readonly order: readonly number[];
  /** spans that come once more */
  readonly repeats: readonly number[];
  readonly batchSizes: readonly number[];
  readonly files: readonly FileShape[];
  readonly reading: ReadingOptions;
}

interface FileShape {
  readonly encoding: (typeof encodings)[number];
  readonly isGzip: boolean;
  readonly chunkSize: number;
}

export const deliveries: fc.Arbitrary<Delivery> = fc.record({
  order: fc.array(fc.nat(1000), { minLength: 10, maxLength: 40 }),
  repeats: fc.array(fc.nat(1000), { maxLength: 5 }),
  batchSizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
  files: fc.array(
    fc.record({
      encoding: fc.constantFrom(...encodings),
      isGzip: fc.boolean(),
      chunkSize: fc.constantFrom(7, 300, 1 << 16),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  reading: fc.record(
    { budgetBytes: fc.constantFrom(1, 1 << 20), tableRows: fc.constantFrom(1, 3) },
    { requiredKeys: [] },
  ),
});

/** The plainest way: one file of JSON lines, one for the spans and one for the metrics. */
export function plainFile({ text, metrics }: Telemetry): readonly ByteSource[] {
  return [streamOf(`${tracesToJson(rowsOf(tableOf(text)))}\n${metricsToJson(metrics)}\n`)];
}

/** The same telemetry in the files that a delivery describes. */
export function filesOf(telemetry: Telemetry, delivery: Delivery): readonly ByteSource[] {
  const { files } = delivery;
  const traces = batchesOf(rowsOf(tableOf(telemetry.text)), delivery);
  const metrics = batchesOf(telemetry.metrics, delivery);
  return files.flatMap((shape, at) => {
    const mine = <Item>(batches: readonly Item[]): readonly Item[] =>
      batches.filter((_, i) => i % files.length === at);
    // requests of two signals cannot stand in one raw or delimited file: their bytes do not say which they are
    return contentOf(shape, mine(traces), mine(metrics), at);
  });
}

/** All items in another order, some of them twice, in batches. */
export function batchesOf<Item>(
  items: readonly Item[],
  { order, repeats, batchSizes }: Pick<Delivery, "order" | "repeats" | "batchSizes">,
): readonly (readonly Item[])[] {
  if (items.length === 0) return [];
  const all = [...items, ...repeats.map((at) => items[at % items.length]!)];
  const placed = all.map((item, i) => ({ item, place: (order[i % order.length]! * (i + 7)) % 1009 }));
  const shuffled = placed.sort((a, b) => a.place - b.place).map(({ item }) => item);
  const batches: (readonly Item[])[] = [];
  for (let i = 0; shuffled.length > 0; i += 1)
    batches.push(shuffled.splice(0, batchSizes[i % batchSizes.length]));
  return batches;
}

function contentOf(
  { encoding, isGzip, chunkSize }: FileShape,
  traces: readonly (readonly RowRef[])[],
  metrics: readonly (readonly MetricPoint[])[],
  at: number,
): readonly ByteSource[] {
  const isJson = encoding === "lines" || encoding === "array";
  const contents = isJson
    ? [jsonContent(encoding, [...metrics.map(metricsToJson), ...traces.map(tracesToJson)])]
    : [
        protobufContent(encoding, traces.map(encodeTraces)),
        protobufContent(encoding, metrics.map(encodeMetrics)),
      ];
  return contents
    .filter(({ length }) => length > 0)
    .map((content) => streamOf(isGzip ? gzipSync(content, { level: 1 }) : content, chunkSize, `file ${at}`));
}

function jsonContent(encoding: "lines" | "array", requests: readonly string[]): Uint8Array {
  if (requests.length === 0) return Buffer.of();
  return Buffer.from(encoding === "array" ? `[${requests.join(",\n")}]` : requests.join("\n"));
}

/** Requests one behind the other are one request, by the rules of protobuf; or each stands behind its length, as collectors write it. */
function protobufContent(encoding: "raw" | "delimited", requests: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    requests.flatMap((request) => (encoding === "raw" ? [request] : [bigEndian(request.length), request])),
  );
}

function bigEndian(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
