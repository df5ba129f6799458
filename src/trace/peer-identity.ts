import type { PeerIdentity } from "../model/service-directory.ts";
import { limitName } from "../model/service-identity.ts";
import type { NodeKind } from "./calls.ts";
import { type RowAttributes, role } from "./row-attributes.ts";

/** The far side of a call, as the calling span describes it. */
export interface Peer extends PeerIdentity {
  readonly kind: NodeKind;
}

/**
 * Who a call went to, by the first that applies: the peer's own name, a database, a destination of messages, an address
 * (RPC, HTTP, network), a function. Null where the span says nothing of it. Order as in OpenTelemetry's conventions.
 */
export function peerOfAttributes(row: RowAttributes): Peer | null {
  const name = row.text(role.peerName);
  if (name !== "") return namedPeer(row, name);
  if (row.has(role.dbSystem) || row.has(role.dbNamespace)) return database(row);
  if (row.has(role.messagingSystem) || row.has(role.destination)) return destination(row);
  const { host, port } = serverOf(row);
  if (host !== "") return { name: host, namespace: "", host, port, form: "address", kind: "external" };
  const called =
    row.text(role.rpcService) || serviceOfMethod(row.text(role.rpcMethod)) || row.text(role.faasName);
  if (called === "") return null;
  return { name: limitName(called), namespace: "", host: "", port: "", form: "server", kind: "external" };
}

/** Where a call went, as `host:port` or `host`; "" = the span does not say it. */
export function addressOfAttributes(row: RowAttributes): string {
  const { host, port } = serverOf(row);
  return port === "" ? host : `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function namedPeer(row: RowAttributes, name: string): Peer {
  const kind = row.has(role.dbSystem) ? "database" : row.has(role.messagingSystem) ? "messaging" : "service";
  const namespace = limitName(row.text(role.peerNamespace));
  return { name: limitName(name), namespace, host: "", port: "", form: "service", kind };
}

function database(row: RowAttributes): Peer {
  const { host, port } = serverOf(row);
  const system = row.text(role.dbSystem) || "database";
  const namespace = row.text(role.dbNamespace);
  // Redis numbers its databases; a number is no name
  const hasName = namespace !== "" && !/^\d+$/.test(namespace);
  const name = hasName ? namespace : host === "" ? system : `${system}@${host}`;
  return { name: limitName(name), namespace: "", host, port, form: "server", kind: "database" };
}

/** Brokers form clusters: the destination is one node, by whichever broker it was reached. */
function destination(row: RowAttributes): Peer {
  const system = messagingSystem(row);
  const { host } = serverOf(row);
  const name = lastingDestination(row) ?? (host === "" ? system : `${system}@${host}`);
  return { name: limitName(name), namespace: "", host: "", port: "", form: "server", kind: "messaging" };
}

/** `system:destination` of a message, null where it has no lasting name. */
function lastingDestination(row: RowAttributes): string | null {
  const name = row.text(role.destination);
  if (name === "" || row.isTrue(role.destinationIsTemporary) || row.isTrue(role.destinationIsAnonymous))
    return null;
  return limitName(`${messagingSystem(row)}:${name}`);
}

const systemInComponent = /kafka|rabbitmq|activemq|rocketmq|pulsar|nats|jms/;

/** OpenTracing has no name for it, so its spans share a node with OpenTelemetry's by what their library is called. */
function messagingSystem(row: RowAttributes): string {
  const library = systemInComponent.exec(row.text(role.component).toLowerCase());
  return row.text(role.messagingSystem) || library?.[0] || "messaging";
}

/** The service part of a fully qualified RPC method, "" where there is none. */
function serviceOfMethod(method: string): string {
  return method.slice(0, Math.max(0, method.lastIndexOf("/"))).replace(/^\//, "");
}

interface Server {
  readonly host: string;
  readonly port: string;
}

/** Where a call went: a host by name if there is one, else from the URL, else the numeric address, else by OpenTracing's names. */
function serverOf(row: RowAttributes): Server {
  const named = splitHost(row.text(role.address));
  if (named.host !== "") return { host: named.host, port: row.text(role.port) || named.port };
  const url = hostOfUrl(row.text(role.url));
  if (url.host !== "") return url;
  const http = splitHost(row.text(role.httpHost));
  if (http.host !== "") return { host: http.host, port: row.text(role.port) || http.port };
  const network = splitHost(row.text(role.networkAddress));
  if (network.host !== "")
    return { host: network.host, port: row.text(role.networkPort) || row.text(role.port) || network.port };
  return openTracingServer(row);
}

function openTracingServer(row: RowAttributes): Server {
  const said = row.text(role.peerHost) || row.text(role.peerAddress);
  const { host, port } = said.includes("://")
    ? hostOfUrl(said)
    : splitHost(said || ipText(row.text(role.peerIp)));
  return { host, port: row.text(role.port) || port };
}

/** An IPv4 address; OpenTracing's clients write it as one number too, signed or not. */
function ipText(text: string): string {
  if (!/^-?\d{1,10}$/.test(text)) return text;
  const bits = Number(text);
  return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join(".");
}

/** Whether `serverOf` certainly takes the host by name: an odd one such as `[]:80` may have none. */
export function hasHostByName(row: RowAttributes): boolean {
  const text = row.text(role.address);
  return text !== "" && !text.startsWith("[") && !text.startsWith(":");
}

/** `host` or `host:port`; brackets around IPv6 addresses are taken off. */
function splitHost(text: string): Server {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(text);
  const host = match === null ? text : (match[1] ?? match[2] ?? "");
  return { host: limitName(host.toLowerCase()), port: match?.[3] ?? "" };
}

function hostOfUrl(url: string): Server {
  const start = url.indexOf("://");
  if (start < 0) return { host: "", port: "" };
  const rest = url.slice(start + 3);
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  return splitHost(authority.slice(authority.lastIndexOf("@") + 1));
}
