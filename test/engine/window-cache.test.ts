import { expect, test } from "vitest";
import { WindowCache } from "../../src/engine/window-cache.ts";

const minutes = { from: 10, to: 20 };

test("a window is added up once as long as nothing in it changes", () => {
  const { cache, made } = cacheOf(0);
  const first = cache.get(minutes, 0, 0);
  cache.change(21, 30);
  expect(cache.get(minutes, 60_000, 0)).toBe(first);
  expect(made()).toBe(1);
});

test.each([
  ["a change inside", (cache: WindowCache<object>) => cache.change(20, 20)],
  ["a change everywhere", (cache: WindowCache<object>) => cache.changeAll()],
  ["a change over days", (cache: WindowCache<object>) => cache.change(0, 100_000)],
])("%s makes it new", (_, change) => {
  const { cache, made } = cacheOf(0);
  cache.get(minutes, 0, 0);
  change(cache);
  cache.get(minutes, 0, 0);
  expect(made()).toBe(2);
});

test("a window that is a little old is used, unless it lacks what is asked for", () => {
  const { cache, made } = cacheOf(250);
  cache.get(minutes, 0, 0);
  const change = cache.change(15, 15);
  cache.get(minutes, 100, 0);
  expect(made()).toBe(1);
  cache.get(minutes, 100, change);
  expect(made()).toBe(2);
});

test("the window that was asked for longest ago goes first", () => {
  const { cache, made } = cacheOf(0, 2);
  for (const from of [1, 2, 1, 3, 1]) cache.get({ from, to: 20 }, 0, 0);
  expect(made()).toBe(3);
});

function cacheOf(ageMsMax: number, countMax = 8) {
  let count = 0;
  const cache = new WindowCache<object>(countMax, ageMsMax, () => {
    count += 1;
    return {};
  });
  return { cache, made: () => count };
}
