import type { FindingId } from "../advice/doctor-texts.ts";
import { formatCount, formatDuration } from "../advice/format-duration.ts";
import { compareText } from "../base/compare-text.ts";
import { doctorRule, onlyFailedRule, onlySlowRule } from "../model/scoring.ts";
import { successorsOf } from "./doctor-conventions.ts";
import {
  type ClockSums,
  type DoctorSums,
  Places,
  relatedMax,
  type ServiceSums,
  type SmallestKeys,
  splitTemplateKey,
  type Tallies,
  type TemplateSums,
} from "./doctor-sums.ts";

/** One thing that is wrong with a service, before it is told in words. */
export interface Finding {
  readonly id: FindingId;
  readonly service: string | null;
  readonly count: number;
  readonly of: number;
  readonly details: readonly string[];
  readonly places: Places;
}

/** A span may count twice where its versions conflict. */
export function shareOf({ count, of }: Pick<Finding, "count" | "of">): number {
  return of === 0 ? 1 : Math.min(1, count / of);
}

/** Findings that are a plain count of one thing, and of how many. */
const plainFindings: readonly (readonly [FindingId, of: (service: ServiceSums) => number])[] = [
  ["missing_service_name", ({ spans }) => spans],
  ["missing_version", ({ spans }) => spans],
  ["missing_instance", ({ spans }) => spans],
  ["missing_host", ({ spans }) => spans],
  ["lost_local_parent", ({ children }) => children],
  ["lost_remote_parent", ({ children }) => children],
  ["lost_parent", ({ children }) => children],
  ["parent_loop", ({ children }) => children],
  ["several_roots", ({ rootTraces }) => rootTraces],
  ["unspecified_kind", ({ boundarySpans }) => boundarySpans],
  ["implausible_time", ({ spans }) => spans],
  ["missing_start", ({ spans }) => spans],
  ["unfinished_span", ({ spans }) => spans],
  ["negative_duration", ({ spans }) => spans],
  ["missing_status", ({ failures }) => failures],
  ["both_generations", ({ conventionSpans }) => conventionSpans],
  ["repeated_span", ({ spans }) => spans],
  ["conflicting_span", ({ spans }) => spans],
  ["shared_span_id", ({ spans }) => spans],
  ["huge_trace", ({ rootTraces }) => rootTraces],
  ["exception_events", ({ spans }) => spans],
  ["ill_formed_text", ({ spans }) => spans],
];

export function findingsOf(name: string, service: ServiceSums): readonly Finding[] {
  const found: Finding[] = plainFindings.map(([id, of]) => counted(name, service, id, of(service)));
  found.push(
    clockFinding(name, service),
    counted(name, service, "old_names", service.conventionSpans, renamedDetails(service.oldNames)),
    counted(name, service, "opentracing_names", service.spans, renamedDetails(service.openTracingNames)),
    counted(name, service, "dropped_data", service.spans, droppedDetails(service)),
    counted(
      name,
      service,
      "missing_client_span",
      service.callsToServices,
      service.calledWithoutClient.entries().map(([callee]) => callee),
    ),
    ...kindFindings(name, service),
    ...nameFindings(name, service),
  );
  return found.filter(({ count }) => count > 0);
}

function counted(
  service: string | null,
  tallies: Tallies,
  id: FindingId,
  of: number,
  details: readonly string[] = [],
): Finding {
  const { count, places } = tallies.of(id);
  return { id, service, count, of, details, places };
}

/** Who has no kind but INTERNAL needs to be told so once. */
function kindFindings(name: string, service: ServiceSums): readonly Finding[] {
  const { spans, internalCalls, entries, callsToServices } = service;
  const internal = counted(name, service, "only_internal", spans);
  const isWrong = internal.count === spans && internalCalls + entries + callsToServices > 0;
  return [isWrong ? internal : counted(name, service, "wrong_entry_kind", entries)];
}

/** The largest differences first: `n1: -340 ms` = it was behind its callers by that much. */
function clockFinding(name: string, { clocks, spans }: ServiceSums): Finding {
  const skewed = clocks
    .entries()
    .filter(([, clock]) => clock.count > 0 && clock.count >= clock.spans * doctorRule.skewedShareMin)
    .map(([host, clock]) => ({ host, clock, shift: largestShift(clock) }))
    .sort((a, b) => Math.abs(b.shift) - Math.abs(a.shift) || compareText(a.host, b.host));
  const places = new Places();
  for (const { clock } of skewed) places.addAll(clock.places);
  return {
    id: "clock_skew",
    service: name,
    count: skewed.reduce((sum, { clock }) => sum + clock.count, 0),
    of: spans,
    details: skewed
      .slice(0, relatedMax)
      .map(({ host, shift }) => `${host}: ${shift > 0 ? "-" : "+"}${formatDuration(Math.abs(shift))}`),
    places,
  };
}

function largestShift({ least, most }: ClockSums): number {
  return Math.abs(least) > Math.abs(most) ? least : most;
}

/** The most frequent first: `http.method -> http.request.method`; without the arrow where nothing has taken its place. */
function renamedDetails(counts: ReadonlyMap<string, number>): readonly string[] {
  return [...counts]
    .sort(([a, n], [b, m]) => m - n || compareText(a, b))
    .slice(0, relatedMax)
    .map(([name]) => {
      const [successor] = successorsOf(name);
      return successor === undefined ? name : `${name} -> ${successor}`;
    });
}

function droppedDetails({ dropped }: ServiceSums): readonly string[] {
  const { attributes, events, links } = dropped;
  return [
    ["attributes", attributes] as const,
    ["events", events] as const,
    ["links", links] as const,
  ].flatMap(([what, count]) => (count > 0 ? [`${formatCount(count)} ${what}`] : []));
}

