import { Span } from "../model/span.ts";
import type { RowRef, Trace } from "../trace/trace.ts";

/** Whether two assemblies show the same spans with the same content: what is only sent again makes no new version. */
export function sameTrace(before: Trace, after: Trace): boolean {
  if (before.spans.length !== after.spans.length) return false;
  if (JSON.stringify(before.problems) !== JSON.stringify(after.problems)) return false;
  return before.spans.every((span, i) => sameSpan(span, after.spans[i] as RowRef));
}

function sameSpan(a: RowRef, b: RowRef): boolean {
  if (a.table === b.table && a.row === b.row) return true;
  return contentOf(a) === contentOf(b);
}

/** All that a span says, as one text; attributes in order of their keys. */
function contentOf({ table, row }: RowRef): string {
  const span = new Span(table, row);
  const { startTime, endTime, kind, statusCode, statusMessage, name, flags, traceState, dropped } = span;
  return writeValue([
    [span.traceId, span.spanId, span.parentSpanId, name, kind, statusCode, statusMessage, flags, traceState],
    [startTime, endTime, span.attributes, span.resourceAttributes, span.scopeName, { ...dropped }],
    span.events,
    span.links,
  ]);
}

function writeValue(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === "bigint") return `${part}n`;
    if (part instanceof Map) return [...part].sort(([a], [b]) => (a < b ? -1 : 1));
    if (part instanceof Uint8Array) return Array.from(part);
    return part;
  });
}
