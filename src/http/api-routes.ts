import { setImmediate as nextTurn } from "node:timers/promises";
import type {
  GraphJson,
  IncidentJson,
  IncidentReport,
  Language,
  StructuralReport,
  TraceReport,
  WindowReport,
} from "../analysis/report.ts";
import type { CredentialCheck, TlsIdentity } from "../engine/access.ts";
import { type ErrorCode, OperationError } from "../engine/errors/operation-error.ts";
import type {
  Clock,
  EngineStats,
  Incident,
  IncidentEvent,
  QueryPort,
  TimeWindow,
  TraceSummary,
} from "../engine/ports.ts";
import { doctorSpansMax, doctorTracesMax } from "../model/limits.ts";
import { formatTime, NANOS_PER_MS, type UnixNanos } from "../model/time.ts";
import { resolveTime, type TimePoint } from "../model/time-point.ts";
import { tracesToJson, tracesToJsonParts } from "../otlp/json-write.ts";
import { writeJson } from "../wire/write-json.ts";
import { busiestEdges, focusGraph } from "./api-focus.ts";
import { metricsText } from "./api-metrics.ts";
import { homePage } from "./api-page.ts";
import {
  inBody,
  inBodyWithDefault,
  inHeader,
  inPath,
  optional,
  type ParameterTable,
  type ParameterValues,
  withDefault,
} from "./api-parameters.ts";
import { type JsonSchema, schemaReference } from "./api-schemas.ts";
import { openApiDocument } from "./openapi.ts";

/** What the routes answer from. */
export interface ApiSources {
  readonly query: QueryPort;
  readonly clock: Clock;
  readonly version: string;
  /** false while starting and stopping */
  readonly isReady: () => boolean;
  /** counters of engine and receivers */
  readonly stats: () => EngineStats;
  /** null or absent = nobody is asked for a token or password */
  readonly credentials?: CredentialCheck | null;
  /** of the listener, where it has one */
  readonly tls?: TlsIdentity | null;
  /** where we listen, for the page at `/` */
  readonly addresses: () => ListenAddresses;
  /** writes a report for people */
  readonly renderReport: (
    shown: ShownReport,
    form: { readonly format: Exclude<ReportFormat, "json">; readonly language: Language },
  ) => string;
}

/** A report, by what it is about. */
type ShownReport =
  | { readonly kind: "trace"; readonly report: TraceReport }
  | { readonly kind: "structural"; readonly report: StructuralReport }
  | { readonly kind: "window"; readonly report: WindowReport }
  | { readonly kind: "incident"; readonly report: IncidentReport };

type ReportFormat = (typeof reportFormats)[number];

/** The forms of reports, as commands call them. */
const reportFormats = ["json", "human", "markdown", "html", "mermaid", "dot"] as const;

const mediaTypes: Readonly<Record<ReportFormat, string>> = {
  json: "application/json",
  human: "text/plain",
  markdown: "text/markdown",
  html: "text/html",
  mermaid: "text/plain",
  dot: "text/vnd.graphviz",
};

/** `host:port` of each listener. */
export interface ListenAddresses {
  readonly grpc: string;
  readonly http: string;
  readonly api: string;
}

