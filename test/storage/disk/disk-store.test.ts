import { randomBytes } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Language } from "../../../src/analysis/report.ts";
import type { Printable } from "../../../src/cli/render/printable.ts";
import { plainStyle, renderPrintable } from "../../../src/cli/render-report.ts";
import type { Incident, TelemetryStore, TraceSummary } from "../../../src/engine/ports.ts";
import { type TraceId, wordsOfHex } from "../../../src/model/ids.ts";
import { meaningfulAttributes } from "../../../src/model/semconv.ts";
import { Span } from "../../../src/model/span.ts";
import type { UnixNanos } from "../../../src/model/time.ts";
import { decodeBody, newTableFor } from "../../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../../src/otlp/json-write.ts";
import { headBytes } from "../../../src/storage/disk/record.ts";
import { runSealingTask, type SealingTask } from "../../../src/storage/disk/sealing.ts";
import { traceHash, writeTraceIndex } from "../../../src/storage/disk/trace-index.ts";
import type { RowRef } from "../../../src/trace/trace.ts";
import { rowsOf, tableOf } from "../../notation.ts";
import { runs } from "../../runs.ts";
import {
  clockAt,
  diskError,
  entryOf,
  eventually,
  type Faults,
  failingFiles,
  openLog,
  temporaryFolder,
} from "./log-folder.ts";
import { openStore, smallSegments } from "./open-store.ts";

async function send(
  store: TelemetryStore,
  text: string,
  encoding: "protobuf" | "json" = "protobuf",
): Promise<void> {
  const rows = rowsOf(tableOf(text));
  const body = encoding === "json" ? Buffer.from(tracesToJson(rows)) : encodeTraces(rows);
  const { decoded } = decodeBody("traces", encoding, body, newTableFor(encoding, body, meaningfulAttributes));
  // Half of the senders pack their bodies.
  const packed = rows.length % 2 === 0 ? { gzip: gzipSync(body) } : {};
  await store.append({ signal: "traces", encoding, body, ...packed }, decoded);
}

/** Something that no packing makes smaller, so that segments fill. */
function filler(bytes: number): string {
  return `note=${randomBytes(bytes).toString("hex")}`;
}

async function namesOf(store: TelemetryStore, trace: number): Promise<string> {
  const texts = (rows: readonly RowRef[]): string =>
    rows.map(({ table, row }) => new Span(table, row).name).join(" ");
  const read = texts(await store.readTrace(idOf(trace)));
  expect(texts(await store.readForAnalysis(idOf(trace)))).toBe(read);
  return read;
}

function idOf(trace: number): TraceId {
  return trace.toString(16).padStart(32, "0") as TraceId;
}

function summary(trace: number, changes: Partial<TraceSummary> = {}): TraceSummary {
  const startTime = BigInt(trace) as UnixNanos;
  return {
    traceId: idOf(trace),
    rootService: "web",
    rootOperation: "GET /",
    startTime,
    indexTime: startTime,
    durationNanos: 10,
    spanCount: 1,
    errorCount: 0,
    services: ["web"],
    ...changes,
  };
}

/** What a server does at its start. */
async function restore(store: TelemetryStore): Promise<number> {
  let spans = 0;
  for await (const { decoded } of store.restore())
    if (decoded.signal === "traces") spans += decoded.table.rowCount;
  return spans;
}

test("a trace is read from all bodies that hold it, in order of arrival, before and after a restart", async () => {
  const folder = temporaryFolder();
  const check = async (store: TelemetryStore): Promise<void> => {
    expect(await namesOf(store, 1)).toBe("A D E");
    expect(await namesOf(store, 2)).toBe("B C");
    expect(await namesOf(store, 3)).toBe("");
  };
  const first = await openStore(folder);
  await send(first.store, "web A 0..9ms trace=1\nweb B 0..9ms trace=2");
  await send(first.store, "web C 0..9ms trace=2", "json");
  await send(first.store, "web D 0..9ms trace=1\nweb E 0..9ms trace=1");
  await check(first.store);
  await first.close();
  const second = await openStore(folder);
  await check(second.store);
  expect(await restore(second.store)).toBe(5);
  await check(second.store);
  await send(second.store, "web F 0..9ms trace=2");
  expect(await namesOf(second.store, 2)).toBe("B C F");
  expect([...first.faults, ...second.faults, ...first.notices, ...second.notices]).toEqual([]);
});

