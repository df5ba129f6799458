import { type Attributes, textOf } from "./attributes.ts";
import { destinationKeys, peerNameKeys } from "./metric-names.ts";
import { rawNaming, type ServiceDirectory } from "./service-directory.ts";
import { identityOf, unknownService } from "./service-identity.ts";

/** Who sent metrics or logs, and by which names spans may know it. */
export interface Sender {
  readonly key: string;
  readonly instance: string;
  /** keys as `rawNaming` makes them, the likeliest first */
  readonly names: readonly string[];
  /** of whoever runs at the sender's addresses */
  readonly addresses: readonly string[];
}

export function senderOf(resource: Attributes): Sender {
  const identity = identityOf(resource);
  const own = identity.name.startsWith(unknownService) ? [] : [rawNaming.nameOf(identity)];
  const names = [...own, ...peerKeysOf("", resource)];
  const addresses = identity.addresses.map((host) => peerKey("", host, "address"));
  const instance = identity.instance || identity.host;
  return { key: [instance, ...names, ...identity.addresses].join("\u0001"), instance, names, addresses };
}

/** Keys of the database or queue that attributes name; `kafka.…{topic=orders}` is the node `kafka:orders`. */
export function peerKeysOf(metric: string, attributes: Attributes): readonly string[] {
  const textsOf = (keys: readonly string[]): readonly string[] =>
    keys.map((key) => textOf(attributes.get(key))).filter((text) => text !== "");
  const system = textOf(attributes.get("messaging.system")) || (metric.split(".", 1)[0] ?? "");
  const host = textOf(attributes.get("server.address")).toLowerCase();
  const names = [...textsOf(peerNameKeys), ...textsOf(destinationKeys).map((name) => `${system}:${name}`)];
  return host === "" ? names : [...names.map((name) => peerKey(name, host, "server")), ...names];
}

function peerKey(name: string, host: string, form: "server" | "address"): string {
  return rawNaming.nameOfPeer({ name, namespace: "", host, port: "", form });
}

/** How reports call senders. */
export interface SenderNames {
  readonly directory: ServiceDirectory;
  /** whether a service or peer of this name is in the scope: what was sent belongs to the first name of its sender that is */
  readonly isKnown: (name: string) => boolean;
}

/** The name for the first key that is known, else for the first at all; "" = there is none. */
export function nameOfSender(keys: readonly string[], { directory, isKnown }: SenderNames): string {
  const names = keys.map((key) => directory.nameOfKey(key)).filter((name) => name !== "");
  return names.find(isKnown) ?? names[0] ?? "";
}
