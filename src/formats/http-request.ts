import { type IncomingHttpHeaders, Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";

/** What a client trusts and shows over TLS; all PEM. Absent = the usual authorities, no certificate of its own. */
export interface ClientTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

interface HttpCall {
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
  /** larger answers are an error */
  readonly answerBytesMax: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Connections to one server that are kept for the next request. */
export interface HttpClient {
  /** Sends a request and reads the whole answer; redirects are answers too. Rejects when there is none. */
  send(url: string, call: HttpCall): Promise<HttpAnswer>;
  close(): void;
}

/** A client for http and https. Node's own `fetch` can neither trust nor show certificates of the caller's choice. */
export function createHttpClient(tls: ClientTls): HttpClient {
  const plain = new PlainAgent({ keepAlive: true });
  const secure = new TlsAgent({ keepAlive: true, ...tls });
  return {
    send: (url, call) =>
      new Promise((resolve, reject) => {
        const isSecure = url.startsWith("https:");
        const { method, signal, body } = call;
        const length = body === undefined ? {} : { "content-length": String(body.length) };
        const headers = { ...call.headers, ...length };
        const outgoing = isSecure
          ? tlsRequest(url, { method, headers, signal, agent: secure })
          : plainRequest(url, { method, headers, signal, agent: plain });
        outgoing.on("error", reject);
        outgoing.on("response", (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size <= call.answerBytesMax) chunks.push(chunk);
            else outgoing.destroy(new Error(`the answer is larger than ${call.answerBytesMax} bytes`));
          });
          response.on("end", () => {
            const { statusCode: status = 0 } = response;
            resolve({ status, headers: response.headers, body: Buffer.concat(chunks, size) });
          });
          response.on("error", reject);
        });
        outgoing.end(body);
      }),
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

/** What went wrong with a connection, and the way out where it is a matter of TLS. */
export function connectionFailure(error: unknown): { readonly message: string; readonly hint: string } {
  const { code = "", message = "" } = error as { readonly code?: string; readonly message?: string };
  if (code.startsWith("HPE_"))
    return {
      message: "what listens there does not speak HTTP/1.1",
      hint: "If it is a gRPC port, say grpc:// instead of http://; else check the port.",
    };
  return { message: message === "" ? code : message, hint: hintOf(code, message) };
}

function hintOf(code: string, message: string): string {
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|self[- ]signed|unable to (verify|get)/i.test(code + message))
    return "If you trust this server, name the certificate of its authority with --ca-file FILE.";
  if (/CERT_REQUIRED|BAD_CERTIFICATE|certificate required|bad certificate/i.test(code + message))
    return "The server asks for a certificate: --client-cert-file FILE --client-key-file FILE";
  if (code === "EPROTO" || /wrong version number|packet length too long/i.test(message))
    return "The server does not seem to speak TLS there; try http:// instead of https://.";
  if (code === "ECONNRESET" || /socket hang up/.test(message))
    return "If the server speaks TLS there, use https:// instead of http://.";
  return "";
}
