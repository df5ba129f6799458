import type { MetricKind, MetricPoint, MetricValue } from "../model/telemetry.ts";
import { groupPoints, kindOf } from "./encode-metrics.ts";
import { attributesJson, doubleJson, type Json } from "./json-write.ts";
import { temporalities } from "./protobuf-metrics.ts";

/** The key of a metric's data, by kind. */
const dataKeys: Readonly<Record<MetricKind, string>> = {
  gauge: "gauge",
  sum: "sum",
  histogram: "histogram",
  exponential_histogram: "exponentialHistogram",
  summary: "summary",
};

type Value<Kind extends MetricValue["kind"]> = Extract<MetricValue, { kind: Kind }>;

/**
 * An ExportMetricsServiceRequest in OTLP's JSON encoding, grouped by resource and metric. Read again it gives the same
 * points; numbers are written as doubles.
 */
export function metricsToJson(points: readonly MetricPoint[]): string {
  const resourceMetrics = Array.from(groupPoints(points), ([resource, byMetric]) => ({
    resource: { attributes: attributesJson(resource) },
    scopeMetrics: [{ metrics: Array.from(byMetric.values(), metricJson) }],
  }));
  return JSON.stringify({ resourceMetrics });
}

function metricJson(points: readonly MetricPoint[]): Json {
  const [first] = points;
  if (first === undefined) return {};
  const { name, unit, value } = first;
  return {
    name,
    unit: unit || undefined,
    [dataKeys[kindOf(value)]]: {
      dataPoints: points.map(pointJson),
      aggregationTemporality:
        "temporality" in value ? temporalities.indexOf(value.temporality) || undefined : undefined,
      isMonotonic: ("isMonotonic" in value && value.isMonotonic) || undefined,
    },
  };
}

function pointJson({ attributes, startTime, time, value }: MetricPoint): Json {
  return {
    attributes: attributesJson(attributes),
    startTimeUnixNano: startTime === 0n ? undefined : String(startTime),
    timeUnixNano: time === 0n ? undefined : String(time),
    ...valueFields(value),
  };
}

function valueFields(value: MetricValue): { readonly [key: string]: Json | undefined } {
  switch (value.kind) {
    case "gauge":
    case "sum":
      return { asDouble: doubleJson(value.value) };
    case "histogram":
      return {
        ...distributionFields(value),
        bucketCounts: value.bucketCounts.map(countJson),
        explicitBounds: value.bounds.map(doubleJson),
      };
    case "exponential_histogram":
      return {
        ...distributionFields(value),
        scale: value.scale,
        zeroCount: countJson(value.zeroCount),
        positive: bucketsJson(value.positive),
        negative: bucketsJson(value.negative),
      };
    case "summary":
      return {
        count: countJson(value.count),
        sum: doubleJson(value.sum),
        quantileValues: value.quantiles.map((entry) => ({
          quantile: doubleJson(entry.quantile),
          value: doubleJson(entry.value),
        })),
      };
    case "none":
      return { flags: 1 };
  }
}

function distributionFields({ count, sum, min, max }: Value<"histogram"> | Value<"exponential_histogram">): {
  readonly [key: string]: Json | undefined;
} {
  return {
    count: countJson(count),
    sum: sum === null ? undefined : doubleJson(sum),
    min: min === null ? undefined : doubleJson(min),
    max: max === null ? undefined : doubleJson(max),
  };
}

function bucketsJson({ offset, bucketCounts }: Value<"exponential_histogram">["positive"]): Json {
  return { offset, bucketCounts: bucketCounts.map(countJson) };
}

/** A 64-bit integer, which OTLP's JSON has as a string of digits. */
function countJson(count: number): Json {
  return String(BigInt(count));
}
