import { type ErrorCode, errorCatalogue } from "../engine/errors/operation-error.ts";
import { parameterObject } from "./api-parameters.ts";
import type { Route } from "./api-routes.ts";
import { type JsonSchema, schemaReference, schemas } from "./api-schemas.ts";

/** The OpenAPI 3.1 document of the routes: only what they answer, nothing planned. */
export function openApiDocument(routes: readonly Route[], version: string): JsonSchema {
  const paths = new Map<string, Record<string, unknown>>();
  for (const route of routes) {
    const operations = paths.get(route.path) ?? {};
    operations["get"] = operationObject(route);
    paths.set(route.path, operations);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "hypocenter",
      version,
      description:
        "Asks a running hypocenter about traces, services and their dependencies. Every address also answers HEAD.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: Object.fromEntries(paths),
    components: { schemas },
  };
}

function operationObject({ operationId, summary, parameters, answer, alias, errors }: Route): JsonSchema {
  const responses: Record<string, unknown> = {
    200: { description: answer.description, content: { [answer.mediaType]: { schema: answer.schema } } },
  };
  for (const [status, codes] of byStatus(errors))
    responses[status] = {
      description: codes.join(" or "),
      content: { "application/json": { schema: schemaReference("Error") } },
    };
  if (answer.unavailable !== undefined)
    responses[503] = {
      description: answer.unavailable,
      content: { [answer.mediaType]: { schema: answer.schema } },
    };
  return {
    operationId,
    summary,
    ...(alias === undefined ? {} : { description: `The same as ${alias}.` }),
    parameters: Object.entries(parameters).map(([name, parameter]) => parameterObject(name, parameter)),
    responses,
  };
}

function byStatus(codes: readonly ErrorCode[]): ReadonlyMap<number, readonly ErrorCode[]> {
  const grouped = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = errorCatalogue[code];
    grouped.set(status, [...(grouped.get(status) ?? []), code]);
  }
  return grouped;
}
