import { expect, test } from "vitest";
import { createEngine } from "../../src/engine/engine.ts";
import type { RestoredBody, TraceReportOptions } from "../../src/engine/ports.ts";
import type { TraceId } from "../../src/model/ids.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { createMemoryStore } from "../../src/storage/memory-store.ts";
import { notationStart, rowsOf, tableOf } from "../notation.ts";
import { isThorough } from "../runs.ts";
import { idOf, type Live, live } from "./live.ts";

const english: TraceReportOptions = { language: "en", scoring: "evidence" };

const checkout = `
  web      GET /cart       0..90ms  server error
    web    GET             5..85ms  client error
      cart GET /items     10..80ms  server error http.response.status_code=500`;

test("a trace joins graph and metrics when nothing has arrived for it for the idle time", async () => {
  const server = live({ idleMs: 2_000 });
  await server.send(checkout);
  await server.wait(1_900);
  checkCount(server, "folded_traces_total", 0);
  await server.wait(300);
  checkCount(server, "folded_traces_total", 1);
  await checkServices(server, { cart: 1, web: 1 });
});

test("what requests do is told from those that a busy minute has room for", async () => {
  const server = live({ minuteVisitsMax: 100 });
  const request = (trace: number, steps = "\n  db SELECT 1..4ms server") =>
    `web GET / 0..9ms server trace=${trace}${steps}`;
  await server.send(Array.from({ length: 400 }, (_, i) => request(i + 1)).join("\n"));
  await server.send(request(401, ""));
  await server.wait(60_000);
  const analysis = await server.engine.analyzeTrace(idOf(401), english);
  const text = JSON.stringify(analysis?.report);
  const [, shown, compared] = /(\d+) of (\d+) such requests that were looked at/.exec(text) ?? [];
  expect(shown).toBe(compared);
  expect(Number(compared)).toBeGreaterThan(20);
  expect(Number(compared)).toBeLessThanOrEqual(50);
  expect(server.faults).toEqual([]);
});

test("times of spans play no part in when a trace is complete", async () => {
  const server = live({ idleMs: 2_000 });
  await server.send("web GET / 0..86400s server");
  await server.wait(2_200);
  checkCount(server, "folded_traces_total", 1);
});

test("a trace can be asked for at once, with what is there", async () => {
  const server = live();
  await server.send(checkout);
  const analysis = await server.engine.analyzeTrace(idOf(1), english);
  expect(analysis).toMatchObject({ version: 1, complete: false, report: { trace_id: idOf(1) } });
  expect(analysis?.report.service_states.has("cart")).toBe(true);
  checkCount(server, "folded_traces_total", 1);
});

test("late spans make a new version, and nothing is counted twice", async () => {
  const server = live();
  const [root, call, entry] = rowsOf(tableOf(checkout));
  await server.sendRows([entry!]);
  await checkVersion(server, 1, false);
  await server.sendRows([root!]);
  await server.wait(5_000);
  await checkVersion(server, 2, true);
  await server.sendRows([call!]);
  await checkVersion(server, 3, false);
  await checkServices(server, { cart: 1, web: 1 });
  const { edges } = await server.engine.graph(null);
  expect(edges.map(({ caller, callee, calls }) => `${caller} -> ${callee} x${calls}`)).toEqual([
    "web -> cart x1",
  ]);
});

test("the same spans sent again change nothing, not even the version", async () => {
  const server = live();
  const rows = rowsOf(tableOf(checkout));
  await server.sendRows(rows);
  const before = await answersOf(server);
  await server.sendRows(rows);
  await server.sendRows(rows, "json");
  await server.sendRows(rows.slice(1));
  await server.wait(5_000);
  await checkVersion(server, 1, true);
  expect(await answersOf(server)).toEqual(before);
});

test("a span that is sent again with its end makes a new version", async () => {
  const server = live();
  await server.send("web GET / 0.. server");
  await checkVersion(server, 1, false);
  await server.send("web GET / 0..90ms server");
  await checkVersion(server, 2, false);
  expect(await server.engine.service("web", null)).toMatchObject({ requests: 1, p99_ms: 90 });
});

test("an unknown trace is unknown, and so is a service that the trace does not have", async () => {
  const server = live();
  await server.send(checkout);
  expect(await server.engine.analyzeTrace(idOf(9), english)).toBeNull();
  expect(await server.engine.readTrace(idOf(9))).toBeNull();
  const asked = server.engine.analyzeTrace(idOf(1), { ...english, failedService: "nobody" });
  await expect(asked).rejects.toMatchObject({ code: "service_not_found", hint: "It has: cart, web." });
});

