import { compareText } from "../base/compare-text.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { edgesMax, overflowName } from "../model/limits.ts";
import { Minutes } from "../model/minutes.ts";
import { exactWeight, RedCell } from "../model/red.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { isEarlier, type MinuteTime, type UnixNanos, unixNanosOf } from "../model/time.ts";
import type { Call, CallKind, NodeKind, TraceCalls } from "../trace/calls.ts";

/**
 * Who calls whom, minute by minute, from the calls that traces show: one edge for each caller, callee and kind, with what
 * the caller saw and what the callee saw apart. Keys are as `rawNaming` makes them; a window turns them into names. Adding
 * and taking back traces gives the same sums in any order.
 */
export class GraphRollup {
  readonly #minutes = new Minutes(() => new MinuteEdges());

  add({ calls }: Pick<TraceCalls, "calls">): void {
    for (const call of calls)
      this.#minutes.cellFor(call.startTime.minute)?.toAdd(call.caller, call.callee, call.kind).add(call);
  }

  /** Takes back what `add` added for the same calls: backwards, for what was added last is found first. */
  remove({ calls }: Pick<TraceCalls, "calls">): void {
    for (const call of calls.toReversed())
      this.#minutes.find(call.startTime.minute)?.find(call.caller, call.callee, call.kind)?.remove(call);
  }

  dropBefore(minute: number): void {
    this.#minutes.dropBefore(minute);
  }

  save(out: SnapshotWriter): void {
    this.#minutes.save(out, (minute) => minute.save(out));
  }

  load(from: SnapshotReader): void {
    this.#minutes.load(from, (minute) => minute.load(from));
  }

  /** Makes the minutes before one take as little room as 1 % of error in latencies allows; answers what all take, roughly. */
  compact(oldBefore: number): number {
    return this.#minutes.compact(oldBefore, (minute, isOld) => minute.compact(isOld));
  }

  /** The graph of the minutes from `from` to `to`, both included; null = no end on that side. */
  window(from: number | null, to: number | null, { directory, prefers }: GraphNames): ServiceGraph {
    const names = new Map<string, string>();
    const nameOf = (key: string): string => {
      const known = names.get(key);
      if (known !== undefined) return known;
      const name = directory.nameOfKey(key);
      names.set(key, name);
      return name;
    };
    const edges = new Map<string, EdgeParts>();
    for (const [, minute] of this.#minutes.within(from, to))
      for (const [callerKey, callees] of minute.callers)
        for (const [calleeKey, kinds] of callees)
          for (const [kind, sums] of kinds) {
            if (sums.calls === 0) continue;
            const caller = nameOf(callerKey);
            const callee = nameOf(calleeKey);
            // what looked like two nodes turned out to be one
            if (caller === callee) continue;
            const key = `${caller}\u0000${callee}\u0000${kind}`;
            const known = edges.get(key);
            if (known === undefined) edges.set(key, { caller, callee, kind, parts: [sums] });
            else known.parts.push(sums);
          }
    const kept = withinLimit(edges, { directory, prefers });
    return new ServiceGraph([...kept.values()].map((edge) => new GraphEdge(edge)));
  }
}

/** How the nodes of a window are called, and which of them are kept where there are too many. */
export interface GraphNames {
  readonly directory: ServiceDirectory;
  /** what other figures of the window tell apart */
  readonly prefers: (name: string) => boolean;
}

/** Edges between as many nodes as a window tells apart, the most called ones; the others are one node, `overflowName`. */
function withinLimit(
  edges: ReadonlyMap<string, EdgeParts>,
  { directory: { servicesMax }, prefers }: GraphNames,
): ReadonlyMap<string, EdgeParts> {
  const calls = new Map<string, number>();
  for (const { caller, callee, parts } of edges.values()) {
    const count = parts.reduce((sum, part) => sum + part.calls, 0);
    for (const name of [caller, callee]) calls.set(name, (calls.get(name) ?? 0) + count);
  }
  calls.delete(overflowName);
  if (calls.size <= servicesMax) return edges;
  const ranked = [...calls].sort(
    ([a, m], [b, n]) => Number(prefers(b)) - Number(prefers(a)) || n - m || (a < b ? -1 : 1),
  );
  const named = new Set(ranked.slice(0, servicesMax).map(([name]) => name));
  const nameOf = (name: string): string => (named.has(name) ? name : overflowName);
  const merged = new Map<string, EdgeParts>();
  for (const { kind, parts, ...ends } of edges.values()) {
    const [caller, callee] = [nameOf(ends.caller), nameOf(ends.callee)];
    const key = `${caller}\u0000${callee}\u0000${kind}`;
    const known = merged.get(key);
    if (known === undefined) merged.set(key, { caller, callee, kind, parts: [...parts] });
    else known.parts.push(...parts);
  }
  return merged;
}

/** The dependency graph of a window. Edges are in the order of their first call, then by names and kind. */
export class ServiceGraph {
  readonly edges: readonly GraphEdge[];
  /** names of all nodes that have an edge, sorted, with what they are as far as edges tell */
  readonly nodeKinds: ReadonlyMap<string, NodeKind>;
  #callers: Map<string, Set<string>> | null = null;

