import { breakerWord, errorRatioMax } from "../model/scoring.ts";
import type { FailureOrigin, OriginReason } from "../trace/error-origin.ts";
import { semanticsOf } from "../trace/semantics.ts";
import { shortageIn } from "../trace/span-error.ts";
import type { Trace, TraceSpan } from "../trace/trace.ts";
import type { CauseKind, EvidenceFact } from "./candidate.ts";
import type { Usual } from "./usual.ts";

/** What kind of fault a reason stands for. */
export function kindOf(reason: OriginReason): CauseKind {
  switch (reason.kind) {
    case "unreachable":
      return "unreachable";
    case "slow_work":
    case "peer_timeout":
    case "tight_timeout":
      return "latency";
    case "network_gap":
      return "network";
    case "own_error":
    case "peer_error":
    case "rejected_request":
      return "error";
  }
}

/** Whether a callee was not reached because its name could not be looked up. */
export function isUnresolved(reason: OriginReason): boolean {
  return reason.kind === "unreachable" && reason.error !== null && shortageIn(reason.error) === "name";
}

/** What a failure says of a circuit breaker that let no call through; null = nothing, or it is not its own. */
export function breakerTextOf(reason: OriginReason): string | null {
  if (reason.kind !== "own_error" || reason.error === null) return null;
  const text = `${reason.error.type}\n${reason.error.message}`;
  return breakerWord.test(text) ? text : null;
}

/** What speaks for an origin, and against it. */
export function originFacts(trace: Trace, origin: FailureOrigin, usual: Usual): readonly EvidenceFact[] {
  const { reason, visibility, service, isPeer, lastStep } = origin;
  const span = trace.spans[origin.span] as TraceSpan;
  const giveUp = reason.kind === "slow_work" ? [reason.giveUpSpan] : [];
  const facts: EvidenceFact[] = [
    {
      kind: "origin",
      service,
      caller:
        reason.kind === "slow_work" ? (trace.spans[reason.giveUpSpan] as TraceSpan).service : span.service,
      operation: span.operation,
      reason,
      usual: isWait(reason) ? usual.durationOf(service, span.operation) : null,
      address: isPeer ? addressOf(span, service) : "",
      spans: [...new Set([span.index, ...giveUp])],
    },
  ];
  if (lastStep !== null && lastStep.attempts.length > 1)
    facts.push({ kind: "retries_failed", attempts: lastStep.attempts.length, spans: lastStep.attempts });
  if (visibility !== "visible") {
    const failure = trace.spans[origin.failure] as TraceSpan;
    const hiddenBy = trace.spans[failure.parent]?.service ?? failure.service;
    facts.push({ kind: "hidden", by: visibility, service: hiddenBy, spans: [failure.index] });
  }
  const failure = trace.spans[origin.failure] as TraceSpan;
  const ratio = usual.errorRatio(failure.service, failure.operation);
  if (ratio !== null && ratio > errorRatioMax) {
    const requests = usual.requests(failure.service, failure.operation);
    facts.push({ kind: "usual_failure", operation: failure.operation, ratio, requests });
  }
  return facts;
}

/** The reasons that say of an operation how long it was waited for. */
function isWait({ kind }: OriginReason): boolean {
  return kind === "slow_work" || kind === "peer_timeout";
}

/** `host:port` of the peer that a span calls, "" where the span does not say it or the name does. */
function addressOf({ table, row }: TraceSpan, name: string): string {
  const address = semanticsOf(table).addressOf(row);
  return name.includes(address) ? "" : address;
}
