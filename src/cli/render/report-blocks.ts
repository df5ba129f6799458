import { formatCount, formatDuration, formatPercent } from "../../advice/format-duration.ts";
import type {
  Language,
  ServiceJson,
  ServiceStateJson,
  StructuralReport,
  TraceReport,
  WindowPropagationJson,
  WindowReport,
} from "../../analysis/report.ts";
import { mapEntry } from "../../base/map-entry.ts";
import type { HealthMetrics } from "../../health/health.ts";
import type { Problem } from "../../model/problems.ts";
import type { Block, Column, ListItem, Outcome, TableRow } from "./document.ts";
import { listed, milliseconds, moment, ratio, rowCountMax } from "./figures.ts";
import { type LabelKey, label } from "./labels.ts";

// The parts that reports are laid out from.

/** Smaller parts of the critical path are not worth a look. */
const barShareMin = 0.02;
const barRowCountMax = 8;
/** From more services than this on, the healthy ones share a row. */
const fullStatesMax = 8;
/** Ways of a fault, and entries that would be better without it, that are shown; JSON has them all. */
const waysShownMax = 10;
const whatIfShownMax = 5;
const atRiskShownMax = 10;
/** Problems of one kind that are told apart. */
const problemsPerKindMax = 2;

export function whoIsHit(report: TraceReport, language: Language): readonly (readonly [string, string])[] {
  const { trace, propagation } = report;
  const rows: (readonly [string, string])[] = [
    [label("entry_point", language), `${trace.root_service} ${trace.root_operation}`],
  ];
  const way = propagationText(report, language);
  if (way !== "") rows.push([label("came_up", language), way]);
  const onTheWay = new Set(propagation.map(({ caller }) => caller));
  const cause = report.root_cause_candidates[0]?.service;
  const others = report.cascade_analysis.failure_propagation
    .filter(({ failed_service: failed }) => failed === cause)
    .flatMap(({ affected_services: affected }) => affected)
    .filter((service) => !onTheWay.has(service));
  if (others.length > 0) rows.push([label("also_hit", language), listed(others)]);
  rows.push([label("blast_radius", language), blastText(report, language)]);
  return rows;
}

/** "db → payment (error) → shop (retries exhausted)", origin first; branches are set apart by semicolons. */
function propagationText({ propagation }: TraceReport, language: Language): string {
  const ways: string[] = [];
  let at: string | null = null;
  for (const { caller, callee, mechanism } of propagation.slice(0, rowCountMax)) {
    const step = ` → ${caller} (${label(`by_${mechanism}`, language)})`;
    if (callee === at) ways.push(`${ways.pop() ?? ""}${step}`);
    else ways.push(`${callee}${step}`);
    at = caller;
  }
  return ways.join("; ");
}

export function windowHit(report: WindowReport, language: Language): readonly (readonly [string, string])[] {
  const rows: (readonly [string, string])[] = [];
  const { traffic_share: hit, affected_services: affected, services_at_risk: atRisk } = report;
  if (hit > 0)
    rows.push([label("hit_requests", language), label("hit_share", language, { share: formatPercent(hit) })]);
  if (affected.length > 0) rows.push([label("affected", language), listed(affected)]);
  if (atRisk.length > 0) rows.push([label("at_risk", language), listed(atRisk, atRiskShownMax)]);
  // of what is slow and fails at nobody it is none, which would read as if nobody were hit
  if (!report.healthy && report.blast_radius > 0)
    rows.push([
      label("blast_radius", language),
      label("unhealthy_by_figures", language, { n: report.blast_radius }),
    ]);
  return rows;
}

/** Callee first, as failures travel, and from the cause up: whom it reached, and whom those did. */
export function waysTable(report: WindowReport, language: Language): Block {
  const { propagation, root_cause_candidates: candidates } = report;
  const shown = fromCause(propagation.slice(0, waysShownMax), candidates[0]?.service);
  return {
    kind: "table",
    columns: columns(language, ["way", "how"], ["requests", "share_of_hit"]),
    rows: limited(
      [...shown, ...propagation.slice(waysShownMax)],
      language,
      ({ caller, callee, mechanism, requests, share }) => ({
        outcome: null,
        cells: [
          `${callee} → ${caller}`,
          label(`by_${mechanism}`, language),
          formatCount(requests),
          formatPercent(share),
        ],
      }),
      waysShownMax,
    ),
  };
}

