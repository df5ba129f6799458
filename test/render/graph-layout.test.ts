import { expect, test } from "vitest";
import { layoutGraph } from "../../src/cli/render/graph-layout.ts";
import type { GraphPicture } from "../../src/cli/render/graph-picture.ts";

/** "a>b b>c" = a calls b, b calls c. */
function picture(calls: string): GraphPicture {
  const edges = calls.split(" ").map((call) => {
    const [caller = "", callee = ""] = call.split(">");
    return { caller, callee, kind: "sync" as const, failing: false, note: "" };
  });
  const names = new Set(edges.flatMap(({ caller, callee }) => [caller, callee]));
  const nodes = [...names].map((name) => ({
    name,
    kind: "service" as const,
    inferred: false,
    role: "none" as const,
    notes: [],
  }));
  return { nodes, edges };
}

function checkLayers(calls: string, layers: string): void {
  const layout = layoutGraph(picture(calls));
  const rows: string[][] = Array.from({ length: layout.layerCount }, () => []);
  for (const [name, { layer, place }] of layout.nodes) (rows[layer] as string[])[place] = name;
  expect(rows.map((row) => row.join(",")).join(" | ")).toBe(layers);
}

test("callers stand left of callees, as far right as the longest way asks", () => {
  checkLayers("a>b b>c a>c", "a | b | c");
});

test("circles and self-calls are drawn backwards", () => {
  checkLayers("a>b b>c c>b c>c", "a | b | c");
  checkLayers("a>b b>a", "a | b");
});

test("neighbours stand side by side, so that fewer arrows cross", () => {
  checkLayers("a>x a>y x>p y>q x>r", "a | x,y | p,r,q");
});

test("a chain of 20,000 services is laid out without recursion", () => {
  const calls = Array.from({ length: 20_000 }, (_, i) => `s${i}>s${i + 1}`).join(" ");
  expect(layoutGraph(picture(calls)).layerCount).toBe(20_001);
});
