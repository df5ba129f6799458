import { expect, test } from "vitest";
import { type Answer, type EvaluatedCase, evaluationOf } from "../../src/evaluation/evaluation.ts";
import type { RankerName } from "../../src/evaluation/ranker-names.ts";
import { type Ranking, rankingOf } from "../../src/evaluation/ranking.ts";
import { parseTruth } from "../../src/evaluation/truth.ts";

/** Names in order, `a=b` tied. */
function ranking(text: string): Ranking {
  const places = text.split(" ").filter((place) => place !== "");
  return rankingOf(places.flatMap((place, i) => place.split("=").map((name) => [name, 99 - i] as const)));
}

function answer(candidates: string, more: Partial<Answer> = {}): Answer {
  const listed = ranking(candidates);
  return {
    ranking: listed,
    healthy: listed.length === 0,
    confidence: null,
    instance: null,
    operation: null,
    edge: null,
    propagation: null,
    affectedServices: null,
    rankers: new Map(),
    ...more,
  };
}

function caseWith(
  truth: object | null,
  given: EvaluatedCase["answer"],
  more: Partial<EvaluatedCase> = {},
): EvaluatedCase {
  const parsed = truth === null ? null : parseTruth(JSON.stringify(truth));
  if (parsed !== null && parsed.kind !== "window") throw new Error("no window");
  return {
    caseId: "case",
    dataset: "shop",
    label: parsed?.label ?? null,
    signals: ["traces"],
    seconds: 1,
    answer: given,
    ...more,
  };
}

test("a case tells its candidates, the rank of each cause, and the best", () => {
  const { cases } = evaluationOf([
    caseWith({ root_cause_services: ["db", "cart"], fault_type: "latency" }, answer("web db=auth")),
  ]);
  expect(cases).toEqual([
    {
      case_id: "case",
      dataset: "shop",
      fault_type: "latency",
      truth: ["db", "cart"],
      candidates: ["web", "auth", "db"],
      healthy: false,
      rank: 2.5,
      ranks: [2.5, null],
      confidence: null,
      signals: ["traces"],
      seconds: 1,
    },
  ]);
});

test("a case that failed has its reason, no rank, and counts as a miss", () => {
  const { cases, summary } = evaluationOf([
    caseWith({ root_cause_service: "db" }, { error: "cannot be read" }),
    caseWith({ root_cause_service: "db" }, answer("db")),
  ]);
  expect(cases[0]).toMatchObject({ rank: null, error: "cannot be read", candidates: [], truth: ["db"] });
  expect(summary).toMatchObject({ cases: 2, scored: 2, failed: 1, overall: { ac1: 0.5 } });
});

test("a case without a label is listed and not scored", () => {
  const { cases, summary } = evaluationOf([caseWith(null, answer("db"))]);
  expect(cases[0]).toMatchObject({ candidates: ["db"], truth: [], rank: null, ranks: [] });
  expect(summary).toMatchObject({ unlabelled: 1, scored: 0, overall: { cases: 0 } });
});

test("in a healthy window any candidate is a false alarm, and so is a report that does not say that all is well", () => {
  const healthy = { fault_type: "healthy_deploy" };
  const { cases, summary } = evaluationOf([
    caseWith(healthy, answer("")),
    caseWith(healthy, answer("db")),
    caseWith(healthy, answer("", { healthy: false })),
  ]);
  expect(summary.healthy).toEqual({ windows: 3, false_alarms: 2 });
  expect(summary.scored).toBe(0);
  expect(cases.map(({ rank }) => rank)).toEqual([null, null, null]);
});

test("a fault without any effect is no miss: nobody and the culprit are both right", () => {
  const silent = { root_cause_service: "db", visibility: "silent" };
  const { summary } = evaluationOf([
    caseWith(silent, answer("")),
    caseWith(silent, answer("db")),
    caseWith(silent, answer("web")),
  ]);
  expect([summary.scored, summary.silent]).toEqual([0, { cases: 3, named_nobody: 1, named_cause: 1 }]);
});

