import type { AnyValue, Attributes } from "./attributes.ts";
import type { UnixNanos } from "./time.ts";

/** OTLP's aggregation temporality of a sum or histogram. */
export type Temporality = "unspecified" | "delta" | "cumulative";

/** One data point of an OTLP metric together with its series. */
export interface MetricPoint {
  readonly resource: Attributes;
  readonly name: string;
  readonly unit: string;
  readonly attributes: Attributes;
  /** 0 = unknown */
  readonly startTime: UnixNanos;
  readonly time: UnixNanos;
  readonly value: MetricValue;
}

export type MetricValue =
  | { readonly kind: "gauge"; readonly value: number }
  | {
      readonly kind: "sum";
      readonly value: number;
      readonly isMonotonic: boolean;
      readonly temporality: Temporality;
    }
  | {
      readonly kind: "histogram";
      readonly count: number;
      readonly sum: number | null;
      readonly min: number | null;
      readonly max: number | null;
      readonly bounds: readonly number[];
      readonly bucketCounts: readonly number[];
      readonly temporality: Temporality;
    }
  | {
      readonly kind: "exponential_histogram";
      readonly count: number;
      readonly sum: number | null;
      readonly min: number | null;
      readonly max: number | null;
      readonly scale: number;
      readonly zeroCount: number;
      readonly positive: { readonly offset: number; readonly bucketCounts: readonly number[] };
      readonly negative: { readonly offset: number; readonly bucketCounts: readonly number[] };
      readonly temporality: Temporality;
    }
  | {
      readonly kind: "summary";
      readonly count: number;
      readonly sum: number;
      readonly quantiles: readonly { readonly quantile: number; readonly value: number }[];
    }
  | NoValue;

/** The series has no value at this time: it has ended, or nothing was recorded. */
interface NoValue {
  readonly kind: "none";
  readonly of: MetricKind;
}

export type MetricKind = "gauge" | "sum" | "histogram" | "exponential_histogram" | "summary";

/** OTLP's SEVERITY_NUMBER_ERROR; FATAL is above it. */
export const errorSeverityMin = 17;

/** One OTLP log record. */
export interface LogRecord {
  readonly resource: Attributes;
  readonly scopeName: string;
  readonly time: UnixNanos;
  readonly observedTime: UnixNanos;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: AnyValue;
  readonly attributes: Attributes;
  /** 32 hex digits, or "" */
  readonly traceId: string;
  /** 16 hex digits, or "" */
  readonly spanId: string;
  readonly eventName: string;
}

/** What became of the records of one request or file section: everything is either accepted or counted as rejected. */
export interface DecodeResult {
  readonly accepted: number;
  readonly rejected: number;
  /** reason -> count, for partial success and for reports */
  readonly reasons: ReadonlyMap<RejectReason, number>;
  /** Keys and values that are only numbers of strings in a table, which spans do not have: read as absent. Left out = none. */
  readonly stringIndices?: number;
}

/** What OTLP calls the fields that `stringIndices` counts. */
export const stringIndexFields = "key_strindex, string_value_strindex";

export type RejectReason =
  | "invalid_trace_id"
  | "invalid_span_id"
  | "malformed_span"
  | "malformed_data_point"
  | "malformed_log_record";

/** The body as a whole cannot be read: a sender must not retry it. Adapters turn it into their own answer. */
export class MalformedBodyError extends Error {
  override readonly name = "MalformedBodyError";
  /** where in the body, in bytes */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}
