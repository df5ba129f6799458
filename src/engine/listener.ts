import type { AddressInfo, Server, Socket } from "node:net";
import { OperationError } from "./errors/operation-error.ts";

/** Something that takes connections on an address, whatever is spoken there. */
export interface Listener {
  readonly port: number;
  /** `host:port` in use; IPv6 hosts in brackets */
  readonly address: string;
  /** Takes nothing new, lets what is under way end for at most `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

/** Open connections of one server, unless configured. */
export const defaultConnectionsMax = 10_000;

export interface ListenOptions {
  readonly host: string;
  /** 0 = any free one */
  readonly port: number;
  /** open connections; more are turned away at once; default `defaultConnectionsMax` */
  readonly connectionsMax?: number;
}

/** Lets a server take connections on an address; port 0 = any free one. Rejects with `address_in_use` and the like. */
export async function listenOn(
  server: Server,
  { host, port, connectionsMax = defaultConnectionsMax }: ListenOptions,
): Promise<Pick<Listener, "port" | "address">> {
  server.maxConnections = connectionsMax;
  await new Promise<void>((resolve, reject) => {
    // Stays for good: once bound, an error is a connection that could not be accepted, which its client sees.
    server.on("error", (error) => reject(listenError(error, formatAddress(host, port))));
    server.listen({ host, port }, resolve);
  });
  const bound = server.address() as AddressInfo;
  return { port: bound.port, address: formatAddress(bound.address, bound.port) };
}

/** The connections of a server that are open now. */
export function openSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return sockets;
}

function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Why an address cannot be listened on. */
function listenError(error: Error, address: string): OperationError {
  if (error.message.includes("EADDRINUSE"))
    return new OperationError(
      "address_in_use",
      `${address} is in use by another program`,
      "Stop that program, or choose another port; 0 takes any free one.",
      error,
    );
  return new OperationError(
    "bad_configuration",
    `cannot listen on ${address}: ${error.message}`,
    "Check the host and the port; ports below 1024 need special rights.",
    error,
  );
}
