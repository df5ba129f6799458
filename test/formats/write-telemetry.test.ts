import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { recorded } from "../data-folder.ts";
import { rowsOf as rowRefs, tableOf } from "../notation.ts";
import { isThorough } from "../runs.ts";
import { converted } from "./converted.ts";
import { graphOfTables } from "./same-answers.ts";
import { collect, streamOf } from "./sources.ts";

const formats = ["otlp-jsonl", "otlp-proto", "jaeger", "zipkin"] as const;

test("spans that do not fit into memory are written all the same, each trace in one place", async () => {
  const lines = Array.from({ length: 40 }, (_, i) =>
    tracesToJson(
      rowRefs(
        tableOf(`web GET / 0..9ms server trace=${(i % 20) + 1} id=${i + 1} parent=none resource.n=${i}`),
      ),
    ),
  ).join("\n");
  const inMemory = await converted([streamOf(lines)], "jaeger");
  const spilled = await converted([streamOf(lines)], "jaeger", 1);
  const traces = (bytes: Buffer) =>
    (JSON.parse(bytes.toString()) as { data: { traceID: string; spans: unknown[] }[] }).data
      .map(({ traceID, spans }) => `${traceID}: ${spans.length}`)
      .sort();
  expect(traces(spilled.bytes)).toEqual(traces(inMemory.bytes));
  expect(new Set(traces(spilled.bytes)).size).toBe(20);
  expect(spilled.summary).toMatchObject({ spans: 40, traces: 20 });
});

test("a file as a whole is what Jaeger's UI and Zipkin's API answer with", async () => {
  const input = tracesToJson(rowRefs(tableOf("web GET / 0..9ms server\nweb GET / 0..9ms server trace=2")));
  const [jaeger, zipkin] = [
    await converted([streamOf(input)], "jaeger"),
    await converted([streamOf(input)], "zipkin"),
  ];
  expect(JSON.parse(jaeger.bytes.toString())).toMatchObject({
    data: [{ spans: [{}] }, { spans: [{}] }],
    total: 2,
    limit: 0,
    offset: 0,
    errors: null,
  });
  expect(JSON.parse(zipkin.bytes.toString())).toMatchObject([{ kind: "SERVER" }, { kind: "SERVER" }]);
  const nothing = streamOf('{"resourceSpans":[]}');
  expect(JSON.parse((await converted([nothing], "jaeger")).bytes.toString())).toMatchObject({ data: [] });
  expect(JSON.parse((await converted([nothing], "zipkin")).bytes.toString())).toEqual([]);
});

const samples = recorded("samples");
const files = samples.missing
  ? []
  : readdirSync(samples.path, { recursive: true, encoding: "utf8" })
      .map((name) => join(samples.path, name))
      .filter((path) => statSync(path).isFile());

describe.skipIf(samples.missing)(`recorded samples ${samples.reason}`, () => {
  test("each gives the same graph after a way through each format", { timeout: 60_000 }, async () => {
    let compared = 0;
    for (const path of files) {
      // four samples take longer than the eighty others together
      if (!isThorough && statSync(path).size > 50_000) continue;
      const read = await collect([path]).catch(noTelemetry);
      if (read === null || read.tables.length === 0) continue;
      const expected = graphOf(read.tables);
      for (const format of formats) {
        const { bytes, summary } = await converted([path], format);
        expect(summary.spans).toBe(read.summary.spans.accepted);
        const again = await collect([streamOf(bytes, 1 << 14)]);
        expect(again.problems).toEqual([]);
        expect({ path, format, graph: graphOf(again.tables) }).toEqual({ path, format, graph: expected });
      }
      compared += 1;
    }
    expect(compared).toBeGreaterThan(80);
  });
});

/** A readme or a licence beside the samples. */
function noTelemetry(error: unknown): null {
  if (error instanceof OperationError && error.code === "input_unreadable") return null;
  throw error;
}

/** Who calls whom how often, and how often that fails; times are cut to microseconds on the way. */
function graphOf(tables: readonly SpanTable[]): unknown {
  const graph = graphOfTables(tables);
  return JSON.parse(
    JSON.stringify(graph, (key, value: unknown) => (/_ms$|^response_/.test(key) ? null : value)),
  );
}
