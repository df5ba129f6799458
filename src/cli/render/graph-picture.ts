import { formatDuration, formatPercent } from "../../advice/format-duration.ts";
import type {
  GraphJson,
  Language,
  StructuralReport,
  TraceReport,
  WindowReport,
} from "../../analysis/report.ts";
import type { CallKind, NodeKind } from "../../trace/calls.ts";
import { label } from "./labels.ts";

export interface PictureNode {
  readonly name: string;
  readonly kind: NodeKind;
  readonly inferred: boolean;
  /** `cause` = the first root-cause candidate, `failing` = the failure passed through it */
  readonly role: "cause" | "failing" | "none";
  /** what it is in the failure, in words, and its figures, a line each; a drawing may show the first two only */
  readonly notes: readonly string[];
}

export interface PictureEdge {
  readonly caller: string;
  readonly callee: string;
  readonly kind: CallKind;
  readonly failing: boolean;
  readonly note: string;
}

/** A service graph as it is drawn: in Mermaid, DOT and SVG alike. Nodes and edges in the order of the report. */
export interface GraphPicture {
  readonly nodes: readonly PictureNode[];
  readonly edges: readonly PictureEdge[];
}

/** Which part of a graph a report points at. */
export interface Highlight {
  readonly cause: string | null;
  readonly failing: ReadonlySet<string>;
  readonly failingEdges: ReadonlySet<string>;
}

function edgeKey(caller: string, callee: string): string {
  return JSON.stringify([caller, callee]);
}

export function graphPicture(
  graph: GraphJson,
  language: Language,
  highlight = nothingHighlighted,
): GraphPicture {
  const nodes = graph.nodes.map((node): PictureNode => {
    const role = roleOf(node.service, highlight);
    const words: string[] = [];
    // what only waited or passed an error on under cover of a success is no failure of its own
    const failed = node.error_rate > 0 ? "failing" : "affected";
    if (role !== "none") words.push(label(role === "cause" ? "root_cause" : failed, language));
    if (node.kind !== "service" && node.kind !== "unknown") words.push(label(node.kind, language));
    const figures: string[] = [];
    if (node.calls_in > 0) figures.push(`${formatPercent(node.error_rate)} ${label("errors", language)}`);
    if (node.calls_in > 0 && node.response_time_p99 !== null)
      figures.push(`${label("p99", language)} ${formatDuration(node.response_time_p99 * 1e9)}`);
    const notes = [words.join(", "), figures.join(", ")].filter((line) => line !== "");
    return { name: node.service, kind: node.kind, inferred: node.inferred, role, notes };
  });
  const edges = graph.edges.map((edge): PictureEdge => {
    const failing = highlight.failingEdges.has(edgeKey(edge.caller, edge.callee));
    const notes = failing ? [label("on_the_way", language)] : [];
    notes.push(`${edge.calls}×`);
    if (edge.errors > 0) notes.push(`${formatPercent(edge.error_rate)} ${label("errors", language)}`);
    if (edge.p99_ms !== null) notes.push(`${label("p99", language)} ${formatDuration(edge.p99_ms * 1e6)}`);
    const { caller, callee, kind } = edge;
    return { caller, callee, kind, failing, note: notes.join(", ") };
  });
  return { nodes, edges };
}

/** The failed service's chain as far as the structural report tells its edges: who is hit by whom. */
export function structuralPicture(report: StructuralReport, language: Language): GraphPicture {
  const propagation = report.cascade_analysis.failure_propagation;
  const names = new Set(report.dependency_chain);
  for (const { affected_services: affected } of propagation) for (const name of affected) names.add(name);
  const unhealthy = new Set(report.cascade_analysis.critical_path);
  const nodes = [...names].map(
    (name): PictureNode => ({
      name,
      kind: "service",
      inferred: false,
      role: unhealthy.has(name) ? "failing" : "none",
      notes: report.service_states.get(name)?.issues ?? [],
    }),
  );
  const edges = propagation.flatMap(({ failed_service: callee, affected_services: affected }) =>
    affected.map(
      (caller): PictureEdge => ({
        caller,
        callee,
        kind: "sync",
        failing: true,
        note: label("on_the_way", language),
      }),
    ),
  );
  return { nodes, edges };
}

export function traceHighlight(report: TraceReport): Highlight {
  const failing = new Set<string>();
  for (const { service, failed } of report.failing_path) if (failed) failing.add(service);
  const failingEdges = new Set<string>();
  for (const { caller, callee } of report.propagation) {
    failing.add(caller).add(callee);
    failingEdges.add(edgeKey(caller, callee));
  }
  const cause = report.healthy ? null : (report.root_cause_candidates[0]?.service ?? null);
  return { cause, failing, failingEdges };
}

export function windowHighlight(report: WindowReport): Highlight {
  const failingEdges = new Set(report.propagation.map(({ caller, callee }) => edgeKey(caller, callee)));
  return {
    cause: report.root_cause_candidates[0]?.service ?? null,
    failing: new Set(report.affected_services),
    failingEdges,
  };
}

const nothingHighlighted: Highlight = { cause: null, failing: new Set(), failingEdges: new Set() };

function roleOf(service: string, { cause, failing }: Highlight): PictureNode["role"] {
  if (service === cause) return "cause";
  return failing.has(service) ? "failing" : "none";
}
