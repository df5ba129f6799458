import type { Trace, TraceSpan } from "./trace.ts";
import { waitedUntil } from "./waiting.ts";

/**
 * How long spans worked themselves: their duration without the time in which they waited for children, in nanoseconds.
 * Asked for and answered by span index. Children count as far as they lie within the span; where they overlap, once.
 *
 *   span   [==================]        self: 1 + 2
 *     a      [=====]
 *     b         [======]
 *           1          2
 */
export function selfTimes(trace: Trace, wanted: ReadonlySet<number>): ReadonlyMap<number, number> {
  const self = new Map<number, number>();
  for (const index of wanted) self.set(index, selfTimeOf(trace, trace.spans[index] as TraceSpan));
  return self;
}

/** The same for one span. */
export function selfTimeOf(trace: Trace, span: TraceSpan): number {
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
