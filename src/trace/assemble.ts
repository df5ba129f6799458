import { compareText } from "../base/compare-text.ts";
import { sortFew } from "../base/sort-few.ts";
import { spanIdHash, type TraceId, traceIdFromWords } from "../model/ids.ts";
import { traceSpansMax } from "../model/limits.ts";
import { exactWeight } from "../model/red.ts";
import type { NodeNaming } from "../model/service-directory.ts";
import { SpanKind, SpanTable } from "../model/span-table.ts";
import { nanosFromWords } from "../model/time.ts";
import { correctClocks } from "./clock-skew.ts";
import { limitRows } from "./limit-rows.ts";
import { mergeReports } from "./merge-reports.ts";
import { compareContent, resolveSameId } from "./same-id.ts";
import { semanticsOf } from "./semantics.ts";
import { SpanNode, type TimeWords } from "./span-node.ts";
import { type ClockOffset, type Episode, parentOf, type RowRef, type Trace } from "./trace.ts";
import { TraceProblems } from "./trace-problems.ts";
import { areCallHalves } from "./waiting.ts";

export interface AssemblyOptions {
  /** which one of the requests with this trace id the rows are of; default: the only one */
  readonly episode?: Episode | null;
  /** spans that are analysed; default `traceSpansMax` */
  readonly spansMax?: number;
  /** whether what programs say of their failures is read without secrets; default true */
  readonly redacts?: boolean;
}

/**
 * Puts the spans of one trace together. Repeats, lost parents, cycles, several roots, clocks that disagree and times that
 * cannot be are normal: they are made the best of and listed in `problems`. The same set of spans gives the same trace,
 * whatever their order, how often they were sent and which tables hold them. Where ids may have been used again,
 * `assembleEpisodes` comes first.
 */
export function assembleTrace(
  sent: readonly RowRef[],
  naming: NodeNaming,
  { episode = null, spansMax = traceSpansMax, redacts = true }: AssemblyOptions = {},
): Trace {
  const problems = new TraceProblems();
  if (episode !== null) problems.add("reused_trace_id", null);
  const { rows, omitted } = limitRows(sent, spansMax);
  if (omitted > 0) problems.add("truncated_trace", null, omitted);
  const base = earliestTime(rows);
  const nodes: SpanNode[] = [];
  for (const { table, row } of rows) nodes.push(new SpanNode(table, row, naming, base));
  sortFew(nodes, compareNodes);
  const all = new SpanIdIndex(nodes);
  let merged: SpanTable | null = null;
  const merge = (reports: readonly SpanNode[]): SpanNode => {
    merged ??= new SpanTable(8);
    return new SpanNode(merged, mergeReports(reports, merged), naming, base);
  };
  const spans = withoutRepeats(nodes, all, { merge, problems });
  const byId = spans === nodes ? all : new SpanIdIndex(spans);
  let isTopDown = true;
  for (const span of spans) {
    span.parent = findParent(span, byId, problems);
    if (span.parent > span.index) isTopDown = false;
  }
  if (!isTopDown) cutCycles(spans, problems);
  const order = isTopDown ? spans : topDownOrder(spans);
  placeUntimed(order, spans, problems);
  const { offsets: clockOffsets, ranges: clockRanges } = correctClocks(order, spans);
  linkChildren(spans);
  shareOpenEnds(spans);
  const roots = rootsOf(spans);
  noteFlaws(spans, roots, clockOffsets, problems);
  return {
    traceId: traceIdOf(rows[0]),
    episode,
    naming,
    redacts,
    startTime: nanosFromWords(base.high, base.low),
    spans,
    omittedSpans: omitted,
    roots,
    weight: weightOf(spans, problems),
    clockOffsets,
    clockRanges,
    problems: problems.list(),
  };
}

/** The earliest start that was sent, else the earliest end, else 0. */
function earliestTime(rows: readonly RowRef[]): TimeWords {
  let high = 0;
  let low = 0;
  for (const { table, row } of rows) {
    const h = table.startTime[row * 2] as number;
    const l = table.startTime[row * 2 + 1] as number;
    if (h === 0 && l === 0) continue;
    if ((high === 0 && low === 0) || h < high || (h === high && l < low)) {
      high = h;
      low = l;
    }
  }
  if (high !== 0 || low !== 0) return { high, low };
  for (const { table, row } of rows) {
    const h = table.endTime[row * 2] as number;
    const l = table.endTime[row * 2 + 1] as number;
    if (h === 0 && l === 0) continue;
    if ((high === 0 && low === 0) || h < high || (h === high && l < low)) {
      high = h;
      low = l;
    }
  }
  return { high, low };
}

