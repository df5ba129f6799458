import { type RequestOptions, request } from "node:http";
import { onTestFinished } from "vitest";
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
  get(
    path: string,
    options?: { readonly method?: string; readonly headers?: Record<string, string> },
  ): Promise<Answer>;
  /** a question in JSON */
  post(path: string, question: object, headers?: Record<string, string>): Promise<Answer>;
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
  const handler = createApiHandler({
    query: engine,
    clock,
    version: "1.2.3",
    isReady: () => true,
    stats: () => engine.stats(),
    addresses: () => ({ grpc: "127.0.0.1:4317", http: "127.0.0.1:4318", api: "127.0.0.1:4320" }),
    allowedHosts: null,
    onFault,
    ...options,
  });
  const listener = await listenHttp(handler, { host: "127.0.0.1", port: 0 });
  onTestFinished(async () => {
    await listener.close(0);
    await engine.stop();
    await store.close();
  });
  const { port } = listener;
  return {
    get: (path, { method = "GET", headers = {} } = {}) => ask({ port, path, method, headers }),
    post: (path, question, headers = {}) =>
      ask(
        { port, path, method: "POST", headers: { "content-type": "application/json", ...headers } },
        JSON.stringify(question),
      ),
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
