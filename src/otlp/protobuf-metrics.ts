import type { Attributes } from "../model/attributes.ts";
import type {
  DecodeResult,
  MetricPoint,
  MetricValue,
  RejectReason,
  Temporality,
} from "../model/telemetry.ts";
import type { UnixNanos } from "../model/time.ts";
import { eachField, nanosAt, readAttributes, readResource, textAt, uint64Of } from "./protobuf-values.ts";
import { broken, Wire } from "./protobuf-wire.ts";

/** By their numbers in OTLP. */
export const temporalities: readonly Temporality[] = ["unspecified", "delta", "cumulative"];

type Reading = Pick<MetricPoint, "attributes" | "startTime" | "time" | "value">;

/** What the envelope around the points of a metric says about all of them. */
interface Aggregation {
  readonly temporality: Temporality;
  readonly isMonotonic: boolean;
}

type ReadPoint = (wire: Wire, start: number, end: number, aggregation: Aggregation) => Reading | undefined;

/** By the tag of a metric's data field. */
const pointReaders: ReadonlyMap<number, ReadPoint> = new Map([
  [0x2a, readGauge],
  [0x3a, readSum],
  [0x4a, readHistogram],
  [0x52, readExponentialHistogram],
  [0x5a, readSummary],
]);

/**
 * The data points of an ExportMetricsServiceRequest (or MetricsData). A point that cannot be read is left out and counted,
 * as is a broken metric; broken envelopes throw `MalformedBodyError`.
 */
export function decodeMetrics(body: Uint8Array): { points: MetricPoint[]; result: DecodeResult } {
  const wire = new Wire(body);
  const points: MetricPoint[] = [];
  let rejected = 0;
  const isWhole = eachField(wire, 0, wire.bytes.length, (tag, start, end) =>
    tag === 0x0a ? resourceMetrics(start, end) : true,
  );
  if (!isWhole) throw wire.error();
  const reasons = new Map<RejectReason, number>();
  if (rejected > 0) reasons.set("malformed_data_point", rejected);
  return { points, result: { accepted: points.length, rejected, reasons } };

  function resourceMetrics(start: number, end: number): boolean {
    const resource = readResource(wire, start, end);
    if (resource === undefined) return false;
    return eachField(wire, start, end, (tag, at, next) =>
      tag === 0x12 ? scopeMetrics(resource, at, next) : true,
    );
  }

  function scopeMetrics(resource: Attributes, start: number, end: number): boolean {
    return eachField(wire, start, end, (tag, at, next) => {
      if (tag === 0x12 && !metric(resource, at, next)) rejected += 1;
      return true;
    });
  }

  function metric(resource: Attributes, start: number, end: number): boolean {
    const header = readHeader(wire, start, end);
    const aggregation = header && readAggregation(wire, header);
    const readPoint = header && pointReaders.get(header.dataTag);
    if (header === undefined || aggregation === undefined) return false;
    if (readPoint === undefined) return true;
    const { name, unit } = header;
    for (const [dataStart, dataEnd] of header.parts)
      eachField(wire, dataStart, dataEnd, (tag, at, next) => {
        if (tag !== 0x0a) return true;
        const reading = readPoint(wire, at, next, aggregation);
        if (reading === undefined) rejected += 1;
        else points.push({ resource, name, unit, ...reading });
        return true;
      });
    return true;
  }
}

interface MetricHeader {
  readonly name: string;
  readonly unit: string;
  /** the tag of the data field, 0 = none that we know */
  readonly dataTag: number;
  /** where its messages are; several of one kind are merged */
  readonly parts: readonly (readonly [start: number, end: number])[];
}

function readHeader(wire: Wire, start: number, end: number): MetricHeader | undefined {
  let name = "";
  let unit = "";
  let dataTag = 0;
  let parts: (readonly [number, number])[] = [];
  const isWhole = eachField(wire, start, end, (tag, at, next) => {
    if (tag === 0x0a) name = textAt(wire, at, next);
    else if (tag === 0x1a) unit = textAt(wire, at, next);
    else if (pointReaders.has(tag)) {
      if (tag !== dataTag) parts = [];
      dataTag = tag;
      parts.push([at, next]);
    }
    return true;
  });
  return isWhole ? { name, unit, dataTag, parts } : undefined;
}

