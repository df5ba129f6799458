import { expect, test } from "vitest";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { tableOf } from "../notation.ts";

const first = tableOf(`
  web  GET /late    50..60ms  trace=1
  web  GET /early    0..9ms   trace=3`);
const second = tableOf(`
  cart GET /middle  20..30ms  trace=2
  cart GET /late     5..8ms   trace=1`);

test("rows come together by trace id, whatever tables they are in", () => {
  const groups = groupByTrace([first, second]);
  expect([0, 1, 2].map((i) => Number(groups.traceIdOf(i)))).toEqual([1, 3, 2]);
  expect(groups.rowsOf(0).map(({ table, row }) => [table === first, row])).toEqual([
    [true, 0],
    [false, 1],
  ]);
});

test("of nothing there are no traces; of those that begin together the smaller id is first", () => {
  expect(groupByTrace([]).byStart()).toEqual([]);
  const groups = groupByTrace([tableOf("a x 0..1 trace=9\nb y 0..1 trace=3")]);
  expect(groups.byStart().map((i) => Number(groups.traceIdOf(i)))).toEqual([3, 9]);
});

test("the order by start goes by the earliest span of each trace, in whatever order the tables are", () => {
  for (const tables of [
    [first, second],
    [second, first],
  ]) {
    const groups = groupByTrace(tables);
    expect(groups.byStart().map((i) => Number(groups.traceIdOf(i)))).toEqual([3, 1, 2]);
  }
});
