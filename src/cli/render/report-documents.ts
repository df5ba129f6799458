import { formatCount, formatDuration, formatPercent } from "../../advice/format-duration.ts";
import type {
  GraphJson,
  IncidentJson,
  IncidentReport,
  Language,
  ServiceJson,
  StructuralReport,
  TraceReport,
  WindowReport,
} from "../../analysis/report.ts";
import type { CertaintyBars } from "../../cascade/candidate.ts";
import { traceBars, windowBars } from "../../model/scoring.ts";
import type { Block, Outcome, ReportDocument, Section } from "./document.ts";
import { counted, listed, milliseconds, moment, rangeText, rowCountMax } from "./figures.ts";
import { graphPicture, structuralPicture, traceHighlight, windowHighlight } from "./graph-picture.ts";
import { type LabelKey, label } from "./labels.ts";
import type { TraceSummaryJson } from "./printable.ts";
import {
  adviceItems,
  blastText,
  columns,
  entryPointTable,
  generalItems,
  limited,
  onsetBlock,
  operationsTable,
  otherMeasures,
  outcomeOf,
  plainItem,
  problemList,
  statesTable,
  timeBars,
  todo,
  waysTable,
  whatIfFacts,
  whoIsHit,
  windowHit,
} from "./report-blocks.ts";
import { treeRows } from "./tree-rows.ts";

/**
 * What happened to one request, the most urgent first: why, how it spread, who is hit, what to do, then the details. Of one that
 * nothing is wrong with, only where its time went.
 */
export function traceDocument(report: TraceReport, language: Language): ReportDocument {
  const { trace, failing_path: path } = report;
  const hasFailure = path.some((row) => row.failed);
  const isFine = report.healthy || report.root_cause_candidates.length === 0;
  const outcome: Outcome = path[0]?.failed ? "failed" : isFine ? "fine" : "notice";
  const extentMs = path.reduce(
    (end, row) => Math.max(end, row.start_ms + row.duration_ms),
    trace.duration_ms,
  );
  const tree = section(hasFailure ? "how_it_failed" : "the_way", language, {
    kind: "tree",
    rows: treeRows(path, { language, isFine }),
    extentMs,
  });
  const time = section("where_time_went", language, timeBars(report));
  return {
    language,
    title: label("trace_title", language, { id: report.trace_id }),
    verdict: {
      outcome,
      sentence: report.verdict,
      facts: [
        ...(report.healthy ? [] : confidenceFact(report.confidence, traceBars, language)),
        `${label("trace", language)} ${report.trace_id}`,
        moment(trace.start),
        formatDuration(trace.duration_ms * 1e6),
        counted(trace.span_count, "one_span", "spans", language),
        ...(trace.error_count > 0 ? [counted(trace.error_count, "one_error", "errors_count", language)] : []),
        counted(trace.services.length, "one_service", "services_count", language),
      ],
    },
    sections: present([
      ...(report.healthy
        ? [time, tree]
        : blameSections(report, language, hasFailure ? [[tree], [time]] : [[time, tree], []])),
      section("graph", language, {
        kind: "graph",
        picture: graphPicture(report.dependency_graph, language, traceHighlight(report)),
      }),
      section("problems", language, problemList(report.problems, language)),
    ]),
  };
}

/** Who is to blame, and what follows from that; `details` come after the reasons and after what is to be done. */
function blameSections(
  report: TraceReport,
  language: Language,
  [first, later]: readonly [readonly Section[], readonly Section[]],
): readonly Section[] {
  const [cause] = report.root_cause_candidates;
  return [
    section("why", language, { kind: "candidates", items: report.root_cause_candidates }),
    ...first,
    section("who_is_hit", language, { kind: "facts", rows: whoIsHit(report, language) }),
    section("what_to_do", language, todo(adviceItems(report))),
    ...later,
    section("chain_services", language, statesTable(report.service_states, language, cause?.service)),
    section("in_general", language, todo(generalItems(report))),
  ];
}

function baselineFact({ reason, ...range }: NonNullable<WindowReport["baseline"]>): string {
  return reason === undefined ? rangeText(range) : `${rangeText(range)} (${reason})`;
}

