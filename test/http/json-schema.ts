type Schema = Readonly<Record<string, unknown>>;

/** What is wrong with a value by a JSON Schema, each with its place; also members that the schema does not know. */
export function schemaErrors(value: unknown, schema: Schema, root: unknown, place = "$"): readonly string[] {
  const reference = schema["$ref"] as string | undefined;
  if (reference !== undefined) return schemaErrors(value, resolve(reference, root), root, place);
  const alternatives = schema["anyOf"] as readonly Schema[] | undefined;
  if (alternatives !== undefined) {
    const results = alternatives.map((each) => schemaErrors(value, each, root, place));
    return results.some((errors) => errors.length === 0)
      ? []
      : results.reduce((a, b) => (a.length <= b.length ? a : b));
  }
  if (!hasType(value, schema["type"]))
    return [`${place}: ${JSON.stringify(value)} is no ${String(schema["type"])}`];
  if (Array.isArray(value)) {
    const items = schema["items"] as Schema;
    return value.flatMap((item, i) => schemaErrors(item, items, root, `${place}[${i}]`));
  }
  if (value !== null && typeof value === "object") return objectErrors(value, schema, root, place);
  return scalarErrors(value, schema, place);
}

function objectErrors(value: object, schema: Schema, root: unknown, place: string): readonly string[] {
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
  const others = schema["additionalProperties"] as Schema | undefined;
  const required = (schema["required"] ?? []) as readonly string[];
  const missing = required
    .filter((name) => !Object.hasOwn(value, name))
    .map((name) => `${place}.${name} is missing`);
  // A bare `{type: "object"}` says nothing of its members.
  if (schema["properties"] === undefined && others === undefined) return missing;
  const wrong = Object.entries(value).flatMap(([name, member]) => {
    const known = Object.hasOwn(properties, name) ? properties[name] : others;
    return known === undefined
      ? [`${place}.${name} is not declared`]
      : schemaErrors(member, known, root, `${place}.${name}`);
  });
  return [...missing, ...wrong];
}

function scalarErrors(value: unknown, schema: Schema, place: string): readonly string[] {
  const isWrong =
    (Array.isArray(schema["enum"]) && !schema["enum"].includes(value)) ||
    (typeof value === "number" && value < ((schema["minimum"] as number | undefined) ?? value)) ||
    (typeof value === "number" && value > ((schema["maximum"] as number | undefined) ?? value)) ||
    (typeof value === "string" && !new RegExp((schema["pattern"] as string | undefined) ?? "").test(value));
  return isWrong ? [`${place}: ${JSON.stringify(value)} against ${JSON.stringify(schema)}`] : [];
}

function hasType(value: unknown, type: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return value !== null && typeof value === "object" && !Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

function resolve(reference: string, root: unknown): Schema {
  const path = reference.replace("#/", "").split("/");
  const found = path.reduce<unknown>((at, name) => (at as Readonly<Record<string, unknown>>)[name], root);
  if (found === undefined) throw new Error(`${reference} leads nowhere`);
  return found as Schema;
}