test("a segment of very many tiny traces is closed by itself, so that what is held of them goes to disk", async () => {
  const folder = temporaryFolder();
  const { store, faults, notices } = await openStore(folder);
  const traces = 101_000;
  for (const first of [0, traces])
    await send(
      store,
      Array.from({ length: traces }, (_, i) => `web A 0..9ms trace=${first + i + 1}`).join("\n"),
    );
  // nothing more comes
  await expect
    .poll(() => readdirSync(folder).filter((name) => name.endsWith(".index")).length, eventually)
    .toBe(1);
  for (const trace of [1, traces, traces * 2]) expect(await namesOf(store, trace)).toBe("A");
  expect([...faults, ...notices]).toEqual([]);
}, 60_000);

test(
  "what can be read agrees with a plain list of bodies, over segments and restarts, with whatever index is lost",
  async () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }) },
      { weight: 1, arbitrary: fc.constant("restart" as const) },
      { weight: 1, arbitrary: fc.constant("restart without an index" as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const folder = temporaryFolder();
        const sent: (readonly [trace: number, name: string])[] = [];
        let server = await openStore(folder, { retention: smallSegments });
        for (const [number, todo] of steps.entries()) {
          if (typeof todo === "string") {
            await server.close();
            if (todo !== "restart")
              for (const name of readdirSync(folder))
                if (name.endsWith(".index"))
                  writeFileSync(join(folder, name), number % 2 ? "" : randomBytes(5_000));
            server = await openStore(folder, { retention: smallSegments });
            continue;
          }
          const spans = todo.map((trace, i) => [trace, `${number}.${i}`] as const);
          sent.push(...spans);
          const lines = spans.map(([trace, name]) => `web ${name} 0..9ms trace=${trace} ${filler(20_000)}`);
          await send(server.store, lines.join("\n"));
          const asked = (number % 6) + 1;
          expect(await namesOf(server.store, asked)).toBe(namesIn(sent, asked));
        }
        for (let trace = 1; trace <= 6; trace += 1)
          expect(await namesOf(server.store, trace)).toBe(namesIn(sent, trace));
        await server.close();
        expect([...server.faults, ...server.notices]).toEqual([]);
      }),
      { numRuns: runs(30) },
    );
  },
  30_000 + runs(30) * 1_000,
);

function namesIn(sent: readonly (readonly [number, string])[], trace: number): string {
  return sent.flatMap(([of, name]) => (of === trace ? [name] : [])).join(" ");
}

test("what has no meaning for the analysis is there when a trace is read", async () => {
  const { store } = await openStore(temporaryFolder());
  await send(store, "web A 0..9ms trace=1 http.response.status_code=500 user.mood=bad");
  const keysOf = (rows: readonly RowRef[]) =>
    rows.map(({ table, row }) => [
      ...table.attributes.read(table.attributeStart[row]!, table.attributeEnd[row]!).keys(),
    ]);
  expect(keysOf(await store.readTrace(idOf(1)))).toEqual([["http.response.status_code", "user.mood"]]);
  expect(keysOf(await store.readForAnalysis(idOf(1)))).toEqual([["http.response.status_code"]]);
});

test("a body that was packed by its sender is kept as it came, to the byte", async () => {
  const folder = temporaryFolder();
  const { store } = await openStore(folder);
  const body = encodeTraces(rowsOf(tableOf("web A 0..9ms trace=1")));
  const gzip = gzipSync(body, { level: 9 });
  const { decoded } = decodeBody("traces", "protobuf", body);
  await store.append({ signal: "traces", encoding: "protobuf", body, gzip }, decoded);
  const [log = ""] = readdirSync(folder).filter((name) => name.endsWith(".log"));
  expect(readFileSync(join(folder, log)).includes(gzip)).toBe(true);
  expect(await namesOf(store, 1)).toBe("A");
});

/** Traces 1 to `count`, one body and one summary each, and the segments they fill. */
async function fill(store: TelemetryStore, from: number, to: number): Promise<void> {
  for (let trace = from; trace <= to; trace += 1) {
    await send(store, `web A 0..9ms trace=${trace} ${filler(20_000)}`);
    await store.putSummary(summary(trace));
  }
}

async function found(store: TelemetryStore, query = {}): Promise<readonly number[]> {
  const { summaries, total } = await store.search({ limit: 500, ...query });
  expect(total).toBe(summaries.length);
  return summaries.map(({ traceId }) => Number.parseInt(traceId, 16));
}

function descending(from: number, to: number): readonly number[] {
  return Array.from({ length: from - to + 1 }, (_, i) => from - i);
}

