import { errorWord } from "../model/scoring.ts";
import { contrast } from "./contrast.ts";
import type { SignalResult } from "./signals.ts";
import { symptomFindings } from "./symptom-findings.ts";
import { pairUnits, type UnitLabel, type Units } from "./units.ts";
import { type VisitSums, visitsWithFailedCalls } from "./visit-rollup.ts";
import type { StepName } from "./visits.ts";

export interface StructureOptions {
  /** whether failing is a symptom: not where failures are a finding of their own */
  readonly withStatus: boolean;
  /** services and peers that are blamed for failures */
  readonly blamed: { has(service: string): boolean };
}

/** What visits do differently: steps and calls that are new, missing or stop early. */
export function structureSignal(
  before: VisitSums,
  after: VisitSums,
  { withStatus, blamed }: StructureOptions,
): SignalResult {
  const services = new Set([...before.operations, ...after.operations].map(({ service }) => service));
  const options = { services, withStatus, blamed };
  const pair = pairUnits(visitUnits(before, options), visitUnits(after, options));
  return symptomFindings(pair, contrast(pair, { hasDrift: true }), { signal: "structure", isTree: true });
}

interface UnitOptions extends StructureOptions {
  /** that have spans */
  readonly services: ReadonlySet<string>;
}

/** One unit for each visit. */
function visitUnits(sums: VisitSums, { services, withStatus, blamed }: UnitOptions): Units {
  const { visits, steps, shapes, operations, traceIds } = sums;
  const labels = steps.map((step) => labelOf(step, services));
  const status = labels.length;
  labels.push({ ...statusLabel, kind: "status" });
  const plain = shapes.map(({ steps: shown, lastCall }) => ({ labels: shown, lastCall }));
  // a failing visit has the shape of its steps and one more label
  const failing = withStatus
    ? plain.map(({ labels: shown, lastCall }) => ({ labels: [...shown, status], lastCall }))
    : [];
  return {
    keys: operations,
    labels,
    shapes: [...plain, ...failing],
    key: visits.operation,
    trace: visits.trace,
    shape: withStatus ? shapesWithStatus(visits, plain.length) : visits.shape,
    parent: visits.parent,
    explained: visitsWithFailedCalls(sums, blamed),
    traces: traceIds.length,
  };
}

/** The second half of the shapes is that of failing visits. */
function shapesWithStatus({ shape, failed }: VisitSums["visits"], plain: number): Int32Array {
  const shown = new Int32Array(shape.length);
  for (let row = 0; row < shape.length; row += 1)
    shown[row] = (shape[row] as number) + (failed[row] === 1 ? plain : 0);
  return shown;
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
