import type { Outcome } from "./document.ts";

/** The few signs that the terminal output is drawn with. */
export interface Symbols {
  readonly outcome: Readonly<Record<Outcome, string>>;
  readonly full: string;
  readonly half: string;
  readonly empty: string;
  readonly rail: string;
  readonly branch: string;
  readonly corner: string;
  readonly dash: string;
  readonly back: string;
  readonly dot: string;
  readonly minus: string;
  readonly ellipsis: string;
}

export const unicodeSymbols: Symbols = {
  outcome: { failed: "✗", notice: "▲", fine: "✓" },
  full: "█",
  half: "▒",
  empty: "░",
  rail: "│ ",
  branch: "├ ",
  corner: "└ ",
  dash: "─",
  back: "←",
  dot: "·",
  minus: "−",
  ellipsis: "…",
};

export const asciiSymbols: Symbols = {
  outcome: { failed: "X", notice: "!", fine: "-" },
  full: "#",
  half: "=",
  empty: ".",
  rail: "| ",
  branch: "+ ",
  corner: "+ ",
  dash: "-",
  back: "<-",
  dot: "|",
  minus: "-",
  ellipsis: "..",
};

const replacements: Readonly<Record<string, string>> = {
  "→": "->",
  "←": "<-",
  "×": "x",
  µ: "u",
  "…": "...",
  "−": "-",
  "·": "|",
};

/** Our own typographic signs in sentences, for terminals without them; names stay as they are otherwise. */
export function toAscii(text: string): string {
  return text.replace(/[→←×µ…−·]/g, (sign) => replacements[sign] ?? sign);
}
