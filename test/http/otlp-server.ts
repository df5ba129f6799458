import { Agent } from "node:http";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import type { Decoded, IngestPort, ReceivedBody } from "../../src/engine/ports.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import {
  answerUnreadable,
  createOtlpHttpHandler,
  type OtlpHttpOptions,
} from "../../src/http/otlp-handler.ts";
import { type HttpTimeouts, listenHttp } from "../../src/http/server.ts";
import { decodeSpans } from "../../src/otlp/decode-body.ts";
import { ask } from "../conformance/ask.ts";

interface Handed {
  readonly received: ReceivedBody;
  readonly decoded: Decoded;
}

/** An OTLP/HTTP server on a free port that remembers what it was handed. */
export async function otlpServer(
  changes: Partial<OtlpHttpOptions> & {
    readonly timeouts?: HttpTimeouts;
    readonly connectionsMax?: number;
    readonly maxSockets?: number;
  } = {},
) {
  const handed: Handed[] = [];
  const faults: unknown[] = [];
  const options: OtlpHttpOptions = {
    ingest: rememberIn(handed),
    budget: new ByteBudget(256 * 1024 * 1024),
    counters: new ReceiverCounters("http"),
    bodyBytesMax: 64 * 1024 * 1024,
    onFault: (fault) => faults.push(fault),
    ...changes,
  };
  // One connection for all, unless asked for: an answer that spoils it for the next request would show.
  const agent = new Agent({ keepAlive: true, maxSockets: changes.maxSockets ?? 1 });
  const listener = await listenHttp(createOtlpHttpHandler(options), {
    host: "127.0.0.1",
    port: 0,
    unreadable: answerUnreadable,
    ...(changes.connectionsMax === undefined ? {} : { connectionsMax: changes.connectionsMax }),
    ...(changes.timeouts === undefined ? {} : { timeouts: changes.timeouts }),
  });
  return {
    ...options,
    handed,
    faults,
    listener,
    url: `http://${listener.address}`,
    close: () => {
      agent.destroy();
      return listener.close(1_000);
    },
    count: (name: string) => options.counters.stats()[`otlp_http_${name}`],
    send: (path: string, headers: Record<string, string>, body: Uint8Array, method = "POST") =>
      ask(`http://${listener.address}${path}`, { method, headers, agent, body }),
  };
}

/** What was handed over, with all attributes of spans: as a store reads them from the body. */
export function wholeOf({ encoding, body }: ReceivedBody, decoded: Decoded): Decoded {
  return decoded.signal === "traces" ? { ...decoded, table: decodeSpans(encoding, body).table } : decoded;
}

function rememberIn(handed: Handed[]): IngestPort {
  return {
    ingest: (received, decoded) => {
      handed.push({ received, decoded: wholeOf(received, decoded) });
      return Promise.resolve();
    },
  };
}
