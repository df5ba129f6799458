import { almostAlways, breakerErrorRatioMin, factsPerSignalMax, usualRequestsMin } from "../model/scoring.ts";
import type { FailureOrigin } from "../trace/error-origin.ts";
import { durationOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import type { CauseKind, Edge, EvidenceFact } from "./candidate.ts";
import { breakerTextOf } from "./origin-facts.ts";
import type { Reach } from "./reach.ts";
import type { CountedStep } from "./step-window.ts";
import type { IncompleteVisit, TraceHabits } from "./trace-habits.ts";
import type { Population, Usual } from "./usual.ts";
import { stepText } from "./visits.ts";

/** Who is to blame for what a request left out. */
export interface MissingBlame {
  readonly service: string;
  readonly isPeer: boolean;
  readonly kind: CauseKind;
  readonly span: TraceSpan;
  readonly operation: string;
  readonly edge: Edge | null;
  readonly facts: readonly EvidenceFact[];
}

/**
 * What requests left out without failing, by who is to blame: whoever no longer does it; where a message was sent and
 * nobody worked on it, who should have; where the callee is failing around, the callee, for its caller may only spare itself a
 * call that would fail.
 * The same thing left out by several requests is told once.
 */
export function missingBlames(found: readonly IncompleteVisit[], scope: Population): readonly MissingBlame[] {
  const blames = new Map<string, MissingBlame>();
  for (const incomplete of found) {
    const { visit, entry, compared, missing } = incomplete;
    for (const counted of missing.slice(0, factsPerSignalMax)) {
      const { step } = counted;
      const key = `${visit.service}\u0000${visit.operation}\u0000${stepText(step)}`;
      if (blames.has(key)) continue;
      const isUnworked = step.kind === "message" && incomplete.isSent;
      const isFailing = step.callee !== "" && errorRatioOf(step.callee, scope) >= breakerErrorRatioMin;
      const edge = step.callee === "" ? null : { caller: visit.service, callee: step.callee };
      blames.set(key, {
        service: isUnworked || isFailing ? step.callee : visit.service,
        isPeer: step.kind === "peer" && isFailing,
        kind: isFailing && !isUnworked ? failingKind(step.callee, scope) : "missing_call",
        span: entry,
        operation: isUnworked || isFailing ? step.operation : visit.operation,
        edge,
        facts: [missingFact(incomplete, counted, compared)],
      });
    }
  }
  return [...blames.values()];
}

/**
 * The callee that a failed request did not even try to call, though it should have, because a breaker is open: its own failure
 * says so, or the callee fails around while this request failed fast. Null where nothing speaks for that.
 *
 *   web   [=x]                    breaker open: no call to cart
 *   web   [========x]             before that
 *     cart   [====x]
 */
export function breakerBlame(
  trace: Trace,
  origin: FailureOrigin,
  {
    habits,
    usual,
    scope,
    reach,
  }: {
    readonly reach: Reach;
    readonly habits: TraceHabits;
    readonly usual: Usual;
    readonly scope: Population;
  },
): MissingBlame | null {
  const { reason } = origin;
  if (reason.kind !== "own_error" || origin.isPeer) return null;
  const span = trace.spans[origin.span] as TraceSpan;
  const said = breakerTextOf(reason);
  const incomplete = said === null ? habits.before(span) : habits.absentFrom(span);
  if (incomplete === null) return null;
  const { entry, compared } = incomplete;
  const usualNanos = usual.durationNanos(entry.service, entry.operation);
  if (said === null && usualNanos !== null && durationOf(entry) > usualNanos) return null;
  const calls = incomplete.missing.filter(({ step: { kind } }) => kind === "call" || kind === "peer");
  const counted = behindBreaker(calls, { scope, said });
  if (counted === null) return null;
  const { callee, operation, kind } = counted.step;
  const edge = { caller: entry.service, callee };
  // the breaker of one who does not get through tells nothing of who is behind it
  if (reach.judge(edge, false).isCaller) return null;
  return {
    service: callee,
    isPeer: kind === "peer",
    kind: failingKind(callee, scope),
    span,
    operation,
    edge,
    facts: [missingFact(incomplete, counted, compared)],
  };
}

/** `said` = what the failure says of a breaker; null = nothing. Most libraries name breakers after what is behind them. */
function behindBreaker(
  calls: readonly CountedStep[],
  { scope, said }: { readonly scope: Population; readonly said: string | null },
): CountedStep | null {
  const named = said === null ? undefined : calls.find(({ step }) => isNamed(step.callee, said));
  if (named !== undefined) return named;
  let worst: CountedStep | null = null;
  let most = 0;
  for (const call of calls) {
    const ratio = errorRatioOf(call.step.callee, scope);
    if (ratio <= most) continue;
    worst = call;
    most = ratio;
  }
  if (worst !== null && most >= breakerErrorRatioMin) return worst;
  const callees = new Set(calls.map(({ step }) => step.callee));
  return said !== null && callees.size === 1 ? (calls[0] ?? null) : null;
}

/** Whether a text holds a name as a word of its own: `pay` is not in `payment`. */
function isNamed(name: string, text: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1))
    if (!wordPart.test(text.charAt(at - 1)) && !wordPart.test(text.charAt(at + name.length))) return true;
  return false;
}

const wordPart = /[\w-]/;

function errorRatioOf(service: string, { red }: Population): number {
  const cell = red.service(service)?.cell;
  return cell === undefined || cell.requests < usualRequestsMin ? 0 : cell.errorRatio;
}

function failingKind(service: string, { red }: Population): CauseKind {
  return red.service(service)?.unreachable == null ? "error" : "unreachable";
}

function missingFact(
  { visit, entry }: IncompleteVisit,
  { step, visits }: CountedStep,
  compared: number,
): EvidenceFact {
  return {
    kind: "missing_step",
    service: visit.service,
    operation: visit.operation,
    step: step.kind,
    callee: step.callee,
    name: step.operation,
    shown: visits,
    compared,
    spans: [entry.index],
  };
}

/**
 * How surely a request that lacks a step is out of the ordinary, 0..1: by the share of others that will show it, as far as so
 * many tell (Laplace's rule of succession).
 */
export function missingCertainty({
  shown,
  compared,
}: {
  readonly shown: number;
  readonly compared: number;
}): number {
  const share = (shown + 1) / (compared + 2);
  return Math.max(0, (share - almostAlways) / (1 - almostAlways));
}
