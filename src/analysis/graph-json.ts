import type { QuantileSketch } from "../base/quantile-sketch.ts";
import type { GraphEdge } from "../graph/service-graph.ts";
import { NANOS_PER_MS, NANOS_PER_SECOND } from "../model/time.ts";
import type { GraphEdgeJson, GraphJson, GraphNodeJson } from "./report.ts";
import type { Scope } from "./scope.ts";

/** The service graph of a scope: nodes by name, edges by caller, callee and kind. */
export function graphJson(scope: Scope): GraphJson {
  const names = [...scope.red.services, ...scope.graph.nodeKinds.keys()];
  return graphJsonOf(scope, { services: names, edges: scope.graph.edges });
}

/** The same for some of the nodes and edges. */
export function graphJsonOf(
  scope: Scope,
  part: { readonly services: Iterable<string>; readonly edges: readonly GraphEdge[] },
): GraphJson {
  return {
    nodes: [...new Set(part.services)].sort().map((name) => nodeJson(scope, name)),
    edges: [...part.edges].sort((a, b) => (edgeKey(a) < edgeKey(b) ? -1 : 1)).map(edgeJson),
  };
}

export function edgeKey({ caller, callee, kind }: GraphEdge): string {
  return `${caller}\u0000${callee}\u0000${kind}`;
}

function nodeJson({ red, graph }: Scope, service: string): GraphNodeJson {
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

function edgeJson({ caller, callee, kind, calls, errors, client, server }: GraphEdge): GraphEdgeJson {
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
