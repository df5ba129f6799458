import { expect, test } from "vitest";
import { defaultEngineLimits } from "../../src/engine/limits.ts";
import { TraceStates } from "../../src/engine/trace-states.ts";

test("a trace is due when nothing has arrived for it for the idle time", () => {
  const states = statesOf({ idleMs: 2_000 });
  arrive(states, 1, 0);
  arrive(states, 1, 1_500);
  checkDue(states, 2_000, []);
  checkDue(states, 3_400, []);
  checkDue(states, 3_600, [1]);
  checkDue(states, 9_000, []);
});

test("a trace that never falls silent is due at its greatest age", () => {
  const states = statesOf({ idleMs: 2_000, openAgeMsMax: 5_000 });
  for (let now = 0; now < 5_000; now += 500) {
    arrive(states, 1, now);
    checkDue(states, now, []);
  }
  checkDue(states, 5_200, [1]);
});

test("a trace that took long to fold rests before it is due again, even early", () => {
  const states = statesOf({ idleMs: 100 });
  arrive(states, 1, 0);
  checkDue(states, 200, [1]);
  states.rest(states.find(wordsOf(1)), 5_000);
  for (let now = 300; now < 5_000; now += 500) {
    arrive(states, 1, now);
    checkDue(states, now, []);
    expect(states.nextDue(now, true)).toBe(-1);
  }
  arrive(states, 2, 4_950);
  checkDue(states, 5_100, [1, 2]);
});

test("late spans open a trace again", () => {
  const states = statesOf({ idleMs: 100 });
  arrive(states, 1, 0);
  checkDue(states, 200, [1]);
  arrive(states, 1, 300);
  checkDue(states, 350, []);
  checkDue(states, 500, [1]);
});

test("a jump of the clock makes everything due at once", () => {
  const states = statesOf({ idleMs: 2_000 });
  for (let id = 1; id <= 5; id += 1) arrive(states, id, id * 1_000);
  checkDue(states, 86_400_000, [1, 2, 3, 4, 5]);
});

test("early, the longest waiting come first and none twice", () => {
  const states = statesOf({ idleMs: 2_000 });
  for (let id = 1; id <= 5; id += 1) arrive(states, id, id * 1_000);
  expect(idOf(states, states.nextDue(5_000, true))).toBe(1);
  expect(states.openCount).toBe(4);
  checkDue(states, 86_400_000, [2, 3, 4, 5]);
});

test("what arrives after an early look is still folded in time", () => {
  const states = statesOf({ idleMs: 2_000 });
  arrive(states, 1, 0);
  states.nextDue(0, true);
  arrive(states, 2, 1);
  checkDue(states, 2_300, [2]);
});

test("beyond the limit the oldest trace that is not open is forgotten and counted", () => {
  const states = statesOf({ idleMs: 100, traceStatesMax: 2 });
  arrive(states, 1, 0);
  arrive(states, 2, 0);
  states.close(states.find(wordsOf(2)));
  arrive(states, 3, 0);
  expect([1, 2, 3].map((id) => states.find(wordsOf(id)) >= 0)).toEqual([true, false, true]);
  expect(states.forgotten).toBe(1);
});

function statesOf(limits: Partial<typeof defaultEngineLimits>): TraceStates {
  return new TraceStates({ ...defaultEngineLimits, ...limits }, 0);
}

function wordsOf(id: number): number[] {
  return [0, 0, 0, id];
}

function arrive(states: TraceStates, id: number, nowMs: number): void {
  states.arrive(wordsOf(id), 0, nowMs);
}

function idOf(states: TraceStates, entry: number): number {
  return states.wordsOf(entry)[3]!;
}

function checkDue(states: TraceStates, nowMs: number, ids: readonly number[]): void {
  const due: number[] = [];
  for (let entry = states.nextDue(nowMs, false); entry >= 0; entry = states.nextDue(nowMs, false))
    due.push(idOf(states, entry));
  expect(due.toSorted((a, b) => a - b)).toEqual(ids);
}
