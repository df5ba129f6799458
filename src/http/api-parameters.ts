import { OperationError } from "../engine/errors/operation-error.ts";
import { parseTraceId, type TraceId } from "../model/ids.ts";
import { parseTimePoint, type TimePoint, timePointExpectation } from "../model/time-point.ts";
import type { JsonSchema } from "./api-schemas.ts";

/** A parameter of a route. What a request may say and what OpenAPI says of it come from the same entry. */
export interface Parameter {
  readonly in: "path" | "query" | "header" | "body";
  readonly type: ParameterType;
  readonly description: string;
  /** as a client would write it; null = may be left out and then is null */
  readonly default: string | null;
}

type ParameterType =
  | { readonly kind: "text" }
  /** `key=value`, as often as it is given */
  | { readonly kind: "pairs"; readonly countMax: number }
  | { readonly kind: "trace_id" }
  | { readonly kind: "time" }
  | { readonly kind: "choice"; readonly values: readonly string[] }
  | { readonly kind: "integer"; readonly min: number; readonly max: number }
  | { readonly kind: "number"; readonly min: number; readonly max: number };

/** A part of the path. */
export function inPath<const Type extends ParameterType>(type: Type, description: string) {
  return { in: "path", type, description, default: null } as const;
}

/** A query parameter that may be left out, and is null then. */
export function optional<const Type extends ParameterType>(type: Type, description: string) {
  return { in: "query", type, description, default: null } as const;
}

/** A header, its name in lower case; it may be left out, and is null then. */
export function inHeader<const Type extends ParameterType>(type: Type, description: string) {
  return { in: "header", type, description, default: null } as const;
}

/** A field of the JSON object that a request brings; it may be left out, and is null then. */
export function inBody<const Type extends ParameterType>(type: Type, description: string) {
  return { in: "body", type, description, default: null } as const;
}

/** A field that has a value even where it is left out. */
export function inBodyWithDefault<const Type extends ParameterType>(
  type: Type,
  standard: string,
  description: string,
) {
  return { in: "body", type, description, default: standard } as const;
}

/** A query parameter that has a value even where it is left out. */
export function withDefault<const Type extends ParameterType>(
  type: Type,
  standard: string,
  description: string,
) {
  return { in: "query", type, description, default: standard } as const;
}

export type ParameterTable = Readonly<Record<string, Parameter>>;

/** A key and a value, as `key=value` gives them. */
interface Pair {
  readonly key: string;
  readonly text: string;
}

interface ValueByKind {
  readonly text: string;
  readonly pairs: readonly Pair[];
  readonly trace_id: TraceId;
  readonly time: TimePoint;
  readonly integer: number;
  readonly number: number;
}

/** The values of a table's parameters as handlers get them. */
export type ParameterValues<Table extends ParameterTable> = {
  readonly [Name in keyof Table]:
    | ValueOf<Table[Name]["type"]>
    | (Table[Name] extends { readonly in: "query" | "header" | "body"; readonly default: null }
        ? null
        : never);
};

type ValueOf<Type extends ParameterType> = Type extends { kind: "choice"; values: readonly (infer Choice)[] }
  ? Choice
  : Type["kind"] extends keyof ValueByKind
    ? ValueByKind[Type["kind"]]
    : never;

/** What a request gave, as texts. */
export interface GivenValues {
  readonly path: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
  /** by its lower-case name */
  readonly header: { readonly get: (name: string) => string | undefined };
  readonly body: ReadonlyMap<string, string>;
}

/** Reads and checks what a request gave. Throws `bad_request` or `bad_trace_id` naming the parameter. */
export function readParameters<Table extends ParameterTable>(
  table: Table,
  given: GivenValues,
): ParameterValues<Table> {
  for (const place of ["query", "body"] as const)
    for (const name of given[place].keys()) checkName(name, place, table);
  for (const name of given.query.keys())
    if (given.query.getAll(name).length > 1 && table[name]?.type.kind !== "pairs")
      throw new OperationError("bad_request", `Parameter "${name}" is given twice`);
  const values: Record<string, unknown> = {};
  for (const [name, parameter] of Object.entries(table)) {
    if (parameter.type.kind === "pairs") {
      values[name] = readPairs(name, given.query.getAll(name), parameter.type.countMax);
      continue;
    }
    const text = given[parameter.in].get(name) ?? parameter.default;
    values[name] = text === null ? null : readValue(name, parameter.type, text);
  }
  return values as ParameterValues<Table>;
}

function checkName(name: string, place: "query" | "body", table: ParameterTable): void {
  const known = Object.keys(table).filter((each) => table[each]?.in === place);
  if (known.includes(name)) return;
  throw new OperationError(
    "bad_request",
    `Unknown ${place === "query" ? "parameter" : "field"} "${name}"`,
    known.length === 0 ? "This address takes none." : `Known ones: ${known.join(", ")}.`,
  );
}

