import { readFileSync } from "node:fs";

export const scoringPagePath = "docs/scoring.md";
const tablePath = "src/model/scoring.ts";

/** Constants that one comment explains together. */
interface Explained {
  readonly reason: string;
  readonly constants: readonly { readonly name: string; readonly value: string }[];
}

const constant =
  /^export (?:const (\w+)(?:: [^=]+)? =\s*([\s\S]*?);|function (\w+)\([\s\S]*?\): \w+ \{\n([\s\S]*?)\n\})$/;

/** The scoring constants with their reasons, read from the table itself; a constant without a reason is an error. */
export function scoringConstants(): readonly Explained[] {
  const [, ...blocks] = readFileSync(tablePath, "utf8").split(/^(?=\/\*\*)/m);
  return blocks.map((block) => {
    const [, comment = "", code = ""] = /^\/\*\*([\s\S]*?)\*\/\n([\s\S]*)$/.exec(block) ?? [];
    const reason = comment
      .split("\n")
      .map((line) => line.replace(/^\s*\*? ?/, "").trim())
      .filter((line) => line !== "")
      .join(" ");
    const statements = code.trim().split(/\n(?=export )/);
    const constants = statements.map((statement) => {
      const found = constant.exec(statement.trim());
      if (found === null) throw new Error(`${tablePath}: neither a constant nor a function:\n${statement}`);
      const [, name, value = "", functionName = "", body = ""] = found;
      return { name: name ?? functionName, value: (name === undefined ? body : value).trim() };
    });
    return { reason, constants };
  });
}

/** The names that the table exports, however it is written. */
export function exportedNames(): readonly string[] {
  const text = readFileSync(tablePath, "utf8");
  return [...text.matchAll(/^export (?:const|function) (\w+)/gm)].map(([, name = ""]) => name);
}

/** The page about scoring: its head as it stands, and below the mark the table as it is now. */
export function scoringPage(): string {
  const [head = ""] = readFileSync(scoringPagePath, "utf8").split(mark);
  const rows = scoringConstants().flatMap(({ reason, constants }) =>
    constants.map(
      ({ name, value }, i) =>
        `| \`${name}\` | ${valueCell(value)} | ${i === 0 ? cell(reason) : "as above"} |`,
    ),
  );
  return `${[`${head}${mark}`, "", "| constant | value | meaning, reason, source |", "|---|---|---|", ...rows].join("\n")}\n`;
}

const mark =
  "<!-- Below, everything is written by `npm run docs` from src/model/scoring.ts; a test compares. -->";

function valueCell(value: string): string {
  const plain = value
    .replace(/ as const$/, "")
    .replace(/^return /, "")
    .replace(/;$/, "")
    .replace(/\s+/g, " ")
    .replace(/,? \}/g, " }")
    .replace(/(\d)_(?=\d{3})/g, "$1,");
  return `\`${plain.replaceAll("|", "\\|")}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