test("search, services and graph know traces that are still open", async () => {
  const server = live();
  await server.send(checkout);
  await server.send("web GET /other 100..110ms server trace=2");
  const { summaries } = await server.engine.searchTraces({ limit: 9 });
  expect(summaries).toMatchObject([
    { traceId: idOf(2), rootService: "web", rootOperation: "GET /other", errorCount: 0, services: ["web"] },
    {
      traceId: idOf(1),
      rootOperation: "GET /cart",
      spanCount: 3,
      errorCount: 3,
      durationNanos: 90e6,
      services: ["cart", "web"],
    },
  ]);
  await checkServices(server, { cart: 1, web: 2 });
});

test("the first question after a replay is answered with all that came, not with the asked trace alone", async () => {
  const server = live();
  await server.send("web GET / 0..10ms server error");
  for (let trace = 2; trace <= 40; trace += 1) await server.send(`web GET / 0..10ms server trace=${trace}`);
  const { report } = (await server.engine.analyzeTrace(idOf(1), english))!;
  expect(report.service_states.get("web")?.metrics.error_rate).toBe(1 / 40);
});

test("a service is found by name, within a window of whole minutes", async () => {
  const server = live();
  await server.send(checkout);
  await server.send("web GET / 600..601s server trace=2");
  expect(await server.engine.service("web", null)).toMatchObject({ requests: 2 });
  expect(await server.engine.service("nobody", null)).toBeNull();
  const { startTime } = (await server.engine.searchTraces({ limit: 9 })).summaries[0]!;
  expect(await server.engine.service("web", { from: startTime, to: startTime })).toMatchObject({
    requests: 1,
  });
});

test("a report sees what went on five minutes before and after its trace, and no more", async () => {
  const server = live();
  for (const [trace, start] of [[1, 0], [2, 300], [3, 420], [4, 840]]) // biome-ignore format: a table
    await server.send(`
      web    GET /        ${start}..${start! + 1}s  server trace=${trace}
        db   query        ${start}..${start! + 1}s  server`);
  await server.wait(5_000);
  const { report } = (await server.engine.analyzeTrace(idOf(3), english))!;
  const [edge] = "dependency_graph" in report ? report.dependency_graph.edges : [];
  expect(edge?.calls).toBe(2);
});

test("two services that share a name are told apart once the second is seen", async () => {
  const server = live();
  await server.send("api GET / 0..9ms server namespace=shop");
  await checkServices(server, { api: 1 });
  await server.send("api GET / 20..29ms server namespace=bank trace=2");
  await checkServices(server, { "bank/api": 1, "shop/api": 1 });
});

test.each(["link first", "target first"])(
  "a link to another trace becomes an asynchronous call, %s",
  async (order) => {
    const server = live();
    const producer =
      "shop send orders 0..5ms producer id=7 messaging.system=kafka messaging.destination.name=orders";
    const consumer =
      "mail process orders 50..60ms consumer trace=2 link=1/7 messaging.system=kafka messaging.destination.name=orders";
    for (const text of order === "link first" ? [consumer, producer] : [producer, consumer]) {
      await server.send(text);
      await server.wait(5_000);
      await server.engine.graph(null);
    }
    const { edges } = await server.engine.graph(null);
    expect(edges).toContainEqual(
      expect.objectContaining({ caller: "shop", callee: "mail", kind: "async", calls: 1 }),
    );
  },
);

test("a call that a link had become follows what comes late of the linked span", async () => {
  const producer =
    "shop send orders 0..10ms producer id=7 messaging.system=kafka messaging.destination.name=orders";
  const server = live();
  await server.send(producer);
  await server.send(
    "mail process orders 50..60ms consumer trace=2 link=1/7 messaging.system=kafka messaging.destination.name=orders",
  );
  await server.wait(10_000);
  await server.send(`${producer} error more=1`);
  await server.wait(10_000);
  const { edges } = await server.engine.graph(null);
  expect(edges).toMatchObject([
    { caller: "kafka:orders", callee: "mail", calls: 1 },
    { caller: "shop", callee: "kafka:orders", calls: 1, errors: 1 },
    { caller: "shop", callee: "mail", kind: "async", calls: 1, errors: 1 },
  ]);
});

test("a link to a trace that only the store still knows is followed there", async () => {
  const earlier = live();
  await earlier.send(
    "shop send orders 0..5ms producer id=7 messaging.system=kafka messaging.destination.name=orders",
  );
  const later = live({}, {}, earlier.store);
  await later.send(
    "mail process orders 50..60ms consumer trace=2 link=1/7 messaging.system=kafka messaging.destination.name=orders",
  );
  const { edges } = await later.engine.graph(null);
  expect(edges).toContainEqual(
    expect.objectContaining({ caller: "shop", callee: "mail", kind: "async", calls: 1 }),
  );
});

