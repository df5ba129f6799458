// The attribute names that mean something to us, each in its new and old spellings (OpenTelemetry semantic conventions 1.44
// and their predecessors). In a list the first name that a span carries wins, so new names stand first.

/** Names on spans. */
export const spanKeys = {
  httpStatus: ["http.response.status_code", "http.status_code"],
  grpcStatus: ["rpc.status_code", "rpc.response.status_code", "rpc.grpc.status_code"],
  rpcError: ["rpc.connect_rpc.error_code", "rpc.jsonrpc.error_code"],
  errorType: ["error.type"],
  /** what Jaeger, Zipkin and OpenTracing clients set */
  errorFlag: ["error"],
  /** what an Envoy proxy (Istio) saw of the connection */
  proxyFlags: ["response_flags"],
  /** what tells a stream, which lasts as long as somebody listens */
  contentType: ["http.response.header.content-type", "http.response.header.content_type"],
  protocol: ["network.protocol.name", "net.protocol.name", "url.scheme", "http.scheme"],
  asksForStream: ["gen_ai.request.stream", "gen_ai.request.is_stream", "llm.is_streaming"],
  peerName: ["service.peer.name", "peer.service"],
  peerNamespace: ["service.peer.namespace"],
  dbSystem: ["db.system.name", "db.system"],
  dbNamespace: [
    "db.namespace",
    "db.name",
    "db.redis.database_index",
    "db.elasticsearch.cluster.name",
    "db.mssql.instance_name",
  ],
  dbStatus: ["db.response.status_code"],
  messagingSystem: ["messaging.system"],
  messagingOperation: ["messaging.operation.type", "messaging.operation"],
  destination: ["messaging.destination.template", "messaging.destination.name", "messaging.destination"],
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
  port: ["server.port", "net.peer.port"],
  networkPort: ["network.peer.port", "net.sock.peer.port"],
  faasName: ["faas.invoked_name"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Names on span events of exceptions. */
export const exceptionKeys = {
  event: "exception",
  type: "exception.type",
  message: "exception.message",
} as const;

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

/** All of them: what the analysis of many traces needs of attributes. */
export const meaningfulAttributes: ReadonlySet<string> = new Set([
  ...Object.values(spanKeys).flat(),
  ...Object.values(exceptionKeys),
  ...messageNumberKeys,
  ...Object.values(resourceKeys).flat(),
]);
