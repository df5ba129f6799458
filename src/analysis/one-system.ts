import { mapEntry } from "../base/map-entry.ts";
import type { BlameSums } from "../cascade/blame.ts";
import type { LogLines } from "../cascade/signals.ts";
import { withTraces } from "../cascade/thinned-alike.ts";
import type { VisitSums } from "../cascade/visit-rollup.ts";
import type { WindowSums } from "./analyze-window.ts";

/**
 * Two windows as far as they are about the services that have to do with some, by calls in either window: what happens in
 * systems beside theirs is no cause of theirs, and must not hide it either. Graph and RED figures stay those of all. Windows of
 * one system alone are answered as they are.
 */
export function ofOneSystem(
  window: WindowSums,
  baseline: WindowSums,
  services: Iterable<string>,
): { readonly window: WindowSums; readonly baseline: WindowSums } {
  const sides = [window, baseline];
  const system = connectedWith(services, sides);
  const isWhole = sides.every(({ scope: { red, graph } }) =>
    [...red.services, ...graph.nodeKinds.keys()].every((name) => system.has(name)),
  );
  return isWhole
    ? { window, baseline }
    : { window: restricted(window, system), baseline: restricted(baseline, system) };
}

function connectedWith(services: Iterable<string>, sides: readonly WindowSums[]): ReadonlySet<string> {
  const neighbours = new Map<string, string[]>();
  for (const { caller, callee } of sides.flatMap(({ scope }) => scope.graph.edges)) {
    mapEntry(neighbours, caller, () => []).push(callee);
    mapEntry(neighbours, callee, () => []).push(caller);
  }
  const found = new Set(services);
  // a set is walked to its end, what is added meanwhile included
  for (const service of found) for (const near of neighbours.get(service) ?? []) found.add(near);
  return found;
}

function restricted(sums: WindowSums, system: ReadonlySet<string>): WindowSums {
  const { blame, visits, logLines, metrics } = sums;
  return {
    ...sums,
    blame: blameOf(blame, system),
    visits: visits === null ? null : visitsOf(visits, system),
    logLines: linesOf(logLines, system),
    metrics: { ...metrics, courses: metrics.courses.filter(({ service }) => system.has(service)) },
  };
}

function blameOf(blame: BlameSums, system: ReadonlySet<string>): BlameSums {
  return {
    ...blame,
    entries: new Map([...blame.entries].filter(([, { service }]) => system.has(service))),
    failures: new Map([...blame.failures].filter(([service]) => system.has(service))),
  };
}

function visitsOf(sums: VisitSums, system: ReadonlySet<string>): VisitSums {
  const isKept = sums.traceIds.map(() => false);
  const isOf = sums.operations.map(({ service }) => system.has(service));
  for (const [row, operation] of sums.visits.operation.entries())
    if (isOf[operation] === true) isKept[sums.visits.trace[row] as number] = true;
  return withTraces(sums, isKept);
}

function linesOf({ byTrace }: LogLines, system: ReadonlySet<string>): LogLines {
  const kept = new Map([...byTrace].filter(([, lines]) => lines.some(({ service }) => system.has(service))));
  return { byTrace: kept, lines: [...kept.values()].reduce((sum, lines) => sum + lines.length, 0) };
}
