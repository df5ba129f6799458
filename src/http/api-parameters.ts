import { OperationError } from "../engine/errors/operation-error.ts";
import { parseTraceId, type TraceId } from "../model/ids.ts";
import { parseTimePoint, type TimePoint, timePointExpectation } from "../model/time-point.ts";
import type { JsonSchema } from "./api-schemas.ts";

/** A parameter of a route. What a request may say and what OpenAPI says of it come from the same entry. */
export interface Parameter {
  readonly in: "path" | "query";
  readonly type: ParameterType;
  readonly description: string;
  /** as a client would write it; null = may be left out and then is null */
  readonly default: string | null;
}

type ParameterType =
  | { readonly kind: "text" }
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

/** A query parameter that has a value even where it is left out. */
export function withDefault<const Type extends ParameterType>(
  type: Type,
  standard: string,
  description: string,
) {
  return { in: "query", type, description, default: standard } as const;
}

export type ParameterTable = Readonly<Record<string, Parameter>>;

interface ValueByKind {
  readonly text: string;
  readonly trace_id: TraceId;
  readonly time: TimePoint;
  readonly integer: number;
  readonly number: number;
}

/** The values of a table's parameters as handlers get them. */
export type ParameterValues<Table extends ParameterTable> = {
  readonly [Name in keyof Table]:
    | ValueOf<Table[Name]["type"]>
    | (Table[Name] extends { readonly in: "query"; readonly default: null } ? null : never);
};

type ValueOf<Type extends ParameterType> = Type extends { kind: "choice"; values: readonly (infer Choice)[] }
  ? Choice
  : Type["kind"] extends keyof ValueByKind
    ? ValueByKind[Type["kind"]]
    : never;

/** Reads and checks what a request gave. Throws `bad_request` or `bad_trace_id` naming the parameter. */
export function readParameters<Table extends ParameterTable>(
  table: Table,
  path: ReadonlyMap<string, string>,
  query: URLSearchParams,
): ParameterValues<Table> {
  for (const name of query.keys()) checkName(name, table, query);
  const values: Record<string, unknown> = {};
  for (const [name, parameter] of Object.entries(table)) {
    const text = (parameter.in === "path" ? path.get(name) : query.get(name)) ?? parameter.default;
    values[name] = text === null ? null : readValue(name, parameter.type, text);
  }
  return values as ParameterValues<Table>;
}

function checkName(name: string, table: ParameterTable, query: URLSearchParams): void {
  const known = Object.keys(table).filter((each) => table[each]?.in === "query");
  if (!known.includes(name))
    throw new OperationError(
      "bad_request",
      `Unknown parameter "${name}"`,
      known.length === 0 ? "This address takes none." : `Known ones: ${known.join(", ")}.`,
    );
  if (query.getAll(name).length > 1)
    throw new OperationError("bad_request", `Parameter "${name}" is given twice`);
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

function parse(type: ParameterType, text: string): string | number | TimePoint | null {
  switch (type.kind) {
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

/** The parameter as OpenAPI writes it. */
export function parameterObject(
  name: string,
  { in: place, type, description, default: standard }: Parameter,
) {
  const schema = { ...schemaOf(type), ...(standard === null ? {} : { default: parse(type, standard) }) };
  return { name, in: place, required: place === "path", description, schema };
}

function schemaOf(type: ParameterType): JsonSchema {
  switch (type.kind) {
    case "text":
      return { type: "string", minLength: 1 };
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
