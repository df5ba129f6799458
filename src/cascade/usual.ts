import type { GraphEdge, ServiceGraph } from "../graph/service-graph.ts";
import type { RedWindow } from "../metrics/red-metrics.ts";
import type { RedCell } from "../model/red.ts";
import {
  adviceRule,
  almostAlways,
  baselineRequestsMin,
  usualFactorMax,
  usualRequestsMin,
} from "../model/scoring.ts";
import { edgeKey } from "./candidate.ts";
import type { OperationSteps, StepWindow } from "./step-window.ts";
import { type StepName, stepText } from "./visits.ts";

/** Requests and calls that one trace is compared with. */
export interface Population {
  readonly red: RedWindow;
  readonly graph: ServiceGraph;
  /** what requests do as a rule */
  readonly steps: StepWindow;
}

/** How long something takes as a rule. */
export interface UsualTime {
  readonly nanos: number;
  /** false = only the fastest quarter takes no longer: what most requests take may be part of the trouble */
  readonly isTypical: boolean;
}

/**
 * What is usual; null where too few requests tell. A baseline tells by its medians. Without one there is only the population
 * that the trace itself comes from, and where half of that is slow its median says nothing. So where the median lies far
 * above the lower quartile, the lower quartile stands for a healthy request: up to three of four may be slow. A population
 * that is slow throughout cannot be told from one that always takes so long.
 */
export class Usual {
  /** the figures are those of a healthy time, not of the trace's own surroundings */
  readonly isBaseline: boolean;
  readonly #population: Population;
  /** a large trace asks for the same few again and again */
  readonly #durations = new Map<RedCell, UsualTime | null>();
  /** the synchronous edges by `edgeKey`; null = nobody has asked yet */
  #edges: ReadonlyMap<string, GraphEdge> | null = null;
  readonly #gaps = new Map<string, UsualTime | null>();

  constructor(scope: Population, baseline: Population | null) {
    this.isBaseline = baseline !== null;
    this.#population = baseline ?? scope;
  }

  /** A request to an operation of a service, or a call to one of a peer. */
  durationOf(service: string, operation: string): UsualTime | null {
    const cell = this.#cellOf(service, operation);
    if (cell === undefined) return null;
    let usual = this.#durations.get(cell);
    if (usual === undefined) {
      usual = this.#usualOf(cell);
      this.#durations.set(cell, usual);
    }
    return usual;
  }

  durationNanos(service: string, operation: string): number | null {
    return this.durationOf(service, operation)?.nanos ?? null;
  }

  /** What nearly all requests of a healthy time stay below (`highQuantile`); null where no healthy time is known. */
  highNanos(service: string, operation: string): number | null {
    const cell = this.isBaseline ? this.#cellOf(service, operation) : undefined;
    return cell === undefined || cell.latency.count < baselineRequestsMin
      ? null
      : cell.latency.quantile(adviceRule.highQuantile);
  }

  /** Requests that tell. */
  requests(service: string, operation: string): number {
    return this.#cellOf(service, operation)?.latency.count ?? 0;
  }

  /** How much of a call passes outside its callee. */
  gapOf(caller: string, callee: string): UsualTime | null {
    const key = edgeKey({ caller, callee });
    let gap = this.#gaps.get(key);
    if (gap === undefined) {
      this.#edges ??= syncEdges(this.#population.graph);
      const edge = this.#edges.get(key);
      gap = edge === undefined ? null : this.#gapOfEdge(edge);
      this.#gaps.set(key, gap);
    }
    return gap;
  }

  /** What nearly all healthy requests to an operation do; null where too few of them are known. */
  stepsOf(service: string, operation: string): OperationSteps | null {
    const all = this.#population.steps.of(service, operation);
    if (all === null || all.visits < usualRequestsMin) return null;
    return {
      visits: all.visits,
      steps: all.steps.filter(({ visits }) => visits >= almostAlways * all.visits),
    };
  }

  /** What any healthy request to an operation does, however few are known. */
  anyStepsOf(service: string, operation: string): OperationSteps | null {
    return this.#population.steps.of(service, operation);
  }

  /** How many of the healthy requests to an operation show a step; null where too few of them are known. */
  stepShare(
    { service, operation }: { readonly service: string; readonly operation: string },
    step: StepName,
  ): { readonly shown: number; readonly compared: number } | null {
    const all = this.anyStepsOf(service, operation);
    if (all === null || all.visits < usualRequestsMin) return null;
    const text = stepText(step);
    const shown = all.steps.find((each) => stepText(each.step) === text)?.visits ?? 0;
    return { shown, compared: all.visits };
  }

  /** The part of an operation's requests that fails in a healthy time; null where none is known. */
  errorRatio(service: string, operation: string): number | null {
    const cell = this.isBaseline ? this.#cellOf(service, operation) : undefined;
    return cell === undefined || cell.requests < usualRequestsMin ? null : cell.errorRatio;
  }

  #cellOf(service: string, operation: string): RedCell | undefined {
    return this.#population.red.service(service)?.operations.get(operation);
  }

  #usualOf({ latency }: RedCell): UsualTime | null {
    if (latency.count < (this.isBaseline ? baselineRequestsMin : usualRequestsMin)) return null;
    const median = latency.quantile(0.5) ?? 0;
    if (this.isBaseline) return { nanos: median, isTypical: true };
    const quartile = latency.quantile(0.25) ?? 0;
    const isTypical = median <= quartile * usualFactorMax;
    return { nanos: isTypical ? median : quartile, isTypical };
  }

  #gapOfEdge({ client, server }: GraphEdge): UsualTime | null {
    const [outside, inside] = [this.#usualOf(client), this.#usualOf(server)];
    if (outside === null || inside === null) return null;
    const isTypical = outside.isTypical && inside.isTypical;
    return { nanos: Math.max(0, outside.nanos - inside.nanos), isTypical };
  }
}

/** What calls of one edge take outside their callee at the median, in nanoseconds; null where too few tell. */
export function medianGapOf({ client, server }: GraphEdge): number | null {
  if (client.latency.count < usualRequestsMin || server.latency.count < usualRequestsMin) return null;
  return Math.max(0, (client.latency.quantile(0.5) ?? 0) - (server.latency.quantile(0.5) ?? 0));
}

function syncEdges({ edges }: ServiceGraph): ReadonlyMap<string, GraphEdge> {
  const found = new Map<string, GraphEdge>();
  for (const edge of edges) if (edge.kind === "sync") found.set(edgeKey(edge), edge);
  return found;
}
