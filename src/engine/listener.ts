import { OperationError } from "./errors/operation-error.ts";

/** Something that takes connections on an address, whatever is spoken there. */
export interface Listener {
  readonly port: number;
  /** `host:port` in use; IPv6 hosts in brackets */
  readonly address: string;
  /** Takes nothing new, lets what is under way end for at most `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void>;
}

export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Why an address cannot be listened on, whichever library tried. */
export function listenError(error: Error, address: string): OperationError {
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
