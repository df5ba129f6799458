import type { QuantileSketch } from "../base/quantile-sketch.ts";
import type { GraphEdge } from "../graph/service-graph.ts";
import { NANOS_PER_MS, NANOS_PER_SECOND } from "../model/time.ts";
import type { GraphEdgeJson, GraphJson, GraphNodeJson } from "./report.ts";
import type { Scope } from "./scope.ts";

/** The service graph of a scope: nodes by name, edges by caller, callee and kind. */
export function graphJson(scope: Scope): GraphJson {
  return graphJsonOf(scope, graphPartsOf(scope));
}

/** What the service graph of a scope is made of. */
export function graphPartsOf({ red, graph }: Scope): GraphParts {
  return { services: [...red.services, ...graph.nodeKinds.keys()], edges: graph.edges };
}

interface GraphParts {
  readonly services: Iterable<string>;
  readonly edges: readonly GraphEdge[];
}

/** The same for some of the nodes and edges. */
export function graphJsonOf(scope: Scope, parts: GraphParts): GraphJson {
  const { services, edges } = inGraphOrder(parts);
  return { nodes: services.map((name) => nodeJson(scope, name)), edges: edges.map(edgeJson) };
}

/** Each node once, by name, and the edges in the order in which they are written. */
export function inGraphOrder({ services, edges }: GraphParts) {
  const keyed = edges.map((edge) => ({ edge, key: edgeKey(edge) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { services: [...new Set(services)].sort(), edges: keyed.map(({ edge }) => edge) };
}

export function edgeKey({ caller, callee, kind }: GraphEdge): string {
  return `${caller}\u0000${callee}\u0000${kind}`;
}

export function nodeJson({ red, graph }: Scope, service: string): GraphNodeJson {
  const known = red.service(service);
  if (known === undefined)
    return {
      service,
      kind: graph.nodeKinds.get(service) ?? "unknown",
      inferred: true,
      calls_in: 0,
      error_rate: 0,
      response_time_p50: null,
      response_time_p99: null,
    };
  return {
    service,
    kind: known.kind,
    inferred: known.isInferred,
    calls_in: known.cell.requests,
    error_rate: known.cell.errorRatio,
    response_time_p50: scaledQuantile(known.cell.latency, 0.5, NANOS_PER_SECOND),
    response_time_p99: scaledQuantile(known.cell.latency, 0.99, NANOS_PER_SECOND),
  };
}

export function edgeJson({ caller, callee, kind, calls, errors, client, server }: GraphEdge): GraphEdgeJson {
  const seen = client.latency.count > 0 ? client.latency : server.latency;
  const clientP99Ms = scaledQuantile(client.latency, 0.99, NANOS_PER_MS);
  const serverP99Ms = scaledQuantile(server.latency, 0.99, NANOS_PER_MS);
  return {
    caller,
    callee,
    kind,
    calls,
    errors,
    error_rate: calls > 0 ? errors / calls : 0,
    p50_ms: scaledQuantile(seen, 0.5, NANOS_PER_MS),
    p99_ms: scaledQuantile(seen, 0.99, NANOS_PER_MS),
    ...(clientP99Ms === null ? {} : { client_p99_ms: clientP99Ms }),
    ...(serverP99Ms === null ? {} : { server_p99_ms: serverP99Ms }),
  };
}

/** A quantile of nanoseconds in another unit, null where nothing has finished. */
export function scaledQuantile(latency: QuantileSketch, q: number, unitNanos: number): number | null {
  const nanos = latency.quantile(q);
  return nanos === null ? null : nanos / unitNanos;
}