/** By start (spans without one last), span id, service, kind, then by everything else that was sent. */
function compareNodes(a: SpanNode, b: SpanNode): number {
  if (a.start !== b.start && a.hasStart && b.hasStart) return a.start - b.start;
  if (a.hasStart !== b.hasStart) return a.hasStart ? -1 : 1;
  return (
    (a.idHigh >>> 0) - (b.idHigh >>> 0) ||
    (a.idLow >>> 0) - (b.idLow >>> 0) ||
    compareText(a.service, b.service) ||
    a.kind - b.kind ||
    compareContent(a, b)
  );
}

interface Resolving {
  /** Makes one span of several reports of it. */
  readonly merge: (reports: readonly SpanNode[]) => SpanNode;
  readonly problems: TraceProblems;
}

/** The spans that remain when repeats are taken out, in order and numbered; `nodes` itself if nothing had to go. */
function withoutRepeats(nodes: SpanNode[], byId: SpanIdIndex, resolving: Resolving): SpanNode[] {
  let spans = nodes;
  if (byId.hasRepeats) {
    spans = [];
    for (const node of nodes)
      if (byId.first(node.idHigh, node.idLow) === node)
        for (const span of keptOf(node, resolving)) spans.push(span);
    sortFew(spans, compareNodes);
  }
  for (let i = 0; i < spans.length; i += 1) (spans[i] as SpanNode).index = i;
  return spans;
}

function keptOf(first: SpanNode, { merge, problems }: Resolving): readonly SpanNode[] {
  if (first.nextOfId === null) return [first];
  const records: SpanNode[] = [];
  for (let node: SpanNode | null = first; node !== null; node = node.nextOfId) records.push(node);
  const { kept, conflicts, collisions } = resolveSameId(records, merge);
  if (conflicts > 0) problems.add("conflicting_duplicate", first, conflicts);
  if (collisions > 0) problems.add("shared_span_id", first, collisions);
  return kept;
}

/** Slots of the index of a small trace: making them anew for each would cost more than filling them. */
const smallSlots = [16, 32, 64, 128, 256].map((capacity) => new Int32Array(capacity));

/** All free. Only the index that was made last may use them. */
function slotsFor(spanCount: number): Int32Array {
  for (const slots of smallSlots) if (slots.length >= spanCount * 2) return slots.fill(0);
  let capacity = 512;
  while (capacity < spanCount * 2) capacity *= 2;
  return new Int32Array(capacity);
}

/** Spans by id: open addressing; spans of one id are chained in trace order. */
class SpanIdIndex {
  hasRepeats = false;
  readonly #spans: readonly SpanNode[];
  /** position + 1, 0 = free; at most half full */
  readonly #slots: Int32Array;

  constructor(spans: readonly SpanNode[]) {
    this.#spans = spans;
    this.#slots = slotsFor(spans.length);
    for (let i = spans.length - 1; i >= 0; i -= 1) {
      const span = spans[i] as SpanNode;
      const slot = this.#slotOf(span.idHigh, span.idLow);
      const next = this.#slots[slot] as number;
      span.nextOfId = next === 0 ? null : (spans[next - 1] as SpanNode);
      if (next !== 0) this.hasRepeats = true;
      this.#slots[slot] = i + 1;
    }
  }

  first(high: number, low: number): SpanNode | null {
    const entry = this.#slots[this.#slotOf(high, low)] as number;
    return entry === 0 ? null : (this.#spans[entry - 1] as SpanNode);
  }

  #slotOf(high: number, low: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = spanIdHash(high, low) & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot] as number;
      if (entry === 0) return slot;
      const span = this.#spans[entry - 1] as SpanNode;
      if (span.idLow === low && span.idHigh === high) return slot;
    }
  }
}

