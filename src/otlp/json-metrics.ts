import type { Attributes } from "../model/attributes.ts";
import type {
  DecodeResult,
  MetricKind,
  MetricPoint,
  MetricValue,
  RejectReason,
  Temporality,
} from "../model/telemetry.ts";
import { nanosFromWords, type UnixNanos } from "../model/time.ts";
import { endOfObject, KeySet } from "./json-keys.ts";
import { JsonScanner } from "./json-scanner.ts";
import { readAttributes, readResource, signedOf } from "./json-values.ts";
import { temporalities, valueWithFlags } from "./protobuf-metrics.ts";

const topKeys = new KeySet(["resourceMetrics"]);
const TopKey = { ResourceMetrics: 0 } as const;

const resourceMetricsKeys = new KeySet(["resource", "scopeMetrics"], {
  instrumentationLibraryMetrics: "scopeMetrics",
});
const ResourceMetricsKey = { Resource: 0, ScopeMetrics: 1 } as const;

const scopeMetricsKeys = new KeySet(["metrics"]);
const ScopeMetricsKey = { Metrics: 0 } as const;

const metricKeys = new KeySet([
  "name",
  "unit",
  "gauge",
  "sum",
  "histogram",
  "exponentialHistogram",
  "summary",
]);
const MetricKey = { Name: 0, Unit: 1, Gauge: 2 } as const;
/** by key, from `MetricKey.Gauge` on */
const kinds: readonly MetricKind[] = ["gauge", "sum", "histogram", "exponential_histogram", "summary"];

const seriesKeys = new KeySet(["dataPoints", "aggregationTemporality", "isMonotonic"]);
const SeriesKey = { DataPoints: 0, AggregationTemporality: 1, IsMonotonic: 2 } as const;

const pointKeys = new KeySet([
  "attributes",
  "startTimeUnixNano",
  "timeUnixNano",
  "asDouble",
  "asInt",
  "count",
  "sum",
  "bucketCounts",
  "explicitBounds",
  "min",
  "max",
  "scale",
  "zeroCount",
  "positive",
  "negative",
  "quantileValues",
  "flags",
]);
const PointKey = {
  Attributes: 0,
  StartTimeUnixNano: 1,
  TimeUnixNano: 2,
  AsDouble: 3,
  AsInt: 4,
  Count: 5,
  Sum: 6,
  BucketCounts: 7,
  ExplicitBounds: 8,
  Min: 9,
  Max: 10,
  Scale: 11,
  ZeroCount: 12,
  Positive: 13,
  Negative: 14,
  QuantileValues: 15,
  Flags: 16,
} as const;

const bucketsKeys = new KeySet(["offset", "bucketCounts"]);
const BucketsKey = { Offset: 0, BucketCounts: 1 } as const;

const quantileKeys = new KeySet(["quantile", "value"]);
const QuantileKey = { Quantile: 0, Value: 1 } as const;

const temporalityNames = [
  "AGGREGATION_TEMPORALITY_UNSPECIFIED",
  "AGGREGATION_TEMPORALITY_DELTA",
  "AGGREGATION_TEMPORALITY_CUMULATIVE",
];

/**
 * Reads an ExportMetricsServiceRequest (MetricsData) in OTLP's JSON encoding. Data points and metrics with a value of
 * the wrong type are left out and counted. Throws `MalformedBodyError` for broken JSON and for a wrong type outside of
 * metrics.
 */
export function decodeMetricsJson(body: Uint8Array): {
  readonly points: MetricPoint[];
  readonly result: DecodeResult;
} {
  const scanner = new JsonScanner();
  scanner.reset(body);
  const reading: Reading = { points: [], rejected: 0 };
  for (let key = scanner.topKey(topKeys); key !== endOfObject; key = scanner.nextKey(topKeys, key)) {
    if (key !== TopKey.ResourceMetrics) scanner.skipValue();
    else
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        if (!scanner.isNull()) readResourceMetrics(scanner, reading);
  }
  scanner.requireEnd();
  scanner.requireShape();
  const { points, rejected } = reading;
  const reasons = new Map<RejectReason, number>();
  if (rejected > 0) reasons.set("malformed_data_point", rejected);
  return { points, result: { accepted: points.length, rejected, reasons } };
}

interface Reading {
  readonly points: MetricPoint[];
  rejected: number;
}

/** A data point of any kind of metric: the fields that were there. */
interface RawPoint {
  attributes: Attributes;
  startTime: UnixNanos;
  time: UnixNanos;
  value: number | null;
  count: number;
  sum: number | null;
  bucketCounts: readonly number[];
  bounds: readonly number[];
  min: number | null;
  max: number | null;
  scale: number;
  zeroCount: number;
  positive: Buckets;
  negative: Buckets;
  quantiles: readonly { readonly quantile: number; readonly value: number }[];
  flags: number;
}

interface Buckets {
  readonly offset: number;
  readonly bucketCounts: readonly number[];
}

