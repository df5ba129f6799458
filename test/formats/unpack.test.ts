import { deflateRawSync, gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { OperationError } from "../../src/engine/errors/operation-error.ts";
import { unpack } from "../../src/formats/unpack.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { skippableFrame, zstdBomb, zstdFrame } from "../compression/zstd-frames.ts";
import { collect, line, namesOf, rowsOf, streamOf } from "./sources.ts";

const two = line("a", "b") + line("c");

/** The spans' names, whatever the chunks; nothing may be wrong. */
async function namesIn(content: Uint8Array): Promise<readonly string[]> {
  const whole = await collect([streamOf(content)]);
  expect(whole.problems).toEqual([]);
  for (const size of [1, 7, 100])
    expect(rowsOf((await collect([streamOf(content, size)])).tables)).toEqual(rowsOf(whole.tables));
  return namesOf(whole.tables);
}

/** Requests of OTLP protobuf with the spans of `two`. */
async function requests(): Promise<readonly Uint8Array[]> {
  const read = await Promise.all([line("a", "b"), line("c")].map((text) => collect([streamOf(text)])));
  return read.map(({ tables }) =>
    encodeTraces(
      tables.flatMap((table) => Array.from({ length: table.rowCount }, (_, row) => ({ table, row }))),
    ),
  );
}

function withLength(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

describe("the collector's file exporter with compression: zstd", () => {
  test.each([
    ["one frame", zstdFrame(two, 19)],
    ["a frame for each write", Buffer.concat([zstdFrame(line("a", "b")), zstdFrame(line("c"))])],
    ["a record cut by the frames", Buffer.concat([zstdFrame(two.slice(0, 99)), zstdFrame(two.slice(99))])],
    [
      "frames to skip",
      Buffer.concat([skippableFrame(Buffer.from("x")), zstdFrame(two), skippableFrame(Buffer.alloc(0))]),
    ],
    ["an empty frame first", Buffer.concat([zstdFrame(""), zstdFrame(two)])],
    ["zeros behind it", Buffer.concat([zstdFrame(two), Buffer.alloc(300)])],
    ["zstd in gzip", gzipSync(zstdFrame(two))],
    ["gzip in zstd", zstdFrame(gzipSync(two))],
    ["gzip in zstd in gzip", gzipSync(zstdFrame(gzipSync(two)))],
  ])("JSON lines in %s", async (_, content) => {
    expect(await namesIn(content)).toEqual(["a", "b", "c"]);
  });

  test("length-delimited protobuf in frames that cut the records", async () => {
    const plain = Buffer.concat((await requests()).map(withLength));
    const frames = [zstdFrame(plain.subarray(0, 50)), zstdFrame(plain.subarray(50))];
    expect(await namesIn(Buffer.concat(frames))).toEqual(["a", "b", "c"]);
  });

  test("each message packed alone, as JSON", async () => {
    const messages = [line("a", "b").trim(), line("c").trim()].map((text) => withLength(zstdFrame(text)));
    expect(await namesIn(Buffer.concat(messages))).toEqual(["a", "b", "c"]);
    expect(await namesIn(gzipSync(Buffer.concat(messages)))).toEqual(["a", "b", "c"]);
  });

  test("each message packed alone, as protobuf", async () => {
    const messages = (await requests()).map((bytes) => withLength(zstdFrame(bytes)));
    expect(await namesIn(Buffer.concat([...messages, withLength(Buffer.alloc(0))]))).toEqual(["a", "b", "c"]);
  });
});

/** What is read of it, and what was wrong. */
async function readOf(
  content: Uint8Array,
): Promise<{ names: readonly string[]; problems: readonly string[] }> {
  const { tables, problems } = await collect([streamOf(content, 1000, "x.zst")]);
  return { names: namesOf(tables), problems: problems.map(({ message }) => message) };
}

describe("damage costs what it hits, and is reported", () => {
  const noise = fc.sample(fc.uint8Array({ minLength: 4000, maxLength: 4000 }), { numRuns: 1, seed: 7 })[0]!;
  const long = line("a") + line(Buffer.from(noise).toString("base64")) + line("c");

  test("a stream that is cut off: what was whole is read", async () => {
    const packed = Buffer.concat([zstdFrame(line("a")), zstdFrame(long).subarray(0, 900)]);
    const { names, problems } = await readOf(packed);
    expect(names).toEqual(["a"]);
    expect(problems).toEqual([
      "x.zst: the zstd stream is cut off in the middle; what could be read of it is used",
    ]);
  });

  test("a stream with a broken frame: what came before is read", async () => {
    const broken = zstdFrame(line("b"));
    broken[4] = 0xff;
    const { names, problems } = await readOf(
      Buffer.concat([zstdFrame(line("a")), broken, zstdFrame(line("c"))]),
    );
    expect(names).toEqual(["a"]);
    expect(problems[0]).toMatch(/the zstd stream is damaged \(a frame parameter/);
  });

  test.each([
    ["JSON", [line("a"), line("b"), line("c")].map((text) => Buffer.from(text.trim()))],
    ["protobuf", null],
  ])("messages packed alone as %s: only the broken one is lost", async (_, json) => {
    const plain = json ?? (await requests()).flatMap((bytes) => [bytes, bytes, bytes]);
    const messages = plain.map((bytes) => withLength(zstdFrame(bytes)));
    const whole = (await readOf(Buffer.concat(messages))).names.length;
    messages[1]![8] = 0xff;
    const place = messages[0]!.length;
    const { names, problems } = await readOf(Buffer.concat(messages));
    expect(names.length).toBeLessThan(whole);
    expect(names.length).toBeGreaterThan(0);
    expect(problems).toEqual([
      `x.zst: the zstd messages: the message at byte ${place} is damaged (a frame parameter that this version does not know); what could be read of it is used`,
    ]);
  });

  test("messages packed alone, the last cut off", async () => {
    const messages = Buffer.concat([line("a"), line("b")].map((text) => withLength(zstdFrame(text))));
    const { names, problems } = await readOf(messages.subarray(0, messages.length - 5));
    expect(names).toEqual(["a"]);
    expect(problems[0]).toMatch(/the message at byte \d+ is cut off/);
  });

  test("a message that claims gigabytes ends the reading", async () => {
    const messages = Buffer.concat([
      withLength(zstdFrame(line("a"))),
      Buffer.from("ffffffff28b52ffd", "hex"),
    ]);
    const { names, problems } = await readOf(messages);
    expect(names).toEqual(["a"]);
    expect(problems[0]).toMatch(/claims to be 4294967295 bytes long; what follows is skipped/);
  });

  test("a file of which nothing can be unpacked is refused for that", async () => {
    const error = (await collect([streamOf(Buffer.from("28b52ffd0858000000", "hex"), 99, "x.zst")]).catch(
      (reason: unknown) => reason,
    )) as OperationError;
    expect(error.code).toBe("input_unreadable");
    expect(error.message).toMatch(/^x\.zst: the zstd stream is damaged/);
  });
});

describe("bombs", () => {
  test.each([
    ["zstd", zstdBomb(400_000_000)],
    ["gzip", gzipSync(Buffer.alloc(100_000_000))],
    ["zstd in zstd", zstdFrame(zstdBomb(400_000_000))],
  ])("%s: what comes out is never held", async (_, packed) => {
    const { chunks } = await unpack(streamOf(packed).chunks(), () => {});
    const before = process.memoryUsage().rss;
    let peak = before;
    let length = 0;
    for await (const chunk of chunks) {
      length += chunk.length;
      if (length % (16 << 20) < chunk.length) peak = Math.max(peak, process.memoryUsage().rss);
    }
    expect(length).toBeGreaterThanOrEqual(100_000_000);
    expect(peak - before).toBeLessThan(100_000_000);
  });

  test("a message packed alone that grows without end is left out", async () => {
    const messages = Buffer.concat([withLength(zstdBomb(200_000_000)), withLength(zstdFrame(line("a")))]);
    const { names, problems } = await readOf(messages);
    expect(names).toEqual(["a"]);
    expect(problems[0]).toMatch(/the message at byte 0 unpacks to more than 134217728 bytes/);
  });

  test("what is packed more often than anybody does is refused", async () => {
    const packed = zstdFrame(gzipSync(zstdFrame(gzipSync(two))));
    const error = (await collect([streamOf(packed)]).catch((reason: unknown) => reason)) as OperationError;
    expect(error.message).toMatch(/packed more than 3 times/);
  });
});

test("raw deflate is no container", async () => {
  const unpacked = await unpack(streamOf(deflateRawSync(two)).chunks(), () => {});
  expect(unpacked.isTooDeep).toBe(false);
  await unpacked.close();
});