function findParent(span: SpanNode, byId: SpanIdIndex, problems: TraceProblems): number {
  const caller = callerHalf(span, byId);
  if (caller !== null) return caller.index;
  if (span.parentHigh === 0 && span.parentLow === 0) return -1;
  if (span.parentHigh === span.idHigh && span.parentLow === span.idLow) {
    problems.add("self_parent", span);
    return -1;
  }
  const first = byId.first(span.parentHigh, span.parentLow);
  if (first !== null) return first.nextOfId === null ? first.index : nearestHalf(span, first).index;
  span.isOrphan = true;
  return -1;
}

/** For a server (consumer) span that shares its id with a client (producer) span: that one, else null. */
function callerHalf(span: SpanNode, byId: SpanIdIndex): SpanNode | null {
  if (span.kind !== SpanKind.Server && span.kind !== SpanKind.Consumer) return null;
  const callerKind = span.kind === SpanKind.Server ? SpanKind.Client : SpanKind.Producer;
  let half = byId.first(span.idHigh, span.idLow);
  while (half !== null && half.kind !== callerKind) half = half.nextOfId;
  return half;
}

/** Of several spans with the parent's id: one of the child's own service, else a server's, else the first; near in place and time. */
function nearestHalf(child: SpanNode, first: SpanNode): SpanNode {
  let best = first;
  let bestScore = -1;
  for (let half: SpanNode | null = first; half !== null; half = half.nextOfId) {
    const isRequest = half.kind === SpanKind.Server || half.kind === SpanKind.Consumer;
    const score =
      (half.service === child.service ? 8 : 0) +
      (isRequest ? 4 : 0) +
      (half.host === child.host ? 2 : 0) +
      (half.start <= child.start ? 1 : 0);
    if (score >= bestScore) {
      best = half;
      bestScore = score;
    }
  }
  return best;
}

/** Takes the parent from the earliest span of each cycle of parents. */
function cutCycles(spans: readonly SpanNode[], problems: TraceProblems): void {
  const walkOf = new Int32Array(spans.length);
  for (const from of spans) {
    const walk = from.index + 1;
    let at = from.index;
    while (at >= 0 && walkOf[at] === 0) {
      walkOf[at] = walk;
      at = (spans[at] as SpanNode).parent;
    }
    if (at < 0 || walkOf[at] !== walk) continue;
    let earliest = at;
    for (let next = (spans[at] as SpanNode).parent; next !== at; next = (spans[next] as SpanNode).parent)
      earliest = Math.min(earliest, next);
    const span = spans[earliest] as SpanNode;
    span.parent = -1;
    problems.add("parent_cycle", span);
  }
}

/** All spans, parents before children. */
function topDownOrder(spans: readonly SpanNode[]): readonly SpanNode[] {
  const childCount = new Int32Array(spans.length);
  for (const { parent } of spans) if (parent >= 0) childCount[parent] = (childCount[parent] as number) + 1;
  const bottomUp = spans.filter((_, index) => childCount[index] === 0);
  for (let i = 0; i < bottomUp.length; i += 1) {
    const { parent } = bottomUp[i] as SpanNode;
    if (parent < 0) continue;
    const open = (childCount[parent] as number) - 1;
    childCount[parent] = open;
    if (open === 0) bottomUp.push(spans[parent] as SpanNode);
  }
  return bottomUp.reverse();
}

/** Spans without a start stand where their end, else their parent's start is. An end before the start is moved to it. */
function placeUntimed(order: readonly SpanNode[], spans: readonly SpanNode[], problems: TraceProblems): void {
  for (const span of order) {
    if (!span.hasStart) {
      problems.add("missing_time", span);
      if (!span.hasEnd) span.end = parentOf(spans, span)?.start ?? 0;
      span.start = span.end;
    } else if (!span.hasEnd) problems.add("unfinished_span", span);
    else if (span.end < span.start) {
      problems.add("negative_duration", span);
      span.end = span.start;
    }
  }
}

/** A column for a small trace, as `smallSlots`. */
const smallToCome = new Int32Array(64);

