import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { formatAddress, type Listener, listenError } from "../engine/listener.ts";

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** How long a client may take; one that is slower is answered 408, or cut where it waits between requests. */
export interface HttpTimeouts {
  readonly headersMs: number;
  readonly requestMs: number;
  readonly keepAliveMs: number;
  /** how often the first two are looked at */
  readonly checkMs: number;
}

const defaultTimeouts: HttpTimeouts = {
  headersMs: 10_000,
  requestMs: 60_000,
  // Longer than the idle time of clients' pools (90 s), else they write into a connection that is being closed.
  keepAliveMs: 120_000,
  checkMs: 5_000,
};
const headerBytesMax = 16 * 1024;
/** Open connections; more are turned away at once. */
const connectionsMax = 10_000;

/** Serves a handler on an address; port 0 = any free one. Rejects with `address_in_use` and the like. */
export async function listenHttp(
  handler: HttpHandler,
  {
    host,
    port,
    timeouts = defaultTimeouts,
  }: { readonly host: string; readonly port: number; readonly timeouts?: HttpTimeouts },
): Promise<Listener> {
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      keepAliveTimeout: timeouts.keepAliveMs,
      connectionsCheckingInterval: timeouts.checkMs,
      noDelay: true,
    },
    handler,
  );
  server.maxConnections = connectionsMax;
  await new Promise<void>((resolve, reject) => {
    // Stays for good: once bound, an error is a connection that could not be accepted, which its client sees.
    server.on("error", (error) => reject(listenError(error, formatAddress(host, port))));
    server.listen({ host, port }, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    port: bound.port,
    address: formatAddress(bound.address, bound.port),
    close: (graceMs) =>
      new Promise<void>((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), graceMs);
        const idle = setInterval(() => server.closeIdleConnections(), 20);
        server.close(() => {
          clearTimeout(cut);
          clearInterval(idle);
          resolve();
        });
      }),
  };
}