/** What happened in a span of time: what one screen has room for is why, who is hit and what to do. */
export function windowDocument(report: WindowReport, language: Language): ReportDocument {
  const { window, baseline, totals } = report;
  const sawNothing = totals.traces === 0;
  return {
    language,
    title: sawNothing
      ? label("empty_window_title", language)
      : label("window_title", language, { range: rangeText(window) }),
    verdict: {
      outcome: windowOutcome(report),
      sentence: report.verdict,
      facts: [
        ...confidenceFact(report.confidence, windowBars, language),
        ...(sawNothing ? [] : [`${label("window", language)} ${rangeText(window)}`]),
        `${label("baseline", language)} ${baseline === null ? label("no_baseline", language) : baselineFact(baseline)}`,
        counted(totals.traces, "one_trace", "traces_count", language),
        counted(totals.spans, "one_span", "spans", language),
        counted(totals.services, "one_service", "services_count", language),
      ],
    },
    sections: present([
      section("why", language, { kind: "candidates", items: report.root_cause_candidates }),
      section("who_is_hit", language, entryPointTable(report, language), {
        kind: "facts",
        rows: windowHit(report, language),
      }),
      section("what_to_do", language, todo(adviceItems(report))),
      section("how_it_spread", language, waysTable(report, language)),
      section("without_cause", language, whatIfFacts(report, language)),
      section("onset", language, onsetBlock(report)),
      section(
        "services",
        language,
        statesTable(report.service_states, language, report.root_cause_candidates[0]?.service),
      ),
      section("graph", language, {
        kind: "graph",
        picture: graphPicture(report.dependency_graph, language, windowHighlight(report)),
      }),
      section("examples", language, {
        kind: "list",
        ordered: false,
        items: report.exemplar_trace_ids.slice(0, rowCountMax).map((text) => ({ text, spans: [] })),
      }),
      section("problems", language, problemList(report.problems, language)),
    ]),
  };
}

/** The last report of an incident, with how it stands. */
export function incidentDocument(report: IncidentReport, language: Language): ReportDocument {
  const { title, verdict, ...rest } = windowDocument(report, language);
  const name = `${label("incident", language)} ${report.id}`;
  const facts = [name, incidentStatus(report, language), incidentTimes(report), ...verdict.facts];
  return { ...rest, title: `${name}: ${title}`, verdict: { ...verdict, facts } };
}

/** What a server noticed by itself, the newest first. */
export function incidentsDocument(incidents: readonly IncidentJson[], language: Language): ReportDocument {
  const open = incidents.filter(({ status }) => status === "open").length;
  return {
    language,
    title: label("incidents", language),
    verdict: {
      outcome: open > 0 ? "failed" : incidents.length > 0 ? "notice" : "fine",
      sentence:
        incidents.length === 0
          ? label("incidents_none", language)
          : label("incidents_verdict", language, { n: incidents.length, m: open }),
      facts: [],
    },
    sections: present([
      section("incidents", language, {
        kind: "table",
        columns: columns(language, ["incident", "status", "times", "root_cause"], []),
        rows: limited(incidents, language, (incident) => ({
          outcome: incident.status === "open" ? "failed" : "notice",
          cells: [
            incident.id,
            incidentStatus(incident, language),
            incidentTimes(incident),
            incident.cause?.service ?? "-",
          ],
          note: incident.verdict,
        })),
      }),
    ]),
  };
}

/** What a search found, the newest first. */
export function tracesDocument(traces: readonly TraceSummaryJson[], language: Language): ReportDocument {
  return {
    language,
    title: label("traces_title", language),
    verdict: {
      outcome: "fine",
      sentence:
        traces.length === 0
          ? label("traces_none", language)
          : counted(traces.length, "one_trace", "traces_count", language),
      facts: [],
    },
    sections: present([
      section("traces_title", language, {
        kind: "table",
        columns: columns(language, ["began", "service", "operation"], ["took", "span_count", "failed_spans"]),
        rows: limited(
          traces,
          language,
          (trace) => ({
            outcome: trace.error_count > 0 ? "failed" : "fine",
            cells: [
              moment(trace.start),
              trace.root_service,
              trace.root_operation,
              formatDuration(trace.duration_ms * 1e6),
              formatCount(trace.span_count),
              formatCount(trace.error_count),
            ],
            // a column would be cut
            note: trace.trace_id,
          }),
          traces.length,
        ),
      }),
    ]),
  };
}

function incidentStatus({ status, merged_into: other }: IncidentJson, language: Language): string {
  if (status === "merged") return label("incident_merged", language, { id: other ?? "" });
  return label(status === "open" ? "incident_open" : "incident_closed", language);
}

function incidentTimes({ start, end }: IncidentJson): string {
  return `${moment(start)} … ${end === null ? "" : moment(end)}`.trimEnd();
}

/** Slow is not failed; nothing that stands out may still leave a service beyond its limits; and nothing seen is not well. */
function windowOutcome({
  healthy,
  totals,
  service_states: states,
  entry_points: entries,
}: WindowReport): Outcome {
  if (totals.traces === 0) return "notice";
  if (!healthy) return entries.some(({ excess_failed: count }) => count > 0) ? "failed" : "notice";
  return [...states.values()].every((state) => state.healthy) ? "fine" : "notice";
}

