import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { unlz4 } from "../../src/compression/lz4.ts";
import { DamageError } from "../../src/compression/snappy.ts";
import { XxHash32 } from "../../src/compression/xx-hash.ts";
import { lz4Frame } from "./lz4-frames.ts";

const text = `${"hypocenter finds what failed first. ".repeat(3)}${"abc".repeat(5)}`;
// what another implementation makes of the text
const block =
  "35000000ff156879706f63656e7465722066696e64732077686174206661696c65642066697273742e20240035336162630300506263616263";
const frame = Buffer.from(`04224d186440a7${block}00000000b737a3e4`, "hex");
const allChecksums = Buffer.from(`04224d187c407b000000000000001e${block}05a3208800000000b737a3e4`, "hex");
const noChecksum = Buffer.from(`04224d18604082${block}00000000`, "hex");
const skippable = Buffer.from("532a4d1803000000616263", "hex");

function unpacked(bytes: Uint8Array): string {
  return Buffer.concat([...unlz4(bytes)]).toString();
}

test("frames are read with and without checksums and lengths, one or many", () => {
  expect(unpacked(frame)).toBe(text);
  expect(unpacked(allChecksums)).toBe(text);
  expect(unpacked(noChecksum)).toBe(text);
  expect(unpacked(Buffer.concat([frame, skippable, noChecksum, allChecksums]))).toBe(text.repeat(3));
});

test("a linked block may copy from the blocks before", () => {
  // the head of a frame with linked blocks; "abcd" stored, then a copy of 4 bytes and the literals "!!!!!"
  const linked =
    "04224d1840" +
    "40" +
    "c0" +
    "04000080" +
    "61626364" +
    "09000000" +
    "00" +
    "0400" +
    "50" +
    "2121212121" +
    "00000000";
  expect(unpacked(Buffer.from(linked, "hex"))).toBe("abcdabcd!!!!!");
});

test("checksums are those of the algorithm, however the bytes come in", () => {
  expect(XxHash32.of(new Uint8Array(0)).toString(16)).toBe("2cc5d05");
  expect(XxHash32.of(Buffer.from("Nobody inspects the spammish repetition")).toString(16)).toBe("e2293b2f");
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (parts) => {
      const hash = new XxHash32();
      for (const part of parts) hash.add(part);
      expect(hash.digest()).toBe(XxHash32.of(Buffer.concat(parts)));
    }),
  );
});

test("what is packed comes out as it went in", () => {
  const content = fc
    .array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(40)))
    .map((parts) =>
      Buffer.concat(parts.flatMap(([bytes, times]) => Array.from({ length: times }, () => bytes))),
    );
  fc.assert(
    fc.property(content, fc.integer({ min: 13, max: 5000 }), (bytes, blockBytes) => {
      expect(Buffer.concat([...unlz4(lz4Frame(bytes, blockBytes))]).equals(bytes)).toBe(true);
    }),
  );
});

describe("what is wrong is said", () => {
  const changed = (at: number, byte: number): Buffer => Buffer.from(frame.with(at, byte));
  test.each([
    ["nothing", Buffer.alloc(0), "is empty"],
    ["another format", Buffer.from("{}  "), "does not begin as a frame does"],
    ["a frame cut off", frame.subarray(0, -1), "is cut off in the middle"],
    ["a block cut off", frame.subarray(0, 40), "is cut off in the middle"],
    ["a damaged head", changed(6, 0), "has a wrong checksum"],
    ["a damaged text", changed(15, 0x41), "has a wrong checksum"],
    ["a damaged block", Buffer.from(allChecksums.with(25, 0x41)), "has a wrong checksum"],
    ["a head of the future", changed(4, 0xa4), "has a head that nobody knows"],
    ["a dictionary", changed(4, 0x65), "needs a dictionary"],
    ["a copy from before the start", changed(49, 0x99), "holds a copy of what is not there"],
  ])("%s", (_, bytes, why) => {
    expect(() => unpacked(bytes)).toThrow(DamageError);
    expect(() => unpacked(bytes)).toThrow(why);
  });

  test("a block of more than its frame allows is refused", () => {
    const tooLong = Buffer.concat([frame.subarray(0, 7), lz4Frame(Buffer.alloc(70_000), 70_000).subarray(7)]);
    expect(() => unpacked(tooLong)).toThrow("holds a block that is too long");
  });
});
