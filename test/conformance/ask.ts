import { type Agent, type IncomingHttpHeaders, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { type ConnectionOptions, connect, type PeerCertificate } from "node:tls";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly agent?: Agent;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One request; over a connection of its own, unless an agent has one. */
export function ask(
  url: string,
  { body, method = body === undefined ? "GET" : "POST", ...rest }: Asked = {},
) {
  return new Promise<Answered>((resolve, reject) => {
    const send = url.startsWith("https:") ? tlsRequest : plainRequest;
    const call = send(url, { method, agent: false, ...rest }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
      );
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(body);
  });
}

/** Sends an export request with one span as JSON. */
export function sendSpan(base: string, asked: Asked = {}): Promise<Answered> {
  const headers = { "content-type": "application/json", ...asked.headers };
  return ask(`${base}/v1/traces`, { body: oneSpan, ...asked, headers });
}

const oneSpan = JSON.stringify({
  resourceSpans: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] },
      scopeSpans: [
        {
          spans: [
            {
              traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
              spanId: "00f067aa0ba902b7",
              name: "GET /cart",
              kind: 2,
              startTimeUnixNano: "1700000000000000000",
              endTimeUnixNano: "1700000000090000000",
            },
          ],
        },
      ],
    },
  ],
});

export interface Called {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly message?: Uint8Array;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** to go on with after this call, by the caller who then closes it */
  readonly client?: Client;
}

/** A client of a gRPC server; with an authority it speaks TLS. */
export function grpcClient(address: string, { ca, cert, key }: Called = {}): Client {
  const channel = ca === undefined ? credentials.createInsecure() : credentials.createSsl(ca, key, cert);
  return new Client(address, channel);
}

const traceExport = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

/** Calls a gRPC method, export of no spans unless told, and gives code and details; 0 = done. */
export function callGrpc(address: string, called: Called = {}): Promise<{ code: number; details: string }> {
  const { method = traceExport, headers = {}, message = new Uint8Array(0) } = called;
  const client = called.client ?? grpcClient(address, called);
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const options = { deadline: Date.now() + 5_000 };
  return new Promise((resolve) => {
    const done = (error: ServiceError | null): void => {
      if (called.client === undefined) client.close();
      resolve({ code: error?.code ?? 0, details: error?.details ?? "" });
    };
    client.makeUnaryRequest(method, asBuffer, asBuffer, message, metadata, options, done);
  });
}

/** What a server shows in a TLS handshake. Rejects where there is none. */
export function shownCertificate(address: string, options: ConnectionOptions): Promise<PeerCertificate> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: host!,
      port: Number(port),
      ALPNProtocols: ["h2", "http/1.1"],
      ...options,
    });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
  });
}
