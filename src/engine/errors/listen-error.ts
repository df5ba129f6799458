import { OperationError } from "./operation-error.ts";

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
