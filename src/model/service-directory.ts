import type { ServiceIdentity } from "./service-identity.ts";

/** How nodes are called while traces are read: by what users see, or by keys that stay true whatever else is seen later. */
export interface NodeNaming {
  nameOf(identity: ServiceIdentity): string;
  /** `address` = the host that a call without a known callee went to, "" = none; `name` = what the call itself says */
  nameOfPeer(name: string, address: string): string;
}

const separator = "\u0001";

/**
 * Keys for sums that outlive a change of names: services by their full identity, peers by name and address. A
 * `ServiceDirectory` turns them into names when the sums are read.
 */
export const rawNaming: NodeNaming = {
  nameOf: ({ name, namespace, environment }) =>
    namespace === "" && environment === ""
      ? name
      : `${name}${separator}${namespace}${separator}${environment}`,
  nameOfPeer: (name, address) => (address === "" ? name : `${separator}${name}${separator}${address}`),
};

/**
 * The names that reports use. A service is its bare `service.name`, as long as only one namespace (environment) uses that
 * name; from the second on each is written `namespace/name` (`name@environment`). A resource without namespace goes with
 * the only one there is. A peer that is only an address is the service that runs at it, if exactly one does. Observe every
 * resource first, then ask: the answer depends on the set seen, not on its order.
 */
export class ServiceDirectory implements NodeNaming {
  readonly #seen = new Map<string, { namespaces: Set<string>; environments: Set<string> }>();
  /** address -> the only identity seen there, null = several services share it */
  readonly #byAddress = new Map<string, ServiceIdentity | null>();

  observe(identity: ServiceIdentity): void {
    const { name, namespace, environment, addresses } = identity;
    let seen = this.#seen.get(name);
    if (seen === undefined) {
      seen = { namespaces: new Set(), environments: new Set() };
      this.#seen.set(name, seen);
    }
    if (namespace !== "") seen.namespaces.add(namespace);
    if (environment !== "") seen.environments.add(environment);
    for (const address of addresses) {
      const known = this.#byAddress.get(address);
      if (known === undefined) this.#byAddress.set(address, identity);
      else if (known !== null && rawNaming.nameOf(known) !== rawNaming.nameOf(identity))
        this.#byAddress.set(address, null);
    }
  }

  nameOf({ name, namespace, environment }: ServiceIdentity): string {
    return this.#display(name, namespace, environment);
  }

  nameOfPeer(name: string, address: string): string {
    const known = address === "" ? undefined : this.#byAddress.get(address);
    return known === undefined || known === null ? name : this.nameOf(known);
  }

  /** The name of a key that `rawNaming` made; anything else stays as it is. */
  nameOfKey(key: string): string {
    const [name = "", second = "", third = ""] = key.split(separator);
    if (key.startsWith(separator)) return this.nameOfPeer(second, third);
    return this.#display(name, second, third);
  }

  #display(name: string, namespace: string, environment: string): string {
    const seen = this.#seen.get(name);
    if (seen === undefined) return name;
    const spaced = seen.namespaces.size > 1 && namespace !== "" ? `${namespace}/${name}` : name;
    return seen.environments.size > 1 && environment !== "" ? `${spaced}@${environment}` : spaced;
  }
}
