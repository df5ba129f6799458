import { randomBytes } from "node:crypto";
import { readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type {
  AttributeFilter,
  Encoding,
  TelemetryStore,
  TracePage,
  TraceQuery,
  TraceSummary,
} from "../../src/engine/ports.ts";
import { type AnyValue, textOf } from "../../src/model/attributes.ts";
import type { TraceId } from "../../src/model/ids.ts";
import { meaningfulAttributes } from "../../src/model/semconv.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { decodeBody, newTableFor } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import { SearchProgress, searchBlocks } from "../../src/storage/attribute-search.ts";
import { createMemoryStore } from "../../src/storage/memory-store.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { runs } from "../runs.ts";
import { eventually, temporaryFolder } from "./disk/log-folder.ts";
import { openStore, smallSegments } from "./disk/open-store.ts";

const minuteNanos = 60_000_000_000n;
const begin = 1_760_000_000_000_000_000n;

/** What a span of the test has; the resource of each is its own. */
interface Made {
  readonly trace: number;
  readonly startMinute: number;
  readonly attributes: readonly (readonly [key: string, value: AnyValue])[];
  readonly resource: readonly (readonly [key: string, value: AnyValue])[];
  /** so that segments fill */
  readonly filler: string;
}

function idOf(trace: number): TraceId {
  return trace.toString(16).padStart(32, "0") as TraceId;
}

function rowsOf(spans: readonly Made[]): readonly RowRef[] {
  const table = new SpanTable(8);
  const { resources, attributes, strings } = table;
  return spans.map((span, i) => {
    const resource = resources.add();
    resources.attributeStart[resource] = attributes.length;
    for (const [key, value] of span.resource) attributes.addValue(strings.intern(key), value);
    resources.attributeEnd[resource] = attributes.length;
    const row = table.addRow(resource, table.scopes.add());
    table.traceId.set([0, 0, 0, span.trace], row * 4);
    table.spanId.set([span.trace, i + 1], row * 2);
    const start = begin + BigInt(span.startMinute) * minuteNanos;
    table.startTime.set([Number(start >> 32n), Number(start & 0xffffffffn)], row * 2);
    table.endTime.set([Number(start >> 32n), Number(start & 0xffffffffn)], row * 2);
    for (const [key, value] of span.attributes) attributes.addValue(strings.intern(key), value);
    attributes.addValue(strings.intern("filler"), span.filler);
    table.attributeEnd[row] = attributes.length;
    return { table, row };
  });
}

async function send(store: TelemetryStore, spans: readonly Made[], encoding: Encoding): Promise<void> {
  const rows = rowsOf(spans);
  const body = encoding === "json" ? Buffer.from(tracesToJson(rows)) : Uint8Array.from(encodeTraces(rows));
  // a server decodes what the analysis asks for
  const { decoded } = decodeBody("traces", encoding, body, newTableFor(encoding, body, meaningfulAttributes));
  const packed = spans.length % 2 === 0 ? { gzip: gzipSync(body) } : {};
  await store.append({ signal: "traces", encoding, body, ...packed }, decoded);
}

function summaryOf(trace: number, spans: readonly Made[]): TraceSummary {
  const start = (begin +
    BigInt(Math.min(...spans.map(({ startMinute }) => startMinute))) * minuteNanos) as UnixNanos;
  return {
    traceId: idOf(trace),
    rootService: trace % 2 === 0 ? "even" : "odd",
    rootOperation: "GET /",
    startTime: start,
    indexTime: start,
    durationNanos: trace * 1_000,
    spanCount: spans.length,
    errorCount: trace % 3 === 0 ? 1 : 0,
    services: [trace % 2 === 0 ? "even" : "odd"],
  };
}

function byTrace(sent: readonly Made[]): ReadonlyMap<number, readonly Made[]> {
  const traces = new Map<number, Made[]>();
  for (const span of sent) traces.set(span.trace, [...(traces.get(span.trace) ?? []), span]);
  return traces;
}

/** All ids that a query finds, page by page. */
async function idsFound(store: TelemetryStore, query: TraceQuery): Promise<readonly TraceId[]> {
  const ids: TraceId[] = [];
  let page: TracePage | null = null;
  for (let pages = 0; page === null || page.cursor !== null; pages += 1) {
    expect(pages).toBeLessThan(1_000);
    page = await store.search({ ...query, ...(page === null ? {} : { cursor: page.cursor! }) });
    ids.push(...page.summaries.map(({ traceId }) => traceId));
    expect(page.summaries.length).toBeLessThanOrEqual(query.limit);
  }
  if (page.searchedFrom === null) expect(page.total).toBeGreaterThanOrEqual(page.summaries.length);
  return ids;
}

/** The same by looking at every span. */
function expectedIds(sent: readonly Made[], query: TraceQuery): readonly TraceId[] {
  const has = (entries: Made["attributes"], { key, text }: AttributeFilter): boolean => {
    const own = new Map(entries);
    return own.has(key) && textOf(own.get(key)) === text;
  };
  const found: TraceSummary[] = [];
  for (const [trace, spans] of byTrace(sent)) {
    const isMatch = spans.some(({ attributes, resource }) =>
      (query.attributes ?? []).every((sought) => has(attributes, sought) || has(resource, sought)),
    );
    const summary = summaryOf(trace, spans);
    if (!isMatch || (query.service !== undefined && !summary.services.includes(query.service))) continue;
    if (query.status !== undefined && (query.status === "error") !== summary.errorCount > 0) continue;
    if (query.from !== undefined && summary.indexTime < query.from) continue;
    if (query.to !== undefined && summary.indexTime > query.to) continue;
    found.push(summary);
  }
  return found
    .sort((a, b) => Number(b.indexTime - a.indexTime) || (a.traceId < b.traceId ? -1 : 1))
    .map(({ traceId }) => traceId);
}

const keys = ["http.route", "user.id", "n", "flag"];
const anyValue: fc.Arbitrary<AnyValue> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom("/cart", "/items", "1", "true", "", "1.5", "é=ü", "x".repeat(200), "0a"),
  },
  { weight: 2, arbitrary: fc.constantFrom(1n, 0n, -7n, 2n ** 40n, 2n ** 62n, -(2n ** 63n)) },
  { weight: 1, arbitrary: fc.constantFrom(1, 1.5, -0, Number.NaN, Number.POSITIVE_INFINITY) },
  { weight: 1, arbitrary: fc.boolean() },
  {
    weight: 1,
    arbitrary: fc.constantFrom<AnyValue>(null, Uint8Array.of(10), ["a", 1n], new Map([["a", "b"]])),
  },
);
const entry = fc.tuple(fc.constantFrom(...keys), anyValue);
const entries = fc.uniqueArray(entry, { maxLength: 3, selector: ([key]) => key });
const span: fc.Arbitrary<Made> = fc.record({
  trace: fc.integer({ min: 1, max: 12 }),
  startMinute: fc.integer({ min: 0, max: 50 }),
  attributes: entries,
  resource: entries,
  filler: fc.constantFrom("", "small"),
});
const filter = entry.map(([key, sought]) => ({ key, text: textOf(sought) }));
const query: fc.Arbitrary<TraceQuery> = fc.record(
  {
    attributes: fc.array(filter, { minLength: 1, maxLength: 2 }),
    limit: fc.integer({ min: 1, max: 5 }),
    service: fc.constantFrom("even", "odd"),
    status: fc.constantFrom("error" as const, "ok" as const),
    from: fc
      .integer({ min: 0, max: 50 })
      .map((minute) => (begin + BigInt(minute) * minuteNanos) as UnixNanos),
    to: fc.integer({ min: 0, max: 50 }).map((minute) => (begin + BigInt(minute) * minuteNanos) as UnixNanos),
  },
  { requiredKeys: ["attributes", "limit"] },
);
const bodies = fc.array(
  fc.tuple(
    fc.array(span, { minLength: 1, maxLength: 6 }),
    fc.constantFrom<Encoding>("protobuf", "protobuf", "json"),
  ),
  { minLength: 1, maxLength: 12 },
);

