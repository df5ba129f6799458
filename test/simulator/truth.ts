import {
  edgeDifferences,
  hasRequestFailed,
  type Propagation,
  type RequestDifference,
  requestDifferences,
  spansByRequest,
} from "./difference.ts";
import { hasEnded, type Recording, type SimSpan } from "./recording.ts";
import { groupBy, Moments, shareZ, welchZ } from "./statistics.ts";
import { nameOfTarget } from "./topology.ts";

/** How a fault shows where users enter: in failures or times, only behind the entries, or (next to) nowhere. */
type Visibility = "visible" | "masked" | "silent";

/** I = the cause is the loudest node, II = no node is loud, III = another one is louder than the cause. */
type Loudness = "I" | "II" | "III";

/** What the fault did, exactly: the same requests with it and without it. Times are ms from the start of the window. */
export interface Impact {
  readonly visibility: Visibility;
  readonly loudness: Loudness;
  readonly loudest: string | null;
  readonly requests: number;
  /** of users, failed with the fault and not without */
  readonly failedRequests: number;
  /** nothing failed, but the answer was wrong or work was left out */
  readonly wrongRequests: number;
  /** anything at all changed in them */
  readonly touchedRequests: number;
  /** of all users' requests, failed or slower with the fault */
  readonly trafficShare: number;
  readonly addedMsMean: number;
  readonly entries: readonly EntryImpact[];
  readonly affected: readonly AffectedService[];
  readonly edges: readonly PropagationEdge[];
}

interface EntryImpact {
  readonly service: string;
  readonly operation: string;
  readonly requests: number;
  readonly failed: number;
  readonly addedMsMean: number;
}

interface AffectedService {
  readonly service: string;
  readonly firstMs: number;
  readonly failed: number;
  readonly slow: number;
  readonly missing: number;
}

/** From caller to callee, as calls go; failures travel the other way. */
interface PropagationEdge {
  readonly caller: string;
  readonly callee: string;
  readonly mechanism: Propagation;
  readonly requests: number;
  readonly firstMs: number;
}

const visibleZ = 4;
const visibleFailuresMin = 5;
const maskedRequestsMin = 5;
const loudZ = 4;
/** What happened in fewer requests than this, or than this share of those that were touched, is no path of the fault. */
const edgeRequestsMin = 2;
const edgeShareMin = 0.02;

/** What a fault did, from a run with it (`on`) and one of the same seed without it (`off`). `causes` are the names of its nodes. */
export function impactOf(off: Recording, on: Recording, causes: readonly string[]): Impact {
  const differences = requestDifferences(off, on);
  const users = differences.filter(({ request }) => request.kind === "user");
  const touched = differences.filter((one) => one.spans.length > 0 || one.hasFailed || one.isWrong);
  const entries = entryImpacts(users);
  const hit = users.filter((one) => one.hasFailed || isSlower(one));
  const loudest = loudestNode(off, on);
  const isVisible = isVisibleToUsers(off, on);
  return {
    visibility: isVisible ? "visible" : touched.length >= maskedRequestsMin ? "masked" : "silent",
    loudness: loudest === null ? "II" : causes.includes(loudest) ? "I" : "III",
    loudest,
    requests: users.length,
    failedRequests: users.filter(({ hasFailed }) => hasFailed).length,
    wrongRequests: users.filter(({ isWrong }) => isWrong).length,
    touchedRequests: touched.length,
    trafficShare: users.length === 0 ? 0 : hit.length / users.length,
    addedMsMean: meanAdded(users),
    entries,
    affected: affectedServices(differences),
    edges: propagationEdges(differences, on, touched.length),
  };
}

function isSlower({ addedMs, request }: RequestDifference): boolean {
  const { root } = request;
  if (addedMs === null || root === null) return false;
  const before = root.end - root.start - addedMs;
  return addedMs > Math.max(2, before * 0.15);
}

function meanAdded(differences: readonly RequestDifference[]): number {
  const added = differences.map(({ addedMs }) => addedMs).filter((ms) => ms !== null);
  return added.length === 0 ? 0 : added.reduce((a, b) => a + b, 0) / added.length;
}

function entryImpacts(users: readonly RequestDifference[]): EntryImpact[] {
  const byEntry = groupBy(users, ({ entry }) => entry);
  return Array.from(byEntry, ([{ service, name }, requests]) => ({
    service: service.name,
    operation: name,
    requests: requests.length,
    failed: requests.filter(({ hasFailed }) => hasFailed).length,
    addedMsMean: meanAdded(requests),
  })).sort(
    (a, b) => b.failed - a.failed || b.addedMsMean - a.addedMsMean || (a.operation < b.operation ? -1 : 1),
  );
}

