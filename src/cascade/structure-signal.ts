import { PairInterner } from "../base/pair-interner.ts";
import { errorWord } from "../model/scoring.ts";
import { contrast } from "./contrast.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { SignalResult } from "./signals.ts";
import { symptomFindings } from "./symptom-findings.ts";
import { pairUnits, type UnitLabel, type Units } from "./units.ts";
import { type StepName, type VisitSums, visitsWithFailedCalls } from "./visit-rollup.ts";

export interface StructureOptions {
  /** whether failing is a symptom: not where failures are a finding of their own */
  readonly withStatus: boolean;
  /** services and peers that are blamed for failures */
  readonly blamed: { has(service: string): boolean };
  /** calls that nobody answered */
  readonly open: { readonly before: OpenCalls; readonly after: OpenCalls };
}

/** What visits do differently: steps and calls that are new, missing or stop early. */
export function structureSignal(
  before: VisitSums,
  after: VisitSums,
  { withStatus, blamed, open }: StructureOptions,
): SignalResult {
  const services = new Set([...before.operations, ...after.operations].map(({ service }) => service));
  const options = { services, withStatus, blamed };
  const pair = pairUnits(
    visitUnits(before, { ...options, open: open.before }),
    visitUnits(after, { ...options, open: open.after }),
  );
  return symptomFindings(pair, contrast(pair, { hasDrift: true }), { signal: "structure", isTree: true });
}

interface UnitOptions extends Omit<StructureOptions, "open"> {
  readonly open: OpenCalls;
  /** that have spans */
  readonly services: ReadonlySet<string>;
}

/** One unit for each visit. */
function visitUnits(sums: VisitSums, { services, withStatus, blamed, open }: UnitOptions): Units {
  const { visits, steps, operations, traceIds } = sums;
  const labels = steps.map((step) => labelOf(step, services));
  const status = labels.length;
  labels.push({ ...statusLabel, kind: "status" });
  const firstOpen = labels.length;
  for (const { callee, span } of open.calls)
    labels.push(labelOf({ kind: "peer", callee, operation: span }, services));
  const shown = withOpenCalls(sums, open, firstOpen);
  const plain = shown.shapes;
  // a failing visit has the shape of its steps and one more label
  const failing = plain.map((shape) => ({ ...shape, labels: [...shape.labels, status] }));
  return {
    keys: operations,
    labels,
    shapes: [...plain, ...failing],
    key: visits.operation,
    trace: visits.trace,
    shape: withStatus ? shapesWithStatus(shown.ofVisit, visits.failed, plain.length) : shown.ofVisit,
    parent: visits.parent,
    explained: visitsWithFailedCalls(sums, blamed),
    traces: traceIds.length,
  };
}

/** The shapes of all visits, with calls that nobody answered in place of the spans that made them. */
function withOpenCalls(
  { visits, steps, shapes }: VisitSums,
  { calls, ofVisit }: OpenCalls,
  firstOpen: number,
): { readonly shapes: Units["shapes"]; readonly ofVisit: Int32Array } {
  const opened = new PairInterner();
  const shown = visits.shape.map((shape, row) => {
    const call = ofVisit[row] as number;
    return call < 0 ? shape : shapes.length + opened.idOf(shape, call);
  });
  const plain = shapes.map((shape) => ({ labels: shape.steps, lastCall: shape.lastCall }));
  const replaced = opened.pairs().map(([shape, call]) => {
    const { labels, lastCall } = plain[shape] as (typeof plain)[number];
    const { span, isLast, isAlsoStep } = calls[call] as (typeof calls)[number];
    const isIt = (label: number): boolean =>
      !isAlsoStep && steps[label]?.kind === "step" && steps[label].operation === span;
    return {
      labels: [...labels.filter((label) => !isIt(label)), firstOpen + call],
      lastCall: isLast ? firstOpen + call : lastCall,
    };
  });
  return { shapes: [...plain, ...replaced], ofVisit: shown };
}

/** The second half of the shapes is that of failing visits. */
function shapesWithStatus(shape: Int32Array, failed: Uint8Array, plain: number): Int32Array {
  return shape.map((each, row) => each + (failed[row] === 1 ? plain : 0));
}

const statusLabel = {
  text: "!status error",
  name: "",
  isError: true,
  group: "!status error",
  callee: "",
} as const;

function labelOf({ kind, callee, operation }: StepName, services: ReadonlySet<string>): UnitLabel {
  if (kind === "step") {
    const isError = errorWord.test(operation);
    return { text: operation, name: operation, isError, group: operation, callee: "", kind };
  }
  const isUnanswered = kind === "peer" && services.has(callee);
  const mark = isUnanswered ? "?" : kind === "message" ? "~" : ">";
  const text = `${mark}${callee}|${operation}`;
  const meaning = isUnanswered ? "unanswered" : kind === "message" ? "message" : "call";
  return { text, name: operation, isError: false, group: text, callee, kind: meaning };
}
