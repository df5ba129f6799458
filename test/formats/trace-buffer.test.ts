import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TraceBuffer } from "../../src/formats/trace-buffer.ts";
import { parseTraceId } from "../../src/model/ids.ts";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { runs } from "../runs.ts";
import { rowsOf } from "./sources.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "trace-buffer-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A table with one span for each number: its trace. */
function tableOf(traces: readonly number[], attributeBytes = 20): SpanTable {
  const table = new SpanTable(8);
  const resource = table.resources.add();
  const scope = table.scopes.add();
  for (const [at, trace] of traces.entries()) {
    const row = table.addRow(resource, scope);
    table.traceId.set([0, 0, trace % 3, trace + 1], row * 4);
    table.spanId.set([trace, at + 1], row * 2);
    table.startTime.set([0x17000000, at], row * 2);
    table.endTime.set([0x17000000, at + 5], row * 2);
    table.name[row] = table.strings.intern(`operation ${trace}`);
    table.attributes.addValue(table.strings.intern("text"), "x".repeat(attributeBytes) + trace);
    table.attributeEnd[row] = table.attributes.length;
  }
  return table;
}

async function parts(buffer: TraceBuffer): Promise<readonly (readonly string[])[]> {
  const found: (readonly string[])[] = [];
  for await (const tables of buffer.partitions()) found.push(rowsOf(tables));
  return found;
}

test("below the budget everything stays in memory, as one part", async () => {
  const buffer = new TraceBuffer({ folder });
  const table = tableOf([1, 2, 1]);
  await buffer.add(table);
  expect(await parts(buffer)).toEqual([rowsOf([table])]);
  for await (const tables of buffer.partitions()) expect(tables[0]).toBe(table);
  expect(readdirSync(folder)).toEqual([]);
});

test("above the budget the same rows come back, each trace whole in one part", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(40), { maxLength: 30 }), { minLength: 1, maxLength: 6 }),
      fc.constantFrom(0, 20_000, 60_000),
      async (traces, budgetBytes) => {
        const tables = traces.map((some) => tableOf(some));
        const expected = rowsOf(tables);
        const buffer = new TraceBuffer({ folder, budgetBytes });
        for (const table of tables) await buffer.add(table);
        const found = await parts(buffer);
        expect(found.flat().sort()).toEqual(expected);
        expect(buffer.spanCount).toBe(expected.length);
        const tracesOfParts = found.map((rows) => new Set(rows.map((row) => JSON.parse(row)[0])));
        const all = tracesOfParts.flatMap((ids) => [...ids]);
        expect(new Set(all).size).toBe(all.length);
        await buffer.dispose();
      },
    ),
    { numRuns: runs(7) },
  );
});

test("a part above the budget is parted again; one huge trace is handed out whole", async () => {
  const many = Array.from({ length: 400 }, (_, at) => at);
  const tables = [tableOf(many, 2_000), tableOf([...many, ...Array(300).fill(7)], 2_000)];
  const expected = rowsOf(tables);
  const buffer = new TraceBuffer({ folder, budgetBytes: 10_000 });
  for (const table of tables) await buffer.add(table);
  const found = await parts(buffer);
  expect(found.flat().sort()).toEqual(expected);
  expect(found.length).toBeGreaterThan(128);
  expect(found.some((rows) => rows.length >= 302)).toBe(true);
  await buffer.dispose();
});

test("spilled or not, parts can be read twice and one trace alone", async () => {
  for (const budgetBytes of [0, 1 << 30]) {
    const buffer = new TraceBuffer({ folder, budgetBytes });
    await buffer.add(tableOf([1, 2, 3, 2]));
    await buffer.add(tableOf([2, 5]));
    expect(await parts(buffer)).toEqual(await parts(buffer));
    const rows = await buffer.readTrace(parseTraceId("00000000000000000000000200000003")!);
    expect(rows.map(({ table, row }) => new Span(table, row).name)).toEqual(Array(3).fill("operation 2"));
    expect(await buffer.readTrace(parseTraceId("00000000000000000000000200000009")!)).toEqual([]);
    await buffer.dispose();
  }
});

test.skipIf(process.platform === "win32")(
  "the temporary file has no name, so that nothing stays of it",
  async () => {
    const buffer = new TraceBuffer({ folder, budgetBytes: 0 });
    const table = tableOf([1, 2, 3]);
    await buffer.add(table);
    for await (const tables of buffer.partitions()) expect(tables).not.toContain(table);
    expect(readdirSync(folder)).toEqual([]);
    await buffer.dispose();
  },
);

test("a folder that cannot be written is a clear error", async () => {
  const buffer = new TraceBuffer({ folder: join(folder, "missing"), budgetBytes: 0 });
  await expect(buffer.add(tableOf([1]))).rejects.toMatchObject({
    code: "no_temporary_space",
    message: expect.stringContaining("temporary file"),
    hint: expect.stringContaining("TMPDIR"),
  });
});
