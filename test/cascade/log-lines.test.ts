import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LogRollup } from "../../src/cascade/log-lines.ts";
import type { LogLines } from "../../src/cascade/signals.ts";
import { logLinesMax, logLinesPerTraceMax } from "../../src/model/limits.ts";
import { ServiceDirectory } from "../../src/model/service-directory.ts";
import { identityOf } from "../../src/model/service-identity.ts";
import type { LogRecord } from "../../src/model/telemetry.ts";
import type { TimeRange, UnixNanos } from "../../src/model/time.ts";
import { isThorough } from "../runs.ts";

const traceId = (i: number): string => i.toString(16).padStart(32, "0");
const spanId = (i: number): string => i.toString(16).padStart(16, "0");
const nanos = (time: number | bigint): UnixNanos => BigInt(time) as UnixNanos;

const cart = new Map([["service.name", "cart"]]);

function record(known: Partial<LogRecord> = {}): LogRecord {
  return {
    resource: cart,
    scopeName: "",
    time: nanos(100),
    observedTime: nanos(0),
    severityNumber: 9,
    severityText: "",
    body: "items found",
    attributes: new Map(),
    traceId: traceId(1),
    spanId: spanId(2),
    eventName: "",
    ...known,
  };
}

function rollupOf(records: Iterable<LogRecord>): LogRollup {
  const rollup = new LogRollup();
  rollup.add(records);
  return rollup;
}

const names = { directory: new ServiceDirectory(), isKnown: () => false };

function read(records: Iterable<LogRecord>, ranges: readonly TimeRange[] | null = null): LogLines {
  return rollupOf(records).read({ ...names, ranges, isTraceKept: () => true });
}

test("lines are found by trace, in order of time, joined to their spans", () => {
  const lines = read([
    record({ time: nanos(300), body: "answer sent", spanId: "" }),
    record({ time: nanos(200), body: "item 4 is gone", severityNumber: 17 }),
    record({ traceId: traceId(7), spanId: "ffffffffffffffff" }),
  ]);
  expect(lines.lines).toBe(3);
  expect(Object.fromEntries(lines.byTrace)).toEqual({
    [traceId(1)]: [
      { service: "cart", spanId: spanId(2), text: "item # is gone", isError: true },
      { service: "cart", spanId: "", text: "answer sent", isError: false },
    ],
    [traceId(7)]: [{ service: "cart", spanId: "ffffffffffffffff", text: "items found", isError: false }],
  });
});

test("neither order nor repetition of records shows", () => {
  const some = fc.record({
    resource: fc.constantFrom("cart", "web").map((name) => new Map([["service.name", name]])),
    traceId: fc.nat(3).map(traceId),
    spanId: fc.nat(2).map((i) => (i === 0 ? "" : spanId(i))),
    time: fc.bigInt(0n, (1n << 64n) - 1n).map(nanos),
    body: fc.constantFrom("a", "b", "c 1", "c 2"),
    severityNumber: fc.constantFrom(0, 9, 17),
  });
  fc.assert(
    fc.property(fc.array(some, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (parts, places) => {
      const records = parts.map(record);
      const shuffled = [...records, ...records.slice(0, 5)]
        .map((each) => [places.next().value as number, each] as const)
        .sort(([a], [b]) => a - b)
        .map(([, each]) => each);
      const [one, other] = [read(records), read(shuffled)];
      expect([...other.byTrace]).toEqual([...one.byTrace]);
      expect(other.lines).toBe(one.lines);
    }),
  );
});

test("a window counts with its bounds; a line is dated by when it was seen where it has no time, and without both is in none", () => {
  const at = (time: number, observed = 0): LogRecord =>
    record({ time: nanos(time), observedTime: nanos(observed) });
  const records = [at(9), at(10), at(15), at(20), at(21), at(30), at(0, 12), at(0)];
  const ranges = [
    { from: nanos(10), to: nanos(20) },
    { from: nanos(30), to: nanos(30) },
  ];
  expect(read(records, ranges).lines).toBe(5);
  expect(read(records, []).lines).toBe(0);
  expect(read(records).lines).toBe(8);
});

test("services are called as spans call them, also where only the pod is known", () => {
  const directory = new ServiceDirectory();
  const resource = (words: Readonly<Record<string, string>>): LogRecord["resource"] =>
    new Map(Object.entries(words));
  directory.observe(
    identityOf(resource({ "service.name": "cart", "service.namespace": "eu", "k8s.pod.name": "cart-1" })),
  );
  directory.observe(identityOf(resource({ "service.name": "cart", "service.namespace": "us" })));
  const rollup = rollupOf([
    record({ time: nanos(1), resource: resource({ "service.name": "cart", "service.namespace": "us" }) }),
    record({ time: nanos(2), resource: resource({ "k8s.pod.name": "cart-1" }) }),
  ]);
  const { byTrace } = rollup.read({
    directory,
    isKnown: (name) => name.endsWith("cart"),
    ranges: null,
    isTraceKept: () => true,
  });
  expect([...byTrace.values()].flat().map(({ service }) => service)).toEqual(["us/cart", "eu/cart"]);
});

test("records without a trace id are counted, not kept", () => {
  const rollup = rollupOf([record({ traceId: "" }), record()]);
  expect([
    rollup.linesWithoutTrace,
    rollup.read({ ...names, ranges: null, isTraceKept: () => true }).lines,
  ]).toEqual([1, 1]);
});

test("a trace of endless lines is left out as a whole", () => {
  const endless = Array.from({ length: logLinesPerTraceMax + 5 }, (_, i) => record({ time: nanos(i + 1) }));
  const rollup = rollupOf([...endless, record({ traceId: traceId(2) })]);
  expect([...rollup.read({ ...names, ranges: null, isTraceKept: () => true }).byTrace.keys()]).toEqual([
    traceId(2),
  ]);
  expect(rollup.droppedLines).toBe(endless.length);
});

test("of too many lines whole traces are kept, the same ones in whatever order", () => {
  // twice as many as are kept, so that room is made while they come; while somebody waits only when they are read
  const traces = logLinesMax / (isThorough ? 4 : 8) + 1_000;
  const linesOf = (i: number): LogRecord[] =>
    Array.from({ length: 8 }, (_, line) => record({ traceId: traceId(i), time: nanos(line + 1) }));
  const forth = new LogRollup();
  const back = new LogRollup();
  for (let i = 0; i < traces; i += 1) {
    forth.add(linesOf(i));
    back.add(linesOf(traces - 1 - i));
  }
  const [one, other] = [forth, back].map((rollup) =>
    rollup.read({ ...names, ranges: null, isTraceKept: () => true }),
  );
  expect(one?.lines).toBeLessThanOrEqual(logLinesMax);
  expect(one?.lines).toBeGreaterThan(logLinesMax / 4);
  expect(forth.droppedLines).toBe(traces * 8 - (one?.lines ?? 0));
  expect([...(one?.byTrace.values() ?? [])].every((lines) => lines.length === 8)).toBe(true);
  expect([...(other?.byTrace.keys() ?? [])]).toEqual([...(one?.byTrace.keys() ?? [])]);
}, 60_000);
