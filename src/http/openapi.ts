import { type ErrorCode, errorCatalogue } from "../engine/errors/operation-error.ts";
import { bodyObject, parameterObjects } from "./api-parameters.ts";
import type { ApiSources, Route } from "./api-routes.ts";
import { type JsonSchema, schemaReference, schemas } from "./api-schemas.ts";

/** The OpenAPI 3.1 document of the routes: only what they answer, nothing planned, and what this server asks of its callers. */
export function openApiDocument(
  routes: readonly Route[],
  { version, ...access }: Pick<ApiSources, "version" | "credentials" | "tls">,
): JsonSchema {
  const asked = askedOf(access);
  const paths = new Map<string, Record<string, unknown>>();
  for (const route of routes) {
    const operations = paths.get(route.path) ?? {};
    operations[route.method === "POST" ? "post" : "get"] = operationObject(route, asked.alternatives);
    paths.set(route.path, operations);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "hypocenter",
      version,
      description:
        "Asks a running hypocenter about traces, services and their dependencies. Every address that answers GET also answers HEAD.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths: Object.fromEntries(paths),
    components: { schemas, securitySchemes: asked.schemes },
  };
}

type SecurityRequirement = Readonly<Record<string, readonly string[]>>;

/** What callers have to show: one of the alternatives, and all that it names; no alternatives = nothing. */
function askedOf({ credentials = null, tls = null }: Pick<ApiSources, "credentials" | "tls">) {
  const header = credentials?.tokenHeader ?? null;
  const challenged = (scheme: string): boolean =>
    credentials?.challenges.some((challenge) => challenge.startsWith(scheme)) === true;
  const proofs: Readonly<Record<string, JsonSchema>> = {
    ...(challenged("Bearer") ? { bearerToken: { type: "http", scheme: "bearer" } } : {}),
    ...(challenged("Basic") ? { basic: { type: "http", scheme: "basic" } } : {}),
    ...(header === null ? {} : { tokenHeader: { type: "apiKey", in: "header", name: header } }),
  };
  const certificate: Readonly<Record<string, JsonSchema>> =
    tls?.asksClients === true ? { clientCertificate: { type: "mutualTLS" } } : {};
  const always: SecurityRequirement = Object.fromEntries(Object.keys(certificate).map((name) => [name, []]));
  const names = Object.keys(proofs);
  const alternatives: readonly SecurityRequirement[] =
    names.length > 0 ? names.map((name) => ({ ...always, [name]: [] })) : [always];
  const isAsked = names.length > 0 || tls?.asksClients === true;
  return { schemes: { ...certificate, ...proofs }, alternatives: isAsked ? alternatives : [] };
}

function operationObject(route: Route, alternatives: readonly SecurityRequirement[]): JsonSchema {
  const { operationId, summary, parameters, answer, alias, isOpen } = route;
  const requestBody = bodyObject(parameters);
  const security = isOpen === true ? [] : alternatives;
  const errors: readonly ErrorCode[] = [
    ...route.errors,
    ...(security.length > 0 ? (["unauthenticated", "forbidden"] as const) : []),
    "host_not_allowed",
  ];
  const responses: Record<string, unknown> = {
    200: {
      description: answer.description,
      content: {
        [answer.mediaType]: { schema: answer.schema },
        ...Object.fromEntries(
          (answer.otherMediaTypes ?? []).map((type) => [type, { schema: { type: "string" } }]),
        ),
      },
    },
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
    security,
    parameters: parameterObjects(parameters),
    ...(requestBody === null ? {} : { requestBody }),
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
