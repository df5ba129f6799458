import type { Attributes } from "../model/attributes.ts";
import type { MetricKind, MetricPoint, MetricValue } from "../model/telemetry.ts";
import { temporalities } from "./protobuf-metrics.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** The tag of a metric's data field, by kind. */
const dataTags: Readonly<Record<MetricKind, number>> = {
  gauge: 0x2a,
  sum: 0x3a,
  histogram: 0x4a,
  exponential_histogram: 0x52,
  summary: 0x5a,
};

/** The tags of what the points of every kind have. */
const pointTags: Readonly<Record<MetricKind, { readonly attributes: number; readonly flags: number }>> = {
  gauge: { attributes: 0x3a, flags: 0x40 },
  sum: { attributes: 0x3a, flags: 0x40 },
  histogram: { attributes: 0x4a, flags: 0x50 },
  exponential_histogram: { attributes: 0x0a, flags: 0x50 },
  summary: { attributes: 0x3a, flags: 0x40 },
};

type Value<Kind extends MetricValue["kind"]> = Extract<MetricValue, { kind: Kind }>;

/** An ExportMetricsServiceRequest of data points, grouped by resource and metric. Numbers are written as doubles. */
export function encodeMetrics(points: readonly MetricPoint[]): Uint8Array {
  const writer = new ProtobufWriter();
  for (const [resource, byMetric] of groupPoints(points)) {
    const start = writer.begin(0x0a, 3);
    writer.resource(0x0a, resource);
    const scopeStart = writer.begin(0x12, 3);
    for (const metricPoints of byMetric.values()) writeMetric(writer, metricPoints);
    writer.end(scopeStart, 3);
    writer.end(start, 3);
  }
  return writer.finish();
}

/** The points of each metric, by resource: what a request says once for all of them. */
export function groupPoints(
  points: readonly MetricPoint[],
): ReadonlyMap<Attributes, ReadonlyMap<string, readonly MetricPoint[]>> {
  const groups = new Map<Attributes, Map<string, MetricPoint[]>>();
  for (const point of points) {
    const byMetric = groups.get(point.resource) ?? new Map<string, MetricPoint[]>();
    groups.set(point.resource, byMetric);
    const kind = kindOf(point.value);
    const temporality = "temporality" in point.value ? point.value.temporality : "";
    const isMonotonic = "isMonotonic" in point.value && point.value.isMonotonic;
    const metric = JSON.stringify([point.name, point.unit, kind, temporality, isMonotonic]);
    const metricPoints = byMetric.get(metric) ?? [];
    byMetric.set(metric, metricPoints);
    metricPoints.push(point);
  }
  return groups;
}

/** What kind of metric a value is of. */
export function kindOf(value: MetricValue): MetricKind {
  return value.kind === "none" ? value.of : value.kind;
}

function writeMetric(writer: ProtobufWriter, points: readonly MetricPoint[]): void {
  const [first] = points;
  if (first === undefined) return;
  const start = writer.begin(0x12, 2);
  writer.text(0x0a, first.name);
  writer.text(0x1a, first.unit);
  const dataStart = writer.begin(dataTags[kindOf(first.value)], 2);
  for (const point of points) writePoint(writer, point);
  if ("temporality" in first.value) writer.uint(0x10, temporalities.indexOf(first.value.temporality));
  if ("isMonotonic" in first.value) writer.uint(0x18, first.value.isMonotonic ? 1 : 0);
  writer.end(dataStart, 2);
  writer.end(start, 2);
}

function writePoint(writer: ProtobufWriter, { startTime, time, attributes, value }: MetricPoint): void {
  const start = writer.begin(0x0a, 1);
  if (startTime !== 0n) writer.fixed64(0x11, startTime);
  if (time !== 0n) writer.fixed64(0x19, time);
  switch (value.kind) {
    case "gauge":
    case "sum":
      writer.double(0x21, value.value);
      writer.attributes(0x3a, attributes);
      break;
    case "histogram":
      writeHistogram(writer, value);
      writer.attributes(0x4a, attributes);
      break;
    case "exponential_histogram":
      writer.attributes(0x0a, attributes);
      writeExponentialHistogram(writer, value);
      break;
    case "summary":
      writeSummary(writer, value);
      writer.attributes(0x3a, attributes);
      break;
    case "none":
      writer.attributes(pointTags[value.of].attributes, attributes);
      writer.uint(pointTags[value.of].flags, 1);
  }
  writer.end(start, 1);
}

function writeHistogram(writer: ProtobufWriter, value: Value<"histogram">): void {
  writer.fixed64(0x21, BigInt(value.count));
  if (value.sum !== null) writer.double(0x29, value.sum);
  for (const count of value.bucketCounts) writer.fixed64(0x31, BigInt(count));
  for (const bound of value.bounds) writer.double(0x39, bound);
  if (value.min !== null) writer.double(0x59, value.min);
  if (value.max !== null) writer.double(0x61, value.max);
}

function writeExponentialHistogram(writer: ProtobufWriter, value: Value<"exponential_histogram">): void {
  writer.fixed64(0x21, BigInt(value.count));
  if (value.sum !== null) writer.double(0x29, value.sum);
  writer.sint(0x30, value.scale);
  writer.fixed64(0x39, BigInt(value.zeroCount));
  writeBuckets(writer, 0x42, value.positive);
  writeBuckets(writer, 0x4a, value.negative);
  if (value.min !== null) writer.double(0x61, value.min);
  if (value.max !== null) writer.double(0x69, value.max);
}

function writeBuckets(
  writer: ProtobufWriter,
  tag: number,
  { offset, bucketCounts }: Value<"exponential_histogram">["positive"],
): void {
  const start = writer.begin(tag, 1);
  writer.sint(0x08, offset);
  const countsStart = writer.begin(0x12, 1);
  for (const count of bucketCounts) writer.int64(BigInt(count));
  writer.end(countsStart, 1);
  writer.end(start, 1);
}

function writeSummary(writer: ProtobufWriter, { count, sum, quantiles }: Value<"summary">): void {
  writer.fixed64(0x21, BigInt(count));
  writer.double(0x29, sum);
  for (const { quantile, value } of quantiles) {
    const start = writer.begin(0x32, 1);
    writer.double(0x09, quantile);
    writer.double(0x11, value);
    writer.end(start, 1);
  }
}