/** By how many steps they are from the cause, or from where else they begin; those as near stay as they are. */
function fromCause(
  ways: readonly WindowPropagationJson[],
  cause: string | undefined,
): readonly WindowPropagationJson[] {
  const callersOf = new Map<string, string[]>();
  for (const { caller, callee } of ways) mapEntry(callersOf, callee, () => []).push(caller);
  const isReached = new Set(ways.map(({ caller }) => caller));
  let reached = [...callersOf.keys()].filter((service) => service === cause || !isReached.has(service));
  const steps = new Map<string, number>();
  for (let step = 0; reached.length > 0; step += 1) {
    for (const service of reached) steps.set(service, step);
    reached = reached
      .flatMap((service) => callersOf.get(service) ?? [])
      .filter((service) => !steps.has(service));
  }
  // a circle that nothing leads to comes last
  const stepOf = ({ callee }: WindowPropagationJson): number => steps.get(callee) ?? ways.length;
  return ways.toSorted((a, b) => stepOf(a) - stepOf(b));
}

/** What the first candidate costs the entries that it hits most. */
export function whatIfFacts({ what_if: [first] }: WindowReport, language: Language): Block {
  const entries = (first?.entry_points ?? []).slice(0, whatIfShownMax);
  const rows = entries.flatMap((entry): (readonly [string, string])[] => {
    const changes: string[] = [];
    const [errors, errorsWithout] = [entry.error_rate, entry.error_rate_without].map(formatPercent);
    const [mean, meanWithout] = [entry.mean_ms, entry.mean_ms_without].map(milliseconds);
    if (errors !== errorsWithout) changes.push(`${label("errors", language)} ${errors} → ${errorsWithout}`);
    if (mean !== meanWithout) changes.push(`${label("mean", language)} ${mean} → ${meanWithout}`);
    return changes.length === 0 ? [] : [[`${entry.service} ${entry.operation}`, changes.join(", ")]];
  });
  return { kind: "facts", rows };
}

export function blastText(report: TraceReport | StructuralReport, language: Language): string {
  const { blast_radius: n } = report.cascade_analysis;
  return label("unhealthy_of", language, { n, m: report.dependency_chain.length });
}

/** The critical path by operation: a query that runs a hundred times shows as what it is. */
export function timeBars(report: TraceReport): Block {
  const byOperation = new Map<
    string,
    { share: number; ms: number; spans: Set<string>; name: string; operation: string }
  >();
  for (const {
    span_id: id,
    service: name,
    operation,
    share,
    duration_ms: ms,
  } of report.trace_critical_path) {
    const key = JSON.stringify([name, operation]);
    const known = byOperation.get(key) ?? { share: 0, ms: 0, spans: new Set(), name, operation };
    known.share += share;
    known.ms += ms;
    known.spans.add(id);
    byOperation.set(key, known);
  }
  const rows = [...byOperation.values()]
    .sort((a, b) => b.ms - a.ms)
    .filter(({ share }, index) => index === 0 || share >= barShareMin)
    .slice(0, barRowCountMax)
    .map(({ share, ms, spans, name, operation }) => ({
      share,
      amount: milliseconds(ms),
      name,
      detail: spans.size > 1 ? `${operation} (${spans.size}×)` : operation,
    }));
  return { kind: "bars", rows };
}

export function todo(items: readonly ListItem[]): Block {
  return { kind: "list", ordered: true, items: items.slice(0, rowCountMax) };
}

/** Advice that this very failure suggests; where it suggests none, what the structural engine recommends. */
export function adviceItems(report: TraceReport | WindowReport): readonly ListItem[] {
  if (report.root_cause_candidates.length === 0) return [];
  const { advice } = report;
  if (advice.length > 0) return advice.map(({ sentence, spans }) => ({ text: sentence, spans }));
  return report.recommendations.map(plainItem);
}

