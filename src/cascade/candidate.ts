import type { Share } from "../base/count-test.ts";
import type { Resource } from "../metrics/resource-health.ts";
import { missingSpansCostMax, rivalWeight } from "../model/scoring.ts";
import type { OriginReason } from "../trace/error-origin.ts";
import type { ReachVotes } from "./reach.ts";
import type { Tail } from "./shift.ts";
import type { LabelKind } from "./units.ts";
import type { UsualTime } from "./usual.ts";
import type { Step } from "./visits.ts";

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

/** From these confidences on a verdict says "root cause" and "probable". */
export interface CertaintyBars {
  readonly confident: number;
  readonly probable: number;
}

/** A call's two ends. */
export interface Edge {
  readonly caller: string;
  readonly callee: string;
}

export function edgeKey({ caller, callee }: Edge): string {
  return `${caller}\u0000${callee}`;
}

/** Where in a call its time was lost: before the callee began, or after it had answered; null where clocks do not tell. */
export type LostSide = "before" | "after" | null;

/** How a failure got from a callee to its caller. */
export type PropagationMechanism =
  | "error"
  | "timeout"
  | "retries_exhausted"
  | "unreachable"
  | "slow"
  | "masked"
  /** the caller no longer calls, and fails without */
  | "breaker"
  /** messages wait for who works on them */
  | "queue_lag";

/** A request of another trace that failed, and that this trace set off: it links to spans of this one. */
export interface LinkedFailure {
  readonly traceId: string;
  readonly service: string;
  readonly operation: string;
  /** the spans that it links to, indices in this trace */
  readonly spans: readonly number[];
}