interface Series {
  readonly points: RawPoint[];
  rejected: number;
  temporality: Temporality;
  isMonotonic: boolean;
}

/** What is known of a point before its resource is. */
type UnplacedPoint = Omit<MetricPoint, "resource">;

/** Names, units and resources may come after the data that they belong to, so points are put together at the end. */
function readResourceMetrics(scanner: JsonScanner, reading: Reading): void {
  const unplaced: UnplacedPoint[] = [];
  let resource: Attributes = new Map();
  let key = scanner.firstKey(resourceMetricsKeys);
  for (; key !== endOfObject; key = scanner.nextKey(resourceMetricsKeys, key)) {
    if (key === ResourceMetricsKey.Resource) {
      if (!scanner.isNull()) resource = readResource(scanner);
    } else if (key === ResourceMetricsKey.ScopeMetrics) {
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        if (!scanner.isNull()) readScopeMetrics(scanner, reading, unplaced);
    } else scanner.skipValue();
  }
  for (const point of unplaced) reading.points.push({ resource, ...point });
}

function readScopeMetrics(scanner: JsonScanner, reading: Reading, unplaced: UnplacedPoint[]): void {
  let key = scanner.firstKey(scopeMetricsKeys);
  for (; key !== endOfObject; key = scanner.nextKey(scopeMetricsKeys, key)) {
    if (key !== ScopeMetricsKey.Metrics) scanner.skipValue();
    else
      for (let more = scanner.firstElement(); more; more = scanner.nextElement())
        if (!scanner.isNull()) readMetric(scanner, reading, unplaced);
  }
}

function readMetric(scanner: JsonScanner, reading: Reading, unplaced: UnplacedPoint[]): void {
  let name = "";
  let unit = "";
  let kind: MetricKind = "gauge";
  let series: Series = { points: [], rejected: 0, temporality: "unspecified", isMonotonic: false };
  scanner.requireShape();
  let key = scanner.firstKey(metricKeys);
  for (; key !== endOfObject; key = scanner.nextKey(metricKeys, key)) {
    if (key === MetricKey.Name) name = scanner.string() ? scanner.textString() : name;
    else if (key === MetricKey.Unit) unit = scanner.string() ? scanner.textString() : unit;
    else if (key >= MetricKey.Gauge && !scanner.isNull()) {
      kind = kinds[key - MetricKey.Gauge] ?? kind;
      series = readSeries(scanner);
    } else scanner.skipValue();
  }
  if (scanner.misshapen) {
    reading.rejected += Math.max(1, series.points.length + series.rejected);
    scanner.misshapen = false;
    return;
  }
  reading.rejected += series.rejected;
  for (const point of series.points) {
    const value = valueWithFlags(metricValue(kind, point, series), point.flags);
    const { attributes, startTime, time } = point;
    unplaced.push({ name, unit, attributes, startTime, time, value });
  }
}

function readSeries(scanner: JsonScanner): Series {
  const series: Series = { points: [], rejected: 0, temporality: "unspecified", isMonotonic: false };
  let key = scanner.firstKey(seriesKeys);
  for (; key !== endOfObject; key = scanner.nextKey(seriesKeys, key)) {
    if (key === SeriesKey.DataPoints) {
      const wasMisshapen = scanner.misshapen;
      for (let more = scanner.firstElement(); more; more = scanner.nextElement()) {
        scanner.misshapen = false;
        const point = readPoint(scanner);
        if (scanner.misshapen) series.rejected += 1;
        else series.points.push(point);
        scanner.misshapen = wasMisshapen;
      }
    } else if (key === SeriesKey.AggregationTemporality) {
      if (scanner.enumeration(temporalityNames))
        series.temporality = temporalities[scanner.number] ?? "unspecified";
    } else if (key === SeriesKey.IsMonotonic) {
      if (scanner.boolean()) series.isMonotonic = scanner.number === 1;
    } else scanner.skipValue();
  }
  return series;
}

function readPoint(scanner: JsonScanner): RawPoint {
  const point: RawPoint = {
    attributes: new Map(),
    startTime: nanosFromWords(0, 0),
    time: nanosFromWords(0, 0),
    value: null,
    count: 0,
    sum: null,
    bucketCounts: [],
    bounds: [],
    min: null,
    max: null,
    scale: 0,
    zeroCount: 0,
    positive: { offset: 0, bucketCounts: [] },
    negative: { offset: 0, bucketCounts: [] },
    quantiles: [],
    flags: 0,
  };
  let key = scanner.firstKey(pointKeys);
  for (; key !== endOfObject; key = scanner.nextKey(pointKeys, key)) readPointField(scanner, key, point);
  return point;
}

