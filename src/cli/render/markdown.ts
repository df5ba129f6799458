import { kindText } from "../../advice/evidence-texts.ts";
import { formatPercent } from "../../advice/format-duration.ts";
import type { CandidateJson, EvidenceJson, Language } from "../../analysis/report.ts";
import { printed, type Style } from "./ansi.ts";
import {
  type BarRow,
  type Block,
  type Column,
  type ListItem,
  type ReportDocument,
  sentencesOf,
  type TableRow,
} from "./document.ts";
import { treeLines } from "./human-tree.ts";
import { label, stateWord } from "./labels.ts";
import { renderMermaid } from "./mermaid.ts";
import { Pen } from "./pen.ts";
import { unicodeSymbols } from "./symbols.ts";
import { visible } from "./text-width.ts";

/** A report to paste into a ticket or a chat: GitHub Markdown with a Mermaid graph. All text is escaped. */
export function renderMarkdown({ language, title, verdict, sections }: ReportDocument): string {
  const [what, ...why] = sentencesOf(verdict.sentence);
  const parts = [
    `# ${unicodeSymbols.outcome[verdict.outcome]} ${escaped(title)}: ${escaped(what)}`,
    why.length === 0 ? "" : `**${escaped(why.join(" "))}**`,
    verdict.facts.map(escaped).join(" · "),
  ];
  for (const section of sections)
    parts.push(`## ${escaped(section.title)}`, ...section.blocks.map((block) => blockText(block, language)));
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function blockText(block: Block, language: Language): string {
  switch (block.kind) {
    case "candidates":
      return block.items.map((candidate) => candidateText(candidate, language)).join("\n");
    case "tree": {
      const style: Style = { width: 100, color: false, unicode: true };
      return fenced("text", printed(treeLines(block.rows, block.extentMs, new Pen(style)), style));
    }
    case "facts":
      return block.rows.map(([name, value]) => `- **${escaped(name)}**: ${escaped(value)}`).join("\n");
    case "list":
      return block.items
        .map((item, index) => itemText(item, block.ordered ? `${index + 1}.` : "-"))
        .join("\n");
    case "bars":
      return block.rows.map(barText).join("\n");
    case "table":
      return tableText(block.columns, block.rows, language);
    case "graph":
      return fenced("mermaid", renderMermaid(block.picture));
  }
}

function candidateText(candidate: CandidateJson, language: Language): string {
  const { rank, service, kind, operation, edge, instance, score, evidence, issues } = candidate;
  const about = [kindText(kind, language), operation ?? ""];
  if (edge !== undefined) about.push(`${label("call", language)} ${edge.caller} → ${edge.callee}`);
  if (instance !== undefined) about.push(`${label("instance", language)} ${instance}`);
  const what = about
    .filter((part) => part !== "")
    .map(escaped)
    .join(", ");
  return [
    `${rank}. **${escaped(service)}** (${what}): ${formatPercent(score)}`,
    ...evidence.map((each) => `   - ${evidenceText(each, language)}`),
    ...issues.map((issue) => `   - ${escaped(issue)}`),
  ].join("\n");
}

function evidenceText({ statement, direction, spans }: EvidenceJson, language: Language): string {
  const against = direction === "against" ? `_${label("against", language)}:_ ` : "";
  return against + escaped(statement) + spanText(spans);
}

function itemText({ text, spans }: ListItem, mark: string): string {
  return `${mark} ${escaped(text)}${spanText(spans)}`;
}

function spanText(spans: readonly string[]): string {
  return spans.map((id) => ` \`${visible(id).replaceAll("`", "'")}\``).join("");
}

function barText({ share, amount, name, detail }: BarRow): string {
  return `- ${formatPercent(share)} (${amount}) **${escaped(name)}** ${escaped(detail)}`;
}

function tableText(columns: readonly Column[], rows: readonly TableRow[], language: Language): string {
  const hasNotes = rows.some((row) => noteOf(row) !== "");
  const lines = [
    line(["", ...columns.map(({ title }) => escaped(title)), ...(hasNotes ? [""] : [])]),
    line([
      "---",
      ...columns.map(({ align }) => (align === "right" ? "---:" : "---")),
      ...(hasNotes ? ["---"] : []),
    ]),
  ];
  for (const { outcome, cells, ...row } of rows)
    lines.push(
      line([
        outcome === null ? "" : `${unicodeSymbols.outcome[outcome]} ${stateWord(outcome, language)}`,
        ...columns.map((_, index) => escaped(cells[index] ?? "")),
        ...(hasNotes ? [escaped(noteOf(row))] : []),
      ]),
    );
  return lines.join("\n");
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function noteOf({ issues = "", note = "" }: Pick<TableRow, "issues" | "note">): string {
  return [issues, note].filter((part) => part !== "").join("; ");
}

/** A fence longer than any run of backticks in the text. */
function fenced(kind: string, text: string): string {
  const longest = (text.match(/`+/g) ?? []).reduce((length, run) => Math.max(length, run.length), 2);
  const fence = "`".repeat(longest + 1);
  return `${fence}${kind}\n${text}${fence}`;
}

/** Text that stays text: no markup, HTML, link, mention or table cell comes out of a service name. */
function escaped(text: string): string {
  return visible(text)
    .replace(/[\\`*_{}[\]#|~!$]|[&<>@]|:(?=\/\/)|\bwww(?=\.)/gi, (sign) =>
      /^[&<>@:w]/i.test(sign) ? entity(sign) : `\\${sign}`,
    )
    .replace(
      /^(\s*)([-+]|\d+[.)])(?=\s)/,
      (_, blanks: string, mark: string) => `${blanks}${mark.slice(0, -1)}\\${mark.slice(-1)}`,
    );
}

function entity(sign: string): string {
  return `&#${sign.charCodeAt(0)};${sign.slice(1)}`;
}
