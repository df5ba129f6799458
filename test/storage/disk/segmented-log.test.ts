import { copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { headBytes } from "../../../src/storage/disk/record.ts";
import type { Segment } from "../../../src/storage/disk/segmented-log.ts";
import { runs } from "../../runs.ts";
import {
  diskError,
  entryOf,
  eventually,
  type Faults,
  failingFiles,
  openLog,
  scan,
  temporaryFolder,
} from "./log-folder.ts";

test("what was appended is read back by its place, and found by a scan", async () => {
  const log = await openLog(temporaryFolder());
  const long = "x".repeat(200_000);
  const places = [];
  for (const text of ["a", "", long, "c"]) places.push(await log.append(entryOf(text)));
  for (const [i, text] of ["a", "", long, "c"].entries())
    expect((await log.read(places[i]!))?.body.toString()).toBe(text);
  expect(scan(log.segments[0]!)).toEqual({ texts: ["a", "", long, "c"], loss: none });
  await log.close();
});

test("appends that come together share one wait for the disk", async () => {
  let syncs = 0;
  const files = failingFiles({
    sync: async () => {
      syncs += 1;
    },
  });
  const log = await openLog(temporaryFolder(), { files });
  await Promise.all(Array.from({ length: 100 }, (_, i) => log.append(entryOf(String(i)))));
  expect([syncs, log.syncs.count]).toEqual([1, 1]);
  expect(scan(log.segments[0]!).texts).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
  await log.close();
});

test("R8: while a slow disk is waited for, what comes gathers, and goes out as one", async () => {
  let syncs = 0;
  const waiting: (() => void)[] = [];
  const sync = async (): Promise<void> => {
    syncs += 1;
    await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const log = await openLog(temporaryFolder(), { files: failingFiles({ sync }) });
  const first = log.append(entryOf("first"));
  expect(log.syncs).toEqual({ count: 0, ms: 0 });
  await expect.poll(() => waiting.length, eventually).toBe(1);
  let isDone = false;
  const later = Array.from({ length: 50 }, (_, i) => log.append(entryOf(String(i))));
  const all = Promise.all(later).finally(() => {
    isDone = true;
  });
  waiting.pop()?.();
  await first;
  expect(isDone).toBe(false);
  await expect.poll(() => waiting.length, eventually).toBe(1);
  waiting.pop()?.();
  await all;
  expect(syncs).toBe(2);
  await log.close();
});

test("a full segment is closed when all its appends were told, and another one is begun", async () => {
  const folder = temporaryFolder();
  const closed: Segment[] = [];
  let told = 0;
  const onClosed = (segment: Segment): void => {
    expect(segment.records).toBe(told);
    closed.push(segment);
  };
  const log = await openLog(folder, { segmentBytesMax: 100, onClosed });
  for (const text of ["a".repeat(60), "b".repeat(60)]) {
    await log.append(entryOf(text));
    told += 1;
  }
  expect([closed.length, log.segments.length]).toEqual([1, 2]);
  const dropped = await log.dropOldest();
  expect(dropped).toBe(closed[0]);
  expect(await log.dropOldest()).toBeNull();
  await log.removeFile(dropped as Segment);
  expect(readdirSync(folder)).toHaveLength(1);
  expect(await log.read({ segment: closed[0]!, offset: 0 })).toBeNull();
  await log.close();
});

test("a segment that its owner calls full is closed before the next append", async () => {
  const log = await openLog(temporaryFolder(), { isFull: ({ items }) => items >= 2 });
  for (const text of ["a", "b", "c"]) await log.append(entryOf(text));
  expect(log.segments.map((segment) => scan(segment).texts)).toEqual([["a", "b"], ["c"]]);
  await log.close();
});

test("a file is never continued: what comes after a restart goes to a new one", async () => {
  const folder = temporaryFolder();
  for (const text of ["a", "b"]) {
    const log = await openLog(folder);
    await log.append(entryOf(text));
    await log.close();
  }
  const log = await openLog(folder);
  expect(log.segments.map((segment) => scan(segment).texts)).toEqual([["a"], ["b"]]);
});

test("after a wait for the disk that failed, appends are refused as retryable and the file takes nothing more", async () => {
  const faults: Faults = {};
  const log = await openLog(temporaryFolder(), { files: failingFiles(faults) });
  const before = await log.append(entryOf("before"));
  faults.sync = () => Promise.reject(diskError("EIO"));
  const failing = [log.append(entryOf("x")), log.append(entryOf("y"))];
  for (const append of failing) await expect(append).rejects.toMatchObject({ code: "overloaded" });
  delete faults.sync;
  const after = await log.append(entryOf("after"));
  expect(after.segment).not.toBe(before.segment);
  expect(after.offset).toBe(0);
  expect((await log.read(before))?.body.toString()).toBe("before");
  await log.close();
});

test("a disk that runs full in the middle of a record costs nothing: what comes later follows what was there", async () => {
  const faults: Faults = {};
  const log = await openLog(temporaryFolder(), { files: failingFiles(faults) });
  await log.append(entryOf("before"));
  faults.write = async (file, parts, at) => {
    await file.write([Buffer.concat(parts).subarray(0, headBytes + 2)], at);
    throw diskError("ENOSPC");
  };
  await expect(log.append(entryOf("lost"))).rejects.toMatchObject({
    code: "overloaded",
    message: "the disk is full",
  });
  delete faults.write;
  await log.append(entryOf("after"));
  expect(scan(log.segments[0]!)).toEqual({ texts: ["before", "after"], loss: none });
  await log.close();
});

test("a log of a newer format is refused by name", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "traces-000000000001-0a0b0c0d.v2.log"), "?");
  await expect(openLog(folder)).rejects.toMatchObject({ code: "bad_configuration" });
});

