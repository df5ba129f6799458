import { errorTextMax } from "../model/limits.ts";
import { redact } from "./redact.ts";

/** What a failed span says of its failure. */
export interface SpanError {
  /**
   * `timeout` = somebody gave up waiting; `cancelled` = the caller wanted it no more; `unreachable` = no connection came
   * about; `exception` = a program error with a type; `status` = an answer that says so
   */
  readonly kind: "timeout" | "cancelled" | "unreachable" | "exception" | "status";
  /** error type, exception type or status code; "" = unknown */
  readonly type: string;
  /** "" = none */
  readonly message: string;
}

/** All that a span offers to tell one failure from another. */
export interface ErrorFacts {
  /** -1 = none, NaN = unreadable */
  readonly httpStatus: number;
  /** a `GrpcCode`, -1 = none */
  readonly grpcStatus: number;
  readonly errorType: string;
  readonly exceptionType: string;
  readonly exceptionMessage: string;
  readonly statusMessage: string;
  readonly errorMessage: string;
  /** see `isErrorFlag` */
  readonly errorFlag: string;
  readonly dbStatus: string;
  /** Envoy's response flags, "" = none */
  readonly proxyFlags: string;
  /** whether the span is the calling side */
  readonly isCaller: boolean;
}

const grpcCodes = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export const GrpcCode = {
  Ok: 0,
  Cancelled: 1,
  DeadlineExceeded: 4,
  ResourceExhausted: 8,
  Unavailable: 14,
} as const;

/** The codes that are failures of the serving side. */
export const grpcServerFailures: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** A code as number, from a number or name in any case; NaN for another system's code, -1 for "". */
export function grpcCodeOf(text: string): number {
  if (text === "") return -1;
  if (/^\d+$/.test(text)) return Number(text);
  const name = text.toUpperCase();
  const code = grpcCodes.indexOf((name === "CANCELED" ? "CANCELLED" : name) as (typeof grpcCodes)[number]);
  return code < 0 ? Number.NaN : code;
}

/** Whether an attribute `error` tells of one: it may be true or false, a number, or in Zipkin's way the message itself. */
export function isErrorFlag(text: string): boolean {
  return !/^(?:false|0|no|none|null|ok)?$/i.test(text);
}

const connectWords =
  /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|connect(?:ion)? ?refused|ConnectionRefused|connect ETIMEDOUT|connect(?:ion)?[ _]?time(?:d ?)?out|NoRouteToHost|UnknownHost|HostConnectException|java\.net\.ConnectException|NewConnectionError|no such host|no route to host|name resolution|name or service not known|getaddrinfo|could not resolve|DNS (?:error|lookup)|host (?:is )?unreachable|network is unreachable|dial tcp|no healthy upstream|failed to connect|could not connect/i;
const timeoutWords = /time(?:d)?[ _-]?out|deadline|ETIMEDOUT|ESOCKETTIMEDOUT/i;
const cancelWords = /cancell?ed|cancell?ation|AbortError|(?:request|operation|query|call) (?:was )?aborted/i;

/** The kind, type and message of a failure, as they were sent; null where the span gives no detail at all. */
export function describeError(facts: ErrorFacts): SpanError | null {
  const { httpStatus, grpcStatus, errorType, exceptionType } = facts;
  const named = errorType === "_OTHER" ? "" : errorType;
  const http = httpStatus >= 400 ? String(httpStatus) : "";
  const grpc = grpcStatus > 0 ? (grpcCodes[grpcStatus] ?? String(grpcStatus)) : "";
  const fullType =
    (named === http && exceptionType !== "" ? exceptionType : named) ||
    exceptionType ||
    http ||
    grpc ||
    facts.dbStatus;
  const type = fullType.slice(0, errorTextMax);
  const proxy = proxyWords(facts.proxyFlags);
  const flag = /^(?:true|\d+)$/i.test(facts.errorFlag) ? "" : facts.errorFlag;
  const message = (
    facts.statusMessage ||
    facts.exceptionMessage ||
    facts.errorMessage ||
    (isErrorFlag(flag) ? flag : "") ||
    proxy
  ).slice(0, errorTextMax);
  if (type === "" && message === "") return null;
  return {
    kind: kindOf(
      facts,
      `${type}\n${exceptionType}\n${message}\n${facts.exceptionMessage.slice(0, errorTextMax)}\n${proxy}`,
    ),
    type,
    message,
  };
}

