import { semanticsOf } from "./semantics.ts";
import { redactedError, type SpanError } from "./span-error.ts";
import type { Trace, TraceSpan } from "./trace.ts";

/** What a failed span says of its failure, as reports may show it: without secrets, unless the trace is to be shown as sent. */
export function shownErrorOf({ redacts }: Pick<Trace, "redacts">, span: TraceSpan): SpanError | null {
  const error = semanticsOf(span.table).errorOf(span.row);
  return error !== null && redacts ? redactedError(error) : error;
}
