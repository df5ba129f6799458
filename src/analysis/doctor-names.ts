import type { StringDictionary } from "../model/string-dictionary.ts";
import { emailPattern, hexIdPattern, uuidPattern } from "../trace/name-patterns.ts";

/** A text with what changes from request to request cut out. */
export interface NameTemplate {
  readonly template: string;
  /** one look is enough: a UUID, a long hex id, an e-mail address, a query string, a statement with values; a bare number may be one of a few */
  readonly isCertain: boolean;
}

/** Longer texts are judged by their beginning. */
const judgedLengthMax = 300;

const certain: readonly (readonly [RegExp, string])[] = [
  [uuidPattern, "{uuid}"],
  [hexIdPattern, "{hex}"],
  [emailPattern, "{email}"],
  [/\?[^\s?=&]+=\S*/g, "?{query}"],
];
const possible: readonly (readonly [RegExp, string])[] = [
  [/(?<![0-9a-z_])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}(?![0-9a-z_])/gi, "{hex}"],
  [/(?<![0-9a-z_])\d+(?:\.\d+)*(?![0-9a-z_])/gi, "{number}"],
];

const statement =
  /^\s*(?:select\b.*\bfrom|insert\b.*\binto|update\b.*\bset|delete\b.*\bfrom|merge\b.*\binto)\b/is;
const literals = /'[^']*'|(?<=[=<>(,]\s*)\d+(?:\.\d+)?/g;

/** The template of a text with ids in it; null for a text without any. */
export function templateOf(text: string): NameTemplate | null {
  const judged = text.slice(0, judgedLengthMax);
  if (!/[\d@?']/.test(judged)) return null;
  if (statement.test(judged)) {
    const template = judged.replace(literals, "{value}");
    return template === judged ? null : { template, isCertain: true };
  }
  const found = replaceAll(judged, certain);
  const template = replaceAll(found, possible);
  return template === judged ? null : { template, isCertain: found !== judged };
}

function replaceAll(text: string, replacements: readonly (readonly [RegExp, string])[]): string {
  return replacements.reduce((result, [pattern, by]) => result.replace(pattern, by), text);
}

/** The templates of the strings of one table, each worked out once. */
export class TemplateCache {
  readonly #strings: StringDictionary;
  readonly #templates = new Map<number, NameTemplate | null>();

  constructor(strings: StringDictionary) {
    this.#strings = strings;
  }

  of(stringId: number): NameTemplate | null {
    let template = this.#templates.get(stringId);
    if (template === undefined) {
      template = templateOf(this.#strings.get(stringId));
      this.#templates.set(stringId, template);
    }
    return template;
  }
}
