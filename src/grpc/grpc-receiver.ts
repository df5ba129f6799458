import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import {
  type BodyFailure,
  contentCodingNames,
  contentCodingOf,
  Reservation,
  type UnpackedBody,
} from "../compression/request-body.ts";
import { type CredentialCheck, lackOf, type TlsIdentity } from "../engine/access.ts";
import { defaultConnectionsMax, type Listener, type ListenOptions } from "../engine/listener.ts";
import { type Signal, signals } from "../engine/ports.ts";
import { grpcServices, profilesService } from "../otlp/grpc-services.ts";
import {
  overShareMessage,
  profilesRefusal,
  type ReceiverOptions,
  receiveExport,
  refusedByFault,
  retrySeconds,
  signalRefusal,
} from "../otlp/receive-export.ts";
import { exportResponse, rpcCode, statusBody } from "../otlp/responses.ts";
import {
  type GrpcFailure,
  headerOf,
  isGrpc,
  MessageStream,
  receiveMessage,
  sendFailure,
  sendMessage,
} from "./grpc-call.ts";
import { GrpcHealth, healthPaths } from "./grpc-health.ts";
import { type ConnectionTimes, defaultConnectionTimes, listenHttp2 } from "./grpc-server.ts";

export interface GrpcReceiverOptions extends ReceiverOptions, ListenOptions {
  /** null or absent = without TLS */
  readonly tls?: TlsIdentity | null;
  /** null or absent = nobody is asked */
  readonly credentials?: CredentialCheck | null;
  readonly times?: ConnectionTimes;
  /** how long a message may take to arrive; a sender that is slower is to send it again */
  readonly messageMsMax?: number;
}

/**
 * OTLP/gRPC for traces, metrics and logs, and the health check. Spoken by ourselves over HTTP/2, so that whatever comes in is
 * bounded while it comes in, by the budget that all receivers share, and unpacked in turn as over HTTP.
 */
export async function startGrpcReceiver(options: GrpcReceiverOptions): Promise<Listener> {
  const { host, port, connectionsMax = defaultConnectionsMax } = options;
  const { tls = null, times = defaultConnectionTimes } = options;
  const health = new GrpcHealth(
    signals.filter((s) => signalRefusal(s, options) === null).map((s) => grpcServices[s]),
  );
  const listener = await listenHttp2(
    (stream, headers) => void serve({ stream, headers, options, health, ...asked(stream, headers, options) }),
    { host, port, connectionsMax, tls, times },
  );
  return {
    ...listener,
    close: (graceMs) => {
      health.end();
      return listener.close(graceMs);
    },
  };
}

interface Call {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly options: GrpcReceiverOptions;
  readonly health: GrpcHealth;
  readonly method: Method | undefined;
  readonly isHealth: boolean;
  /** who calls: the name that credentials gave it, or its address */
  readonly client: string;
  readonly admission: "admitted" | "stranger" | "forbidden";
}

type Method = { readonly kind: "export"; readonly signal: Signal } | { readonly kind: "check" | "watch" };

const methods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ...signals.map((signal) => [`/${grpcServices[signal]}/Export`, { kind: "export", signal }] as const),
  [healthPaths.check, { kind: "check" }],
  [healthPaths.watch, { kind: "watch" }],
]);

/** What is called, and by whom. Health checks need no credentials. */
function asked(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { credentials = null }: GrpcReceiverOptions,
): Pick<Call, "method" | "isHealth" | "client" | "admission"> {
  const method = methods.get(headers[":path"] ?? "");
  const isHealth = method !== undefined && method.kind !== "export";
  const address = stream.session?.socket.remoteAddress ?? "";
  const shared = { method, isHealth };
  if (credentials === null || isHealth) return { ...shared, client: address, admission: "admitted" };
  const caller = credentials.callerOf((header) => headerOf(headers, header));
  if (caller === null) return { ...shared, client: address, admission: "stranger" };
  const admission = caller.roles.includes("ingest") ? "admitted" : "forbidden";
  return { ...shared, client: caller.client || address, admission };
}

/** Never rejects: what is received is always answered, and its room given back. */
async function serve(call: Call): Promise<void> {
  const { stream, options } = call;
  // That the client has gone shows in what it leaves behind, a message cut off.
  stream.on("error", () => {});
  const budget = call.isHealth ? call.health.budget : options.budget;
  const reservation = new Reservation(budget, call.client);
  try {
    const answer = await answerOf(call, reservation);
    if (answer instanceof Uint8Array) sendMessage(stream, answer);
    else if (answer !== null) sendFailure(stream, answer);
  } catch (fault) {
    // INTERNAL or UNKNOWN would make the sender drop its data.
    sendFailure(stream, retryLater(refusedByFault(fault, options).message));
  }
  reservation.giveBackAll();
}

