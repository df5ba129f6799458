import { kindText } from "../../advice/evidence-texts.ts";
import { formatPercent } from "../../advice/format-duration.ts";
import type { CandidateJson, Language } from "../../analysis/report.ts";
import { type Line, printed, type Style } from "./ansi.ts";
import { type BarRow, type Block, type ListItem, type ReportDocument, sentencesOf } from "./document.ts";
import { tableLines } from "./human-table.ts";
import { treeLines } from "./human-tree.ts";
import { label } from "./labels.ts";
import { outcomeInk, Pen } from "./pen.ts";

/** A report for a person at a terminal: the verdict first, then why, how, who is hit and what to do. */
export function renderHuman({ language, verdict, sections }: ReportDocument, style: Style): string {
  const pen = new Pen(style);
  const mark = pen.say(`${pen.symbols.outcome[verdict.outcome]} `, outcomeInk(verdict.outcome));
  const [what, ...why] = sentencesOf(verdict.sentence);
  const lines: Line[] = [
    ...pen.sentence([mark], pen.say(what, "strong")),
    ...why.flatMap((each) => pen.sentence([pen.say("  ")], pen.say(each, "strong"))),
    ...factLines(verdict.facts, pen),
  ];
  for (const { title, blocks } of sections) {
    const shown = blocks.flatMap((block) => blockLines(block, language, pen));
    if (shown.length > 0) lines.push([], [pen.say(title.toUpperCase(), "heading")], ...shown);
  }
  return printed(lines, style);
}

/** A graph is drawn by other formats; in a terminal its tables and trees say the same. */
function blockLines(block: Block, language: Language, pen: Pen): readonly Line[] {
  switch (block.kind) {
    case "candidates":
      return candidateLines(block.items, language, pen);
    case "tree":
      return treeLines(block.rows, block.extentMs, pen);
    case "facts":
      return namedLines(block.rows, pen);
    case "list":
      return block.items.flatMap((item, index) => itemLines(item, block.ordered ? index + 1 : null, pen));
    case "bars":
      return barLines(block.rows, pen);
    case "table":
      return tableLines(block.columns, block.rows, pen);
    case "graph":
      return [];
  }
}

/** Short facts side by side, as many as fit on a line. */
function factLines(facts: readonly string[], pen: Pen): readonly Line[] {
  const lines: string[] = [];
  for (const fact of facts) {
    const longer = `${lines.at(-1) ?? ""} ${pen.symbols.dot} ${fact}`;
    if (lines.length > 0 && pen.width(longer) <= pen.columns - 2) lines[lines.length - 1] = longer;
    else lines.push(fact);
  }
  return lines.flatMap((line) => pen.sentence([pen.say("  ")], pen.say(line, "dim")));
}

/** The first candidate with its evidence; the others, which are only worth a thought, in a line each. */
function candidateLines(candidates: readonly CandidateJson[], language: Language, pen: Pen): readonly Line[] {
  return candidates.flatMap((candidate, index) => [
    candidateLine(candidate, language, pen),
    ...(index === 0 ? evidenceLines(candidate, language, pen) : []),
  ]);
}

function candidateLine(candidate: CandidateJson, language: Language, pen: Pen): Line {
  const { rank, service, score, operation } = candidate;
  const kind = kindText(candidate.kind, language);
  const about = operation === undefined ? kind : `${kind}, ${operation}`;
  const barColumns = 10;
  const room = pen.columns - 5 - barColumns - 7;
  const name = pen.cut(service, Math.max(12, Math.floor(room * 0.5)));
  const rest = pen.cut(about, room - pen.width(name) - 2);
  const gap = " ".repeat(Math.max(1, room - pen.width(name) - 2 - pen.width(rest)));
  return [
    pen.say(`${String(rank).padStart(3)}  `),
    pen.say(name, rank === 1 ? "bad" : "strong"),
    pen.say(`  ${rest}${gap}`),
    ...pen.bar(score, barColumns, rank === 1 ? "bad" : "plain"),
    pen.say(formatPercent(score).padStart(6)),
  ];
}

function evidenceLines(candidate: CandidateJson, language: Language, pen: Pen): readonly Line[] {
  const { issues, evidence } = candidate;
  const lines = evidence.flatMap(({ statement, direction, spans }) => {
    const isFor = direction === "for";
    const mark = pen.say(`     ${isFor ? "+" : pen.symbols.minus} `, isFor ? "bad" : "good");
    const text = isFor ? statement : `${label("against", language)}: ${statement}`;
    return pen.withSpans([mark], text, spans);
  });
  if (candidate.edge !== undefined) {
    const { caller, callee } = candidate.edge;
    lines.unshift([pen.say(`     ${label("call", language)} ${caller} → ${callee}`, "dim")]);
  }
  if (candidate.instance !== undefined)
    lines.unshift([pen.say(`     ${label("instance", language)} ${candidate.instance}`, "dim")]);
  const seen = issues.flatMap((issue) => pen.sentence([pen.say("     + ", "bad")], pen.say(issue)));
  return [...lines, ...seen];
}

function namedLines(rows: readonly (readonly [name: string, value: string])[], pen: Pen): readonly Line[] {
  const widest = Math.max(...rows.map(([name]) => pen.width(name)));
  const widestValue = Math.max(...rows.map(([, value]) => pen.width(value)));
  // names are cut only where values need the room
  const column = Math.min(widest, Math.max(Math.floor(pen.columns / 3), pen.columns - 4 - widestValue));
  return rows.flatMap(([name, value]) =>
    pen.sentence([pen.say("  "), ...pen.fit(pen.say(name, "dim"), column), pen.say("  ")], pen.say(value)),
  );
}

function itemLines({ text, spans }: ListItem, number: number | null, pen: Pen): readonly Line[] {
  const mark = number === null ? `  ${pen.symbols.dot} ` : `${String(number).padStart(3)}. `;
  return pen.withSpans([pen.say(mark)], text, spans);
}

function barLines(rows: readonly BarRow[], pen: Pen): readonly Line[] {
  const barColumns = 12;
  const room = pen.columns - 2 - 6 - 1 - barColumns - 1 - 9 - 2;
  return rows.map(({ share, amount, name, detail }) => {
    const service = pen.cut(name, Math.floor(room * 0.5));
    return [
      pen.say(`  ${formatPercent(share).padStart(6)} `),
      ...pen.bar(share, barColumns, "good"),
      pen.say(` ${amount.padStart(9)}  `),
      pen.say(service, "strong"),
      pen.say(` ${pen.cut(detail, Math.max(0, room - pen.width(service) - 1))}`),
    ];
  });
}
