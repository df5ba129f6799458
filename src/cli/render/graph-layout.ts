import type { GraphPicture, PictureEdge, PictureNode } from "./graph-picture.ts";

export interface PlacedNode {
  readonly node: PictureNode;
  /** 0 = leftmost */
  readonly layer: number;
  /** from the top of its layer */
  readonly place: number;
}

export interface GraphLayout {
  readonly nodes: ReadonlyMap<string, PlacedNode>;
  /** between placed nodes only */
  readonly edges: readonly PictureEdge[];
  readonly layerCount: number;
  /** nodes of the fullest layer */
  readonly placeCount: number;
}

/** How often the order within layers is improved. */
const sweepCount = 4;

/**
 * A layered drawing: callers left of callees, except where calls go in circles; within a layer, nodes stand near
 * those that they are connected with. The same picture gives the same layout.
 */
export function layoutGraph({ nodes, edges }: GraphPicture): GraphLayout {
  const known = new Set(nodes.map(({ name }) => name));
  const drawn = edges.filter(({ caller, callee }) => known.has(caller) && known.has(callee));
  const layers = layersOf(nodes, drawn);
  const rows: string[][] = [];
  for (const { name } of nodes) {
    const layer = layers.get(name) ?? 0;
    let row = rows[layer];
    if (row === undefined) {
      row = [];
      rows[layer] = row;
    }
    row.push(name);
  }
  const places = placesOf(rows, drawn);
  const placed = new Map<string, PlacedNode>();
  for (const node of nodes)
    placed.set(node.name, { node, layer: layers.get(node.name) ?? 0, place: places.get(node.name) ?? 0 });
  return {
    nodes: placed,
    edges: drawn,
    layerCount: rows.length,
    placeCount: rows.reduce((most, row) => Math.max(most, row.length), 0),
  };
}

/** The longest way from a node that nobody calls; calls that close a circle are left out. */
function layersOf(nodes: readonly PictureNode[], edges: readonly PictureEdge[]): ReadonlyMap<string, number> {
  const callees = new Map<string, string[]>(nodes.map(({ name }) => [name, []]));
  const isCalled = new Set<string>();
  for (const { caller, callee } of edges) {
    callees.get(caller)?.push(callee);
    if (caller !== callee) isCalled.add(callee);
  }
  const starts = [
    ...nodes.filter(({ name }) => !isCalled.has(name)),
    ...nodes.filter(({ name }) => isCalled.has(name)),
  ];
  const finished = new Set<string>();
  const order: string[] = [];
  const open = new Map<string, number>();
  const forward = new Map<string, string[]>(nodes.map(({ name }) => [name, []]));
  for (const { name: start } of starts) {
    const stack = finished.has(start) ? [] : [start];
    for (let at = stack.at(-1); at !== undefined; at = stack.at(-1)) {
      const next = open.get(at) ?? 0;
      const callee = callees.get(at)?.[next];
      open.set(at, next + 1);
      if (callee === undefined) {
        stack.pop();
        finished.add(at);
        order.push(at);
      } else if (finished.has(callee)) forward.get(at)?.push(callee);
      else if (!open.has(callee)) {
        forward.get(at)?.push(callee);
        stack.push(callee);
      }
    }
  }
  const layers = new Map<string, number>();
  for (const name of order.reverse()) {
    const layer = layers.get(name) ?? 0;
    layers.set(name, layer);
    for (const callee of forward.get(name) ?? [])
      layers.set(callee, Math.max(layers.get(callee) ?? 0, layer + 1));
  }
  return layers;
}

/** Orders each layer by the mean place of its callers, then of its callees, and again (the barycentre heuristic). */
function placesOf(rows: readonly string[][], edges: readonly PictureEdge[]): ReadonlyMap<string, number> {
  const callers = new Map<string, string[]>();
  const callees = new Map<string, string[]>();
  for (const row of rows)
    for (const name of row) {
      callers.set(name, []);
      callees.set(name, []);
    }
  for (const { caller, callee } of edges) {
    callers.get(callee)?.push(caller);
    callees.get(caller)?.push(callee);
  }
  const places = new Map<string, number>();
  for (const row of rows) for (const [place, name] of row.entries()) places.set(name, place);
  for (let sweep = 0; sweep < sweepCount; sweep += 1) {
    const isForward = sweep % 2 === 0;
    const neighbours = isForward ? callers : callees;
    for (const row of isForward ? rows : rows.toReversed()) {
      const means = new Map(row.map((name) => [name, meanPlace(name, neighbours, places)]));
      row.sort((a, b) => (means.get(a) ?? 0) - (means.get(b) ?? 0));
      for (const [place, name] of row.entries()) places.set(name, place);
    }
  }
  return places;
}

function meanPlace(
  name: string,
  neighbours: ReadonlyMap<string, readonly string[]>,
  places: ReadonlyMap<string, number>,
): number {
  const others = neighbours.get(name) ?? [];
  if (others.length === 0) return places.get(name) ?? 0;
  return others.reduce((sum, other) => sum + (places.get(other) ?? 0), 0) / others.length;
}
