import { compareText } from "../base/compare-text.ts";
import { mapEntry } from "../base/map-entry.ts";
import { PairInterner } from "../base/pair-interner.ts";
import { almostAlways, mostly } from "../model/scoring.ts";
import { type Edge, edgeKey } from "./candidate.ts";
import { type Attempts, isUnreached, votesOn } from "./reach.ts";
import type { VisitSums } from "./visit-rollup.ts";
import { stepText } from "./visits.ts";

/** A call that no span answers, and of which no attribute says where it went. */
export interface OpenCall {
  readonly caller: string;
  /** to whom it most likely went */
  readonly callee: string;
  /** name of the span that made it */
  readonly span: string;
  /** how many calls visits usually make before it */
  readonly place: number;
  /** whether this comes after all calls that were answered */
  readonly isLast: boolean;
  /** whether visits usually show such a span as local work beside it */
  readonly isAlsoStep: boolean;
}

export interface OpenCalls {
  /** what some visits show, each in the order in which they usually make them */
  readonly sets: readonly (readonly OpenCall[])[];
  /** by visit, place in `sets`; -1 = none */
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
  return { before: openIn(before, habits), after: withoutLost(after, openIn(after, habits)) };
}

/** A caller that alone does not get through has lost its way: what it does otherwise is its own doing. */
function withoutLost(after: VisitSums, { sets, ofVisit }: OpenCalls): OpenCalls {
  const attempts = attemptsIn(after, { sets, ofVisit });
  const lost = new Set<string>();
  for (const [callee, byCaller] of attempts)
    for (const [caller, { unreached }] of byCaller) {
      if (unreached === 0) continue;
      let alsoUnreached = 0;
      for (const [other, calls] of attempts) {
        const own = calls.get(caller);
        if (other !== callee && own !== undefined && isUnreached(own)) alsoUnreached += 1;
      }
      if (votesOn({ caller, callee }, byCaller, alsoUnreached).isCaller)
        lost.add(edgeKey({ caller, callee }));
    }
  const kept = sets.map((set) => set.filter((open) => !lost.has(edgeKey(open))));
  return { sets: kept, ofVisit: ofVisit.map((set) => (kept[set]?.length ? set : -1)) };
}

/** By callee, then caller. */
function attemptsIn(
  { calls, callNames }: VisitSums,
  { sets, ofVisit }: OpenCalls,
): ReadonlyMap<string, ReadonlyMap<string, Attempts>> {
  const attempts = new Map<string, Map<string, Attempts>>();
  const add = ({ caller, callee }: Edge, count: Attempts): void => {
    const byCaller = mapEntry(attempts, callee, () => new Map<string, Attempts>());
    const own = mapEntry(byCaller, caller, () => ({ calls: 0, unreached: 0 }));
    own.calls += count.calls;
    own.unreached += count.unreached;
  };
  const answered = new Float64Array(callNames.length);
  for (let row = 0; row < calls.name.length; row += 1)
    answered[calls.name[row] as number] = (answered[calls.name[row] as number] as number) + 1;
  for (const [name, edge] of callNames.entries())
    add(edge, { calls: answered[name] as number, unreached: 0 });
  for (const set of ofVisit) for (const open of sets[set] ?? []) add(open, { calls: 1, unreached: 1 });
  return attempts;
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
  visits: number;
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
  const ofOperation: (OperationHabits | undefined)[] = operations.map(() => undefined);
  const ofUse = uses.pairs().map(([operation, name], use) => {
    const named = callNames[name] as (typeof callNames)[number];
    const { visits: making, times, places } = sums[use] as (typeof sums)[number];
    const call = { text: stepText(named), callee: named.callee, visits: making, place: places / times };
    const at = operations[operation] as (typeof operations)[number];
    const own = mapEntry(habits, keyOf(at), () => ({
      service: at.service,
      visits: 0,
      calls: new Map<string, UsualCall>(),
      spans: new Map<string, SpanHabit>(),
    }));
    ofOperation[operation] = own;
    own.calls.set(call.text, call);
    return { own, call };
  });
  for (const [use, via] of routes.pairs()) {
    const { own, call } = ofUse[use] as (typeof ofUse)[number];
    mapEntry(own.spans, spanNames[via] ?? "", () => ({ calls: [], isAlsoStep: false })).calls.push(call);
  }
  for (let row = 0; row < visits.operation.length; row += 1) {
    const own = ofOperation[visits.operation[row] as number];
    if (own !== undefined) own.visits += 1;
  }
  return habits;
}

