import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OperationError } from "../../src/engine/errors/operation-error.ts";
import type { ByteSource } from "../../src/formats/byte-source.ts";
import { Span } from "../../src/model/span.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { encodeLogs } from "../../src/otlp/encode-logs.ts";
import { encodeMetrics } from "../../src/otlp/encode-metrics.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { recorded } from "../data-folder.ts";
import { runs } from "../runs.ts";
import { collect, line, namesOf, request, rowsOf, streamOf } from "./sources.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "read-telemetry-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Reads a stream in chunks of several sizes, which must not show, and gives the names of its spans. */
async function namesIn(content: string | Uint8Array): Promise<readonly string[]> {
  const whole = await collect([streamOf(content)]);
  for (const size of [1, 100]) {
    const parts = await collect([streamOf(content, size)]);
    expect(rowsOf(parts.tables)).toEqual(rowsOf(whole.tables));
    expect(parts.problems).toEqual(whole.problems);
    expect(parts.summary).toEqual(whole.summary);
  }
  return namesOf(whole.tables);
}

/** Spans of two requests as the collector's file exporter writes them: each behind its length. */
async function delimited(): Promise<Buffer> {
  return Buffer.concat((await protobufRequests()).map(withLength));
}

function withLength(bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

async function protobufRequests(): Promise<readonly Uint8Array[]> {
  const read = await Promise.all([collect([streamOf(line("a", "b"))]), collect([streamOf(line("c"))])]);
  return read.map(({ tables }) =>
    encodeTraces(
      tables.flatMap((table) => Array.from({ length: table.rowCount }, (_, row) => ({ table, row }))),
    ),
  );
}

const two = line("a", "b") + line("c");

describe("every format gives the same spans, whatever its chunks", () => {
  test.each([
    ["JSON lines", two],
    ["lines of Windows", two.replaceAll("\n", "\r\n")],
    ["an array", JSON.stringify([request("a", "b"), request("c")])],
    ["a pretty array", JSON.stringify([request("a", "b"), request("c")], null, 2)],
    ["a pretty object", JSON.stringify(request("a", "b", "c"), null, "\t")],
    ["a byte order mark", `\ufeff${two}`],
    ["zeros behind it", `${two}${"\0".repeat(500)}`],
    ["gzip", gzipSync(two)],
    ["gzip of gzip", gzipSync(gzipSync(two))],
    ["several members of gzip", Buffer.concat([gzipSync(line("a", "b")), gzipSync(line("c"))])],
    ["gzip with zeros behind it", Buffer.concat([gzipSync(two), Buffer.alloc(300)])],
  ])("%s", async (_, content) => {
    expect(await namesIn(content)).toEqual(["a", "b", "c"]);
  });

  test("length-delimited protobuf", async () => {
    expect(await namesIn(await delimited())).toEqual(["a", "b", "c"]);
    expect(await namesIn(gzipSync(await delimited()))).toEqual(["a", "b", "c"]);
    expect(await namesIn(Buffer.concat([await delimited(), Buffer.alloc(200)]))).toEqual(["a", "b", "c"]);
  });

  test("raw protobuf", async () => {
    expect(await namesIn(Buffer.concat(await protobufRequests()))).toEqual(["a", "b", "c"]);
  });
});

test("a bad line is reported with its place, and costs itself alone", async () => {
  const content = `${line("a")}{"resourceSpans":[{"scopeSpans":oops}]}\n${line("b")}`;
  expect(await namesIn(content)).toEqual(["a", "b"]);
  const { problems, summary } = await collect([streamOf(content)]);
  expect(problems).toEqual([
    expect.objectContaining({
      kind: "malformed_record",
      source: expect.stringMatching(/^spans.jsonl:2, byte \d+$/),
    }),
  ]);
  expect(summary).toMatchObject({ malformedRecords: 1, spans: { accepted: 2, rejected: 0 } });
});

test("half a last line is reported, the rest used", async () => {
  const { tables, problems } = await collect([streamOf(line("a") + line("b").slice(0, 90))]);
  expect(namesOf(tables)).toEqual(["a"]);
  expect(problems).toMatchObject([
    { kind: "malformed_record", message: expect.stringContaining("ends in the middle") },
  ]);
});

test("a thousand bad lines are counted, the first ones with their place", async () => {
  const { problems, summary } = await collect([streamOf(line("a") + "oops\n".repeat(1000))]);
  expect(summary.malformedRecords).toBe(1000);
  expect(problems).toHaveLength(21);
  expect(problems.at(-1)).toMatchObject({ count: 980, source: "spans.jsonl" });
});

test("spans with bad ids are counted by reason", async () => {
  const bad = line("a", "b").replace("0af7651916cd43dd8448eb211c80319c", "0af7");
  const { problems, summary } = await collect([streamOf(bad)]);
  expect(summary).toMatchObject({ spans: { accepted: 1, rejected: 1 }, malformedRecords: 0 });
  expect(problems).toMatchObject([
    { kind: "rejected_span", message: expect.stringContaining("trace id"), count: 1, source: "spans.jsonl" },
  ]);
});

test("gzip that is cut off gives what could be read, and says so", async () => {
  const lines = Array.from({ length: 2000 }, (_, at) => line(`operation ${at}`, String(Math.sin(at))));
  const packed = gzipSync(lines.join(""));
  const { tables, problems } = await collect([streamOf(packed.subarray(0, packed.length / 2), 100)]);
  const names = namesOf(tables);
  expect(names.length).toBeGreaterThan(500);
  expect(names.length).toBeLessThan(4000);
  expect(problems.map(({ message }) => message)).toEqual(
    expect.arrayContaining([expect.stringContaining("the gzip stream is cut off in the middle")]),
  );
});

test("gzip that is damaged gives what could be read, and says so", async () => {
  const packed = gzipSync(Array.from({ length: 2000 }, (_, at) => line(String(Math.sin(at)))).join(""));
  packed.fill(0xff, packed.length - 5000, packed.length - 4000);
  const { summary, problems } = await collect([streamOf(packed)]);
  expect(summary.spans.accepted).toBeGreaterThan(100);
  expect(problems.map(({ message }) => message)).toEqual(
    expect.arrayContaining([expect.stringContaining("the gzip stream is damaged")]),
  );
});

test("a protobuf record that is damaged costs itself alone", async () => {
  const bytes = await delimited();
  // The first span's field behind its ids claims to be longer than the record.
  bytes[4 + bytes.subarray(4).indexOf("a", 60, "latin1") - 1] = 0x7f;
  const { tables, problems } = await collect([streamOf(bytes)]);
  expect(namesOf(tables)).toContain("c");
  expect(problems.length).toBeGreaterThan(0);
});

test("a folder is read whole: sorted, without hidden files, links followed once", async () => {
  mkdirSync(join(folder, "b"));
  mkdirSync(join(folder, ".git"));
  file("z.json", line("last"));
  file("b/1.txt", line("second"));
  file("a.jsonl", line("first"));
  file(".git/c.jsonl", line("hidden"));
  file(".d.jsonl", line("hidden"));
  file("README.md", "# About these files\n");
  file("old.json", `{"traceEvents":[]}`);
  file("old.json.gz", gzipSync(`{"traceEvents":[]}`));
  symlinkSync(folder, join(folder, "b", "loop"));
  symlinkSync(join(folder, "a.jsonl"), join(folder, "b", "again.jsonl"));
  symlinkSync(join(folder, "nothing"), join(folder, "dangling"));
  const { tables, problems } = await collect([folder, join(folder, "a.jsonl")]);
  expect(namesOf(tables)).toEqual(["first", "second", "last"]);
  expect(problems).toEqual([
    expect.objectContaining({
      count: 2,
      message: expect.stringMatching(/a Chrome trace.*old\.json, .*old\.json\.gz/),
    }),
  ]);
});

test("progress is told as bytes of what is stored", async () => {
  const path = file("a.jsonl.gz", gzipSync(two));
  const told: unknown[] = [];
  await collect([path], { onProgress: (progress) => told.push(progress) });
  const size = readFileSync(path).length;
  expect(told.at(-1)).toEqual({ bytesRead: size, bytesTotal: size, spans: 3 });
});

test("tables are handed over at the size that was asked for", async () => {
  const { tables, summary } = await collect([streamOf(line("a").repeat(1000), 100)], { tableRows: 3 });
  expect(summary.spans.accepted).toBe(1000);
  expect(tables.slice(1, -1).every(({ rowCount }) => rowCount === 3)).toBe(true);
});

async function refusal(...inputs: Parameters<typeof collect>[0]): Promise<{ message: string; hint: string }> {
  return collect(inputs).then(
    () => expect.unreachable(),
    (error) => {
      expect(error).toMatchObject({ code: "input_unreadable" });
      return error;
    },
  );
}

describe("what cannot be read is an error that says why", () => {
  test("a path that is not there, even next to one that is", async () => {
    const path = file("a.jsonl", two);
    expect((await refusal(path, join(folder, "b.jsonl"))).message).toMatch(
      /b\.jsonl: no such file or folder/,
    );
  });

  test.skipIf(process.getuid?.() === 0)("a file that may not be read", async () => {
    const path = file("a.jsonl", two);
    chmodSync(path, 0);
    expect((await refusal(path)).message).toMatch(/permission denied/);
  });

  test("a stream that fails", async () => {
    expect((await refusal(failingAfter(0))).message).toMatch(/the disk reports an error/);
  });

  test("another format", async () => {
    const { message, hint } = await refusal(file("trace.jsonl", `{"traceEvents":[]}`));
    expect(message).toMatch(/trace\.jsonl is a Chrome trace/);
    expect(hint).toMatch(/OTLP/);
  });

  test("gzip without end", async () => {
    let packed: Uint8Array = Buffer.from(two);
    for (let i = 0; i < 4; i += 1) packed = gzipSync(packed);
    expect((await refusal(streamOf(packed))).message).toMatch(/packed more than 3 times/);
  });

  test("an empty file", async () => {
    expect((await refusal(file("a.jsonl", ""))).message).toMatch(/a\.jsonl is empty/);
  });

  test("a folder with no telemetry in it", async () => {
    file("README.md", "# Nothing here\n");
    expect((await refusal(folder)).message).toMatch(/no telemetry.*README/);
  });

  test("a file of bad lines", async () => {
    expect((await refusal(streamOf(`{"resourceSpans":[oops\n`))).message).toMatch(
      /no record of spans\.jsonl/,
    );
  });

  test("but next to one that can be read it is a problem only", async () => {
    const { tables, problems } = await collect([streamOf(two), file("b.zip", "PK\u0003\u0004")]);
    expect(namesOf(tables)).toEqual(["a", "b", "c"]);
    expect(problems).toMatchObject([
      { kind: "unreadable_input", message: expect.stringContaining("a zip archive") },
    ]);
  });
});

/** A stream whose disk fails after some chunks of three spans each. */
function failingAfter(chunkCount: number): ByteSource {
  return {
    ...streamOf(""),
    async *chunks() {
      for (let i = 0; i < chunkCount; i += 1) yield Buffer.from(two);
      throw Object.assign(new Error("EIO"), { code: "EIO", syscall: "read" });
    },
  };
}

test.each([1, 1000])("what was read before a disk failed is used (%i chunks)", async (chunkCount) => {
  const { summary, problems } = await collect([failingAfter(chunkCount)]);
  expect(summary.spans.accepted).toBe(3 * chunkCount);
  expect(problems).toMatchObject([
    { kind: "unreadable_input", message: expect.stringContaining("the disk reports") },
  ]);
});

test("whatever is broken, chunks do not show, and nothing but a clear error comes of it", async () => {
  const contents = [
    two,
    JSON.stringify([request("a", "b")], null, 1),
    await delimited(),
    Buffer.concat(await protobufRequests()),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...contents),
      fc.array(
        fc.record({ at: fc.nat(2000), byte: fc.constantFrom(0, 10, 34, 44, 91, 92, 93, 123, 125, 255) }),
        { maxLength: 4 },
      ),
      fc.nat(2000),
      fc.integer({ min: 1, max: 60 }),
      async (content, changes, cut, size) => {
        const bytes = Buffer.from(content);
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        const rest = bytes.subarray(
          cut % 3 === 0 ? cut % bytes.length : 0,
          cut % 3 === 1 ? cut % bytes.length : undefined,
        );
        expect(await outcome(rest, size)).toEqual(await outcome(rest, 1 << 16));
      },
    ),
    { numRuns: runs(100) },
  );
});

