import { PairInterner } from "../base/pair-interner.ts";
import { almostAlways } from "../model/scoring.ts";
import type { VisitSums } from "./visit-rollup.ts";
import { stepText } from "./visits.ts";

/**
 * The calls of each window that were made again, where visits of that operation nearly always make them once: the answer was
 * bad or late, whether a status says so or not. Rows of `calls`; `before` is a healthy time.
 */
export function failedAttempts(
  before: VisitSums,
  after: VisitSums,
): { readonly before: readonly number[]; readonly after: readonly number[] } {
  const [was, is] = [usesOf(before), usesOf(after)];
  const madeOnce = new Set<string>();
  for (const { text, visits, repeating } of was)
    if (visits - repeating >= almostAlways * visits) madeOnce.add(text);
  const attemptsOf = (uses: readonly Use[]): readonly number[] =>
    uses.filter(({ text }) => madeOnce.has(text)).flatMap(({ attempts }) => attempts);
  return { before: attemptsOf(was), after: attemptsOf(is) };
}

/** A call that visits of one operation make. */
interface Use {
  readonly text: string;
  /** that make it, and of these the ones that make it again */
  visits: number;
  repeating: number;
  /** all but the last one of each visit */
  readonly attempts: number[];
  lastRow: number;
  lastVisit: number;
  lastRepeating: number;
}

function usesOf({ visits, calls, callNames, operations }: VisitSums): readonly Use[] {
  const pairs = new PairInterner();
  const uses: Use[] = [];
  for (let row = 0; row < calls.name.length; row += 1) {
    const name = callNames[calls.name[row] as number] as (typeof callNames)[number];
    if (name.kind !== "call") continue;
    const visit = calls.callerVisit[row] as number;
    const place = visits.operation[visit] as number;
    const number = pairs.idOf(place, calls.name[row] as number);
    if (number === uses.length) {
      const { service, operation } = operations[place] as (typeof operations)[number];
      const text = `${service}\u0000${operation}\u0000${stepText(name)}`;
      const last = { lastRow: -1, lastVisit: -1, lastRepeating: -1 };
      uses.push({ text, visits: 0, repeating: 0, attempts: [], ...last });
    }
    const use = uses[number] as Use;
    // calls of one visit stand together
    if (use.lastVisit === visit) {
      use.attempts.push(use.lastRow);
      if (use.lastRepeating !== visit) use.repeating += 1;
      use.lastRepeating = visit;
    } else use.visits += 1;
    use.lastRow = row;
    use.lastVisit = visit;
  }
  return uses;
}