/** The same failure without what is nobody's business. */
export function redactedError({ kind, type, message }: SpanError): SpanError {
  return { kind, type: redact(type), message: redact(message) };
}

/** What the flags of a proxy mean; the words decide the kind of failure like anybody's. */
const proxyFlagWords: ReadonlyMap<string, string> = new Map([
  ["UF", "the proxy failed to connect to the upstream (UF)"],
  ["UH", "the proxy knows no healthy upstream (UH)"],
  ["UT", "upstream request timeout (UT)"],
  ["UC", "the upstream's connection was closed (UC)"],
  ["UO", "the circuit breaker for the upstream is open (UO)"],
  ["URX", "the proxy's retries are used up (URX)"],
  ["NR", "the proxy has no route (NR)"],
  ["DC", "the caller's connection was closed (DC)"],
  ["RL", "the proxy limits the rate (RL)"],
]);

function proxyWords(flags: string): string {
  const words = flags.split(",").map((flag) => proxyFlagWords.get(flag.trim()) ?? "");
  return words.filter((text) => text !== "").join(", ");
}

/** An answer that says the request was wrong: HTTP 4xx other than 408 and 429, or a gRPC code of that sense. */
export function isRejection({ kind, type }: SpanError): boolean {
  if (kind !== "status") return false;
  return /^4\d\d$/.test(type) ? type !== "408" && type !== "429" : grpcRejections.has(type);
}

const grpcRejections: ReadonlySet<string> = new Set([
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE",
  "UNAUTHENTICATED",
]);

const lostWords =
  /ECONNRESET|ECONNABORTED|EPIPE|connection (?:was )?(?:reset|closed|lost|aborted)|broken pipe|socket hang up|premature(?:ly)? clos/i;

/** Whether a connection that had come about broke before the answer was there. */
export function isConnectionLost({ type, message }: SpanError): boolean {
  return lostWords.test(type) || lostWords.test(message);
}

const shortageWords = {
  pool: /pool.{0,60}(?:time(?:d)?[ _-]?out|exhaust|full|limit|empty|not available|unavailable)|(?:time(?:d)?[ _-]?out|exhaust|waiting|no (?:free|available)).{0,60}(?:pool|connections?\b)|too many (?:connections|clients)/i,
  name: /ENOTFOUND|EAI_AGAIN|UnknownHost|no such host|name resolution|name or service not known|getaddrinfo|could not resolve|resolution failed|DNS/i,
  lock: /deadlock|lock (?:wait|request)|could not obtain lock|LockTimeout|LockAcquisition|could not serialize/i,
  memory: /OutOfMemory|out of memory|heap (?:space|limit|out)|OOMKilled|MemoryError|Cannot allocate memory/i,
} as const;

/** What was short, or in the way, where an error says so in its words: a pool's connections, a host's name, a lock, memory. */
export function shortageIn({ type, message }: SpanError): keyof typeof shortageWords | null {
  const words = `${type}\n${message}`;
  for (const [shortage, pattern] of Object.entries(shortageWords))
    if (pattern.test(words)) return shortage as keyof typeof shortageWords;
  return null;
}

function kindOf(facts: ErrorFacts, words: string): SpanError["kind"] {
  const { httpStatus, grpcStatus, errorType, exceptionType, isCaller } = facts;
  const isUnavailable = grpcStatus === GrpcCode.Unavailable || errorType === "UNAVAILABLE";
  if (connectWords.test(words) || (isCaller && isUnavailable)) return "unreachable";
  if (httpStatus === 408 || httpStatus === 504 || grpcStatus === GrpcCode.DeadlineExceeded) return "timeout";
  if (httpStatus === 499 || grpcStatus === GrpcCode.Cancelled) return "cancelled";
  if (timeoutWords.test(words)) return "timeout";
  if (cancelWords.test(words)) return "cancelled";
  const isCode =
    errorType === "" || errorType === "_OTHER" || /^-?\d+$/.test(errorType) || grpcCodeOf(errorType) >= 0;
  return exceptionType !== "" || !isCode ? "exception" : "status";
}
