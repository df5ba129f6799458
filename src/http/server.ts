import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { TlsIdentity } from "../engine/access.ts";
import { type Listener, type ListenOptions, listenOn, openSockets } from "../engine/listener.ts";

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** How long a client may take; one that is slower is answered 503, or cut where it waits between requests. */
export interface HttpTimeouts {
  readonly headersMs: number;
  readonly requestMs: number;
  readonly keepAliveMs: number;
  /** how often the first two are looked at */
  readonly checkMs: number;
}

export const defaultTimeouts: HttpTimeouts = {
  headersMs: 10_000,
  requestMs: 60_000,
  // Longer than the idle time of clients' pools (90 s), else they write into a connection that is being closed.
  keepAliveMs: 120_000,
  checkMs: 5_000,
};
const headerBytesMax = 16 * 1024;

export interface HttpListenOptions extends ListenOptions {
  readonly timeouts?: HttpTimeouts;
  /** null or absent = plain HTTP */
  readonly tls?: TlsIdentity | null;
  /** Clients without the certificate that they are asked for come in all the same: the handler looks who they are. */
  readonly admitsStrangers?: boolean;
  /** the answer to what no handler sees; absent = the plain one of Node */
  readonly unreadable?: (reason: UnreadableReason) => HttpAnswer;
}

/** Bytes that are no request, or are none in time. */
export type UnreadableReason = "malformed" | "headers_too_large" | "too_slow";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Serves a handler on an address; port 0 = any free one. Rejects with `address_in_use` and the like. */
export async function listenHttp(
  handler: HttpHandler,
  {
    timeouts = defaultTimeouts,
    tls = null,
    admitsStrangers = false,
    unreadable,
    ...address
  }: HttpListenOptions,
): Promise<Listener> {
  const options = {
    maxHeaderSize: headerBytesMax,
    headersTimeout: timeouts.headersMs,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: timeouts.keepAliveMs,
    connectionsCheckingInterval: timeouts.checkMs,
    noDelay: true,
  };
  const server =
    tls === null
      ? createServer(options, handler)
      : createTlsServer({ ...options, ...tlsOptions(tls, timeouts, admitsStrangers) }, handler);
  if (tls !== null && "setSecureContext" in server)
    tls.onChange((identity) => server.setSecureContext(identity));
  server.on("checkContinue", (request, response) => {
    askForBody(request, response);
    handler(request, response);
  });
  if (unreadable !== undefined) answerUnreadable(server, unreadable);
  const sockets = openSockets(server);
  const bound = await listenOn(server, address);
  return {
    ...bound,
    close: (graceMs) =>
      new Promise<void>((resolve) => {
        const cut = setTimeout(() => {
          server.closeAllConnections();
          // connections on which no request has begun, such as those that never finish their TLS handshake
          for (const socket of sockets) socket.destroy();
        }, graceMs);
        const idle = setInterval(() => server.closeIdleConnections(), 20);
        server.close(() => {
          clearTimeout(cut);
          clearInterval(idle);
          resolve();
        });
      }),
  };
}

function tlsOptions(tls: TlsIdentity, { headersMs }: HttpTimeouts, admitsStrangers: boolean) {
  return {
    ...tls.current(),
    requestCert: tls.asksClients,
    rejectUnauthorized: tls.asksClients && !admitsStrangers,
    handshakeTimeout: headersMs,
  };
}

/**
 * The client waits to be told to go on. It is, as soon as somebody reads the body; a refusal by the head alone spares it the
 * upload, and as nobody knows whether it sends the body all the same, the connection ends there.
 */
function askForBody(request: IncomingMessage, response: ServerResponse): void {
  const keepsAlive = response.shouldKeepAlive;
  response.shouldKeepAlive = false;
  const onListener = (event: string): void => {
    if ((event !== "data" && event !== "readable") || response.headersSent) return;
    request.off("newListener", onListener);
    response.shouldKeepAlive = keepsAlive;
    response.writeContinue();
  };
  request.on("newListener", onListener);
}

function answerUnreadable(server: Server, unreadable: (reason: UnreadableReason) => HttpAnswer): void {
  const latest = new WeakMap<Duplex, ServerResponse>();
  const note = ({ socket }: IncomingMessage, response: ServerResponse): void => {
    latest.set(socket, response);
  };
  server.on("request", note);
  server.on("checkContinue", note);
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const reason = unreadableReason(error.code ?? "");
    const response = latest.get(socket);
    // What came behind a request that is still being answered must not be taken for its answer.
    const isAnswering = response !== undefined && !response.writableFinished && response.req.complete;
    if (reason === null || isAnswering || !socket.writable) {
      socket.destroy();
      return;
    }
    const { status, headers, body } = unreadable(reason);
    const fields = Object.entries({ ...headers, Connection: "close", "Content-Length": String(body.length) });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n`);
    socket.end(body);
  });
}

function unreadableReason(code: string): UnreadableReason | null {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return "too_slow";
  if (code === "HPE_HEADER_OVERFLOW") return "headers_too_large";
  return code.startsWith("HPE_") ? "malformed" : null;
}
