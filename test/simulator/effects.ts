import type { Call, Entry, Instance, Operation, Peer, Service, Topic } from "./topology.ts";

/** Part of a service; what is left out is all of it. */
export interface Scope {
  readonly service: Service;
  readonly operation?: Operation;
  readonly instance?: Instance;
  readonly version?: string;
}

/** A change of one mechanism. Times are ms from the start of the window; Infinity = until its end. */
export type Effect = { readonly from: number; readonly to: number } & (
  | {
      /** own work takes longer; `ramp` = growing evenly from nothing at `from` to all of it at `to` */
      readonly kind: "work";
      readonly scope: Scope;
      readonly factor: number;
      readonly addMs: number;
      readonly ramp: boolean;
    }
  | {
      readonly kind: "error";
      readonly scope: Scope;
      readonly probability: number;
      readonly exception: string;
      readonly message: string;
    }
  /** answers 200 with an error in the body, leaves the rest of its work out and says so in its log only */
  | {
      readonly kind: "body_error";
      readonly scope: Scope;
      readonly probability: number;
      readonly message: string;
    }
  /** the call is no longer made */
  | { readonly kind: "skip"; readonly call: Call }
  /** processes are gone; who calls is refused, or waits in vain where `isSilent`; after `noticedMs` balancers avoid them */
  | { readonly kind: "down"; readonly scope: Scope; readonly isSilent: boolean; readonly noticedMs: number }
  /** all links of an instance, or those of one edge */
  | {
      readonly kind: "link";
      readonly instance: Instance | null;
      readonly caller: Service | null;
      readonly callee: Service | Peer | null;
      readonly delayMs: number;
      readonly loss: number;
    }
  /** names cannot be resolved by one service */
  | { readonly kind: "dns"; readonly service: Service; readonly probability: number }
  | {
      readonly kind: "peer";
      readonly peer: Peer;
      /** only queries that write; null = all */
      readonly writesOnly: boolean;
      readonly factor: number;
      readonly addMs: number;
    }
  | { readonly kind: "peer_down"; readonly peer: Peer; readonly isSilent: boolean }
  | {
      readonly kind: "peer_error";
      readonly peer: Peer;
      readonly probability: number;
      readonly message: string;
    }
  /** connections that are never given back */
  | {
      readonly kind: "pool_leak";
      readonly service: Service;
      readonly peer: Peer;
      readonly connections: number;
    }
  | { readonly kind: "stall"; readonly topic: Topic }
  | { readonly kind: "poison"; readonly topic: Topic; readonly probability: number }
  /** requests beyond the usual ones */
  | { readonly kind: "arrivals"; readonly entry: Entry; readonly factor: number }
  /** the process stands still for `pauseMs` every `everyMs` */
  | { readonly kind: "pauses"; readonly scope: Scope; readonly everyMs: number; readonly pauseMs: number }
  /** another process takes the CPU: work takes longer and the CPU is busy */
  | { readonly kind: "cpu"; readonly scope: Scope; readonly slowdown: number; readonly load: number }
  /** memory in use grows to nearly all of it */
  | { readonly kind: "memory"; readonly scope: Scope }
  /** instances run the service's next version */
  | { readonly kind: "deploy"; readonly instances: readonly Instance[] }
);

type EffectOf<Kind extends Effect["kind"]> = Extract<Effect, { kind: Kind }>;

/** How much a query is slowed down. */
export interface PeerSlowdown {
  readonly factor: number;
  readonly addMs: number;
}

/** The effects of a run, asked by mechanism. Without effects every answer is the healthy one. */
export class Effects {
  readonly all: readonly Effect[];
  readonly #byKind = new Map<Effect["kind"], Effect[]>();

  constructor(effects: readonly Effect[]) {
    this.all = effects;
    for (const effect of effects) {
      const same = this.#byKind.get(effect.kind);
      if (same === undefined) this.#byKind.set(effect.kind, [effect]);
      else same.push(effect);
    }
  }

  versionOf(instance: Instance, time: number): string {
    const { version, nextVersion } = instance.service;
    return this.#find("deploy", time, ({ instances }) => instances.includes(instance)) === null
      ? version
      : nextVersion;
  }