  constructor(edges: readonly GraphEdge[]) {
    this.edges = [...edges].sort(byFirstCall);
    const kinds = new Map<string, NodeKind>();
    for (const { caller, callee, callerKind, calleeKind } of this.edges) {
      kinds.set(caller, surerKind(kinds.get(caller), callerKind));
      kinds.set(callee, surerKind(kinds.get(callee), calleeKind));
    }
    this.nodeKinds = new Map([...kinds].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Direct callers, each once, in the order of their first call. */
  callersOf(service: string): ReadonlySet<string> {
    if (this.#callers === null) {
      this.#callers = new Map();
      for (const { caller, callee } of this.edges) {
        const known = this.#callers.get(callee);
        if (known === undefined) this.#callers.set(callee, new Set([caller]));
        else known.add(caller);
      }
    }
    return this.#callers.get(service) ?? new Set();
  }

  /** Caller -> callees, each once; callees in the order of their first call, callers in the order that `order` gives. */
  dependencies(callers: Iterable<string>): ReadonlyMap<string, readonly string[]> {
    const callees = new Map<string, Set<string>>();
    for (const caller of callers) callees.set(caller, new Set());
    for (const { caller, callee } of this.edges) {
      const known = callees.get(caller);
      if (known === undefined) callees.set(caller, new Set([callee]));
      else known.add(callee);
    }
    return new Map([...callees].map(([caller, names]) => [caller, [...names]]));
  }
}

interface EdgeParts {
  readonly caller: string;
  readonly callee: string;
  readonly kind: CallKind;
  readonly parts: EdgeMinute[];
}

/** One edge of a window; what is costly to add up is added up when asked for. */
export class GraphEdge {
  readonly caller: string;
  readonly callee: string;
  readonly kind: CallKind;
  readonly callerKind: NodeKind;
  readonly calleeKind: NodeKind;
  readonly calls: number;
  /** calls that failed for the caller, refused ones (a 404) left out */
  readonly errors: number;
  readonly firstStart: UnixNanos;
  readonly #parts: readonly EdgeMinute[];
  #client: RedCell | null = null;
  #server: RedCell | null = null;

  constructor({ caller, callee, kind, parts }: EdgeParts) {
    this.caller = caller;
    this.callee = callee;
    this.kind = kind;
    this.#parts = parts;
    this.calls = parts.reduce((sum, part) => sum + part.calls, 0);
    this.errors = parts.reduce((sum, part) => sum + part.errors, 0);
    this.callerKind = surestKind(parts, ({ callerKinds }) => callerKinds);
    this.calleeKind = surestKind(parts, ({ calleeKinds }) => calleeKinds);
    let first: MinuteTime | null = null;
    for (const { firstStart } of parts)
      if (firstStart !== null && (first === null || isEarlier(firstStart, first))) first = firstStart;
    this.firstStart = first === null ? (0n as UnixNanos) : unixNanosOf(first);
  }

  /** The calls as the caller saw them. */
  get client(): RedCell {
    this.#client ??= RedCell.sum(this.#parts.map((part) => part.client));
    return this.#client;
  }

  /** The calls as the callee saw them. */
  get server(): RedCell {
    this.#server ??= RedCell.sum(this.#parts.map((part) => part.server));
    return this.#server;
  }
}

function byFirstCall(a: GraphEdge, b: GraphEdge): number {
  if (a.firstStart !== b.firstStart) return a.firstStart < b.firstStart ? -1 : 1;
  return compareText(a.callee, b.callee) || compareText(a.caller, b.caller) || compareText(a.kind, b.kind);
}

/** The first of these that was seen is what most certainly stands at that end. */
const kindsBySurety: readonly NodeKind[] = ["service", "database", "messaging", "external", "unknown"];

function surerKind(a: NodeKind | undefined, b: NodeKind): NodeKind {
  return a !== undefined && kindsBySurety.indexOf(a) < kindsBySurety.indexOf(b) ? a : b;
}

function surestKind(
  parts: readonly EdgeMinute[],
  countsOf: (part: EdgeMinute) => readonly number[],
): NodeKind {
  for (let kind = 0; kind < kindsBySurety.length; kind += 1)
    for (const part of parts) if ((countsOf(part)[kind] ?? 0) > 0) return kindsBySurety[kind] as NodeKind;
  return "unknown";
}

/** The edges of one minute. Emptied ones stay, so that what was counted elsewhere for lack of room is found there again. */
class MinuteEdges {
  readonly callers = new Map<string, Map<string, Map<CallKind, EdgeMinute>>>();
  #edgeCount = 0;

  find(caller: string, callee: string, kind: CallKind): EdgeMinute | undefined {
    return (
      this.callers.get(caller)?.get(callee)?.get(kind) ??
      (this.#edgeCount < edgesMax ? undefined : this.callers.get(overflowName)?.get(overflowName)?.get(kind))
    );
  }

  toAdd(caller: string, callee: string, kind: CallKind): EdgeMinute {
    const known = this.find(caller, callee, kind);
    if (known !== undefined) return known;
    if (this.#edgeCount >= edgesMax && caller !== overflowName)
      return this.toAdd(overflowName, overflowName, kind);
    let callees = this.callers.get(caller);
    if (callees === undefined) {
      callees = new Map();
      this.callers.set(caller, callees);
    }
    let kinds = callees.get(callee);
    if (kinds === undefined) {
      kinds = new Map();
      callees.set(callee, kinds);
    }
    const edge = new EdgeMinute();
    kinds.set(kind, edge);
    this.#edgeCount += 1;
    return edge;
  }

  save(out: SnapshotWriter): void {
    out.number(this.#edgeCount);
    out.map(this.callers, (caller, callees) => {
      out.text(caller);
      out.map(callees, (callee, kinds) => {
        out.text(callee);
        out.map(kinds, (kind, edge) => {
          out.text(kind);
          edge.save(out);
        });
      });
    });
  }

  load(from: SnapshotReader): void {
    this.#edgeCount = from.number();
    from.map(this.callers, () => {
      const [caller, callees] = [from.text(), new Map<string, Map<CallKind, EdgeMinute>>()];
      from.map(callees, () => {
        const [callee, kinds] = [from.text(), new Map<CallKind, EdgeMinute>()];
        from.map(kinds, () => {
          const [kind, edge] = [from.text() as CallKind, new EdgeMinute()];
          edge.load(from);
          return [kind, edge];
        });
        return [callee, kinds];
      });
      return [caller, callees];
    });
  }

  /** The bytes that it takes, roughly. */
  compact(isOld: boolean): number {
    let bytes = 0;
    for (const callees of this.callers.values())
      for (const kinds of callees.values())
        for (const { client, server } of kinds.values()) {
          if (isOld) {
            client.seal();
            server.seal();
          }
          bytes += edgeBytes + client.byteLength + server.byteLength;
        }
    return bytes;
  }
}

/** An edge with its names in maps, its counts, and the objects that hold them. */
const edgeBytes = 600;

class EdgeMinute {
  calls = 0;
  errors = 0;
  readonly client = new RedCell();
  readonly server = new RedCell();
  readonly callerKinds = kindsBySurety.map(() => 0);
  readonly calleeKinds = kindsBySurety.map(() => 0);

  get firstStart(): MinuteTime | null {
    const [client, server] = [this.client.firstStart, this.server.firstStart];
    if (client === null || server === null) return client ?? server;
    return isEarlier(server, client) ? server : client;
  }

  add(call: Call): void {
    const { startTime, client, server } = call;
    const weight = exactWeight(call.weight);
    this.#count(call, weight);
    if (client !== null) this.client.add(startTime, client, weight);
    if (server !== null) this.server.add(startTime, server, weight);
  }

  remove(call: Call): void {
    const { startTime, client, server } = call;
    const weight = exactWeight(call.weight);
    if (this.calls < weight) return;
    this.#count(call, -weight);
    if (client !== null) this.client.remove(startTime, client, weight);
    if (server !== null) this.server.remove(startTime, server, weight);
  }

  save(out: SnapshotWriter): void {
    out.number(this.calls);
    out.number(this.errors);
    this.client.save(out);
    this.server.save(out);
    for (const kinds of [this.callerKinds, this.calleeKinds]) for (const weight of kinds) out.number(weight);
  }

  load(from: SnapshotReader): void {
    this.calls = from.number();
    this.errors = from.number();
    this.client.load(from);
    this.server.load(from);
    for (const kinds of [this.callerKinds, this.calleeKinds])
      for (const kind of kinds.keys()) kinds[kind] = from.number();
  }

  #count(call: Call, weight: number): void {
    this.calls += weight;
    if (countsAsError(call)) this.errors += weight;
    addTo(this.callerKinds, kindsBySurety.indexOf(call.callerKind), weight);
    addTo(this.calleeKinds, kindsBySurety.indexOf(call.calleeKind), weight);
  }
}

function addTo(counts: number[], at: number, weight: number): void {
  counts[at] = (counts[at] ?? 0) + weight;
}

/**
 * Whether a call failed: as its caller saw it, where the caller's side is known. A refusal that the callee does not count
 * as its own failure (a 404) is no error of the edge.
 */
function countsAsError({ client, server, isRefused }: Call): boolean {
  if (client === null) return server?.failed ?? false;
  return client.failed && isRefused !== true;
}
