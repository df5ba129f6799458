import { mapEntry } from "../base/map-entry.ts";
import { textOf } from "../model/attributes.ts";
import { doctorRule, toldSkewNanos } from "../model/scoring.ts";
import { exceptionEvent, samplingPolicyKeys } from "../model/semconv.ts";
import { unknownService } from "../model/service-identity.ts";
import { Span } from "../model/span.ts";
import { SpanKind, type SpanTable, StatusCode } from "../model/span-table.ts";
import { parentIsRemote, parentIsRemoteKnown } from "../trace/assemble.ts";
import { callsOf } from "../trace/extract-calls.ts";
import { compareContent } from "../trace/same-id.ts";
import { semanticsOf } from "../trace/semantics.ts";
import { parentOf, type RowRef, spanIdOf, type Trace, type TraceSpan } from "../trace/trace.ts";
import { conventionsOf } from "./doctor-conventions.ts";
import { type DoctorSums, pairKey, type ServiceSums, templateKey } from "./doctor-sums.ts";

/** The upper words of nanoseconds at the start of 2000 and of 2100. */
const plausibleFrom = Math.floor(946_684_800e9 / 2 ** 32);
const plausibleTo = Math.floor(4_102_444_800e9 / 2 ** 32);

/** Counts what is wrong with one trace; `rows` are those that it was put together from. */
export function examineTrace(sums: DoctorSums, trace: Trace, rows: readonly RowRef[]): void {
  sums.traces += 1;
  sums.spans += trace.spans.length;
  for (const span of trace.spans) {
    const service = sums.services.get(span.service);
    service.spans += 1;
    const seen = { trace, span, service };
    examineIdentity(seen);
    examineTimes(seen);
    examineClock(seen);
    examineParent(seen);
    examineKind(seen);
    examineContent(seen);
    examineName(seen);
  }
  examineSameIds(sums, trace, rows);
  examineRoots(sums, trace);
  examineCalls(sums, trace);
  examineSampling(sums, trace);
}

interface Seen {
  readonly trace: Trace;
  readonly span: TraceSpan;
  readonly service: ServiceSums;
}

function examineIdentity({ trace: { traceId }, span, service }: Seen): void {
  const { name, version, instance, host } = semanticsOf(span.table).identityOf(span.row);
  if (name.startsWith(unknownService)) service.note("missing_service_name", traceId, span);
  if (version === "") service.note("missing_version", traceId, span);
  if (instance === "") service.note("missing_instance", traceId, span);
  if (host === "") service.note("missing_host", traceId, span);
}

function examineTimes({ trace: { traceId }, span, service }: Seen): void {
  const { startTime, endTime } = span.table;
  const word = span.row * 2;
  const [startHigh = 0, startLow = 0] = startTime.subarray(word, word + 2);
  const [endHigh = 0, endLow = 0] = endTime.subarray(word, word + 2);
  if (startHigh === 0 && startLow === 0) {
    service.note("missing_start", traceId, span);
    return;
  }
  if (startHigh < plausibleFrom || startHigh > plausibleTo) service.note("implausible_time", traceId, span);
  if (endHigh === 0 && endLow === 0) service.note("unfinished_span", traceId, span);
  else if (endHigh < startHigh || (endHigh === startHigh && endLow < startLow))
    service.note("negative_duration", traceId, span);
}

function examineParent({ trace: { traceId }, span, service }: Seen): void {
  const { parentSpanId, flags } = span.table;
  const word = span.row * 2;
  if (((parentSpanId[word] as number) | (parentSpanId[word + 1] as number)) === 0) return;
  service.children += 1;
  if (!span.isOrphan) {
    // assembly takes the parent from a span only where following parents would never end
    if (span.parent < 0) service.note("parent_loop", traceId, span);
    return;
  }
  const told = flags[span.row] as number;
  if ((told & parentIsRemoteKnown) === 0) service.note("lost_parent", traceId, span);
  else if ((told & parentIsRemote) === 0) service.note("lost_local_parent", traceId, span);
  else service.note("lost_remote_parent", traceId, span);
}

