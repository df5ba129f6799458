import { breakerWord, joinedLinesMin } from "../model/scoring.ts";
import { contrast } from "./contrast.ts";
import type { LogLine, LogLines, SignalResult } from "./signals.ts";
import type { StructureOptions } from "./structure-signal.ts";
import { symptomFindings } from "./symptom-findings.ts";
import { pairUnits, type UnitLabel, type UnitPair, type Units } from "./units.ts";
import { type VisitSums, visitsWithFailedCalls } from "./visit-rollup.ts";

/** One window: its visits, and the lines that were written in it. */
export interface LogSide {
  readonly visits: VisitSums;
  readonly lines: LogLines;
}

/**
 * Which log lines are new or missing at an operation. A line belongs to the visit of its span; a visit of a trace with
 * lines that wrote none counts too, so that a success that is no longer written shows as well as an error that is. Where
 * most lines of a window find no visit (they are of other traces than the spans), services are compared by whole traces.
 */
export function logSignal(
  before: LogSide,
  after: LogSide,
  { blamed }: Pick<StructureOptions, "blamed">,
): SignalResult {
  const mask = serviceMask(before, after);
  const isJoined = [before, after].every((side) => joinedShare(side) >= joinedLinesMin);
  const unitsOf = (side: LogSide): Units =>
    isJoined ? visitUnits(side, mask, blamed) : traceUnits(side, mask);
  const pair: UnitPair = pairUnits(unitsOf(before), unitsOf(after));
  const found = contrast(pair, { hasDrift: isJoined });
  return symptomFindings(pair, found, { signal: "logs", isTree: isJoined });
}

function joinedShare({ visits, lines }: LogSide): number {
  let joined = 0;
  for (const [traceId, ofTrace] of lines.byTrace)
    for (const { spanId } of ofTrace) if (visits.visitOfSpan(traceId, spanId) !== undefined) joined += 1;
  return lines.lines === 0 ? 0 : joined / lines.lines;
}

/** Makes texts that differ in the names of services alike: a trouble with one of them is a trouble with any. */
function serviceMask(before: LogSide, after: LogSide): (text: string) => string {
  const names = new Set<string>();
  for (const { visits } of [before, after]) {
    for (const { service } of visits.operations) names.add(service);
    for (const { callee } of visits.callNames) names.add(callee);
  }
  // templates have written digits as #
  for (const name of Array.from(names)) names.add(name.replace(/\d+/g, "#"));
  names.delete("");
  const longestFirst = [...names].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  return (text) => longestFirst.reduce((masked, name) => masked.replaceAll(name, "<svc>"), text);
}

/** Numbers labels and shapes while units are made. */
class UnitBook {
  readonly labels: UnitLabel[] = [];
  readonly shapes: { labels: readonly number[]; lastCall: number }[] = [];
  readonly #labelOf = new Map<string, number>();
  readonly #shapeOf = new Map<string, number>();
  readonly #mask: (text: string) => string;

  constructor(mask: (text: string) => string) {
    this.#mask = mask;
  }

  /** The number of what some lines show; of lines with one text the last says whether it is an error. */
  shapeOf(lines: readonly LogLine[]): number {
    const byText = new Map(lines.map((line) => [line.text, line]));
    const labels = [...byText.values()].map((line) => this.#label(line)).sort((a, b) => a - b);
    const key = labels.join(",");
    const known = this.#shapeOf.get(key);
    if (known !== undefined) return known;
    this.shapes.push({ labels, lastCall: -1 });
    this.#shapeOf.set(key, this.shapes.length - 1);
    return this.shapes.length - 1;
  }

  #label({ text, isError }: LogLine): number {
    const key = `${isError ? "!" : ""}${text}`;
    const known = this.#labelOf.get(key);
    if (known !== undefined) return known;
    const group = this.#mask(text);
    this.labels.push({
      text: key,
      name: text,
      isError,
      isHearsay: breakerWord.test(text),
      group,
      callee: "",
      kind: "line",
    });
    this.#labelOf.set(key, this.labels.length - 1);
    return this.labels.length - 1;
  }
}

/** One unit for each visit of a trace that has lines. */
function visitUnits(
  { visits: sums, lines }: LogSide,
  mask: (text: string) => string,
  blamed: StructureOptions["blamed"],
): Units {
  const { visits, operations, traceIds, visitOfSpan } = sums;
  const linesOf = new Map<number, LogLine[]>();
  for (const [traceId, ofTrace] of lines.byTrace)
    for (const line of ofTrace) {
      const row = visitOfSpan(traceId, line.spanId);
      if (row === undefined) continue;
      const known = linesOf.get(row);
      if (known === undefined) linesOf.set(row, [line]);
      else known.push(line);
    }
  const book = new UnitBook(mask);
  const kept = [...visits.trace.keys()].filter((row) =>
    lines.byTrace.has(traceIds[visits.trace[row] as number] ?? ""),
  );
  const explained = visitsWithFailedCalls(sums, blamed);
  const places = new Map(kept.map((row, place) => [row, place]));
  return {
    keys: operations,
    labels: book.labels,
    shapes: book.shapes,
    key: Int32Array.from(kept, (row) => visits.operation[row] as number),
    trace: Int32Array.from(kept, (row) => visits.trace[row] as number),
    shape: Int32Array.from(kept, (row) => book.shapeOf(linesOf.get(row) ?? [])),
    parent: Int32Array.from(kept, (row) => places.get(visits.parent[row] as number) ?? -1),
    explained: Uint8Array.from(kept, (row) => explained[row] as number),
    traces: traceIds.length,
  };
}

/** One unit for each service of each trace. */
function traceUnits({ lines }: LogSide, mask: (text: string) => string): Units {
  const book = new UnitBook(mask);
  const services: string[] = [];
  const rows: { key: number; trace: number; shape: number }[] = [];
  for (const [trace, traceId] of [...lines.byTrace.keys()].sort().entries()) {
    const byService = new Map<string, LogLine[]>();
    for (const line of lines.byTrace.get(traceId) ?? [])
      byService.set(line.service, [...(byService.get(line.service) ?? []), line]);
    for (const [service, own] of byService) {
      if (!services.includes(service)) services.push(service);
      rows.push({ key: services.indexOf(service), trace, shape: book.shapeOf(own) });
    }
  }
  return {
    keys: services.map((service) => ({ service, operation: "*" })),
    labels: book.labels,
    shapes: book.shapes,
    key: Int32Array.from(rows, ({ key }) => key),
    trace: Int32Array.from(rows, ({ trace }) => trace),
    shape: Int32Array.from(rows, ({ shape }) => shape),
    parent: new Int32Array(rows.length).fill(-1),
    explained: new Uint8Array(rows.length),
    traces: lines.byTrace.size,
  };
}
