/**
 * Text from telemetry as a terminal may show it: whatever is not a visible character (control and escape characters, bidi
 * overrides, zero-width, private and unassigned characters, lone surrogates) is written out, so that a span name cannot move the
 * cursor, hide itself or reverse its neighbours.
 */
export function visible(text: string): string {
  return text.replace(unseen, (character) => {
    const named = namedEscapes[character];
    if (named !== undefined) return named;
    const code = character.codePointAt(0) as number;
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u{${hex(code, 4)}}`;
  });
}

/** Emoji variation selectors only choose between two pictures of different width, so they go. */
const unseen = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

const namedEscapes: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\u{fe0e}": "",
  "\u{fe0f}": "",
};

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}

/** The columns that visible text takes in a terminal: 2 for East Asian wide characters and emoji, 0 for combining marks. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  const code = character.codePointAt(0) as number;
  if (code < 0x300) return 1;
  if (combining.test(character) || isJoiningJamo(code)) return 0;
  return isWide(code) || emoji.test(character) ? 2 : 1;
}

const combining = /^[\p{Mn}\p{Me}]$/u;
const emoji = /^\p{Emoji_Presentation}$/u;

/** Vowels and final consonants that join the consonant before them. */
function isJoiningJamo(code: number): boolean {
  return (code >= 0x1160 && code <= 0x11ff) || (code >= 0xd7b0 && code <= 0xd7ff);
}

/** The wide and full-width blocks of Unicode's East Asian Width (UAX #11). */
function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0x303e) ||
    (code >= 0x3041 && code <= 0xa4cf) ||
    (code >= 0xa960 && code <= 0xa97f) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe10 && code <= 0xfe19) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x17000 && code <= 0x18cff) ||
    (code >= 0x1f300 && code <= 0x1f64f) ||
    (code >= 0x1f900 && code <= 0x1f9ff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** Cuts text in the middle, where names differ least, so that it takes at most `width` columns. */
export function cutMiddle(text: string, width: number, ellipsis: string): string {
  if (text.length <= width / 2 || widthOf(text) <= width) return text;
  const room = width - widthOf(ellipsis);
  if (room < 0) return headOf(text, width);
  const head = headOf(text, Math.ceil(room / 2));
  return head + ellipsis + tailOf(text, room - widthOf(head));
}

/** The longest start of the text within `width` columns; marks stay with the character they belong to. */
export function headOf(text: string, width: number): string {
  let taken = 0;
  let end = 0;
  for (const character of text) {
    taken += characterWidth(character);
    if (taken > width) break;
    end += character.length;
  }
  return text.slice(0, end);
}

function tailOf(text: string, width: number): string {
  const characters = Array.from(text.slice(-width * 4));
  let taken = 0;
  let start = characters.length;
  for (let i = characters.length - 1; i >= 0; i -= 1) {
    const own = characterWidth(characters[i] as string);
    taken += own;
    if (taken > width) break;
    if (own > 0) start = i;
  }
  return characters.slice(start).join("");
}

export interface WrapLimits {
  readonly width: number;
  readonly linesMax: number;
  readonly ellipsis: string;
}

/** Breaks a sentence at blanks, and words that are longer than a line anywhere; what needs more lines is cut. */
export function wrap(text: string, { width, linesMax, ellipsis }: WrapLimits): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of headOf(text, width * (linesMax + 1)).split(" ")) {
    if (line !== "" && widthOf(line) + 1 + widthOf(word) <= width) {
      line += ` ${word}`;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
    while (widthOf(line) > width) {
      const head = headOf(line, width);
      if (head === "") break;
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  if (line !== "") lines.push(line);
  if (lines.length <= linesMax) return lines;
  const last = headOf(lines[linesMax - 1] ?? "", width - widthOf(ellipsis));
  return [...lines.slice(0, linesMax - 1), last + ellipsis];
}
