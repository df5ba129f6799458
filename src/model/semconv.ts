// The attribute names that mean something to us, each in its new and old spellings (OpenTelemetry semantic conventions 1.44,
// their predecessors, and OpenTracing's). In a list the first name that a span carries wins, so new names stand first.

import type { AttributeNames } from "./attributes.ts";

/** Names on spans. */
export const spanKeys = {
  httpStatus: ["http.response.status_code", "http.status_code"],
  grpcStatus: ["rpc.status_code", "rpc.response.status_code", "rpc.grpc.status_code"],
  rpcError: ["rpc.connect_rpc.error_code", "rpc.jsonrpc.error_code"],
  errorType: ["error.type"],
  /** OpenTracing's is true or false, Zipkin's a message, which the Collector passes on as it is */
  errorFlag: ["error"],
  errorMessage: ["error.message"],
  /** where whoever passed the span on left its kind out */
  kindWord: ["span.kind"],
  /** what an Envoy proxy (Istio) saw of the connection */
  proxyFlags: ["response_flags"],
  /** what tells a stream, which lasts as long as somebody listens */
  contentType: ["http.response.header.content-type", "http.response.header.content_type"],
  protocol: ["network.protocol.name", "net.protocol.name", "url.scheme", "http.scheme"],
  asksForStream: ["gen_ai.request.stream", "gen_ai.request.is_stream", "llm.is_streaming"],
  /** what span pruning (in Tempo's answers, or the Collector's processor) says of the spans that it merged into one */
  isSummary: ["aggregation.is_summary"],
  summaryCount: ["aggregation.span_count"],
  summaryMeanNanos: ["aggregation.duration_avg_ns"],
  peerName: ["service.peer.name", "peer.service"],
  peerNamespace: ["service.peer.namespace"],
  dbSystem: ["db.system.name", "db.system", "db.type"],
  dbNamespace: [
    "db.namespace",
    "db.name",
    "db.redis.database_index",
    "db.elasticsearch.cluster.name",
    "db.mssql.instance_name",
    "db.instance",
  ],
  dbStatus: ["db.response.status_code"],
  messagingSystem: ["messaging.system"],
  messagingOperation: ["messaging.operation.type", "messaging.operation"],
  destination: [
    "messaging.destination.template",
    "messaging.destination.name",
    "messaging.destination",
    "message_bus.destination",
  ],
  destinationIsTemporary: ["messaging.destination.temporary", "messaging.temp_destination"],
  destinationIsAnonymous: ["messaging.destination.anonymous"],
  rpcSystem: ["rpc.system.name", "rpc.system"],
  rpcService: ["rpc.service"],
  /** since 2025 with the service in front: `shop.Cart/GetItems` */
  rpcMethod: ["rpc.method"],
  /** hosts by name come before numeric addresses */
  address: ["server.address", "net.peer.name", "net.sock.peer.name"],
  url: ["url.full", "http.url"],
  httpHost: ["http.host"],
  networkAddress: ["network.peer.address", "net.peer.ip", "net.sock.peer.addr"],
  port: ["server.port", "net.peer.port", "peer.port"],
  networkPort: ["network.peer.port", "net.sock.peer.port"],
  /** OpenTracing's addresses: a host, anything that a client library connects with, and numbers */
  peerHost: ["peer.hostname"],
  peerAddress: ["peer.address"],
  peerIp: ["peer.ipv4", "peer.ipv6"],
  /** which library made an OpenTracing span, such as `java-kafka` */
  component: ["component"],
  faasName: ["faas.invoked_name"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Names of span events that tell of an exception: OpenTelemetry's, and OpenTracing's, which has no name in older clients. */
export const exceptionEvent = "exception";
export const openTracingErrorEvents: readonly string[] = ["error", ""];

/** Names on these events. */
export const exceptionKeys = {
  type: ["exception.type", "error.kind"],
  message: ["exception.message", "message", "error.object", "error"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Names on span events of single messages of a call; a call with a second one in a direction is a stream. */
export const messageNumberKeys = ["rpc.message.id", "message.id"] as const;

/** Names on resources. */
export const resourceKeys = {
  name: ["service.name"],
  namespace: ["service.namespace"],
  environment: ["deployment.environment.name", "deployment.environment"],
  version: ["service.version"],
  instance: ["service.instance.id", "k8s.pod.uid", "k8s.pod.name"],
  process: ["process.pid"],
  hostName: ["host.name", "host.id"],
  clock: ["host.id", "host.ip", "host.name", "k8s.node.name", "k8s.pod.name", "container.id"],
  /** what a service without a name can be told by */
  hint: ["process.executable.name", "k8s.deployment.name", "k8s.statefulset.name", "container.name"],
  address: ["host.name", "host.ip", "k8s.pod.name", "k8s.pod.ip", "k8s.service.name", "container.name"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/**
 * What tells requests of one service apart that the fault of one build, process, machine or place hits: names on resources,
 * and some on spans. Where two say the same of a fault, the earlier one is named.
 */
export const splitKeys = [
  "service.version",
  "container.image.tags",
  "container.image.tag",
  "service.instance.id",
  "host.name",
  "k8s.node.name",
  "cloud.availability_zone",
  "cloud.region",
  "k8s.cluster.name",
  "cloud.account.id",
  "host.type",
  "host.arch",
  "process.runtime.version",
  "telemetry.sdk.version",
  "telemetry.distro.version",
  "user_agent.name",
  "messaging.destination.partition.id",
] as const;

const splitNames: ReadonlySet<string> = new Set(splitKeys);

/** Words of names, mostly not of any convention, that say for whom or as what a request was made. */
const splitWords =
  /(?:^|[._-])(?:tenant|customer|account|organi[sz]ation|org|plan|tier|region|zone|datacenter|cell|shard|partition|cohort|experiment|variant|feature_flag|platform|country|locale|currency|channel|app_version|client_version)(?:$|[._-])/i;

/** Whether an attribute's values may split a service's requests into a few groups that fare differently. */
export function isSplitName(name: string): boolean {
  return splitNames.has(name) || splitWords.test(name);
}

const namesWithMeaning: ReadonlySet<string> = new Set([
  ...Object.values(spanKeys).flat(),
  ...Object.values(exceptionKeys).flat(),
  ...messageNumberKeys,
  ...Object.values(resourceKeys).flat(),
]);

/** All of them: what the analysis of many traces needs of attributes. */
export const meaningfulAttributes: AttributeNames = {
  has: (name) => namesWithMeaning.has(name) || isSplitName(name),
};

/** Names on spans that OpenTelemetry has replaced, and by what, if it kept the thing at all; the likeliest successor first. */
export const renamedAttributes: ReadonlyMap<string, readonly string[]> = new Map([
  ["http.method", ["http.request.method"]],
  ["http.status_code", ["http.response.status_code"]],
  ["http.url", ["url.full"]],
  ["http.target", ["url.path", "url.query"]],
  ["http.scheme", ["url.scheme"]],
  ["http.host", ["server.address"]],
  ["http.server_name", ["server.address"]],
  ["http.user_agent", ["user_agent.original"]],
  ["http.client_ip", ["client.address"]],
  ["http.flavor", ["network.protocol.version"]],
  ["http.resend_count", ["http.request.resend_count"]],
  ["http.request_content_length", ["http.request.body.size"]],
  ["http.response_content_length", ["http.response.body.size"]],
  ["net.peer.name", ["server.address", "client.address"]],
  ["net.peer.port", ["server.port", "client.port"]],
  ["net.peer.ip", ["network.peer.address"]],
  ["net.host.name", ["server.address"]],
  ["net.host.port", ["server.port"]],
  ["net.host.ip", ["network.local.address"]],
  ["net.sock.peer.name", ["server.address"]],
  ["net.sock.peer.addr", ["network.peer.address"]],
  ["net.sock.peer.port", ["network.peer.port"]],
  ["net.sock.host.addr", ["network.local.address"]],
  ["net.sock.host.port", ["network.local.port"]],
  ["net.sock.family", ["network.type"]],
  ["net.transport", ["network.transport"]],
  ["net.protocol.name", ["network.protocol.name"]],
  ["net.protocol.version", ["network.protocol.version"]],
  ["db.system", ["db.system.name"]],
  ["db.name", ["db.namespace"]],
  ["db.redis.database_index", ["db.namespace"]],
  ["db.elasticsearch.cluster.name", ["db.namespace"]],
  ["db.statement", ["db.query.text"]],
  ["db.operation", ["db.operation.name"]],
  ["db.sql.table", ["db.collection.name"]],
  ["db.mongodb.collection", ["db.collection.name"]],
  ["db.cassandra.table", ["db.collection.name"]],
  ["db.connection_string", ["server.address"]],
  ["db.user", []],
  ["messaging.operation", ["messaging.operation.type"]],
  ["messaging.destination", ["messaging.destination.name"]],
  ["messaging.temp_destination", ["messaging.destination.temporary"]],
  ["messaging.message_id", ["messaging.message.id"]],
  ["messaging.conversation_id", ["messaging.message.conversation_id"]],
  ["messaging.client_id", ["messaging.client.id"]],
  ["messaging.kafka.client_id", ["messaging.client.id"]],
  ["messaging.kafka.message.offset", ["messaging.kafka.offset"]],
  ["messaging.kafka.message_key", ["messaging.kafka.message.key"]],
  ["messaging.kafka.partition", ["messaging.destination.partition.id"]],
  ["messaging.kafka.destination.partition", ["messaging.destination.partition.id"]],
  ["messaging.kafka.consumer.group", ["messaging.consumer.group.name"]],
  ["messaging.rocketmq.client_group", ["messaging.consumer.group.name"]],
  ["messaging.eventhubs.consumer.group", ["messaging.consumer.group.name"]],
  // no `rpc.service`: it goes with `rpc.system`, and its successor `rpc.method` is an old name too
  ["rpc.system", ["rpc.system.name"]],
  ["rpc.grpc.status_code", ["rpc.status_code"]],
  ["rpc.connect_rpc.error_code", ["rpc.status_code"]],
  ["rpc.jsonrpc.error_code", ["rpc.status_code"]],
  ["rpc.response.status_code", ["rpc.status_code"]],
  ["peer.service", ["service.peer.name"]],
  ["faas.execution", ["faas.invocation_id"]],
  ["faas.id", ["cloud.resource_id"]],
  ["code.filepath", ["code.file.path"]],
  ["code.function", ["code.function.name"]],
  ["code.namespace", ["code.function.name"]],
  ["code.lineno", ["code.line.number"]],
  ["code.column", ["code.column.number"]],
  ["gen_ai.system", ["gen_ai.provider.name"]],
  ["gen_ai.usage.prompt_tokens", ["gen_ai.usage.input_tokens"]],
  ["gen_ai.usage.completion_tokens", ["gen_ai.usage.output_tokens"]],
]);

/** The same on resources. */
export const renamedResourceAttributes: ReadonlyMap<string, readonly string[]> = new Map([
  ["deployment.environment", ["deployment.environment.name"]],
  ["container.runtime", ["container.runtime.name"]],
  ["container.image.tag", ["container.image.tags"]],
  ["faas.id", ["cloud.resource_id"]],
  ["telemetry.auto.version", ["telemetry.distro.version"]],
]);

/** Where tail samplers write which of their policies kept a trace: the collector's on scopes (where told to), others on spans. */
export const samplingPolicyKeys = ["tailsampling.policy", "sampling.policy"] as const;

/** Names that OpenTracing had and OpenTelemetry has others for; those that both have are old names of the latter. */
export const openTracingNames: ReadonlyMap<string, readonly string[]> = new Map([
  ["peer.hostname", ["server.address"]],
  ["peer.address", ["server.address"]],
  ["peer.port", ["server.port"]],
  ["peer.ipv4", ["network.peer.address"]],
  ["peer.ipv6", ["network.peer.address"]],
  ["db.type", ["db.system.name"]],
  ["db.instance", ["db.namespace"]],
  ["message_bus.destination", ["messaging.destination.name"]],
  ["sampling.priority", []],
]);