export function structuralDocument(report: StructuralReport, language: Language): ReportDocument {
  const { root_cause_candidates: candidates, cascade_analysis: cascade } = report;
  const worst = candidates.toSorted((a, b) => b.impact_score - a.impact_score);
  const key: LabelKey =
    candidates.length === 0
      ? "structural_verdict_good"
      : candidates.length === 1
        ? "structural_verdict_one"
        : "structural_verdict_bad";
  return {
    language,
    title:
      report.trace_id === ""
        ? label("health_title", language)
        : label("trace_title", language, { id: report.trace_id }),
    verdict: {
      outcome: candidates.length > 0 ? "failed" : "fine",
      sentence: label(key, language, {
        service: report.failed_service,
        n: candidates.length,
        m: report.dependency_chain.length,
        first: worst[0]?.service ?? "",
      }),
      facts: report.trace_id === "" ? [] : [`${label("trace", language)} ${report.trace_id}`],
    },
    sections: present([
      section("candidates", language, {
        kind: "table",
        columns: columns(language, ["service"], ["impact"]),
        rows: limited(worst, language, ({ service, issues, impact_score: impact }) => ({
          outcome: "failed",
          cells: [service, String(Number(impact.toPrecision(4)))],
          issues: issues.join("; "),
        })),
      }),
      section("who_is_hit", language, {
        kind: "facts",
        rows: [
          ...cascade.failure_propagation
            .slice(0, rowCountMax)
            .map(
              ({ failed_service: failed, affected_services: affected }) =>
                [failed, affected.length > 0 ? `→ ${listed(affected)}` : label("nobody", language)] as const,
            ),
          [label("blast_radius", language), blastText(report, language)],
        ],
      }),
      section("what_to_do", language, todo(report.recommendations.map(plainItem))),
      section("chain_services", language, statesTable(report.service_states, language)),
      section("graph", language, { kind: "graph", picture: structuralPicture(report, language) }),
    ]),
  };
}

export function graphDocument(graph: GraphJson, language: Language): ReportDocument {
  const { nodes, edges } = graph;
  const connected = new Set(edges.flatMap(({ caller, callee }) => [caller, callee]));
  const alone = nodes.map(({ service }) => service).filter((service) => !connected.has(service));
  return {
    language,
    title: label("graph", language),
    verdict: {
      outcome: "fine",
      sentence: label("graph_verdict", language, { n: nodes.length, m: edges.length }),
      facts: [],
    },
    sections: present([
      section(
        "graph",
        language,
        { kind: "graph", picture: graphPicture(graph, language) },
        {
          kind: "table",
          columns: columns(language, ["caller", "callee", "kind"], ["calls", "errors", "p50", "p99"]),
          rows: edges.map((edge) => ({
            outcome: edge.errors > 0 ? "notice" : null,
            cells: [
              edge.caller,
              edge.callee,
              label(edge.kind === "inferred" ? "edge_inferred" : edge.kind, language),
              formatCount(edge.calls),
              formatPercent(edge.error_rate),
              milliseconds(edge.p50_ms),
              milliseconds(edge.p99_ms),
            ],
          })),
        },
        {
          kind: "facts",
          rows: alone.length === 0 ? [] : [[label("without_calls", language), listed(alone)]],
        },
      ),
    ]),
  };
}

export function servicesDocument(services: readonly ServiceJson[], language: Language): ReportDocument {
  const unhealthy = services.filter(({ healthy }) => !healthy).length;
  return {
    language,
    title: label("services", language),
    verdict: {
      outcome: unhealthy > 0 ? "failed" : "fine",
      sentence: label("services_verdict", language, { n: services.length, m: unhealthy }),
      facts: [],
    },
    sections: present([
      section("services", language, {
        kind: "table",
        columns: columns(language, ["service"], ["requests", "errors", "p50", "p90", "p99"]),
        rows: services.map((each) => ({
          outcome: outcomeOf(each),
          cells: [
            each.service,
            formatCount(each.requests),
            formatPercent(each.error_rate),
            milliseconds(each.p50_ms),
            milliseconds(each.p90_ms),
            milliseconds(each.p99_ms),
          ],
          issues: each.issues.join("; "),
          note: otherMeasures(each.metrics, language),
        })),
      }),
      section("operations", language, operationsTable(services, language)),
    ]),
  };
}

function confidenceFact(
  confidence: number | null,
  { confident, probable }: CertaintyBars,
  language: Language,
): readonly string[] {
  if (confidence === null) return [];
  const key =
    confidence >= confident
      ? "confidence_high"
      : confidence >= probable
        ? "confidence_medium"
        : "confidence_low";
  return [`${label("confidence", language)} ${label(key, language)} (${formatPercent(confidence)})`];
}

function section(title: LabelKey, language: Language, ...blocks: readonly Block[]): Section {
  return { title: label(title, language), blocks: blocks.filter((block) => !isEmpty(block)) };
}

function present(sections: readonly Section[]): readonly Section[] {
  return sections.filter(({ blocks }) => blocks.length > 0);
}

function isEmpty(block: Block): boolean {
  switch (block.kind) {
    case "candidates":
    case "list":
      return block.items.length === 0;
    case "tree":
    case "facts":
    case "bars":
    case "table":
      return block.rows.length === 0;
    case "graph":
      return block.picture.nodes.length === 0;
  }
}
