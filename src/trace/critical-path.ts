import { calleeNameOf } from "./peers.ts";
import type { Trace, TraceSpan } from "./trace.ts";
import { waitedUntil, wasCutOff } from "./waiting.ts";

/** A part of a root's time, and the span that it was spent in; nanoseconds since `Trace.startTime`. */
export interface PathSection {
  /** index in `Trace.spans` */
  readonly span: number;
  readonly start: number;
  readonly end: number;
  /** other work that was waited for ran beside it: from one trace nobody can tell which of the two took the time */
  readonly isContested: boolean;
}

/**
 * What the root had to wait for, earliest first: sections that cover its interval without gap or overlap. Walked backwards
 * from the end: the child that ended last, from its start on the one that ended there or ran at that time, and so on, and
 * the same within each of them. While a child runs that was waited for, the time is not the parent's own.
 *
 *   root   [1112222222233333344]      1, 4: root   2: a   3: b
 *     a       [========]              counts until b starts; b is contested, because a ran beside it
 *     b               [======]
 *
 * A call that ran into its deadline is followed into the callee up to the deadline. The pause between a failed attempt and
 * the next one is charged to the failed attempt.
 */
export function criticalPath(trace: Trace, root: number): readonly PathSection[] {
  const top = trace.spans[root] as TraceSpan;
  const path: PathSection[] = [];
  const frames: Frame[] = [frameOf(trace, top, { start: top.start, end: top.end }, nothingSpecial)];
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    const next = frame.next();
    if (next === null) {
      addSection(path, frame.span, frame.start, frame.cursor, frame.isContested);
      frames.pop();
      continue;
    }
    const start = Math.max(next.child.start, frame.start);
    const end = Math.min(next.end, frame.cursor);
    const isContested = frame.isContested || next.isContested;
    addSection(path, frame.ownerOfPause(trace, next), end, frame.cursor, frame.isContested);
    frame.moveTo(start, next.child);
    if (next.child.children.length === 0) addSection(path, next.child, start, end, isContested);
    else {
      const isCutOff = wasCutOff(frame.span, next.child, frame.isCutOff);
      frames.push(frameOf(trace, next.child, { start, end }, { isContested, isCutOff }));
    }
  }
  return path.reverse();
}

/**
 * The path without the time in which somebody only kept a connection open: what remains is that of the requests within it.
 * All of it where nothing remains.
 */
export function pathOfRequests({ spans }: Trace, path: readonly PathSection[]): readonly PathSection[] {
  const remaining = path.filter(({ span }) => spans[span]?.isOpenEnded === false);
  return remaining.length > 0 ? remaining : path;
}

/** Of all sections together, nanoseconds. */
export function pathNanosOf(path: readonly PathSection[]): number {
  return path.reduce((sum, { start, end }) => sum + (end - start), 0);
}

function addSection(
  path: PathSection[],
  span: TraceSpan,
  start: number,
  end: number,
  isContested: boolean,
): void {
  if (end > start) path.push({ span: span.index, start, end, isContested });
}

interface Interval {
  readonly start: number;
  readonly end: number;
}

interface Waited {
  readonly child: TraceSpan;
  /** until when the parent waited for it */
  readonly end: number;
  isContested: boolean;
}

interface Standing {
  readonly isContested: boolean;
  /** its caller gave up on it */
  readonly isCutOff: boolean;
}

const nothingSpecial: Standing = { isContested: false, isCutOff: false };

function frameOf(trace: Trace, span: TraceSpan, { start, end }: Interval, standing: Standing): Frame {
  const waited: Waited[] = [];
  for (const index of span.children) {
    const child = trace.spans[index] as TraceSpan;
    const until = Math.min(waitedUntil(span, child, standing.isCutOff), end);
    if (until > start && until > child.start) waited.push({ child, end: until, isContested: false });
  }
  if (waited.length > 1)
    waited.sort((a, b) => a.end - b.end || a.child.start - b.child.start || a.child.index - b.child.index);
  return new Frame(span, { start, end }, waited, standing);
}

/** One span on the way back from its end to its start. */
class Frame {
  readonly span: TraceSpan;
  readonly start: number;
  readonly isContested: boolean;
  readonly isCutOff: boolean;
  /** what lies after it is on the path already */
  cursor: number;
  /** children not yet passed, the one that ends last at the end */
  readonly #waited: Waited[];
  /** children that end after the cursor and were not on the path: they may still run at it; null = there were none */
  #beside: Waited[] | null = null;
  #successor: TraceSpan | null = null;

  constructor(span: TraceSpan, { start, end }: Interval, waited: Waited[], standing: Standing) {
    this.span = span;
    this.start = start;
    this.cursor = end;
    this.isContested = standing.isContested;
    this.isCutOff = standing.isCutOff;
    this.#waited = waited;
  }

  /** The child to go into: one that ends at the cursor, else one that runs at it, else the last one before it. */
  next(): Waited | null {
    if (this.cursor <= this.start) return null;
    for (
      let last = this.#waited.at(-1);
      last !== undefined && last.end > this.cursor;
      last = this.#waited.at(-1)
    ) {
      this.#beside ??= [];
      this.#beside.push(last);
      this.#waited.pop();
    }
    this.#dropLater();
    const last = this.#waited.at(-1);
    if (last !== undefined && (last.end === this.cursor || !this.#hasBeside)) {
      this.#waited.pop();
      return this.#marked(last);
    }
    const running = this.#beside?.pop();
    if (running === undefined) return null;
    this.#dropLater();
    return this.#marked(running);
  }

  moveTo(cursor: number, successor: TraceSpan): void {
    this.cursor = cursor;
    this.#successor = successor;
  }

  /** The time between two children is the parent's, unless the first failed and the second is the next attempt. */
  ownerOfPause(trace: Trace, { child, end }: Waited): TraceSpan {
    const later = this.#successor;
    const isRetry =
      end < this.cursor &&
      child.failed &&
      later !== null &&
      later.operation === child.operation &&
      later.service === child.service &&
      calleeNameOf(trace, later) === calleeNameOf(trace, child);
    return isRetry ? child : this.span;
  }

  /** Contested if another child ran during some of its time. */
  #marked(waited: Waited): Waited {
    const rival = this.#waited.at(-1);
    waited.isContested = this.#hasBeside || (rival !== undefined && rival.end > waited.child.start);
    return waited;
  }

  /** Forgets children that start at or after the cursor: it only moves back. */
  #dropLater(): void {
    const beside = this.#beside;
    if (beside === null) return;
    for (
      let last = beside.at(-1);
      last !== undefined && last.child.start >= this.cursor;
      last = beside.at(-1)
    )
      beside.pop();
  }

  get #hasBeside(): boolean {
    return this.#beside !== null && this.#beside.length > 0;
  }
}
