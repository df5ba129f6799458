import { describe, expect, test } from "vitest";
import type { AnyValue } from "../../src/model/attributes.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { EqualResources } from "../../src/trace/equal-resources.ts";

type Resource = readonly (readonly [key: string, value: AnyValue])[];

function tableOf(resources: readonly Resource[]): SpanTable {
  const table = new SpanTable();
  for (const attributes of resources) {
    const resource = table.resources.add();
    table.resources.attributeStart[resource] = table.attributes.length;
    for (const [key, value] of attributes) table.attributes.addValue(table.strings.intern(key), value);
    table.resources.attributeEnd[resource] = table.attributes.length;
  }
  return table;
}

function checkFirsts(resources: readonly Resource[], firsts: readonly number[]): void {
  const equal = new EqualResources(tableOf(resources));
  const found = resources.map((_, resource) => equal.firstOf(resource));
  expect(found).toEqual(firsts);
  expect(resources.map((_, resource) => equal.firstOf(resource))).toEqual(firsts);
}

describe("resources that say the same", () => {
  test("the first one stands for those that repeat it", () => {
    const cart: Resource = [
      ["service.name", "cart"],
      ["process.pid", 7n],
    ];
    checkFirsts([cart, [["service.name", "web"]], cart, [], cart, []], [0, 1, 0, 3, 0, 3]);
  });

  test("another type, key, order or number of attributes makes another resource", () => {
    checkFirsts(
      [
        [["a", 1n]],
        [["a", 1]],
        [["b", 1n]],
        [["a", true]],
        [["a", 1.5]],
        [
          ["a", 1n],
          ["b", 1n],
        ],
        [
          ["b", 1n],
          ["a", 1n],
        ],
      ],
      [0, 1, 2, 3, 4, 5, 6],
    );
  });

  test("very many resources are told apart", () => {
    const all = Array.from({ length: 3_000 }, (_, i): Resource => [["process.pid", BigInt(i % 1_000)]]);
    checkFirsts(
      all,
      all.map((_, i) => i % 1_000),
    );
  });
});
