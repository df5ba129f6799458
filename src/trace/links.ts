import {
  type SpanId,
  spanIdFromWords,
  spanIdHash,
  type TraceId,
  traceIdFromWords,
  wordsOfHex,
} from "../model/ids.ts";
import type { Trace, TraceSpan } from "./trace.ts";

/** A link of a span: to a span of the same trace, or to one elsewhere (`target` null). */
export interface LinkRef {
  readonly traceId: TraceId;
  readonly spanId: SpanId;
  readonly target: TraceSpan | null;
}

const indexes = new WeakMap<Trace, SpanIndex>();

/** The links of a span, each target once; those to missing spans of its own trace and to itself are left out. */
export function linksOf(trace: Trace, span: TraceSpan): readonly LinkRef[] {
  const { links, linkStart, linkEnd } = span.table;
  const found = new Map<TraceSpan | string, LinkRef>();
  const own = wordsOfHex(trace.traceId);
  for (let i = linkStart[span.row] as number; i < (linkEnd[span.row] as number); i += 1) {
    const words = links.traceId.subarray(i * 4, i * 4 + 4);
    const [high, low] = [links.spanId[i * 2] as number, links.spanId[i * 2 + 1] as number];
    if (words.every((word) => word === 0) || (high | low) === 0) continue;
    const isOwn = words.every((word, at) => word === own[at]);
    const target = isOwn ? indexOf(trace).find(high, low) : null;
    if (isOwn && (target === null || target === span)) continue;
    const [a = 0, b = 0, c = 0, d = 0] = words;
    const traceId = isOwn ? trace.traceId : traceIdFromWords(a, b, c, d);
    const spanId = spanIdFromWords(high, low);
    found.set(target ?? traceId + spanId, { traceId, spanId, target });
  }
  return [...found.values()];
}

function indexOf(trace: Trace): SpanIndex {
  const index = indexes.get(trace) ?? new SpanIndex(trace.spans);
  indexes.set(trace, index);
  return index;
}

/** Spans by id, of several with one id the first: open addressing over the two words. */
class SpanIndex {
  readonly #spans: readonly TraceSpan[];
  /** position + 1, 0 = free; at most half full */
  readonly #slots: Int32Array;

  constructor(spans: readonly TraceSpan[]) {
    this.#spans = spans;
    let capacity = 16;
    while (capacity < spans.length * 2) capacity *= 2;
    this.#slots = new Int32Array(capacity);
    for (let i = spans.length - 1; i >= 0; i -= 1) {
      const { table, row } = spans[i] as TraceSpan;
      const slot = this.#slotOf(table.spanId[row * 2] as number, table.spanId[row * 2 + 1] as number);
      this.#slots[slot] = i + 1;
    }
  }

  find(high: number, low: number): TraceSpan | null {
    const entry = this.#slots[this.#slotOf(high, low)] as number;
    return entry === 0 ? null : (this.#spans[entry - 1] as TraceSpan);
  }

  #slotOf(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = spanIdHash(high, low) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot] as number;
      if (entry === 0) return slot;
      const { table, row } = this.#spans[entry - 1] as TraceSpan;
      if (table.spanId[row * 2 + 1] === low && table.spanId[row * 2] === high) return slot;
    }
  }
}
