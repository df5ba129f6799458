import type { DoctorReport } from "../../analysis/doctor.ts";
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
import type { EvaluationJson } from "../../evaluation/evaluation.ts";
import { doctorDocument } from "./doctor-document.ts";
import type { ReportDocument } from "./document.ts";
import { evaluationDocument } from "./evaluation-document.ts";
import type { GraphPicture } from "./graph-picture.ts";
import {
  graphDocument,
  incidentDocument,
  incidentsDocument,
  servicesDocument,
  structuralDocument,
  traceDocument,
  tracesDocument,
  windowDocument,
} from "./report-documents.ts";

/** Everything that commands print. */
export type Printable =
  | { readonly kind: "trace"; readonly report: TraceReport }
  | { readonly kind: "window"; readonly report: WindowReport }
  | { readonly kind: "structural"; readonly report: StructuralReport }
  | { readonly kind: "incident"; readonly report: IncidentReport }
  | { readonly kind: "incidents"; readonly list: IncidentList }
  | { readonly kind: "traces"; readonly list: TraceList }
  | { readonly kind: "graph"; readonly graph: GraphJson }
  | { readonly kind: "services"; readonly services: readonly ServiceJson[] }
  | { readonly kind: "doctor"; readonly doctor: DoctorReport }
  | { readonly kind: "evaluation"; readonly evaluation: EvaluationJson };

/** What a server noticed by itself, the newest first. */
export interface IncidentList {
  readonly incidents: readonly IncidentJson[];
}

/** A trace as a search shows it. */
export interface TraceSummaryJson {
  readonly trace_id: string;
  readonly root_service: string;
  readonly root_operation: string;
  readonly start: string;
  readonly duration_ms: number;
  readonly span_count: number;
  readonly error_count: number;
  readonly services: readonly string[];
}

/** What a search found, the newest first. */
export interface TraceList {
  readonly traces: readonly TraceSummaryJson[];
  /** where not everything was searched: since when it was; null = everything */
  readonly searched_from: string | null;
  readonly cursor: string | null;
}

/** A report of a trace, by what it holds: the structural one leaves the evidence out. */
export function printableOf(
  report: TraceReport | StructuralReport,
): Extract<Printable, { readonly kind: "trace" | "structural" }> {
  return "verdict" in report ? { kind: "trace", report } : { kind: "structural", report };
}

/** How it is laid out for people. */
export function documentOf(printable: Printable, language: Language): ReportDocument {
  switch (printable.kind) {
    case "trace":
      return traceDocument(printable.report, language);
    case "window":
      return windowDocument(printable.report, language);
    case "incident":
      return incidentDocument(printable.report, language);
    case "incidents":
      return incidentsDocument(printable.list.incidents, language);
    case "traces":
      return tracesDocument(printable.list.traces, language);
    case "structural":
      return structuralDocument(printable.report, language);
    case "graph":
      return graphDocument(printable.graph, language);
    case "services":
      return servicesDocument(printable.services, language);
    case "doctor":
      return doctorDocument(printable.doctor, language);
    case "evaluation":
      return evaluationDocument(printable.evaluation, language);
  }
}

/** Its service graph; null for what has none (a list of services, an empty report). */
export function pictureOf(printable: Printable, language: Language): GraphPicture | null {
  for (const { blocks } of documentOf(printable, language).sections)
    for (const block of blocks) if (block.kind === "graph") return block.picture;
  return null;
}