test("after a restart all signals come back as they came, with the time of their arrival", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder, { clock: clockAt(42n) });
  const sent = [
    ["traces", tracesToJson(rowsOf(tableOf("web A 0..9ms trace=1")))],
    ["metrics", gauge],
    ["logs", '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"out of room"}}]}]}]}'],
  ] as const;
  const bodies = sent.map(([signal, text]) => ({
    signal,
    encoding: "json" as const,
    body: Buffer.from(text),
  }));
  const decoded = bodies.map(({ signal, encoding, body }) => decodeBody(signal, encoding, body).decoded);
  for (const [i, body] of bodies.entries()) await first.store.append(body, decoded[i]!);
  await first.close();
  const second = await openStore(folder);
  const restored = [];
  for await (const body of second.store.restore()) restored.push(body);
  expect(restored.map(({ arrivalTime }) => arrivalTime)).toEqual([42n, 42n, 42n]);
  expect(restored.map((body) => body.decoded.signal)).toEqual(["traces", "metrics", "logs"]);
  expect(restored.slice(1).map((body) => body.decoded)).toEqual(decoded.slice(1));
});

const gauge =
  '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"depth","gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]}';

test("only the newest of what is there is read again, but all whose summaries were not written", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder, { retention: smallSegments });
  await restore(first.store);
  await fill(first.store, 1, 60);
  await expect.poll(() => summaryFiles(folder).length, eventually).toBeGreaterThan(1);
  const written = summaryFiles(folder).length;
  await first.close();
  const segments = readdirSync(folder).filter((name) => name.endsWith(".log")).length;
  const second = await openStore(folder, { retention: smallSegments, restoreBytesMax: 0 });
  const spans = await restore(second.store);
  expect(spans).toBeGreaterThan(0);
  expect(spans).toBeLessThanOrEqual((segments - written) * 14);
});

test("search looks at all segments, those in memory and those in files, and after a restart too", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder, { retention: smallSegments });
  await restore(first.store);
  await fill(first.store, 1, 60);
  await expect.poll(() => summaryFiles(folder).length, eventually).toBeGreaterThan(2);
  expect(await found(first.store)).toEqual(descending(60, 1));
  expect(await found(first.store, { from: 10n, to: 20n })).toEqual(descending(20, 10));
  await first.close();
  const second = await openStore(folder, { retention: smallSegments });
  for await (const { decoded } of second.store.restore())
    if (decoded.signal === "traces") await second.store.putSummary(summary(decoded.table.traceId[3]!));
  expect(await found(second.store)).toEqual(descending(60, 1));
  expect(second.store.stats().traces).toBe(60);
});

test("a trace that comes back when its summary is in a file is found once, as it is now, also after a restart", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder, { retention: smallSegments });
  await restore(first.store);
  await fill(first.store, 1, 40);
  await expect.poll(() => summaryFiles(folder).length, eventually).toBeGreaterThan(1);
  await send(first.store, "web B 0..9ms trace=1");
  expect(await namesOf(first.store, 1)).toBe("A B");
  await first.store.putSummary(summary(1, { spanCount: 2 }));
  expect(await found(first.store)).toEqual(descending(40, 1));
  const [again] = (await first.store.search({ limit: 1, to: 1n as UnixNanos })).summaries;
  expect(again?.spanCount).toBe(2);
  await fill(first.store, 41, 70);
  await expect.poll(() => summaryFiles(folder).length, eventually).toBeGreaterThan(3);
  await first.close();
  const second = await openStore(folder, { retention: smallSegments });
  for await (const { decoded } of second.store.restore())
    if (decoded.signal === "traces") {
      const trace = decoded.table.traceId[3]!;
      await second.store.readForAnalysis(idOf(trace));
      await second.store.putSummary(summary(trace, { spanCount: trace === 1 ? 2 : 1 }));
    }
  expect(await found(second.store)).toEqual(descending(70, 1));
});

function summaryFiles(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".summaries"));
}

test("a trace that is folded after the summaries of its segment were written is found as it is, also after a restart", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder, { retention: smallSegments });
  await restore(first.store);
  await fill(first.store, 1, 30);
  await expect.poll(() => summaryFiles(folder).length, eventually).toBeGreaterThan(0);
  await send(first.store, "web B 0..9ms trace=1");
  const before = summaryFiles(folder).length;
  await fill(first.store, 31, 80);
  await expect.poll(() => summaryFiles(folder).length, eventually).toBeGreaterThan(before + 1);
  const asItIs = (trace: number): TraceSummary => summary(trace, { spanCount: trace === 1 ? 2 : 1 });
  const check = async (store: TelemetryStore): Promise<void> => {
    expect(await found(store)).toEqual(descending(80, 1));
    const [oldest] = (await store.search({ limit: 1, to: 1n as UnixNanos })).summaries;
    expect(oldest?.spanCount).toBe(2);
  };
  await first.store.putSummary(asItIs(1));
  await check(first.store);
  await first.close();
  const second = await openStore(folder, { retention: smallSegments });
  for await (const { decoded } of second.store.restore())
    if (decoded.signal === "traces") await second.store.putSummary(asItIs(decoded.table.traceId[3]!));
  await check(second.store);
});

