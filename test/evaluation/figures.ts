import { VisitRollup } from "../../src/evaluation/visits.ts";
import {
  type CaseFigures,
  figuresOf,
  type SideFigures,
  type WindowFigures,
} from "../../src/evaluation/window-figures.ts";
import { tableOf } from "../notation.ts";
import { rawTracesOf, rollupOf } from "../scopes.ts";

type Others = Partial<Pick<SideFigures, "cpu" | "errorLogs">>;

/** What rankers see of the traces in a text of the notation. */
export function sideOf(text: string, others: Others = {}): WindowFigures {
  const rollup = rollupOf(text);
  const { graph, red, directory } = rollup.scope(null);
  const visits = new VisitRollup();
  for (const trace of rawTracesOf([tableOf(text)])) visits.add(trace);
  return figuresOf(visits.read(directory), {
    cpu: new Map(),
    errorLogs: new Map(),
    dependencies: graph.dependencies(red.servicesByStart),
    ...others,
  });
}

/** An incident against a baseline, "" = there is none. */
export function caseOf(incident: string, baseline: string): CaseFigures {
  return { incident: sideOf(incident), baseline: sideOf(baseline) };
}

/** `count` traces of one shape, a second apart; TRACE stands for the trace id of a root, and times are moved along. */
export function repeated(count: number, shape: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) =>
    shape(i)
      .replaceAll(/(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)ms/g, (_all, from: string, to: string) => {
        const at = i * 1000;
        return `${at + Number(from)}..${at + Number(to)}ms`;
      })
      .replace("TRACE", `trace=${i + 1}`),
  ).join("\n");
}