/** The message or the failure to answer with; null = the call is answered, or nobody is there any more. */
async function answerOf(call: Call, reservation: Reservation): Promise<Uint8Array | GrpcFailure | null> {
  const { stream, headers, options, health, method, isHealth } = call;
  if (!isHealth) options.counters.count("requests_total");
  if (!isGrpc(headers)) return refuseOtherProtocol(call);
  if (call.admission === "stranger") return strangerFailure(options);
  if (call.admission === "forbidden") return forbiddenFailure(options);
  if (method === undefined) return unsupported(absenceOf(headers[":path"] ?? ""), options);
  const refusal = method.kind === "export" ? signalRefusal(method.signal, options) : null;
  if (refusal !== null) return unsupported(refusal, options);
  const codingName = headerOf(headers, "grpc-encoding");
  const coding = contentCodingOf(codingName);
  if (coding === null) {
    const message = `grpc-encoding "${codingName ?? ""}" is not unpacked here; send ${contentCodingNames}`;
    return unsupported(message, options);
  }
  const late = setTimeout(
    () => sendFailure(stream, retryLater("the message took too long to arrive")),
    options.messageMsMax ?? messageMsDefault,
  );
  const bytesMax = isHealth ? healthBytesMax : options.bodyBytesMax;
  const limits = { reservation, bytesMax };
  const message = await receiveMessage(stream, coding, limits).finally(() => clearTimeout(late));
  if ("kind" in message) return messageFailure(message, options, bytesMax);
  if (method.kind === "export") return exported(method.signal, message, call);
  if (method.kind === "check") return health.check(message.body);
  return health.watch(message.body, () => new MessageStream(stream));
}

const messageMsDefault = 60_000;
const healthBytesMax = 4 * 1024;

function unsupported(message: string, { counters }: GrpcReceiverOptions): GrpcFailure {
  counters.count("unsupported_requests_total");
  return { code: rpcCode.unimplemented, message };
}

function absenceOf(path: string): string {
  return path === `/${profilesService}/Export` ? profilesRefusal : `no method ${path} here`;
}

/** Calls without known credentials are turned away before their message is read. */
function strangerFailure({ credentials, counters }: GrpcReceiverOptions): GrpcFailure {
  counters.count("unauthenticated_requests_total");
  const message = `no credentials that this server knows. ${credentials?.hint ?? ""}`;
  return { code: rpcCode.unauthenticated, message };
}

function forbiddenFailure({ counters }: GrpcReceiverOptions): GrpcFailure {
  counters.count("forbidden_requests_total");
  const { message, hint } = lackOf("ingest");
  return { code: rpcCode.permissionDenied, message: `${message}. ${hint}` };
}

function refuseOtherProtocol({ stream, options }: Call): null {
  options.counters.count("unsupported_requests_total");
  const message =
    "this port speaks gRPC: content type application/grpc or application/grpc+proto; OTLP/HTTP has a port of its own";
  stream.respond({ ":status": 415, "content-type": "application/json" });
  stream.end(statusBody("json", rpcCode.invalidArgument, message));
  return null;
}

function messageFailure(
  failure: BodyFailure,
  { counters }: GrpcReceiverOptions,
  bytesMax: number,
): GrpcFailure | null {
  switch (failure.kind) {
    case "aborted":
      counters.count("aborted_requests_total");
      return null;
    case "too_large": {
      counters.count("oversize_requests_total");
      const message = `the message is larger than ${bytesMax} bytes after decompression; send smaller batches`;
      return { code: rpcCode.resourceExhausted, message };
    }
    case "busy":
      counters.count("refused_requests_total");
      return retryLater("too many requests are being received at once");
    case "over_share":
      counters.count("throttled_requests_total");
      return { code: rpcCode.resourceExhausted, message: overShareMessage, retrySeconds };
    case "corrupt":
      counters.count("malformed_requests_total");
      return { code: rpcCode.invalidArgument, message: `the message cannot be read: ${failure.message}` };
    default:
      return failure satisfies never;
  }
}

async function exported(
  signal: Signal,
  unpacked: UnpackedBody,
  call: Call,
): Promise<Uint8Array | GrpcFailure> {
  const received = { signal, encoding: "protobuf", ...unpacked } as const;
  const receipt = await receiveExport(call.options, received, call.client);
  switch (receipt.kind) {
    case "accepted":
      return exportResponse(signal, "protobuf", receipt.rejected, receipt.message);
    case "malformed":
      return { code: rpcCode.invalidArgument, message: receipt.message };
    case "refused":
      return retryLater(receipt.message);
    default:
      return receipt satisfies never;
  }
}

function retryLater(message: string): GrpcFailure {
  return { code: rpcCode.unavailable, message, retrySeconds };
}