function nameFindings(name: string, service: ServiceSums): readonly Finding[] {
  const unbounded = templateFinding(name, service, {
    id: "unbounded_names",
    templates: service.nameTemplates,
    namesMin: doctorRule.numberedNamesMin,
  });
  const attributes = templateFinding(name, service, {
    id: "unbounded_attributes",
    templates: service.attributeTemplates,
    namesMin: doctorRule.numberedAttributesMin,
  });
  const distinct = service.names.count;
  const isMany =
    distinct >= doctorRule.manyNamesMin && distinct >= service.spans * doctorRule.manyNamesShareMin;
  if (unbounded.count > 0 || !isMany) return [unbounded, attributes];
  return [attributes, counted(name, service, "many_names", service.spans, [formatCount(distinct)])];
}

/** What is certain was counted span by span; what looks like a number counts from so many different ones on. */
function templateFinding(
  name: string,
  service: ServiceSums,
  {
    id,
    templates,
    namesMin,
  }: {
    readonly id: FindingId;
    readonly templates: SmallestKeys<TemplateSums>;
    readonly namesMin: number;
  },
): Finding {
  const found = templates
    .entries()
    .map(([key, sums]) => ({ ...splitTemplateKey(key), sums, names: sums.names.count }))
    .filter(({ isCertain, names }) => isCertain || names >= namesMin)
    .sort((a, b) => b.names - a.names || compareText(a.template, b.template));
  const numbered = found.filter(({ isCertain }) => !isCertain);
  const certain = service.of(id);
  const places = new Places();
  for (const tally of [certain, ...numbered.map(({ sums }) => sums)]) places.addAll(tally.places);
  const count = numbered.reduce((sum, { sums }) => sum + sums.count, certain.count);
  return {
    id,
    service: name,
    // a span may carry several attributes of these
    count: Math.min(service.spans, count),
    of: service.spans,
    details: found
      .slice(0, relatedMax)
      .map(({ template, names }) => `${template.slice(0, templateLengthMax)} (${formatCount(names)})`),
    places,
  };
}

const templateLengthMax = 60;

/** Calls to services that send spans, without one for the call: either they lose the context, or they do not record the request. */
export function arrivalFindings(
  { pairs }: DoctorSums,
  services: ReadonlyMap<string, ServiceSums>,
): readonly Finding[] {
  const byCallee = new Map<string, { caller: string; answered: number; count: number; places: Places }[]>();
  for (const [key, { answered, unanswered }] of pairs.entries()) {
    const [caller = "", callee = ""] = key.split("\u0000");
    if (!services.has(callee)) continue;
    const { count, places } = unanswered;
    byCallee.set(callee, [...(byCallee.get(callee) ?? []), { caller, answered, count, places }]);
  }
  return [...byCallee].flatMap(([callee, callers]) => {
    const begins = (services.get(callee)?.rootRequests ?? 0) > 0;
    const isBroken = ({ answered, count }: { answered: number; count: number }) =>
      begins && answered === 0 && count > 0;
    const of = callers.reduce((sum, { answered, count }) => sum + answered + count, 0);
    const broken = callers.filter(isBroken);
    const others = callers.filter((each) => !isBroken(each) && each.count > 0);
    return [
      ...(broken.length > 0 ? [arrivalFinding("broken_context", callee, broken, of)] : []),
      ...(others.length > 0 ? [arrivalFinding("missing_server_span", callee, others, of)] : []),
    ];
  });
}

function arrivalFinding(
  id: FindingId,
  service: string,
  callers: readonly { readonly caller: string; readonly count: number; readonly places: Places }[],
  of: number,
): Finding {
  const places = new Places();
  for (const caller of callers) places.addAll(caller.places);
  const count = callers.reduce((sum, each) => sum + each.count, 0);
  return {
    id,
    service,
    count,
    of,
    details: callers.slice(0, relatedMax).map(({ caller }) => caller),
    places,
  };
}

export function findingsOfAll(sums: DoctorSums): readonly Finding[] {
  const { all, traces } = sums;
  const failed = counted(null, all, "only_failed_traces", traces);
  const isOnlyFailed = traces >= onlyFailedRule.tracesMin && shareOf(failed) >= onlyFailedRule.shareMin;
  return [
    counted(null, all, "sampled", traces, [formatCount(sums.weightMax)]),
    counted(null, all, "mixed_sampling", traces),
    counted(
      null,
      all,
      "tail_sampled",
      traces,
      [...sums.samplingPolicies.entries()].map(([policy]) => policy),
    ),
    ...(isOnlyFailed ? [failed] : []),
    ...slowTracesFinding(sums),
  ].filter(({ count }) => count > 0);
}

function slowTracesFinding({ rootOperations, traces }: DoctorSums): readonly Finding[] {
  const compared = rootOperations
    .entries()
    .filter(([, operation]) => operation.traces >= onlySlowRule.tracesMin);
  const least = compared.map(([, { leastNanos }]) => leastNanos);
  const [from, to] = [Math.min(...least), Math.max(...least)];
  if (
    compared.length < onlySlowRule.operationsMin ||
    from < onlySlowRule.nanosMin ||
    to > from * onlySlowRule.spreadMax
  )
    return [];
  const places = new Places();
  for (const [, operation] of compared) places.addAll(operation.places);
  const count = compared.reduce((sum, [, operation]) => sum + operation.traces, 0);
  return [
    { id: "only_slow_traces", service: null, count, of: traces, details: [formatDuration(from)], places },
  ];
}
