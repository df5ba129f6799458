import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { servicesMax as defaultServicesMax } from "./limits.ts";
import type { ServiceIdentity } from "./service-identity.ts";

/** The far end of a call, as the call itself describes it. */
export interface PeerIdentity {
  /** the name of the node: the peer's own name, `db.namespace`, `system@host`, `system:destination`, or the bare host */
  readonly name: string;
  /** of a peer that gave its own name */
  readonly namespace: string;
  /** where the call went; "" = unknown, or of no use to tell peers apart (brokers of one cluster) */
  readonly host: string;
  readonly port: string;
  /** what the name is: of a service; of something that only its server tells apart; or just an address that a service may run at */
  readonly form: "service" | "server" | "address";
}

/** How nodes are called while traces are read: by what users see, or by keys that stay true whatever else is seen later. */
export interface NodeNaming {
  /** grows when names that were given out may have changed */
  readonly version: number;
  nameOf(identity: ServiceIdentity): string;
  nameOfPeer(peer: PeerIdentity): string;
  /** the one node for all that a caller (a name of this naming) calls without saying what it is */
  nameOfUnknownPeer(caller: string): string;
}

/** Names that are remembered for the next question; more than any window shows. */
const keyNamesMax = 20_000;

const separator = "\u0001";
const unknownMark = "\u0002";

/**
 * Keys for sums that outlive a change of names: services by their full identity, peers by all that tells them apart. A
 * `ServiceDirectory` turns them into names when the sums are read.
 */
export const rawNaming: NodeNaming = {
  version: 0,
  nameOf: keyOf,
  nameOfPeer: ({ name, namespace, host, port, form }) => {
    if (form === "service") return serviceKey(name, namespace, "");
    return host === "" ? name : separator + [form, name, host, port].join(separator);
  },
  nameOfUnknownPeer: (caller) => unknownMark + caller,
};

type NamedService = Pick<ServiceIdentity, "name" | "namespace" | "environment">;

interface SeenService {
  readonly namespaces: Set<string>;
  readonly environments: Set<string>;
}

function keyOf({ name, namespace, environment }: NamedService): string {
  return serviceKey(name, namespace, environment);
}

function serviceKey(name: string, namespace: string, environment: string): string {
  return namespace === "" && environment === "" ? name : [name, namespace, environment].join(separator);
}

/**
 * The names that reports use. A service is its bare `service.name`, as long as only one namespace (environment) uses that
 * name; from the second on each is written `namespace/name` (`name@environment`). A resource without namespace goes with
 * the only one there is. A peer that is only an address is the service that runs at it, if exactly one does. Two servers
 * that hold a database of the same name are `name@host`, two ports of one host `host:port`. Observe every resource and
 * peer first, then ask: the answer depends on the set seen, not on its order.
 */
export class ServiceDirectory implements NodeNaming {
  /** services and peers that a window tells apart */
  readonly servicesMax: number;
  readonly #services = new Map<string, SeenService>();
  /** address -> the only service seen there, null = several services share it */
  readonly #byAddress = new Map<string, NamedService | null>();
  /** name -> host -> ports */
  readonly #peers = new Map<string, Map<string, Set<string>>>();
  #version = 0;
  /** names of keys at `#keyNamesVersion`: every trace that is added asks for some of the same few */
  readonly #keyNames = new Map<string, string>();
  #keyNamesVersion = 0;

  constructor(servicesMax = defaultServicesMax) {
    this.servicesMax = servicesMax;
  }

  get version(): number {
    return this.#version;
  }

  observe(identity: ServiceIdentity): void {
    const { name, namespace, environment, addresses } = identity;
    const seen = this.#seen(name);
    if (seen === null) return;
    this.#addTo(seen.namespaces, namespace);
    this.#addTo(seen.environments, environment);
    for (const address of addresses) this.#observeAddress(address, identity);
  }

