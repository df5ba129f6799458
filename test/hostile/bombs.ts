import { deflateSync, gzipSync } from "node:zlib";
import { lz4Bomb } from "../compression/lz4-frames.ts";
import { zstdBomb } from "../compression/zstd-frames.ts";
import { attribute, json, protobuf, request } from "./both-ways.ts";

/** Bodies that are small and deep, or all of what nobody knows. */
export const bombs: readonly (readonly [what: string, body: ReturnType<typeof protobuf>])[] = [
  ["200,000 values within each other, protobuf", protobuf(spanWith(nestedValue(200_000)))],
  ["200,000 lists within each other, JSON", json(jsonBomb('{"arrayValue":{"values":[', "]}}", 200_000))],
  [
    "200,000 maps within each other, JSON",
    json(jsonBomb('{"kvlistValue":{"values":[{"value":', "}]}}", 200_000)),
  ],
  [
    "200,000 unknown arrays, JSON",
    json(`{"resourceSpans":[],"x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`),
  ],
  [
    "10,000 groups within each other",
    protobuf(Buffer.concat([new Uint8Array(10_000).fill(0x0b), new Uint8Array(10_000).fill(0x0c)])),
  ],
  ["a million unknown fields", protobuf(Buffer.alloc(2_000_000, Uint8Array.of(0x78, 0x01)))],
];

/** The first span again, with an attribute of this value. */
export function spanWith(value: Uint8Array): Uint8Array {
  const keyValue = Buffer.concat([Uint8Array.of(0x0a, 1, 0x6b), lengthPrefix(0x12, value.length), value]);
  const span = Buffer.concat([
    Uint8Array.of(0x0a, 16, ...Array.from({ length: 16 }, () => 1)),
    Uint8Array.of(0x12, 8, ...Array.from({ length: 8 }, () => 1)),
    lengthPrefix(0x4a, keyValue.length),
    keyValue,
  ]);
  const scope = Buffer.concat([lengthPrefix(0x12, span.length), span]);
  const resource = Buffer.concat([lengthPrefix(0x12, scope.length), scope]);
  return Buffer.concat([lengthPrefix(0x0a, resource.length), resource]);
}

function jsonBomb(open: string, close: string, levels: number): string {
  const value = `${open.repeat(levels)}{}${close.repeat(levels)}`;
  const marked = JSON.stringify(request([{ attributes: [attribute("k", { marker: 0 })] }]));
  return marked.replace('{"marker":0}', value);
}

/** A value within a value, `levels` times, without a copy for each level. */
function nestedValue(levels: number): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x0a, 1, 0x78)];
  let length = 3;
  for (let i = 0; i < levels; i += 1) {
    for (const tag of [0x0a, 0x2a]) {
      const prefix = lengthPrefix(tag, length);
      parts.push(prefix);
      length += prefix.length;
    }
  }
  return Buffer.concat(parts.reverse());
}

export function lengthPrefix(tag: number, length: number): Uint8Array {
  const bytes = [tag];
  for (let rest = length; ; rest >>>= 7) {
    bytes.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) return Uint8Array.from(bytes);
  }
}

/** Bodies that say they are, or become, large. */
export interface PackedBomb {
  readonly coding: string;
  readonly body: Buffer;
}

/** What becomes of each is `bytes` long, or says that it would be. */
export function packedBombs(bytes: number): Readonly<Record<string, PackedBomb>> {
  const zeros = Buffer.alloc(bytes);
  return {
    "zeros in gzip": { coding: "gzip", body: gzipSync(zeros, { level: 1 }) },
    "zeros in deflate": { coding: "deflate", body: deflateSync(zeros, { level: 1 }) },
    "zeros in zstd": { coding: "zstd", body: zstdBomb(bytes) },
    "zeros in lz4": { coding: "lz4", body: lz4Bomb(Math.ceil(bytes / (4 << 20))) },
    "a thousand members of gzip": {
      coding: "gzip",
      body: Buffer.concat(Array<Buffer>(1_000).fill(gzipSync(zeros.subarray(0, bytes / 1_000)))),
    },
    "a block of snappy that says it is of 2 GB": {
      coding: "snappy",
      body: Buffer.from("ffffffff07f0", "hex"),
    },
    "a message that says it is of 2 GB": { coding: "identity", body: Buffer.from("0affffffff07", "hex") },
    "a gzip that lies about its length": {
      coding: "gzip",
      body: Buffer.concat([gzipSync(Buffer.alloc(9)).subarray(0, -4), Buffer.alloc(4, 255)]),
    },
  };
}
