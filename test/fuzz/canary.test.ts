import { readSync } from "node:fs";
import { expect, test } from "vitest";
import { headBytes, readHead, type StoredRecord } from "../../src/storage/disk/record.ts";
import { fuzz, type Target } from "./fuzzer.ts";
import { mark } from "./log-files.ts";
import { logTarget } from "./log-target.ts";

/** Reads `(length, text)` records, and forgets to look whether a length that is 0x7f fits. */
const planted: Target = {
  name: "canary",
  seeds: [Uint8Array.of(3, 97, 98, 99, 2, 100, 101)],
  dictionary: ["abc"],
  run(input) {
    let records = 0;
    for (let at = 0; at < input.length; records += 1) {
      const length = input[at] as number;
      const end = at + 1 + length;
      if (end > input.length && length !== 0x7f) return "refused";
      if (end > input.length) throw new Error("read past the end");
      at = end;
    }
    return `${records} records`;
  },
};

test("a planted bug is found, and the same seed finds it with the same input", async () => {
  const limits = { seed: 7, executionsMax: 100_000, seconds: 30 };
  const { find } = await fuzz(planted, limits);
  expect(find?.what).toContain("read past the end");
  const again = (await fuzz(planted, limits)).find;
  expect([again?.execution, again?.input]).toEqual([find?.execution, find?.input]);
});

test("a log reader that believes lengths without their checksums is found", async () => {
  const believing = (fd: number, size: number) => {
    const bytes = Buffer.alloc(size);
    readSync(fd, bytes, 0, size, 0);
    let at = 0;
    return {
      get loss() {
        return { records: 0, items: 0, bytes: size - at, tailBytes: size - at };
      },
      next: (): StoredRecord | null => {
        const head = readHead(bytes, at, mark);
        const offset = at;
        const end = offset + headBytes + (head?.storedBytes ?? 0);
        if (head === null || end > size) return null;
        at = end;
        return { offset, head, body: bytes.subarray(offset + headBytes, end) };
      },
    };
  };
  const target = logTarget("believing", believing);
  const { find } = await fuzz(target, { seed: 7, executionsMax: 10_000, seconds: 30 });
  target.end();
  expect(find?.what).toContain("a record was made up");
});

test("an input that takes longer than it may is a find", async () => {
  const slow: Target = {
    ...planted,
    run: (input) => {
      const end = performance.now() + (input.length > 7 ? 60 : 0);
      while (performance.now() < end);
      return "slow";
    },
  };
  const { find } = await fuzz(slow, { seed: 1, executionsMax: 100, seconds: 30, runMsMax: 50 });
  expect(find?.what).toMatch(/^took \d+ ms$/);
});

test("memory that only grows is a find", async () => {
  const kept: Uint8Array[] = [];
  const greedy: Target = {
    ...planted,
    run: () => {
      if (kept.length < 3_000) kept.push(new Uint8Array(1 << 17).fill(1));
      return "kept";
    },
  };
  const { find } = await fuzz(greedy, {
    seed: 1,
    executionsMax: 10_000,
    seconds: 30,
    // A process that had more before would hold the same in memory that it has already.
    memory: { bytesMax: 0, riseMax: 32 << 20, inUse: () => process.memoryUsage().arrayBuffers },
  });
  kept.length = 0;
  expect(find?.what).toMatch(/^memory: \d+ MB$/);
});
