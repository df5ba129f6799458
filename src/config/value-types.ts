import type { Brand } from "../base/brand.ts";
import { parseTraceId, type TraceId } from "../model/ids.ts";
import {
  msPerUnit,
  parseDurationMs,
  parseTimePoint,
  type TimePoint,
  timePointExpectation,
} from "../model/time-point.ts";

/** What a setting takes, with its bounds. Every source (flag, environment, file) gives text; `parseValue` reads it. */
export type ValueType =
  | { readonly kind: "text"; readonly placeholder: string }
  | { readonly kind: "list"; readonly placeholder: string }
  | { readonly kind: "choice"; readonly values: readonly string[] }
  | { readonly kind: "choices"; readonly values: readonly string[] }
  | { readonly kind: "switch" }
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  | { readonly kind: "speed"; readonly max: number }
  | { readonly kind: "duration"; readonly minMs: number; readonly maxMs: number }
  | { readonly kind: "size"; readonly minBytes: number; readonly maxBytes: number }
  | { readonly kind: "time" }
  | { readonly kind: "trace_id" }
  | { readonly kind: "url" };

/** `http` or `https`, without a slash at the end. */
type ServerUrl = Brand<string, "ServerUrl">;

/** What `parseValue` makes of each kind: durations in milliseconds, sizes in bytes, speed `max` = Infinity. */
export interface ValueByKind {
  readonly text: string;
  readonly list: readonly string[];
  readonly choice: string;
  readonly choices: readonly string[];
  readonly switch: boolean;
  readonly integer: number;
  readonly speed: number;
  readonly duration: number;
  readonly size: number;
  readonly time: TimePoint;
  readonly trace_id: TraceId;
  readonly url: ServerUrl;
}

export type Value = ValueByKind[keyof ValueByKind];

/** The value that a text stands for, or null where it is not of this type. */
export function parseValue(type: ValueType, text: string): Value | null {
  switch (type.kind) {
    case "text":
      return text === "" ? null : text;
    case "list":
      return text === "" ? null : [text];
    case "choice":
      return type.values.includes(text) ? text : null;
    case "choices": {
      const chosen = text.split(",").map((part) => part.trim());
      return chosen.every((part) => type.values.includes(part)) ? chosen : null;
    }
    case "switch":
      return parseSwitch(text);
    case "integer":
      return within(/^-?\d{1,15}$/.test(text) ? Number(text) : null, type.min, type.max);
    case "speed":
      return text === "max" ? Number.POSITIVE_INFINITY : positive(text, type.max);
    case "duration":
      return within(parseDurationMs(text), type.minMs, type.maxMs);
    case "size":
      return within(parseSize(text), type.minBytes, type.maxBytes);
    case "time":
      return parseTimePoint(text);
    case "trace_id":
      return parseTraceId(text);
    case "url":
      return parseUrl(text);
  }
}

/** What a text must look like, to go after "expected". */
export function expectationOf(type: ValueType): string {
  switch (type.kind) {
    case "text":
    case "list":
      return "a text that is not empty";
    case "choice":
      return `one of ${type.values.join(", ")}`;
    case "choices":
      return `some of ${type.values.join(", ")}, separated by commas`;
    case "switch":
      return "true or false";
    case "integer":
      return `a whole number from ${type.min} to ${type.max}`;
    case "speed":
      return `a number above 0 and up to ${type.max}, or max`;
    case "duration":
      return `a duration from ${formatDuration(type.minMs)} to ${formatDuration(type.maxMs)}, such as 500ms, 10s, 5m or 1h`;
    case "size":
      return `a size from ${formatSize(type.minBytes)} to ${formatSize(type.maxBytes)}, such as 512MiB or 2GB`;
    case "time":
      return timePointExpectation;
    case "trace_id":
      return "16 or 32 hex digits that are not all zero";
    case "url":
      return "an http:// or https:// address";
  }
}

/** What stands for the value in usage lines and in the documentation. */
export function placeholderOf(type: ValueType): string {
  switch (type.kind) {
    case "text":
    case "list":
      return type.placeholder;
    case "choice":
      return type.values.join("|");
    case "choices":
      return type.values.join(",");
    case "switch":
      return "true|false";
    case "integer":
      return "N";
    case "speed":
      return "N|max";
    case "duration":
      return "DURATION";
    case "size":
      return "SIZE";
    case "time":
      return "TIME";
    case "trace_id":
      return "ID";
    case "url":
      return "URL";
  }
}

function parseSwitch(text: string): boolean | null {
  const lower = text.toLowerCase();
  if (["true", "1", "yes", "on"].includes(lower)) return true;
  if (["false", "0", "no", "off"].includes(lower)) return false;
  return null;
}

const bytesPerUnit: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s?([kmgt]?i?b)$/i.exec(text);
  const unit = bytesPerUnit[match?.[2]?.toUpperCase() ?? ""];
  return match === null || unit === undefined ? null : Math.round(Number(match[1]) * unit);
}

function parseUrl(text: string): ServerUrl | null {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return null;
  return text.replace(/\/+$/, "") as ServerUrl;
}

function positive(text: string, max: number): number | null {
  const value = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : 0;
  return value > 0 && value <= max ? value : null;
}

function within(value: number | null, min: number, max: number): number | null {
  return value !== null && value >= min && value <= max ? value : null;
}

function formatDuration(ms: number): string {
  return largestUnit(ms, msPerUnit, ["d", "h", "m", "s", "ms"]);
}

function formatSize(bytes: number): string {
  return largestUnit(bytes, bytesPerUnit, ["TIB", "GIB", "MIB", "KIB", "B"]).replace("IB", "iB");
}

/** The number in the largest of the units that divides it. */
function largestUnit(
  value: number,
  units: Readonly<Record<string, number>>,
  largestFirst: readonly string[],
) {
  const name = largestFirst.find((unit) => value >= (units[unit] ?? 1) && value % (units[unit] ?? 1) === 0);
  return name === undefined ? String(value) : `${value / (units[name] ?? 1)}${name}`;
}