function keyOf({ service, operation }: { readonly service: string; readonly operation: string }): string {
  return `${service}\u0000${operation}`;
}

/** Takes the names of spans out of `habits` that are local work too often to be a call that is not answered. */
function keepSure(habits: Habits, before: VisitSums): void {
  const shown = new Map<SpanHabit, number>();
  const open = new Map<SpanHabit, number>();
  const add = (to: Map<SpanHabit, number>, { habit, visits }: LocalSpan): void => {
    to.set(habit, (to.get(habit) ?? 0) + visits);
  };
  for (const found of localSpansIn(before, habits).found) {
    add(shown, found);
    if (triedOf(found) !== null) add(open, found);
  }
  for (const { visits, spans } of habits.values())
    for (const [span, habit] of spans) {
      if ((open.get(habit) ?? 0) > (1 - almostAlways) * visits) spans.delete(span);
      habit.isAlsoStep = (shown.get(habit) ?? 0) > mostly * visits;
    }
}

/** A span that makes calls as a rule, and is local work in some visits, all of which show the same. */
interface LocalSpan {
  readonly own: OperationHabits;
  readonly span: string;
  readonly habit: SpanHabit;
  /** texts of what the visits did */
  readonly steps: ReadonlySet<string>;
  readonly lastCall: string | null;
  readonly visits: number;
  /** number of their sort */
  readonly sort: number;
}

/** In the order of names; and by visit, of which sort it is. */
function localSpansIn(
  { visits, operations, steps, shapes }: VisitSums,
  habits: Habits,
): { readonly found: readonly LocalSpan[]; readonly sortOf: Int32Array } {
  const sorts = new PairInterner();
  const counts: number[] = [];
  const sortOf = new Int32Array(visits.shape.length);
  for (let row = 0; row < sortOf.length; row += 1) {
    const sort = sorts.idOf(visits.operation[row] as number, visits.shape[row] as number);
    sortOf[row] = sort;
    counts[sort] = (counts[sort] ?? 0) + 1;
  }
  const texts = steps.map(stepText);
  const ofOperation = operations.map((operation) => habits.get(keyOf(operation)));
  const found = sorts.pairs().flatMap(([operation, place], sort): readonly LocalSpan[] => {
    const own = ofOperation[operation];
    const shape = shapes[place] as (typeof shapes)[number];
    const local = shape.steps.filter((step) => steps[step]?.kind === "step");
    const spans = local.map((step) => steps[step]?.operation ?? "").sort(compareText);
    return spans.flatMap((span) => {
      const habit = own?.spans.get(span);
      if (own === undefined || habit === undefined) return [];
      const did = new Set(shape.steps.map((step) => texts[step] as string));
      const lastCall = texts[shape.lastCall] ?? null;
      return [{ own, span, habit, steps: did, lastCall, visits: counts[sort] as number, sort }];
    });
  });
  return { found, sortOf };
}

/** What the visits tried to call with it; null where they lack nothing. */
function triedOf({ habit, steps }: LocalSpan): UsualCall | null {
  const missing = habit.calls.filter(({ text }) => !steps.has(text));
  const most = Math.max(...missing.map(({ visits }) => visits));
  const usual = missing.filter(({ visits }) => visits >= mostly * most);
  const [first = null] = usual.sort((a, b) => a.place - b.place || compareText(a.text, b.text));
  return first;
}

function openIn(sums: VisitSums, habits: Habits): OpenCalls {
  const { found, sortOf } = localSpansIn(sums, habits);
  const sets: OpenCall[][] = [];
  const ofSort = new Map<number, number>();
  for (const local of found) {
    const tried = triedOf(local);
    if (tried === null) continue;
    const { own, span, habit, lastCall } = local;
    const { callee, place } = tried;
    const last = lastCall === null ? undefined : own.calls.get(lastCall);
    const isLast = last === undefined || last.place <= place;
    const set = mapEntry(ofSort, local.sort, () => sets.push([]) - 1);
    sets[set]?.push({ caller: own.service, callee, span, place, isLast, isAlsoStep: habit.isAlsoStep });
  }
  // those of one place stay in the order of names
  for (const set of sets) set.sort((a, b) => a.place - b.place);
  return { sets, ofVisit: sortOf.map((sort) => ofSort.get(sort) ?? -1) };
}