async function outcome(bytes: Uint8Array, chunkSize: number): Promise<unknown> {
  try {
    const { tables, summary, problems } = await collect([streamOf(bytes, chunkSize)]);
    return { rows: rowsOf(tables), summary, problems };
  } catch (error) {
    if (error instanceof OperationError) return error.message;
    throw error;
  }
}

test("standard input is read like a file", () => {
  const script = join(folder, "read.mts");
  writeFileSync(
    script,
    `import { readTelemetry } from ${JSON.stringify(join(process.cwd(), "src/formats/read-telemetry.ts"))};
     const ignore = () => {};
     const { spans } = await readTelemetry(["-"], { traces: ignore, metrics: ignore, logs: ignore, problem: ignore });
     console.log(spans.accepted);`,
  );
  const output = execFileSync(process.execPath, ["--import", "tsx", script], { input: gzipSync(two) });
  expect(output.toString()).toBe("3\n");
});

const capture = recorded("samples", "otlp-jsonl", "otel-tui-test_data.json");
describe.skipIf(capture.missing)(`a recorded capture ${capture.reason}`, () => {
  test("three signals mixed in one file are all read", async () => {
    const { summary, problems, tables, points, logs } = await collect([capture.path]);
    expect(summary.files).toMatchObject([{ format: "OTLP JSON", records: 97, malformedRecords: 0 }]);
    expect(summary.spans).toEqual({ accepted: 547, rejected: 0 });
    expect(tables.reduce((sum, table) => sum + table.rowCount, 0)).toBe(547);
    expect(summary.points.accepted).toBe(points.length);
    expect(points.length).toBeGreaterThan(1000);
    expect(logs.length).toBe(summary.logs.accepted);
    expect(problems).toEqual([]);
  });

  test("as protobuf, length-delimited or raw, each record finds its signal", async () => {
    const { tables, points, logs } = await collect([capture.path], { tableRows: 100 });
    const requests = [
      ...tables.map((table) =>
        encodeTraces(Array.from({ length: table.rowCount }, (_, row) => ({ table, row }))),
      ),
      ...points.map((point) => encodeMetrics([point])),
      ...logs.map((record) => encodeLogs([record])),
    ];
    for (const content of [Buffer.concat(requests.map(withLength)), Buffer.concat(requests)]) {
      const again = await collect([streamOf(content, 333)]);
      expect(rowsOf(again.tables)).toEqual(rowsOf(tables));
      expect(again.points).toEqual(points);
      expect(again.logs).toEqual(logs);
      expect(again.problems).toEqual([]);
    }
  });

  test("in chunks of any size, packed, pretty or in an array it is the same", async () => {
    const content = readFileSync(capture.path);
    const objects = content
      .toString()
      .trim()
      .split("\n")
      .map((text) => JSON.parse(text));
    const expected = rowsOf((await collect([capture.path])).tables);
    for (const source of [
      streamOf(content, 100),
      streamOf(gzipSync(content), 1000),
      streamOf(JSON.stringify(objects)),
      streamOf(JSON.stringify(objects, null, 2), 4096),
    ])
      expect(rowsOf((await collect([source])).tables)).toEqual(expected);
  });
});

