/** Every way in which an operation can fail for a reason outside hypocenter: code, exit code of commands, HTTP status. */
export const errorCatalogue = {
  usage: { exitCode: 2, status: 400 },
  bad_configuration: { exitCode: 2, status: 400 },
  bad_request: { exitCode: 2, status: 400 },
  bad_trace_id: { exitCode: 2, status: 400 },
  input_unreadable: { exitCode: 3, status: 400 },
  trace_not_found: { exitCode: 4, status: 404 },
  service_not_found: { exitCode: 4, status: 404 },
  incident_not_found: { exitCode: 4, status: 404 },
  not_found: { exitCode: 4, status: 404 },
  method_not_allowed: { exitCode: 2, status: 405 },
  unauthenticated: { exitCode: 2, status: 401 },
  forbidden: { exitCode: 2, status: 403 },
  host_not_allowed: { exitCode: 2, status: 421 },
  no_temporary_space: { exitCode: 3, status: 507 },
  body_too_large: { exitCode: 3, status: 413 },
  unsupported_media_type: { exitCode: 3, status: 415 },
  overloaded: { exitCode: 5, status: 503 },
  shutting_down: { exitCode: 5, status: 503 },
  server_unreachable: { exitCode: 5, status: 502 },
  address_in_use: { exitCode: 2, status: 500 },
  output_unwritable: { exitCode: 2, status: 500 },
} as const;

export type ErrorCode = keyof typeof errorCatalogue;

/** An operation that cannot be done, with the way out. Thrown on the adapter floors only. */
export class OperationError extends Error {
  override readonly name = "OperationError";
  readonly code: ErrorCode;
  /** what the user can do about it */
  readonly hint: string;

  constructor(code: ErrorCode, message: string, hint = "", cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}

/** Someone asked for an episode that a trace id does not have. */
export function unknownEpisode(traceId: string, count: number): OperationError {
  const message = `The trace id ${traceId} has ${count === 1 ? "one episode" : `${count} episodes`}`;
  return new OperationError("trace_not_found", message, `Ask for one from 1 to ${count}, or for none.`);
}