test("figures by data set, fault type, signals and impact type; the macro figure counts fault types once", () => {
  const fault = (fault_type: string, impact_type: string) => ({
    root_cause_service: "db",
    fault_type,
    impact_type,
  });
  const { summary } = evaluationOf([
    caseWith(fault("crash", "I"), answer("db")),
    caseWith(fault("crash", "I"), answer("db"), { dataset: "bank" }),
    caseWith(fault("crash", "III"), answer("db")),
    caseWith(fault("leak", "III"), answer("web db"), { signals: ["traces", "metrics"] }),
  ]);
  const first = (groups: Readonly<Record<string, { readonly ac1: number }>>) =>
    Object.entries(groups).map(([name, { ac1 }]) => `${name} ${ac1.toFixed(2)}`);
  expect(summary.overall.ac1).toBe(0.75);
  expect(summary.macro.ac1).toBe(0.5);
  expect(first(summary.datasets)).toEqual(["bank 1.00", "shop 0.67"]);
  expect(first(summary.fault_types)).toEqual(["crash 1.00", "leak 0.00"]);
  expect(first(summary.signals)).toEqual(["traces 1.00", "traces+metrics 0.00"]);
  expect(first(summary.impact_types)).toEqual(["I 1.00", "III 0.50"]);
});

test("of two causes, recall@2 is the share that stands among the first two", () => {
  const two = { root_cause_services: ["a", "b"] };
  const { summary } = evaluationOf([caseWith(two, answer("a b")), caseWith(two, answer("a web b"))]);
  expect(summary.two_causes).toEqual({ cases: 2, recall2: 0.75 });
});

test("what simulated cases know is scored where it is known", () => {
  const truth = {
    root_cause_service: "db",
    root_cause_instance: "db-1",
    root_cause_edge: { caller: "cart", callee: "db" },
    propagation: [
      { from: "db", to: "cart" },
      { from: "cart", to: "web" },
    ],
    affected_services: ["cart", "web"],
  };
  const right = answer("db", {
    instance: "db-1",
    edge: { caller: "cart", callee: "db" },
    propagation: [{ from: "db", to: "cart" }],
    affectedServices: ["cart", "web"],
  });
  const { cases, summary } = evaluationOf([
    caseWith(truth, right),
    caseWith(truth, { error: "failed" }),
    caseWith({ root_cause_service: "db" }, answer("db")),
  ]);
  expect(cases.map((each) => [each.propagation_f1, each.blast_radius_jaccard])).toEqual([
    [expect.closeTo(2 / 3), 1],
    [0, 0],
    [undefined, undefined],
  ]);
  expect(summary).toMatchObject({
    levels: {
      instance_ac1: { cases: 2, mean: 0.5 },
      operation_ac1: null,
      edge_ac1: { cases: 2, mean: 0.5 },
    },
    // 2 * 1 / (1 + 2), and 0 for the failed one
    propagation_f1: { cases: 2, mean: expect.closeTo(1 / 3) },
    blast_radius_jaccard: { cases: 2, mean: 0.5 },
  });
});

test("rankers are scored on the same cases, and compared with us case by case", () => {
  const by = (text: string): ReadonlyMap<RankerName, Ranking> => new Map([["p95_ratio", ranking(text)]]);
  const truth = { root_cause_service: "db", fault_type: "latency" };
  const { cases, summary } = evaluationOf([
    caseWith(truth, answer("db", { rankers: by("web db") })),
    caseWith(truth, answer("db", { rankers: by("web=db") })),
    caseWith(truth, answer("web", { rankers: by("db") })),
    caseWith({ fault_type: "healthy" }, answer("", { rankers: by("web") })),
  ]);
  expect(cases.map(({ rankers }) => rankers)).toEqual([
    { p95_ratio: 2 },
    { p95_ratio: 1.5 },
    { p95_ratio: 1 },
    undefined,
  ]);
  expect(summary.rankers).toMatchObject([
    { ranker: "hypocenter", cases: 3, ac1: 2 / 3, false_alarms: 0 },
    {
      ranker: "p95_ratio",
      cases: 3,
      ac1: 1 / 3,
      false_alarms: 1,
      datasets: { shop: { ac1: 1 / 3 } },
      fault_types: { latency: { ac1: 1 / 3 } },
      paired: { only_hypocenter: 2, only_ranker: 1, p: 1 },
    },
  ]);
});

test("confidence is held against the cases that were answered with one", () => {
  const truth = { root_cause_service: "db" };
  const { summary } = evaluationOf([
    caseWith(truth, answer("db", { confidence: 0.9 })),
    caseWith(truth, answer("web", { confidence: 0.2 })),
    caseWith(truth, answer("")),
  ]);
  expect(summary.calibration).toMatchObject({ answers: 2, ece: expect.closeTo(0.15) });
});