/** The structural recommendations that `adviceItems` left for later: they look at health figures, not at this failure. */
export function generalItems(report: TraceReport): readonly ListItem[] {
  const told = new Set(adviceItems(report).map(({ text }) => text));
  return report.recommendations.filter((text) => !told.has(text)).map(plainItem);
}

export function plainItem(text: string): ListItem {
  return { text, spans: [] };
}

export function entryPointTable(report: WindowReport, language: Language): Block {
  const hit = report.entry_points.filter((entry) => entry.excess_failed > 0 || entry.added_latency_ms > 0);
  // without a healthy time it is not known what is usual
  const isCompared = report.baseline !== null;
  return {
    kind: "table",
    columns: columns(
      language,
      ["service", "operation"],
      isCompared
        ? ["requests", "failures", "excess_failed", "added_latency", "share_of_all"]
        : ["requests", "failures", "share_of_all"],
    ),
    rows: limited(hit, language, (entry) => ({
      outcome: entry.excess_failed > 0 ? "failed" : "notice",
      cells: [
        entry.service,
        entry.operation,
        formatCount(entry.requests),
        formatCount(entry.failed),
        ...(isCompared
          ? [
              formatCount(entry.excess_failed),
              entry.added_latency_ms > 0 ? milliseconds(entry.added_latency_ms) : "-",
            ]
          : []),
        formatPercent(entry.share),
      ],
    })),
  };
}

export function onsetBlock(report: WindowReport): Block {
  const first = report.onset_order[0];
  return {
    kind: "facts",
    rows: report.onset_order
      .slice(0, rowCountMax)
      .map(({ service, onset }) => [
        service,
        first === undefined || onset === first.onset
          ? moment(onset)
          : `${moment(onset)} (+${formatDuration((Date.parse(onset) - Date.parse(first.onset)) * 1e6)})`,
      ]),
  };
}

/** Services by their own figures. Whom the verdict names is never marked as healthy, whatever its figures say. */
export function statesTable(
  states: ReadonlyMap<string, ServiceStateJson>,
  language: Language,
  cause?: string,
): Block {
  const all = [...states];
  const isFull = all.length <= fullStatesMax;
  const isTold = ([service, state]: readonly [string, ServiceStateJson]): boolean =>
    service === cause || outcomeOf(state) !== "fine";
  const told = isFull ? all : all.filter(isTold);
  const rows = limited(told, language, ([service, state]) => {
    const row = stateRow(service, state, language);
    if (service !== cause || row.outcome !== "fine") return row;
    return { ...row, outcome: "notice", issues: label("named_in_verdict", language) };
  });
  const healthy = all.filter((each) => !isTold(each)).map(([service]) => service);
  const rest = label("more_healthy", language, { n: healthy.length, names: listed(healthy, fullStatesMax) });
  return {
    kind: "table",
    columns: columns(language, ["service"], ["errors", "p99", "cpu", "memory"]),
    rows: isFull || healthy.length === 0 ? rows : [...rows, { outcome: "fine", cells: [rest] }],
  };
}

function stateRow(service: string, state: ServiceStateJson, language: Language): TableRow {
  const {
    error_rate: errorRate,
    response_time_p99: p99,
    cpu_usage: cpu,
    memory_usage: memory,
  } = state.metrics;
  return {
    outcome: outcomeOf(state),
    cells: [
      service,
      ratio(errorRate),
      p99 === undefined ? "-" : formatDuration(p99 * 1e9),
      ratio(cpu),
      ratio(memory),
    ],
    issues: state.issues.join("; "),
    note: otherMeasures(state.metrics, language),
  };
}

