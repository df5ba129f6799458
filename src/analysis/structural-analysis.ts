import {
  calleeCount,
  impactScore,
  runStructuralEngine,
  type StructuralResult,
} from "../cascade/structural-engine.ts";
import { GraphRollup, type ServiceGraph } from "../graph/service-graph.ts";
import type { HealthCheck } from "../health/health.ts";
import { RedRollup, type RedWindow } from "../metrics/red-metrics.ts";
import { callsInParts } from "../trace/extract-calls.ts";
import type { Trace } from "../trace/trace.ts";
import type { Scope } from "./scope.ts";
import { healthCheckOf } from "./service-health.ts";

/** What the calls of a trace show by themselves, apart from the rest of the scope. */
export interface OwnGraph {
  readonly red: RedWindow;
  readonly graph: ServiceGraph;
}

export function ownGraphOf(trace: Trace, { directory }: Scope): OwnGraph {
  const red = new RedRollup(directory.servicesMax);
  const graph = new GraphRollup();
  for (const calls of callsInParts(trace)) {
    red.add(calls);
    graph.add(calls);
  }
  const window = red.window(null, null, directory);
  const names = { directory, prefers: (name: string) => window.has(name) };
  return { red: window, graph: graph.window(null, null, names) };
}

export interface StructuralQuestion {
  /** 32 hex digits, or "" */
  readonly traceId: string;
  readonly failedService: string;
  /** where the chain of dependencies is read from */
  readonly own: OwnGraph;
  /** where health and direct callers are read from */
  readonly scope: Scope;
}

export interface StructuralAnalysis {
  readonly result: StructuralResult;
  /** caller -> callees, as the chain was read from */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
}

/** Runs the structural engine on telemetry: the chain as `own` shows it, health and callers as the whole scope does. */
export function structuralAnalysis({
  traceId,
  failedService,
  own,
  scope,
}: StructuralQuestion): StructuralAnalysis {
  const dependencies = own.graph.dependencies(own.red.servicesByStart);
  const graph = scope.graph.dependencies(scope.red.servicesByStart);
  const names = new Set([failedService, ...own.red.services, ...own.graph.nodeKinds.keys()]);
  const health = new Map<string, HealthCheck>();
  for (const service of names) {
    const check = healthCheckOf(scope, service);
    if (check !== undefined) health.set(service, check);
  }
  const result = runStructuralEngine({ traceId, failedService, dependencies, graph, health });
  return { result, dependencies };
}

/** The structural impact of any service: one outside the chain has only its own dependencies. */
export function impactOf(service: string, { result, dependencies }: StructuralAnalysis): number {
  const { chain } = result;
  const position = chain.indexOf(service);
  return impactScore(
    calleeCount(service, dependencies),
    chain.length,
    position < 0 ? chain.length : position,
  );
}
