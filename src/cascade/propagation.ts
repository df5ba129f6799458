import type { FailureOrigin, OriginReason, OriginStep } from "../trace/error-origin.ts";
import { parentOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import type { PropagationMechanism } from "./candidate.ts";

/** How a failure crossed from one service to its caller; spans are indices in the trace. */
export interface Propagation {
  readonly caller: string;
  readonly callee: string;
  readonly mechanism: PropagationMechanism;
  readonly spans: readonly number[];
}

/** The crossings between services on the way of each failure, origin first, each pair and mechanism once. */
export function propagationOf(trace: Trace, origins: readonly FailureOrigin[]): readonly Propagation[] {
  const found = new Map<string, Propagation>();
  const add = (
    caller: string,
    callee: string,
    mechanism: PropagationMechanism,
    spans: readonly number[],
  ): void => {
    if (caller === callee) return;
    const key = `${caller}\u0000${callee}\u0000${mechanism}`;
    if (!found.has(key)) found.set(key, { caller, callee, mechanism, spans });
  };
  const passed = new Set<OriginStep>();
  for (const origin of origins) {
    const at = trace.spans[origin.span] as TraceSpan;
    const { reason } = origin;
    if (origin.isPeer) add(at.service, origin.service, peerMechanism(reason), [origin.span]);
    if (reason.kind === "slow_work" || reason.kind === "network_gap") addWait(trace, origin, add);
    // origins below one failure share most of their way
    for (let step = origin.lastStep; step !== null && !passed.has(step); step = step.previous) {
      passed.add(step);
      const from = trace.spans[step.from] as TraceSpan;
      const to = trace.spans[step.to] as TraceSpan;
      add(from.service, to.service, step.attempts.length > 1 ? "retries_exhausted" : "error", [
        step.from,
        step.to,
      ]);
    }
    const failure = trace.spans[origin.failure] as TraceSpan;
    const parent = parentOf(trace.spans, failure);
    if (parent !== undefined && origin.visibility !== "visible")
      add(parent.service, failure.service, "masked", [parent.index, failure.index]);
  }
  return [...found.values()];
}

function peerMechanism(reason: OriginReason): PropagationMechanism {
  if (reason.kind === "unreachable") return "unreachable";
  if (reason.kind === "peer_timeout") return "timeout";
  return reason.kind === "slow_work" ? "slow" : "error";
}

/** From slow work up to the span that gave up: slow on the way, a timeout at the top. */
function addWait(
  trace: Trace,
  origin: FailureOrigin,
  add: (caller: string, callee: string, mechanism: PropagationMechanism, spans: readonly number[]) => void,
): void {
  const { reason, edge } = origin;
  if (reason.kind === "network_gap" && edge !== null) add(edge.caller, edge.callee, "timeout", [origin.span]);
  if (reason.kind !== "slow_work") return;
  let at = trace.spans[origin.span] as TraceSpan;
  while (at.index !== reason.giveUpSpan && at.parent >= 0) {
    const parent = trace.spans[at.parent] as TraceSpan;
    const isLast = parent.index === reason.giveUpSpan;
    add(parent.service, at.service, isLast ? "timeout" : "slow", [parent.index, at.index]);
    at = parent;
  }
}
