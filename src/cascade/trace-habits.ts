import { seldomShareMax } from "../model/scoring.ts";
import { SpanKind } from "../model/span-table.ts";
import type { FailureOrigin } from "../trace/error-origin.ts";
import { callsOf } from "../trace/extract-calls.ts";
import { peerOf, remoteChild } from "../trace/peers.ts";
import type { Trace, TraceSpan } from "../trace/trace.ts";
import type { CountedStep, OperationSteps } from "./step-window.ts";
import type { Usual } from "./usual.ts";
import {
  isJudged,
  plainVisits,
  type Step,
  stepText,
  type TraceVisits,
  type Visit,
  visitsOf,
} from "./visits.ts";

/** A request that lacks steps which nearly all others to the same operation take. */
export interface IncompleteVisit {
  readonly visit: Visit;
  /** the span that received it */
  readonly entry: TraceSpan;
  /** healthy visits of the operation that were looked at */
  readonly compared: number;
  /** the most usual first, then by name */
  readonly missing: readonly CountedStep[];
  /** a message left it all the same: whoever should have worked on it did not */
  readonly isSent: boolean;
}

/** How seldom healthy requests do something, and the failure that made this one do it. */
export interface Instead {
  readonly failure: FailureOrigin;
  readonly shown: number;
  readonly compared: number;
}

/** What the requests of one trace do that others do not, and the other way round. */
export class TraceHabits {
  readonly #trace: Trace;
  readonly #usual: Usual;
  readonly #visits: TraceVisits;
  /** services whose spans lost their parent: whoever called them is not known to have left it out */
  readonly #orphans: ReadonlySet<string>;
  /** by visit, its spans that call */
  readonly #callers = new Map<number, TraceSpan[]>();
  /** by visit: many spans of one may have failed */
  readonly #judged = new Map<number, IncompleteVisit | null>();

