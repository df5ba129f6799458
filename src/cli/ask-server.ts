import type { SettingValues } from "../config/settings.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { connectionFailure, createHttpClient } from "../formats/http-request.ts";
import { readClientAccess } from "./client-access.ts";

/** How long the server may take. */
const answerMsMax = 60_000;
/** Far above the longest report. */
const answerBytesMax = 256 << 20;

/** The API of a running hypocenter, asked over connections that are kept. */
export interface ServerQueries {
  /** What it answers to a GET. Rejects with the server's own error, or `server_unreachable`. */
  ask(path: string): Promise<string>;
  close(): void;
}

/** The server that `server` names, asked with the credentials and certificates of the settings. */
export async function openServer(settings: SettingValues): Promise<ServerQueries> {
  const { server } = settings;
  const { headers, tls } = await readClientAccess(settings);
  const client = createHttpClient(tls);
  return {
    async ask(path) {
      try {
        const signal = AbortSignal.timeout(answerMsMax);
        const answer = await client.send(server + path, { method: "GET", headers, signal, answerBytesMax });
        const text = answer.body.toString();
        if (answer.status === 200) return text;
        const { location } = answer.headers;
        const elsewhere = location === undefined ? "" : ` and points to ${location}`;
        throw (
          serverError(answer.status, text) ??
          unreachable(server, { message: `it answered with status ${answer.status}${elsewhere}`, hint: "" })
        );
      } catch (error) {
        if (error instanceof OperationError) throw error;
        const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
        throw unreachable(server, connectionFailure(cause), error);
      }
    },
    close: () => client.close(),
  };
}

/** The server's own error with its hint, or null where the answer is not one of hypocenter's. */
function serverError(status: number, text: string): OperationError | null {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  const error = (body as { readonly error?: Readonly<Record<string, unknown>> } | null)?.error;
  if (typeof error?.["message"] !== "string") return null;
  const hint = typeof error["hint"] === "string" ? error["hint"] : "";
  const { code } = error;
  if (code === "trace_not_found" || code === "service_not_found" || code === "incident_not_found")
    return new OperationError(code, error["message"], hint);
  return new OperationError(status >= 500 ? "server_unreachable" : "usage", error["message"], hint);
}

function unreachable(
  server: string,
  { message, hint }: ReturnType<typeof connectionFailure>,
  cause?: unknown,
): OperationError {
  return new OperationError(
    "server_unreachable",
    `No hypocenter answers at ${server}: ${message}`,
    hint === "" ? "Start one with `hypocenter serve`, or name another with --server URL." : hint,
    cause,
  );
}
