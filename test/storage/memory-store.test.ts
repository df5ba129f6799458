import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Encoding, Signal, TraceQuery, TraceSummary } from "../../src/engine/ports.ts";
import type { TraceId } from "../../src/model/ids.ts";
import { meaningfulAttributes } from "../../src/model/semconv.ts";
import { Span } from "../../src/model/span.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { decodeBody, newTableFor } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import {
  createMemoryStore,
  defaultMemoryStoreLimits,
  type MemoryStoreLimits,
} from "../../src/storage/memory-store.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { rowsOf, tableOf } from "../notation.ts";

test("a trace is read from all bodies that hold it, in order of arrival", async () => {
  const store = storeOf();
  await store.send(`
    web A 0..9ms trace=1
    web B 0..9ms trace=2`);
  await store.send("web C 0..9ms trace=2");
  await store.send(`
    web D 0..9ms trace=1
    web E 0..9ms trace=1`);
  checkNames(await store.read(1), "A D E");
  checkNames(await store.read(2), "B C");
  checkNames(await store.read(3), "");
});

test("what is no longer at hand is decoded again to the same rows", async () => {
  const store = storeOf({ decodedBytesMax: 0 });
  await store.send("web A 0..9ms trace=1 http.route=/a\nweb B 0..9ms trace=2");
  await store.send("web C 0..9ms trace=1");
  const rows = await store.read(1);
  checkNames(rows, "A C");
  expect(new Span(rows[0]!.table, rows[0]!.row).attributes.get("http.route")).toBe("/a");
});

test("beyond the limit of traces the oldest body goes, and with it what it alone held", async () => {
  const store = storeOf({ tracesMax: 2 });
  await store.send("web A 0..9ms trace=1\nweb B 0..9ms trace=2");
  await store.send("web C 0..9ms trace=2");
  await store.send("web D 0..9ms trace=3");
  checkNames(await store.read(1), "");
  checkNames(await store.read(2), "C");
  checkNames(await store.read(3), "D");
  expect(store.stats()).toMatchObject({ bodies: 2, traces: 2, evictedBodies: 1, evictedTraces: 1 });
});

test("beyond the limit of bytes the oldest bodies go; the newest stays however large it is", async () => {
  const store = storeOf({ bytesMax: 1 });
  for (const trace of [1, 2, 3]) await store.send(`web A 0..9ms trace=${trace}`);
  expect(store.stats()).toMatchObject({ bodies: 1, traces: 1, evictedBodies: 2, evictedTraces: 2 });
  checkNames(await store.read(3), "A");
});

test("a trace that comes back after it was evicted starts from nothing", async () => {
  const store = storeOf({ tracesMax: 1 });
  await store.send("web A 0..9ms trace=1");
  await store.putSummary(summary(1, {}));
  await store.send("web B 0..9ms trace=2");
  await store.send("web C 0..9ms trace=1");
  checkNames(await store.read(1), "C");
  expect((await store.search({ limit: 9 })).total).toBe(0);
});

test("what is held stays the same over many evictions", async () => {
  const store = storeOf({ tracesMax: 10 });
  for (let trace = 1; trace <= 1_000; trace += 1)
    await store.send(`web A 0..9ms trace=${trace}\nweb B 0..9ms trace=${trace + 1}`);
  const { bodies, traces, bytes, evictedBodies } = store.stats();
  expect({ bodies, traces, evictedBodies }).toEqual({ bodies: 9, traces: 10, evictedBodies: 991 });
  expect(bytes).toBeLessThan(9 * 2_000);
  checkNames(await store.read(1_000), "B A");
});

