import {
  boundedWidth,
  fitted,
  type Ink,
  type Line,
  lineWidth,
  type Piece,
  piece,
  type Style,
  wrapped,
} from "./ansi.ts";
import type { Outcome } from "./document.ts";
import { asciiSymbols, type Symbols, toAscii, unicodeSymbols } from "./symbols.ts";
import { cutMiddle, visible, widthOf } from "./text-width.ts";

/** What the parts of the terminal output share: the width, the signs, and how text is put in. */
export class Pen {
  readonly columns: number;
  readonly symbols: Symbols;
  readonly #unicode: boolean;

  constructor({ width, unicode }: Style) {
    this.columns = boundedWidth(width);
    this.symbols = unicode ? unicodeSymbols : asciiSymbols;
    this.#unicode = unicode;
  }

  say(text: string, ink: Ink = "plain"): Piece {
    return piece(this.#unicode ? text : toAscii(text), ink);
  }

  /** As it will be shown. */
  width(text: string): number {
    return widthOf(this.say(text).text);
  }

  cut(text: string, width: number): string {
    return cutMiddle(visible(this.#unicode ? text : toAscii(text)), width, this.symbols.ellipsis);
  }

  fit(part: Piece, width: number, align: "left" | "right" = "left"): Line {
    return fitted(part, width, { align, ellipsis: this.symbols.ellipsis });
  }

  /** Pieces that are no wider than `width` already, filled with blanks. */
  fitLine(line: Line, width: number): Line {
    return [...line, this.say(" ".repeat(Math.max(0, width - lineWidth(line))))];
  }

  /** A sentence over as many lines as it needs, below itself. */
  sentence(first: Line, text: Piece, linesMax = 6): readonly Line[] {
    return wrapped(first, text, { width: this.columns, linesMax, ellipsis: this.symbols.ellipsis });
  }

  /** A sentence, and the first spans that it speaks of, by the first half of their ids: enough to search for. */
  withSpans(first: Line, text: string, spans: readonly string[]): readonly Line[] {
    const lines = [...this.sentence(first, this.say(text))];
    if (spans.length === 0) return lines;
    const more = spans.length > 3 ? ` +${spans.length - 3}` : "";
    const ids = this.say(`[${spans.slice(0, 3).map(shortId).join(" ")}${more}]`, "dim");
    const last = lines.at(-1) ?? first;
    if (lineWidth(last) + 1 + widthOf(ids.text) <= this.columns)
      lines[lines.length - 1] = [...last, this.say(" "), ids];
    else lines.push([this.say(" ".repeat(lineWidth(first))), ids]);
    return lines;
  }

  /** A share (0..1) as a bar; whatever is not nothing shows at least one cell. */
  bar(share: number, columns: number, ink: Ink): Line {
    const bounded = Math.min(1, Math.max(0, share));
    const filled = bounded > 0 ? Math.max(1, Math.round(bounded * columns)) : 0;
    return [
      this.say(this.symbols.full.repeat(filled), ink),
      this.say(this.symbols.empty.repeat(columns - filled), "dim"),
    ];
  }
}

/** Ids that were numbers once are full of leading zeros. */
function shortId(id: string): string {
  return id.replace(/^0+(?=.)/, "").slice(0, 8);
}

export function outcomeInk(outcome: Outcome): Ink {
  return outcome === "failed" ? "bad" : outcome === "notice" ? "strong" : "good";
}
