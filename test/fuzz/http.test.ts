import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { deflateSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll } from "vitest";
import { signals } from "../../src/engine/ports.ts";
import { lz4Frame } from "../compression/lz4-frames.ts";
import { zstdFrame } from "../compression/zstd-frames.ts";
import { otlpServer } from "../http/otlp-server.ts";
import { fuzzTest } from "./fuzzer.ts";
import { jsonSeeds, jsonWords, protobufSeeds, protobufWords } from "./inputs.ts";

let server: Awaited<ReturnType<typeof otlpServer>>;
let client: Client;
beforeAll(async () => {
  server = await otlpServer({ bodyBytesMax: 1 << 20 });
  client = new Client(server.listener.address);
});
afterAll(() => {
  client.close();
  return server.close();
});

const codings: readonly (readonly [name: string, pack: (body: Uint8Array) => Uint8Array])[] = [
  ["identity", (body) => body],
  ["gzip", gzipSync],
  ["deflate", deflateSync],
  ["zstd", zstdFrame],
  ["snappy", snappyBlock],
  ["lz4", lz4Frame],
];
const types = ["application/x-protobuf", "application/json"];
/** with the choice of path and type that fits them */
const bodies = signals.flatMap((signal, i) => [
  ...protobufSeeds[signal].map((body) => ({ body, choice: i })),
  ...jsonSeeds[signal].map((body) => ({ body, choice: 3 + i })),
]);

/** The first byte chooses path, type and coding; what follows is the body, which every such choice must bear. */
fuzzTest({
  name: "http",
  seeds: bodies.flatMap(({ body, choice }) =>
    codings.map(([, pack], coding) =>
      Buffer.concat([Buffer.of(coding * 6 + choice), pack(Buffer.from(body))]),
    ),
  ),
  dictionary: [...jsonWords, ...protobufWords, Uint8Array.of(0x1f, 0x8b, 8, 0), gzipSync("{}")],
  async run(input) {
    const choice = input[0] ?? 0;
    const body = input.subarray(1);
    const head = `POST /v1/${signals[choice % 3]} HTTP/1.1\r\nHost: fuzz\r\nContent-Type: ${types[(choice / 3) & 1]}\r\nContent-Encoding: ${codings[Math.floor(choice / 6) % codings.length]?.[0]}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const answer = await client.ask(Buffer.concat([Buffer.from(head), body]));
    const status = Number(answer.slice(9, 12));
    if (status !== 200 && status !== 400 && status !== 413) throw new Error(`answered ${answer}`);
    if (server.faults.length > 0) throw server.faults.pop() as Error;
    if (server.budget.used !== 0) throw new Error(`${server.budget.used} bytes were not given back`);
    server.handed.length = 0;
    return `${choice % 36} ${status} ${(answer.length - answer.indexOf(headEnd)) >> 3}`;
  },
});

/** A block of snappy that holds its content, of up to 64 KB, as it is. */
function snappyBlock(content: Uint8Array): Buffer {
  const { length } = content;
  const size = [(length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14];
  return Buffer.concat([Buffer.of(...size, 61 << 2, (length - 1) & 0xff, (length - 1) >> 8), content]);
}

const headEnd = "\r\n\r\n";

/** One connection for all requests, one at a time: Node's own client takes longer than what is tried. */
class Client {
  readonly #address: string;
  #socket: Socket | null = null;
  #received = "";
  #onAnswer: (answer: string) => void = () => {};

  constructor(address: string) {
    this.#address = address;
  }

  /** The answer as it came, its bytes as characters; "" = the connection ended without one, and so did a new one. */
  async ask(request: Uint8Array): Promise<string> {
    // Where the whole machine sleeps for a while, connections are too old when it wakes.
    return (await this.#askOnce(request)) || this.#askOnce(request);
  }

  async #askOnce(request: Uint8Array): Promise<string> {
    const socket = this.#socket ?? (await this.#open());
    return new Promise((resolve) => {
      this.#onAnswer = resolve;
      socket.write(request);
    });
  }

  close(): void {
    this.#socket?.destroy();
  }

  async #open(): Promise<Socket> {
    const { hostname, port } = new URL(`http://${this.#address}`);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    socket.setEncoding("latin1");
    // "close" follows
    socket.on("error", () => {});
    this.#received = "";
    socket.on("data", (text: string) => {
      this.#received += text;
      const bodyAt = this.#received.indexOf(headEnd) + headEnd.length;
      const length = /content-length: (\d+)/i.exec(this.#received)?.[1];
      if (bodyAt < headEnd.length || this.#received.length < bodyAt + Number(length ?? 0)) return;
      const answer = this.#received;
      this.#received = "";
      this.#onAnswer(answer);
    });
    socket.on("close", () => {
      this.#socket = null;
      // nobody waits if all was answered
      this.#onAnswer(this.#received);
    });
    await once(socket, "connect");
    this.#socket = socket;
    return socket;
  }
}
