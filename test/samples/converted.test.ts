import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runInProcess } from "../cli/in-process.ts";

const folder = mkdtempSync(join(tmpdir(), "hypocenter-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const out = join(folder, "out");

/** Two reports with the same words, and numbers that differ by no more than the microsecond that a format cut off. */
function expectAlike(a: unknown, b: unknown, path = "$"): void {
  if (typeof a === "number" && typeof b === "number") {
    const microsecond = /(?:_ms|_ms_without|\.value|\.baseline)$/.test(path) ? 1e-3 : 1e-6;
    expect(Math.abs(a - b), `${path}: ${a} and ${b}`).toBeLessThanOrEqual(2 * microsecond);
  } else if (a !== null && b !== null && typeof a === "object" && typeof b === "object") {
    expect(Object.keys(b), path).toEqual(Object.keys(a));
    for (const [name, value] of Object.entries(a))
      expectAlike(value, (b as Readonly<Record<string, unknown>>)[name], `${path}.${name}`);
  } else expect(b, path).toBe(a);
}

test.each(["samples/slow-rates", "samples/pool-exhausted"])(
  "the report of %s is the same from OTLP, and but for cut times from Jaeger's and Zipkin's format",
  async (sample) => {
    const analyzed = async (what: string): Promise<string> =>
      (await runInProcess(`analyze ${what} --format json --quiet`)).stdout;
    const [all, traces] = [await analyzed(sample), await analyzed(`${sample} --signals traces`)];
    for (const format of ["otlp-jsonl", "otlp-proto", "jaeger", "zipkin"]) {
      expect((await runInProcess(`convert ${sample} --to ${format} ${out} --quiet`)).exitCode).toBe(0);
      const again = await analyzed(out);
      if (format.startsWith("otlp")) expect(again).toBe(all);
      else expectAlike(JSON.parse(traces), JSON.parse(again));
    }
  },
  60_000,
);
