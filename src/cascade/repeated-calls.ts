import { PairInterner } from "../base/pair-interner.ts";
import { almostAlways } from "../model/scoring.ts";
import type { VisitSums } from "./visit-rollup.ts";
import { stepText } from "./visits.ts";

/**
 * By visit of each window, 1 = it made a call again that visits of its operation nearly always make once: the answer was bad
 * or late, whether a status says so or not. `before` is a healthy time.
 */
export function repeatedCalls(
  before: VisitSums,
  after: VisitSums,
): { readonly before: Uint8Array; readonly after: Uint8Array } {
  const [was, is] = [usesOf(before), usesOf(after)];
  const madeOnce = new Set<string>();
  for (const { text, visits, repeats } of was.uses)
    if (visits - repeats.length >= almostAlways * visits) madeOnce.add(text);
  const marked = ({ uses, rows }: WindowUses): Uint8Array => {
    const marks = new Uint8Array(rows);
    for (const { text, repeats } of uses) if (madeOnce.has(text)) for (const row of repeats) marks[row] = 1;
    return marks;
  };
  return { before: marked(was), after: marked(is) };
}

interface WindowUses {
  readonly uses: readonly Use[];
  /** visits of the window */
  readonly rows: number;
}

/** A call that visits of one operation make. */
interface Use {
  readonly text: string;
  /** that make it */
  visits: number;
  lastVisit: number;
  /** visits that make it again, each once */
  readonly repeats: number[];
}

function usesOf({ visits, calls, callNames, operations }: VisitSums): WindowUses {
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
      uses.push({ text, visits: 0, lastVisit: -1, repeats: [] });
    }
    const use = uses[number] as Use;
    // calls of one visit stand together
    if (use.lastVisit !== visit) use.visits += 1;
    else if (use.repeats.at(-1) !== visit) use.repeats.push(visit);
    use.lastVisit = visit;
  }
  return { uses, rows: visits.parent.length };
}
