import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { listenError } from "../engine/errors/listen-error.ts";

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

export interface HttpListener {
  readonly port: number;
  /** `host:port` in use; IPv6 hosts in brackets */
  readonly address: string;
  /** Stops accepting, lets running requests end for at most `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

const headersTimeoutMs = 10_000;
const requestTimeoutMs = 60_000;
/** Longer than the idle time of clients' pools (90 s), else they write into a connection that is being closed. */
const keepAliveTimeoutMs = 120_000;
const headerBytesMax = 16 * 1024;
/** Open connections; more are turned away at once. */
const connectionsMax = 10_000;

/** Serves a handler on an address; port 0 = any free one. Rejects with `address_in_use` and the like. */
export async function listenHttp(
  handler: HttpHandler,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<HttpListener> {
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: 5_000,
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

function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
