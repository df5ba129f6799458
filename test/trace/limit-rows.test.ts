import * as fc from "fast-check";
import { expect, test } from "vitest";
import { rawNaming } from "../../src/model/service-directory.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { limitRows } from "../../src/trace/limit-rows.ts";
import { rowsOf, tableOf } from "../notation.ts";

const text = `
  web     GET /      0..90ms server
    web   render     1..80ms
      web cache      2..3ms
      web db         4..20ms client
      web log        5..6ms  error
      web template   7..60ms`;
const rows = rowsOf(tableOf(text));

function keptOf(spansMax: number, of = rows): readonly string[] {
  return assembleTrace(of, rawNaming, { spansMax }).spans.map(({ operation }) => operation);
}

test("of a trace above the limit failed spans, calls and the longest of the others are kept", () => {
  expect(keptOf(6)).toHaveLength(6);
  expect(keptOf(5)).toEqual(["GET /", "render", "db", "log", "template"]);
  expect(keptOf(4)).toEqual(["GET /", "render", "db", "log"]);
  expect(keptOf(1)).toEqual(["log"]);
});

test("what is left out is counted, and said", () => {
  const { omittedSpans, problems } = assembleTrace(rows, rawNaming, { spansMax: 4 });
  expect(omittedSpans).toBe(2);
  expect(problems).toMatchObject([{ kind: "truncated_trace", count: 2 }]);
});

test("the same spans are kept in any order and however often they were sent", () => {
  const orders = fc.shuffledSubarray([...rows, ...rows], { minLength: rows.length * 2 });
  fc.assert(
    fc.property(orders, fc.integer({ min: 1, max: 7 }), (order, max) => {
      expect(keptOf(max, order)).toEqual(keptOf(max));
      expect(limitRows(order, max).omitted).toBe(Math.max(0, 6 - max));
    }),
  );
});
