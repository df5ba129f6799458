import type { Trace, TraceSpan } from "./trace.ts";
import { waitedUntil } from "./waiting.ts";

/**
 * How long each span worked itself: its duration without the time in which it waited for children, in nanoseconds, by
 * span index. Children count as far as they lie within the span; where they overlap, once.
 *
 *   span   [==================]        self: 1 + 2
 *     a      [=====]
 *     b         [======]
 *           1          2
 */
export function selfTimes(trace: Trace): Float64Array {
  const self = new Float64Array(trace.spans.length);
  for (const span of trace.spans) self[span.index] = selfTimeOf(trace, span);
  return self;
}

function selfTimeOf(trace: Trace, span: TraceSpan): number {
  let waited = 0;
  let covered = span.start;
  // children come by start
  for (const index of span.children) {
    const child = trace.spans[index] as TraceSpan;
    const end = waitedUntil(span, child);
    if (end <= covered) continue;
    waited += end - Math.max(child.start, covered);
    covered = end;
  }
  return span.end - span.start - waited;
}
