import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { lz4Bomb, lz4Frame } from "../compression/lz4-frames.ts";
import { skippableFrame, zstdBomb, zstdFrame } from "../compression/zstd-frames.ts";
import type { Answered } from "../conformance/ask.ts";
import { rowsOf, tableOf } from "../notation.ts";
import { otlpServer } from "./otlp-server.ts";

const spans = encodeTraces(rowsOf(tableOf("web  GET /cart  0..90ms  server error")));
/** larger than what is decompressed at once */
const many = Buffer.concat(Array.from({ length: 40_000 }, () => spans));

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

async function serve(...args: Parameters<typeof otlpServer>): ReturnType<typeof otlpServer> {
  const server = await otlpServer(...args);
  open.push(server);
  return server;
}

type Server = Awaited<ReturnType<typeof otlpServer>>;

function post(server: Server, coding: string, body: Uint8Array): Promise<Answered> {
  const headers = { "content-type": "application/x-protobuf", "content-encoding": coding };
  return server.send("/v1/traces", headers, body);
}

/** C-1, C-2: what may come, and is read to its end. */
test.each([
  ["identity", many],
  ["gzip", gzipSync(many)],
  ["gzip", Buffer.concat([gzipSync(spans), gzipSync(many.subarray(spans.length))])],
  ["X-Gzip", gzipSync(many)],
  ["deflate", deflateSync(many)],
  ["zlib", deflateSync(many)],
  ["snappy", snappyBlock(many)],
  ["lz4", lz4Frame(many)],
  ["zstd", zstdFrame(many)],
  [
    "Zstd",
    Buffer.concat([zstdFrame(spans, 19), skippableFrame(spans), zstdFrame(many.subarray(spans.length))]),
  ],
])("a body in %s arrives as it was", async (coding, body) => {
  const server = await serve();
  expect((await post(server, coding, body)).status).toBe(200);
  expect(many.equals(server.handed[0]!.received.body)).toBe(true);
  expect(server.budget.used).toBe(0);
});

test.each(["br", "compress", "gzip, gzip", "gzip, zstd", "identity,gzip", "snappy;q=1"])(
  "a body in %s is a 415 that lists what is taken",
  async (coding) => {
    const server = await serve();
    const reply = await post(server, coding, spans);
    expect(reply.status).toBe(415);
    expect(reply.body.toString()).toContain("must be gzip, deflate, zstd, snappy, lz4 or identity");
  },
);

test.each([
  ["gzip", Buffer.alloc(0), "unexpected end of file"],
  ["gzip", gzipSync(many).subarray(0, 500), "unexpected end of file"],
  ["deflate", deflateRawSync(spans), "incorrect header check"],
  ["snappy", snappyBlock(many).subarray(0, 500), "the snappy data"],
  ["lz4", lz4Frame(many).subarray(0, 500), "the lz4 data is cut off in the middle"],
  ["zstd", Buffer.alloc(0), "the zstd stream is empty"],
  ["zstd", Buffer.from(spans), "not the beginning of a zstd frame"],
  ["zstd", zstdFrame(spans).subarray(0, 40), "is cut off in the middle"],
  ["zstd", Buffer.concat([zstdFrame(many), zstdFrame(spans).subarray(0, 20)]), "is cut off in the middle"],
])("damaged %s is a 400 that says what is wrong", async (coding, body, why) => {
  const server = await serve();
  const reply = await post(server, coding, body);
  expect([reply.status, reply.body.toString()]).toEqual([400, expect.stringContaining(why)]);
  expect(server.count("malformed_requests_total")).toBe(1);
  expect(server.budget.used).toBe(0);
});

test("a body that is compressed without saying so gets a hint", async () => {
  const server = await serve();
  expect((await post(server, "identity", zstdFrame(spans))).body.toString()).toMatch(
    /looks like zstd; was Content-Encoding forgotten/,
  );
});

/** C-3 */
describe("bombs", () => {
  const bombs = {
    gzip: gzipSync(Buffer.alloc(100_000_000), { level: 1 }),
    deflate: deflateSync(Buffer.alloc(100_000_000), { level: 1 }),
    zstd: zstdBomb(4_000_000_000),
    snappy: snappyBlock(Buffer.alloc(0), 4_000_000_000),
    lz4: lz4Bomb(17),
  };
  const bytesMax = 8 * 1024 * 1024;

  test.each(Object.entries(bombs))("one of %s is a 413, and nothing of it stays", async (coding, bomb) => {
    const server = await serve();
    expect((await post(server, coding, bomb)).status).toBe(413);
    expect(server.count("oversize_requests_total")).toBe(1);
    expect(server.budget.used).toBe(0);
  });

  test("fifty at once take the memory of one, and normal requests are served meanwhile", async () => {
    const budget = new PeakBudget(256 * 1024 * 1024);
    const server = await serve({ budget, bodyBytesMax: bytesMax, maxSockets: 100 });
    const before = process.memoryUsage().rss;
    let rssPeak = before;
    const codings = Object.entries(bombs);
    const flying = new Set<Promise<Answered>>();
    const replies = Array.from({ length: 50 }, (_, i) => {
      const reply = post(server, ...codings[i % codings.length]!);
      flying.add(reply);
      return reply.finally(() => flying.delete(reply));
    });
    const waits: number[] = [];
    while (flying.size > 0) {
      const start = performance.now();
      expect((await post(server, "zstd", zstdFrame(spans))).status).toBe(200);
      waits.push(performance.now() - start);
      rssPeak = Math.max(rssPeak, process.memoryUsage().rss);
    }
    expect((await Promise.all(replies)).map(({ status }) => status)).toEqual(Array(50).fill(413));
    expect(waits.length).toBeGreaterThan(10);
    // one body, and fifty as they were received
    expect(budget.peak).toBeLessThan(bytesMax + 50 * 400_000);
    // together they would be 420 MB
    expect(rssPeak - before).toBeLessThan(200_000_000);
    expect(budget.used).toBe(0);
  });
});

/** One literal behind the length that the block claims. */
function snappyBlock(content: Uint8Array, length = content.length): Buffer {
  const head = Buffer.alloc(10, 0x80);
  for (let i = 0; i < 5; i += 1) head[i] = (Math.floor(length / 128 ** i) & 127) | (i < 4 ? 128 : 0);
  head[5] = 63 << 2;
  head.writeUInt32LE(Math.max(0, content.length - 1), 6);
  return Buffer.concat([head, content]);
}

class PeakBudget extends ByteBudget {
  peak = 0;

  override take(bytes: number): boolean {
    const fits = super.take(bytes);
    this.peak = Math.max(this.peak, this.used);
    return fits;
  }
}
