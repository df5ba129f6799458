import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { criticalPath } from "../../src/trace/critical-path.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import type { Trace } from "../../src/trace/trace.ts";
import { recorded } from "../data-folder.ts";
import { directoryOf } from "../notation.ts";
import { type Collected, collect, rowsOf, streamOf } from "./sources.ts";

const samples = recorded("samples");

/** Each file that the folder's own list names, with the number of its spans or records. */
const listed: readonly (readonly [file: string, spans: number])[] = samples.missing
  ? []
  : Array.from(
      readFileSync(join(samples.path, "README.md"), "utf8").matchAll(/^\| `([^`]+)` \| [^|]+ \| (\d+)/gm),
      ([, file = "", spans]) => [file, Number(spans)] as const,
    );

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesIn(path) : [path]));
}

function tracesIn({ tables }: Collected): readonly Trace[] {
  const groups = groupByTrace(tables);
  const naming = directoryOf(tables);
  return Array.from({ length: groups.count }, (_, i) => assembleTrace(groups.rowsOf(i), naming));
}

describe.skipIf(samples.missing)(`sample files ${samples.reason}`, () => {
  test("the list of files is whole", () => {
    const found = filesIn(samples.path).map((path) => relative(samples.path, path));
    const others = ["LICENSE-Apache-2.0.txt", "README.md", "expected-edges.json"];
    expect(found.filter((file) => !others.includes(file)).sort()).toEqual(
      listed.map(([file]) => file).sort(),
    );
  });

  test.each(listed)("%s is read: all %i spans, no flaw, whatever its chunks", async (file, spans) => {
    const path = join(samples.path, file);
    const whole = await collect([path]);
    expect(whole.summary).toMatchObject({ spans: { accepted: spans, rejected: 0 }, malformedRecords: 0 });
    expect(whole.problems).toEqual([]);
    expect(whole.summary.files[0]!.records).toBeGreaterThan(0);
    const bytes = readFileSync(path);
    for (const stream of [streamOf(bytes, 100), streamOf(gzipSync(bytes), 100)]) {
      const parts = await collect([stream]);
      expect(rowsOf(parts.tables)).toEqual(rowsOf(whole.tables));
      expect(parts.problems).toEqual([]);
    }
  });

  test("the whole folder is read at once, in every format that it has", async () => {
    const { summary } = await collect([samples.path]);
    expect(summary.spans).toEqual({
      accepted: listed.reduce((sum, [, spans]) => sum + spans, 0),
      rejected: 0,
    });
    const formats = new Set(summary.files.map(({ format }) => format).filter((format) => format !== null));
    expect([...formats].sort()).toEqual(["Jaeger JSON", "OTLP JSON", "Tempo JSON (v1)", "Zipkin v2 JSON"]);
  });
});

interface ExpectedEdges {
  readonly records: number;
  readonly spansAfterMerge: number;
  readonly traces: number;
  readonly orphanSpans: number;
  readonly edges: readonly { readonly caller: string; readonly callee: string; readonly calls: number }[];
}

const edges = recorded("samples", "expected-edges.json");
const expectedEdges: readonly (readonly [string, ExpectedEdges])[] = edges.missing
  ? []
  : Object.entries(JSON.parse(readFileSync(edges.path, "utf8")).files);

describe.skipIf(edges.missing)(`expected edges ${edges.reason}`, () => {
  test.each(expectedEdges)("%s gives exactly the expected edges", async (file, expected) => {
    const content = await collect([join(samples.path, file)]);
    const traces = tracesIn(content);
    const counts: Record<string, number> = {};
    for (const trace of traces)
      for (const { caller, callee, kind } of callsOf(trace).calls) {
        const edge = `${caller} > ${callee}`;
        if (kind !== "inferred") counts[edge] = (counts[edge] ?? 0) + 1;
      }
    const spans = traces.flatMap((trace) => trace.spans);
    expect({
      records: content.summary.spans.accepted,
      traces: traces.length,
      spansAfterMerge: spans.length,
      orphanSpans: spans.filter(({ isOrphan }) => isOrphan).length,
      edges: counts,
    }).toEqual({
      records: expected.records,
      traces: expected.traces,
      spansAfterMerge: expected.spansAfterMerge,
      orphanSpans: expected.orphanSpans,
      edges: Object.fromEntries(
        expected.edges.map(({ caller, callee, calls }) => [`${caller} > ${callee}`, calls]),
      ),
    });
  });
});

/** Microseconds of each operation on a critical path; those with none are left out. */
type Micros = Readonly<Record<string, number>>;

function microsOf(trace: Trace): Micros {
  const micros: Record<string, number> = {};
  for (const { span, start, end } of criticalPath(trace, trace.roots[0]!)) {
    const { service, operation } = trace.spans[span]!;
    const name = `[${service}] ${operation}`;
    micros[name] = (micros[name] ?? 0) + (end - start) / 1000;
  }
  return micros;
}

/** Where ours is another path than CRISP's, with why. Ours is always an exact partition of the root's time. */
const otherPaths: Readonly<Record<string, { readonly ours: Micros; readonly why: string }>> = {
  "9.json": {
    ours: { "[S1] O1": 35, "[S2] O2": 10, "[S3] O3": 25, "[S4] O4": 30 },
    why:
      "O2 begins behind the end of its caller O1, which two clocks explain: it is moved into O1, and is on the path with its " +
      "child O3. CRISP leaves out what begins behind its parent's end",
  },
  "10.json": {
    ours: { "[S1] O1": 402, "[S2] O2": 199, "[S3] O3": 99, "[S4] O4": 300 },
    why:
      "each of O2, O3, O4 begins 1 µs before the one before ends. CRISP takes all three whole, so that 2 µs are counted " +
      "twice and missing in O1; ours cuts each where the next begins",
  },
  "12.json": {
    ours: { "[S1] O1": 40, "[S2] O2": 35, "[S3] O3": 5, "[S4] O4": 20 },
    why:
      "O3 (25..45) began before O4 (30..50), so from 25 to 30 it alone ran: O2 waited for it. CRISP leaves O3 out because it " +
      "overlaps O4, and charges O2",
  },
  "13.json": {
    ours: { "[S1] O1": 40, "[S2] O2": 35, "[S3] O3": 5, "[S4] O4": 20 },
    why: "as in 12.json: from 25 to 30 only O3 ran",
  },
  "14.json": {
    ours: { "[S1] O1": 25, "[S2] O2": 10, "[S3] O3": 20, "[S4] O4": 25 },
    why:
      "O3 (20..45) overlaps O4 (40..65) by 5 µs and ran from 20 to 40 as the one that was waited for. CRISP leaves it out, " +
      "takes O2 (10..30) instead, and charges the rest to O1",
  },
  "16.json": {
    ours: {
      "[S1] O1": 40,
      "[S2] O2": 5,
      "[S3] O3": 15,
      "[S4] O4": 10,
      "[S5] O5": 10,
      "[S6] O6": 20,
      "[S7] O7": 10,
    },
    why: "O3 (15..35) overlaps O2 and O4 by 5 µs each. CRISP leaves it out and charges O1 for the time in which O3 ran",
  },
  "19.json": {
    ours: { "[S1] O1": 10, "[S2] O2": 195, "[S3] O3": 95, "[S4] O4": 300 },
    why:
      "each of O2, O3, O4 begins 5 µs before the one before ends. CRISP takes all three whole: 600 µs, though O1 itself " +
      "worked for 10 µs before the first",
  },
  "20.json": { ours: { "[S1] O1": 10, "[S2] O2": 195, "[S3] O3": 95, "[S4] O4": 300 }, why: "as in 19.json" },
  "21.json": { ours: { "[S1] O1": 10, "[S2] O2": 195, "[S3] O3": 95, "[S4] O4": 300 }, why: "as in 19.json" },
};

const crisp = recorded("samples", "jaeger-json", "crisp");
describe.skipIf(crisp.missing)(`critical paths that CRISP publishes ${crisp.reason}`, () => {
  const files = crisp.missing ? [] : readdirSync(crisp.path);

  test.each(files)("%s: the same, or the difference is argued", async (file) => {
    const path = join(crisp.path, file);
    const [trace] = tracesIn(await collect([path]));
    const { testing } = JSON.parse(readFileSync(path, "utf8"));
    const all: Micros = testing[0] ?? testing.opTimeExclusive;
    const published = Object.fromEntries(Object.entries(all).filter(([, time]) => time !== 0));
    const ours = microsOf(trace!);
    const other = otherPaths[file];
    expect(ours).toEqual(other?.ours ?? published);
    // a difference that has gone must not stay argued
    expect(other === undefined).toBe(JSON.stringify(sorted(ours)) === JSON.stringify(sorted(published)));
    const root = trace!.spans[trace!.roots[0]!]!;
    const sum = Object.values(ours).reduce((total, time) => total + time, 0);
    expect(sum).toBeCloseTo((root.end - root.start) / 1000, 6);
  });
});

function sorted(micros: Micros): unknown {
  return Object.entries(micros).sort(([a], [b]) => (a < b ? -1 : 1));
}

const pairs = [
  ["otlp-json/jaegerui-otlp2jaeger-in.json", "jaeger-json/otlp2jaeger-out.json"],
  ["otlp-json/otlp2jaeger-multi-in.json.txt", "jaeger-json/oltp2jaeger-multi-out.json"],
  ["otlp-json/otlp2jaeger-multi-in-combined.json", "jaeger-json/oltp2jaeger-multi-out.json"],
] as const;

describe.skipIf(samples.missing)(`the same trace in two formats ${samples.reason}`, () => {
  // Jaeger has no nanoseconds: they are cut off
  const cut = (row: string): string => row.replaceAll(/"(\d{16})\d{3}"/g, '"$1000"');

  test.each(pairs)("%s and %s give the same spans", async (otlp, jaeger) => {
    const [a, b] = await Promise.all([
      collect([join(samples.path, otlp)]),
      collect([join(samples.path, jaeger)]),
    ]);
    expect(rowsOf(b.tables)).toEqual(rowsOf(a.tables).map(cut));
  });
});