/** The same, with the summaries of what comes back. */
async function refold(store: TelemetryStore): Promise<void> {
  for await (const { decoded } of store.restore())
    if (decoded.signal === "traces") await store.putSummary(summary(decoded.table.traceId[3]!));
}

test("a trace is found once though the index of a newer segment is still being made, as after a kill", async () => {
  const folder = temporaryFolder();
  for (const trace of [1, 2, 3]) {
    const { store, close } = await openStore(folder);
    await refold(store);
    await send(store, `web A 0..9ms trace=${trace}`);
    await store.putSummary(summary(trace));
    await close();
  }
  expect(summaryFiles(folder).length).toBeGreaterThan(0);
  for (const name of readdirSync(folder))
    if (name.includes("-000000000003-") && name.endsWith("index")) rmSync(join(folder, name));
  let proceed = (): void => {};
  const mayProceed = new Promise<void>((resolve) => {
    proceed = resolve;
  });
  const sealer = {
    seal: async (task: SealingTask) => {
      await mayProceed;
      return runSealingTask(task);
    },
    close: () => Promise.resolve(),
  };
  const { store } = await openStore(folder, { sealer });
  const folding = refold(store);
  await new Promise((resolve) => setTimeout(resolve, 50));
  proceed();
  await folding;
  expect(await found(store)).toEqual([3, 2, 1]);
});

test("summaries that turn out to be damaged are said to be, and the next start makes them again", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder, { retention: smallSegments });
  await restore(first.store);
  await fill(first.store, 1, 60);
  await expect.poll(() => summaryFiles(folder).length, eventually).toBeGreaterThan(2);
  const [damagedFile = ""] = summaryFiles(folder);
  const path = join(folder, damagedFile);
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
  const rest = await found(first.store);
  expect(rest.length).toBeLessThan(60);
  expect(first.notices).toEqual([expect.stringContaining(damagedFile)]);
  await fill(first.store, 61, 90);
  await first.close();
  const second = await openStore(folder, { retention: smallSegments, restoreBytesMax: 0 });
  for await (const { decoded } of second.store.restore())
    if (decoded.signal === "traces") await second.store.putSummary(summary(decoded.table.traceId[3]!));
  expect(await found(second.store)).toEqual(descending(90, 1));
});

test("beyond its size the oldest segments go, with their index, their summaries and their traces", async () => {
  const folder = temporaryFolder();
  const kept = { ageMsMax: 86_400_000, bytesMax: 1 << 20 };
  const { store, faults } = await openStore(folder, { retention: { ...smallSegments, traces: kept } });
  await restore(store);
  await fill(store, 1, 150);
  await expect.poll(() => store.stats().bytes, eventually).toBeLessThanOrEqual(1 << 20);
  const traces = await found(store);
  expect(traces[0]).toBe(150);
  expect(traces.length).toBeLessThan(60);
  expect(await namesOf(store, 150)).toBe("A");
  expect(await namesOf(store, 1)).toBe("");
  const { evictedBodies, evictedTraces } = store.stats();
  expect(evictedBodies).toBeGreaterThan(90);
  expect(evictedTraces).toBeGreaterThan(90);
  const numbers = (ending: string): readonly string[] =>
    readdirSync(folder).flatMap((name) => (name.endsWith(ending) ? [name.slice(0, 19)] : []));
  for (const ending of [".index", ".summaries"])
    for (const number of numbers(ending)) expect(numbers(".log")).toContain(number);
  expect(faults).toEqual([]);
});

