import { expect, test } from "vitest";
import { type Label, parseTruth } from "../../src/evaluation/truth.ts";

function labelOf(truth: object): Label {
  const parsed = parseTruth(JSON.stringify(truth));
  if (parsed.kind !== "window") throw new Error(JSON.stringify(parsed));
  return parsed.label;
}

function complaintOf(text: string): string {
  const parsed = parseTruth(text);
  if (parsed.kind !== "unusable") throw new Error("it was read");
  return parsed.complaint;
}

test("one cause, with other names of the same thing", () => {
  expect(labelOf({ root_cause_service: "db", accept: ["mysql"] }).causes).toEqual([
    { service: "db", accept: ["mysql"] },
  ]);
});

test("several causes, each with its own other names", () => {
  const truth = {
    root_cause_service: "cart",
    root_cause_services: ["cart", "constructor"],
    accept: ["basket"],
    accept_by_root: { cart: ["cart-v2"] },
  };
  expect(labelOf(truth).causes).toEqual([
    { service: "cart", accept: ["basket", "cart-v2"] },
    { service: "constructor", accept: [] },
  ]);
});

test("a healthy window is one by its fault type", () => {
  expect([labelOf({ fault_type: "healthy_mix_shift" }).isHealthy, labelOf({}).isHealthy]).toEqual([
    true,
    false,
  ]);
});

test("windows are read as nanoseconds; without them the whole files count", () => {
  const windows = {
    baseline: [
      ["10", "20"],
      ["30", "30"],
    ],
    incident: ["40", "1661140614000000001"],
  };
  expect(parseTruth(JSON.stringify({ windows }))).toMatchObject({
    windows: {
      baseline: [
        { from: 10n, to: 20n },
        { from: 30n, to: 30n },
      ],
      incident: { from: 40n, to: 1661140614000000001n },
    },
  });
  expect(parseTruth("{}")).toMatchObject({ windows: { incident: null, baseline: null } });
});

test("single traces are labelled by their ids, in any case", () => {
  const truth = { dataset: "d", fault_type: "f", traces: { ABC: { root_causes: ["a", "b"] } } };
  const parsed = parseTruth(JSON.stringify(truth));
  if (parsed.kind !== "traces") throw new Error("no traces");
  expect([...parsed.labels.keys()]).toEqual(["abc"]);
  expect(parsed.labels.get("abc")).toMatchObject({
    caseId: "abc",
    dataset: "d",
    faultType: "f",
    causes: [{ service: "a" }, { service: "b" }],
  });
});

test("what simulated cases know besides", () => {
  const label = labelOf({
    root_cause_instance: "cart-1",
    root_cause_operation: "GET /items",
    root_cause_edge: { caller: "web", callee: "cart" },
    propagation: [{ from: "cart", to: "web", mechanism: "timeout" }],
    affected_services: ["web"],
    impact_type: "III",
    visibility: "masked",
  });
  expect(label).toMatchObject({
    instance: "cart-1",
    operation: "GET /items",
    edge: { caller: "web", callee: "cart" },
    propagation: [{ from: "cart", to: "web" }],
    affectedServices: ["web"],
    impactType: "III",
    visibility: "masked",
  });
});

test("the words of a simulator: the cause in `causes`, what it did in `impact`", () => {
  const label = labelOf({
    root_cause_service: "cart",
    causes: [
      { name: "cart", instance: "cart-1", operation: "GET /items", edge: { caller: "web", callee: "cart" } },
    ],
    loudness: "II",
    simulator: { seed: 42 },
    impact: {
      affected: [{ service: "web", failed: 3 }],
      propagation: [{ caller: "web", callee: "cart", mechanism: "error" }],
    },
  });
  expect(label).toMatchObject({
    instance: "cart-1",
    operation: "GET /items",
    edge: { caller: "web", callee: "cart" },
    impactType: "II",
    cluster: "42",
    affectedServices: ["web"],
    propagation: [{ from: "cart", to: "web" }],
  });
});

test("of two causes no single instance is the right one", () => {
  expect(labelOf({ causes: [{ instance: "a" }, { instance: "b" }] }).instance).toBeNull();
});

test.each([
  ["[1]", "truth.json is not a JSON object"],
  ['{"root_cause_service":7}', "root_cause_service is not a string"],
  ['{"windows":{"incident":[1,2]}}', "windows.incident is not [from, to] in nanoseconds, written as strings"],
  ['{"windows":{"incident":["9","2"]}}', "windows.incident ends before it starts"],
  ['{"windows":{"baseline":[["1"]]}}', "windows.baseline[0] is not [from, to]"],
  ['{"impact_type":"IV"}', "impact_type is none of I, II, III"],
  ['{"traces":{"a":{"root_causes":[3]}}}', "root_causes[0] is not a string"],
  ['{"root_cause_edge":{"caller":"a"}}', "root_cause_edge lacks callee"],
  ['{"propagation":[{"from":"a"}]}', "propagation[0] lacks to"],
  ['{"impact":{"affected":[{}]}}', "impact.affected[0] lacks service"],
  ["{", "JSON"],
])("a label of a wrong shape says what is wrong: %s", (text, complaint) => {
  expect(complaintOf(text)).toContain(complaint);
});
