import { type Rates, ratesOf } from "./capacity.ts";
import type { Effect, Scope } from "./effects.ts";
import type { Sequence } from "./random.ts";
import {
  allCalls,
  type Call,
  nameOfPeer,
  type Operation,
  type Peer,
  type Service,
  type Topology,
} from "./topology.ts";

/** What a report should say is wrong, in its own words (`kind` of a candidate). */
export type CandidateKind =
  | "error"
  | "latency"
  | "network"
  | "unreachable"
  | "missing_call"
  | "saturation"
  | "overload"
  | "dependency";

/** One thing that a person would go and fix. */
export interface Cause {
  readonly name: string;
  /** other names of it that are right answers too */
  readonly accept: readonly string[];
  readonly kind: CandidateKind;
  readonly operation?: string;
  readonly instance?: number;
  readonly version?: string;
  readonly edge?: { readonly caller: string; readonly callee: string };
  /** of an overload: where the traffic comes from */
  readonly entry?: Operation;
  readonly effects: readonly Effect[];
}

export interface Scenario {
  /** none = a healthy window */
  readonly causes: readonly Cause[];
  /** what happens at the same time without harm */
  readonly harmless: readonly Effect[];
  /** the traffic of the incident against that of the baseline, by entry */
  readonly entryFactors?: readonly number[];
}

/** Where and when a fault may strike, in one topology. */
export class FaultContext {
  readonly topology: Topology;
  readonly random: Sequence;
  readonly durationMs: number;
  /** when the fault begins, ms into the window */
  readonly onset: number;
  readonly rates: Rates;
  readonly #calls: readonly Call[];

  constructor(topology: Topology, random: Sequence, durationMs: number) {
    this.topology = topology;
    this.random = random;
    this.durationMs = durationMs;
    this.onset = durationMs * random.between(0.04, 0.15);
    this.rates = ratesOf(topology);
    this.#calls = allCalls(topology);
  }

  /** From the onset until after the end. */
  get during(): { readonly from: number; readonly to: number } {
    return { from: this.onset, to: Number.POSITIVE_INFINITY };
  }

  /** How many calls of requests a service gets in the window. */
  callsOf(service: Service): number {
    return service.operations
      .filter(({ trigger }) => trigger === "request")
      .reduce((sum, operation) => sum + this.#expected(this.rates.ofOperation.get(operation)), 0);
  }

  /** A service behind the entries that gets so many calls. */
  service(fits: (service: Service) => boolean = () => true, callsMin = 60, callsMax = Infinity): Service {
    return this.#pick(
      this.topology.services.filter((service) => {
        const calls = this.callsOf(service);
        return service.layer > 0 && calls >= callsMin && calls <= callsMax && fits(service);
      }),
      "service",
    );
  }

  /** The busiest operation of a service that requests reach. */
  busiest(service: Service): Operation {
    const requests = service.operations.filter(({ trigger }) => trigger === "request");
    const rate = (operation: Operation): number => this.rates.ofOperation.get(operation) ?? 0;
    return requests.reduce((best, next) => (rate(next) > rate(best) ? next : best));
  }

  peer(kind: Peer["kind"], callsMin = 60): Peer {
    const peers = this.topology.peers.filter((peer) => peer.kind === kind);
    const busy = peers.filter((peer) => this.#expected(this.rates.ofPeer[peer.index]) >= callsMin);
    return this.#pick(busy.length > 0 ? busy : peers, kind);
  }

  /** Calls that are made so often in the window. */
  calls(fits: (call: Call) => boolean, callsMin = 60): Call[] {
    return this.#calls.filter(
      (call) => this.#expected(this.rates.ofCall.get(call)) >= callsMin && fits(call),
    );
  }

  call(fits: (call: Call) => boolean, callsMin = 60): Call {
    return this.#pick(this.calls(fits, callsMin), "call");
  }

  /** Calls of whatever frequency. */
  callsTo(target: Service | Peer): Call[] {
    return this.#calls.filter(
      ({ to }) => to === target || (to.kind === "operation" && to.service === target),
    );
  }

  #expected(rate: number | undefined): number {
    return ((rate ?? 0) * this.durationMs) / 1000;
  }

  #pick<Item>(items: readonly Item[], what: string): Item {
    if (items.length === 0) throw new NoTargetError(`this topology has no ${what} for the fault`);
    return this.random.pick(items);
  }
}

/** A topology has nothing that the fault could strike; another one may. */
export class NoTargetError extends Error {
  override readonly name = "NoTargetError";
}

/** How a fault shows where users enter: what a draw is repeated for. */
type Wanted = "visible" | "masked" | "noticed";

/** One way in which things break, as a change of mechanisms. */
export interface FaultKind {
  /** the mechanism, in a sentence */
  readonly mechanism: string;
  /** `noticed` = visible or masked */
  readonly wanted: Wanted;
  readonly build: (context: FaultContext) => Scenario;
}

/** Changes how callers deal with some calls, before and during the fault alike. */
export function setPolicy(
  calls: readonly Call[],
  policy: Partial<
    Pick<
      Call,
      "timeoutMs" | "attempts" | "backoffMs" | "hasFallback" | "hasBreaker" | "poolSize" | "missRatio"
    >
  >,
): void {
  for (const call of calls) Object.assign(call, policy);
}

/** A fault with one cause and nothing beside it. */
export function one(cause: Cause): Scenario {
  return { causes: [cause], harmless: [] };
}

/** A cause in a service, or in a part of it. */
export function inService(scope: Scope, kind: CandidateKind, effects: readonly Effect[]): Cause {
  const { service, operation, instance, version } = scope;
  return {
    name: service.name,
    accept: [],
    kind,
    ...(operation !== undefined && { operation: operation.name }),
    ...(instance !== undefined && { instance: instance.ordinal }),
    ...(version !== undefined && { version }),
    effects,
  };
}

/** A cause in a peer, which people call by namespace, by address, or by both. */
export function inPeer(peer: Peer, kind: CandidateKind, effects: readonly Effect[]): Cause {
  const name = nameOfPeer(peer);
  const names = [peer.address, `${peer.address}:${peer.port}`];
  if (peer.kind !== "external") names.push(`${peer.system}@${peer.address}`, `${name}@${peer.address}`);
  return { name, accept: names.filter((other) => other !== name), kind, effects };
}

/** A cause in one connection: both ends are right answers. */
export function onEdge(caller: Service, callee: string, effects: readonly Effect[]): Cause {
  const edge = { caller: caller.name, callee };
  return { name: caller.name, accept: [callee], kind: "network", edge, effects };
}
