import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { Signal } from "../engine/ports.ts";
import { grpcServices } from "../otlp/grpc-services.ts";
import { type ClientTls, connectionFailure } from "./http-request.ts";
import {
  answerMsMax,
  type Delivery,
  type OtlpTarget,
  readPartialSuccess,
  readStatus,
} from "./otlp-target.ts";

/** The gRPC codes after which OTLP senders try again; RESOURCE_EXHAUSTED only with a RetryInfo. */
const retryable: readonly number[] = [
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
];

/** An OTLP/gRPC receiver at `host:port`; `tls` of null = without TLS. */
export function grpcTarget(
  address: string,
  tls: ClientTls | null,
  headers: Readonly<Record<string, string>>,
): OtlpTarget {
  const channel =
    tls === null
      ? credentials.createInsecure()
      : credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null);
  const client = new Client(address, channel, {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
    "grpc.max_receive_message_length": 4 << 20,
  });
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return {
    send: (signal, request, abort) => send(client, metadata, { signal, request, abort }),
    close: () => client.close(),
  };
}

interface Call {
  readonly signal: Signal;
  readonly request: Uint8Array;
  readonly abort: AbortSignal | undefined;
}

function send(client: Client, metadata: Metadata, { signal, request, abort }: Call): Promise<Delivery> {
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      `/${grpcServices[signal]}/Export`,
      (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      (bytes: Buffer) => bytes,
      request,
      metadata,
      { deadline: Date.now() + answerMsMax },
      (error, response) => {
        abort?.removeEventListener("abort", cancel);
        if (abort?.aborted === true)
          reject(abort.reason instanceof Error ? abort.reason : new Error("aborted"));
        else if (error !== null) resolve(deliveryOf(error));
        else resolve({ kind: "accepted", ...readPartialSuccess(response ?? Buffer.alloc(0)) });
      },
    );
    const cancel = (): void => call.cancel();
    abort?.addEventListener("abort", cancel, { once: true });
  });
}

function deliveryOf(error: ServiceError): Delivery {
  const details = error.metadata?.get("grpc-status-details-bin")[0];
  const retryMs = details instanceof Uint8Array ? readStatus(details).retryMs : null;
  const message = `gRPC ${status[error.code]}: ${error.details}`;
  if (
    error.code === status.UNAVAILABLE &&
    /ECONNREFUSED|ENOTFOUND|Name resolution|EHOSTUNREACH/i.test(error.details)
  )
    return { kind: "unreachable", message };
  const { hint } = connectionFailure({ message: error.details });
  if (error.code === status.UNAVAILABLE && hint !== "") return { kind: "unreachable", message, hint };
  const isRetryable =
    retryable.includes(error.code) || (error.code === status.RESOURCE_EXHAUSTED && retryMs !== null);
  return isRetryable ? { kind: "retry", afterMs: retryMs, message } : { kind: "refused", message };
}