  private constructor(trace: Trace, usual: Usual) {
    this.#trace = trace;
    this.#usual = usual;
    this.#visits = visitsOf(trace, callsOf(trace));
    this.#orphans = new Set(
      trace.roots.flatMap((index) => {
        const root = trace.spans[index];
        return root?.isOrphan === true ? [root.service] : [];
      }),
    );
    for (const span of trace.spans) {
      if (span.kind !== SpanKind.Client && span.kind !== SpanKind.Producer) continue;
      const visit = this.#visits.visitOf[span.index] as number;
      const known = this.#callers.get(visit);
      if (known === undefined) this.#callers.set(visit, [span]);
      else known.push(span);
    }
  }

  /** Null where the trace is not whole, or too large to be a request. */
  static of(trace: Trace, usual: Usual): TraceHabits | null {
    return isJudged(trace) ? new TraceHabits(trace, usual) : null;
  }

  /**
   * Requests that went well and yet left something out, those farthest from the root: what the ones above them left out may
   * follow from it. Where something below failed, that is why the rest was left out.
   *
   *   web     calls cart and mail        left mail out: told only if cart left nothing out
   *     cart    calls db                 left db out
   */
  silent(): readonly IncompleteVisit[] {
    const { visits } = this.#visits;
    const isPlain = plainVisits(this.#trace, this.#visits);
    const isExplained = new Uint8Array(visits.length);
    const found: IncompleteVisit[] = [];
    // callees before callers
    for (let i = visits.length - 1; i >= 0; i -= 1) {
      const visit = visits[i] as Visit;
      const judged = isPlain[i] === 1 && isExplained[i] === 0 ? this.#judge(visit, i) : null;
      if (judged !== null) found.push(judged);
      const explains = judged !== null || visit.failed || isExplained[i] === 1;
      if (explains && visit.parent >= 0) isExplained[visit.parent] = 1;
    }
    return found.reverse();
  }

  /** The same for the request that a failed span is part of; null where it lacks nothing. */
  before(failure: TraceSpan): IncompleteVisit | null {
    const index = this.#visits.visitOf[failure.index] as number;
    return this.#judge(this.#visits.visits[index] as Visit, index);
  }

  /** The request that a failed span is part of, with everything that any healthy one does and that it lacks; null where nothing. */
  absentFrom(failure: TraceSpan): IncompleteVisit | null {
    const index = this.#visits.visitOf[failure.index] as number;
    const visit = this.#visits.visits[index] as Visit;
    return this.#compare(visit, index, this.#usual.anyStepsOf(visit.service, visit.operation));
  }

  /**
   * The failure instead of which a span worked: it was hidden in a request that from then on did what healthy ones seldom do. Null where
   * there is none.
   *
   *   web   [==================]
   *     cache  [x]                   failed, and web went on
   *     db         [===========]     asked in its stead
   */
  insteadOf(span: TraceSpan, hidden: readonly FailureOrigin[]): Instead | null {
    if (hidden.length === 0) return null;
    const { visits, visitOf } = this.#visits;
    let below = span;
    for (let at = visitOf[span.index] as number; at >= 0; at = (visits[at] as Visit).parent) {
      const visit = visits[at] as Visit;
      const failure = hidden.find((origin) => this.#precedes(origin, at, below.start));
      const step = failure === undefined ? null : this.#stepOf(visit, below);
      const usual = step === null ? null : this.#usual.stepShare(visit, step);
      if (failure !== undefined && usual !== null && usual.shown < seldomShareMax * usual.compared)
        return { failure, ...usual };
      below = this.#trace.spans[visit.entry] as TraceSpan;
    }
    return null;
  }

  /** Whether a failure was over in a visit, or in a call that it made, before a time. */
  #precedes({ failure }: FailureOrigin, visit: number, time: number): boolean {
    const span = this.#trace.spans[failure] as TraceSpan;
    if (span.end > time) return false;
    const { visits, visitOf } = this.#visits;
    const at = visitOf[failure] as number;
    return at === visit || (visits[at]?.entry === failure && visits[at]?.parent === visit);
  }

  /** What a visit did by a span of it, or by one that it called; null where it is no step. */
  #stepOf({ steps }: Visit, { operation, start }: TraceSpan): Step | null {
    return steps.find((step) => step.operation === operation && step.start === start) ?? null;
  }

  #judge(visit: Visit, index: number): IncompleteVisit | null {
    let judged = this.#judged.get(index);
    if (judged === undefined) {
      judged = this.#compare(visit, index, this.#usual.stepsOf(visit.service, visit.operation));
      this.#judged.set(index, judged);
    }
    return judged;
  }

  #compare(visit: Visit, index: number, usual: OperationSteps | null): IncompleteVisit | null {
    if (usual === null || usual.steps.length === 0) return null;
    const shown = new Set(visit.steps.map(stepText));
    const unanswered = new Set(visit.steps.flatMap(({ kind, callee }) => (kind === "peer" ? [callee] : [])));
    const lacking = usual.steps.filter(({ step }) => !shown.has(stepText(step)));
    if (lacking.length === 0) return null;
    const callers = this.#callers.get(index) ?? [];
    const hasUnknownCall = callers.some((span) => this.#isUnknown(span));
    const isSent = callers.some(
      (span) => span.kind === SpanKind.Producer && remoteChild(this.#trace, span) === undefined,
    );
    // of what was not sent it goes without saying that nobody worked on it
    const isUnsent = !isSent && lacking.some(({ step }) => step.kind === "peer");
    const missing = lacking.filter(({ step: { kind, callee } }) => {
      if (kind === "step") return true;
      if (kind === "message" && isUnsent) return false;
      return !unanswered.has(callee) && !this.#orphans.has(callee) && !(hasUnknownCall && kind === "call");
    });
    if (missing.length === 0) return null;
    return {
      visit,
      entry: this.#trace.spans[visit.entry] as TraceSpan,
      compared: usual.visits,
      missing: missing.toSorted((a, b) => b.visits - a.visits),
      isSent,
    };
  }

  /** A call that may have gone to anybody. */
  #isUnknown(span: TraceSpan): boolean {
    return (
      span.kind === SpanKind.Client &&
      span.children.length === 0 &&
      peerOf(this.#trace, span) === null &&
      remoteChild(this.#trace, span) === undefined
    );
  }
}
