import { randomBytes } from "node:crypto";
import type { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import type { RunningServer } from "../cli/run-hypocenter.ts";
import { ask } from "../conformance/ask.ts";
import { rowsOf, tableOf } from "../notation.ts";

/** What a sender knows of one request: it holds one of the two spans of a trace. */
export interface Sent {
  readonly trace: number;
  readonly part: 1 | 2;
  /** when it was sent that was acknowledged, Unix milliseconds; null = it was not yet */
  acknowledgedFrom: number | null;
  /** how often it was sent: a server that was killed may have had it, and not come to say so */
  attempts: number;
}

/** What a sender has sent, and what was acknowledged. */
export class Ledger {
  readonly sent: Sent[] = [];
  /** those that are to be sent again */
  readonly #open: Sent[] = [];
  #next = 0;
  readonly agent: Agent;
  /** what servers have answered */
  readonly statuses = new Map<number, number>();
  slowestMs = 0;

  constructor(agent: Agent) {
    this.agent = agent;
  }

  /** Sends one request after the other until the server is gone. */
  async sendUntilGone(server: RunningServer): Promise<void> {
    for (;;) {
      const request = this.#open.pop() ?? this.#begin();
      if (await this.#send(server, request)) continue;
      this.#open.push(request);
      return;
    }
  }

  /** Sends one request after the other; what is refused comes again a little later. */
  async sendWhile(server: RunningServer, isWanted: () => boolean): Promise<void> {
    while (isWanted()) {
      const request = this.#open.pop() ?? this.#begin();
      if (await this.#send(server, request)) continue;
      this.#open.push(request);
      await pause(100);
    }
  }

  /** Sends what is open; answers how many requests were refused. */
  async sendOpen(server: RunningServer): Promise<number> {
    let refused = 0;
    for (const request of this.#open.splice(0))
      if (!(await this.#send(server, request))) {
        refused += 1;
        this.#open.push(request);
      }
    return refused;
  }

  #begin(): Sent {
    const at = this.#next++;
    // Both parts of a trace may be far from each other, and in either order.
    const block = Math.floor(at / 200) * 100;
    const trace = 1_000 + block + (at % 100);
    const part = Math.floor(at / 100) % 2 === trace % 2 ? 1 : 2;
    const request: Sent = { trace, part, acknowledgedFrom: null, attempts: 0 };
    this.sent.push(request);
    return request;
  }

  /** Some large, some small, some packed by the sender. false = it was not acknowledged */
  async #send({ http }: RunningServer, request: Sent): Promise<boolean> {
    const { trace, part } = request;
    const note = randomBytes(trace % 3 === 0 ? 30_000 : 300).toString("base64url");
    const parent = part === 2 ? " parent=1" : "";
    const line = `web span-${trace}-${part} ${part}..9ms trace=${trace} id=${part}${parent} note=${note}`;
    const body = encodeTraces(rowsOf(tableOf(line)));
    const type = { "content-type": "application/x-protobuf" };
    const isPacked = trace % 2 === 0;
    const headers = isPacked ? { ...type, "content-encoding": "gzip" } : type;
    const from = Date.now();
    request.attempts += 1;
    try {
      const { status } = await ask(`http://${http}/v1/traces`, {
        method: "POST",
        headers,
        agent: this.agent,
        body: isPacked ? gzipSync(body) : body,
      });
      this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
      this.slowestMs = Math.max(this.slowestMs, Date.now() - from);
      if (status !== 200) return false;
      request.acknowledgedFrom = from;
      return true;
    } catch {
      // The server is gone.
      return false;
    }
  }
}
