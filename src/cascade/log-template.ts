import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { type AnyValue, type Attributes, textOf } from "../model/attributes.ts";
import {
  logBodyLengthMax,
  logTemplatesMax,
  logTextLengthMax,
  logTextsMax,
  overflowName,
} from "../model/limits.ts";
import { logTemplateRule } from "../model/scoring.ts";
import { exceptionKeys } from "../model/semconv.ts";
import { errorSeverityMin, type LogRecord } from "../model/telemetry.ts";
import { emailPattern } from "../trace/name-patterns.ts";
import { redact } from "../trace/redact.ts";

/** What all lines of one kind have in common, and whether they tell of an error. */
export interface LogKind {
  readonly text: string;
  readonly isError: boolean;
}

const causeMark = " <- ";
/**
 * Reads log records as kinds of lines, without secrets. The result depends on the record alone, as long as there are no more than
 * `logTemplatesMax` kinds; those beyond are one, `overflowName`.
 */
export class LogTemplates {
  /** what recurring texts were read as */
  readonly #known = new Map<string, string>();
  /** every template once, so that lines share it */
  readonly #texts = new Map<string, string>();

  /** Whether further kinds are put together. */
  get isFull(): boolean {
    return this.#texts.size >= logTemplatesMax;
  }

  read(record: LogRecord): LogKind {
    const { body, attributes, eventName } = record;
    const exception = exceptionOf(attributes);
    const { message, level } = messageOf(body);
    const template = this.#templateOf(message === "" && exception === "" ? eventName : message);
    const text = exception === "" ? template : withCause(template, exception);
    return { text: this.#shared(text), isError: isError(record, level, exception !== "") };
  }

  /** What was read once is only read again. */
  save(out: SnapshotWriter): void {
    out.map(this.#texts, (text, shown) => {
      out.text(text);
      out.text(shown);
    });
  }

  load(from: SnapshotReader): void {
    from.map(this.#texts, () => [from.text(), from.text()]);
  }

  #templateOf(body: string): string {
    if (body.length > logTextLengthMax) return logTemplate(body);
    let template = this.#known.get(body);
    if (template === undefined) {
      if (this.#known.size >= logTextsMax) this.#known.clear();
      template = logTemplate(body);
      this.#known.set(body, template);
    }
    return template;
  }

  #shared(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= logTemplatesMax) return overflowName;
    // a part of a body would keep the whole body in memory
    const own = ` ${text}`.slice(1);
    const shown = redact(own);
    this.#texts.set(own, shown);
    return shown;
  }
}

/** ESC is written by its code: source text has no control characters. */
const escapeCode = String.fromCharCode(27);
const colours = new RegExp(`${escapeCode}\\[[0-9;]*m`, "g");
const leadingTime =
  /^\s*(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?\]?|\d\d:\d\d:\d\d[.,]\d+)\s*/;
const traceAndSpan = /\btrace[-_. ]?id[:=]\s*\S+\s+span[-_. ]?id[:=]\s*\S+/gi;
const uuids = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/gi;
const hexWords = /\b[0-9a-f]{16,}\b/g;
const bearerTokens = /\bbearer +[\w.~+/=-]{6,}/gi;
const digits = /\d+/g;
const namedValues = /([=:]\s*)[^\s,()[\]]+/g;
const causes = /(?:nested exception is|Caused by):?/;

/**
 * The template of a line: its first words, with what changes from line to line (times, ids, numbers, addresses of people, values
 * behind `=` and `:`) as `#` and `*`. The cause that a program puts behind "Caused by" or "nested exception is" is part of it.
 */
export function logTemplate(body: string): string {
  const masked = body
    .slice(0, logTemplateRule.length)
    .replace(colours, "")
    .replace(leadingTime, "")
    .replace(traceAndSpan, " ")
    .replace(bearerTokens, "bearer *")
    .replace(emailPattern, "*")
    .replace(uuids, "#")
    .replace(hexWords, "#")
    .replace(digits, "#")
    .replace(namedValues, "$1*");
  const searched = body.slice(0, logBodyLengthMax);
  const cause = causes.exec(searched);
  const template = firstWords(masked);
  return cause === null ? template : withCause(template, searched.slice(cause.index + cause[0].length));
}