export interface ApiAnswer {
  readonly status?: number;
  readonly mediaType: string;
  /** whole, piece by piece, or without an end */
  readonly body: string | Iterable<string> | Stream;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer without an end: writes with `write` what comes; the answer of the function ends that. */
export type Stream = (write: (text: string) => void) => () => void;

/** One address of the API: how it is asked, what it answers, and what OpenAPI says of both. */
export interface Route {
  /** absent = GET (and so HEAD) */
  readonly method?: "GET" | "POST";
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly parameters: ParameterTable;
  readonly answer: {
    readonly description: string;
    readonly mediaType: string;
    readonly schema: JsonSchema;
    /** what it may be instead, as text, where that is asked for */
    readonly otherMediaTypes?: readonly string[];
    /** when the same answer comes with status 503 */
    readonly unavailable?: string;
  };
  /** another path that answers the same */
  readonly alias?: string;
  readonly errors: readonly ErrorCode[];
  /** answers everybody, also where others have to show who they are */
  readonly isOpen?: true;
  readonly handle: (
    values: ParameterValues<ParameterTable>,
    sources: ApiSources,
    accept: string,
  ) => Promise<ApiAnswer>;
}

const json = "application/json";
const plainText = "text/plain";
const eventStream = "text/event-stream";

const traceId = inPath({ kind: "trace_id" }, "16 or 32 hex digits, any case");
const from = optional({ kind: "time" }, "only traces that start at or after this time");
const to = optional({ kind: "time" }, "only traces that start at or before this time");
const fromMinute = optional(
  { kind: "time" },
  "only what happened in the minute of this time or later: minutes count whole",
);
const toMinute = optional({ kind: "time" }, "only what happened in the minute of this time or earlier");

const language = withDefault({ kind: "choice", values: ["en", "ko"] }, "en", "language of the sentences");

const formatType = { kind: "choice", values: reportFormats } as const;
const formatSays = "form of the report, as the commands of that name print it; html is a page of its own";
const format = withDefault(formatType, "json", formatSays);

const otherMediaTypes = [...new Set(Object.values(mediaTypes))].filter((type) => type !== json);

/** Spans that are written as one piece, in some milliseconds. */
const rowsOfPart = 5_000;

const traceRoute = route({
  path: "/api/v1/traces/{trace_id}",
  operationId: "getTrace",
  summary: "The spans of a trace as they were received",
  parameters: { trace_id: traceId },
  answer: { description: "OTLP JSON", mediaType: json, schema: schemaReference("OtlpTraces") },
  errors: ["bad_trace_id", "bad_request", "trace_not_found"],
  handle: async ({ trace_id: id }, { query }) => {
    const rows = await query.readTrace(id);
    if (rows === null) throw unknownTrace(id);
    return {
      mediaType: json,
      body: rows.length > rowsOfPart ? tracesToJsonParts(rows, rowsOfPart) : tracesToJson(rows),
    };
  },
});

const analysisRoute = route({
  path: "/api/v1/traces/{trace_id}/analysis",
  operationId: "analyzeTrace",
  summary:
    "What failed first in a trace, why, how it spread and who is hit, from all spans that have arrived until now",
  parameters: {
    trace_id: traceId,
    failed_service: optional(
      { kind: "text" },
      "the service to start at; without it, the one where the failure shows",
    ),
    episode: optional(
      { kind: "integer", min: 1, max: 1_000_000_000 },
      "where requests more than an hour apart share the trace id: which of them, counted from the first; without it, the latest that failed, else the latest",
    ),
    lang: language,
    scoring: withDefault(
      { kind: "choice", values: ["evidence", "structural"] },
      "evidence",
      "structural answers with the structural report alone",
    ),
    baseline_from: optional(
      { kind: "time" },
      "start of a healthy time to compare with, in whole minutes; without both, the minutes around the trace",
    ),
    baseline_to: optional({ kind: "time" }, "its end; without it, now"),
    format,
  },
  answer: {
    description: "the report; version and completeness also as Trace-Version and Trace-Complete headers",
    mediaType: json,
    otherMediaTypes,
    schema: { anyOf: [schemaReference("TraceReport"), schemaReference("StructuralReport")] },
  },
  errors: ["bad_trace_id", "bad_request", "trace_not_found", "service_not_found"],
  handle: async (values, sources) => {
    const { query, clock } = sources;
    const { trace_id: id, failed_service: failedService, episode, lang, scoring } = values;
    const range = { from: values.baseline_from, to: values.baseline_to };
    const baseline = windowOf(range, clock, "baseline_");
    const options = {
      language: lang,
      scoring,
      ...(failedService === null ? {} : { failedService }),
      ...(episode === null ? {} : { episode }),
      ...(baseline === null ? {} : { baseline }),
    };
    const analysis = await query.analyzeTrace(id, options);
    if (analysis === null) throw unknownTrace(id);
    const { version, complete, report } = analysis;
    const shown: ShownReport =
      "verdict" in report
        ? { kind: "trace", report: { version, complete, ...report } as TraceReport }
        : { kind: "structural", report };
    const headers = { "Trace-Version": String(version), "Trace-Complete": String(complete) };
    return { ...(await reportAnswer(shown, values, sources)), headers };
  },
});

const tracesRoute = route({
  path: "/api/v1/traces",
  operationId: "searchTraces",
  summary: "Summaries of traces, newest first",
  parameters: {
    service: optional({ kind: "text" }, "a service that takes part"),
    operation: optional({ kind: "text" }, "the operation of the root span"),
    status: optional({ kind: "choice", values: ["error", "ok"] }, "error = at least one span failed"),
    min_duration_ms: optional(
      { kind: "number", min: 0, max: 1e12 },
      "only traces that took at least this long",
    ),
    attribute: optional(
      { kind: "pairs", countMax: 8 },
      "only traces of which a span, or its resource, has an attribute of exactly this value, as in http.route=/cart; may be given several times: then one span has all of them. Numbers, true and false are compared as text, lists as in [a, b], bytes as hex digits",
    ),
    from,
    to,
    limit: withDefault({ kind: "integer", min: 1, max: 1000 }, "50", "summaries in one answer"),
    cursor: optional({ kind: "text" }, "as the answer before gave it, to go on from there"),
  },
  answer: { description: "one page", mediaType: json, schema: schemaReference("TracePage") },
  errors: ["bad_request"],
  handle: async (values, { query, clock }) => {
    const { service, operation, status, min_duration_ms: minDurationMs, attribute, limit, cursor } = values;
    const window = windowOf(values, clock);
    const page = await query.searchTraces({
      limit,
      ...(service === null ? {} : { service }),
      ...(operation === null ? {} : { operation }),
      ...(status === null ? {} : { status }),
      ...(minDurationMs === null ? {} : { minDurationNanos: Math.round(minDurationMs * NANOS_PER_MS) }),
      ...(attribute === null ? {} : { attributes: attribute }),
      ...(values.from === null || window === null ? {} : { from: window.from }),
      ...(values.to === null || window === null ? {} : { to: window.to }),
      ...(cursor === null ? {} : { cursor }),
    });
    const traces = page.summaries.map(summaryJson);
    const { total, searchedFrom, cursor: next, pending } = page;
    return jsonAnswer({
      traces,
      total,
      complete: searchedFrom === null,
      searched_from: searchedFrom === null ? null : formatTime(searchedFrom),
      truncated: next !== null,
      cursor: next,
      pending,
    });
  },
});

const servicesRoute = route({
  path: "/api/v1/services",
  operationId: "listServices",
  summary: "Requests, errors, latencies and health of every service",
  parameters: {
    from: fromMinute,
    to: toMinute,
    lang: language,
    limit: withDefault(
      { kind: "integer", min: 1, max: 10_000 },
      "1000",
      "services in one answer, the first ones by name",
    ),
  },
  answer: { description: "the services", mediaType: json, schema: schemaReference("Services") },
  errors: ["bad_request"],
  handle: async (values, { query, clock }) => {
    const { lang, limit } = values;
    const { services, total } = await query.services(windowOf(values, clock), { language: lang, limit });
    return await longAnswer({ services, total, truncated: services.length < total });
  },
});

const serviceRoute = route({
  path: "/api/v1/services/{name}",
  operationId: "getService",
  summary: "One service",
  parameters: {
    name: inPath({ kind: "text" }, "as the graph names it, URL-encoded"),
    from: fromMinute,
    to: toMinute,
    lang: language,
  },
  answer: { description: "the service", mediaType: json, schema: schemaReference("Service") },
  errors: ["bad_request", "service_not_found"],
  handle: async (values, { query, clock }) => {
    const service = await query.service(values.name, windowOf(values, clock), values.lang);
    if (service === null) throw unknownService(values.name);
    return jsonAnswer(service);
  },
});

const graphRoute = route({
  path: "/api/v1/graph",
  operationId: "getGraph",
  summary: "The service graph; an edge points from caller to callee",
  parameters: {
    from: fromMinute,
    to: toMinute,
    focus: optional({ kind: "text" }, "only this service and what is near it, up and down the calls"),
    depth: withDefault(
      { kind: "integer", min: 0, max: 100 },
      "1",
      "calls between the focus and what is still shown",
    ),
    limit: withDefault(
      { kind: "integer", min: 1, max: 100_000 },
      "5000",
      "edges in one answer, those with the most calls",
    ),
  },
  answer: { description: "nodes and edges", mediaType: json, schema: schemaReference("GraphPage") },
  errors: ["bad_request", "service_not_found"],
  handle: async (values, { query, clock }) => {
    const graph: GraphJson = await query.graph(windowOf(values, clock));
    const part = values.focus === null ? graph : focusGraph(graph, values.focus, values.depth);
    if (part === null) throw unknownService(values.focus ?? "");
    const shown = busiestEdges(part, values.limit);
    const total = part.edges.length;
    return await longAnswer({ ...shown, total, truncated: shown.edges.length < total });
  },
});

const doctorRoute = route({
  path: "/api/v1/doctor",
  operationId: "diagnoseInstrumentation",
  summary:
    "What is wrong with the instrumentation of each service, and how to mend it, from the newest traces",
  parameters: {
    from,
    to,
    lang: language,
    limit: withDefault(
      { kind: "integer", min: 1, max: doctorTracesMax },
      "1000",
      `traces that are looked at, the newest first; at most ${doctorSpansMax} spans`,
    ),
  },
  answer: { description: "scores and findings", mediaType: json, schema: schemaReference("DoctorReport") },
  errors: ["bad_request"],
  handle: async (values, { query, clock }) => {
    const { lang, limit } = values;
    return await longAnswer(
      await query.doctor(windowOf(values, clock), { language: lang, tracesMax: limit }),
    );
  },
});

const analyzeRoute = route({
  method: "POST",
  path: "/api/v1/analyze",
  operationId: "analyzeWindow",
  summary:
    "What went wrong in a window of time: causes in order, who is hit, since when; against a healthy time, named or found",
  parameters: {
    from: inBodyWithDefault(
      { kind: "time" },
      "now-10m",
      "only traces that start in the minute of this time or later; minutes count whole, and window in the answer says which were looked at",
    ),
    to: inBodyWithDefault(
      { kind: "time" },
      "now",
      "only traces that start in the minute of this time or earlier; a time at which a minute begins leaves that minute out",
    ),
    baseline_from: inBody(
      { kind: "time" },
      "start of a healthy time to compare with, in whole minutes too; without both, up to an hour before the window (its last five minutes left out where more than that remains), or where nothing is kept of it, a calm part of the window; baseline in the answer says which time that was, and reason why",
    ),
    baseline_to: inBody({ kind: "time" }, "its end; without it, the start of the window"),
    failed_service: inBody(
      { kind: "text" },
      "the service to start at; without it, the entry that suffers most",
    ),
    lang: inBodyWithDefault({ kind: "choice", values: ["en", "ko"] }, "en", "language of the sentences"),
    format: inBodyWithDefault(formatType, "json", formatSays),
  },
  answer: {
    description: "the report",
    mediaType: json,
    otherMediaTypes,
    schema: schemaReference("WindowReport"),
  },
  errors: ["bad_request", "service_not_found", "unsupported_media_type", "body_too_large"],
  handle: async (values, sources) => {
    const { query, clock } = sources;
    const { lang, failed_service: failedService } = values;
    const window = timesOf(values.from, values.to, clock);
    const { baseline_from: start, baseline_to: end } = values;
    const named =
      start === null && end === null
        ? {}
        : {
            baseline: timesOf(
              start ?? epoch,
              end ?? { kind: "absolute", time: window.from },
              clock,
              "baseline_",
            ),
          };
    const failed = failedService === null ? {} : { failedService };
    const report = await query.analyzeWindow({ window, language: lang, ...named, ...failed });
    return await reportAnswer({ kind: "window", report }, values, sources);
  },
});

const incidentsRoute = route({
  path: "/api/v1/incidents",
  operationId: "listIncidents",
  summary: "What the server noticed by itself, the newest first",
  parameters: {
    status: optional({ kind: "choice", values: ["open", "closed", "merged"] }, "only these"),
    lang: language,
  },
  answer: { description: "the incidents", mediaType: json, schema: schemaReference("Incidents") },
  errors: ["bad_request"],
  handle: async ({ status, lang }, { query }) => {
    const incidents = query.incidents().filter((each) => status === null || each.status === status);
    const { seconds, spans, lookSeconds } = query.lag();
    return jsonAnswer({
      incidents: incidents.map((incident) => incidentJson(incident, lang)),
      lag: { seconds, spans, look_seconds: lookSeconds },
    });
  },
});

const incidentRoute = route({
  path: "/api/v1/incidents/{id}",
  operationId: "getIncident",
  summary: "One incident with the last report of it: causes in order, who is hit, since when",
  parameters: {
    id: inPath({ kind: "text" }, "as the list names it; latest is the newest one"),
    lang: language,
    format,
  },
  answer: {
    description: "the incident",
    mediaType: json,
    otherMediaTypes,
    schema: schemaReference("IncidentReport"),
  },
  errors: ["bad_request", "incident_not_found"],
  handle: async (values, sources) => {
    const { id, lang } = values;
    const { query } = sources;
    const incident = id === "latest" ? query.incidents()[0] : query.incident(id);
    const report = incident?.reports.get(lang);
    if (incident === null || incident === undefined || report === undefined)
      throw new OperationError(
        "incident_not_found",
        id === "latest" ? "There is no incident" : `There is no incident ${id}`,
        "/api/v1/incidents lists those that are kept.",
      );
    const shown = { ...incidentJson(incident, lang), ...report };
    return await reportAnswer({ kind: "incident", report: shown }, values, sources);
  },
});

const eventsRoute = route({
  path: "/api/v1/events",
  operationId: "streamEvents",
  summary:
    "Server-sent events: what happens to incidents, from now on, or since the last event that a client has seen",
  parameters: {
    lang: language,
    "last-event-id": inHeader(
      { kind: "text" },
      "the id of the last event that was seen, as browsers send it when they connect again: first comes what has happened since, also while the server was down, with each incident as it is now; of several updates of one incident only the last",
    ),
  },
  answer: {
    description:
      "events opened, updated, merged and closed; the data of each is an incident as the list shows it",
    mediaType: eventStream,
    schema: { type: "string" },
  },
  errors: ["bad_request"],
  handle: async ({ lang, "last-event-id": lastId }, { query }) => {
    const seen = lastId === null ? null : numberOfEvent(lastId);
    return { mediaType: eventStream, body: (write) => tellEvents(query, { lang, seen, write }) };
  },
});

const metricsRoute = route({
  path: "/metrics",
  operationId: "getMetrics",
  summary: "Counters and gauges of this server for Prometheus",
  parameters: {},
  answer: {
    description: "Prometheus text format",
    mediaType: "text/plain; version=0.0.4",
    schema: { type: "string" },
  },
  errors: ["bad_request"],
  handle: async (_, { stats, version }) => ({
    mediaType: "text/plain; version=0.0.4",
    body: metricsText(stats(), version),
  }),
});

const homeRoute = route({
  path: "/",
  operationId: "getHome",
  summary: "What this server is, where it listens and how to send to it",
  parameters: {},
  answer: {
    description: "a page, or plain text for clients that do not ask for HTML",
    mediaType: plainText,
    schema: { type: "string" },
  },
  errors: ["bad_request"],
  handle: async (_, { addresses, version, tls = null }, accept) => {
    const isHtml = accept.includes("text/html");
    const body = homePage({
      addresses: addresses(),
      version,
      isTls: tls !== null,
      isHtml,
      paths: routes.map(({ path, summary }) => ({ path, summary })),
    });
    return { mediaType: isHtml ? "text/html" : plainText, body };
  },
});

const openApiRoute = route({
  path: "/openapi.json",
  operationId: "getOpenApi",
  summary: "This description",
  parameters: {},
  answer: { description: "an OpenAPI 3.1 document", mediaType: json, schema: { type: "object" } },
  errors: ["bad_request"],
  handle: async (_, sources) => jsonAnswer(openApiDocument(routes, sources)),
});

/** Every address of the API, in the order of the documentation. */
export const routes: readonly Route[] = [
  analysisRoute,
  traceRoute,
  tracesRoute,
  servicesRoute,
  serviceRoute,
  graphRoute,
  analyzeRoute,
  incidentsRoute,
  incidentRoute,
  eventsRoute,
  doctorRoute,
  ...healthRoutes(),
  metricsRoute,
  openApiRoute,
  homeRoute,
];

/** Keeps the types of a route's own parameters for its handler; outside, all routes look alike. */
function route<const Table extends ParameterTable>(
  definition: Omit<Route, "parameters" | "handle"> & {
    readonly parameters: Table;
    readonly handle: (
      values: ParameterValues<Table>,
      sources: ApiSources,
      accept: string,
    ) => Promise<ApiAnswer>;
  },
): Route {
  return definition as unknown as Route;
}

/** Writes what has happened since the event of a number (null = nothing), and then what happens. */
function tellEvents(
  query: QueryPort,
  {
    lang,
    seen,
    write,
  }: { readonly lang: Language; readonly seen: number | null; readonly write: (text: string) => void },
): () => void {
  let last = seen ?? 0;
  const tell = ({ kind, number, incident }: IncidentEvent): void => {
    // one that is being kept is known already and told in a moment
    if (number <= last) return;
    last = number;
    const id = `${incident.id}/${incident.version}/${number}`;
    write(`event: ${kind}\nid: ${id}\ndata: ${writeJson(incidentJson(incident, lang))}\n\n`);
  };
  const end = query.onIncident(tell);
  if (seen !== null) for (const event of query.incidentEventsAfter(seen)) tell(event);
  return end;
}

/** Of the id of an event; null = it is none of ours, so nothing is known of what was seen. */
function numberOfEvent(id: string): number | null {
  const [, number] = /^[^/]+\/\d+\/(\d{1,15})$/.exec(id) ?? [];
  return number === undefined ? null : Number(number);
}

/** Alive = the process answers; ready = telemetry is taken. */
function healthRoutes(): readonly Route[] {
  const live = async (_: unknown, { version }: ApiSources) => jsonAnswer({ status: "ok", version });
  const ready = async (_: unknown, { isReady, version }: ApiSources) =>
    isReady()
      ? jsonAnswer({ status: "ok", version })
      : { ...jsonAnswer({ status: "starting_or_stopping", version }), status: 503 };
  const schema = schemaReference("Health");
  const answer = { description: "ok", mediaType: json, schema };
  const shared = { parameters: {}, errors: ["bad_request"], isOpen: true } as const;
  const readiness = {
    summary: "Whether telemetry is taken and questions are answered",
    answer: { ...answer, unavailable: "starting or stopping" },
    handle: ready,
  };
  const alias = { alias: "/readyz" };
  return [
    route({
      ...shared,
      path: "/livez",
      operationId: "getLive",
      summary: "Whether the process answers",
      answer,
      handle: live,
    }),
    route({ ...shared, ...readiness, path: "/readyz", operationId: "getReady" }),
    route({ ...shared, ...readiness, ...alias, path: "/healthz", operationId: "getHealth" }),
    route({ ...shared, ...readiness, ...alias, path: "/ready", operationId: "getReadyAlias" }),
    route({ ...shared, ...readiness, ...alias, path: "/health", operationId: "getHealthAlias" }),
  ];
}

/** Of megabytes, perhaps: others have their turn between its making and its writing. */
async function longAnswer(value: unknown): Promise<ApiAnswer> {
  await nextTurn();
  return jsonAnswer(value);
}

/** A report in the form that was asked for. */
async function reportAnswer(
  shown: ShownReport,
  { format: asked, lang }: { readonly format: ReportFormat; readonly lang: Language },
  { renderReport }: Pick<ApiSources, "renderReport">,
): Promise<ApiAnswer> {
  if (asked === "json") return await longAnswer(shown.report);
  await nextTurn();
  return {
    mediaType: mediaTypes[asked],
    body: renderReport(shown, { format: asked, language: lang }),
  };
}

function jsonAnswer(value: unknown): ApiAnswer {
  return { mediaType: json, body: writeJson(value) };
}

/** null = no bound was given: everything that is kept */
function windowOf(
  { from: start, to: end }: { readonly from: TimePoint | null; readonly to: TimePoint | null },
  clock: Clock,
  prefix = "",
): TimeWindow | null {
  if (start === null && end === null) return null;
  return timesOf(start ?? epoch, end ?? { kind: "before_now", nanos: 0n }, clock, prefix);
}

const epoch: TimePoint = { kind: "absolute", time: 0n as UnixNanos };

function timesOf(start: TimePoint, end: TimePoint, clock: Clock, prefix = ""): TimeWindow {
  const now = clock.unixNanos();
  const window = { from: resolveTime(start, now), to: resolveTime(end, now) };
  if (window.from > window.to)
    throw new OperationError(
      "bad_request",
      `Parameter "${prefix}from" is later than "${prefix}to"`,
      "Swap them.",
    );
  return window;
}

function incidentJson(incident: Incident, lang: Language): IncidentJson {
  const { id, status, start, end, detected, delayMs, updated, version, mergedInto, services, reports } =
    incident;
  const report = reports.get(lang);
  const [cause] = report?.root_cause_candidates ?? [];
  return {
    id,
    status,
    start: formatTime(start),
    end: end === null ? null : formatTime(end),
    detected: formatTime(detected),
    delay_seconds: delayMs / 1000,
    updated: formatTime(updated),
    version,
    merged_into: mergedInto,
    services,
    verdict: report?.verdict ?? "",
    confidence: report?.confidence ?? null,
    cause: cause === undefined ? null : { service: cause.service, kind: cause.kind },
    affected_services: report?.affected_services ?? [],
    exemplar_trace_ids: report?.exemplar_trace_ids ?? [],
  };
}

function summaryJson(summary: TraceSummary): Readonly<Record<string, unknown>> {
  return {
    trace_id: summary.traceId,
    root_service: summary.rootService,
    root_operation: summary.rootOperation,
    start: formatTime(summary.startTime),
    duration_ms: summary.durationNanos / NANOS_PER_MS,
    span_count: summary.spanCount,
    error_count: summary.errorCount,
    services: summary.services,
  };
}

function unknownTrace(id: string): OperationError {
  return new OperationError(
    "trace_not_found",
    `No trace ${id} is kept here`,
    "It has not arrived yet, was sampled out by its sender, or had to make room; /api/v1/traces lists what there is.",
  );
}

function unknownService(name: string): OperationError {
  return new OperationError(
    "service_not_found",
    `No service ${name} in this time`,
    "/api/v1/services lists what there is; names are case-sensitive.",
  );
}