/** The fields of a JSON object: texts and numbers alike are texts from here on. Throws `bad_request`. */
export function fieldsOf(body: string): ReadonlyMap<string, string> {
  let value: unknown;
  try {
    value = body.trim() === "" ? {} : JSON.parse(body);
  } catch (cause) {
    throw new OperationError("bad_request", "The body is not JSON", String(cause), cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new OperationError(
      "bad_request",
      "The body is not a JSON object",
      'For example {"from":"now-10m"}.',
    );
  const fields = new Map<string, string>();
  for (const [name, field] of Object.entries(value)) {
    if (field === null) continue;
    if (typeof field !== "string" && typeof field !== "number")
      throw new OperationError("bad_request", `Field "${name}" is neither a text nor a number`);
    fields.set(name, String(field));
  }
  return fields;
}

/** null = none was given */
function readPairs(name: string, texts: readonly string[], countMax: number): readonly Pair[] | null {
  if (texts.length > countMax)
    throw new OperationError("bad_request", `Parameter "${name}" is given more than ${countMax} times`);
  const pairs = texts.map((text) => readValue(name, { kind: "pairs", countMax }, text) as Pair);
  return pairs.length === 0 ? null : pairs;
}

function readValue(name: string, type: ParameterType, text: string): unknown {
  const value = parse(type, text);
  if (value !== null) return value;
  throw new OperationError(
    type.kind === "trace_id" ? "bad_trace_id" : "bad_request",
    `Parameter "${name}": "${text}" is not valid`,
    `Expected ${expectationOf(type)}.`,
  );
}

function parse(type: ParameterType, text: string): string | number | TimePoint | Pair | null {
  switch (type.kind) {
    case "pairs": {
      const at = text.indexOf("=");
      return at <= 0 ? null : { key: text.slice(0, at), text: text.slice(at + 1) };
    }
    case "text":
      return text === "" ? null : text;
    case "trace_id":
      return parseTraceId(text);
    case "time":
      return parseTimePoint(text);
    case "choice":
      return type.values.includes(text) ? text : null;
    case "integer":
      return /^\d{1,15}$/.test(text) ? within(Number(text), type.min, type.max) : null;
    case "number":
      return /^\d{1,15}(\.\d{1,9})?$/.test(text) ? within(Number(text), type.min, type.max) : null;
  }
}

function within(value: number, min: number, max: number): number | null {
  return value >= min && value <= max ? value : null;
}

function expectationOf(type: ParameterType): string {
  switch (type.kind) {
    case "text":
      return "a text that is not empty";
    case "pairs":
      return "key=value";
    case "trace_id":
      return "16 or 32 hex digits that are not all zero";
    case "time":
      return timePointExpectation;
    case "choice":
      return `one of ${type.values.join(", ")}`;
    case "integer":
      return `a whole number from ${type.min} to ${type.max}`;
    case "number":
      return `a number from ${type.min} to ${type.max}`;
  }
}

/** The parameters of path, query and headers as OpenAPI writes them. */
export function parameterObjects(table: ParameterTable): readonly JsonSchema[] {
  return Object.entries(table)
    .filter(([, parameter]) => parameter.in !== "body")
    .map(([name, { in: place, description, ...value }]) => ({
      name,
      in: place,
      required: place === "path",
      description,
      schema: valueSchema(value),
    }));
}

/** The JSON object that a request may bring, as OpenAPI writes it; null = none. */
export function bodyObject(table: ParameterTable): JsonSchema | null {
  const fields = Object.entries(table).filter(([, parameter]) => parameter.in === "body");
  if (fields.length === 0) return null;
  const properties = fields.map(([name, { description, ...value }]) => {
    const schema = valueSchema(value);
    return [name, { ...schema, description: description + expected(schema) }] as const;
  });
  const schema = { type: "object", properties: Object.fromEntries(properties), additionalProperties: false };
  return { required: false, content: { "application/json": { schema } } };
}

/** Where a value's schema says itself what is expected, that goes on after what the field means. */
function expected(schema: JsonSchema): string {
  return typeof schema["description"] === "string" ? `. ${schema["description"]}` : "";
}

function valueSchema({ type, default: standard }: Pick<Parameter, "type" | "default">): JsonSchema {
  if (standard === null) return schemaOf(type);
  return { ...schemaOf(type), default: type.kind === "time" ? standard : parse(type, standard) };
}

function schemaOf(type: ParameterType): JsonSchema {
  switch (type.kind) {
    case "text":
      return { type: "string", minLength: 1 };
    case "pairs":
      return {
        type: "array",
        items: { type: "string", pattern: "^[^=]+=" },
        minItems: 1,
        maxItems: type.countMax,
      };
    case "trace_id":
      return { type: "string", pattern: "^([0-9a-fA-F]{16}|[0-9a-fA-F]{32})$" };
    case "time":
      return { type: "string", description: `Expected: ${timePointExpectation}` };
    case "choice":
      return { type: "string", enum: type.values };
    case "integer":
    case "number":
      return { type: type.kind, minimum: type.min, maximum: type.max };
  }
}
