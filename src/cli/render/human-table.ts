import type { Line } from "./ansi.ts";
import type { Column, TableRow } from "./document.ts";
import { outcomeInk, type Pen } from "./pen.ts";

const gapColumns = 2;
const leftColumnsMin = 12;

/** A table as wide as its texts, or as the terminal: then its left-aligned columns are cut, numbers never. */
export function tableLines(columns: readonly Column[], rows: readonly TableRow[], pen: Pen): readonly Line[] {
  const wide = rows.filter(({ cells }) => cells.length > 1);
  const isUsed = columns.map((_, index) => wide.some(({ cells }) => (cells[index] ?? "") !== ""));
  const widths = columnWidths(columns, wide, isUsed, pen);
  const line = (cells: readonly string[], ink: "dim" | "plain"): Line =>
    columns.flatMap(({ align }, index) => {
      const width = widths[index] ?? 0;
      if (width === 0) return [];
      const cellInk = ink === "plain" && index === 0 ? "strong" : ink;
      return [
        ...pen.fit(pen.say(cells[index] ?? "", cellInk), width, align),
        pen.say(" ".repeat(gapColumns)),
      ];
    });
  const lines: Line[] = [
    [
      pen.say("    "),
      ...line(
        columns.map(({ title }) => title),
        "dim",
      ),
    ],
  ];
  for (const { outcome, cells, issues = "", note = "" } of rows) {
    const mark =
      outcome === null ? pen.say("    ") : pen.say(`  ${pen.symbols.outcome[outcome]} `, outcomeInk(outcome));
    if (cells.length === 1 && columns.length > 1)
      lines.push(...pen.sentence([mark], pen.say(cells[0] ?? "", "dim")));
    else lines.push([mark, ...line(cells, "plain")]);
    const below = pen.say("      ");
    if (issues !== "")
      lines.push(...pen.sentence([below], pen.say(issues, outcome === "failed" ? "bad" : "plain"), 3));
    if (note !== "") lines.push(...pen.sentence([below], pen.say(note, "dim"), 3));
  }
  return lines;
}

/** Natural widths, cut down to the terminal: the widest left-aligned column gives way first. */
function columnWidths(
  columns: readonly Column[],
  rows: readonly TableRow[],
  isUsed: readonly boolean[],
  pen: Pen,
): readonly number[] {
  const widths = columns.map(({ title }, index) =>
    isUsed[index]
      ? rows.reduce((width, { cells }) => Math.max(width, pen.width(cells[index] ?? "")), pen.width(title))
      : 0,
  );
  const room = pen.columns - 4;
  let excess = widths.reduce((sum, width) => sum + (width > 0 ? width + gapColumns : 0), -gapColumns) - room;
  while (excess > 0) {
    const widest = columns.reduce(
      (best, { align }, index) =>
        align === "left" && (widths[index] ?? 0) > (widths[best] ?? 0) ? index : best,
      0,
    );
    const width = widths[widest] ?? 0;
    if (width <= leftColumnsMin) break;
    widths[widest] = width - 1;
    excess -= 1;
  }
  return widths;
}
