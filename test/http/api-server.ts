import { type RequestOptions, request } from "node:http";
import { onTestFinished } from "vitest";
import { plainStyle, renderPrintable } from "../../src/cli/render-report.ts";
import { createEngine } from "../../src/engine/engine.ts";
import type { Clock } from "../../src/engine/ports.ts";
import { type ApiOptions, createApiHandler } from "../../src/http/api.ts";
import { listenHttp } from "../../src/http/server.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { createMemoryStore } from "../../src/storage/memory-store.ts";
import { notationStart, rowsOf, tableOf } from "../notation.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  json(): unknown;
}

export interface ApiClient {
  readonly port: number;
  get(
    path: string,
    options?: { readonly method?: string; readonly headers?: Record<string, string> },
  ): Promise<Answer>;
  /** a question in JSON */
  post(path: string, question: object, headers?: Record<string, string>): Promise<Answer>;
  /** any body */
  send(path: string, body: string, headers: Record<string, string>): Promise<Answer>;
}

const usualClock: Clock = {
  unixNanos: () => (notationStart + 60_000_000_000n) as UnixNanos,
  monotonicMs: () => performance.now(),
};

/** A real API on a free port over a real engine that has received the traces of a text; gone when the test ends. */
export async function startApi(
  text: string,
  options: Partial<ApiOptions> = {},
  clock = usualClock,
): Promise<ApiClient> {
  const onFault = (fault: unknown): never => {
    throw fault;
  };
  const store = createMemoryStore();
  const engine = createEngine({ store, clock, onFault });
  const table = tableOf(text);
  const received = { signal: "traces", encoding: "protobuf", body: encodeTraces(rowsOf(table)) } as const;
  await engine.ingest(received, { signal: "traces", table });
  const client = await serveApi({ query: engine, clock, stats: () => engine.stats(), ...options }, onFault);
  onTestFinished(async () => {
    await engine.stop();
    await store.close();
  });
  return client;
}

/** A real API on a free port; gone when the test ends. */
export async function serveApi(
  options: Pick<ApiOptions, "query" | "clock"> & Partial<ApiOptions>,
  onFault: (fault: unknown) => void,
): Promise<ApiClient> {
  const handler = createApiHandler({
    stats: () => ({}),
    version: "1.2.3",
    isReady: () => true,
    addresses: () => ({ grpc: "127.0.0.1:4317", http: "127.0.0.1:4318", api: "127.0.0.1:4320" }),
    renderReport: (shown, form) => renderPrintable(shown, { ...form, style: plainStyle }),
    allowedHosts: null,
    onFault,
    ...options,
  });
  const listener = await listenHttp(handler, { host: "127.0.0.1", port: 0 });
  onTestFinished(() => listener.close(0));
  const { port } = listener;
  return {
    port,
    get: (path, { method = "GET", headers = {} } = {}) => ask({ port, path, method, headers }),
    post: (path, question, headers = {}) => {
      const sent = { "content-type": "application/json", ...headers };
      return ask({ port, path, method: "POST", headers: sent }, JSON.stringify(question));
    },
    send: (path, body, headers) => ask({ port, path, method: "POST", headers }, body),
  };
}

/** node:http instead of fetch: paths go out as they are written, and Host can be chosen. */
function ask(target: RequestOptions, sent = ""): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", ...target }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        const { statusCode: status = 0, headers: received } = response;
        resolve({ status, headers: received, body, json: () => JSON.parse(body) as unknown });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(sent);
  });
}
