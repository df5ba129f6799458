import { emailPattern, withoutLiterals } from "./name-patterns.ts";

/** A text can only hold a secret if it holds one of these. */
const mayHoldSecret =
  /[@=:'"]|eyJ|\d[\d -]{11}|AKIA|gh[pousr]_|sk-|xox|bearer|basic|\b(?:select|insert|update|delete)\b/i;

const replacements: readonly (readonly [RegExp, string])[] = [
  [/\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*/g, "{token}"],
  [/\b(bearer|basic) +[\w.~+/=-]{6,}/gi, "$1 {token}"],
  [/\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|sk-[\w-]{16,}|xox[abprs]-[\w-]{10,})/g, "{key}"],
  [/:\/\/[^\s/:@]{1,256}:[^\s/@]{1,256}@/g, "://{secret}@"],
  [
    /((?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|credential|session[_-]?id|cookie)["']?(?: ?= ?|["'] ?: ?|(?<=pass(?:word|wd)): ?))(?!\{secret\})(?:"[^"]*"|'[^']*'|[^\s,;&"')}]+)/gi,
    "$1{secret}",
  ],
  [emailPattern, "{email}"],
  // how databases quote the values that they refuse: Postgres, then MySQL
  [/\)=\([^)\n]*\)/g, ")=(?)"],
  [/\b(Duplicate entry|Incorrect \w+ value:|Data truncation:) '[^'\n]*'/gi, "$1 ?"],
];

const statement = /\b(?:select\b[^;]*\bfrom|insert\s+into|update\b[^;]*\bset|delete\s+from|merge\s+into)\b/i;
const cardLike = /(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])/g;

/**
 * What a program says of its failure, without what is nobody's business: passwords, tokens and keys, e-mail addresses, card
 * numbers, values in SQL. What is cut out leaves a word in its place. Ids and addresses of machines stay, so that they can be
 * searched for. Redacting twice changes nothing more.
 */
export function redact(text: string): string {
  if (!mayHoldSecret.test(text)) return text;
  let clean = text;
  for (const [pattern, by] of replacements) clean = clean.replace(pattern, by);
  const begin = clean.search(statement);
  if (begin >= 0) clean = clean.slice(0, begin) + withoutLiterals(clean.slice(begin));
  return clean.replace(cardLike, (digits) => (isCardNumber(digits) ? "{card}" : digits));
}

/** By Luhn's check digit: of other numbers of that length one in ten passes. */
function isCardNumber(text: string): boolean {
  const digits = text.replace(/[ -]/g, "").split("").reverse().map(Number);
  const sum = digits.reduce((total, digit, i) => {
    const doubled = i % 2 === 1 ? digit * 2 : digit;
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return sum % 10 === 0;
}
