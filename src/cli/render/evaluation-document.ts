import type { Language } from "../../analysis/report.ts";
import type {
  CaseJson,
  EvaluationJson,
  MeanJson,
  RankerJson,
  SummaryJson,
} from "../../evaluation/evaluation.ts";
import type { BoundedFigures, Figures } from "../../evaluation/scores.ts";
import type { Block, ReportDocument, Section, TableRow } from "./document.ts";
import { listed } from "./figures.ts";
import { type LabelKey, label } from "./labels.ts";
import { columns, limited } from "./report-blocks.ts";

/** How often the cause is found: in all and by group, against simple rules, what else was scored, and the cases. */
export function evaluationDocument({ cases, summary }: EvaluationJson, language: Language): ReportDocument {
  const { overall, scored, failed, unlabelled, seconds, rankers, calibration } = summary;
  const sections: readonly Section[] = [
    { title: label("figures_title", language), blocks: scored > 0 ? [figuresTable(summary, language)] : [] },
    {
      title: label("rankers_title", language),
      blocks:
        rankers.length > 1
          ? [rankersTable(summary, language), noteBlock(label("rankers_note", language))]
          : [],
    },
    {
      title: label("by_dataset", language),
      blocks: rankers.length > 1 ? groupTables(rankers, "datasets", language) : [],
    },
    {
      title: label("by_fault_type", language),
      blocks: rankers.length > 1 ? groupTables(rankers, "fault_types", language) : [],
    },
    { title: label("further_figures", language), blocks: furtherBlocks(summary, language) },
    {
      title: label("calibration_title", language),
      blocks: calibration === null ? [] : calibrationBlocks(calibration, language),
    },
    { title: label("cases_title", language), blocks: [casesTable(cases, language)] },
  ];
  const percent = (value: number): string => `${Math.round(value * 100)} %`;
  return {
    language,
    title: label("evaluation_title", language),
    verdict: {
      outcome: failed > 0 ? "failed" : scored === 0 ? "notice" : "fine",
      sentence:
        scored === 0
          ? label("evaluation_nothing", language)
          : label("evaluation_verdict", language, {
              n: scored,
              first: percent(overall.ac1),
              three: percent(overall.ac3),
              five: percent(overall.ac5),
            }),
      facts: [
        label("evaluation_cases", language, { n: cases.length }),
        ...(failed > 0 ? [label("evaluation_failed", language, { n: failed })] : []),
        ...(unlabelled > 0 ? [label("evaluation_unlabelled", language, { n: unlabelled })] : []),
        label("evaluation_seconds", language, { p50: seconds.p50.toFixed(2), max: seconds.max.toFixed(2) }),
      ],
    },
    sections: sections.filter(({ blocks }) => blocks.length > 0),
  };
}

const measures = ["ac1", "ac3", "ac5", "avg5", "mrr"] as const satisfies readonly LabelKey[];

function figuresTable(summary: SummaryJson, language: Language): Block {
  const { overall, macro, datasets, fault_types, signals, impact_types } = summary;
  const groups = [datasets, fault_types, signals, impact_types].flatMap((group) => Object.entries(group));
  return {
    kind: "table",
    columns: columns(
      language,
      ["figures_group"],
      ["figures_number", "ac1", "interval", ...measures.slice(1)],
    ),
    rows: [
      figuresRow(label("figures_all", language), overall),
      ...(macro.cases === 0
        ? []
        : [figuresRow(label("figures_macro", language), { ...macro, ac1_interval: null })]),
      ...groups.map(([name, figures]) => figuresRow(name, figures)),
    ],
  };
}

function figuresRow(name: string, figures: Figures & Pick<BoundedFigures, "ac1_interval">): TableRow {
  const { cases, ac1, ac3, ac5, avg5, mrr } = figures;
  return {
    outcome: null,
    cells: [name, String(cases), figure(ac1), interval(figures), ...[ac3, ac5, avg5, mrr].map(figure)],
  };
}

function rankersTable({ rankers, healthy }: SummaryJson, language: Language): Block {
  return {
    kind: "table",
    columns: columns(
      language,
      ["ranker"],
      ["ac1", "interval", "ac3", "ac5", "mrr", "macro", "chance", "alarms"],
    ),
    rows: rankers.map((each) => {
      const { ranker, ac1, ac3, ac5, mrr, macro, paired: pairs } = each;
      const chance = pairs === undefined ? "" : pairs.p < 0.001 ? "<.001" : pairs.p.toFixed(3);
      const alarms = healthy.windows === 0 ? "" : `${each.false_alarms}/${healthy.windows}`;
      const figures = [ac3, ac5, mrr].map(figure);
      const macroAc1 = macro.cases === 0 ? "" : figure(macro.ac1);
      return {
        outcome: null,
        cells: [ranker, figure(ac1), interval(each), ...figures, macroAc1, chance, alarms],
      };
    }),
  };
}