/** One thing that speaks for or against a candidate, free of language; spans are indices in the trace. */
export type EvidenceFact =
  | {
      readonly kind: "origin";
      readonly service: string;
      readonly caller: string;
      readonly operation: string;
      readonly reason: OriginReason;
      /** how long the operation that was waited for takes as a rule, where that is known */
      readonly usual: UsualTime | null;
      /** of a peer, where the span says it and its name does not; else "" */
      readonly address: string;
      readonly spans: readonly number[];
    }
  | ({ readonly kind: "linked_failure" } & LinkedFailure)
  /** a request to an operation lacks what nearly all others show: of `compared` healthy ones, `shown` do */
  | {
      readonly kind: "missing_step";
      readonly service: string;
      readonly operation: string;
      readonly step: Step["kind"];
      /** "" for local work */
      readonly callee: string;
      readonly name: string;
      readonly shown: number;
      readonly compared: number;
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
  /** time that a request spent because of a failure that it hid: with work that `shown` of `compared` healthy ones do */
  | {
      readonly kind: "instead";
      readonly service: string;
      readonly operation: string;
      readonly share: number;
      readonly selfNanos: number;
      readonly shown: number;
      readonly compared: number;
      readonly spans: readonly number[];
    }
  | {
      readonly kind: "slower_than_usual";
      readonly operation: string;
      readonly durationNanos: number;
      readonly usual: UsualTime;
      readonly spans: readonly number[];
    }
  | {
      /** time of calls between two services in which neither of them worked */
      readonly kind: "call_gap";
      readonly edge: Edge;
      readonly share: number;
      readonly gapNanos: number;
      readonly usualNanos: number | null;
      readonly spans: readonly number[];
    }
  /** why one end of a late connection is blamed: how many other connections of it and of the other end are late too */
  | ({ readonly kind: "late_end"; readonly service: string } & LateEnd)
  /** why one end of a connection that did not come about is blamed */
  | ({ readonly kind: "reach" } & ReachVotes)
  /** nothing tells the ends of a late connection apart */
  | { readonly kind: "either_end"; readonly edge: Edge }
  /** the failure is usual: so many of these requests fail in a healthy time too */
  | {
      readonly kind: "usual_failure";
      readonly operation: string;
      readonly ratio: number;
      readonly requests: number;
    }
  | { readonly kind: "scope_error_ratio"; readonly ratio: number; readonly requests: number }
  | { readonly kind: "scope_healthy"; readonly ratio: number; readonly requests: number }
  /** a service alone could not reach another one */
  | {
      readonly kind: "alone_unreached";
      readonly service: string;
      readonly callee: string;
      /** of other callers, which reached it */
      readonly otherCalls: number;
      readonly visible: number;
      readonly hidden: number;
    }
  | {
      readonly kind: "window_failures";
      /** whether users saw them */
      readonly isVisible: boolean;
      /** what sort of fault they all began with; null = of several sorts */
      readonly cause: CauseKind | null;
      readonly failures: number;
      /** of them, in work that no request waited for */
      readonly aside: number;
      readonly requests: number;
      /** in a healthy time of as many requests; null where none was given */
      readonly expected: number | null;
    }
  | SlowerFact
  | SymptomFact
  /** troubles that are usual in the system as a whole show more often at one operation */
  | {
      readonly kind: "more_troubles";
      readonly signal: "structure" | "logs";
      readonly service: string;
      readonly operation: string;
      readonly before: Share;
      readonly after: Share;
    }
  /** requests of a caller do nothing more after the call of one operation */
  | {
      readonly kind: "stops_after";
      readonly caller: string;
      readonly service: string;
      readonly operation: string;
      readonly before: Share;
      readonly after: Share;
    }
  | MetricRiseFact
  | ContrastFact
  | {
      /** one process of a service answers hardly any of its requests any more, and none has taken its place */
      readonly kind: "gone_instance";
      readonly instance: string;
      /** its part of the service's requests */
      readonly before: Share;
      readonly after: Share;
    }
  | { readonly kind: "incomplete_trace"; readonly orphans: number; readonly spans: readonly number[] };

/** A part of what a service does, or of what calls on its side take, became slower. */
export interface SlowerFact {
  readonly kind: "became_slower";
  /** own work, calls to it, or its calls */
  readonly role: "own" | "called" | "calling";
  readonly service: string;
  /** of what became slower by most; for own work both are the service */
  readonly caller: string;
  readonly callee: string;
  readonly operation: string;
  /** the callee has no spans of its own, and all of its time counts */
  readonly isPeer: boolean;
  /** what waited was a message */
  readonly isMessage: boolean;
  /** to a request on average, all parts together */
  readonly addedNanos: number;
  /** parts that became slower, of all that were compared */
  readonly slower: number;
  readonly series: number;
  /** medians, of so many values */
  readonly beforeNanos: number;
  readonly afterNanos: number;
  readonly before: number;
  readonly after: number;
  /** where only few are slower, and the medians say nothing */
  readonly tail: Tail | null;
  /** of the rank test; of a tail, the root of the likelihood ratio */
  readonly z: number;
}

/** A metric of a process that is higher than in the healthy time. */
export interface MetricRiseFact {
  readonly kind: "metric_rise";
  readonly metric: string;
  /** null = of no resource that is known by name */
  readonly resource: Resource | null;
  /** "" = unknown */
  readonly instance: string;
  /** other processes of the service at which it rose by at least half as much */
  readonly alike: number;
  /** whether figures are shares of a limit, 1 = all of it; else counts are per minute */
  readonly isShare: boolean;
  /** medians */
  readonly before: number;
  readonly after: number;
  /** the rise in robust standard deviations */
  readonly z: number;
}

/** Which of a service's requests are in trouble: those that were served with some values of attributes, and no others. */
export interface ContrastFact {
  readonly kind: "only_where";
  /** one or two; each further one is found among the requests that those before mark */
  readonly where: readonly MarkedValue[];
  readonly trouble: "failed" | "slow" | "failed_or_slow";
  /** requests in trouble where all values are given, and everywhere else */
  readonly inside: Share;
  readonly others: Share;
  /** part of what is beyond the usual that lies inside */
  readonly coverage: number;
  /** hex ids of the first few traces of requests in trouble inside */
  readonly traceIds: readonly string[];
}

/** A value of an attribute that marks requests in trouble. */
export interface MarkedValue {
  readonly key: string;
  readonly value: string;
  /** with the value, and with any other, in trouble */
  readonly inside: Share;
  readonly others: Share;
  /** what most requests with another value have; null = nothing */
  readonly otherValue: string | null;
  /** no request of the healthy time had it */
  readonly isNew: boolean;
  /** attributes that mark the same requests, so that nothing tells which of them it is */
  readonly alike: readonly { readonly key: string; readonly value: string }[];
}

/** Visits of an operation show something more or less often than before. */
export interface SymptomFact {
  readonly kind: "symptom";
  readonly signal: "structure" | "logs";
  readonly service: string;
  readonly operation: string;
  readonly label: LabelKind;
  readonly name: string;
  /** of a call or message; else "" */
  readonly callee: string;
  readonly before: Share;
  readonly after: Share;
  /** above 0 = more often */
  readonly g: number;
  /** share of those visits below which nothing shows a symptom too */
  readonly leaf: number;
}

/** How the end of a late connection stands apart from the other one. */
interface LateEnd {
  /** it made the calls, rather than answering them */
  readonly isCaller: boolean;
  readonly lost: LostSide;
  /** of its other connections to what it calls, or from its callers */
  readonly late: number;
  readonly inOrder: number;
  /** its own work took much longer than usual too */
  readonly isSlowItself: boolean;
  readonly other: string;
  readonly otherInOrder: number;
}

/** Facts that weaken a candidate; all others are for it. That somebody noticed a failure and hid it shows that it happened. */
export function speaksAgainst(fact: EvidenceFact): boolean {
  if (fact.kind === "reach") return !fact.isCaller && fact.unreachedBy === 0;
  if (fact.kind === "hidden") return fact.by === "retried";
  return againstKinds.has(fact.kind);
}

const againstKinds: ReadonlySet<EvidenceFact["kind"]> = new Set([
  "either_end",
  "usual_failure",
  "scope_healthy",
  "incomplete_trace",
]);

/** How far the first candidate stands out, 0..1; null where there is none. */
export function leadOf([first, second]: readonly Candidate[]): number | null {
  return first === undefined ? null : first.score - rivalWeight * (second?.score ?? 0);
}

/** How whole traces are: the part of their spans that does not lack its parent, as far as confidence goes. */
export function completenessOf({
  orphans,
  spans,
}: {
  readonly orphans: number;
  readonly spans: number;
}): number {
  return spans === 0 ? 1 : 1 - Math.min(missingSpansCostMax, orphans / spans);
}

/** A service (or peer) that may be the cause, with the sum of what makes us say so. */
export interface Candidate {
  readonly service: string;
  readonly kind: CauseKind;
  /** 0..1: this candidate's part of the blame */
  readonly score: number;
  readonly operation: string | null;
  readonly instance: string | null;
  readonly edge: Edge | null;
  readonly evidence: readonly EvidenceFact[];
}