test("what can be read agrees with a plain list of bodies, whatever comes and goes", async () => {
  const bodyShape = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    // nothing decoded is kept, some of it, or all
    fc.asyncProperty(
      fc.array(bodyShape, { maxLength: 40 }),
      fc.constantFrom(0, 8_000, 1e9),
      async (bodies, decodedBytesMax) => {
        const store = storeOf({ tracesMax: 4, decodedBytesMax });
        let kept: (readonly (readonly [trace: number, name: string])[])[] = [];
        for (const [number, traces] of bodies.entries()) {
          kept.push(traces.map((trace, i) => [trace, `${number}.${i}`]));
          await store.send(traces.map((trace, i) => `web ${number}.${i} 0..9ms trace=${trace}`).join("\n"));
          const count = (): number => new Set(kept.flat().map(([trace]) => trace)).size;
          while (count() > 4 && kept.length > 1) kept = kept.slice(1);
        }
        for (let trace = 1; trace <= 6; trace += 1) {
          const names = kept.flat().filter(([of]) => of === trace);
          for (const rows of [await store.read(trace), await store.readForAnalysis(idOf(trace))])
            checkNames(rows, names.map(([, name]) => name).join(" "));
        }
        expect(store.stats().bodies).toBe(kept.length);
      },
    ),
  );
});

test.each<Encoding>(["protobuf", "json"])(
  "what has no meaning for the analysis is there when a trace is read, %s",
  async (encoding) => {
    const store = storeOf();
    const rows = rowsOf(tableOf("web A 0..9ms trace=1 http.response.status_code=500 user.mood=bad"));
    await store.receive(
      "traces",
      encoding,
      encoding === "json" ? Buffer.from(tracesToJson(rows)) : encodeTraces(rows),
    );
    const names = (read: readonly RowRef[]) =>
      read.map(({ table, row }) => [
        ...table.attributes.read(table.attributeStart[row]!, table.attributeEnd[row]!).keys(),
      ]);
    expect(names(await store.readForAnalysis(idOf(1)))).toEqual([["http.response.status_code"]]);
    expect(names(await store.read(1))).toEqual([["http.response.status_code", "user.mood"]]);
    await store.keepTraces([idOf(1)]);
    expect(names(await store.read(1))).toEqual([["http.response.status_code", "user.mood"]]);
  },
);

test("metrics and logs take no room: nothing reads them back", async () => {
  const store = storeOf({ bytesMax: 1 });
  await store.send("web A 0..9ms trace=1");
  await store.receive("metrics", "json", Buffer.from(gauge));
  await store.receive("logs", "json", Buffer.from('{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}'));
  expect(store.stats()).toMatchObject({ bodies: 1, traces: 1, evictedBodies: 0 });
  checkNames(await store.read(1), "A");
});

const gauge =
  '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"depth","gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]}';

test("summaries come newest first, those of one instant by trace id", async () => {
  const store = await storeWithSummaries([
    [1, { startTime: 5n as UnixNanos }],
    [2, { startTime: 7n as UnixNanos }],
    [3, { startTime: 5n as UnixNanos }],
  ]);
  await checkFound(store, {}, [2, 1, 3]);
});

test.each<[string, Partial<TraceQuery>, readonly number[]]>([
  ["service", { service: "cart" }, [2]],
  ["a service that is part of another name", { service: "car" }, []],
  ["operation", { operation: "GET /" }, [3, 1]],
  ["an operation nobody has", { operation: "nothing" }, []],
  ["error", { status: "error" }, [2]],
  ["ok", { status: "ok" }, [3, 1]],
  ["least duration", { minDurationNanos: 50 }, [3, 2]],
  ["start of the window", { from: 20n as UnixNanos }, [3, 2]],
  ["both ends of the window", { from: 10n as UnixNanos, to: 20n as UnixNanos }, [2, 1]],
  ["several at once", { service: "web", status: "ok", minDurationNanos: 60 }, [3]],
])("traces are found by %s", async (_, query, found) => {
  const store = await storeWithSummaries([
    [1, { startTime: 10n as UnixNanos, durationNanos: 10 }],
    [
      2,
      {
        startTime: 20n as UnixNanos,
        durationNanos: 50,
        rootOperation: "POST /",
        errorCount: 1,
        services: ["cart", "web"],
      },
    ],
    [3, { startTime: 30n as UnixNanos, durationNanos: 90 }],
  ]);
  await checkFound(store, query, found);
});

