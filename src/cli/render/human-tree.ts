import { formatDuration } from "../../advice/format-duration.ts";
import type { Line, Piece } from "./ansi.ts";
import type { TreeRow } from "./document.ts";
import { outcomeInk, type Pen } from "./pen.ts";

const durationColumns = 9;

/**
 * The span tree with each span's place in the time of the trace; the origin carries its error and the words "began here".
 *
 *     ✗ web GET /checkout              1.24 s  ████████████████████
 *     └ ✗ db INSERT orders             900 ms  ░░░███████████████░░
 *         ← began here: deadlock detected
 */
export function treeLines(rows: readonly TreeRow[], extentMs: number, pen: Pen): readonly Line[] {
  const barColumns = Math.min(48, Math.max(14, Math.floor(pen.columns / 4)));
  const nameColumns = pen.columns - 2 - durationColumns - 2 - barColumns;
  const scaleEnd = ` ${formatDuration(extentMs * 1e6)}`;
  const scale = `0 ${pen.symbols.dash.repeat(Math.max(0, barColumns - 2 - scaleEnd.length))}${scaleEnd}`;
  const lines: Line[] = [[pen.say(`${" ".repeat(pen.columns - barColumns)}${scale}`, "dim")]];
  let shownError: string | null = null;
  for (const row of rows) {
    const prefix = prefixOf(row, pen);
    if (row.kind === "folded") {
      lines.push([pen.say(`  ${prefix}${row.text}`, "dim")]);
      continue;
    }
    lines.push([
      pen.say("  "),
      ...pen.fitLine(
        [pen.say(prefix, "dim"), ...nameOf(row, nameColumns - pen.width(prefix), pen)],
        nameColumns,
      ),
      ...pen.fit(pen.say(formatDuration(row.durationMs * 1e6)), durationColumns, "right"),
      pen.say("  "),
      ...timeBar(row, extentMs, barColumns, pen),
    ]);
    const error: string | null = row.error === "" || row.error === shownError ? null : row.error;
    if (error !== null) shownError = error;
    const below = pen.say(`  ${belowOf(row, pen)}  `, "dim");
    if (row.origin !== null) {
      const here = `${pen.symbols.back} ${row.origin}`;
      lines.push(...pen.sentence([below], pen.say(error === null ? here : `${here}: ${error}`, "bad"), 3));
    } else if (error !== null) lines.push(...pen.sentence([below], pen.say(error, "dim"), 1));
  }
  return lines;
}

function prefixOf({ depth, rails, isLast }: TreeRow, { symbols }: Pen): string {
  if (depth === 0) return "";
  return railsOf(rails, symbols.rail) + (isLast ? symbols.corner : symbols.branch);
}

/** What continues below a row: the lines of its ancestors, and its own if siblings follow. */
function belowOf({ depth, rails, isLast }: TreeRow, { symbols }: Pen): string {
  return depth === 0 ? "" : railsOf([...rails, !isLast], symbols.rail);
}

function railsOf(rails: readonly boolean[], rail: string): string {
  return rails.map((continues) => (continues ? rail : "  ")).join("");
}

function nameOf(row: Extract<TreeRow, { kind: "span" }>, room: number, pen: Pen): readonly Piece[] {
  const { outcome, service, operation } = row;
  const mark =
    outcome === null
      ? pen.say(`${pen.symbols.dot} `, "dim")
      : pen.say(`${pen.symbols.outcome[outcome]} `, outcomeInk(outcome));
  const left = Math.max(4, room - 2);
  const name = pen.cut(service, Math.max(Math.floor(left / 2), left - pen.width(operation) - 1));
  const rest = left - pen.width(name) - 1;
  const ink = row.origin !== null ? "bad" : outcome === "failed" ? "strong" : "plain";
  return [mark, pen.say(name, ink), pen.say(rest > 3 ? ` ${pen.cut(operation, rest)}` : "")];
}

/** Where the span lies in the trace: full where it failed or began, half where it is only on the way. */
function timeBar(row: Extract<TreeRow, { kind: "span" }>, extentMs: number, columns: number, pen: Pen): Line {
  const scale = extentMs > 0 ? columns / extentMs : 0;
  const start = Math.min(columns - 1, Math.max(0, Math.floor(row.startMs * scale)));
  const length = Math.min(columns - start, Math.max(1, Math.round(row.durationMs * scale)));
  const cell = row.outcome === null ? pen.symbols.half : pen.symbols.full;
  const ink = row.origin !== null ? "bad" : row.outcome === null ? "dim" : "good";
  return [
    pen.say(pen.symbols.empty.repeat(start), "dim"),
    pen.say(cell.repeat(length), ink),
    pen.say(pen.symbols.empty.repeat(columns - start - length), "dim"),
  ];
}