function examineKind({ trace: { traceId, spans }, span, service }: Seen): void {
  const kind = sentKind(span);
  const isTold = kind !== SpanKind.Unspecified && kind <= SpanKind.Consumer;
  const isRequest = kind === SpanKind.Server || kind === SpanKind.Consumer;
  const namesPeer = semanticsOf(span.table).peerOf(span.row) !== null;
  if (kind === SpanKind.Internal) {
    service.note("only_internal", traceId, span);
    if (namesPeer) service.internalCalls += 1;
  }
  const parent = parentOf(spans, span);
  const isEntry = parent !== undefined && parent.service !== span.service;
  if (isEntry) {
    service.entries += 1;
    if (isTold && !isRequest) service.note("wrong_entry_kind", traceId, span);
  }
  if (parent === undefined && isRequest && !span.isOrphan) service.rootRequests += 1;
  // work within a process needs no kind
  if (!isEntry && !namesPeer && span.children.every((child) => spans[child]?.service === span.service))
    return;
  service.boundarySpans += 1;
  if (!isTold) service.note("unspecified_kind", traceId, span);
}

function sentKind({ table, row }: RowRef): number {
  return table.kind[row] as number;
}

function examineContent({ trace: { traceId }, span, service }: Seen): void {
  const { table, row } = span;
  const { oldNames, openTracingNames, doubledNames, hasNewNames, templates } = conventionsOf(table).of(row);
  if (oldNames.length > 0 || doubledNames.length > 0 || hasNewNames) service.conventionSpans += 1;
  if (oldNames.length > 0) service.note("old_names", traceId, span);
  countEach(service.oldNames, oldNames);
  if (openTracingNames.length > 0) service.note("opentracing_names", traceId, span);
  countEach(service.openTracingNames, openTracingNames);
  if (doubledNames.length > 0) service.note("both_generations", traceId, span);
  if (templates.some(({ isCertain }) => isCertain)) service.note("unbounded_attributes", traceId, span);
  for (const { template, isCertain, text } of templates) {
    const sums = service.attributeTemplates.get(templateKey(template, isCertain));
    sums.count += 1;
    sums.names.add(text);
    sums.places.add(traceId, span);
  }
  if (span.failed) {
    service.failures += 1;
    if (table.statusCode[row] === StatusCode.Unset) service.note("missing_status", traceId, span);
  }
  if (hasException(span)) service.note("exception_events", traceId, span);
  if (table.strings.illFormedCount > 0 && nameOf(span).includes("\ufffd"))
    service.note("ill_formed_text", traceId, span);
  examineDropped({ traceId, span, service });
}

function countEach(counts: Map<string, number>, names: readonly string[]): void {
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
}

function hasException({ table, row }: RowRef): boolean {
  const { events, strings, eventStart, eventEnd } = table;
  for (let i = eventStart[row] as number; i < (eventEnd[row] as number); i += 1)
    if (strings.get(events.name[i] as number) === exceptionEvent) return true;
  return false;
}

function examineDropped({
  traceId,
  span,
  service,
}: Pick<Seen, "span" | "service"> & { readonly traceId: Trace["traceId"] }): void {
  const { table, row } = span;
  const spanDropped = table.dropped.get(row);
  const fromResource = table.resources.droppedAttributes[table.resource[row] as number] ?? 0;
  const attributes = (spanDropped?.attributes ?? 0) + fromResource + droppedWithin(table, row);
  const { events = 0, links = 0 } = spanDropped ?? {};
  if (attributes + events + links === 0) return;
  service.note("dropped_data", traceId, span);
  service.dropped.attributes += attributes;
  service.dropped.events += events;
  service.dropped.links += links;
}

