import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ZstdStream } from "../../src/compression/zstd.ts";
import { runs } from "../runs.ts";
import { frameWithChecksum, skippableFrame, zstdBomb, zstdFrame } from "./zstd-frames.ts";

interface Unpacked {
  readonly content: Buffer;
  readonly damage: string | null;
}

async function unpacked(packed: Uint8Array, chunkBytes = packed.length): Promise<Unpacked> {
  const stream = await ZstdStream.open();
  const parts: Uint8Array[] = [];
  for (let at = 0; at < packed.length; at += chunkBytes)
    parts.push(...stream.push(packed.subarray(at, at + chunkBytes)));
  stream.end();
  stream.close();
  return { content: Buffer.concat(parts), damage: stream.damage };
}

const text = "GET /cart 200 ".repeat(50_000);

test("what was packed at any level comes back, whatever the chunks", async () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 2_000 }),
    fc.string().map((part) => Buffer.from(part.repeat(999))),
  );
  const frames = fc.array(
    fc.record({ content, level: fc.integer({ min: 1, max: 19 }), isSkipped: fc.boolean() }),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  await fc.assert(
    fc.asyncProperty(frames, fc.integer({ min: 1, max: 5_000 }), async (parts, chunkBytes) => {
      const packed = parts.map((part) =>
        part.isSkipped ? skippableFrame(part.content) : zstdFrame(part.content, part.level),
      );
      const expected = parts.filter(({ isSkipped }) => !isSkipped).map((part) => part.content);
      const { content: came, damage } = await unpacked(Buffer.concat(packed), chunkBytes);
      expect(came.equals(Buffer.concat(expected))).toBe(true);
      expect(damage).toBeNull();
    }),
    { numRuns: runs(15) },
  );
});

test("content comes in small pieces, however much there is of it", async () => {
  const stream = await ZstdStream.open();
  let length = 0;
  for (const plain of stream.push(zstdBomb(300_000_000))) {
    expect(plain.length).toBeLessThanOrEqual(128 * 1024);
    length += plain.length;
  }
  stream.close();
  expect(length).toBeGreaterThanOrEqual(300_000_000);
});

test("a caller that has had enough stops the work", async () => {
  const stream = await ZstdStream.open();
  for (const plain of stream.push(zstdBomb(100_000_000))) {
    expect(plain.length).toBeGreaterThan(0);
    break;
  }
  stream.close();
  expect((await unpacked(zstdFrame(text))).content.toString()).toBe(text);
});

test("streams side by side do not disturb each other", async () => {
  const frames = Array.from({ length: 5 }, (_, i) => zstdFrame(`${i}`.repeat(400_000)));
  const streams = await Promise.all(frames.map(() => ZstdStream.open()));
  const half = frames.map((frame, i) => [...streams[i]!.push(frame.subarray(0, frame.length >> 1))]);
  const rest = frames.map((frame, i) => [...streams[i]!.push(frame.subarray(frame.length >> 1))]);
  for (const stream of streams) {
    stream.end();
    stream.close();
    stream.close();
    expect(stream.damage).toBeNull();
  }
  for (const [i, parts] of half.entries())
    expect(Buffer.concat([...parts, ...rest[i]!]).toString()).toBe(`${i}`.repeat(400_000));
});

describe("what is wrong is said, and what came before it is handed on", () => {
  const frame = zstdFrame(text);
  const broken = Buffer.from(frameWithChecksum);
  broken[broken.length - 1]! ^= 1;

  test.each([
    ["cut off", Buffer.concat([frame, frame.subarray(0, 30)]), "is cut off in the middle", text.length],
    [
      "cut off in the magic number",
      Buffer.concat([frame, frame.subarray(0, 3)]),
      "is cut off in the middle",
      text.length,
    ],
    ["nothing at all", Buffer.alloc(0), "is empty", 0],
    ["no zstd", Buffer.from("hello, world"), "is damaged (not the beginning of a zstd frame)", 0],
    ["a wrong checksum", broken, "is damaged (the checksum is wrong)", 0],
    [
      "a huge window",
      Buffer.from("28b52ffd00ff0000000000", "hex"),
      "is damaged (a frame needs a window of more than 128 MiB)",
      0,
    ],
    [
      "a dictionary",
      Buffer.from("28b52ffd01580700000000", "hex"),
      "is damaged (it was packed with a dictionary, which is not there)",
      0,
    ],
    [
      "a reserved bit",
      Buffer.from("28b52ffd0858000000", "hex"),
      "is damaged (a frame parameter that this version does not know)",
      0,
    ],
    [
      "a reserved block",
      Buffer.from("28b52ffd0058070000", "hex"),
      "is damaged (the content makes no sense)",
      0,
    ],
  ])("%s", async (_, packed, damage, length) => {
    const came = await unpacked(packed);
    expect([came.damage, came.content.length]).toEqual([damage, length]);
  });

  test.each([
    ["zeros", Buffer.alloc(300)],
    ["a line end", Buffer.from("\n")],
    ["other bytes", Buffer.from("the end")],
  ])("%s behind the last frame are ignored", async (_, garbage) => {
    const came = await unpacked(Buffer.concat([frame, garbage]));
    expect([came.damage, came.content.length]).toEqual([null, text.length]);
  });

  test("any byte changed, any length: it ends, and the next stream is as good as new", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(), async (place, change, cut) => {
        const bytes = Buffer.concat([frame, zstdFrame("tail".repeat(99), 19)]);
        bytes[place % bytes.length]! ^= change;
        await unpacked(bytes.subarray(0, cut % (bytes.length + 1)), 64);
        expect((await unpacked(frame)).content.length).toBe(text.length);
      }),
      { numRuns: runs(38) },
    );
  });
});