describe("attributes that nobody asked for", () => {
  const attributes = [
    { key: "service.name", value: { stringValue: "shop" } },
    { key: "text", value: { stringValue: "left out" } },
    { key: "big", value: { intValue: "9007199254740993" } },
    { key: "list", value: { arrayValue: { values: [{ intValue: "1" }] } } },
    { key: "small", value: { intValue: "7" } },
    { key: "yes", value: { boolValue: true } },
    { key: "half", value: { doubleValue: 0.5 } },
    { value: { stringValue: "no key" } },
    { key: "peer.service", value: { stringValue: "cart" } },
  ];
  const span = {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "00f067aa0ba902b7",
    name: "GET",
    attributes,
    events: [{ name: "seen", attributes }],
    links: [{ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "00f067aa0ba902b8", attributes }],
  };
  const json = JSON.stringify({
    resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope: { attributes }, spans: [span] }] }],
  });
  const kept = new Set(["service.name", "peer.service", "half"]);

  test.each([
    ["JSON", async () => json],
    ["pretty JSON", async () => JSON.stringify(JSON.parse(json), null, 1)],
    ["protobuf", async () => encodeTraces(refsOf((await collect([streamOf(json)])).tables))],
  ] as const)("are left out while %s is read", async (_, content) => {
    const { tables, summary } = await collect([streamOf(await content())], { attributes: kept });
    expect(summary.spans).toEqual({ accepted: 1, rejected: 0 });
    const [table] = tables;
    const read = new Span(table!, 0);
    const expected = new Map<string, unknown>([
      ["service.name", "shop"],
      ["half", 0.5],
      ["peer.service", "cart"],
    ]);
    for (const part of [read, ...read.events, ...read.links]) expect(part.attributes).toEqual(expected);
    expect(read.resourceAttributes).toEqual(expected);
  });

  test("are checked all the same", async () => {
    const cut = Buffer.from(encodeTraces(refsOf((await collect([streamOf(json)])).tables)));
    // the text's length now reaches beyond its value
    cut[cut.lastIndexOf("left out") - 1] = 100;
    const all = await collect([streamOf(line("a")), streamOf(cut)]);
    const some = await collect([streamOf(line("a")), streamOf(cut)], { attributes: kept });
    expect(some.summary).toEqual(all.summary);
    expect(some.problems).toEqual(all.problems);
    expect(all.problems).not.toEqual([]);
  });
});

function refsOf(tables: readonly SpanTable[]): readonly RowRef[] {
  return tables.flatMap((table) => Array.from({ length: table.rowCount }, (_, row) => ({ table, row })));
}

test("C-8 texts that are numbers of strings in a table are read as absent, and the file's problems say so once", async () => {
  const span = `{"traceId":"${"11".repeat(16)}","spanId":"2222222222222222","name":"a","attributes":[{"keyStrindex":3,"value":{"string_value_strindex":7}}]}`;
  const text = `{"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}\n`;
  const { problems, summary } = await collect([streamOf(text.repeat(3))]);
  expect(summary.spans.accepted).toBe(3);
  expect(problems).toEqual([
    expect.objectContaining({
      kind: "dropped_data",
      count: 6,
      message: expect.stringContaining("key_strindex"),
    }),
  ]);
});
