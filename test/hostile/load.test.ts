import { Agent, request } from "node:http";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { rowsOf, tableOf } from "../notation.ts";

const normal = Buffer.from(
  encodeTraces(rowsOf(tableOf("web GET / 0..9ms client\n  cart GET / 1..8ms server"))),
);
const levels = 50_000;
const nested = `{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":${'{"arrayValue":{"values":['.repeat(levels)}{}${"]}}".repeat(levels)}}]}}]}`;

const bombs: Readonly<
  Record<string, { readonly headers: Readonly<Record<string, string>>; readonly body: Buffer }>
> = {
  "of 64 MB in gzip": {
    headers: { "content-type": "application/x-protobuf", "content-encoding": "gzip" },
    body: gzipSync(Buffer.alloc(64 << 20), { level: 1 }),
  },
  "of 50,000 levels": { headers: { "content-type": "application/json" }, body: Buffer.from(nested) },
  "of 200,000 groups": {
    headers: { "content-type": "application/x-protobuf" },
    body: Buffer.alloc(200_000, 0x0b),
  },
};

/** Fifty of these would be 600 MB: the budget is what keeps many bombs at once from adding up. */
const bodyBytesMax = 12 << 20;

test.each(Object.keys(bombs))(
  "P13, P16: fifty bombs %s at a time leave the load unharmed and memory flat",
  async (name) => {
    const { headers, body } = bombs[name] as (typeof bombs)[string];
    const server = await otlpServer({ bodyBytesMax });
    const agent = new Agent({ keepAlive: true, maxSockets: 60 });
    onTestFinished(async () => {
      agent.destroy();
      await server.close();
    });
    const send = (sent: Buffer, as: Readonly<Record<string, string>>): Promise<number> =>
      new Promise((resolve, reject) => {
        const call = request(
          `${server.url}/v1/traces`,
          { method: "POST", headers: as, agent },
          (response) => {
            response.resume();
            response.on("end", () => resolve(response.statusCode ?? 0));
          },
        );
        call.on("error", reject);
        call.end(sent);
      });
    const rssBefore = process.memoryUsage.rss();
    let rssMost = 0;
    const state = { isOver: false };
    const answers: number[] = [];
    let slowestMs = 0;
    const load = (async () => {
      while (!state.isOver) {
        const startedAt = performance.now();
        answers.push(await send(normal, { "content-type": "application/x-protobuf" }));
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
        rssMost = Math.max(rssMost, process.memoryUsage.rss());
        server.handed.length = 0;
      }
    })();
    const statuses = await Promise.all(Array.from({ length: 50 }, () => send(body, headers)));
    state.isOver = true;
    await load;
    for (const status of statuses) expect([200, 400, 413, 503]).toContain(status);
    expect(answers.length).toBeGreaterThan(0);
    // under load a sender may be asked to come back; it is never refused for good
    for (const status of answers) expect([200, 503]).toContain(status);
    expect(slowestMs).toBeLessThan(10_000);
    expect(rssMost - rssBefore).toBeLessThan(512 << 20);
    expect(await send(normal, { "content-type": "application/x-protobuf" })).toBe(200);
    expect([server.faults, server.budget.used]).toEqual([[], 0]);
  },
);