function readPointField(scanner: JsonScanner, key: number, point: RawPoint): void {
  switch (key) {
    case PointKey.Attributes:
      if (!scanner.isNull()) point.attributes = readAttributes(scanner);
      break;
    case PointKey.StartTimeUnixNano:
      if (scanner.uint64()) point.startTime = timeOf(scanner);
      break;
    case PointKey.TimeUnixNano:
      if (scanner.uint64()) point.time = timeOf(scanner);
      break;
    case PointKey.AsDouble:
      if (scanner.double()) point.value = scanner.number;
      break;
    case PointKey.AsInt:
      if (scanner.int64()) point.value = Number(signedOf(scanner.words));
      break;
    case PointKey.Count:
      if (scanner.uint64()) point.count = countOf(scanner);
      break;
    case PointKey.Sum:
      if (scanner.double()) point.sum = scanner.number;
      break;
    case PointKey.Min:
      if (scanner.double()) point.min = scanner.number;
      break;
    case PointKey.Max:
      if (scanner.double()) point.max = scanner.number;
      break;
    case PointKey.Flags:
      if (scanner.uint32()) point.flags = scanner.number;
      break;
    case PointKey.QuantileValues:
      if (!scanner.isNull()) point.quantiles = readQuantiles(scanner);
      break;
    default:
      readBucketField(scanner, key, point);
  }
}

function readBucketField(scanner: JsonScanner, key: number, point: RawPoint): void {
  switch (key) {
    case PointKey.BucketCounts:
      if (!scanner.isNull()) point.bucketCounts = readCounts(scanner);
      break;
    case PointKey.ExplicitBounds:
      if (!scanner.isNull()) point.bounds = readDoubles(scanner);
      break;
    case PointKey.Scale:
      if (scanner.int32()) point.scale = scanner.number;
      break;
    case PointKey.ZeroCount:
      if (scanner.uint64()) point.zeroCount = countOf(scanner);
      break;
    case PointKey.Positive:
      if (!scanner.isNull()) point.positive = readBuckets(scanner);
      break;
    case PointKey.Negative:
      if (!scanner.isNull()) point.negative = readBuckets(scanner);
      break;
    default:
      scanner.skipValue();
  }
}

function readBuckets(scanner: JsonScanner): Buckets {
  let offset = 0;
  let bucketCounts: readonly number[] = [];
  let key = scanner.firstKey(bucketsKeys);
  for (; key !== endOfObject; key = scanner.nextKey(bucketsKeys, key)) {
    if (key === BucketsKey.Offset) offset = scanner.int32() ? scanner.number : offset;
    else if (key === BucketsKey.BucketCounts && !scanner.isNull()) bucketCounts = readCounts(scanner);
    else if (key !== BucketsKey.BucketCounts) scanner.skipValue();
  }
  return { offset, bucketCounts };
}

function readQuantiles(scanner: JsonScanner): RawPoint["quantiles"] {
  const quantiles: { quantile: number; value: number }[] = [];
  for (let more = scanner.firstElement(); more; more = scanner.nextElement()) {
    const entry = { quantile: 0, value: 0 };
    let key = scanner.firstKey(quantileKeys);
    for (; key !== endOfObject; key = scanner.nextKey(quantileKeys, key)) {
      if (key === QuantileKey.Quantile) entry.quantile = scanner.double() ? scanner.number : entry.quantile;
      else if (key === QuantileKey.Value) entry.value = scanner.double() ? scanner.number : entry.value;
      else scanner.skipValue();
    }
    quantiles.push(entry);
  }
  return quantiles;
}

function readCounts(scanner: JsonScanner): readonly number[] {
  const counts: number[] = [];
  for (let more = scanner.firstElement(); more; more = scanner.nextElement())
    counts.push(scanner.uint64() ? countOf(scanner) : 0);
  return counts;
}

function readDoubles(scanner: JsonScanner): readonly number[] {
  const values: number[] = [];
  for (let more = scanner.firstElement(); more; more = scanner.nextElement())
    values.push(scanner.double() ? scanner.number : 0);
  return values;
}

function metricValue(kind: MetricKind, point: RawPoint, series: Series): MetricValue {
  const { count, sum, min, max } = point;
  const { temporality, isMonotonic } = series;
  if (kind === "gauge" || kind === "sum") {
    const { value } = point;
    if (value === null) return { kind: "none", of: kind };
    return kind === "gauge" ? { kind, value } : { kind, value, isMonotonic, temporality };
  }
  if (kind === "histogram") {
    const { bounds, bucketCounts } = point;
    return { kind, count, sum, min, max, bounds, bucketCounts, temporality };
  }
  if (kind === "exponential_histogram") {
    const { scale, zeroCount, positive, negative } = point;
    return { kind, count, sum, min, max, scale, zeroCount, positive, negative, temporality };
  }
  return { kind, count, sum: sum ?? 0, quantiles: point.quantiles };
}

function timeOf({ words }: JsonScanner): UnixNanos {
  return nanosFromWords(words[0] ?? 0, words[1] ?? 0);
}

/** Counts beyond 2^53 lose their last digits. */
function countOf({ words }: JsonScanner): number {
  return (words[0] ?? 0) * 0x1_0000_0000 + (words[1] ?? 0);
}
