import type { SpanNode } from "./span-node.ts";
import type { ClockOffset } from "./trace.ts";
import { areCallHalves, gaveUp, haveDifferentClocks, isAsynchronous } from "./waiting.ts";

/**
 * Moves spans whose clock disagrees with their caller's: one offset for each pair of clocks, the median over all calls
 * between them, so that callees lie within their callers. Where most of them do already, nothing moves. Messages are left
 * out: a consumer may start at any time. Clocks without calls between them are taken to agree. Shifts add up along the
 * tree; `start`, `end` and `clockShift` are changed.
 *
 *   caller   [==============]                  caller   [==============]
 *   callee [======]            becomes         callee       [======]
 */
export function correctClocks(
  order: readonly SpanNode[],
  spans: readonly SpanNode[],
): readonly ClockOffset[] {
  let isNeeded = false;
  for (const child of order) {
    const parent = spans[child.parent];
    if (parent === undefined || (child.start >= parent.start && child.end <= parent.end)) continue;
    if (isComparable(parent, child)) isNeeded = true;
  }
  if (!isNeeded) return [];
  const pairs = new Map<string, ClockPair>();
  for (const child of order) {
    const parent = spans[child.parent];
    if (parent === undefined || !isComparable(parent, child)) continue;
    const key = pairKey(parent, child);
    let pair = pairs.get(key);
    if (pair === undefined) {
      pair = new ClockPair();
      pairs.set(key, pair);
    }
    pair.add(parent, child);
  }
  return applyOffsets(order, spans, pairs);
}

function isComparable(parent: SpanNode, child: SpanNode): boolean {
  return (
    areCallHalves(parent, child) &&
    haveDifferentClocks(parent, child) &&
    !isAsynchronous(parent, child) &&
    parent.hasStart &&
    child.hasStart &&
    !parent.isUnfinished
  );
}

function clockOf({ host, service }: SpanNode): string {
  return host === "" ? service : host;
}

/** One key for both directions. */
function pairKey(a: SpanNode, b: SpanNode): string {
  const [x, y] = [clockKey(a), clockKey(b)];
  return x < y ? `${x}\u0000${y}` : `${y}\u0000${x}`;
}

function clockKey({ host, service }: SpanNode): string {
  return host === "" ? `service ${service}` : `host ${host}`;
}

/** 1 if the child's clock is the second of the pair, else -1. */
function directionOf(parent: SpanNode, child: SpanNode): 1 | -1 {
  return clockKey(parent) < clockKey(child) ? 1 : -1;
}

/** What calls say about how far the second clock of a pair is behind the first. */
class ClockPair {
  /** offsets with which all callees start after and end before their callers */
  #low = Number.NEGATIVE_INFINITY;
  #high = Number.POSITIVE_INFINITY;
  /** for each call, the least that has to be done */
  readonly #needed: number[] = [];
  /** for each call that can lie within its caller, the offset that puts it in the middle */
  readonly #middles: number[] = [];

  add(parent: SpanNode, child: SpanNode): void {
    const direction = directionOf(parent, child);
    const low = parent.start - child.start;
    // who gave up does not know when the callee ended, and what is longer than its caller can only start after it
    const isOpen =
      child.isUnfinished || child.end - child.start > parent.end - parent.start || gaveUp(parent);
    const high = isOpen ? Number.POSITIVE_INFINITY : parent.end - child.end;
    if (direction === 1) this.#restrict(low, high);
    else this.#restrict(-high, -low);
    if (isOpen) this.#needed.push(low > 0 ? direction * low : 0);
    else {
      const middle = (direction * (low + high)) / 2;
      this.#needed.push(low <= 0 && high >= 0 ? 0 : middle);
      this.#middles.push(middle);
    }
  }

  /** What to add to times of the second clock, in whole nanoseconds. */
  offset(): number {
    const needed = median(this.#needed);
    if (needed === 0) return 0;
    const wanted = this.#middles.length > 0 ? median(this.#middles) : needed;
    const isConsistent = this.#low <= this.#high;
    return Math.round(isConsistent ? Math.min(Math.max(wanted, this.#low), this.#high) : wanted);
  }

  #restrict(low: number, high: number): void {
    this.#low = Math.max(this.#low, low);
    this.#high = Math.min(this.#high, high);
  }
}

/** The middle value; of two, the smaller correction. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? 0;
  const lower = sorted[(sorted.length - 1) >> 1] ?? 0;
  return Math.abs(lower) <= Math.abs(upper) ? lower : upper;
}

function applyOffsets(
  order: readonly SpanNode[],
  spans: readonly SpanNode[],
  pairs: ReadonlyMap<string, ClockPair>,
): readonly ClockOffset[] {
  const offsetOf = new Map<string, number>();
  for (const [key, pair] of pairs) offsetOf.set(key, pair.offset());
  const found = new Map<string, ClockOffset>();
  for (const child of order) {
    const parent = spans[child.parent];
    if (parent === undefined) continue;
    const shift = shiftOf(parent, child, offsetOf);
    if (shift === 0) continue;
    child.clockShift = shift;
    child.start += shift;
    child.end += shift;
    const { service } = child;
    const clock = clockOf(child);
    found.set(`${clock}\u0000${service}\u0000${shift}`, { clock, service, shiftNanos: shift });
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, offset]) => offset);
}

function shiftOf(parent: SpanNode, child: SpanNode, offsetOf: ReadonlyMap<string, number>): number {
  if (!haveDifferentClocks(parent, child)) return parent.clockShift;
  if (isAsynchronous(parent, child)) return 0;
  const offset = offsetOf.get(pairKey(parent, child)) ?? 0;
  return parent.clockShift + directionOf(parent, child) * offset;
}
