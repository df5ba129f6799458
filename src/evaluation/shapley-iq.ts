import { type Ranking, rankingOf } from "./ranking.ts";
import { meanOf } from "./statistics.ts";
import { nanosOf, type TraceVisits, type Visit } from "./visits.ts";
import { type CaseFigures, operationKey, type WindowFigures } from "./window-figures.ts";

/** Two pieces of work follow each other when the pause between them is below this share of the first. */
const pauseShareMax = 0.05;

/**
 * Written from the description of ShapleyIQ (ASPLOS 2023): how much each service added to the end-to-end latency, on average
 * over the traces. What a request took beyond the mean of its operation is spread over the pieces of it in which nobody that
 * it called was at work; pieces that follow each other make one timeline; timelines share the added time by the Shapley
 * value of the game "who ends last". An operation without a baseline adds nothing; without any baseline, all its time.
 */
export function shapleyIqLike({ incident, baseline }: CaseFigures): Ranking {
  const usual = meanDurations(baseline);
  const added = new Map<string, number>();
  for (const trace of incident.traces)
    for (const [service, nanos] of contributionsOf(trace, usual))
      added.set(service, (added.get(service) ?? 0) + nanos / incident.traces.length);
  return rankingOf(added);
}

type UsualNanos = (visit: Visit) => number;

function meanDurations({ ofOperation, traces }: WindowFigures): UsualNanos {
  if (traces.length === 0) return () => 0;
  const means = new Map(
    [...ofOperation].map(([operation, visits]) => [operation, meanOf(visits.map(nanosOf))]),
  );
  return (visit) => means.get(operationKey(visit)) ?? nanosOf(visit);
}

/** A stretch in which a request worked itself, and how much of it was added. */
interface Piece {
  readonly service: string;
  readonly start: number;
  readonly end: number;
  readonly added: number;
}

interface Timeline {
  readonly pieces: Piece[];
  end: number;
  added: number;
}

function contributionsOf(trace: TraceVisits, usual: UsualNanos): readonly (readonly [string, number])[] {
  const timelines = timelinesOf(piecesOf(trace, usual));
  return shapleyShares(timelines).flatMap((share, index) => {
    const { pieces, added } = timelines[index] as Timeline;
    return added > 0
      ? pieces.map(
          (piece) => [piece.service, (share * Math.max(0, piece.added)) / positiveSum(pieces)] as const,
        )
      : [];
  });
}

function positiveSum(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { added }) => sum + Math.max(0, added), 0);
}

function piecesOf({ visits }: TraceVisits, usual: UsualNanos): readonly Piece[] {
  const callees: Visit[][] = visits.map(() => []);
  for (const visit of visits) callees[visit.caller]?.push(visit);
  return visits.flatMap((visit, index) => {
    const free = uncovered(visit, callees[index] ?? []);
    const self = free.reduce((sum, [start, end]) => sum + end - start, 0);
    const duration = nanosOf(visit);
    if (self === 0 || duration === 0) return [];
    const added = Math.min(duration, ((duration - usual(visit)) * self) / duration);
    return free.map(([start, end]) => ({
      service: visit.service,
      start,
      end,
      added: (added * (end - start)) / self,
    }));
  });
}

/** The parts of a visit in which no callee was at work, earliest first. */
function uncovered(
  visit: Visit,
  callees: readonly Visit[],
): readonly (readonly [start: number, end: number])[] {
  const free: [number, number][] = [];
  let at = visit.start;
  for (const { start, end } of callees.toSorted((a, b) => a.start - b.start)) {
    if (start > at) free.push([at, Math.min(start, visit.end)]);
    at = Math.max(at, end);
    if (at >= visit.end) break;
  }
  if (at < visit.end) free.push([at, visit.end]);
  return free;
}

/** Each piece goes on the timeline that ended last before it, if that was just before; else it begins one. */
function timelinesOf(pieces: readonly Piece[]): readonly Timeline[] {
  const timelines: Timeline[] = [];
  for (const piece of pieces.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    let before: Timeline | undefined;
    for (const timeline of timelines) {
      const last = timeline.pieces.at(-1);
      if (last === undefined || last.end > piece.start) continue;
      if (piece.start - last.end > pauseShareMax * (last.end - last.start)) continue;
      if (before === undefined || timeline.end > before.end) before = timeline;
    }
    if (before === undefined) timelines.push({ pieces: [piece], end: piece.end, added: piece.added });
    else {
      before.pieces.push(piece);
      before.end = piece.end;
      before.added += piece.added;
    }
  }
  return timelines;
}

/**
 * How much of the end each timeline is to answer for: every stretch of time after the latest end that there would have been
 * anyway belongs in equal parts to those that reach beyond it.
 *
 *   a  |======----|      - = added
 *   b  |====------|--|   the last stretch is b's, the one before is shared
 */
function shapleyShares(
  timelines: readonly { readonly end: number; readonly added: number }[],
): readonly number[] {
  const usualEnd = timelines.reduce(
    (last, { end, added }) => Math.max(last, end - added),
    Number.NEGATIVE_INFINITY,
  );
  const order = [...timelines.keys()].sort((a, b) => (timelines[b]?.end ?? 0) - (timelines[a]?.end ?? 0));
  const shares = timelines.map(() => 0);
  let share = 0;
  for (let place = order.length - 1; place >= 0; place -= 1) {
    const index = order[place] as number;
    const end = timelines[index]?.end ?? 0;
    const next = Math.max(usualEnd, timelines[order[place + 1] ?? -1]?.end ?? usualEnd);
    share += Math.max(0, end - next) / (place + 1);
    shares[index] = share;
  }
  return shares;
}
