import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2";
import type { Socket } from "node:net";
import type { TlsIdentity } from "../engine/access.ts";
import { type Listener, type ListenOptions, listenOn, openSockets } from "../engine/listener.ts";

/** How long connections live. */
export interface ConnectionTimes {
  /** After about this time a client is asked to connect anew, so that a balancer may choose again; null = never. */
  readonly ageMs: number | null;
  /** how long its calls may go on then */
  readonly ageGraceMs: number;
  /** how often a client is asked whether it is still there, and how long it may take to say so */
  readonly pingMs: number;
  readonly pongMs: number;
}

export const defaultConnectionTimes: ConnectionTimes = {
  ageMs: null,
  ageGraceMs: 30_000,
  pingMs: 60_000,
  pongMs: 20_000,
};

export interface GrpcListenOptions extends ListenOptions {
  /** null = without TLS */
  readonly tls: TlsIdentity | null;
  readonly times: ConnectionTimes;
}

export type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** Serves streams of HTTP/2 on an address. Rejects with `address_in_use` and the like. */
export async function listenHttp2(
  handler: StreamHandler,
  { tls, times, ...address }: GrpcListenOptions,
): Promise<Listener> {
  const server = serverOf(tls);
  const sockets = openSockets(server);
  const sessions = new Set<ServerHttp2Session>();
  server.on("connection", (socket: Socket) => socket.setNoDelay(true));
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.setLocalWindowSize(connectionWindowBytes);
    keepAlive(session, times);
  });
  server.on("stream", handler);
  const bound = await listenOn(server, address);
  return {
    ...bound,
    close: (graceMs) =>
      new Promise<void>((resolve) => {
        const cut = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
        }, graceMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        for (const session of sessions) endGently(session);
      }),
  };
}

/** Calls at once on one connection. */
const callsPerConnectionMax = 1_000;

/** Bytes that a client may send before they are read, for one call and for all of a connection: what a fast network needs. */
const callWindowBytes = 1 << 20;
const connectionWindowBytes = 8 << 20;

const serverOptions: ServerOptions = {
  settings: {
    maxConcurrentStreams: callsPerConnectionMax,
    initialWindowSize: callWindowBytes,
    maxHeaderListSize: 16 * 1024,
    enablePush: false,
  },
  /** megabytes of one connection, its window included; above it calls are refused */
  maxSessionMemory: 64,
};

function serverOf(tls: TlsIdentity | null): Http2Server {
  if (tls === null) return createServer(serverOptions);
  const server = createSecureServer({
    ...serverOptions,
    ...tls.current(),
    requestCert: tls.asksClients,
    rejectUnauthorized: tls.asksClients,
    handshakeTimeout: 10_000,
  });
  tls.onChange((identity) => server.setSecureContext(identity));
  return server;
}

/** A connection whose client does not answer is cut, one that has grown old is ended. */
function keepAlive(
  session: ServerHttp2Session,
  { ageMs, ageGraceMs, pingMs, pongMs }: ConnectionTimes,
): void {
  let cut: NodeJS.Timeout | undefined;
  const ping = setInterval(() => {
    if (session.destroyed) return;
    const silence = setTimeout(() => session.destroy(), pongMs);
    session.ping(() => clearTimeout(silence));
  }, pingMs);
  const old =
    ageMs === null
      ? undefined
      : setTimeout(
          () => {
            endGently(session);
            cut = setTimeout(() => session.destroy(), ageGraceMs);
          },
          // Clients that came together do not come back together.
          ageMs * (0.9 + 0.2 * Math.random()),
        );
  session.once("close", () => {
    clearInterval(ping);
    clearTimeout(old);
    clearTimeout(cut);
  });
}

/** The client makes no new calls on a connection, and those under way go on. */
function endGently(session: ServerHttp2Session): void {
  if (session.destroyed) return;
  // The highest id says that calls which are on their way now may still come.
  session.goaway(0, 2 ** 31 - 1);
  session.close();
}
