import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { nodeFiles } from "../../../src/storage/disk/log-files.ts";
import { IndexDamage, TraceIndex, writeTraceIndex } from "../../../src/storage/disk/trace-index.ts";
import { temporaryFolder } from "./log-folder.ts";

const counts = { records: 3, items: 40, bytes: 5_000 };

async function indexOf(
  entries: readonly (readonly [hash: number, offset: number])[],
  change?: (bytes: Buffer) => void,
) {
  const path = join(temporaryFolder(), "index");
  const bytes = writeTraceIndex(
    Uint32Array.from(entries.flatMap(([hash, offset]) => [offset, hash])),
    counts,
  );
  change?.(bytes);
  writeFileSync(path, bytes);
  const file = await nodeFiles.open(path);
  onTestFinished(() => file.close());
  return TraceIndex.open(file);
}

/** Different numbers that look like hashes. */
function hashes(count: number, seed: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => Math.imul(i * 2 + 1, 0x9e3779b1 + seed * 2) >>> 0);
}

test("every entry is found, in order of its offset, however many of a hash there are", async () => {
  const many = Array.from({ length: 2_000 }, (_, i) => [77, i * 10] as const);
  const single = hashes(5_000, 1).map((hash, i) => [hash, i] as const);
  const index = await indexOf([...single, ...[...many].reverse(), [0, 1], [0xffffffff, 2]]);
  expect(index.counts).toEqual(counts);
  expect(await index.find(77)).toEqual(many.map(([, offset]) => offset));
  expect(await index.find(0)).toContain(1);
  expect(await index.find(0xffffffff)).toContain(2);
  for (const [hash, offset] of single) expect(await index.find(hash)).toContain(offset);
});

test("of traces that are not there the filter lets through less than one in a hundred", async () => {
  const index = await indexOf(hashes(20_000, 1).map((hash) => [hash, 0]));
  const known = new Set(hashes(20_000, 1));
  const others = hashes(100_000, 7).filter((hash) => !known.has(hash));
  const passed = others.filter((hash) => index.mayHold(hash)).length;
  expect(passed / others.length).toBeLessThan(0.01);
  expect(await index.find(others[0]!)).toEqual([]);
});

test("an index of nothing holds nothing", async () => {
  const index = await indexOf([]);
  expect([index.mayHold(5), await index.find(5)]).toEqual([false, []]);
});

test("damage is noticed when the index is opened, or where its block is read", async () => {
  const entries = hashes(2_000, 3).map((hash) => [hash, 9] as const);
  const size = writeTraceIndex(Uint32Array.from(entries.flatMap(([hash]) => [9, hash])), counts).length;
  const blocksAt = size - 4 * 4_096;
  for (let at = 0; at < size; at += 1_499) {
    const opening = indexOf(entries, (bytes) => {
      bytes[at]! ^= 4;
    });
    if (at < blocksAt) {
      await expect(opening).rejects.toThrow(IndexDamage);
      continue;
    }
    const index = await opening;
    // The last four bytes of a block, and what is behind its last entry, mean nothing.
    const answers = await Promise.allSettled(entries.map(([hash]) => index.find(hash)));
    const isRight = answers.every((answer) =>
      answer.status === "fulfilled" ? answer.value.includes(9) : answer.reason instanceof IndexDamage,
    );
    expect(isRight).toBe(true);
  }
});