  /** How long own work of `ms` takes when it begins at `time`. */
  workMs(instance: Instance, operation: Operation, time: number, ms: number): number {
    let result = ms;
    for (const effect of this.#active("work", time))
      if (this.#covers(effect.scope, instance, operation, time)) {
        const share = effect.ramp ? (time - effect.from) / (effect.to - effect.from) : 1;
        result = result * (1 + (effect.factor - 1) * share) + effect.addMs * share;
      }
    for (const effect of this.#active("cpu", time))
      if (this.#covers(effect.scope, instance, operation, time)) result *= effect.slowdown;
    return result + this.#pausesDuring(instance, operation, time, result);
  }

  ownError(instance: Instance, operation: Operation, time: number): EffectOf<"error"> | null {
    return this.#find("error", time, ({ scope }) => this.#covers(scope, instance, operation, time));
  }

  bodyError(instance: Instance, operation: Operation, time: number): EffectOf<"body_error"> | null {
    return this.#find("body_error", time, ({ scope }) => this.#covers(scope, instance, operation, time));
  }

  skips(call: Call, time: number): boolean {
    return this.#find("skip", time, (effect) => effect.call === call) !== null;
  }

  down(instance: Instance, time: number): EffectOf<"down"> | null {
    return this.#find("down", time, ({ scope }) => this.#covers(scope, instance, null, time));
  }

  /** Whether load balancers know by now that the instance is gone. */
  isAvoided(instance: Instance, time: number): boolean {
    const down = this.down(instance, time);
    return down !== null && time - down.from >= down.noticedMs;
  }

  /** What is added to one way between an instance and whom it calls. */
  link(
    caller: Instance,
    callee: Instance | Peer,
    time: number,
  ): { readonly delayMs: number; readonly loss: number } {
    let [delayMs, kept] = [0, 1];
    for (const effect of this.#active("link", time)) {
      const isHit =
        effect.instance !== null
          ? effect.instance === caller || effect.instance === callee
          : effect.caller === caller.service &&
            effect.callee === ("service" in callee ? callee.service : callee);
      if (!isHit) continue;
      delayMs += effect.delayMs;
      kept *= 1 - effect.loss;
    }
    return { delayMs, loss: 1 - kept };
  }

  dns(service: Service, time: number): EffectOf<"dns"> | null {
    return this.#find("dns", time, (effect) => effect.service === service);
  }

  peerSlowdown(peer: Peer, call: Call, time: number): PeerSlowdown {
    let [factor, addMs] = [1, 0];
    for (const effect of this.#active("peer", time))
      if (effect.peer === peer && (!effect.writesOnly || call.verb !== "SELECT")) {
        factor *= effect.factor;
        addMs += effect.addMs;
      }
    return { factor, addMs };
  }

  peerDown(peer: Peer, time: number): EffectOf<"peer_down"> | null {
    return this.#find("peer_down", time, (effect) => effect.peer === peer);
  }

  peerError(peer: Peer, time: number): EffectOf<"peer_error"> | null {
    return this.#find("peer_error", time, (effect) => effect.peer === peer);
  }

  leakedConnections(service: Service, peer: Peer, time: number): number {
    return this.#active("pool_leak", time)
      .filter((effect) => effect.service === service && effect.peer === peer)
      .reduce((sum, { connections }) => sum + connections, 0);
  }

  isStalled(topic: Topic, time: number): boolean {
    return this.#find("stall", time, (effect) => effect.topic === topic) !== null;
  }

  poison(topic: Topic, time: number): EffectOf<"poison"> | null {
    return this.#find("poison", time, (effect) => effect.topic === topic);
  }

  /** The load that others put on the CPU of an instance, 0..1. */
  foreignLoad(instance: Instance, time: number): number {
    return this.#find("cpu", time, ({ scope }) => this.#covers(scope, instance, null, time))?.load ?? 0;
  }

  /** How far a leak has filled the memory, 0..1. */
  leakShare(instance: Instance, time: number): number {
    const leak = this.#find("memory", time, ({ scope }) => this.#covers(scope, instance, null, time));
    return leak === null ? 0 : (time - leak.from) / (leak.to - leak.from);
  }

  /** The share of time that the process stands still. */
  pauseShare(instance: Instance, time: number): number {
    const pauses = this.#find("pauses", time, ({ scope }) => this.#covers(scope, instance, null, time));
    return pauses === null ? 0 : pauses.pauseMs / pauses.everyMs;
  }

  #pausesDuring(instance: Instance, operation: Operation, time: number, ms: number): number {
    let added = 0;
    for (const { scope, from, everyMs, pauseMs } of this.#active("pauses", time)) {
      if (!this.#covers(scope, instance, operation, time)) continue;
      const into = (time - from) % everyMs;
      // the pause stands at the beginning of each period
      if (into < pauseMs) added += pauseMs - into;
      added += Math.floor((into + ms) / everyMs) * pauseMs;
    }
    return added;
  }

  /** `operation` null: asked of the whole process, so an effect on one operation does not count. */
  #covers(scope: Scope, instance: Instance, operation: Operation | null, time: number): boolean {
    return (
      scope.service === instance.service &&
      (scope.instance === undefined || scope.instance === instance) &&
      (scope.operation === undefined || scope.operation === operation) &&
      (scope.version === undefined || scope.version === this.versionOf(instance, time))
    );
  }

  #active<Kind extends Effect["kind"]>(kind: Kind, time: number): readonly EffectOf<Kind>[] {
    const effects = this.#byKind.get(kind) as readonly EffectOf<Kind>[] | undefined;
    if (effects === undefined) return [];
    return effects.filter(({ from, to }) => time >= from && time < to);
  }

  #find<Kind extends Effect["kind"]>(
    kind: Kind,
    time: number,
    isHit: (effect: EffectOf<Kind>) => boolean,
  ): EffectOf<Kind> | null {
    const effects = this.#byKind.get(kind) as readonly EffectOf<Kind>[] | undefined;
    if (effects === undefined) return null;
    for (const effect of effects) if (time >= effect.from && time < effect.to && isHit(effect)) return effect;
    return null;
  }
}