test("a disk that is full makes room by itself, refuses what does not fit, and takes more when it can", async () => {
  const folder = temporaryFolder();
  const disk: Faults = {};
  const { store, notices, faults } = await openStore(folder, {
    retention: smallSegments,
    files: failingFiles(disk),
  });
  await restore(store);
  await fill(store, 1, 40);
  disk.write = () => Promise.reject(diskError("ENOSPC"));
  const bytesBefore = store.stats().bytes;
  await expect(send(store, "web B 0..9ms trace=99")).rejects.toMatchObject({ code: "overloaded" });
  await expect.poll(() => store.stats().bytes, eventually).toBeLessThan(bytesBefore);
  expect(await namesOf(store, 40)).toBe("A");
  delete disk.write;
  await send(store, "web C 0..9ms trace=99");
  expect(await namesOf(store, 99)).toBe("C");
  expect(notices).toEqual([expect.stringMatching("cannot be written"), "Telemetry can be written again."]);
  expect(faults).toEqual([]);
});

test("where less is free than the reserve, nothing is taken and everything is answered", async () => {
  const folder = temporaryFolder();
  const before = await openStore(folder);
  await send(before.store, "web A 0..9ms trace=1");
  await before.close();
  const { store } = await openStore(folder, { freeBytesMin: 2 ** 60 });
  await expect(send(store, "web B 0..9ms trace=2")).rejects.toMatchObject({ code: "overloaded" });
  expect(await namesOf(store, 1)).toBe("A");
});

function reportOf({ reports }: Incident, language: Language): Printable {
  return { kind: "window", report: reports.get(language)! };
}

test("R20: what version 1 of the format has written is read", async () => {
  const folder = temporaryFolder();
  cpSync("test/storage/disk/format-1", folder, { recursive: true });
  const before = readdirSync(folder);
  // Its times are those of the checkout, or of long ago.
  const kept = { ageMsMax: 3_650 * 86_400_000, bytesMax: 2 ** 40 };
  const retention = { traces: kept, metrics: kept, logs: kept };
  const { store, notices } = await openStore(folder, { retention, restoreAgeMsMax: kept.ageMsMax });
  expect([await namesOf(store, 1), await namesOf(store, 2)]).toEqual(["A", "B C"]);
  expect(await found(store)).toEqual([2, 1]);
  for (const [text, total] of [
    ["web", 2],
    ["we", 0],
  ] as const)
    expect(await store.search({ limit: 9, attributes: [{ key: "service.name", text }] })).toMatchObject({
      total,
    });
  const restored = [];
  for await (const { decoded, arrivalTime } of store.restore()) restored.push([decoded.signal, arrivalTime]);
  const arrivalTime = 1_700_000_000_000_000_000n;
  expect(restored).toEqual(["traces", "traces", "metrics", "logs"].map((signal) => [signal, arrivalTime]));
  const [incident] = store.keptIncidents().map((each) => each.incident);
  expect(incident).toMatchObject({ status: "closed", services: ["cart", "web"], told: { length: 3 } });
  // What a later version asks of a report has to be there, or to be added when it is read.
  for (const language of ["en", "ko"] as const)
    for (const format of ["human", "markdown", "html", "mermaid", "dot"] as const)
      expect(
        renderPrintable(reportOf(incident!, language), { format, language, style: plainStyle }),
      ).toContain("cart");
  const [traceId] = incident!.reports.get("en")!.exemplar_trace_ids;
  expect(await store.readTrace(traceId as TraceId)).toHaveLength(4);
  // Nothing of it had to be made anew.
  expect(readdirSync(folder).filter((name) => name !== "lock")).toEqual(before);
  expect([store.stats().bodies, notices]).toEqual([2, []]);
});

test("a body that a later version can no longer decode costs its own spans, and hides none of the others of its trace", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder);
  await send(first.store, "web A 0..9ms trace=1");
  await first.close();
  // Its checksums are right.
  const log = await openLog(folder);
  for (const encoding of ["protobuf", "json"] as const)
    await log.append({ ...entryOf("{ no telemetry"), encoding });
  await log.close();
  const foreign = readdirSync(folder).filter((name) => name.endsWith(".log"))[1] ?? "";
  const hash = traceHash(wordsOfHex(idOf(1)), 0);
  const entries = Uint32Array.of(0, hash, headBytes + 14, hash);
  const counts = { records: 2, items: 2, bytes: 2 * (headBytes + 14) };
  writeFileSync(join(folder, foreign.replace("log", "index")), writeTraceIndex(entries, counts));
  const second = await openStore(folder);
  expect(await namesOf(second.store, 1)).toBe("A");
  expect(await restore(second.store)).toBe(1);
  await second.close();
  expect(second.faults).toEqual([]);
});

test("R19: a folder has one writer", async () => {
  const folder = temporaryFolder();
  const first = await openStore(folder);
  await expect(openStore(folder)).rejects.toMatchObject({ code: "bad_configuration" });
  await first.close();
  await openStore(folder);
});
