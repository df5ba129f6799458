import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Signal } from "../engine/ports.ts";
import { type ClientTls, connectionFailure, createHttpClient, type HttpAnswer } from "./http-request.ts";
import {
  answerMsMax,
  type Delivery,
  type OtlpTarget,
  readPartialSuccess,
  readStatus,
} from "./otlp-target.ts";

const compress = promisify(gzip);

/** OTLP answers are at most 4 MiB. */
const answerBytesMax = 4 << 20;

/** An OTLP/HTTP receiver: `base` is its address without `/v1/traces`. */
export function httpTarget(
  base: URL,
  headers: Readonly<Record<string, string>>,
  tls: ClientTls = {},
): OtlpTarget {
  const root = base.href.replace(/\/+$/, "");
  const client = createHttpClient(tls);
  return {
    async send(signal: Signal, request: Uint8Array, abort?: AbortSignal): Promise<Delivery> {
      const body = await compress(request, { level: 1 });
      const timeout = AbortSignal.timeout(answerMsMax);
      try {
        const answer = await client.send(`${root}/v1/${signal}`, {
          method: "POST",
          headers: { ...headers, "content-type": "application/x-protobuf", "content-encoding": "gzip" },
          body,
          signal: abort === undefined ? timeout : AbortSignal.any([abort, timeout]),
          answerBytesMax,
        });
        return deliveryOf(answer);
      } catch (error) {
        abort?.throwIfAborted();
        return failed(error);
      }
    },
    close: () => client.close(),
  };
}

function deliveryOf({ status, headers, body }: HttpAnswer): Delivery {
  const isJson = headers["content-type"]?.includes("json") === true;
  if (status >= 200 && status < 300) {
    const { rejected, message } = isJson ? partialSuccessOfJson(body) : readPartialSuccess(body);
    return { kind: "accepted", rejected, message };
  }
  const said = isJson ? textOfJson(body, "message") : readStatus(body).message;
  const message = `HTTP ${status}${said === "" ? "" : `: ${said}`}`;
  if (![429, 502, 503, 504].includes(status)) return { kind: "refused", message };
  return { kind: "retry", afterMs: retryAfter(headers["retry-after"] ?? null), message };
}

/** Seconds, or a date. */
function retryAfter(header: string | null): number | null {
  if (header === null) return null;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

/** Failures of a connection that did exist: the same request may well work over the next one. */
const brokenConnection = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT"]);

function failed(error: unknown): Delivery {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const { message, hint } = connectionFailure(cause);
  const isTimeout = cause instanceof Error && cause.name === "TimeoutError";
  return isTimeout || brokenConnection.has(code)
    ? { kind: "retry", afterMs: null, message }
    : { kind: "unreachable", message, hint };
}

function partialSuccessOfJson(body: Uint8Array): { rejected: number; message: string } {
  const partial = propertyOf(parsed(body), "partialSuccess");
  const counts = ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"].map((key) =>
    Number(propertyOf(partial, key) ?? 0),
  );
  const message = propertyOf(partial, "errorMessage");
  return {
    rejected: Math.max(0, ...counts.filter(Number.isFinite)),
    message: typeof message === "string" ? message : "",
  };
}

function textOfJson(body: Uint8Array, key: string): string {
  const text = propertyOf(parsed(body), key);
  return typeof text === "string" ? text : "";
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    // An answer that is no JSON after all says nothing more than its status did.
    return null;
  }
}

function propertyOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}
