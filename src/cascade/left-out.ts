import { mapEntry } from "../base/map-entry.ts";
import { sumOf } from "../base/sum.ts";
import { requestsByTrace } from "./thinned-alike.ts";
import type { VisitSums } from "./visit-rollup.ts";
import { type StepName, stepText } from "./visits.ts";
import { Occurrences, OncePerTrace, StepSums, stepKey } from "./way-sums.ts";

/** Requests that did not reach one service as they used to; each counts once a trace. */
export interface LeftOutSums {
  readonly traces: number;
  /** that they stand for */
  readonly requests: number;
  /** by `stepKey`: `breaker`, and `queue_lag` for messages */
  readonly steps: ReadonlyMap<string, StepSums>;
  /** callers that failed without their call */
  readonly hit: ReadonlyMap<string, Occurrences>;
}

/**
 * Calls of one service that its callers left out: they failed at once, though no call had failed (a breaker was open), or their
 * messages were not worked on. Both windows are asked about the calls of the healthy time.
 */
export function leftOutOf(
  cause: string,
  sides: { readonly before: VisitSums; readonly after: VisitSums },
): { readonly before: LeftOutSums; readonly after: LeftOutSums } {
  const usual = usualSteps(cause, sides.before);
  return { before: leftOutIn(sides.before, cause, usual), after: leftOutIn(sides.after, cause, usual) };
}

/** By operation of a caller, the steps that reach the cause. */
type UsualSteps = ReadonlyMap<string, ReadonlyMap<string, StepName>>;

function usualSteps(cause: string, { visits, operations, shapes, steps }: VisitSums): UsualSteps {
  const usual = new Map<string, Map<string, StepName>>();
  const ofShape = shapes.map((shape) => shape.steps.filter((place) => steps[place]?.callee === cause));
  const seen = new Set<number>();
  for (let row = 0; row < visits.operation.length; row += 1) {
    const [place, shape] = [visits.operation[row] as number, visits.shape[row] as number];
    const reaching = ofShape[shape] as readonly number[];
    if (reaching.length === 0 || seen.has(place * shapes.length + shape)) continue;
    seen.add(place * shapes.length + shape);
    const known = mapEntry(usual, nameOf(operations[place]), () => new Map<string, StepName>());
    for (const at of reaching) known.set(stepText(steps[at] as StepName), steps[at] as StepName);
  }
  return usual;
}

function leftOutIn(sums: VisitSums, cause: string, usual: UsualSteps): LeftOutSums {
  const { visits, operations, shapes, steps, traceMinutes } = sums;
  const usualOf = operations.map((operation) => usual.get(nameOf(operation)));
  // of a visit only the steps that reach the cause are asked for
  const texts = steps.map((step) => (step.callee === cause ? stepText(step) : null));
  const taken = shapes.map((shape) => textsAmong(texts, shape.steps));
  const hasFailedCall = callersOfFailed(sums);
  const standFor = requestsByTrace(sums);
  const found = new OncePerTrace<StepSums>();
  const hit = new OncePerTrace<Occurrences>();
  const traces = new Set<number>();
  for (let row = 0; row < visits.operation.length; row += 1) {
    const expected = usualOf[visits.operation[row] as number];
    if (expected === undefined) continue;
    for (const [text, { kind, callee }] of expected) {
      const isMessage = kind === "message";
      const isRefused = visits.answerFailed[row] === 1 && hasFailedCall[row] === 0;
      const isLeftOut = isMessage ? visits.answerFailed[row] === 0 : isRefused;
      if (!isLeftOut || taken[visits.shape[row] as number]?.includes(text) === true) continue;
      const { service: caller } = operations[visits.operation[row] as number] as (typeof operations)[number];
      if (caller === callee) continue;
      const trace = visits.trace[row] as number;
      const [minute, requests] = [traceMinutes[trace] as number, standFor[trace] as number];
      const at = { trace, minute, requests };
      const mechanism = isMessage ? "queue_lag" : "breaker";
      traces.add(trace);
      found.add(stepKey({ caller, callee }, mechanism), {
        ...at,
        make: () => new StepSums({ caller, callee }, mechanism),
      });
      if (!isMessage) hit.add(caller, { ...at, make: () => new Occurrences() });
    }
  }
  const requests = sumOf(Array.from(traces, (trace) => standFor[trace] as number));
  return { traces: traces.size, requests, steps: found.counts, hit: hit.counts };
}

const noTexts: readonly string[] = [];

function textsAmong(texts: readonly (string | null)[], places: readonly number[]): readonly string[] {
  let found = noTexts;
  for (const place of places) {
    const text = texts[place] ?? null;
    if (text !== null) found = [...found, text];
  }
  return found;
}

function callersOfFailed({ visits, calls }: VisitSums): Uint8Array {
  const callers = new Uint8Array(visits.operation.length);
  for (let row = 0; row < calls.name.length; row += 1)
    if (calls.failed[row] === 1) callers[calls.callerVisit[row] as number] = 1;
  return callers;
}

function nameOf(operation: VisitSums["operations"][number] | undefined): string {
  return operation === undefined ? "" : `${operation.service}\u0000${operation.operation}`;
}