test("a later summary replaces the earlier one", async () => {
  const store = await storeWithSummaries([[1, { services: ["web"] }]]);
  await store.putSummary(summary(1, { services: ["cart"], errorCount: 2 }));
  await checkFound(store, { service: "web" }, []);
  const { summaries } = await store.search({ service: "cart", limit: 9 });
  expect(summaries).toEqual([summary(1, { services: ["cart"], errorCount: 2 })]);
});

test("pages follow each other without gap or repeat, even when new traces come between them", async () => {
  const store = await storeWithSummaries(
    Array.from(
      { length: 250 },
      (_, i) => [i + 1, { startTime: BigInt(1_000 + (i % 50)) as UnixNanos }] as const,
    ),
  );
  const seen: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 99; page += 1) {
    const {
      summaries,
      total,
      cursor: next,
    } = await store.search({ limit: 20, ...(cursor ? { cursor } : {}) });
    expect(total).toBe(250 + page);
    seen.push(...summaries.map(({ traceId }) => traceId));
    await store.send(`web A 0..9ms trace=${1_000 + page}`);
    await store.putSummary(summary(1_000 + page, { startTime: 9_999n as UnixNanos }));
    if (next === null) break;
    cursor = next;
  }
  expect(new Set(seen).size).toBe(250);
  expect(seen.length).toBe(250);
});

test("a cursor that no page gave is refused", async () => {
  await expect(storeOf().search({ limit: 9, cursor: "5" })).rejects.toMatchObject({ code: "bad_request" });
});

function storeOf(limits: Partial<MemoryStoreLimits> = {}) {
  const store = createMemoryStore({ ...defaultMemoryStoreLimits, ...limits });
  const receive = async (signal: Signal, encoding: Encoding, body: Uint8Array) => {
    const table = signal === "traces" ? newTableFor(encoding, body, meaningfulAttributes) : undefined;
    const { decoded } = decodeBody(signal, encoding, body, table);
    await store.append({ signal, encoding, body }, decoded);
  };
  return Object.assign(store, {
    receive,
    send: (text: string) => receive("traces", "protobuf", encodeTraces(rowsOf(tableOf(text)))),
    read: (trace: number) => store.readTrace(idOf(trace)),
  });
}

async function storeWithSummaries(
  summaries: readonly (readonly [trace: number, changes: Partial<TraceSummary>])[],
) {
  const store = storeOf();
  for (const [trace, changes] of summaries) {
    await store.send(`web A 0..9ms trace=${trace}`);
    await store.putSummary(summary(trace, changes));
  }
  return store;
}

function summary(trace: number, changes: Partial<TraceSummary>): TraceSummary {
  return {
    traceId: idOf(trace),
    rootService: "web",
    rootOperation: "GET /",
    startTime: 1n as UnixNanos,
    indexTime: changes.startTime ?? (1n as UnixNanos),
    durationNanos: 10,
    spanCount: 1,
    errorCount: 0,
    services: ["web"],
    ...changes,
  };
}

function idOf(trace: number): TraceId {
  return trace.toString(16).padStart(32, "0") as TraceId;
}

function namesOf(rows: readonly RowRef[]): string {
  return rows.map(({ table, row }) => new Span(table, row).name).join(" ");
}

function checkNames(rows: readonly RowRef[], names: string): void {
  expect(namesOf(rows)).toBe(names);
}

async function checkFound(
  store: ReturnType<typeof storeOf>,
  query: Partial<TraceQuery>,
  traces: readonly number[],
): Promise<void> {
  const { summaries, total, cursor } = await store.search({ limit: 50, ...query });
  expect(summaries.map(({ traceId }) => Number.parseInt(traceId, 16))).toEqual(traces);
  expect([total, cursor]).toEqual([traces.length, null]);
}
