import { compareText } from "../base/compare-text.ts";
import { mapEntry } from "../base/map-entry.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { almostAlways, mostly } from "../model/scoring.ts";
import type { VisitSums } from "./visit-rollup.ts";
import { stepText } from "./visits.ts";

/** A call that no span answers, and of which no attribute says where it went. */
export interface OpenCall {
  readonly caller: string;
  /** to whom it most likely went */
  readonly callee: string;
  /** name of the span that made it */
  readonly span: string;
  /** whether visits usually make it after all calls that this one made */
  readonly isLast: boolean;
  /** whether visits usually show such a span as local work beside it */
  readonly isAlsoStep: boolean;
}

export interface OpenCalls {
  readonly calls: readonly OpenCall[];
  /** by visit, place in `calls`; -1 = none */
  readonly ofVisit: Int32Array;
}

/**
 * Where spans have no kind, or clients do not say whom they call, a call that nobody answers looks like local work. What it
 * was is known from before, a healthy time: if spans of this name nearly always had others work, and a visit lacks what they
 * had them do, it tried that. Of several such calls it tried the first that is about as usual as the most usual one, for then
 * many visits stop.
 */
export function openCalls(
  before: VisitSums,
  after: VisitSums,
): { readonly before: OpenCalls; readonly after: OpenCalls } {
  const habits = habitsOf(before);
  keepSure(habits, before);
  return { before: openIn(before, habits), after: openIn(after, habits) };
}

/** A call as visits of one operation usually make it. */
interface UsualCall {
  readonly text: string;
  readonly callee: string;
  /** that make it */
  readonly visits: number;
  /** how many calls come before it on average */
  readonly place: number;
}

interface SpanHabit {
  readonly calls: UsualCall[];
  isAlsoStep: boolean;
}

interface OperationHabits {
  readonly service: string;
  /** by what tells them apart */
  readonly calls: Map<string, UsualCall>;
  /** by name of the calling span */
  readonly spans: Map<string, SpanHabit>;
}

/** By `service\0operation`. */
type Habits = Map<string, OperationHabits>;

function habitsOf({ visits, calls, callNames, operations, spanNames }: VisitSums): Habits {
  const uses = new PairInterner();
  const routes = new PairInterner();
  const sums: { visits: number; times: number; places: number; lastVisit: number }[] = [];
  let place = 0;
  for (let row = 0; row < calls.name.length; row += 1) {
    const visit = calls.callerVisit[row] as number;
    place = row > 0 && calls.callerVisit[row - 1] === visit ? place + 1 : 0;
    const use = uses.idOf(visits.operation[visit] as number, calls.name[row] as number);
    if (use === sums.length) sums.push({ visits: 0, times: 0, places: 0, lastVisit: -1 });
    const sum = sums[use] as (typeof sums)[number];
    if (sum.lastVisit !== visit) sum.visits += 1;
    sum.lastVisit = visit;
    sum.times += 1;
    sum.places += place;
    if (calls.via[row] !== -1) routes.idOf(use, calls.via[row] as number);
  }
  const habits: Habits = new Map();
  const ofUse = uses.pairs().map(([operation, name], use) => {
    const named = callNames[name] as (typeof callNames)[number];
    const { visits: making, times, places } = sums[use] as (typeof sums)[number];
    const call = { text: stepText(named), callee: named.callee, visits: making, place: places / times };
    const at = operations[operation] as (typeof operations)[number];
    const own = mapEntry(habits, keyOf(at), () => ({
      service: at.service,
      calls: new Map<string, UsualCall>(),
      spans: new Map<string, SpanHabit>(),
    }));
    own.calls.set(call.text, call);
    return { own, call };
  });
  // in an order that does not hang on that of the traces
  const named = routes.pairs().map(([use, via]) => ({ use, span: spanNames[via] ?? "" }));
  for (const { use, span } of named.sort((a, b) => compareText(a.span, b.span))) {
    const { own, call } = ofUse[use] as (typeof ofUse)[number];
    mapEntry(own.spans, span, () => ({ calls: [], isAlsoStep: false })).calls.push(call);
  }
  return habits;
}