  observePeer({ name, host, port, form }: PeerIdentity): void {
    if (host === "" || form === "service") return;
    let hosts = this.#peers.get(name);
    if (hosts === undefined) {
      if (this.#peers.size >= this.servicesMax) return;
      hosts = new Map();
      this.#peers.set(name, hosts);
    }
    let ports = hosts.get(host);
    if (ports === undefined) {
      if (hosts.size >= this.servicesMax) return;
      ports = new Set();
      hosts.set(host, ports);
      this.#version += 1;
    }
    if (ports.size < this.servicesMax) this.#addTo(ports, port);
  }

  save(out: SnapshotWriter): void {
    out.map(this.#services, (name, { namespaces, environments }) => {
      out.text(name);
      out.texts([...namespaces]);
      out.texts([...environments]);
    });
    out.map(this.#byAddress, (address, identity) => {
      out.text(address);
      out.optional(identity, ({ name, namespace, environment }) => out.texts([name, namespace, environment]));
    });
    out.map(this.#peers, (name, hosts) => {
      out.text(name);
      out.map(hosts, (host, ports) => {
        out.text(host);
        out.texts([...ports]);
      });
    });
  }

  /** Observes all that another one has seen. */
  load(from: SnapshotReader): void {
    for (let left = from.number(); left > 0; left -= 1) {
      const seen = this.#seen(from.text());
      for (const namespace of from.texts()) if (seen !== null) this.#addTo(seen.namespaces, namespace);
      for (const environment of from.texts()) if (seen !== null) this.#addTo(seen.environments, environment);
    }
    for (let left = from.number(); left > 0; left -= 1) {
      const address = from.text();
      const texts = from.optional(() => from.texts());
      const [name = "", namespace = "", environment = ""] = texts ?? [];
      this.#observeAddress(address, texts === null ? null : { name, namespace, environment });
    }
    for (let left = from.number(); left > 0; left -= 1) {
      const name = from.text();
      for (let hosts = from.number(); hosts > 0; hosts -= 1) {
        const host = from.text();
        for (const port of ["", ...from.texts()])
          this.observePeer({ name, namespace: "", host, port, form: "server" });
      }
    }
  }

  /** null = there is no room for it */
  #seen(name: string): SeenService | null {
    const known = this.#services.get(name);
    if (known !== undefined) return known;
    if (this.#services.size >= this.servicesMax) return null;
    const seen = { namespaces: new Set<string>(), environments: new Set<string>() };
    this.#services.set(name, seen);
    this.#version += 1;
    return seen;
  }

  /** `identity` = who runs there; null = several do */
  #observeAddress(address: string, identity: NamedService | null): void {
    const known = this.#byAddress.get(address);
    if (known === undefined) {
      if (this.#byAddress.size >= this.servicesMax * 10) return;
      this.#byAddress.set(address, identity);
      this.#version += 1;
    } else if (known !== null && (identity === null || keyOf(known) !== keyOf(identity))) {
      this.#byAddress.set(address, null);
      this.#version += 1;
    }
  }

  nameOf({ name, namespace, environment }: NamedService): string {
    return this.#serviceName(name, namespace, environment);
  }

  nameOfPeer({ name, namespace, host, port, form }: PeerIdentity): string {
    if (form === "service") return this.#serviceName(name, namespace, "");
    const known = form === "address" ? this.#serviceAt(host) : null;
    return known === null ? this.#peerName(name, host, port) : this.nameOf(known);
  }

  nameOfUnknownPeer(caller: string): string {
    return `unknown (called by ${caller})`;
  }

  /** The name of a key that `rawNaming` made; anything else stays as it is. */
  nameOfKey(key: string): string {
    if (this.#keyNamesVersion !== this.#version || this.#keyNames.size > keyNamesMax) {
      this.#keyNames.clear();
      this.#keyNamesVersion = this.#version;
    }
    let name = this.#keyNames.get(key);
    if (name === undefined) {
      name = this.#nameOfKey(key);
      this.#keyNames.set(key, name);
    }
    return name;
  }

  #nameOfKey(key: string): string {
    if (key.startsWith(unknownMark)) return this.nameOfUnknownPeer(this.nameOfKey(key.slice(1)));
    if (!key.includes(separator)) return this.#serviceName(key, "", "");
    const [first = "", second = "", third = "", host = "", port = ""] = key.split(separator);
    if (first !== "") return this.#serviceName(first, second, third);
    const form = second === "address" ? "address" : "server";
    return this.nameOfPeer({ name: third, namespace: "", host, port, form });
  }

  #addTo(set: Set<string>, value: string): void {
    if (value === "" || set.has(value)) return;
    set.add(value);
    this.#version += 1;
  }

  #serviceName(name: string, namespace: string, environment: string): string {
    const seen = this.#services.get(name);
    if (seen === undefined) return name;
    const spaced = seen.namespaces.size > 1 && namespace !== "" ? `${namespace}/${name}` : name;
    return seen.environments.size > 1 && environment !== "" ? `${spaced}@${environment}` : spaced;
  }

  #serviceAt(host: string): NamedService | null {
    const known = this.#byAddress.get(host);
    if (known !== undefined) return known;
    // within a Kubernetes cluster `cart.shop.svc.cluster.local` is the service `cart`
    const inCluster = /^([^.]+)\.[^.]+\.svc(?:\.|$)/.exec(host);
    return this.#byAddress.get(inCluster?.[1] ?? "") ?? null;
  }

  #peerName(name: string, host: string, port: string): string {
    const hosts = this.#peers.get(name);
    const hasPorts = (hosts?.get(host)?.size ?? 0) > 1 && port !== "";
    if (host === "" || (!hasPorts && (hosts?.size ?? 0) < 2)) return name;
    const withHost = name === host || name.endsWith(`@${host}`) ? name : `${name}@${host}`;
    return hasPorts ? `${withHost}:${port}` : withHost;
  }
}