function linkChildren(spans: readonly SpanNode[]): void {
  let isSorted = true;
  const toCome = spans.length <= smallToCome.length ? smallToCome.fill(0) : new Int32Array(spans.length);
  for (let i = 0; i < spans.length; i += 1) {
    const { start, parent } = spans[i] as SpanNode;
    if (i > 0 && start < (spans[i - 1] as SpanNode).start) isSorted = false;
    if (parent >= 0) toCome[parent] = (toCome[parent] as number) + 1;
  }
  for (let i = 0; i < spans.length; i += 1) {
    const { parent } = spans[i] as SpanNode;
    if (parent < 0) continue;
    (spans[parent] as SpanNode).addChild(i, toCome[parent] as number);
    toCome[parent] = (toCome[parent] as number) - 1;
  }
  if (isSorted) return;
  const compare = (a: number, b: number): number =>
    (spans[a] as SpanNode).start - (spans[b] as SpanNode).start || a - b;
  for (const { children } of spans) sortFew(children, compare);
}

/** A connection stays open for both halves of its call, whichever says so. */
function shareOpenEnds(spans: readonly SpanNode[]): void {
  for (const span of spans) {
    const parent = parentOf(spans, span);
    if (parent === undefined || span.isOpenEnded === parent.isOpenEnded || !areCallHalves(parent, span))
      continue;
    span.isOpenEnded = true;
    parent.isOpenEnded = true;
  }
}

function rootsOf(spans: readonly SpanNode[]): readonly number[] {
  const roots: number[] = [];
  for (const { parent, index } of spans) if (parent < 0) roots.push(index);
  if (roots.length === 1) return roots;
  return roots.sort((a, b) => (spans[a] as SpanNode).start - (spans[b] as SpanNode).start || a - b);
}

/** Flags bits 8 and 9: the parent is known to be in another process, or in the same one. */
export const parentIsRemoteKnown = 0x100;
export const parentIsRemote = 0x200;

function noteFlaws(
  spans: readonly SpanNode[],
  roots: readonly number[],
  clockOffsets: readonly ClockOffset[],
  problems: TraceProblems,
): void {
  let rootCount = 0;
  for (const index of roots) {
    const span = spans[index] as SpanNode;
    if (!span.isOrphan) rootCount += 1;
    else {
      const flags = span.table.flags[span.row] as number;
      if ((flags & parentIsRemoteKnown) === 0) problems.add("missing_parent", span);
      else if ((flags & parentIsRemote) === 0) problems.add("missing_local_parent", span);
      else problems.add("missing_remote_parent", span);
    }
  }
  if (rootCount > 1) problems.add("several_roots", spans[roots[0] as number] as SpanNode, rootCount);
  problems.addClockOffsets(clockOffsets);
  for (const span of spans) {
    const { table, row, service, operation } = span;
    const startHigh = table.startTime[row * 2] as number;
    if (span.hasStart && (startHigh < year2000High || startHigh > year2100High))
      problems.add("implausible_time", span);
    if (table.dropped.size > 0 && table.dropped.has(row)) problems.add("dropped_data", span);
    if (semanticsOf(table).repeatsAttribute(row)) problems.add("duplicate_attribute", span);
    if (table.strings.illFormedCount > 0 && operation.includes("\ufffd"))
      problems.add("ill_formed_utf8", span);
    if (service.startsWith("unknown_service")) problems.add("missing_service_name", span);
    if (semanticsOf(table).isSummary(row)) problems.add("summary_span", span);
  }
}

/** Upper words of Unix nanoseconds. */
const year2000High = 220_417_359;
const year2100High = 955_175_168;

/** The weight that the first span with a sampling threshold tells. */
function weightOf(spans: readonly SpanNode[], problems: TraceProblems): number {
  for (const { table, row } of spans) {
    if (table.traceState[row] === 0) continue;
    const weight = exactWeight(semanticsOf(table).weightOf(row));
    if (weight === 1) continue;
    problems.add("sampled", null);
    return weight;
  }
  return 1;
}

function traceIdOf(ref: RowRef | undefined): TraceId {
  if (ref === undefined) return traceIdFromWords(0, 0, 0, 0);
  const { traceId } = ref.table;
  const at = ref.row * 4;
  return traceIdFromWords(
    traceId[at] as number,
    traceId[at + 1] as number,
    traceId[at + 2] as number,
    traceId[at + 3] as number,
  );
}
