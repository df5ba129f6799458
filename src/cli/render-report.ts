import type { Language } from "../analysis/report.ts";
import type { OutputFormat } from "../config/settings.ts";
import { writeJson } from "../wire/write-json.ts";
import { type CommandRun, usesColor } from "./command.ts";
import type { Style } from "./render/ansi.ts";
import { renderDot } from "./render/dot.ts";
import { renderHtml } from "./render/html.ts";
import { renderHuman } from "./render/human.ts";
import { renderMarkdown } from "./render/markdown.ts";
import { renderMermaid } from "./render/mermaid.ts";
import { documentOf, type Printable, pictureOf } from "./render/printable.ts";

/** A result in the form that the user asked for. */
export function renderResult(run: CommandRun, printable: Printable): string {
  const { format, settings } = run;
  return renderPrintable(printable, { format, language: settings.lang, style: styleOf(run) });
}

interface Form {
  readonly format: OutputFormat;
  readonly language: Language;
  /** of human text */
  readonly style: Style;
}

/** Human text for readers of whom nothing is known. */
export const plainStyle: Style = { width: 100, color: false, unicode: true };

/** A result in any form. */
export function renderPrintable(printable: Printable, { format, language, style }: Form): string {
  switch (format) {
    case "json":
      return writeJson(plainOf(printable), { pretty: true });
    case "human":
      return renderHuman(documentOf(printable, language), style);
    case "markdown":
      return renderMarkdown(documentOf(printable, language));
    case "html":
      return renderHtml(documentOf(printable, language), writeJson(plainOf(printable)));
    case "mermaid":
      return renderMermaid(pictureOf(printable, language) ?? noPicture);
    case "dot":
      return renderDot(pictureOf(printable, language) ?? noPicture);
  }
}

const noPicture = { nodes: [], edges: [] };

function plainOf(printable: Printable): unknown {
  switch (printable.kind) {
    case "graph":
      return printable.graph;
    case "services":
      return { services: printable.services };
    case "trace":
    case "window":
    case "structural":
    case "incident":
      return printable.report;
    case "incidents":
    case "traces":
      return printable.list;
    case "doctor":
      return printable.doctor;
    case "evaluation":
      return printable.evaluation;
  }
}

function styleOf(run: CommandRun): Style {
  const { stdout, env } = run.host;
  return {
    width: stdout.columns ?? plainStyle.width,
    color: usesColor(run),
    unicode: speaksUnicode(env),
  };
}

/** The usual variables decide, the strongest first; nothing set = yes, as in containers and on Windows Terminal. */
function speaksUnicode(env: CommandRun["host"]["env"]): boolean {
  const locale = env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "";
  return env["TERM"] !== "dumb" && (locale === "" || /utf-?8/i.test(locale));
}
