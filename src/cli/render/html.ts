import { createHash } from "node:crypto";
import { kindText } from "../../advice/evidence-texts.ts";
import { formatDuration, formatPercent } from "../../advice/format-duration.ts";
import type { CandidateJson, EvidenceJson, Language } from "../../analysis/report.ts";
import {
  type BarRow,
  type Block,
  type Column,
  type ListItem,
  type Outcome,
  type ReportDocument,
  sentencesOf,
  type TableRow,
  type TreeRow,
} from "./document.ts";
import { escapeHtml, escapeScriptJson } from "./escape-html.ts";
import { styleSheet } from "./html-style.ts";
import { label, stateWord } from "./labels.ts";
import { graphSvg } from "./svg.ts";
import { unicodeSymbols } from "./symbols.ts";

/**
 * A report as one HTML file that opens offline: no script, no request, a content security policy that forbids both, the
 * report itself as JSON inside. Everything from telemetry is escaped.
 */
export function renderHtml(document: ReportDocument, json: string): string {
  const { language, title, verdict, sections } = document;
  const policy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(styleSheet).digest("base64")}'; base-uri 'none'; form-action 'none'`;
  const [what] = sentencesOf(verdict.sentence);
  const facts = verdict.facts.map((fact) => `<li>${escapeHtml(fact)}</li>`).join("");
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${unicodeSymbols.outcome[verdict.outcome]} ${escapeHtml(what)} ${escapeHtml(title)} - hypocenter</title>
<style>${styleSheet}</style>
</head>
<body>
<main>
<header class="verdict ${verdict.outcome}">
<p class="outcome">${signAnd(verdict.outcome, label(verdict.outcome, language))}</p>
<h1>${sentencesOf(verdict.sentence).map(escapeHtml).join("<br>")}</h1>
<ul class="facts">${facts}</ul>
</header>
${sections.map((section) => `<section>\n<h2>${escapeHtml(section.title)}</h2>\n${section.blocks.map((block) => blockHtml(block, language)).join("\n")}\n</section>`).join("\n")}
</main>
<script type="application/json" id="report">${escapeScriptJson(json)}</script>
</body>
</html>
`;
}

function blockHtml(block: Block, language: Language): string {
  switch (block.kind) {
    case "candidates":
      return candidatesHtml(block.items, language);
    case "tree":
      return treeHtml(block.rows, block.extentMs, language);
    case "facts":
      return `<dl>${block.rows.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`).join("")}</dl>`;
    case "list": {
      const element = block.ordered ? "ol" : "ul";
      return `<${element} class="items">${block.items.map(itemHtml).join("")}</${element}>`;
    }
    case "bars":
      return `<ul class="bars">${block.rows.map(barHtml).join("")}</ul>`;
    case "table":
      return tableHtml(block.columns, block.rows, language);
    case "graph":
      return graphSvg(block.picture, language);
  }
}

/** A sign and a word: never colour alone. */
function signAnd(outcome: Outcome, word: string): string {
  return `<span class="sign" aria-hidden="true">${unicodeSymbols.outcome[outcome]}</span> ${escapeHtml(word)}`;
}

function candidatesHtml(candidates: readonly CandidateJson[], language: Language): string {
  return candidates
    .map((candidate, index) => {
      const body = evidenceHtml(candidate, language);
      const head = candidateHead(candidate, language);
      const first = index === 0 ? " first" : "";
      if (body === "") return `<div class="candidate${first}">${head}</div>`;
      const open = index === 0 ? " open" : "";
      return `<details class="candidate${first}"${open}><summary>${head}</summary>${body}</details>`;
    })
    .join("\n");
}

function candidateHead({ rank, service, kind, operation, score }: CandidateJson, language: Language): string {
  const about =
    operation === undefined ? kindText(kind, language) : `${kindText(kind, language)}, ${operation}`;
  return `<span class="head"><span class="rank">${rank}</span><span class="name"><strong>${escapeHtml(service)}</strong> <span class="dim">${escapeHtml(about)}</span></span>${shareBar(score)}<span class="figure">${formatPercent(score)}</span></span>`;
}

function evidenceHtml({ edge, instance, evidence, issues }: CandidateJson, language: Language): string {
  const where: string[] = [];
  if (edge !== undefined) where.push(`${label("call", language)} ${edge.caller} → ${edge.callee}`);
  if (instance !== undefined) where.push(`${label("instance", language)} ${instance}`);
  const items = [
    ...where.map((text) => `<li class="dim">${escapeHtml(text)}</li>`),
    ...evidence.map((each) => statementHtml(each, language)),
    ...issues.map((issue) => `<li class="for">${escapeHtml(issue)}</li>`),
  ];
  return items.length === 0 ? "" : `<ul class="evidence">${items.join("")}</ul>`;
}