function readAggregation(wire: Wire, { parts }: MetricHeader): Aggregation | undefined {
  let temporality: Temporality = "unspecified";
  let isMonotonic = false;
  for (const [start, end] of parts) {
    const isWhole = eachField(wire, start, end, (tag) => {
      if (tag === 0x10) temporality = temporalities[wire.low] ?? "unspecified";
      else if (tag === 0x18) isMonotonic = wire.low !== 0 || wire.high !== 0;
      return true;
    });
    if (!isWhole) return undefined;
  }
  return { temporality, isMonotonic };
}

function readGauge(wire: Wire, start: number, end: number): Reading | undefined {
  return readNumber(wire, start, end, (value) =>
    value === null ? { kind: "none", of: "gauge" } : { kind: "gauge", value },
  );
}

function readSum(wire: Wire, start: number, end: number, aggregation: Aggregation): Reading | undefined {
  return readNumber(wire, start, end, (value) =>
    value === null ? { kind: "none", of: "sum" } : { kind: "sum", value, ...aggregation },
  );
}

function readNumber(
  wire: Wire,
  start: number,
  end: number,
  makeValue: (value: number | null) => MetricValue,
): Reading | undefined {
  const common = new PointFields(0x3a, 0x40);
  let value: number | null = null;
  const isWhole = eachField(wire, start, end, (tag, at) => {
    if (tag === 0x21) value = wire.view.getFloat64(at, true);
    else if (tag === 0x31) value = Number(wire.view.getBigInt64(at, true));
    else common.take(wire, tag, at);
    return true;
  });
  if (!isWhole) return undefined;
  return common.reading(wire, start, end, makeValue(value));
}

function readHistogram(
  wire: Wire,
  start: number,
  end: number,
  { temporality }: Aggregation,
): Reading | undefined {
  const common = new PointFields(0x4a, 0x50);
  let count = 0;
  let sum: number | null = null;
  let min: number | null = null;
  let max: number | null = null;
  const bounds: number[] = [];
  const bucketCounts: number[] = [];
  const { view } = wire;
  const isWhole = eachField(wire, start, end, (tag, at, next) => {
    if (tag === 0x21) count = uint64At(wire, at);
    else if (tag === 0x29) sum = view.getFloat64(at, true);
    else if (tag === 0x59) min = view.getFloat64(at, true);
    else if (tag === 0x61) max = view.getFloat64(at, true);
    else if (tag === 0x32 || tag === 0x31)
      return eachEight(at, next, (item) => bucketCounts.push(uint64At(wire, item)));
    else if (tag === 0x3a || tag === 0x39)
      return eachEight(at, next, (item) => bounds.push(view.getFloat64(item, true)));
    else common.take(wire, tag, at);
    return true;
  });
  if (!isWhole) return undefined;
  return common.reading(wire, start, end, {
    kind: "histogram",
    count,
    sum,
    min,
    max,
    bounds,
    bucketCounts,
    temporality,
  });
}

interface Buckets {
  offset: number;
  readonly bucketCounts: number[];
}

function readExponentialHistogram(
  wire: Wire,
  start: number,
  end: number,
  { temporality }: Aggregation,
): Reading | undefined {
  const common = new PointFields(0x0a, 0x50);
  let count = 0;
  let sum: number | null = null;
  let min: number | null = null;
  let max: number | null = null;
  let scale = 0;
  let zeroCount = 0;
  const positive: Buckets = { offset: 0, bucketCounts: [] };
  const negative: Buckets = { offset: 0, bucketCounts: [] };
  const { view } = wire;
  const isWhole = eachField(wire, start, end, (tag, at, next) => {
    if (tag === 0x21) count = uint64At(wire, at);
    else if (tag === 0x29) sum = view.getFloat64(at, true);
    else if (tag === 0x61) min = view.getFloat64(at, true);
    else if (tag === 0x69) max = view.getFloat64(at, true);
    else if (tag === 0x30) scale = zigzagOf(wire);
    else if (tag === 0x39) zeroCount = uint64At(wire, at);
    else if (tag === 0x42) return readBuckets(wire, at, next, positive);
    else if (tag === 0x4a) return readBuckets(wire, at, next, negative);
    else common.take(wire, tag, at);
    return true;
  });
  if (!isWhole) return undefined;
  return common.reading(wire, start, end, {
    kind: "exponential_histogram",
    count,
    sum,
    min,
    max,
    scale,
    zeroCount,
    positive,
    negative,
    temporality,
  });
}

