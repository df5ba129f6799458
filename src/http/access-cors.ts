import type { IncomingMessage, ServerResponse } from "node:http";

export interface CorsOptions {
  /** origins such as `https://app.example.com`; `*` stands for any characters */
  readonly allowedOrigins: readonly string[];
  /** headers that pages may send besides the usual ones; `*` = any */
  readonly allowedHeaders: readonly string[];
  /** how long a browser may keep the answer */
  readonly maxAgeMs: number;
}

/** Lets pages of some origins send; what they get is only whether their telemetry was taken. */
export interface Cors {
  /** Sets the headers that an answer needs; for a preflight it says what is allowed. */
  apply(request: IncomingMessage, response: ServerResponse): "request" | "allowed_preflight" | "stranger";
}

/** What OTLP exporters in browsers send. */
const usualHeaders = ["accept", "authorization", "content-encoding", "content-type", "x-requested-with"];

/** Cross-origin resource sharing; null where no origin is allowed. `tokenHeader` = a further header that pages may send. */
export function createCors(options: CorsOptions, tokenHeader: string | null): Cors | null {
  if (options.allowedOrigins.length === 0) return null;
  const origins = options.allowedOrigins.map((pattern) => pattern.toLowerCase().split("*"));
  const further = [...options.allowedHeaders, ...(tokenHeader === null ? [] : [tokenHeader])];
  const headers = [...new Set([...usualHeaders, ...further.map((name) => name.toLowerCase())])];
  return {
    apply(request, response) {
      response.setHeader("Vary", "Origin");
      const { origin } = request.headers;
      const method = request.headers["access-control-request-method"];
      const isPreflight = request.method === "OPTIONS" && origin !== undefined && method !== undefined;
      if (origin === undefined || !origins.some((parts) => matches(origin.toLowerCase(), parts)))
        return isPreflight ? "stranger" : "request";
      // The origin itself, never `*`: beacons come with credentials, and browsers then take nothing else.
      response.setHeader("Access-Control-Allow-Origin", origin);
      response.setHeader("Access-Control-Allow-Credentials", "true");
      response.setHeader("Access-Control-Expose-Headers", "Retry-After");
      if (!isPreflight) return "request";
      response.setHeader("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
      response.setHeader("Access-Control-Allow-Methods", "POST");
      const asked = request.headers["access-control-request-headers"];
      const allowed = headers.includes("*") ? (asked ?? "") : headers.join(", ");
      if (allowed !== "") response.setHeader("Access-Control-Allow-Headers", allowed);
      response.setHeader("Access-Control-Max-Age", String(Math.floor(options.maxAgeMs / 1000)));
      if (request.headers["access-control-request-private-network"] === "true")
        response.setHeader("Access-Control-Allow-Private-Network", "true");
      return "allowed_preflight";
    },
  };
}

/** Whether a text is the parts in their order with anything between them. No regular expression: the text is hostile. */
function matches(text: string, parts: readonly string[]): boolean {
  const [first = "", ...others] = parts;
  const last = others.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of others) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length >= at + last.length && text.endsWith(last);
}
