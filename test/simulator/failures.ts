import type { Failure } from "./recording.ts";

/** The failures that mechanisms bring about, in the words of common platforms. */
export const failures = {
  own: (exception: string, message: string): Failure => ({ type: "error", exception, message }),
  answered: (callee: string): Failure => ({
    type: "downstream",
    exception: "RemoteCallException",
    message: `${callee} answered with a server error`,
  }),
  timeout: (callee: string, ms: number): Failure => ({
    type: "timeout",
    exception: "TimeoutException",
    message: `no answer from ${callee} within ${Math.round(ms)} ms`,
  }),
  refused: (callee: string): Failure => ({
    type: "refused",
    exception: "ConnectException",
    message: `connection refused: ${callee}`,
  }),
  reset: (callee: string): Failure => ({
    type: "reset",
    exception: "ConnectionResetException",
    message: `connection reset by ${callee}`,
  }),
  dns: (callee: string): Failure => ({
    type: "dns",
    exception: "UnknownHostException",
    message: `name resolution failed: ${callee}`,
  }),
  overloaded: (callee: string): Failure => ({
    type: "overloaded",
    exception: "ServiceUnavailableException",
    message: `${callee} is overloaded`,
  }),
  pool: (pool: string, ms: number): Failure => ({
    type: "pool",
    exception: "PoolTimeoutException",
    message: `no connection of pool ${pool} became free within ${ms} ms`,
  }),
  breaker: (callee: string): Failure => ({
    type: "breaker",
    exception: "CallNotPermittedException",
    message: `circuit breaker of ${callee} is open`,
  }),
  query: (peer: string, message: string): Failure => ({
    type: "query",
    exception: "QueryException",
    message: `${peer}: ${message}`,
  }),
} as const;
