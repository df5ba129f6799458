import { type Attributes, textOf } from "./attributes.ts";

/** Who sent a span: the parts of a resource that make a node and an instance of the graph. */
export interface ServiceIdentity {
  readonly name: string;
  readonly namespace: string;
  readonly environment: string;
  readonly version: string;
  /** which process: `service.instance.id`, else pod, else host and pid; "" = unknown */
  readonly instance: string;
  /** whose clock: `host.id`, `host.name`, else pod; "" = unknown */
  readonly host: string;
  /** where others may reach it: host and pod names and addresses, Kubernetes service name */
  readonly addresses: readonly string[];
}

/** What senders call a service that was given no name; hints such as the executable's name are added after a colon. */
export const unknownService = "unknown_service";

/** Longer names are cut and end with a hash of the whole. */
export const serviceNameLengthMax = 255;

const addressKeys = [
  "host.name",
  "host.ip",
  "k8s.pod.name",
  "k8s.pod.ip",
  "k8s.service.name",
  "container.name",
];

export function identityOf(resource: Attributes): ServiceIdentity {
  const text = (...keys: readonly string[]): string => {
    for (const key of keys) {
      const value = textOf(resource.get(key)).trim();
      if (value.length > 0) return value;
    }
    return "";
  };
  const hint = text(
    "process.executable.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "container.name",
  );
  const pid = text("process.pid");
  const host = text("host.name", "host.id");
  return {
    name: limitName(text("service.name") || (hint ? `${unknownService}:${hint}` : unknownService)),
    namespace: limitName(text("service.namespace")),
    environment: limitName(text("deployment.environment.name", "deployment.environment")),
    version: text("service.version"),
    instance:
      text("service.instance.id", "k8s.pod.uid", "k8s.pod.name") || (host && pid ? `${host}:${pid}` : host),
    host: text("host.id", "host.ip", "host.name", "k8s.node.name", "k8s.pod.name", "container.id"),
    addresses: addressKeys.map((key) => text(key)).filter((address) => address !== ""),
  };
}

function limitName(name: string): string {
  if (name.length <= serviceNameLengthMax) return name;
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return `${name.slice(0, serviceNameLengthMax - 9)}~${(hash >>> 0).toString(16).padStart(8, "0")}`;
}
