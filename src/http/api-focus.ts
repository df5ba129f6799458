import type { GraphJson } from "../analysis/report.ts";

/** The part of a graph within `depth` calls of a service, up and down; null where the service is not in it. */
export function focusGraph(graph: GraphJson, focus: string, depth: number): GraphJson | null {
  if (!graph.nodes.some(({ service }) => service === focus)) return null;
  const neighbours = new Map<string, string[]>();
  const connect = (a: string, b: string): void => {
    const known = neighbours.get(a);
    if (known === undefined) neighbours.set(a, [b]);
    else known.push(b);
  };
  for (const { caller, callee } of graph.edges) {
    connect(caller, callee);
    connect(callee, caller);
  }
  const near = new Set([focus]);
  let frontier: readonly string[] = [focus];
  for (let step = 0; step < depth && frontier.length > 0; step += 1) {
    const next = new Set(frontier.flatMap((service) => neighbours.get(service) ?? []));
    frontier = [...next].filter((service) => !near.has(service));
    for (const service of frontier) near.add(service);
  }
  return {
    nodes: graph.nodes.filter(({ service }) => near.has(service)),
    edges: graph.edges.filter(({ caller, callee }) => near.has(caller) && near.has(callee)),
  };
}

/** The edges with the most calls, in the order that they had, and their nodes; the whole graph where that is all. */
export function busiestEdges(graph: GraphJson, limit: number): GraphJson {
  if (graph.edges.length <= limit) return graph;
  const busiest = new Set([...graph.edges].sort((a, b) => b.calls - a.calls).slice(0, limit));
  const edges = graph.edges.filter((edge) => busiest.has(edge));
  const ends = new Set(edges.flatMap(({ caller, callee }) => [caller, callee]));
  return { nodes: graph.nodes.filter(({ service }) => ends.has(service)), edges };
}