function keyOf({ service, operation }: { readonly service: string; readonly operation: string }): string {
  return `${service}\u0000${operation}`;
}

/** Takes the names of spans out of `habits` that are local work too often to be a call that is not answered. */
function keepSure(habits: Habits, before: VisitSums): void {
  const found = new Map<SpanHabit, { visits: number; shown: number; open: number }>();
  for (const { own, steps, visits } of sortsOf(before, habits))
    for (const [span, habit] of own.spans) {
      const count = mapEntry(found, habit, () => ({ visits: 0, shown: 0, open: 0 }));
      count.visits += visits;
      if (!steps.has(localText(span))) continue;
      count.shown += visits;
      if (triedOf(habit, steps) !== null) count.open += visits;
    }
  for (const { spans } of habits.values())
    for (const [span, habit] of spans) {
      const { visits, shown, open } = found.get(habit) ?? { visits: 0, shown: 0, open: 0 };
      if (open > (1 - almostAlways) * visits) spans.delete(span);
      habit.isAlsoStep = shown > mostly * visits;
    }
}

/** Visits of one operation that show the same. */
interface VisitSort {
  readonly own: OperationHabits;
  /** texts of what they did */
  readonly steps: ReadonlySet<string>;
  readonly lastCall: string | null;
  readonly visits: number;
  /** number of the sort */
  readonly sort: number;
}

function sortsOf(sums: VisitSums, habits: Habits): readonly VisitSort[] {
  const { sorts, counts } = sortRows(sums);
  const texts = sums.steps.map(stepText);
  const ofOperation = sums.operations.map((operation) => habits.get(keyOf(operation)));
  return sorts.pairs().flatMap(([operation, shape], sort) => {
    const own = ofOperation[operation];
    if (own === undefined) return [];
    const { steps, lastCall } = sums.shapes[shape] as (typeof sums.shapes)[number];
    const shown = new Set(steps.map((step) => texts[step] as string));
    return [{ own, steps: shown, lastCall: texts[lastCall] ?? null, visits: counts[sort] as number, sort }];
  });
}

function sortRows({ visits }: VisitSums) {
  const sorts = new PairInterner();
  const counts: number[] = [];
  const ofVisit = new Int32Array(visits.shape.length);
  for (let row = 0; row < ofVisit.length; row += 1) {
    const sort = sorts.idOf(visits.operation[row] as number, visits.shape[row] as number);
    ofVisit[row] = sort;
    counts[sort] = (counts[sort] ?? 0) + 1;
  }
  return { sorts, counts, ofVisit };
}

function localText(span: string): string {
  return stepText({ kind: "step", callee: "", operation: span });
}

/** The call that visits tried if they show a span of this name as local work; null where they lack none. */
function triedOf({ calls }: SpanHabit, steps: ReadonlySet<string>): UsualCall | null {
  const missing = calls.filter(({ text }) => !steps.has(text));
  const most = Math.max(...missing.map(({ visits }) => visits));
  const usual = missing.filter(({ visits }) => visits >= mostly * most);
  const [first = null] = usual.sort((a, b) => a.place - b.place || compareText(a.text, b.text));
  return first;
}

function openIn(sums: VisitSums, habits: Habits): OpenCalls {
  const calls: OpenCall[] = [];
  const { ofVisit } = sortRows(sums);
  const ofSort = new Map<number, number>();
  for (const { own, steps, lastCall, sort } of sortsOf(sums, habits))
    for (const [span, habit] of own.spans) {
      const tried = steps.has(localText(span)) ? triedOf(habit, steps) : null;
      if (tried === null) continue;
      const last = lastCall === null ? undefined : own.calls.get(lastCall);
      const isLast = last === undefined || last.place <= tried.place;
      ofSort.set(sort, calls.length);
      calls.push({ caller: own.service, callee: tried.callee, span, isLast, isAlsoStep: habit.isAlsoStep });
      break;
    }
  return { calls, ofVisit: ofVisit.map((sort) => ofSort.get(sort) ?? -1) };
}
