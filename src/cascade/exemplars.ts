import { exemplarCountMax } from "../model/scoring.ts";
import type { Candidate, EvidenceFact, SlowerFact, SymptomFact } from "./candidate.ts";
import type { LogLines } from "./signals.ts";
import type { VisitSums } from "./visit-rollup.ts";

/** What traces of a window are known by. */
export interface ExemplarSource {
  readonly visits: VisitSums;
  readonly lines: LogLines;
}

/**
 * Traces of a window that show why a service is a candidate though no failure began at it: hex ids, of the strongest fact that
 * single requests can show. What became slower shows in the slowest of those requests, a changed step in requests that do it
 * (or no longer do), a log line in requests that wrote it; a metric in the slowest requests of the process.
 */
export function exemplarsOf(candidate: Candidate, source: ExemplarSource): readonly string[] {
  for (const fact of candidate.evidence) {
    const ids = exemplarsOfFact(fact, candidate, source);
    if (ids.length > 0) return ids;
  }
  return [];
}

function exemplarsOfFact(
  fact: EvidenceFact,
  { service }: Candidate,
  { visits, lines }: ExemplarSource,
): readonly string[] {
  if (fact.kind === "became_slower")
    return fact.role === "own" ? slowestVisits(visits, fact) : slowestCalls(visits, fact);
  if (fact.kind === "only_where") return fact.traceIds;
  if (fact.kind === "symptom") return fact.signal === "logs" ? writers(fact, lines) : doers(visits, fact);
  if (fact.kind === "more_troubles" || fact.kind === "stops_after")
    return slowestVisits(visits, { service: fact.service, operation: fact.operation });
  return fact.kind === "metric_rise" ? slowestVisits(visits, { service, instance: fact.instance }) : [];
}

/** Some rows of a window, as they are chosen. */
interface RowChoice {
  readonly count: number;
  readonly isIn: (row: number) => boolean;
  /** the largest come first, then the earliest traces */
  readonly sizeOf: (row: number) => number;
  readonly traceOf: (row: number) => number;
}

function firstTraces(
  { traceIds }: VisitSums,
  { count, isIn, sizeOf, traceOf }: RowChoice,
): readonly string[] {
  const best: number[] = [];
  const before = (a: number, b: number): number => sizeOf(b) - sizeOf(a) || traceOf(a) - traceOf(b);
  for (let row = 0; row < count; row += 1) {
    if (!isIn(row)) continue;
    if (best.length === exemplarCountMax && before(best.at(-1) as number, row) <= 0) continue;
    if (best.some((other) => traceOf(other) === traceOf(row) && before(other, row) <= 0)) continue;
    const others = best.filter((other) => traceOf(other) !== traceOf(row));
    best.splice(0, best.length, ...[...others, row].sort(before).slice(0, exemplarCountMax));
  }
  return best.map((row) => traceIds[traceOf(row)] ?? "");
}

interface VisitChoice {
  readonly service: string;
  readonly operation?: string;
  /** "" = any */
  readonly instance?: string;
}

function slowestVisits(
  sums: VisitSums,
  { service, operation, instance = "" }: VisitChoice,
): readonly string[] {
  const { visits, operations, instances } = sums;
  const isWanted = operations.map(
    (each) => each.service === service && (operation === undefined || each.operation === operation),
  );
  return firstTraces(sums, {
    count: visits.operation.length,
    isIn: (row) =>
      isWanted[visits.operation[row] as number] === true &&
      !Number.isNaN(visits.ownNanos[row]) &&
      (instance === "" || instances[visits.instance[row] as number] === instance),
    sizeOf: (row) => visits.ownNanos[row] as number,
    traceOf: (row) => visits.trace[row] as number,
  });
}

function slowestCalls(sums: VisitSums, fact: SlowerFact): readonly string[] {
  const { visits, calls, callNames } = sums;
  const isWanted = callNames.map(
    ({ caller, callee, operation }) =>
      caller === fact.caller && callee === fact.callee && operation === fact.operation,
  );
  return firstTraces(sums, {
    count: calls.name.length,
    isIn: (row) => isWanted[calls.name[row] as number] === true && !Number.isNaN(calls.nanos[row]),
    sizeOf: (row) => calls.nanos[row] as number,
    traceOf: (row) => visits.trace[calls.callerVisit[row] as number] as number,
  });
}

/** Visits that show a step that is more frequent now, or that lack one that is less frequent; of a status, those that failed. */
function doers(
  sums: VisitSums,
  { service, operation, name, callee, g, label }: SymptomFact,
): readonly string[] {
  const { visits, operations, steps, shapes } = sums;
  const isStep = steps.map((step) => step.operation === name && step.callee === callee);
  const shows = shapes.map((shape) => shape.steps.some((step) => isStep[step] === true));
  const isShown = (row: number): boolean =>
    label === "status" ? visits.failed[row] === 1 : shows[visits.shape[row] as number] === true;
  const isWanted = operations.map((each) => each.service === service && each.operation === operation);
  return firstTraces(sums, {
    count: visits.operation.length,
    isIn: (row) => isWanted[visits.operation[row] as number] === true && isShown(row) === g > 0,
    sizeOf: () => 0,
    traceOf: (row) => visits.trace[row] as number,
  });
}

function writers({ service, name, g }: SymptomFact, { byTrace }: LogLines): readonly string[] {
  if (g <= 0) return [];
  const ids = [...byTrace].flatMap(([traceId, lines]) =>
    lines.some((line) => line.text === name && line.service === service) ? [traceId] : [],
  );
  return ids.sort().slice(0, exemplarCountMax);
}