async function putSummaries(store: TelemetryStore, sent: readonly Made[]): Promise<void> {
  for (const [trace, spans] of byTrace(sent)) await store.putSummary(summaryOf(trace, spans));
}

async function checkAll(
  store: TelemetryStore,
  sent: readonly Made[],
  queries: readonly TraceQuery[],
): Promise<void> {
  for (const each of queries) expect(await idsFound(store, each)).toEqual(expectedIds(sent, each));
}

test("a search by attributes finds what looking at every span finds, in memory", async () => {
  await fc.assert(
    fc.asyncProperty(bodies, fc.array(query, { minLength: 1, maxLength: 4 }), async (all, queries) => {
      const store = createMemoryStore();
      for (const [spans, encoding] of all) await send(store, spans, encoding);
      const sent = all.flatMap(([spans]) => spans);
      await putSummaries(store, sent);
      await checkAll(store, sent, queries);
    }),
    { numRuns: runs(150) },
  );
});

/** A field of protobuf with content of its own. */
function field(tag: number, ...parts: readonly (readonly number[])[]): readonly number[] {
  const content = parts.flat();
  return [tag, content.length, ...content];
}

const ascii = (text: string): readonly number[] => [...Buffer.from(text)];

test("attributes are found in whatever form a sender writes them", async () => {
  const key = field(0x0a, ascii("user.id"));
  const value = field(0x12, field(0x0a, ascii("ann")));
  const forms = {
    "as everybody does": [key, value],
    "with the value in front": [value, key],
    "with the key twice": [field(0x0a, ascii("no")), key, value],
    "with the value twice": [key, field(0x12, field(0x0a, ascii("bob"))), value],
    "with two variants of the value": [key, field(0x12, [0x18, 7], field(0x0a, ascii("ann")))],
    "with a field that nobody knows": [key, value, [0x78, 1]],
  };
  for (const [form, parts] of Object.entries(forms)) {
    const attribute = field(0x4a, ...parts);
    const times = [0x39, 0, 0, 0, 0, 0, 0, 0, 0x18, 0x41, 0, 0, 0, 0, 0, 0, 0, 0x18];
    const ids = [...field(0x0a, [...Array(15).fill(0), 1]), ...field(0x12, [...Array(7).fill(0), 1])];
    const body = Uint8Array.from(field(0x0a, field(0x12, field(0x12, ids, times, attribute))));
    const { store, close } = await openStore(temporaryFolder());
    const { decoded } = decodeBody("traces", "protobuf", body);
    await store.append({ signal: "traces", encoding: "protobuf", body }, decoded);
    await store.putSummary(summaryOf(1, manyBodies(1, 1)[0]!));
    const total = async (text: string): Promise<number> =>
      (await store.search({ attributes: [{ key: "user.id", text }], limit: 9 })).total;
    expect([form, await total("ann"), await total("bob")]).toEqual([form, 1, 0]);
    await close();
  }
});