function readBuckets(wire: Wire, start: number, end: number, buckets: Buckets): boolean {
  return eachField(wire, start, end, (tag, at, next) => {
    if (tag === 0x08) buckets.offset = zigzagOf(wire);
    else if (tag === 0x10) buckets.bucketCounts.push(uint64Of(wire));
    else if (tag === 0x12)
      for (let item = at; item < next; ) {
        item = wire.varint(item, next);
        if (item === broken) return false;
        buckets.bucketCounts.push(uint64Of(wire));
      }
    return true;
  });
}

function readSummary(wire: Wire, start: number, end: number): Reading | undefined {
  const common = new PointFields(0x3a, 0x40);
  let count = 0;
  let sum = 0;
  const quantiles: { quantile: number; value: number }[] = [];
  const isWhole = eachField(wire, start, end, (tag, at, next) => {
    if (tag === 0x21) count = uint64At(wire, at);
    else if (tag === 0x29) sum = wire.view.getFloat64(at, true);
    else if (tag === 0x32) {
      const entry = { quantile: 0, value: 0 };
      quantiles.push(entry);
      return eachField(wire, at, next, (entryTag, valueAt) => {
        if (entryTag === 0x09) entry.quantile = wire.view.getFloat64(valueAt, true);
        else if (entryTag === 0x11) entry.value = wire.view.getFloat64(valueAt, true);
        return true;
      });
    } else common.take(wire, tag, at);
    return true;
  });
  if (!isWhole) return undefined;
  return common.reading(wire, start, end, { kind: "summary", count, sum, quantiles });
}

/** The fields that points of all kinds have: times in the same fields, attributes and flags in fields of their own. */
class PointFields {
  #startTime = 0n as UnixNanos;
  #time = 0n as UnixNanos;
  #flags = 0;
  readonly #attributesTag: number;
  readonly #flagsTag: number;

  constructor(attributesTag: number, flagsTag: number) {
    this.#attributesTag = attributesTag;
    this.#flagsTag = flagsTag;
  }

  take(wire: Wire, tag: number, at: number): void {
    if (tag === 0x11) this.#startTime = nanosAt(wire, at);
    else if (tag === 0x19) this.#time = nanosAt(wire, at);
    else if (tag === this.#flagsTag) this.#flags = wire.low;
  }

  reading(wire: Wire, start: number, end: number, value: MetricValue): Reading | undefined {
    const attributes = readAttributes(wire, start, end, this.#attributesTag);
    if (attributes === undefined) return undefined;
    return {
      attributes,
      startTime: this.#startTime,
      time: this.#time,
      value: valueWithFlags(value, this.#flags),
    };
  }
}

const noRecordedValueMask = 1;

/** A point that says that nothing was recorded has no value, whatever else it holds. */
export function valueWithFlags(value: MetricValue, flags: number): MetricValue {
  const isEmpty = (flags & noRecordedValueMask) !== 0 && value.kind !== "none";
  return isEmpty ? { kind: "none", of: value.kind } : value;
}

/** Visits the 64-bit items of a packed field (or the one of an unpacked); false if they do not fit. */
function eachEight(start: number, end: number, visit: (at: number) => void): boolean {
  if ((end - start) % 8 !== 0) return false;
  for (let at = start; at < end; at += 8) visit(at);
  return true;
}

function uint64At(wire: Wire, at: number): number {
  return wire.view.getUint32(at + 4, true) * 0x100000000 + wire.view.getUint32(at, true);
}

/** The varint that was read last as a sint32. */
function zigzagOf(wire: Wire): number {
  return (wire.low >>> 1) ^ -(wire.low & 1);
}