test("when too many traces are open the longest waiting are folded early, and senders beyond that are asked to wait", async () => {
  const server = live({ openTracesMax: 4 });
  for (let trace = 1; trace <= 5; trace += 1) await server.send(`web GET / 0..9ms server trace=${trace}`);
  await expect(server.send("web GET / 0..9ms server trace=6")).rejects.toMatchObject({ code: "overloaded" });
  await server.engine.foldDue();
  checkCount(server, "early_folds_total", 2);
  checkCount(server, "open_traces", 3);
  await server.send("web GET / 0..9ms server trace=6");
  checkCount(server, "refused_bodies_total", 1);
});

test("minutes beyond the limit go, oldest first, and are counted", async () => {
  const server = live({ minutesMax: 2 });
  for (const minute of [1, 2, 3]) {
    await server.send(`web GET / ${minute * 60}..${minute * 60 + 1}s server trace=${minute}`);
    server.clock.nowMs += 60_000;
  }
  await checkServices(server, { web: 2 });
  checkCount(server, "dropped_minutes_total", 1);
});

test("when graph and metrics take more memory than they may, the oldest minutes go, but never the newest", async () => {
  const server = live({ historyBytesMax: 20_000 });
  for (let minute = 1; minute <= 40; minute += 1) {
    await server.send(`web GET / ${minute * 60}..${minute * 60 + 1}s server trace=${minute}`);
    server.clock.nowMs += 60_000;
  }
  const services = (await server.engine.services(null)).services;
  const { history_bytes: bytes, kept_minutes: kept, dropped_minutes_total: dropped } = server.engine.stats();
  expect(bytes).toBeLessThan(20_000);
  expect(kept! + dropped!).toBe(40);
  expect(services).toMatchObject([{ service: "web", requests: kept }]);
  expect(services[0]?.minutes.length).toBeGreaterThan(1);
});

test("late spans change old minutes as exactly as new ones", async () => {
  const server = live();
  const old = rowsOf(tableOf(checkout));
  await server.sendRows(old.slice(0, 2));
  await server.send("web GET /later 3600..3601s server trace=2");
  server.clock.nowMs += 3_700_000;
  await server.engine.foldDue();
  await server.send("web GET /later 3660..3661s server trace=3");
  await server.wait(5_000);
  await server.sendRows(old.slice(2));
  await checkServices(server, { cart: 1, web: 3 });
  expect(await server.engine.service("cart", null)).toMatchObject({
    p99_ms: 70,
    operations: [{ requests: 1 }],
  });
});

test("who sends faster than traces are folded waits until as many are folded as it brings", async () => {
  const server = live();
  const send = (first: number) =>
    server.send(
      Array.from({ length: 10 }, (_, i) => `web GET / 0..9ms server trace=${first + i}`).join("\n"),
    );
  for (const first of [1, 11, 21]) await send(first);
  server.clock.nowMs += 60_000;
  await send(31);
  checkCount(server, "slowed_bodies_total", 1);
  checkCount(server, "folded_traces_total", 20);
});

test("who sends while what an earlier process has left is folded does not wait for that", async () => {
  const textOf = (first: number): string =>
    Array.from({ length: 10 }, (_, i) => `web GET / 0..9ms server trace=${first + i}`).join("\n");
  const earlier = live();
  await earlier.send(textOf(1));
  let isRead = (): void => {};
  const reading = new Promise<void>((resolve) => {
    isRead = resolve;
  });
  const store = Object.assign(earlier.store, {
    async *restore(): AsyncGenerator<RestoredBody> {
      const { decoded } = decodeBody("traces", "protobuf", encodeTraces(rowsOf(tableOf(textOf(1)))));
      yield { decoded, arrivalTime: notationStart as UnixNanos };
      await reading;
    },
  });
  const server = live({}, {}, store);
  server.engine.start();
  await expect.poll(() => server.engine.stats()["restored_bodies_total"]).toBe(1);
  server.clock.nowMs += 60_000;
  await server.send(textOf(11));
  checkCount(server, "slowed_bodies_total", 0);

  isRead();
  await expect.poll(() => server.engine.stats()["restoring"]).toBe(0);
  await server.wait(60_000);
  await server.send(textOf(21));
  checkCount(server, "folded_traces_total", 20);
  checkCount(server, "slowed_bodies_total", 0);
  server.clock.nowMs += 60_000;
  await server.send(textOf(31));
  checkCount(server, "slowed_bodies_total", 1);
  await server.engine.stop();
});