const texts = ["first", "the second one", "", "fourth", "x".repeat(90)];
const none = { records: 0, items: 0, bytes: 0, tailBytes: 0 };

async function segmentOfTexts(): Promise<Segment> {
  const log = await openLog(temporaryFolder());
  for (const [i, text] of texts.entries()) await log.append(entryOf(text, i + 1));
  await log.close();
  return log.segments[0]!;
}

/** Where each record of `texts` begins, and where the last one ends. */
const offsets = [0];
for (const text of texts) offsets.push(offsets.at(-1)! + headBytes + text.length);

test("P44: a segment that was cut anywhere gives all records before the cut, and says how many bytes are left over", async () => {
  const segment = await segmentOfTexts();
  const whole = readFileSync(segment.path);
  for (let size = whole.length; size >= 0; size -= 1) {
    truncateSync(segment.path, size);
    const count = offsets.filter((end) => end > 0 && end <= size).length;
    const rest = size - offsets[count]!;
    expect(scan(segment)).toEqual({
      texts: texts.slice(0, count),
      loss: { records: 0, items: 0, bytes: rest, tailBytes: rest },
    });
  }
});

test("P44: one flipped bit costs the record that it hits and no other, and the loss is told exactly", async () => {
  const segment = await segmentOfTexts();
  const whole = readFileSync(segment.path);
  for (let at = 0; at < whole.length; at += 1) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1 << (at % 8);
    writeFileSync(segment.path, damaged);
    const hit = offsets.filter((offset) => offset <= at).length - 1;
    const { texts: read, loss } = scan(segment);
    expect(read).toEqual(texts.filter((_, i) => i !== hit));
    const isLast = hit === texts.length - 1;
    const bytes = offsets[hit + 1]! - offsets[hit]!;
    // Of a last record without a whole head nothing is known but that something is there.
    const isKnown = !isLast || at >= offsets[hit]! + headBytes;
    const counted = isKnown ? { records: 1, items: hit + 1 } : { records: 0, items: 0 };
    expect(loss).toEqual({ ...counted, bytes, tailBytes: isLast ? bytes : 0 });
  }
});

test("P44: whatever a disk has done to a segment, whole records are found, and only those", async () => {
  const segment = await segmentOfTexts();
  const original = `${segment.path}.original`;
  copyFileSync(segment.path, original);
  const damage = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 1, max: 200 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(damage, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      async (damages, isZeroed) => {
        const bytes = readFileSync(original);
        const isHit = texts.map(() => false);
        for (const { at, length } of damages) {
          const from = Math.floor(at * (bytes.length - 1));
          for (let i = from; i < Math.min(bytes.length, from + length); i += 1) {
            const before = bytes[i];
            bytes[i] = isZeroed ? 0 : (i * 167) & 0xff;
            if (bytes[i] !== before) isHit[offsets.filter((offset) => offset <= i).length - 1] = true;
          }
        }
        writeFileSync(segment.path, bytes);
        expect(scan(segment).texts).toEqual(texts.filter((_, i) => isHit[i] !== true));
      },
    ),
    { numRuns: runs(300) },
  );
});

test("a body that holds what looks like a record is no record, whatever happens around it", async () => {
  const folder = temporaryFolder();
  const log = await openLog(folder);
  await log.append(entryOf("a"));
  const forged = readFileSync(log.segments[0]!.path);
  await log.close();
  const next = await openLog(folder);
  await next.append({ ...entryOf(""), stored: forged });
  await next.close();
  const { path, mark } = next.segments[1]!;
  const bytes = readFileSync(path);
  bytes[8]! ^= 1;
  writeFileSync(path, bytes);
  expect(scan({ path, mark }).texts).toEqual([]);
});
