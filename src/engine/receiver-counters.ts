import type { Transport } from "./own-work.ts";
import type { EngineStats, Signal } from "./ports.ts";

/** What one receiver has done since the start; the names are the metric names of `/metrics` without its prefix. */
export class ReceiverCounters {
  /** "http" or "grpc" */
  readonly transport: Transport;
  readonly #counts: Record<ReceiverCount, number> = {
    requests_total: 0,
    body_bytes_total: 0,
    accepted_spans_total: 0,
    accepted_metric_points_total: 0,
    accepted_log_records_total: 0,
    rejected_spans_total: 0,
    rejected_metric_points_total: 0,
    rejected_log_records_total: 0,
    malformed_requests_total: 0,
    oversize_requests_total: 0,
    unsupported_requests_total: 0,
    unauthenticated_requests_total: 0,
    /** of callers who are known and may not send */
    forbidden_requests_total: 0,
    refused_requests_total: 0,
    /** of clients that hold more than their share */
    throttled_requests_total: 0,
    aborted_requests_total: 0,
    faults_total: 0,
    /** texts of spans that were only numbers of strings in a table */
    string_indices_total: 0,
    /** time that decoding took, of all requests */
    decode_seconds_total: 0,
  };

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Answers the new count. */
  count(name: ReceiverCount, by = 1): number {
    this.#counts[name] += by;
    return this.#counts[name];
  }

  countItems(signal: Signal, accepted: number, rejected: number): void {
    this.#counts[`accepted_${itemName[signal]}_total`] += accepted;
    this.#counts[`rejected_${itemName[signal]}_total`] += rejected;
  }

  stats(): EngineStats {
    const entries = Object.entries(this.#counts);
    return Object.fromEntries(entries.map(([name, value]) => [`otlp_${this.transport}_${name}`, value]));
  }
}

const itemName = { traces: "spans", metrics: "metric_points", logs: "log_records" } as const;
type ItemName = (typeof itemName)[Signal];

export type ReceiverCount =
  | "requests_total"
  | "body_bytes_total"
  | `accepted_${ItemName}_total`
  | `rejected_${ItemName}_total`
  | "malformed_requests_total"
  | "oversize_requests_total"
  | "unsupported_requests_total"
  | "unauthenticated_requests_total"
  | "forbidden_requests_total"
  | "refused_requests_total"
  | "throttled_requests_total"
  | "aborted_requests_total"
  | "faults_total"
  | "string_indices_total"
  | "decode_seconds_total";
