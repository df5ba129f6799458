import * as fc from "fast-check";
import { expect, test } from "vitest";
import { encodeUtf8 } from "../../src/base/utf8.ts";
import { StringDictionary } from "../../src/model/string-dictionary.ts";
import { anyText } from "../any-text.ts";
import { runs } from "../runs.ts";

test("equal strings get one id, others another, and each is given back", () => {
  fc.assert(
    fc.property(fc.array(anyText(200), { maxLength: 400 }), (texts) => {
      const strings = new StringDictionary();
      const ids = new Map<string, number>();
      texts.forEach((text, i) => {
        const bytes = encodeUtf8(`<${text}>`);
        const context = (i % 5) * 2;
        const id = strings.internAfter(Math.min(context, strings.size), bytes, 1, bytes.length - 1);
        expect(ids.get(text) ?? id).toBe(id);
        expect(strings.intern(text)).toBe(id);
        expect(strings.find(text)).toBe(id);
        ids.set(text, id);
      });
      expect(new Set(ids.values()).size).toBe(ids.size);
      for (const [text, id] of ids) expect(strings.get(id)).toBe(text);
      expect(strings.size).toBe(ids.size + (ids.has("") ? 0 : 1));
      expect(strings.illFormedCount).toBe(0);
      expect(strings.find("never interned")).toBe(-1);
    }),
    { numRuns: runs(50) },
  );
});

test("strings that were chosen to collide stay distinct and do not take quadratic time", () => {
  // Flipping bit 31 of a word and bit 4 of the next leaves the hash as it was.
  const pairs = 14;
  const strings = new StringDictionary();
  const bytes = new Uint8Array(pairs * 8).fill(0x41);
  let wrong = 0;
  const before = process.cpuUsage();
  for (let round = 0; round < 2; round += 1)
    for (let mask = 0; mask < 1 << pairs; mask += 1) {
      for (let i = 0; i < pairs; i += 1) {
        const flip = (mask >> i) & 1;
        bytes[i * 8 + 3] = flip ? 0xc1 : 0x41;
        bytes[i * 8 + 4] = flip ? 0x51 : 0x41;
      }
      if (strings.internBytes(bytes, 0, bytes.length) !== mask + 1) wrong += 1;
    }
  const { user, system } = process.cpuUsage(before);
  // half a second, if not; CPU time, because other tests run beside this one
  expect((user + system) / 1e6).toBeLessThan(3);
  expect(wrong).toBe(0);
});
