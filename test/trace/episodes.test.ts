import * as fc from "fast-check";
import { expect, test } from "vitest";
import { rawNaming } from "../../src/model/service-directory.ts";
import { assembleEpisodes, episodesOf, episodeToShow } from "../../src/trace/episodes.ts";
import { spanIdOf } from "../../src/trace/trace.ts";
import { rowsOf, tableOf } from "../notation.ts";

/** The starts of the spans of each episode, in hours. */
function checkEpisodes(text: string, expected: readonly string[]): void {
  const found = assembleEpisodes(rowsOf(tableOf(text)), rawNaming);
  expect(found.map(({ spans }) => spans.map(({ operation }) => operation).join(" "))).toEqual(expected);
  const count = expected.length;
  expect(found.map(({ episode }) => episode)).toEqual(
    count === 1 ? [null] : expected.map((_, i) => ({ number: i + 1, count })),
  );
}

const hour = 3_600_000;

test("more than an hour of silence parts two requests, less does not", () => {
  checkEpisodes(`a one 0..10ms\na two ${hour + 11}..${hour + 20}ms parent=none`, ["one", "two"]);
  checkEpisodes(`a one 0..10ms\na two ${hour + 9}..${hour + 20}ms parent=none`, ["one two"]);
});

test("silence does not part a child from its parent, nor siblings whose parent is missing, nor what is linked", () => {
  checkEpisodes(`a one 0..10ms\n  a two ${9 * hour}..${10 * hour}ms`, ["one two"]);
  checkEpisodes(`a one 0..10ms parent=77\na two ${9 * hour}..${10 * hour}ms parent=77`, ["one two"]);
  checkEpisodes(`a one 0..10ms id=1\na two ${9 * hour}..${10 * hour}ms parent=none link=1/1`, ["one two"]);
});

test("work in between joins what is far apart, though it hangs on neither", () => {
  const apart = `a one 0..10ms\na two ${2 * hour}..${2.1 * hour}ms parent=none`;
  checkEpisodes(apart, ["one", "two"]);
  checkEpisodes(`${apart}\na idle ${0.9 * hour}..${1.1 * hour}ms parent=none`, ["one idle two"]);
});

test("requests of thousands of spans are told apart as well", () => {
  const request = (from: number): readonly string[] =>
    Array.from({ length: 3_000 }, (_, i) => {
      const parent = i === 0 ? "none" : from + 1 + ((i - 1) >> 1);
      return `a x ${from * hour}..${from * hour + 5}ms id=${from + i + 1} parent=${parent}`;
    });
  const rows = rowsOf(tableOf([...request(0), ...request(5_000)].join("\n")));
  expect(episodesOf(rows).map(({ rows: own }) => own.length)).toEqual([3_000, 3_000]);
});

test("the latest request that failed is shown, else the latest, else the one asked for", () => {
  const at = (hours: number, failed = ""): string =>
    `a at${hours} ${hours * hour}..${hours * hour + 5}ms ${failed} parent=none`;
  const shown = (text: string, number: number | null = null): string | undefined =>
    episodeToShow(assembleEpisodes(rowsOf(tableOf(text)), rawNaming), number)?.spans[0]?.operation;
  const three = [at(0, "error"), at(2, "error"), at(4)].join("\n");
  expect([shown(three), shown(three, 3), shown(three, 4)]).toEqual(["at2", "at4", undefined]);
  expect(shown([at(0), at(2)].join("\n"))).toBe("at2");
});

test("the same rows in any order give the same episodes", () => {
  const line = fc.record({ hours: fc.integer({ min: 0, max: 9 }), parent: fc.integer({ min: 0, max: 12 }) });
  const rows = fc.array(line, { minLength: 1, maxLength: 12 }).map((lines) =>
    lines.map(({ hours, parent }, i) => {
      const above = parent === 0 ? "none" : String(parent);
      return `a x ${hours * hour}..${(hours + 0.5) * hour}ms id=${i + 1} parent=${above}`;
    }),
  );
  const told = (lines: readonly string[]): unknown =>
    episodesOf(rowsOf(tableOf(lines.join("\n")))).map(({ rows: own, episode }) => ({
      episode,
      spans: [...new Set(own.map(spanIdOf))].sort(),
    }));
  const shuffled = rows.chain((lines) =>
    fc.tuple(fc.constant(lines), fc.shuffledSubarray([...lines, ...lines], { minLength: lines.length * 2 })),
  );
  fc.assert(
    fc.property(shuffled, ([lines, other]) => {
      expect(told(other)).toEqual(told(lines));
    }),
  );
});
