import type { Call, Instance, Operation, Topic } from "./topology.ts";

/** Why something failed, as whoever saw it would tell. */
export type FailureType =
  | "error"
  | "downstream"
  | "timeout"
  | "refused"
  | "reset"
  | "dns"
  | "overloaded"
  | "pool"
  | "breaker"
  | "query";

export interface Failure {
  readonly type: FailureType;
  /** class of the exception, in the words of its platform */
  readonly exception: string;
  readonly message: string;
}

/** What a request is for: a user, or something that starts by itself. */
type RequestKind = "user" | "cron" | "probe" | "message";

export interface SimRequest {
  /** the same in every run of a scenario */
  readonly label: string;
  readonly key: number;
  readonly kind: RequestKind;
  /** only in runs with the fault, as in a surge of traffic */
  readonly isExtra: boolean;
  readonly operation: Operation | null;
  root: SimSpan | null;
  /** the answer was wrong, or work was left out, though nothing failed */
  isWrong: boolean;
}

/** A span as the process that made it sees it; times in ms from the start of the window, by a clock that is right. */
export interface SimSpan {
  readonly request: SimRequest;
  /** unique within the request, and the same in every run */
  readonly key: number;
  readonly parent: SimSpan | null;
  readonly link: SimSpan | null;
  readonly role: "server" | "client" | "producer" | "consumer" | "internal";
  readonly instance: Instance;
  readonly version: string;
  /** what is executed (server, consumer, internal) */
  readonly operation: Operation | null;
  /** what is called (client, producer) */
  readonly call: Call | null;
  readonly topic: Topic | null;
  readonly attempt: number;
  readonly start: number;
  /** NaN until it ends; such spans are never exported */
  end: number;
  failure: Failure | null;
  /** answered 4xx */
  isClientError: boolean;
  /** NaN = records no exception */
  exceptionAt: number;
  /** calls that a breaker kept it from making */
  withheld: Call[] | null;
}

export interface SimLog {
  readonly time: number;
  readonly span: SimSpan;
  readonly severity: "INFO" | "WARN" | "ERROR";
  readonly text: string;
  readonly exception: string;
}

/** What an instance's metrics say at one moment. */
export interface InstanceSample {
  readonly time: number;
  readonly instance: Instance;
  readonly version: string;
  readonly cpuRatio: number;
  readonly memoryRatio: number;
  readonly active: number;
  readonly queued: number;
  readonly gcSeconds: number;
  readonly pools: readonly PoolSample[];
}

interface PoolSample {
  readonly name: string;
  readonly used: number;
  readonly size: number;
  readonly pending: number;
}

export interface TopicSample {
  readonly time: number;
  readonly topic: Topic;
  readonly lag: number;
}

/** All that happened in one window. */
export interface Recording {
  readonly requests: readonly SimRequest[];
  readonly spans: readonly SimSpan[];
  readonly logs: readonly SimLog[];
  readonly samples: readonly InstanceSample[];
  readonly topicSamples: readonly TopicSample[];
}

/** Whether the span was exported: it has ended, and its process lived. */
export function hasEnded(span: SimSpan): boolean {
  return !Number.isNaN(span.end);
}
