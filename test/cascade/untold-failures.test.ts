import { expect, test } from "vitest";
import { latencySideOf } from "../../src/cascade/latency-series.ts";
import { latencySignal } from "../../src/cascade/latency-signal.ts";
import { structureSignal } from "../../src/cascade/structure-signal.ts";
import { withUntoldFailures } from "../../src/cascade/untold-failures.ts";
import type { VisitSums } from "../../src/cascade/visit-rollup.ts";
import { directoryOf, tableOf } from "../notation.ts";
import { tracesText, visitSumsOf, visitSumsOfTable } from "../visit-sums.ts";

type Window = readonly [traces: number, lines: (i: number) => string];

/** Who is named, and for what, the surest of each signal first. */
function namedIn(before: Window, after: Window): readonly string[] {
  const [was, is] = withUntoldFailures(
    ...([before, after].map(([count, lines]) => visitSumsOf(tracesText(count, lines))) as [
      VisitSums,
      VisitSums,
    ]),
  );
  const options = { withFailed: true, byEntry: false };
  const { findings: slower } = latencySignal(latencySideOf(was, options), latencySideOf(is, options));
  const { findings: other } = structureSignal(was, is, { withStatus: true, blamed: new Set<string>() });
  return [
    ...[...slower.keys()].map((service) => `${service} slower`),
    ...[...other.values()]
      .sort((a, b) => b.strength - a.strength)
      .map(({ service, kind }) => `${service} ${kind}`),
  ];
}

/** What `caller` does: calls by spans without a kind, one after the other. */
const visitOf = (calls: readonly string[], caller = "web", endMs = 90): string =>
  [
    `${caller} GET /cart 0..${endMs}ms TRACE`,
    ...calls.map((call, i) => {
      const [start, end] = [10 + i * 10, 18 + i * 10];
      const [service = "", operation = ""] = call.split(" ");
      const answer = `\n    ${service} ${operation} ${start + 1}..${end - 1}ms`;
      return `  ${caller} POST ${start}..${end}ms${operation === "" ? "" : answer}`;
    }),
  ].join("\n");

const whole = (): string => visitOf(["stock find", "pay charge", "mail send"]);

test("spans that always had others work, and now have nobody, tried to call whom visits lack", () => {
  const crashed = (i: number): string => (i < 2 ? whole() : visitOf(["stock find", "pay"], "web", 3000));
  expect(namedIn([20, whole], [10, crashed])).toEqual(["pay unreachable", "web missing_call"]);
});

test("what nobody answers is the first call that is missing and usual, and others are made without it", () => {
  const goesOn = (i: number): string => (i < 2 ? whole() : visitOf(["stock", "pay charge", "mail send"]));
  expect(namedIn([20, whole], [10, goesOn])).toEqual(["stock unreachable"]);
  const seldom = (i: number): string => visitOf([...(i % 5 === 0 ? ["gift wrap"] : []), "pay charge"]);
  const crashed = (i: number): string => (i < 2 ? seldom(i) : visitOf(["pay"]));
  expect(namedIn([40, seldom], [20, crashed])).toEqual(["pay unreachable"]);
});

test("a caller that alone does not get through, while others do, is named itself", () => {
  const both =
    (isThere: boolean) =>
    (i: number): string =>
      i % 2 === 0 ? visitOf(["pay charge"], "app") : visitOf([isThere ? "pay charge" : "pay"]);
  expect(namedIn([40, both(true)], [40, both(false)])).toEqual(["web missing_call"]);
});

test("work that has nobody else work for it now and then is no call that failed", () => {
  const cached = (isHit: (i: number) => boolean) => (i: number) =>
    visitOf(isHit(i) ? ["pay"] : ["pay charge"]);
  const sums = [cached((i) => i % 4 === 0), cached((i) => i % 2 === 0)].map((lines) =>
    visitSumsOf(tracesText(40, lines)),
  );
  const [was, is] = withUntoldFailures(sums[0]!, sums[1]!);
  expect([was, is]).toEqual(sums);
});

test("local work of the same name stays what it is", () => {
  const withLocal = (calls: readonly string[]) => (): string => visitOf(["", ...calls]);
  const crashed = withLocal(["stock find"]);
  const [, is] = withUntoldFailures(
    visitSumsOf(tracesText(20, withLocal(["stock find", "pay charge"]))),
    visitSumsOf(tracesText(10, crashed)),
  );
  const shown = is.shapes[is.visits.shape[0]!]!.steps.map((step) => is.steps[step]);
  expect(shown).toContainEqual({ kind: "step", callee: "", operation: "POST" });
  expect(shown).toContainEqual({ kind: "peer", callee: "pay", operation: "POST" });
});

test("who waits to try again does not work for so long", () => {
  const retrying = (i: number): string =>
    i < 2 ? whole() : visitOf(["stock find", "pay charge", "pay charge", "pay charge"], "web", 900);
  const names = namedIn([20, whole], [12, retrying]);
  expect(names).not.toContain("web slower");
  const slow = (): string => visitOf(["stock find", "pay charge", "mail send"], "web", 900);
  expect(namedIn([20, whole], [12, slow])).toContain("web slower");
});

test("of attempts, all but the last one failed; where visits often make a call again, none did", () => {
  const again = (count: number) => (): string =>
    visitOf(["stock find", ...Array.from({ length: count }, () => "pay charge")]);
  const failedOf = (before: VisitSums, after: VisitSums): readonly number[] =>
    Array.from(withUntoldFailures(before, after)[1].calls.failed.subarray(0, 4));
  const [once, thrice] = [again(1), again(3)].map((lines) => visitSumsOf(tracesText(10, lines)));
  expect(failedOf(once!, thrice!)).toEqual([0, 1, 1, 0]);
  expect(failedOf(thrice!, thrice!)).toEqual([0, 0, 0, 0]);
});

test("the order of traces does not show, and calls of one visit still stand together", () => {
  const two =
    (calls: readonly string[]) =>
    (i: number): string =>
      i % 2 === 0 ? visitOf(calls) : visitOf(calls, "app");
  const tables = [two(["stock find", "pay charge"]), two(["stock find", "pay"])].map((lines) =>
    tableOf(tracesText(20, lines)),
  );
  const directory = directoryOf(tables);
  const answers = [false, true].map((isReversed) => {
    const [was, is] = tables.map((table) => visitSumsOfTable(table, directory, { isReversed }));
    const told = withUntoldFailures(was!, is!);
    const callers = told[1].calls.callerVisit;
    expect([...callers]).toEqual([...callers].sort((a, b) => a - b));
    return structureSignal(...told, { withStatus: true, blamed: new Set<string>() });
  });
  expect(answers[1]).toEqual(answers[0]);
  expect([...(answers[0]?.findings.keys() ?? [])]).toEqual(["pay"]);
});
