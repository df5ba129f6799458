import { compareText } from "../base/compare-text.ts";
import { mapEntry } from "../base/map-entry.ts";
import { lateEndShare } from "../model/scoring.ts";
import type { SpanNode } from "./span-node.ts";
import { type ClockOffset, type ClockRange, type ClockRanges, parentOf, type TraceSpan } from "./trace.ts";
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
): { readonly offsets: readonly ClockOffset[]; readonly ranges: ClockRanges } {
  const pairs = new ClockPairs();
  if (!order.some((child) => liesOutside(parentOf(spans, child), child)))
    return { offsets: [], ranges: pairs };
  for (const child of order) {
    const parent = parentOf(spans, child);
    if (parent !== undefined && isComparable(parent, child)) pairs.toAdd(parent, child).add(parent, child);
  }
  return { offsets: pairs.settle() ? applyOffsets(order, spans, pairs) : [], ranges: pairs };
}

function liesOutside(parent: SpanNode | undefined, child: SpanNode): boolean {
  if (parent === undefined || liesWithin(parent, child)) return false;
  return isComparable(parent, child);
}

/**
 * A callee that starts after its caller and ends a little behind it needs no other clock: many servers end their span when
 * all of the answer has left, and the caller has it before.
 */
function liesWithin(parent: SpanNode, child: SpanNode): boolean {
  if (child.start < parent.start) return false;
  return child.end - parent.end <= (child.end - child.start) * lateEndShare;
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

/** Tells a host from a service of the same name. */
function clockKey({ host, service }: TraceSpan): string {
  return host === "" ? `\uffff${service}` : host;
}

/** 1 if the child's clock is the second of the pair, else -1. */
function directionOf(parent: TraceSpan, child: TraceSpan): 1 | -1 {
  return clockKey(parent) < clockKey(child) ? 1 : -1;
}

/** The pairs of clocks of one trace, each found from both sides. */
class ClockPairs implements ClockRanges {
  /** the smaller key -> the larger one */
  readonly #pairs = new Map<string, Map<string, ClockPair>>();

  find(a: TraceSpan, b: TraceSpan): ClockPair | undefined {
    const [x, y] = [clockKey(a), clockKey(b)];
    return x < y ? this.#pairs.get(x)?.get(y) : this.#pairs.get(y)?.get(x);
  }

  toAdd(a: SpanNode, b: SpanNode): ClockPair {
    const known = this.find(a, b);
    if (known !== undefined) return known;
    const [x, y] = [clockKey(a), clockKey(b)];
    const [smaller, larger] = x < y ? [x, y] : [y, x];
    const pair = new ClockPair();
    const ofSmaller = this.#pairs.get(smaller);
    if (ofSmaller === undefined) this.#pairs.set(smaller, new Map([[larger, pair]]));
    else ofSmaller.set(larger, pair);
    return pair;
  }

  /** What to add to times of the callee so that they fit those of the caller. */
  offsetBetween(caller: TraceSpan, callee: TraceSpan): number {
    const [x, y] = [clockKey(caller), clockKey(callee)];
    if (x < y) return this.#pairs.get(x)?.get(y)?.offset ?? 0;
    return -(this.#pairs.get(y)?.get(x)?.offset ?? 0);
  }

  between(caller: TraceSpan, callee: TraceSpan): ClockRange | null {
    const pair = this.find(caller, callee);
    if (pair === undefined || pair.offset === 0) return null;
    const { low, high } = pair;
    return directionOf(caller, callee) === 1 ? { low, high } : { low: -high, high: -low };
  }

  /** Works out all offsets; false if no clock has to move. */
  settle(): boolean {
    let isMoved = false;
    for (const ofSmaller of this.#pairs.values())
      for (const pair of ofSmaller.values()) {
        pair.settle();
        if (pair.offset !== 0) isMoved = true;
      }
    return isMoved;
  }
}

/** What calls say about how far the second clock of a pair is behind the first. */
class ClockPair {
  /** what to add to times of the second clock, in whole nanoseconds */
  offset = 0;
  /** offsets with which all callees start after and end before their callers */
  low = Number.NEGATIVE_INFINITY;
  high = Number.POSITIVE_INFINITY;
  /** for each call, the least that has to be done */
  readonly #needed: number[] = [];
  /** for each call that can lie within its caller, the offset that puts it in the middle */
  readonly #middles: number[] = [];

  add(parent: SpanNode, child: SpanNode): void {
    const direction = directionOf(parent, child);
    const low = parent.start - child.start;
    // who gave up does not know when the callee ended, and what is longer than its caller can only start after it
    const isLateEnd = child.end > parent.end && liesWithin(parent, child);
    const isOpen =
      child.isUnfinished ||
      isLateEnd ||
      child.end - child.start > parent.end - parent.start ||
      gaveUp(parent);
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

  settle(): void {
    const needed = median(this.#needed);
    if (needed === 0) return;
    const wanted = this.#middles.length > 0 ? median(this.#middles) : needed;
    const isConsistent = this.low <= this.high;
    this.offset = Math.round(isConsistent ? Math.min(Math.max(wanted, this.low), this.high) : wanted);
  }

  #restrict(low: number, high: number): void {
    this.low = Math.max(this.low, low);
    this.high = Math.min(this.high, high);
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
  pairs: ClockPairs,
): readonly ClockOffset[] {
  const found = new Map<string, Map<string, Set<number>>>();
  for (const child of order) {
    const parent = parentOf(spans, child);
    if (parent === undefined) continue;
    const shift = shiftOf(parent, child, pairs);
    if (shift === 0) continue;
    child.clockShift = shift;
    child.start += shift;
    child.end += shift;
    const ofClock = mapEntry(found, clockOf(child), () => new Map<string, Set<number>>());
    mapEntry(ofClock, child.service, () => new Set<number>()).add(shift);
  }
  const offsets: ClockOffset[] = [];
  for (const [clock, services] of found)
    for (const [service, shifts] of services)
      for (const shiftNanos of shifts) offsets.push({ clock, service, shiftNanos });
  return offsets.sort(
    (a, b) =>
      compareText(a.clock, b.clock) ||
      compareText(a.service, b.service) ||
      compareText(String(a.shiftNanos), String(b.shiftNanos)),
  );
}

function shiftOf(parent: SpanNode, child: SpanNode, pairs: ClockPairs): number {
  if (!haveDifferentClocks(parent, child)) return parent.clockShift;
  if (isAsynchronous(parent, child)) return 0;
  return parent.clockShift + pairs.offsetBetween(parent, child);
}
