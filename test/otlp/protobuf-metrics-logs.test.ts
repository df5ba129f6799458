import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AnyValue, Attributes } from "../../src/model/attributes.ts";
import { MalformedBodyError, type MetricPoint } from "../../src/model/telemetry.ts";
import { encodeLogs } from "../../src/otlp/encode-logs.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { decodeLogs } from "../../src/otlp/protobuf-logs.ts";
import { decodeMetrics } from "../../src/otlp/protobuf-metrics.ts";
import { runs } from "../runs.ts";
import {
  anyValueOf,
  arbitraryAttributes,
  arbitraryId,
  arbitraryValue,
  entriesOf,
  hexOf,
  oracleEncode,
  oracleRequest,
  type Plain,
  arbitraryText as text,
  arbitraryUint64 as uint64,
} from "./protobuf-oracle.ts";

const count = fc.bigInt(0n, 1n << 53n).map(String);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const number = fc.double();
const common = {
  attributes: arbitraryAttributes,
  startTimeUnixNano: uint64,
  timeUnixNano: uint64,
  flags: fc.constantFrom(0, 0, 0, 1, 2, 3),
};
const momentFields = { count, sum: optional(number), min: optional(number), max: optional(number) };
const numberPoint = fc.oneof(
  fc.record({ ...common, asDouble: number }),
  fc.record({ ...common, asInt: fc.bigInt(-(1n << 53n), 1n << 53n).map(String) }),
  fc.record(common),
);
const buckets = optional(
  fc.record({ offset: fc.integer(), bucketCounts: fc.array(count, { maxLength: 5 }) }),
);
const temporality = fc.nat(3);
const points = <T>(point: fc.Arbitrary<T>) => fc.array(point, { maxLength: 4 });
const metricData = fc.oneof(
  fc.record({ gauge: fc.record({ dataPoints: points(numberPoint) }) }),
  fc.record({
    sum: fc.record({
      dataPoints: points(numberPoint),
      aggregationTemporality: temporality,
      isMonotonic: fc.boolean(),
    }),
  }),
  fc.record({
    histogram: fc.record({
      dataPoints: points(
        fc.record({
          ...common,
          ...momentFields,
          bucketCounts: fc.array(count, { maxLength: 5 }),
          explicitBounds: fc.array(number, { maxLength: 5 }),
        }),
      ),
      aggregationTemporality: temporality,
    }),
  }),
  fc.record({
    exponentialHistogram: fc.record({
      dataPoints: points(
        fc.record({
          ...common,
          ...momentFields,
          scale: fc.integer(),
          zeroCount: count,
          positive: buckets,
          negative: buckets,
        }),
      ),
      aggregationTemporality: temporality,
    }),
  }),
  fc.record({
    summary: fc.record({
      dataPoints: points(
        fc.record({
          ...common,
          count,
          sum: number,
          quantileValues: fc.array(fc.record({ quantile: number, value: number }), { maxLength: 3 }),
        }),
      ),
    }),
  }),
);
const resource = optional(fc.record({ attributes: arbitraryAttributes }));
const arbitraryMetrics = fc.record({
  resourceMetrics: fc.array(
    fc.record({
      resource,
      scopeMetrics: fc.array(
        fc.record({
          metrics: fc.array(
            fc
              .tuple(fc.record({ name: text, description: text, unit: text }), metricData)
              .map(([header, data]) => ({ ...header, ...data })),
            { maxLength: 3 },
          ),
        }),
        { maxLength: 2 },
      ),
    }),
    { maxLength: 2 },
  ),
});

const temporalities = ["unspecified", "delta", "cumulative"];

function mapOf(attributes: Plain): Attributes {
  return new Map(entriesOf(attributes ?? []));
}

/** The points of what protobufjs decoded. */
function oraclePoints(request: Plain): Plain[] {
  return request.resourceMetrics.flatMap((resourceMetrics: Plain) =>
    resourceMetrics.scopeMetrics.flatMap(({ metrics }: Plain) =>
      metrics.flatMap((metric: Plain) =>
        (metric[metric.data]?.dataPoints ?? []).map((point: Plain) => {
          const recorded = oracleValue(metric, point);
          const value =
            (point.flags & 1) === 1 ? { kind: "none", of: recorded.of ?? recorded.kind } : recorded;
          return {
            resource: mapOf(resourceMetrics.resource?.attributes),
            name: metric.name,
            unit: metric.unit,
            attributes: mapOf(point.attributes),
            startTime: BigInt(point.startTimeUnixNano),
            time: BigInt(point.timeUnixNano),
            value,
          };
        }),
      ),
    ),
  );
}