const attributeFiles = (folder: string): readonly string[] =>
  readdirSync(folder).filter((name) => name.endsWith(".attributes"));

async function restore(store: TelemetryStore): Promise<void> {
  for await (const _ of store.restore()) expect(_.decoded.signal).toBe("traces");
}

test(
  "the same on disk, in segments that are open, closed, closed by an earlier process, and where what tells blocks apart is lost",
  async () => {
    await fc.assert(
      fc.asyncProperty(bodies, fc.array(query, { minLength: 1, maxLength: 3 }), async (all, queries) => {
        const folder = temporaryFolder();
        const first = await openStore(folder, { retention: smallSegments });
        await restore(first.store);
        const half = Math.ceil(all.length / 2);
        for (const [spans, encoding] of all.slice(0, half)) await send(first.store, spans, encoding);
        const early = all.slice(0, half).flatMap(([spans]) => spans);
        await putSummaries(first.store, early);
        await checkAll(first.store, early, queries);
        await first.close();
        expect(attributeFiles(folder).length).toBe(1);
        const second = await openStore(folder, { retention: smallSegments });
        await restore(second.store);
        await putSummaries(second.store, early);
        for (const [spans, encoding] of all.slice(half)) await send(second.store, spans, encoding);
        const sent = all.flatMap(([spans]) => spans);
        await putSummaries(second.store, sent);
        await checkAll(second.store, sent, queries);
        await second.close();
        for (const [i, name] of attributeFiles(folder).entries())
          if (i % 2 === 0) unlinkSync(join(folder, name));
          else writeFileSync(join(folder, name), "damaged");
        const third = await openStore(folder, { retention: smallSegments });
        await restore(third.store);
        await putSummaries(third.store, sent);
        await checkAll(third.store, sent, queries);
        await third.close();
        expect([first, second, third].flatMap(({ faults, notices }) => [...faults, ...notices])).toEqual([]);
      }),
      { numRuns: runs(40) },
    );
  },
  60_000 + runs(40) * 1_000,
);

