import { expect, test } from "vitest";
import { createEngine, type Engine } from "../../src/engine/engine.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { createMemoryStore } from "../../src/storage/memory-store.ts";
import { startApi } from "../http/api-server.ts";
import { hugeTrace } from "../huge-trace.ts";
import { notationStart, rowsOf } from "../notation.ts";

const services = Array.from({ length: 200 }, (_, i) => `s${i} GET / 0..9ms server trace=${i + 1}`).join("\n");

test.each(["services", "graph", "doctor"])(
  "while a long answer of %s is made, others are answered",
  async (path) => {
    // By this clock every piece of work takes long: after each of them others have their turn.
    let now = 0;
    const clock = {
      unixNanos: () => (notationStart + 60_000_000_000n) as UnixNanos,
      monotonicMs: () => (now += 1_000),
    };
    const api = await startApi(services, {}, clock);
    await api.get(`/api/v1/${path}`);
    const state = { isAnswered: false };
    const answer = api.get(`/api/v1/${path}?limit=1000`).finally(() => {
      state.isAnswered = true;
    });
    let answeredMeanwhile = 0;
    while (!state.isAnswered) {
      expect((await api.get("/livez")).status).toBe(200);
      answeredMeanwhile += 1;
    }
    expect((await answer).status).toBe(200);
    expect(answeredMeanwhile).toBeGreaterThan(10);
  },
);

/** Enough to be put together in turns. */
const spans = 20_500;
const shape = {
  parent: (i: number) => (i === 1 ? 0 : 1),
  start: (i: number) => i,
  end: (i: number) => i + 1_000,
  kind: () => 2,
  failed: (i: number) => i % 100 === 0,
};
const traceId = "00000000000000000000000000000001" as Parameters<Engine["readTrace"]>[0];

async function ingest(engine: Engine, table: SpanTable, from: number, to: number): Promise<void> {
  const body = encodeTraces(rowsOf(table).slice(from, to));
  const { decoded } = decodeBody("traces", "protobuf", body);
  await engine.ingest({ signal: "traces", encoding: "protobuf", body }, decoded);
}

function engineOf(): Engine {
  const clock = { unixNanos: () => notationStart as UnixNanos, monotonicMs: () => performance.now() };
  const onFault = (fault: unknown): never => {
    throw fault;
  };
  return createEngine({ store: createMemoryStore(), clock, onFault });
}

test("a huge trace that is folded by several at once, while more of it arrives, counts once", async () => {
  const table = hugeTrace(spans, shape);
  const asked = engineOf();
  await ingest(asked, table, 0, spans - 100);
  const reports = [1, 2, 3].map(() => asked.analyzeTrace(traceId, { language: "en", scoring: "evidence" }));
  await ingest(asked, table, spans - 100, spans);
  reports.push(asked.analyzeTrace(traceId, { language: "en", scoring: "evidence" }));
  await Promise.all(reports);
  await asked.analyzeTrace(traceId, { language: "en", scoring: "evidence" });

  const plain = engineOf();
  await ingest(plain, table, 0, spans);
  await plain.analyzeTrace(traceId, { language: "en", scoring: "evidence" });
  expect(await asked.graph(null)).toEqual(await plain.graph(null));
  expect(await asked.services(null)).toEqual(await plain.services(null));
  expect(asked.stats()["folded_traces_total"]).toBe(1);
});

test("of huge requests that share one trace id, each is put together in a turn of its own, and the latest failed one is told of", async () => {
  const engine = engineOf();
  const perEpisode = 7_000;
  const hoursApart = [0, 1, 2].map((episode) =>
    hugeTrace(perEpisode, {
      ...shape,
      start: (i) => episode * 7_200_000_000_000 + i,
      end: (i) => episode * 7_200_000_000_000 + i + 1_000,
      failed: (i) => episode === 1 && i % 100 === 0,
    }),
  );
  for (const [episode, table] of hoursApart.entries()) {
    for (const ids of [table.spanId, table.parentSpanId])
      for (let row = 0; row < table.rowCount; row += 1)
        if (ids[row * 2 + 1] !== 0) ids[row * 2] = episode + 1;
    await ingest(engine, table, 0, perEpisode);
  }
  const state = { turns: 0, isDone: false };
  const others = (async () => {
    for (; !state.isDone; state.turns += 1) await new Promise((resolve) => setImmediate(resolve));
  })();
  const analysis = await engine.analyzeTrace(traceId, { language: "en", scoring: "evidence" });
  state.isDone = true;
  await others;
  expect(analysis?.report).toMatchObject({
    trace: { span_count: perEpisode, error_count: 70, episode: { number: 2, count: 3 } },
  });
  // three are put together and read for the sums, and three to see which one is shown
  expect(state.turns).toBeGreaterThanOrEqual(9);
});
