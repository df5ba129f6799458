import { cutMiddle, headOf, visible, widthOf, wrap } from "./text-width.ts";

/** How a terminal wants its text. */
export interface Style {
  /** columns, kept within `widthMin`..`widthMax` */
  readonly width: number;
  readonly color: boolean;
  readonly unicode: boolean;
}

const widthMin = 60;
const widthMax = 160;

/** What a piece of text means. Colour only repeats what a symbol or a word says: blue and orange stay apart for colour-blind eyes. */
export type Ink = "plain" | "strong" | "bad" | "good" | "dim" | "heading";

export interface Piece {
  readonly text: string;
  readonly ink: Ink;
}

/** One line of output. Its pieces are visible text already. */
export type Line = readonly Piece[];

/** Text from anywhere, made safe for the terminal. */
export function piece(text: string, ink: Ink = "plain"): Piece {
  return { text: visible(text), ink };
}

export function lineWidth(line: Line): number {
  return line.reduce((width, { text }) => width + widthOf(text), 0);
}

/** A piece cut or filled with blanks to exactly `width` columns. */
export function fitted(
  { text, ink }: Piece,
  width: number,
  options: { readonly align?: "left" | "right"; readonly ellipsis: string },
): Line {
  const cut = cutMiddle(text, width, options.ellipsis);
  const blanks: Piece = { text: " ".repeat(Math.max(0, width - widthOf(cut))), ink: "plain" };
  return options.align === "right" ? [blanks, { text: cut, ink }] : [{ text: cut, ink }, blanks];
}

/** A sentence below itself: `first` opens the first line, as many blanks the others. */
export function wrapped(
  first: Line,
  { text, ink }: Piece,
  options: { readonly width: number; readonly linesMax?: number; readonly ellipsis: string },
): readonly Line[] {
  const indent = lineWidth(first);
  const { linesMax = 6, ellipsis } = options;
  const room = Math.max(10, options.width - indent);
  return wrap(text, { width: room, linesMax, ellipsis }).map((part, index) => [
    ...(index === 0 ? first : [piece(" ".repeat(indent))]),
    { text: part, ink },
  ]);
}

/** Select Graphic Rendition codes: 208 is orange, 33 blue, both readable on dark and light grounds. */
const codes: Readonly<Record<Ink, string | null>> = {
  plain: null,
  strong: "1",
  bad: "1;38;5;208",
  good: "38;5;33",
  dim: "2",
  heading: "1;38;5;33",
};

/** The lines as one text. Nothing is wider than the style allows, whatever the lines hold; no line ends in blanks. */
export function printed(lines: readonly Line[], style: Style): string {
  return lines.map((line) => `${printedLine(line, style)}\n`).join("");
}

function printedLine(line: Line, { width, color }: Style): string {
  let room = boundedWidth(width);
  let output = "";
  const end = lastInk(line);
  for (const [index, { text, ink }] of line.entries()) {
    if (index > end) break;
    const shown = headOf(index === end ? text.trimEnd() : text, room);
    room -= widthOf(shown);
    const code = color ? codes[ink] : null;
    output += code === null || shown.trim() === "" ? shown : `\u001b[${code}m${shown}\u001b[0m`;
  }
  return output;
}

function lastInk(line: Line): number {
  return line.findLastIndex(({ text }) => text.trim() !== "");
}

export function boundedWidth(width: number): number {
  return Math.min(widthMax, Math.max(widthMin, Math.floor(width)));
}