/** As somebody sees it who cannot run the same requests again: by tests of failures and of times at the entries. */
function isVisibleToUsers(off: Recording, on: Recording): boolean {
  const statistics = (recording: Recording) => {
    const users = recording.requests.filter(({ kind }) => kind === "user");
    return groupBy(users, ({ operation }) => operation);
  };
  const before = statistics(off);
  let [failedBefore, allBefore, failedAfter, allAfter] = [0, 0, 0, 0];
  for (const [operation, requests] of statistics(on)) {
    const twins = before.get(operation) ?? [];
    const [failed, failedTwins] = [requests.filter(hasRequestFailed), twins.filter(hasRequestFailed)];
    const excess = failed.length - (failedTwins.length * requests.length) / Math.max(1, twins.length);
    if (
      excess >= visibleFailuresMin &&
      shareZ(failedTwins.length, twins.length, failed.length, requests.length) > visibleZ
    )
      return true;
    const [was, is] = [twins, requests].map((list) => logDurations(list.map(({ root }) => root)));
    if (was !== undefined && is !== undefined && welchZ(was, is) > visibleZ) return true;
    failedBefore += failedTwins.length;
    failedAfter += failed.length;
    allBefore += twins.length;
    allAfter += requests.length;
  }
  return (
    failedAfter - failedBefore >= visibleFailuresMin &&
    shareZ(failedBefore, allBefore, failedAfter, allAfter) > visibleZ
  );
}

function logDurations(spans: readonly (SimSpan | null)[]): Moments {
  const moments = new Moments();
  for (const span of spans)
    if (span !== null && hasEnded(span)) moments.add(Math.log(Math.max(0.01, span.end - span.start)));
  return moments;
}

interface NodeView {
  calls: number;
  failed: number;
  readonly durations: Moments;
}

/** The node that differs most by its own spans, or, of what has none, by those of its callers; null = none differs much. */
function loudestNode(off: Recording, on: Recording): string | null {
  const [before, after] = [nodeViews(off), nodeViews(on)];
  let [loudest, most]: [string | null, number] = [null, loudZ];
  for (const node of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [was, is] = [before.get(node), after.get(node)];
    const z = was === undefined || is === undefined ? 0 : loudnessOf(was, is);
    if (z > most) [loudest, most] = [node, z];
  }
  return loudest;
}

function loudnessOf(was: NodeView, is: NodeView): number {
  const z = [
    shareZ(was.failed, was.calls, is.failed, is.calls),
    (was.calls - is.calls) / Math.sqrt(was.calls + is.calls),
    welchZ(was.durations, is.durations),
  ];
  return Math.max(...z.filter((value) => Number.isFinite(value)), 0);
}

function nodeViews({ spans }: Recording): Map<string, NodeView> {
  const views = new Map<string, NodeView>();
  for (const span of spans) {
    if (!hasEnded(span) || span.request.isExtra) continue;
    const peer = span.role === "client" && span.call?.to.kind !== "operation" ? span.call : null;
    if (span.role === "producer" || (span.role === "client" && peer === null)) continue;
    const node = peer === null ? span.instance.service.name : nameOfTarget(peer.to);
    const view = views.get(node) ?? { calls: 0, failed: 0, durations: new Moments() };
    views.set(node, view);
    view.calls += 1;
    if (span.failure !== null) view.failed += 1;
    view.durations.add(Math.log(Math.max(0.01, span.end - span.start)));
  }
  return views;
}

function affectedServices(differences: readonly RequestDifference[]): AffectedService[] {
  const services = new Map<string, { firstMs: number; failed: number; slow: number; missing: number }>();
  for (const { span, change, time } of differences.flatMap(({ spans }) => spans)) {
    if (span.role === "client" || span.role === "producer" || (change === "extra" && span.failure === null))
      continue;
    const name = span.instance.service.name;
    const seen = services.get(name) ?? { firstMs: time, failed: 0, slow: 0, missing: 0 };
    services.set(name, seen);
    seen.firstMs = Math.min(seen.firstMs, time);
    if (change === "failed" || change === "extra") seen.failed += 1;
    else if (change === "missing") seen.missing += 1;
    else seen.slow += 1;
  }
  return Array.from(services, ([service, counts]) => ({ service, ...counts })).sort(
    (a, b) => a.firstMs - b.firstMs || (a.service < b.service ? -1 : 1),
  );
}

function propagationEdges(
  differences: readonly RequestDifference[],
  on: Recording,
  touched: number,
): PropagationEdge[] {
  const spans = spansByRequest(on);
  const edges = new Map<string, { edge: Omit<PropagationEdge, "requests">; requests: Set<string> }>();
  for (const difference of differences) {
    const { label } = difference.request;
    for (const { caller, callee, mechanism, time } of edgeDifferences(
      difference,
      spans.get(label) ?? new Map(),
    )) {
      const key = [caller, callee, mechanism].join("\n");
      const seen = edges.get(key);
      if (seen === undefined)
        edges.set(key, { edge: { caller, callee, mechanism, firstMs: time }, requests: new Set([label]) });
      else {
        seen.requests.add(label);
        if (time < seen.edge.firstMs) seen.edge = { ...seen.edge, firstMs: time };
      }
    }
  }
  const least = Math.max(edgeRequestsMin, touched * edgeShareMin);
  return Array.from(edges.values(), ({ edge, requests }) => ({ ...edge, requests: requests.size }))
    .filter(({ requests }) => requests >= least)
    .sort((a, b) => b.requests - a.requests || (a.caller + a.callee < b.caller + b.callee ? -1 : 1));
}
