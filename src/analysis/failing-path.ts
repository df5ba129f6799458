import { errorWords } from "../advice/evidence-texts.ts";
import { shownPath } from "../model/scoring.ts";
import { NANOS_PER_MS } from "../model/time.ts";
import type { PathSection } from "../trace/critical-path.ts";
import type { FailureOrigin } from "../trace/error-origin.ts";
import { shownErrorOf } from "../trace/shown-error.ts";
import { durationOf, spanIdOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import type { FailingPathJson, HiddenGroupJson } from "./report.ts";

/**
 * The spans that a person must see, in tree order: from the root down to where each failure began, or, where nothing
 * failed (or slowness is the more likely cause), to where the time went. Of several attempts of a call the last one stands for all.
 */
export function failingPath(
  trace: Trace,
  origins: readonly FailureOrigin[],
  time: { readonly path: readonly PathSection[]; readonly slowSpan: number | null },
): readonly FailingPathJson[] {
  const ends =
    time.slowSpan !== null
      ? new Set([time.slowSpan])
      : origins.length > 0
        ? originSpans(origins)
        : slowestSpan(time.path);
  const isReporter = new Uint8Array(trace.spans.length);
  for (const origin of origins) {
    isReporter[origin.failure] = 1;
    for (let step = origin.lastStep; step !== null; step = step.previous) isReporter[step.from] = 1;
  }
  const shown = new Set<number>();
  for (const end of ends)
    for (let at = end; at >= 0 && !shown.has(at); at = (trace.spans[at] as TraceSpan).parent) shown.add(at);
  const rows = [...inTreeOrder(trace, shown)];
  const cut = rows.length - shownPath.atTop - shownPath.atEnd;
  if (cut > 0) rows.splice(shownPath.atTop, cut);
  return rows.map(({ span, depth, hidden }) => ({
    span_id: spanIdOf(span),
    depth,
    service: span.service,
    operation: span.operation,
    start_ms: span.start / NANOS_PER_MS,
    duration_ms: durationOf(span) / NANOS_PER_MS,
    failed: span.failed,
    role: ends.has(span.index) ? "origin" : span.failed || isReporter[span.index] === 1 ? "reporter" : "none",
    error: span.failed ? errorTextOf(trace, span) : null,
    hidden_siblings: hidden.length,
    ...groupsOf(trace, hidden),
  }));
}

/** Failures that a user saw come first, then those that somebody hid; the largest share first. */
export function byVisibility(origins: readonly FailureOrigin[]): readonly FailureOrigin[] {
  const order = { visible: 0, masked: 1, retried: 2 };
  return origins.toSorted(
    (a, b) => order[a.visibility] - order[b.visibility] || b.share - a.share || a.span - b.span,
  );
}

/** Where failures began, the most visible first; the spans above show who gave up or passed them on. */
function originSpans(origins: readonly FailureOrigin[]): ReadonlySet<number> {
  return new Set(
    byVisibility(origins)
      .slice(0, shownPath.origins)
      .map(({ span }) => span),
  );
}

function slowestSpan(path: readonly PathSection[]): ReadonlySet<number> {
  const nanos = new Map<number, number>();
  for (const { span, start, end } of path) nanos.set(span, (nanos.get(span) ?? 0) + end - start);
  let slowest = -1;
  for (const [span, spent] of nanos) if (slowest < 0 || spent > (nanos.get(slowest) ?? 0)) slowest = span;
  return new Set(slowest < 0 ? [] : [slowest]);
}

interface ShownSpan {
  readonly span: TraceSpan;
  readonly depth: number;
  /** spans beside this one and its shown siblings; told at the first of them */
  readonly hidden: readonly number[];
}

function groupsOf(trace: Trace, hidden: readonly number[]): Pick<FailingPathJson, "hidden_groups"> {
  if (hidden.length < 2) return {};
  const groups = new Map<string, Map<string, HiddenGroup>>();
  for (const index of hidden) {
    const span = trace.spans[index] as TraceSpan;
    const group = groupOf(groups, span);
    const ms = durationOf(span) / NANOS_PER_MS;
    group.spans += 1;
    group.failed += span.failed ? 1 : 0;
    group.total_ms += ms;
    group.max_ms = Math.max(group.max_ms, ms);
  }
  const alike = [...groups.values()].flatMap((byOperation) =>
    [...byOperation.values()].filter(({ spans }) => spans > 1),
  );
  alike.sort((a, b) => b.total_ms - a.total_ms || (keyOf(a) < keyOf(b) ? -1 : 1));
  return alike.length === 0 ? {} : { hidden_groups: alike.slice(0, shownPath.groups) };
}

type HiddenGroup = { -readonly [Key in keyof HiddenGroupJson]: HiddenGroupJson[Key] };

/** By service, then operation: a key for each of many spans would cost more than all else here. */
function groupOf(
  groups: Map<string, Map<string, HiddenGroup>>,
  { service, operation }: TraceSpan,
): HiddenGroup {
  let byOperation = groups.get(service);
  if (byOperation === undefined) {
    byOperation = new Map();
    groups.set(service, byOperation);
  }
  let group = byOperation.get(operation);
  if (group === undefined) {
    group = { service, operation, spans: 0, failed: 0, total_ms: 0, max_ms: 0 };
    byOperation.set(operation, group);
  }
  return group;
}

function keyOf({ service, operation }: HiddenGroup): string {
  return `${service}\u0000${operation}`;
}

function* inTreeOrder(trace: Trace, shown: ReadonlySet<number>): Iterable<ShownSpan> {
  const shownOf = (siblings: readonly number[], depth: number): ShownSpan[] => {
    const visible = siblings.filter((index) => shown.has(index));
    if (visible.length === 0) return [];
    const hidden = siblings.filter((index) => !shown.has(index));
    return visible.map((index, i) => ({
      span: trace.spans[index] as TraceSpan,
      depth,
      hidden: i === 0 ? hidden : [],
    }));
  };
  const open = shownOf(trace.roots, 0).reverse();
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    yield next;
    open.push(...shownOf(next.span.children, next.depth + 1).reverse());
  }
}

function errorTextOf(trace: Trace, span: TraceSpan): string | null {
  const error = shownErrorOf(trace, span);
  if (error === null) return null;
  const text = errorWords(error);
  return text === "" ? null : text;
}
