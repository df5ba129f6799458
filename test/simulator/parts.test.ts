import { describe, expect, test } from "vitest";
import { Breaker } from "./breaker.ts";
import { EventQueue } from "./event-queue.ts";
import { Gate } from "./gate.ts";
import { logNormal, mix, Purpose, uniform } from "./random.ts";
import { Moments, shareZ, welchZ } from "./statistics.ts";

describe("event queue", () => {
  test("what is due runs in order of time, then of being scheduled", () => {
    const queue = new EventQueue();
    const ran: string[] = [];
    for (const [time, name] of [
      [5, "c"],
      [1, "a"],
      [5, "d"],
      [3, "b"],
      [9, "late"],
    ] as const)
      queue.at(time, () => ran.push(`${name}@${queue.now}`));
    queue.runUntil(6);
    expect(ran).toEqual(["a@1", "b@3", "c@5", "d@5"]);
  });

  test("a thousand events in a mixed order come out sorted", () => {
    const queue = new EventQueue();
    const ran: number[] = [];
    for (let i = 0; i < 1000; i += 1) queue.at(mix(i, 1) % 500, () => ran.push(queue.now));
    queue.runUntil(500);
    expect(ran).toHaveLength(1000);
    expect(ran).toEqual([...ran].sort((a, b) => a - b));
  });

  test("an event may schedule others, never in the past", () => {
    const queue = new EventQueue();
    const ran: number[] = [];
    queue.at(4, () => {
      queue.at(1, () => ran.push(queue.now));
      queue.after(2, () => ran.push(queue.now));
    });
    queue.runUntil(10);
    expect(ran).toEqual([4, 6]);
  });
});

describe("gate", () => {
  test("lets in as many as there is room for, the others in their order", () => {
    const gate = new Gate(() => 2);
    const ran: string[] = [];
    for (const name of ["a", "b", "c", "d"]) gate.enter(() => ran.push(name));
    expect([ran, gate.waiting]).toEqual([["a", "b"], 2]);
    gate.leave();
    expect([ran, gate.waiting]).toEqual([["a", "b", "c"], 1]);
  });

  test("who gives up is passed over, and cannot give up once inside", () => {
    const gate = new Gate(() => 1);
    const ran: string[] = [];
    expect(gate.enter(() => ran.push("a"))).toBeNull();
    const giveUp = gate.enter(() => ran.push("b"))!;
    gate.enter(() => ran.push("c"));
    expect([giveUp(), giveUp()]).toEqual([true, false]);
    gate.leave();
    expect([ran, gate.waiting]).toEqual([["a", "c"], 0]);
  });

  test("without room all wait until there is some", () => {
    let room = 0;
    const gate = new Gate(() => room);
    const ran: string[] = [];
    gate.enter(() => ran.push("a"));
    expect(ran).toEqual([]);
    room = 1;
    gate.admit();
    expect(ran).toEqual(["a"]);
  });
});

test("a breaker opens when half of the calls fail, tries one after a while, and closes when that succeeds", () => {
  const breaker = new Breaker();
  const allowed = (now: number): boolean => breaker.allows(now);
  for (const failed of [false, false, true, true]) breaker.record(failed, 0);
  expect(allowed(0)).toBe(true);
  breaker.record(true, 0);
  expect([allowed(1), allowed(9_999)]).toEqual([false, false]);
  expect([allowed(10_000), allowed(10_001)]).toEqual([true, false]);
  breaker.record(true, 10_002);
  expect([allowed(20_001), allowed(20_002)]).toEqual([false, true]);
  breaker.record(false, 20_003);
  expect([allowed(20_004), allowed(20_005)]).toEqual([true, true]);
});

test("draws are even, around their median, and independent of what they are drawn for", () => {
  const keys = Array.from({ length: 20_000 }, (_, i) => mix(7, i));
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [work, other] = [
    keys.map((key) => uniform(key, Purpose.Work)),
    keys.map((key) => uniform(key, Purpose.Poll)),
  ];
  expect(mean(work)).toBeCloseTo(0.5, 1);
  expect(mean(work.map((value, i) => (value - 0.5) * (other[i]! - 0.5)))).toBeCloseTo(0, 2);
  const below = keys.filter((key) => logNormal(key, Purpose.Work, 30, 0.5) < 30).length;
  expect(below / keys.length).toBeCloseTo(0.5, 1);
  expect(new Set(keys).size).toBeGreaterThan(19_990);
});

test("tests of means and shares see differences beyond chance only", () => {
  const moments = (values: readonly number[]): Moments => {
    const result = new Moments();
    for (const value of values) result.add(value);
    return result;
  };
  expect(welchZ(moments([1, 2, 3, 4]), moments([1, 2, 3, 4]))).toBe(0);
  // means 2.5 and 12.5, each with a variance of 5/3 over 4 values: 10 / sqrt(5/6)
  expect(welchZ(moments([1, 2, 3, 4]), moments([11, 12, 13, 14]))).toBeCloseTo(10.954, 3);
  // 10 % and 30 % of 100 each: 0.2 / sqrt(0.2 * 0.8 * 0.02)
  expect(shareZ(10, 100, 30, 100)).toBeCloseTo(3.536, 3);
  expect(shareZ(0, 0, 5, 10)).toBe(0);
});
