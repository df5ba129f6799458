import type { OriginReason } from "../trace/error-origin.ts";

/** What sort of fault a candidate is blamed for. */
export type CauseKind =
  | "error"
  | "latency"
  | "network"
  | "unreachable"
  | "missing_call"
  | "saturation"
  | "overload"
  | "dependency";

/** How a failure got from a callee to its caller. */
export type PropagationMechanism =
  | "error"
  | "timeout"
  | "retries_exhausted"
  | "unreachable"
  | "slow"
  | "masked";

/** One thing that speaks for or against a candidate, free of language; spans are indices in the trace. */
export type EvidenceFact =
  | {
      readonly kind: "origin";
      readonly service: string;
      readonly caller: string;
      readonly operation: string;
      readonly reason: OriginReason;
      readonly spans: readonly number[];
    }
  | { readonly kind: "retries_failed"; readonly attempts: number; readonly spans: readonly number[] }
  | {
      readonly kind: "hidden";
      readonly by: "retried" | "masked";
      readonly service: string;
      readonly spans: readonly number[];
    }
  | {
      readonly kind: "path_share";
      readonly operation: string;
      readonly share: number;
      readonly selfNanos: number;
      readonly spans: readonly number[];
    }
  | {
      readonly kind: "slower_than_usual";
      readonly operation: string;
      readonly durationNanos: number;
      readonly usualNanos: number;
      readonly spans: readonly number[];
    }
  | { readonly kind: "scope_error_ratio"; readonly ratio: number; readonly requests: number }
  | { readonly kind: "scope_healthy"; readonly ratio: number; readonly requests: number }
  | {
      readonly kind: "window_failures";
      /** whether users saw them */
      readonly isVisible: boolean;
      readonly failures: number;
      readonly requests: number;
      /** in a healthy time of as many requests; null where none was given */
      readonly expected: number | null;
    }
  | {
      readonly kind: "window_latency";
      /** the entry that became slower */
      readonly service: string;
      readonly operation: string;
      /** mean time that a request waited for the candidate, and how much of it is new */
      readonly nanos: number;
      readonly addedNanos: number;
    }
  | { readonly kind: "incomplete_trace"; readonly orphans: number; readonly spans: readonly number[] };

/** Facts that weaken a candidate; all others are for it. */
export function speaksAgainst(fact: EvidenceFact): boolean {
  return fact.kind === "hidden" || fact.kind === "scope_healthy" || fact.kind === "incomplete_trace";
}

/** A service (or peer) that may be the cause, with the sum of what makes us say so. */
export interface Candidate {
  readonly service: string;
  readonly kind: CauseKind;
  /** 0..1: this candidate's part of the blame */
  readonly score: number;
  readonly operation: string | null;
  readonly instance: string | null;
  readonly edge: { readonly caller: string; readonly callee: string } | null;
  readonly evidence: readonly EvidenceFact[];
}