function withCause(template: string, cause: string): string {
  return (
    template +
    causeMark +
    firstWords(cause.slice(0, logTemplateRule.causeLength).replace(emailPattern, "*").replace(digits, "#"))
  );
}

function firstWords(text: string): string {
  return text.trim().split(/\s+/, logTemplateRule.words).join(" ");
}

/** Type and message of the exception that a record has as attributes; "" = none. */
function exceptionOf(attributes: Attributes): string {
  if (attributes.size === 0) return "";
  const type = firstText(attributes, exceptionKeys.type);
  const message = textOf(attributes.get(exceptionKeys.message[0]));
  return [type, message].filter((part) => part !== "").join(": ");
}

/** Where structured bodies keep their sentence, and how bad it is. */
const messageKeys = ["message", "msg"] as const;
const levelKeys = ["level", "severity"] as const;

/** The sentence of a body: itself, what a structured one (a map, or JSON as text) calls its message, or else all of it. */
function messageOf(body: AnyValue): { readonly message: string; readonly level: string } {
  const fields = typeof body === "string" ? fieldsOfJson(body) : body;
  if (fields instanceof Map) {
    const message = firstText(fields, messageKeys);
    if (message !== "" || typeof body !== "string")
      return { message: message || canonicalJson(fields), level: firstText(fields, levelKeys) };
  }
  return { message: typeof body === "string" ? body : canonicalJson(body), level: "" };
}

/** The texts and numbers of a JSON object that a program wrote as its line; null for any other line. */
function fieldsOfJson(body: string): Attributes | null {
  if (!body.startsWith("{") || !body.endsWith("}") || body.length > logBodyLengthMax) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    // not JSON after all: the line is taken as it is
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  const fields = new Map<string, AnyValue>();
  for (const [key, value] of Object.entries(parsed as Readonly<Record<string, unknown>>))
    if (typeof value === "string" || typeof value === "number") fields.set(key, value);
  return fields;
}

/** A value as JSON with sorted keys, so that equal values are equal text; "" for no value. */
function canonicalJson(value: AnyValue): string {
  if (value === null) return "";
  if (value instanceof Map) {
    const entries = [...(value as Attributes)].sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item) || "null"}`).join(",")}}`;
  }
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) {
    const items = value as readonly AnyValue[];
    return `[${items.map((item) => canonicalJson(item) || "null").join(",")}]`;
  }
  return textOf(value);
}

function firstText(fields: Attributes, keys: readonly string[]): string {
  return keys.map((key) => textOf(fields.get(key))).find((text) => text !== "") ?? "";
}

const errorLevel = /^\W*(?:err|fatal|crit|severe|alert|emerg|panic)/i;

/** By its number; a record without one by what its level is called, or because it tells of an exception. */
function isError({ severityNumber, severityText }: LogRecord, level: string, hasException: boolean): boolean {
  if (severityNumber !== 0) return severityNumber >= errorSeverityMin;
  const name = severityText || level;
  return name === "" ? hasException : errorLevel.test(name);
}

/** What names of services are replaced with. */
const serviceMark = "<svc>";

/** Masks of a collection of names, as long as somebody holds it: one is asked about many texts. */
const masksOf = new WeakMap<object, readonly string[]>();

/**
 * A template without the names of services in it: `no instance of <svc>` is one class of lines, whoever is missing. Longer names
 * go first, also with their digits as `#`, as templates write them. The collection must not change afterwards.
 */
export function logClass(text: string, serviceNames: readonly string[] | ReadonlySet<string>): string {
  let masks = masksOf.get(serviceNames);
  if (masks === undefined) {
    const forms = [...serviceNames].flatMap((name) => [name, name.replace(digits, "#")]);
    masks = [...new Set(forms)]
      .filter((form) => form !== "")
      .sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
    masksOf.set(serviceNames, masks);
  }
  let masked = text;
  for (const mask of masks) if (masked.includes(mask)) masked = masked.replaceAll(mask, serviceMark);
  return masked;
}