/** Attributes left out of the events and links of a row. */
function droppedWithin(table: SpanTable, row: number): number {
  let count = 0;
  for (let i = table.eventStart[row] as number; i < (table.eventEnd[row] as number); i += 1)
    count += table.events.droppedAttributes[i] as number;
  for (let i = table.linkStart[row] as number; i < (table.linkEnd[row] as number); i += 1)
    count += table.links.droppedAttributes[i] as number;
  return count;
}

/** By the name as sent: the operation has its ids cut out already. */
function examineName({ trace: { traceId }, span, service }: Seen): void {
  const name = nameOf(span);
  service.names.add(name);
  service.note("many_names", traceId, span);
  const found = conventionsOf(span.table).templateOfName(span.row);
  if (found === null) return;
  if (found.isCertain) service.note("unbounded_names", traceId, span);
  const sums = service.nameTemplates.get(templateKey(found.template, found.isCertain));
  sums.count += 1;
  sums.names.add(name);
  sums.places.add(traceId, span);
}

function nameOf({ table, row }: RowRef): string {
  return table.strings.get(table.name[row] as number);
}

/** Records that share a span id: sent again, sent in several versions, or of different spans. */
function examineSameIds(sums: DoctorSums, trace: Trace, rows: readonly RowRef[]): void {
  const { traceId, spans, naming, problems } = trace;
  const isShared = problems.some(({ kind }) => kind === "shared_span_id");
  if ((rows.length === spans.length && !isShared) || problems.some(({ kind }) => kind === "truncated_trace"))
    return;
  const keptById = groupBy(spans, spanIdOf);
  for (const kept of keptById.values())
    if (isShared && kept.length > 1 && !isCallPair(kept))
      for (const span of kept) sums.services.get(span.service).note("shared_span_id", traceId, span);
  // Zipkin's clients report a span in parts, of which one alone has its times
  const whole = rows.filter(hasTimes);
  const sent = groupBy(whole, (row) => spanIdOf(row));
  for (const [id, records] of sent) {
    const kept = keptById.get(id) ?? [];
    if (records.length === kept.length) continue;
    const byService = groupBy(records, ({ table, row }) => semanticsOf(table).serviceOf(row, naming));
    for (const [name, versions] of byService) {
      const own = kept.filter(({ service }) => service === name);
      const first = own[0];
      if (first === undefined || versions.length <= own.length) continue;
      const flaw = distinctCount(versions) > own.length ? "conflicting_span" : "repeated_span";
      sums.services.get(name).note(flaw, traceId, first);
    }
  }
}

function hasTimes({ table: { startTime, endTime }, row }: RowRef): boolean {
  const word = row * 2;
  return [startTime[word], startTime[word + 1], endTime[word], endTime[word + 1]].some((part) => part !== 0);
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): ReadonlyMap<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) mapEntry(groups, keyOf(item), () => []).push(item);
  return groups;
}

/** The caller's and the callee's half of one call may share an id. */
function isCallPair(spans: readonly TraceSpan[]): boolean {
  const kinds = spans.map(({ kind }) => kind);
  const isAsked = kinds.includes(SpanKind.Client) || kinds.includes(SpanKind.Producer);
  const isAnswered = kinds.includes(SpanKind.Server) || kinds.includes(SpanKind.Consumer);
  return spans.length === 2 && isAsked && isAnswered;
}

function distinctCount(records: readonly RowRef[]): number {
  const sorted = records.toSorted(compareContent);
  return sorted.filter((record, i) => i === 0 || compareContent(sorted[i - 1] as RowRef, record) !== 0)
    .length;
}

