import type { AnyValue } from "../../src/model/attributes.ts";
import { mix, Purpose, uniform } from "./random.ts";
import type { FailureType, SimSpan } from "./recording.ts";
import type { Call, Operation, Peer, Topic } from "./topology.ts";

type Entries = Map<string, AnyValue>;

/** The name of a span by OpenTelemetry's conventions. */
export function nameOf({ role, operation, call, topic }: SimSpan): string {
  if (role === "producer") return `send ${topic?.name}`;
  if (role === "consumer") return `process ${topic?.name}`;
  if (operation !== null) return operation.name;
  if (call === null) return "GET /healthz";
  const { to } = call;
  switch (to.kind) {
    case "operation":
      return to.service.protocol === "grpc" ? to.name : methodOf(to);
    case "database":
      return `${call.verb} ${call.table}`;
    case "cache":
      return call.verb;
    case "external":
      return "POST";
    case "topic":
      return `send ${to.name}`;
  }
}

/** The attributes of a span by OpenTelemetry's conventions. */
export function attributesOf(span: SimSpan): Entries {
  const { role, operation, call, topic } = span;
  const entries: Entries = new Map();
  if (topic !== null && (role === "producer" || role === "consumer")) addMessaging(entries, span, topic);
  else if (role === "client" && call !== null) addCall(entries, span, call);
  else if (role === "server") addServer(entries, span, operation);
  return entries;
}

function addServer(entries: Entries, span: SimSpan, operation: Operation | null): void {
  const { failure, isClientError, request, instance } = span;
  if (operation !== null && operation.service.protocol === "grpc") {
    entries.set("rpc.system.name", "grpc");
    entries.set("rpc.method", operation.name);
    entries.set(
      "rpc.status_code",
      failure === null ? "OK" : failure.type === "breaker" ? "UNAVAILABLE" : "INTERNAL",
    );
    if (failure !== null) entries.set("error.type", "INTERNAL");
    return;
  }
  const route = operation === null ? "/healthz" : routeOf(operation);
  const status = failure === null ? (isClientError ? 404 : 200) : failure.type === "breaker" ? 503 : 500;
  entries.set("http.request.method", operation === null ? "GET" : methodOf(operation));
  entries.set("http.route", route);
  entries.set(
    "url.path",
    route.replace("{id}", String(1000 + Math.floor(uniform(request.key, Purpose.Path) * 9000))),
  );
  entries.set("url.scheme", "http");
  entries.set("server.address", instance.service.name);
  entries.set("http.response.status_code", BigInt(status));
  if (operation === null) entries.set("user_agent.original", "kube-probe/1.31");
  if (status >= 500)
    entries.set("error.type", failure?.type === "error" ? failure.exception : String(status));
}

function addCall(entries: Entries, span: SimSpan, call: Call): void {
  const { to } = call;
  switch (to.kind) {
    case "operation":
      if (to.service.protocol === "grpc") addRpcCall(entries, span, to);
      else
        addHttpCall(entries, span, {
          host: to.service.name,
          port: 8080,
          method: methodOf(to),
          path: routeOf(to),
        });
      break;
    case "external":
      addHttpCall(entries, span, { host: to.address, port: to.port, method: "POST", path: "/v2/requests" });
      break;
    case "database":
    case "cache":
      addQuery(entries, span, call, to);
      break;
    case "topic":
      break;
  }
}

interface HttpTarget {
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
}

function addHttpCall(entries: Entries, span: SimSpan, { host, port, method, path }: HttpTarget): void {
  const { failure, attempt, request } = span;
  const id = String(1000 + Math.floor(uniform(request.key, Purpose.Path) * 9000));
  const scheme = port === 443 ? "https" : "http";
  entries.set("http.request.method", method);
  entries.set("url.full", `${scheme}://${host}:${port}${path.replace("{id}", id)}`);
  entries.set("server.address", host);
  entries.set("server.port", BigInt(port));
  if (attempt > 0) entries.set("http.request.resend_count", BigInt(attempt));
  const status = failure === null ? 200 : httpStatuses[failure.type];
  if (status !== undefined) entries.set("http.response.status_code", BigInt(status));
  if (failure !== null) entries.set("error.type", status === undefined ? failure.exception : String(status));
}

/** What a client gets as an answer; without one there is no status. */
const httpStatuses: Readonly<Partial<Record<FailureType, number>>> = {
  downstream: 500,
  overloaded: 503,
  query: 503,
};

function addRpcCall(entries: Entries, { failure }: SimSpan, operation: Operation): void {
  entries.set("rpc.system.name", "grpc");
  entries.set("rpc.method", operation.name);
  entries.set("server.address", operation.service.name);
  entries.set("server.port", 9090n);
  const code = failure === null ? "OK" : (rpcCodes[failure.type] ?? "UNAVAILABLE");
  entries.set("rpc.status_code", code);
  if (failure !== null) entries.set("error.type", code);
}

const rpcCodes: Readonly<Partial<Record<FailureType, string>>> = {
  downstream: "INTERNAL",
  timeout: "DEADLINE_EXCEEDED",
  overloaded: "RESOURCE_EXHAUSTED",
};

function addQuery(entries: Entries, { failure, key }: SimSpan, { verb, table }: Call, peer: Peer): void {
  entries.set("db.system.name", peer.system);
  if (peer.namespace !== "") entries.set("db.namespace", peer.namespace);
  entries.set("db.operation.name", verb);
  if (peer.kind === "database") {
    entries.set("db.collection.name", table);
    entries.set("db.query.text", queryText(verb, table));
  }
  entries.set("server.address", peer.address);
  entries.set("server.port", BigInt(peer.port));
  entries.set("network.peer.address", `10.1.${peer.index % 250}.${1 + (mix(key, Purpose.Port) % 3)}`);
  if (failure !== null) entries.set("error.type", failure.exception);
}

function queryText(verb: string, table: string): string {
  if (verb === "INSERT") return `INSERT INTO ${table} VALUES (?, ?, ?)`;
  return verb === "UPDATE"
    ? `UPDATE ${table} SET state = ? WHERE id = ?`
    : `SELECT * FROM ${table} WHERE id = ?`;
}

function addMessaging(entries: Entries, { role, failure, key, attempt }: SimSpan, topic: Topic): void {
  entries.set("messaging.system", topic.system);
  entries.set("messaging.destination.name", topic.name);
  entries.set("messaging.operation.type", role === "producer" ? "send" : "process");
  entries.set("messaging.operation.name", role === "producer" ? "send" : "process");
  if (role === "consumer") {
    entries.set("messaging.consumer.group.name", topic.consumer.service.name);
    if (attempt > 0) entries.set("messaging.message.delivery_attempt", BigInt(attempt + 1));
  }
  if (topic.system === "kafka")
    entries.set("messaging.destination.partition.id", String(mix(key, Purpose.Port) % 6));
  entries.set("server.address", `${topic.system}.internal`);
  if (failure !== null) entries.set("error.type", failure.exception);
}

function methodOf({ name }: Operation): string {
  return name.split(" ")[0] ?? name;
}

function routeOf({ name }: Operation): string {
  return name.split(" ")[1] ?? "/";
}
