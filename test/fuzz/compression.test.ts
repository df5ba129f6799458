import { unlz4 } from "../../src/compression/lz4.ts";
import { DamageError, unsnap } from "../../src/compression/snappy.ts";
import { lz4Frame } from "../compression/lz4-frames.ts";
import { fuzzTest, type Target } from "./fuzzer.ts";
import { fileSeeds } from "./inputs.ts";

const outputMax = 1 << 20;
const contents = fileSeeds.map((seed) => Buffer.from(seed));

fuzzTest(
  unpackTarget(
    "lz4",
    (bytes) => unlz4(bytes),
    contents.map((content) => lz4Frame(content, 200)),
  ),
);
fuzzTest(unpackTarget("snappy", (bytes) => unsnap(bytes, outputMax), contents.map(snappyBlock)));

/** Compressed bytes: they are damaged, or are unpacked; nobody goes on above the limit. */
function unpackTarget(
  name: string,
  unpack: (bytes: Uint8Array) => Generator<Uint8Array>,
  seeds: readonly Uint8Array[],
): Target {
  return {
    name,
    seeds,
    dictionary: [
      Buffer.from("04224d18", "hex"),
      Buffer.from("502a4d1801000000", "hex"),
      new Uint8Array(4),
      Buffer.alloc(8, 255),
    ],
    run(input) {
      let length = 0;
      try {
        for (const plain of unpack(input)) {
          length += plain.length;
          if (length > outputMax) return "too large";
        }
        return `${Math.min(length >> 6, 64)}`;
      } catch (error) {
        if (error instanceof DamageError) return `${error.message} ${Math.min(length >> 6, 64)}`;
        if (error instanceof RangeError && error.message.endsWith(`more than ${outputMax}`))
          return "too large";
        throw error;
      }
    },
  };
}

/** One literal of less than 64 KiB. */
function snappyBlock(content: Buffer): Buffer {
  const size = content.length - 1;
  const head = [(content.length & 127) | 128, ((content.length >> 7) & 127) | 128, content.length >> 14];
  return Buffer.concat([Uint8Array.of(...head, 61 << 2, size & 255, size >> 8), content]);
}