/** Requests of which each has one user of its own, and all have one route; every few minutes one is late by an hour. */
function manyBodies(count: number, spansEach: number): readonly (readonly Made[])[] {
  return Array.from({ length: count }, (_, body) =>
    Array.from({ length: spansEach }, (__, i) => ({
      trace: body * spansEach + i + 1,
      startMinute: body % 10 === 9 ? Math.max(0, body - 60) : body,
      attributes: [
        ["http.route", "/cart"],
        ["user.id", `user-${body}-${i}`],
        ["n", BigInt(body)],
      ] as const,
      resource: [["host.name", `host-${body % 7}`]] as const,
      filler: i === 0 ? randomBytes(6_000).toString("hex") : "",
    })),
  );
}

test("over many blocks and segments a rare value is found where it is, and a common one page by page, the newest first", async () => {
  const folder = temporaryFolder();
  const { store, faults, notices } = await openStore(folder, { retention: smallSegments });
  await restore(store);
  const all = manyBodies(120, 60);
  const sent = all.flat();
  for (const spans of all) {
    await send(store, spans, "protobuf");
    await putSummaries(store, spans);
  }
  await expect.poll(() => attributeFiles(folder).length, eventually).toBeGreaterThan(1);
  for (const [key, text] of [
    ["user.id", "user-3-7"],
    ["user.id", "user-119-59"],
    ["n", "77"],
    ["host.name", "host-3"],
    ["http.route", "/cart"],
    ["http.route", "/car"],
  ] as const) {
    const limit = key === "http.route" ? 500 : 50;
    const asked = { attributes: [{ key, text }], limit };
    expect(await idsFound(store, asked)).toEqual(expectedIds(sent, asked));
  }
  expect([...faults, ...notices]).toEqual([]);
}, 120_000);

const block = (latestMs: number, traces: readonly number[]) => ({
  latestMs,
  open: () => Promise.resolve([{ latestMs, read: () => Promise.resolve(traces.map(idOf)) }]),
});

test("a search that runs out of time answers what lies in its place, says since when, and goes on from there", async () => {
  const sentOnce = manyBodies(1, 1)[0]!;
  const summary = (trace: number): TraceSummary => ({
    ...summaryOf(trace, sentOnce),
    indexTime: (BigInt(trace) * 1_000_000n) as UnixNanos,
  });
  // Trace 5 is found in a late block, though older ones of others are to come
  const sources = [block(30, [29, 5]), block(20, [18]), block(10, [9]), block(8, [7])];
  let nowMs = 0;
  const search = {
    sources,
    summaryOf: (id: TraceId) => Promise.resolve(summary(Number(`0x${id}`))),
    monotonicMs: () => (nowMs += 200),
    progress: new SearchProgress(),
  };
  const asked = { attributes: [{ key: "k", text: "v" }], limit: 10 };
  const idsOf = (page: TracePage): readonly number[] =>
    page.summaries.map(({ traceId }) => Number(`0x${traceId}`));
  const first = await searchBlocks(asked, search);
  expect([idsOf(first), first.total, first.searchedFrom]).toEqual([[29, 18], 2, 10_000_001n]);
  const early = "10000000-00000000000000000000000000000001";
  const stuck = await searchBlocks({ ...asked, cursor: early }, search);
  expect([idsOf(stuck), stuck.cursor]).toEqual([[], early]);
  const second = await searchBlocks({ ...asked, cursor: first.cursor! }, { ...search, monotonicMs: () => 0 });
  expect([idsOf(second), second.total, second.searchedFrom, second.cursor]).toEqual([
    [9, 7, 5],
    5,
    null,
    null,
  ]);
});
