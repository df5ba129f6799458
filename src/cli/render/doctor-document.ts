import { type FindingId, findingText, type Severity } from "../../advice/doctor-texts.ts";
import { formatCount, formatPercent } from "../../advice/format-duration.ts";
import type { DoctorReport, DoctorServiceJson, FindingJson } from "../../analysis/doctor.ts";
import type { Language } from "../../analysis/report.ts";
import type { Block, Outcome, ReportDocument, Section, TableRow } from "./document.ts";
import { counted, listed } from "./figures.ts";
import { label } from "./labels.ts";
import { columns, limited, problemList } from "./report-blocks.ts";

/** Columns of a finding's row for the names of its services: 80 leave no more. */
const servicesWidth = 32;
const detailsShown = 3;

/** What is wrong with the instrumentation: the score of each service, then each finding once, with all services that have it. */
export function doctorDocument(report: DoctorReport, language: Language): ReportDocument {
  const { score, totals, services, findings, problems } = report;
  const amountOf = (severity: Severity) => findings.filter((each) => each.severity === severity).length;
  const [critical, warnings, infos] = [amountOf("critical"), amountOf("warning"), amountOf("info")];
  const sections: readonly Section[] = [
    {
      title: label("services", language),
      blocks: services.length === 0 ? [] : [servicesTable(services, language)],
    },
    {
      title: label("findings", language),
      blocks: findings.length === 0 ? [] : [findingsTable(findings, language)],
    },
    {
      title: label("problems", language),
      blocks: problems.length === 0 ? [] : [problemList(problems, language)],
    },
  ];
  return {
    language,
    title: label("doctor_title", language),
    verdict: {
      outcome: critical > 0 ? "failed" : warnings > 0 ? "notice" : "fine",
      sentence:
        score === null
          ? label("doctor_nothing", language)
          : label("doctor_verdict", language, { score, critical, warnings, infos }),
      facts: [
        counted(totals.services, "one_service", "services_count", language),
        counted(totals.traces, "one_trace", "traces_count", language),
        counted(totals.spans, "one_span", "spans", language),
      ],
    },
    sections: sections.filter(({ blocks }) => blocks.length > 0),
  };
}

function servicesTable(services: readonly DoctorServiceJson[], language: Language): Block {
  return {
    kind: "table",
    columns: columns(language, ["service"], ["score", "span_count", "critical", "warnings", "infos"]),
    rows: limited(services, language, ({ service, score, spans, critical, warnings, infos }) => ({
      outcome: critical > 0 ? "failed" : warnings > 0 ? "notice" : "fine",
      cells: [service, String(score), formatCount(spans), String(critical), String(warnings), String(infos)],
    })),
  };
}

function findingsTable(findings: readonly FindingJson[], language: Language): Block {
  const byId = new Map<FindingId, FindingJson[]>();
  for (const finding of findings) {
    const same = byId.get(finding.id);
    if (same === undefined) byId.set(finding.id, [finding]);
    else same.push(finding);
  }
  return {
    kind: "table",
    columns: columns(language, ["finding", "service"], ["count", "share"]),
    rows: limited([...byId.values()], language, (same) => findingRow(same, language)),
  };
}

const outcomes: Readonly<Record<Severity, Outcome | null>> = {
  critical: "failed",
  warning: "notice",
  info: null,
};

/** One finding of all services that have it, the worst of them first. */
function findingRow(same: readonly FindingJson[], language: Language): TableRow {
  const [first] = same;
  if (first === undefined) return { outcome: null, cells: [] };
  const { id, severity, evidence } = first;
  const count = same.reduce((sum, each) => sum + each.count, 0);
  const of = same.reduce((sum, each) => sum + each.of, 0);
  const details = [...new Set(same.flatMap((each) => each.details))].slice(0, detailsShown);
  const { statement, fix } = findingText({ id, count, of, details }, language);
  const services = same.map(({ service }) => service ?? label("all_services", language));
  const place = evidence[0];
  const where = place === undefined ? "" : ` (${label("trace", language)} ${place.trace_id})`;
  return {
    outcome: outcomes[severity],
    cells: [
      id,
      servicesText(services),
      formatCount(count),
      formatPercent(of === 0 ? 1 : Math.min(1, count / of)),
    ],
    issues: `${statement}${where}`,
    note: fix,
  };
}

/** As many names as there is room for, at least one. */
function servicesText(names: readonly string[]): string {
  let shown = 1;
  while (shown < names.length && names.slice(0, shown + 1).join(", ").length <= servicesWidth) shown += 1;
  return listed(names, shown);
}
