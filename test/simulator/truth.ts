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
/** What happened in fewer requests than this, or than this share of those that were touched, nobody can tell from chance. */
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
    affected: affectedServices(differences, {
      touched: touched.length,
      causes: causes.filter(isService(off)),
    }),
    edges: propagationEdges(differences, on, { touched: touched.length, causes }),
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

/** Whether a name is that of a service, rather than of a database or an API that sends no spans. */
function isService({ spans }: Recording): (name: string) => boolean {
  const names = new Set(spans.map(({ instance }) => instance.service.name));
  return (name) => names.has(name);
}

interface Extent {
  /** requests that the fault changed in any way */
  readonly touched: number;
  readonly causes: readonly string[];
}

function requestsMin({ touched }: Extent): number {
  return Math.max(edgeRequestsMin, touched * edgeShareMin);
}

/**
 * Where the fault is, and whoever failed or became slower because of it. Whoever only gets fewer requests, because callers gave
 * up before, is spared rather than hit.
 */
function affectedServices(differences: readonly RequestDifference[], extent: Extent): AffectedService[] {
  const services = new Map<string, Omit<AffectedService, "service"> & { requests: Set<string> }>();
  const begin = firstChangeMs(differences);
  for (const service of extent.causes)
    if (begin !== null)
      services.set(service, { firstMs: begin, failed: 0, slow: 0, missing: 0, requests: new Set() });
  for (const { request, spans } of differences)
    for (const { span, change, time } of spans) {
      if (span.role === "client" || span.role === "producer" || (change === "extra" && span.failure === null))
        continue;
      const name = span.instance.service.name;
      const known = services.get(name);
      const seen = known ?? { firstMs: time, failed: 0, slow: 0, missing: 0, requests: new Set() };
      const isMissing = change === "missing";
      const hasFailed = change === "failed" || change === "extra";
      if (!isMissing) seen.requests.add(request.label);
      services.set(name, {
        firstMs: Math.min(seen.firstMs, time),
        failed: seen.failed + Number(hasFailed),
        slow: seen.slow + Number(!hasFailed && !isMissing),
        missing: seen.missing + Number(isMissing),
        requests: seen.requests,
      });
    }
  return Array.from(services, ([service, counts]) => ({ service, ...counts }))
    .filter(
      ({ service, requests }) => extent.causes.includes(service) || requests.size >= requestsMin(extent),
    )
    .map(({ service, firstMs, failed, slow, missing }) => ({ service, firstMs, failed, slow, missing }))
    .sort((a, b) => a.firstMs - b.firstMs || (a.service < b.service ? -1 : 1));
}

/** Of requests that were answered wrongly, all that is known is when they began; null = nothing changed. */
function firstChangeMs(differences: readonly RequestDifference[]): number | null {
  let first: number | null = null;
  for (const { request, spans, hasFailed, isWrong } of differences) {
    const times = spans.map(({ time }) => time);
    if (times.length === 0 && (hasFailed || isWrong) && request.root !== null) times.push(request.root.start);
    for (const time of times) first = Math.min(first ?? time, time);
  }
  return first;
}

function propagationEdges(
  differences: readonly RequestDifference[],
  on: Recording,
  extent: Extent,
): PropagationEdge[] {
  const spans = spansByRequest(on);
  const edges = new Map<string, { edge: Omit<PropagationEdge, "requests">; requests: Set<string> }>();
  for (const difference of differences) {
    const { label } = difference.request;
    for (const { caller, callee, mechanism, time } of edgeDifferences(
      difference,
      spans.get(label) ?? new Map(),
    )) {
      // what the faulty service leaves out is the fault, and no way that it took
      if (mechanism === "missing_call" && extent.causes.includes(caller)) continue;
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
  return Array.from(edges.values(), ({ edge, requests }) => ({ ...edge, requests: requests.size }))
    .filter(({ requests }) => requests >= requestsMin(extent))
    .sort((a, b) => b.requests - a.requests || (a.caller + a.callee < b.caller + b.callee ? -1 : 1));
}