function bucketsOf(side: Plain): Plain {
  return { offset: side?.offset ?? 0, bucketCounts: (side?.bucketCounts ?? []).map(Number) };
}

function oracleValue(metric: Plain, point: Plain): Plain {
  const shared = { temporality: temporalities[metric[metric.data].aggregationTemporality] ?? "unspecified" };
  const moments = () => ({
    count: Number(point.count),
    sum: point.sum ?? null,
    min: point.min ?? null,
    max: point.max ?? null,
  });
  switch (metric.data) {
    case "gauge":
    case "sum": {
      if (point.value === undefined) return { kind: "none", of: metric.data };
      const value = Number(point[point.value]);
      if (metric.data === "gauge") return { kind: "gauge", value };
      return { kind: "sum", value, ...shared, isMonotonic: metric.sum.isMonotonic };
    }
    case "histogram":
      return {
        kind: "histogram",
        ...moments(),
        ...shared,
        bounds: point.explicitBounds,
        bucketCounts: point.bucketCounts.map(Number),
      };
    case "exponentialHistogram":
      return {
        kind: "exponential_histogram",
        ...moments(),
        ...shared,
        scale: point.scale,
        zeroCount: Number(point.zeroCount),
        positive: bucketsOf(point.positive),
        negative: bucketsOf(point.negative),
      };
    default:
      return {
        kind: "summary",
        count: Number(point.count),
        sum: point.sum,
        quantiles: point.quantileValues,
      };
  }
}

const arbitraryRecord = fc.record({
  timeUnixNano: uint64,
  observedTimeUnixNano: uint64,
  severityNumber: fc.nat(30),
  severityText: text,
  body: optional(arbitraryValue),
  attributes: arbitraryAttributes,
  traceId: fc.oneof(arbitraryId(16), fc.uint8Array({ maxLength: 3 })),
  spanId: fc.oneof(arbitraryId(8), fc.constant(new Uint8Array(8))),
  eventName: text,
});
const arbitraryLogs = fc.record({
  resourceLogs: fc.array(
    fc.record({
      resource,
      scopeLogs: fc.array(
        fc.record({
          scope: optional(fc.record({ name: text })),
          logRecords: fc.array(arbitraryRecord, { maxLength: 3 }),
        }),
        { maxLength: 2 },
      ),
    }),
    { maxLength: 2 },
  ),
});

function oracleRecords(request: Plain): Plain[] {
  return request.resourceLogs.flatMap((resourceLogs: Plain) =>
    resourceLogs.scopeLogs.flatMap((scopeLogs: Plain) =>
      scopeLogs.logRecords.map((record: Plain) => ({
        resource: mapOf(resourceLogs.resource?.attributes),
        scopeName: scopeLogs.scope?.name ?? "",
        time: BigInt(record.timeUnixNano),
        observedTime: BigInt(record.observedTimeUnixNano),
        severityNumber: record.severityNumber,
        severityText: record.severityText,
        body: anyValueOf(record.body),
        attributes: mapOf(record.attributes),
        traceId: record.traceId.length === 16 ? hexOf(record.traceId) : "",
        spanId: record.spanId.some((byte: number) => byte !== 0) ? hexOf(record.spanId) : "",
        eventName: record.eventName,
      })),
    ),
  );
}

/** What does not depend on the order: writing groups by resource and metric. */
function sorted<T>(items: readonly T[]): T[] {
  const key = (item: T) =>
    JSON.stringify(item, (_, value) =>
      typeof value === "bigint"
        ? `${value}n`
        : value instanceof Map
          ? [...value]
          : Object.is(value, -0)
            ? "-0"
            : value,
    );
  return items
    .map((item) => [key(item), item] as const)
    .sort((a, b) => (a[0] < b[0] ? -1 : 1))
    .map(([, item]) => item);
}

function checkOnlyMalformed(decode: (body: Uint8Array) => unknown, body: Uint8Array): void {
  for (let length = 0; length < body.length; length += 1) {
    try {
      decode(body.slice(0, length));
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedBodyError);
    }
  }
}