test("late spans of a trace whose first spans had to go leave what it added as it is", async () => {
  const server = live({}, { bytesMax: 1 });
  const [root, call, entry] = rowsOf(tableOf(checkout));
  await server.sendRows([root!]);
  await server.wait(5_000);
  await server.sendRows([call!, entry!]);
  await server.wait(5_000);
  checkCount(server, "frozen_traces_total", 1);
  checkCount(server, "store_evicted_bodies_total", 1);
  await checkServices(server, { web: 1 });
});

test("once started, what is due is folded by itself, while spans keep coming and questions are asked", async () => {
  const store = createMemoryStore();
  const clock = { unixNanos: () => notationStart as UnixNanos, monotonicMs: () => performance.now() };
  const faults: unknown[] = [];
  const engine = createEngine({
    store,
    clock,
    limits: { idleMs: 20 },
    onFault: (fault) => faults.push(fault),
  });
  engine.start();
  const asked: Promise<unknown>[] = [];
  const traces = isThorough ? 200 : 60;
  for (let trace = 1; trace <= traces; trace += 1) {
    for (const row of rowsOf(tableOf(checkout.replace("server", `server trace=${trace}`)))) {
      const body = encodeTraces([row]);
      const { decoded } = decodeBody("traces", "protobuf", body);
      await engine.ingest({ signal: "traces", encoding: "protobuf", body }, decoded);
      asked.push(engine.analyzeTrace(idOf(trace), english));
    }
    if (trace % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(await Promise.all(asked)).not.toContain(null);
  await expect.poll(() => engine.stats()["open_traces"]).toBe(0);
  expect(engine.stats()["folded_traces_total"]).toBe(traces);
  expect((await engine.service("cart", null))?.requests).toBe(traces);
  expect(faults).toEqual([]);
  await engine.stop();
});

test("stopping folds what is open and refuses what is new", async () => {
  const server = live();
  await server.send(checkout);
  await server.engine.stop();
  checkCount(server, "folded_traces_total", 1);
  await expect(server.send(checkout)).rejects.toMatchObject({ code: "shutting_down" });
});

test("stopping waits for a fold that is still reading", async () => {
  const store = createMemoryStore();
  let isRead = (): void => {};
  const reading = new Promise<void>((resolve) => {
    isRead = resolve;
  });
  const readForAnalysis = store.readForAnalysis.bind(store);
  Object.assign(store, {
    readForAnalysis: async (traceId: TraceId) => {
      await reading;
      return readForAnalysis(traceId);
    },
  });
  const server = live({}, {}, store);
  await server.send(checkout);
  const folding = server.wait(5_000);
  const order: string[] = [];
  const stopping = server.engine.stop().then(() => order.push("stopped"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  order.push("read");
  isRead();
  await Promise.all([folding, stopping]);
  expect(order).toEqual(["read", "stopped"]);
  checkCount(server, "folded_traces_total", 1);
});

test("a store that fails is not taken for success, and gives its room back", async () => {
  const server = live();
  const broken = Object.assign(server.store, { append: () => Promise.reject(new Error("disk full")) });
  expect(broken).toBe(server.store);
  await expect(server.send(checkout)).rejects.toThrow("disk full");
  checkCount(server, "ingest_in_flight_bytes", 0);
  checkCount(server, "ingested_spans_total", 0);
});

test("ten thousand traces, or three thousand while somebody waits, in any interleaving of requests and time are all folded exactly once", async () => {
  const server = live({ idleMs: 100 });
  const batches = isThorough ? 100 : 30;
  for (let batch = 0; batch < batches; batch += 1) {
    const lines = Array.from(
      { length: 100 },
      (_, i) => `web GET / 0..9ms server trace=${batch * 100 + i + 1}`,
    );
    await server.send(lines.join("\n"));
    await server.wait(7);
  }
  await server.wait(200);
  checkCount(server, "folded_traces_total", batches * 100);
  checkCount(server, "open_traces", 0);
  await checkServices(server, { web: batches * 100 });
  expect(server.faults).toEqual([]);
});

function checkCount({ engine }: Live, name: string, value: number): void {
  expect(engine.stats()[name]).toBe(value);
}

async function checkVersion({ engine }: Live, version: number, complete: boolean): Promise<void> {
  expect(await engine.analyzeTrace(idOf(1), english)).toMatchObject({ version, complete });
}

/** Requests by service. */
async function checkServices({ engine }: Live, requests: Readonly<Record<string, number>>): Promise<void> {
  const { services } = await engine.services(null);
  expect(Object.fromEntries(services.map((service) => [service.service, service.requests]))).toEqual(
    requests,
  );
}

async function answersOf({ engine }: Live) {
  return [
    await engine.services(null),
    await engine.graph(null),
    (await engine.analyzeTrace(idOf(1), english))!.report,
  ];
}