function noteBlock(text: string): Block {
  return { kind: "list", ordered: false, items: [{ text, spans: [] }] };
}

/** As many groups side by side as fit on a common terminal, in as many tables as people read. */
const groupsPerTable = 4;
const groupsShownMax = 8;

/** AC@1 of every ranker in every group. */
function groupTables(
  rankers: readonly RankerJson[],
  groups: "datasets" | "fault_types",
  language: Language,
): readonly Block[] {
  const names = Object.keys(rankers[0]?.[groups] ?? {});
  const tables: Block[] = [];
  for (let at = 0; at < Math.min(names.length, groupsShownMax); at += groupsPerTable) {
    const shown = names.slice(at, Math.min(at + groupsPerTable, groupsShownMax));
    tables.push({
      kind: "table",
      columns: [
        ...columns(language, ["ranker"], []),
        ...shown.map((title) => ({ title, align: "right" as const })),
      ],
      rows: rankers.map((each) => ({
        outcome: null,
        cells: [each.ranker, ...shown.map((name) => figure(each[groups][name]?.ac1 ?? Number.NaN))],
      })),
    });
  }
  const more = names.length - groupsShownMax;
  if (more > 0) tables.push(noteBlock(label("more_rows", language, { n: more })));
  return tables;
}

/** What only some cases tell; empty where none does. */
function furtherBlocks(summary: SummaryJson, language: Language): readonly Block[] {
  const { two_causes: two, healthy, silent, levels, calibration: sure } = summary;
  const row = (key: LabelKey, value: string, cases: number): TableRow => ({
    outcome: null,
    cells: [label(key, language), value, String(cases)],
  });
  const mean = (key: LabelKey, value: MeanJson | null): readonly TableRow[] =>
    value === null ? [] : [row(key, figure(value.mean), value.cases)];
  const { windows, false_alarms: alarms } = healthy;
  const rows = [
    ...mean("two_causes", two === null ? null : { cases: two.cases, mean: two.recall2 }),
    ...(windows === 0 ? [] : [row("false_alarms", String(alarms), windows)]),
    ...(silent.cases === 0
      ? []
      : [
          row("silent_nobody", String(silent.named_nobody), silent.cases),
          row("silent_cause", String(silent.named_cause), silent.cases),
        ]),
    ...mean("instance_ac1", levels.instance_ac1),
    ...mean("operation_ac1", levels.operation_ac1),
    ...mean("edge_ac1", levels.edge_ac1),
    ...mean("propagation_f1", summary.propagation_f1),
    ...mean("blast_radius_jaccard", summary.blast_radius_jaccard),
    ...(sure === null
      ? []
      : [
          row("ece", figure(sure.ece), sure.answers),
          row("covered_ac1", figure(sure.accuracy_at_coverage), sure.answers),
        ]),
  ];
  if (rows.length === 0) return [];
  return [{ kind: "table", columns: columns(language, ["figure"], ["value", "figures_number"]), rows }];
}

function calibrationBlocks(
  { bins }: NonNullable<SummaryJson["calibration"]>,
  language: Language,
): readonly Block[] {
  return [
    {
      kind: "table",
      columns: columns(language, ["confidence"], ["answers", "confidence", "accuracy"]),
      rows: bins.map(({ from, to, answers, confidence, accuracy }) => ({
        outcome: null,
        cells: [
          `${from.toFixed(1)} … ${to.toFixed(1)}`,
          String(answers),
          figure(confidence),
          figure(accuracy),
        ],
      })),
    },
  ];
}

function casesTable(cases: readonly CaseJson[], language: Language): Block {
  const worth = ({ rank, truth, error }: CaseJson): number =>
    error !== undefined ? 0 : truth.length === 0 ? 3 : rank === null ? 1 : 2 + 1 / (1 + rank);
  const worstFirst = [...cases].sort((a, b) => worth(a) - worth(b) || (a.case_id < b.case_id ? -1 : 1));
  return {
    kind: "table",
    columns: columns(language, ["case_id", "truth", "first_candidate"], ["rank"]),
    rows: limited(worstFirst, language, ({ case_id, truth, candidates, rank, error }) => ({
      outcome: error !== undefined ? "failed" : truth.length === 0 ? null : rank === 1 ? "fine" : "notice",
      cells: [case_id, listed(truth), candidates[0] ?? "-", rank === null ? "-" : String(rank)],
      ...(error === undefined ? {} : { issues: error }),
    })),
  };
}

/** Two digits are all that a few hundred cases can bear. */
function figure(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : "-";
}

function interval({ ac1_interval: bounds }: Pick<BoundedFigures, "ac1_interval">): string {
  return bounds === null ? "" : `${figure(bounds[0])}-${figure(bounds[1])}`;
}
