import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DamageError, unsnap } from "../../src/compression/snappy.ts";

const text = `${"hypocenter finds what failed first. ".repeat(3)}${"abc".repeat(5)}`;
// what another implementation makes of the text
const block = Buffer.from(
  "7b906879706f63656e7465722066696e64732077686174206661696c65642066697273742e2068fe24000d2438616263616263616263616263616263",
  "hex",
);
const streamStart = Buffer.from("ff060000734e61507059", "hex");
const chunk = Buffer.concat([Buffer.from("00400000916ac023", "hex"), block]);
const padding = Buffer.from("fe030000000000", "hex");

function unpacked(bytes: Uint8Array, outputMax = 1_000_000): string {
  return Buffer.concat([...unsnap(bytes, outputMax)]).toString();
}

test("a block and a stream of blocks are read", () => {
  expect(unpacked(block)).toBe(text);
  expect(unpacked(Buffer.concat([streamStart, chunk]))).toBe(text);
  expect(unpacked(Buffer.concat([streamStart, padding, chunk, streamStart, chunk]))).toBe(text + text);
  expect(unpacked(streamStart)).toBe("");
  expect(unpacked(Buffer.from([0]))).toBe("");
});

/** A block of literals of these lengths. */
function literals(content: Uint8Array, cut: number): Buffer {
  const head: number[] = [];
  for (let rest = content.length; rest > 0 || head.length === 0; rest = Math.floor(rest / 128))
    head.push((rest % 128) | (rest >= 128 ? 128 : 0));
  const parts: Uint8Array[] = [Uint8Array.from(head)];
  for (let at = 0; at < content.length; at += cut) {
    const part = content.subarray(at, at + cut);
    const size = part.length - 1;
    parts.push(size < 60 ? Uint8Array.of(size << 2) : Uint8Array.of(61 << 2, size & 255, size >> 8), part);
  }
  return Buffer.concat(parts);
}

test("literals of any length come out as they went in", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 3000 }), (content, cut) => {
      expect(Buffer.concat([...unsnap(literals(content, cut), 1_000_000)]).equals(content)).toBe(true);
    }),
  );
});

describe("what is wrong is said", () => {
  const wrong = Buffer.from(chunk);
  wrong[6]! ^= 1;
  test.each([
    ["nothing", Buffer.alloc(0), "is empty"],
    ["a block cut off", block.subarray(0, -16), "is cut off in the middle"],
    ["a literal beyond the end", block.subarray(0, 20), "holds a literal that is too long"],
    ["a copy from before the start", Buffer.from([8, 0, 65, 1, 9]), "holds a copy of what is not there"],
    ["a claim of gigabytes", Buffer.from([255, 255, 255, 1, 0, 65]), "claims to hold more than it can"],
    ["no length", Buffer.alloc(9, 255), "does not begin with a length"],
    ["a stream cut off", Buffer.concat([streamStart, chunk.subarray(0, 30)]), "is cut off in the middle"],
    ["a wrong checksum", Buffer.concat([streamStart, wrong]), "has a wrong checksum"],
    [
      "an unknown chunk",
      Buffer.concat([streamStart, Buffer.from("02000000", "hex")]),
      "holds a chunk of type 2",
    ],
  ])("%s", (_, bytes, why) => {
    expect(() => unpacked(bytes, 2 ** 32)).toThrow(DamageError);
    expect(() => unpacked(bytes, 2 ** 32)).toThrow(why);
  });

  test("more than may come out is refused before there is room for it", () => {
    expect(() => unpacked(block, 100)).toThrow(RangeError);
  });

  test("any bytes: they are read or refused", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.uint8Array({ maxLength: 300 }), (isStream, bytes) => {
        const input = isStream ? Buffer.concat([streamStart, chunk, bytes]) : bytes;
        try {
          unpacked(input);
        } catch (error) {
          expect(error instanceof DamageError || error instanceof RangeError).toBe(true);
        }
      }),
    );
  });
});