function statementHtml({ statement, direction, spans }: EvidenceJson, language: Language): string {
  const against = direction === "against" ? `<em>${escapeHtml(label("against", language))}:</em> ` : "";
  return `<li class="${direction === "against" ? "against" : "for"}">${against}${escapeHtml(statement)}${spansHtml(spans)}</li>`;
}

function itemHtml({ text, spans }: ListItem): string {
  return `<li>${escapeHtml(text)}${spansHtml(spans)}</li>`;
}

function spansHtml(spans: readonly string[]): string {
  return spans.map((id) => ` <code>${escapeHtml(id)}</code>`).join("");
}

function treeHtml(rows: readonly TreeRow[], extentMs: number, language: Language): string {
  const scale = `<li class="scale" aria-hidden="true"><span></span><span></span><span class="ends"><span>0</span><span>${formatDuration(extentMs * 1e6)}</span></span></li>`;
  const items = rows.map((row) => {
    const depth = `d${row.depth}`;
    if (row.kind === "folded")
      return `<li class="${depth} folded"><span class="name">${escapeHtml(row.text)}</span></li>`;
    const sign =
      row.outcome === null
        ? ""
        : `<span class="sign" title="${escapeHtml(label(row.outcome, language))}">${unicodeSymbols.outcome[row.outcome]}</span> `;
    const error = row.error === null ? "" : escapeHtml(row.error);
    const below =
      row.origin !== null
        ? `<span class="began">← ${escapeHtml(row.origin)}${error === "" ? "" : `: ${error}`}</span>`
        : error === ""
          ? ""
          : `<span class="dim">${error}</span>`;
    const classes = [depth, row.outcome ?? "passed", ...(row.origin !== null ? ["origin"] : [])].join(" ");
    return `<li class="${classes}"><span class="name">${sign}<strong>${escapeHtml(row.service)}</strong> ${escapeHtml(row.operation)} ${below}</span><span class="figure">${formatDuration(row.durationMs * 1e6)}</span>${timeBar(row.startMs, row.durationMs, extentMs)}</li>`;
  });
  return `<ul class="tree">${scale}${items.join("")}</ul>`;
}

function timeBar(startMs: number, durationMs: number, extentMs: number): string {
  const percent = (ms: number): number =>
    extentMs > 0 ? Math.round((Math.max(0, ms) / extentMs) * 10_000) / 100 : 0;
  const start = Math.min(99.4, percent(startMs));
  const length = Math.min(100 - start, Math.max(0.6, percent(durationMs)));
  return `<svg class="bar" aria-hidden="true"><rect class="ground" width="100%" height="100%"/><rect class="part" x="${start}%" width="${length}%" height="100%"/></svg>`;
}

function shareBar(share: number): string {
  return timeBar(0, Math.min(1, Math.max(0, share)), 1);
}

function barHtml({ share, amount, name, detail }: BarRow): string {
  return `<li><span class="figure">${formatPercent(share)}</span>${shareBar(share)}<span class="figure">${escapeHtml(amount)}</span><span class="name"><strong>${escapeHtml(name)}</strong> ${escapeHtml(detail)}</span></li>`;
}

function tableHtml(columns: readonly Column[], rows: readonly TableRow[], language: Language): string {
  const head = columns.map(({ title, align }) => `<th class="${align}">${escapeHtml(title)}</th>`).join("");
  const body = rows.map(({ outcome, cells, issues = "", note = "" }) => {
    const sign = outcome === null ? "" : signAnd(outcome, stateWord(outcome, language));
    const values =
      cells.length === 1 && columns.length > 1
        ? `<td colspan="${columns.length}" class="dim">${escapeHtml(cells[0] ?? "")}</td>`
        : columns
            .map(({ align }, index) => `<td class="${align}">${escapeHtml(cells[index] ?? "")}</td>`)
            .join("");
    const below = [issues === "" ? "" : `<span class="issues">${escapeHtml(issues)}</span>`, escapeHtml(note)]
      .filter((part) => part !== "")
      .join("<br>");
    const more =
      below === ""
        ? ""
        : `<tr class="note ${outcome ?? ""}"><td></td><td colspan="${columns.length}">${below}</td></tr>`;
    return `<tr class="${outcome ?? ""}"><td class="state">${sign}</td>${values}</tr>${more}`;
  });
  return `<div class="scroll"><table><thead><tr><th></th>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}
