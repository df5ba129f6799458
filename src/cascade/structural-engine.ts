import {
  assessHealth,
  type HealthIssue,
  type HealthLimits,
  type HealthState,
} from "../health/assess-health.ts";
import type { HealthCheck } from "../health/health.ts";
import { defaultHealthLimits, structuralRule } from "../model/scoring.ts";

/** What the structural engine looks at. The order of `dependencies`, keys and callees, decides the order of the answer. */
export interface StructuralInput {
  readonly traceId: string;
  /** where the failure shows; the engine looks down from here */
  readonly failedService: string;
  /** caller -> callees; a repeated callee counts once */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  /** where the callers of a service are looked up, if more is known than `dependencies` */
  readonly graph?: ReadonlyMap<string, readonly string[]>;
  /** a service without an entry is taken to be healthy */
  readonly health: ReadonlyMap<string, HealthCheck>;
  readonly limits?: HealthLimits;
}

/** What failed, how far it spread and what to do, free of language. */
export interface StructuralResult {
  readonly traceId: string;
  readonly failedService: string;
  /** every service that the failed one reaches, itself first, depth-first */
  readonly chain: readonly string[];
  /** of the services of the chain, in its order */
  readonly states: ReadonlyMap<string, HealthState>;
  /** the unhealthy services of the chain, in its order */
  readonly candidates: readonly StructuralCandidate[];
  /** highest impact first, then the general ones */
  readonly recommendations: readonly StructuralRecommendation[];
}

interface StructuralCandidate {
  readonly service: string;
  readonly issues: readonly HealthIssue[];
  readonly impactScore: number;
  /** the services of the whole graph that call it directly, in the order of the graph */
  readonly affectedServices: readonly string[];
}

export type StructuralRecommendation =
  | { readonly kind: "fix_errors" | "speed_up" | "scale_out" | "restart"; readonly service: string }
  | { readonly kind: "add_circuit_breakers" | "reduce_dependencies" };

/** Looks down from the failed service: all that it depends on, who of them is unhealthy, whom that hits. */
export function runStructuralEngine(input: StructuralInput): StructuralResult {
  const { traceId, failedService, dependencies, health, limits = defaultHealthLimits } = input;
  const chain = dependencyChain(failedService, dependencies);
  const states = new Map(chain.map((service) => [service, assessHealth(health.get(service), limits)]));
  const unhealthy = new Set(chain.filter((service) => !states.get(service)?.healthy));
  const callers = directCallers(unhealthy, input.graph ?? dependencies);
  const candidates: StructuralCandidate[] = [];
  for (const [position, service] of chain.entries())
    if (unhealthy.has(service))
      candidates.push({
        service,
        issues: states.get(service)?.issues ?? [],
        impactScore: impactScore(calleeCount(service, dependencies), chain.length, position),
        affectedServices: callers.get(service) ?? [],
      });
  return {
    traceId,
    failedService,
    chain,
    states,
    candidates,
    recommendations: recommendationsFor(candidates),
  };
}

/** How much hangs on a service: what it calls, and how near to the failed service it stands (outside the chain: its length). */
export function impactScore(dependenciesCount: number, chainLength: number, chainPosition: number): number {
  return (
    dependenciesCount * structuralRule.calleeWeight +
    (chainLength - chainPosition) * structuralRule.nearnessWeight
  );
}

/** The number of services that a service calls itself. */
export function calleeCount(service: string, dependencies: ReadonlyMap<string, readonly string[]>): number {
  return new Set(dependencies.get(service)).size;
}

/** Depth-first, pre-order, each service once. Iterative: a chain of 100,000 services is legal. */
function dependencyChain(
  failedService: string,
  dependencies: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const chain = new Set<string>();
  const open = [failedService];
  for (let service = open.pop(); service !== undefined; service = open.pop()) {
    if (chain.has(service)) continue;
    chain.add(service);
    const callees = dependencies.get(service) ?? [];
    for (let i = callees.length - 1; i >= 0; i -= 1) {
      const callee = callees[i] as string;
      if (!chain.has(callee)) open.push(callee);
    }
  }
  return [...chain];
}

function directCallers(
  services: ReadonlySet<string>,
  dependencies: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, readonly string[]> {
  const callers = new Map<string, string[]>([...services].map((service) => [service, []]));
  for (const [caller, callees] of dependencies)
    for (const callee of new Set(callees)) callers.get(callee)?.push(caller);
  return callers;
}

function recommendationsFor(candidates: readonly StructuralCandidate[]): readonly StructuralRecommendation[] {
  const worst = candidates
    .toSorted((a, b) => b.impactScore - a.impactScore)
    .slice(0, structuralRule.recommendedCount);
  const recommendations: StructuralRecommendation[] = [];
  for (const { service, issues } of worst)
    for (const issue of issues) {
      const kind = remedyOf(issue);
      if (kind !== null) recommendations.push({ kind, service });
    }
  if (candidates.length > structuralRule.containedBlastRadiusMax)
    recommendations.push({ kind: "add_circuit_breakers" }, { kind: "reduce_dependencies" });
  return recommendations;
}

/** A failed health check says nothing about a remedy. */
function remedyOf(issue: HealthIssue): "fix_errors" | "speed_up" | "scale_out" | "restart" | null {
  switch (issue.kind) {
    case "high_error_rate":
      return "fix_errors";
    case "slow_response":
      return "speed_up";
    case "high_cpu":
      return "scale_out";
    case "unreachable":
      return "restart";
    case "check_failed":
      return null;
  }
}
