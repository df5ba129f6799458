import type { IncomingMessage, ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import { type Caller, type CredentialCheck, lackOf } from "../engine/access.ts";
import type { Encoding } from "../engine/ports.ts";
import type { ReceiverCounters } from "../engine/receiver-counters.ts";
import { rpcCode, statusBody } from "../otlp/responses.ts";
import type { Cors } from "./access-cors.ts";
import { contentTypes, encodingOf, type OtlpHttpHandler } from "./otlp-handler.ts";
import type { HttpHandler } from "./server.ts";

export interface OtlpAccess {
  /** null = pages of other origins get no answer that they can read */
  readonly cors: Cors | null;
  /** null = nobody is asked */
  readonly credentials: CredentialCheck | null;
  readonly counters: ReceiverCounters;
}

/** Stands before an OTLP/HTTP handler: preflights of browsers end here, and so do requests of those who may not send, unread. */
export function guardOtlp(
  handler: OtlpHttpHandler,
  { cors, credentials, counters }: OtlpAccess,
): HttpHandler {
  if (cors === null && credentials === null) return handler;
  return (request, response) => {
    const origin = cors?.apply(request, response) ?? "request";
    if (origin === "allowed_preflight") {
      response.writeHead(204, { "Content-Length": 0 });
      response.end();
      return;
    }
    if (origin === "stranger") {
      refuseOrigin(request, response);
      return;
    }
    if (credentials === null) {
      handler(request, response);
      return;
    }
    const caller = callerOf(credentials, request);
    if (caller?.roles.includes("ingest") === true) {
      handler(request, response, caller.client);
      return;
    }
    counters.count("requests_total");
    counters.count(caller === null ? "unauthenticated_requests_total" : "forbidden_requests_total");
    if (caller === null) refuseStranger(request, response, credentials);
    else refuseCaller(request, response);
  };
}

/** Who sends a request, by the credentials that it shows; null = a stranger. */
export function callerOf(credentials: CredentialCheck, { headers }: IncomingMessage): Caller | null {
  return credentials.callerOf((name) => {
    const value = headers[name];
    return typeof value === "string" ? value : value?.[0];
  });
}

/** Whether a client has shown a certificate of an authority that the listener trusts. */
export function showsCertificate({ socket }: IncomingMessage): boolean {
  return socket instanceof TLSSocket && socket.authorized;
}

function refuseOrigin(request: IncomingMessage, response: ServerResponse): void {
  const origin = (request.headers.origin ?? "").slice(0, 200);
  const message = `pages of ${origin} may not send here; cors_allowed_origins names those that may`;
  refuse(response, 403, "json", statusBody("json", rpcCode.permissionDenied, message));
}

function refuseStranger(
  request: IncomingMessage,
  response: ServerResponse,
  { hint, challenges }: CredentialCheck,
): void {
  response.setHeader("WWW-Authenticate", [...challenges]);
  const encoding = encodingOf(request.headers["content-type"]) ?? "json";
  const message = `no credentials that this server knows. ${hint}`;
  refuse(response, 401, encoding, statusBody(encoding, rpcCode.unauthenticated, message));
}

function refuseCaller(request: IncomingMessage, response: ServerResponse): void {
  const encoding = encodingOf(request.headers["content-type"]) ?? "json";
  const { message, hint } = lackOf("ingest");
  refuse(response, 403, encoding, statusBody(encoding, rpcCode.permissionDenied, `${message}. ${hint}`));
}

function refuse(response: ServerResponse, status: number, encoding: Encoding, body: Uint8Array): void {
  response.writeHead(status, { "Content-Type": contentTypes[encoding], "Content-Length": body.length });
  response.end(body);
}
