import { expect, test } from "vitest";
import { latencySideOf } from "../../src/cascade/latency-series.ts";
import { latencySignal } from "../../src/cascade/latency-signal.ts";
import { structureSignal } from "../../src/cascade/structure-signal.ts";
import { VisitRollup } from "../../src/cascade/visit-rollup.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { directoryOf, tableOf, traceOf } from "../notation.ts";
import { tracesText, visitSumsOfTable } from "../visit-sums.ts";

const request = (gapMs: number) => (i: number) =>
  `
web    GET /cart    0..${90 + gapMs}ms TRACE
  web  call        10..${60 + gapMs + (i % 4)}ms
    cart GET /items 15..55ms
      cart read ${16 + (i % 3)}..30ms`;

test("the order of traces does not show", () => {
  const [before, after] = [tableOf(tracesText(40, request(0))), tableOf(tracesText(30, request(50)))];
  const directory = directoryOf([before, after]);
  const answers = [false, true].map((isReversed) => {
    const [was, is] = [before, after].map((table) => visitSumsOfTable(table, directory, { isReversed }));
    const options = { withFailed: true, byEntry: false };
    return {
      latency: latencySignal(latencySideOf(was!, options), latencySideOf(is!, options)),
      structure: structureSignal(was!, is!, { withStatus: true, blamed: new Set<string>() }),
    };
  });
  expect(answers[1]).toEqual(answers[0]);
  expect([...(answers[0]?.latency.findings.keys() ?? [])]).toEqual(["cart", "web"]);
});

test("of more visits than there is room for, some traces are kept whole, the same in any order", () => {
  const [spansPerTrace, capacity] = [20, 1000];
  const trace = traceOf(
    Array.from(
      { length: spansPerTrace },
      (_, i) => `${i % 2 === 0 ? "web" : "cart"} GET 0..9ms parent=${i} id=${i + 1}`,
    )
      .join("\n")
      .replace("parent=0", "parent=none"),
  );
  const calls = callsOf(trace);
  const ids = Array.from({ length: 200 }, (_, i) => (i + 1).toString(16).padStart(32, "0"));
  const kept = [ids, ids.toReversed()].map((order) => {
    const rollup = new VisitRollup({ joinsLogs: false, capacity });
    for (const traceId of order) rollup.add({ ...trace, traceId: traceId as typeof trace.traceId }, calls);
    const sums = rollup.read(directoryOf([]));
    expect(sums.visits.trace.length).toBe(sums.traceIds.length * spansPerTrace);
    expect(sums.visits.trace.length).toBeLessThanOrEqual(capacity);
    expect(sums.traceIds.length + sums.omittedTraces).toBe(ids.length);
    for (const [row, parent] of sums.visits.parent.entries())
      expect(parent === row - 1 || (parent === -1 && row % spansPerTrace === 0)).toBe(true);
    return sums.traceIds;
  });
  expect(kept[1]).toEqual(kept[0]);
  expect(kept[0]?.length).toBeGreaterThan(10);
});

test("a trace that would take the room of all others is left out, and counted until it is taken back", () => {
  const small = traceOf("web GET 0..9ms id=1");
  const large = traceOf(
    ["web GET 0..9ms id=1", ...Array.from({ length: 9 }, (_, i) => `  cart GET 1..2ms id=${i + 2}`)].join(
      "\n",
    ),
  );
  const rollup = new VisitRollup({ joinsLogs: false, capacity: 100, traceVisitsMax: 5 });
  const idOf = (id: number) => id.toString(16).padStart(32, "0") as typeof small.traceId;
  rollup.add({ ...small, traceId: idOf(1) }, callsOf(small));
  const added = { ...large, traceId: idOf(2) };
  rollup.add(added, callsOf(large));
  expect(rollup.read(directoryOf([]))).toMatchObject({ traceIds: [idOf(1)], omittedTraces: 1 });
  rollup.remove(added);
  expect(rollup.read(directoryOf([])).omittedTraces).toBe(0);
});
