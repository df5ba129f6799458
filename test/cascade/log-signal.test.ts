import { expect, test } from "vitest";
import { type LogSide, logSignal } from "../../src/cascade/log-signal.ts";
import type { LogLine } from "../../src/cascade/signals.ts";
import { tracesText, visitSumsOf } from "../visit-sums.ts";

interface Line {
  readonly service: "web" | "cart";
  readonly text: string;
  readonly isError?: boolean;
}

/** Traces in which web calls cart, and the lines that each of them wrote. */
function sideOf(count: number, linesOf: (i: number) => readonly Line[], isJoined = true): LogSide {
  const text = tracesText(count, () => "web GET /cart 0..90ms TRACE\n  cart GET /items 10..80ms");
  const visits = visitSumsOf(text);
  const byTrace = new Map<string, LogLine[]>();
  let lines = 0;
  for (const [i, traceId] of visits.traceIds.entries()) {
    const own = linesOf(i).map(({ service, text: line, isError = false }) => {
      const span = i * 2 + (service === "web" ? 1 : 2);
      return { service, spanId: isJoined ? span.toString(16).padStart(16, "0") : "", text: line, isError };
    });
    lines += own.length;
    if (own.length > 0) byTrace.set(traceId, own);
  }
  return { visits, lines: { byTrace, lines } };
}

function strengthsOf(before: LogSide, after: LogSide): Readonly<Record<string, number>> {
  const { findings } = logSignal(before, after, { blamed: new Set() });
  return Object.fromEntries(
    [...findings].map(([service, { strength }]) => [service, Number(strength.toFixed(4))]),
  );
}

const served: Line = { service: "web", text: "INFO served" };
const found: Line = { service: "cart", text: "INFO items found" };

test("a line of success that is no longer written is as good as an error", () => {
  const after = sideOf(10, (i) => (i < 3 ? [served, found] : [served]));
  expect(
    strengthsOf(
      sideOf(20, () => [served, found]),
      after,
    ),
  ).toEqual({ cart: 17.503 });
});

test("what was wrong before, whoever wrote it of whom, is set aside with the visits that show it", () => {
  const before = sideOf(20, (i) =>
    i < 4 ? [served, { service: "web", text: "ERROR no instance of cart", isError: true }] : [served],
  );
  const after = sideOf(10, (i) => {
    if (i < 3) return [served, { service: "cart", text: "ERROR no instance of web", isError: true }];
    return i >= 4 && i < 9
      ? [served, { service: "cart", text: "ERROR null pointer", isError: true }]
      : [served];
  });
  expect(strengthsOf(before, after)).toEqual({ cart: 14.9063 });
});

test("where lines and spans are of different traces, services are compared by trace", () => {
  const failing = (i: number): readonly Line[] =>
    i < 6 ? [served, { service: "cart", text: "ERROR null pointer", isError: true }] : [served, found];
  const before = sideOf(20, () => [served, found], false);
  const { findings } = logSignal(before, sideOf(10, failing, false), { blamed: new Set() });
  expect([...findings.keys()]).toEqual(["cart"]);
  expect(findings.get("cart")?.evidence[0]).toMatchObject({ operation: "*", name: "ERROR null pointer" });
});

test("the same lines are no finding", () => {
  expect(
    strengthsOf(
      sideOf(20, () => [served, found]),
      sideOf(10, () => [served, found]),
    ),
  ).toEqual({});
});
