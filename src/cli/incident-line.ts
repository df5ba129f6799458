import type { Language } from "../analysis/report.ts";
import type { IncidentEvent } from "../engine/ports.ts";

/**
 * What `serve` says of an incident at its terminal: that it was opened, with the verdict and where its report is, became part of
 * another one, or is over. Null for what is only a newer report.
 */
export function incidentLine(
  { kind, incident }: IncidentEvent,
  { server, language }: { readonly server: string; readonly language: Language },
): string | null {
  const { id, mergedInto, reports } = incident;
  switch (kind) {
    case "opened":
      return `incident ${id}: ${reports.get(language)?.verdict ?? ""} ${server}/api/v1/incidents/${id}?format=html&lang=${language}`;
    case "merged":
      return `incident ${id} is part of incident ${mergedInto}`;
    case "closed":
      return `incident ${id} is over`;
    case "updated":
      return null;
  }
}
