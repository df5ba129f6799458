import { type SpanId, spanIdFromWords, type TraceId, traceIdFromWords } from "../model/ids.ts";
import { spanIdOf, type Trace, type TraceSpan } from "./trace.ts";

/** A link of a span: to a span of the same trace, or to one elsewhere (`target` null). */
export interface LinkRef {
  readonly traceId: TraceId;
  readonly spanId: SpanId;
  readonly target: TraceSpan | null;
}

const indexes = new WeakMap<Trace, ReadonlyMap<SpanId, TraceSpan>>();

/** The links of a span, each target once; those to missing spans of its own trace and to itself are left out. */
export function linksOf(trace: Trace, span: TraceSpan): readonly LinkRef[] {
  const { links, linkStart, linkEnd } = span.table;
  const found = new Map<string, LinkRef>();
  for (let i = linkStart[span.row] as number; i < (linkEnd[span.row] as number); i += 1) {
    const [a = 0, b = 0, c = 0, d = 0] = links.traceId.subarray(i * 4, i * 4 + 4);
    const traceId = traceIdFromWords(a, b, c, d);
    const spanId = spanIdFromWords(links.spanId[i * 2] as number, links.spanId[i * 2 + 1] as number);
    if ((a | b | c | d) === 0 || /^0+$/.test(spanId)) continue;
    const isOwn = traceId === trace.traceId;
    const target = isOwn ? (indexOf(trace).get(spanId) ?? null) : null;
    if (!isOwn || (target !== null && target !== span))
      found.set(traceId + spanId, { traceId, spanId, target });
  }
  return [...found.values()];
}

function indexOf(trace: Trace): ReadonlyMap<SpanId, TraceSpan> {
  let index = indexes.get(trace);
  if (index === undefined) {
    const spans = new Map<SpanId, TraceSpan>();
    for (const span of trace.spans) {
      const id = spanIdOf(span);
      if (!spans.has(id)) spans.set(id, span);
    }
    index = spans;
    indexes.set(trace, index);
  }
  return index;
}