describe("metric requests", () => {
  test("are read as protobufjs reads them", () => {
    fc.assert(
      fc.property(arbitraryMetrics, (plain) => {
        const body = oracleEncode("metrics", plain);
        const { points: own, result } = decodeMetrics(body);
        expect(own).toEqual(oraclePoints(oracleRequest("metrics", body)));
        expect(result.rejected).toBe(0);
      }),
      { numRuns: runs(75) },
    );
  });

  test("survive writing and reading", () => {
    fc.assert(
      fc.property(arbitraryMetrics, (plain) => {
        const { points: own } = decodeMetrics(oracleEncode("metrics", plain));
        const written = encodeMetrics(own);
        expect(sorted(decodeMetrics(written).points)).toEqual(sorted(own));
        expect(sorted(oraclePoints(oracleRequest("metrics", written)))).toEqual(sorted(own));
      }),
      { numRuns: runs(50) },
    );
  });

  test("throw nothing but MalformedBodyError when they are cut off", () => {
    const [plain] = fc.sample(
      arbitraryMetrics.filter((m) => JSON.stringify(m).length > 1500),
      { seed: 3, numRuns: 1 },
    );
    checkOnlyMalformed(decodeMetrics, oracleEncode("metrics", plain!));
  });

  test("lose only the point that is broken", () => {
    const dataPoints = [1, 2, 3].map((asDouble) => ({ timeUnixNano: "1", asDouble }));
    const body = oracleEncode("metrics", {
      resourceMetrics: [
        {
          scopeMetrics: [{ metrics: [{ name: "cpu", gauge: { dataPoints } }] }],
        },
      ],
    });
    // The tag of the second point's time becomes that of a group which nobody opened.
    const times = [...body.keys()].filter((at) => body[at] === 0x19 && body[at + 1] === 1);
    body[times[1]!] = 0x1c;
    const { points: own, result } = decodeMetrics(body);
    expect(own.map(({ value }: MetricPoint) => value)).toEqual([
      { kind: "gauge", value: 1 },
      { kind: "gauge", value: 3 },
    ]);
    expect(result).toEqual({ accepted: 2, rejected: 1, reasons: new Map([["malformed_data_point", 1]]) });
  });

  test("take packed counts for unpacked ones", () => {
    const value = {
      kind: "histogram",
      count: 3,
      sum: 6,
      min: null,
      max: null,
      bounds: [1, 2],
      bucketCounts: [1, 1, 1],
      temporality: "delta",
    } as const;
    const packed = oracleEncode("metrics", {
      resourceMetrics: [
        {
          scopeMetrics: [
            {
              metrics: [
                {
                  name: "h",
                  histogram: {
                    dataPoints: [
                      { count: "3", sum: 6, explicitBounds: [1, 2], bucketCounts: ["1", "1", "1"] },
                    ],
                    aggregationTemporality: 1,
                  },
                },
              ],
            },
          ],
        },
      ],
    });
    const [point] = decodeMetrics(packed).points;
    expect(point?.value).toEqual(value);
    const unpacked = encodeMetrics([point!]);
    expect(unpacked.length).toBeGreaterThan(packed.length);
    expect(decodeMetrics(unpacked).points).toEqual([point]);
  });
});

describe("log requests", () => {
  test("are read as protobufjs reads them", () => {
    fc.assert(
      fc.property(arbitraryLogs, (plain) => {
        const body = oracleEncode("logs", plain);
        const { records, result } = decodeLogs(body);
        expect(records).toEqual(oracleRecords(oracleRequest("logs", body)));
        expect(result).toMatchObject({ accepted: records.length, rejected: 0 });
      }),
      { numRuns: runs(75) },
    );
  });

  test("survive writing and reading", () => {
    fc.assert(
      fc.property(arbitraryLogs, (plain) => {
        const { records } = decodeLogs(oracleEncode("logs", plain));
        const written = encodeLogs(records);
        expect(sorted(decodeLogs(written).records)).toEqual(sorted(records));
        expect(sorted(oracleRecords(oracleRequest("logs", written)))).toEqual(sorted(records));
      }),
      { numRuns: runs(50) },
    );
  });

  test("lose only the record that is broken, and are malformed where the envelope is", () => {
    const logRecords = ["x", "y", "z"].map((eventName) => ({ eventName }));
    const body = oracleEncode("logs", {
      resourceLogs: [{ scopeLogs: [{ logRecords }] }],
    });
    const at = body.indexOf("y".charCodeAt(0));
    body[at - 1] = 9;
    const { records, result } = decodeLogs(body);
    expect(records.map(({ eventName }) => eventName)).toEqual(["x", "z"]);
    expect(result.reasons).toEqual(new Map([["malformed_log_record", 1]]));
    checkOnlyMalformed(decodeLogs, body);
  });

  test("a body of a depth that nobody means ends in …", () => {
    let body: AnyValue = "deep";
    for (let i = 0; i < 70; i += 1) body = [body];
    const [record] = decodeLogs(
      oracleEncode("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{}] }] }] }),
    ).records;
    const bytes = encodeLogs([{ ...record!, body }]);
    let value = decodeLogs(bytes).records[0]?.body;
    let depth = 1;
    for (; Array.isArray(value); depth += 1) [value] = value;
    expect([depth, value]).toEqual([65, "…"]);
  });
});
