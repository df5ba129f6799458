import { deflateSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll } from "vitest";
import { signals } from "../../src/engine/ports.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { fuzzTest } from "./fuzzer.ts";
import { jsonSeeds, jsonWords, protobufSeeds, protobufWords } from "./inputs.ts";

let server: Awaited<ReturnType<typeof otlpServer>>;
beforeAll(async () => {
  server = await otlpServer({ bodyBytesMax: 1 << 20 });
});
afterAll(() => server.close());

const codings = ["identity", "gzip", "deflate"];
const types = ["application/x-protobuf", "application/json"];
const bodies = [...Object.values(protobufSeeds), ...Object.values(jsonSeeds)].flat();

/** The first byte chooses path, type and coding; what follows is the body, which every such choice must bear. */
fuzzTest({
  name: "http",
  seeds: bodies.flatMap((body, i) => [
    Buffer.concat([Buffer.of(i % 6), Buffer.from(body)]),
    Buffer.concat([Buffer.of(6 + (i % 6)), gzipSync(body)]),
    Buffer.concat([Buffer.of(12 + (i % 6)), deflateSync(body)]),
  ]),
  dictionary: [...jsonWords, ...protobufWords, Uint8Array.of(0x1f, 0x8b, 8, 0), gzipSync("{}")],
  async run(input) {
    const choice = input[0] ?? 0;
    const headers = {
      "content-type": types[(choice / 3) & 1] as string,
      "content-encoding": codings[Math.floor(choice / 6) % 3] as string,
    };
    const { status, body } = await server.send(`/v1/${signals[choice % 3]}`, headers, input.subarray(1));
    if (status !== 200 && status !== 400 && status !== 413)
      throw new Error(`answered ${status}: ${body.toString()}`);
    if (server.faults.length > 0) throw server.faults.pop() as Error;
    if (server.budget.used !== 0) throw new Error(`${server.budget.used} bytes were not given back`);
    server.handed.length = 0;
    return `${choice % 18} ${status} ${body.length >> 3}`;
  },
});