export function operationsTable(services: readonly ServiceJson[], language: Language): Block {
  const all = services.flatMap(({ service, operations }) =>
    operations.map((operation) => ({ service, ...operation })),
  );
  const busiest = all.toSorted((a, b) => b.requests - a.requests);
  return {
    kind: "table",
    columns: columns(language, ["service", "operation"], ["requests", "errors", "p50", "p99"]),
    rows: limited(busiest, language, (each) => ({
      outcome: each.errors > 0 ? "notice" : null,
      cells: [
        each.service,
        each.operation,
        formatCount(each.requests),
        formatPercent(each.error_rate),
        milliseconds(each.p50_ms),
        milliseconds(each.p99_ms),
      ],
    })),
  };
}

export function otherMeasures(metrics: HealthMetrics, language: Language): string {
  const { connection_count: open, max_connections: limit } = metrics;
  const measures: string[] = [];
  if (open !== undefined)
    measures.push(
      `${label("connections", language)} ${formatCount(open)}${limit === undefined ? "" : `/${formatCount(limit)}`}`,
    );
  const counts: readonly (readonly [LabelKey, number | undefined])[] = [
    ["queue", metrics.queue_depth],
    ["deadlocks", metrics.deadlock_count],
    ["slow_queries", metrics.slow_query_count],
    ["timeouts", metrics.timeout_count],
    ["rate_limited", metrics.rate_limit_hits],
  ];
  for (const [key, value] of counts)
    if (value !== undefined && value !== 0) measures.push(`${label(key, language)} ${formatCount(value)}`);
  return measures.join(", ");
}

export function outcomeOf(state: { readonly healthy: boolean; readonly issues: readonly string[] }): Outcome {
  if (!state.healthy) return "failed";
  return state.issues.length > 0 ? "notice" : "fine";
}

/** What was wrong with the data, a kind at a time: the first of a kind in words, of the others how many there are. */
export function problemList(problems: readonly Problem[], language: Language): Block {
  const byKind = new Map<string, Problem[]>();
  for (const problem of problems) mapEntry(byKind, problem.kind, () => []).push(problem);
  const items: ListItem[] = [];
  for (const [kind, ofKind] of byKind) {
    const [skewed, others] = [ofKind.filter(isSkew), ofKind.filter((problem) => !isSkew(problem))];
    const told = skewed.length > 1 ? [together(skewed, language), ...others] : ofKind;
    for (const { message, count: times, source, spans } of told.slice(0, problemsPerKindMax)) {
      const often = times > 1 ? ` ×${formatCount(times)}` : "";
      const where = source === undefined ? "" : ` (${source})`;
      items.push({ text: `${kind}${often}: ${message}${where}`, spans });
    }
    const n = told.length - problemsPerKindMax;
    if (n > 0) items.push({ text: label("more_of_kind", language, { kind, n }), spans: [] });
  }
  return { kind: "list", ordered: false, items };
}

function isSkew({ service, shift_ms: shift }: Problem): boolean {
  return service !== undefined && shift !== undefined;
}

/** Clocks are off in whole systems at once: one sentence for all services, with the worst of them. */
function together(skewed: readonly Problem[], language: Language): Problem {
  const worst = skewed.reduce((most, each) => ((each.shift_ms ?? 0) > (most.shift_ms ?? 0) ? each : most));
  const message = label("skewed_clocks", language, {
    n: skewed.length,
    service: worst.service ?? "",
    shift: milliseconds(worst.shift_ms ?? 0),
  });
  const count = skewed.reduce((sum, each) => sum + each.count, 0);
  return { kind: worst.kind, message, count, spans: [] };
}

/** Rows up to the limit, and one that says how many there are besides. */
export function limited<Item>(
  items: readonly Item[],
  language: Language,
  rowOf: (item: Item) => TableRow,
  rowsMax = rowCountMax,
): readonly TableRow[] {
  const rows = items.slice(0, rowsMax).map(rowOf);
  const more = items.length - rows.length;
  if (more > 0) rows.push({ outcome: null, cells: [label("more_rows", language, { n: more })] });
  return rows;
}

export function columns(
  language: Language,
  left: readonly LabelKey[],
  right: readonly LabelKey[],
): readonly Column[] {
  return [
    ...left.map((key): Column => ({ title: label(key, language), align: "left" })),
    ...right.map((key): Column => ({ title: label(key, language), align: "right" })),
  ];
}
