import type { UnixNanos } from "../model/time.ts";
import type { Trace } from "../trace/trace.ts";
import type { TraceSummary } from "./ports.ts";

/** What search shows of a trace. `nameOf` turns the names of the trace's own naming into those that users see. */
export function summaryOf(trace: Trace, nameOf: (key: string) => string): TraceSummary {
  const root = trace.spans[trace.roots[0] ?? -1];
  const services = new Map<string, string>();
  let start = Number.POSITIVE_INFINITY;
  let end = 0;
  let errorCount = 0;
  for (const span of trace.spans) {
    if (!services.has(span.service)) services.set(span.service, nameOf(span.service));
    if (span.failed) errorCount += 1;
    if (span.start < start) start = span.start;
    if (span.end > end) end = span.end;
  }
  return {
    traceId: trace.traceId,
    rootService: root === undefined ? "" : nameOf(root.service),
    rootOperation: root?.operation ?? "",
    startTime: trace.startTime satisfies UnixNanos,
    durationNanos: trace.spans.length === 0 ? 0 : end - start,
    spanCount: trace.spans.length + trace.omittedSpans,
    errorCount,
    services: [...new Set(services.values())].sort(),
  };
}