function examineRoots(sums: DoctorSums, trace: Trace): void {
  const { traceId, episode, spans, roots } = trace;
  const first = spans[roots[0] ?? -1];
  if (first === undefined) return;
  const service = sums.services.get(first.service);
  service.rootTraces += 1;
  const begins = roots.filter((index) => spans[index]?.isOrphan === false);
  if (begins.length > 1 || episode !== null) service.note("several_roots", traceId, first);
  if (spans.length > doctorRule.hugeTraceSpans) service.note("huge_trace", traceId, first);
  const root = spans[begins[0] ?? -1];
  if (root === undefined || roots.length > 1 || root.isUnfinished || spans.some(({ failed }) => failed))
    return;
  const operation = sums.rootOperations.get(`${root.service}\u0000${root.operation}`);
  operation.traces += 1;
  operation.leastNanos = Math.min(operation.leastNanos, root.end - root.start);
  operation.places.add(traceId, root);
}

function examineClock({ trace: { traceId }, span, service }: Seen): void {
  const clock = service.clocks.get(span.host === "" ? span.service : span.host);
  clock.spans += 1;
  if (Math.abs(span.clockShift) >= toldSkewNanos.doctor) clock.addShifted(traceId, span, span.clockShift);
}

function examineCalls(sums: DoctorSums, trace: Trace): void {
  const { spans, traceId } = trace;
  const siblings = new SiblingServices(trace);
  for (const { caller, callee, calleeKind, kind, client, server } of callsOf(trace).calls) {
    if (kind === "inferred") {
      const sent = server === null && client !== null ? spans[client.span] : undefined;
      const mayBeService = calleeKind === "service" || calleeKind === "external";
      // a call that failed may never have arrived
      if (sent === undefined || sent.failed || !mayBeService || siblings.have(sent, callee)) continue;
      const { unanswered } = sums.pairs.get(pairKey(caller, callee));
      unanswered.count += 1;
      unanswered.places.add(traceId, sent);
      continue;
    }
    sums.pairs.get(pairKey(caller, callee)).answered += 1;
    const service = sums.services.get(caller);
    service.callsToServices += 1;
    const entry = spans[server?.span ?? -1];
    const parent = spans[entry?.parent ?? -1];
    if (client !== null || parent === undefined || sentKind(parent) === SpanKind.Unspecified) continue;
    service.note("missing_client_span", traceId, parent);
    service.calledWithoutClient.get(callee);
  }
}

/**
 * Which services run beside a span. Who puts the context of the outer span into a request makes caller and callee siblings:
 *
 *   resolve      |===========|     client
 *     resolve     |=========|      client
 *     flagd         |=====|        server, and the answer to the call above it
 */
class SiblingServices {
  readonly #trace: Trace;
  /** by parent */
  readonly #services = new Map<number, ReadonlySet<string>>();

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  have({ parent }: TraceSpan, service: string): boolean {
    let services = this.#services.get(parent);
    if (services === undefined) {
      const { spans } = this.#trace;
      services = new Set(spans[parent]?.children.map((child) => spans[child]?.service ?? ""));
      this.#services.set(parent, services);
    }
    return services.has(service);
  }
}

function examineSampling(sums: DoctorSums, trace: Trace): void {
  const { traceId, spans, roots, weight } = trace;
  const first = spans[roots[0] ?? -1];
  if (first === undefined) return;
  if (spans.some(({ failed }) => failed)) sums.all.note("only_failed_traces", traceId, first);
  const policy = samplingPolicyOf(first);
  if (policy !== "") {
    sums.all.note("tail_sampled", traceId, first);
    sums.samplingPolicies.get(policy);
  }
  if (weight !== 1) {
    sums.all.note("sampled", traceId, first);
    sums.weightMax = Math.max(sums.weightMax, weight);
  }
  const weights = new Set<number>();
  for (const { table, row } of spans)
    if (table.traceState[row] !== 0) weights.add(semanticsOf(table).weightOf(row));
  if (weights.size > 1) sums.all.note("mixed_sampling", traceId, first);
}

/** "" = none is told. */
function samplingPolicyOf({ table, row }: RowRef): string {
  const { scopeAttributes, attributes } = new Span(table, row);
  for (const place of [scopeAttributes, attributes])
    for (const key of samplingPolicyKeys) {
      const policy = textOf(place.get(key));
      if (policy !== "") return policy;
    }
  return "";
}
