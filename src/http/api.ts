import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline, Readable } from "node:stream";
import { lackOf } from "../engine/access.ts";
import { type ErrorCode, errorCatalogue, OperationError } from "../engine/errors/operation-error.ts";
import type { WorkObserver } from "../engine/own-work.ts";
import { writeJson } from "../wire/write-json.ts";
import { callerOf, showsCertificate } from "./access.ts";
import { fieldsOf, readParameters } from "./api-parameters.ts";
import { type ApiAnswer, type ApiSources, type Route, routes, type Stream } from "./api-routes.ts";
import type { HttpHandler } from "./server.ts";

export interface ApiOptions extends ApiSources {
  /** host names that a request may address; null = any */
  readonly allowedHosts: ReadonlySet<string> | null;
  /** called with each fault of ours, for the log */
  readonly onFault: (fault: unknown) => void;
  /** absent = nobody wants to know */
  readonly observer?: WorkObserver | undefined;
}

/** The HTTP API: finds the route, checks the parameters, writes the answer or the error. */
export function createApiHandler(options: ApiOptions): HttpHandler {
  return (request, response) => {
    const asked: Asked = { route: null };
    if (options.observer !== undefined) observe(options.observer, asked, { request, response });
    void handle(request, options, asked)
      .catch((error: unknown) => errorAnswer(error, options))
      .then((outcome) => send(request, response, outcome, options));
  };
}

/** Which route a request turned out to be for. */
interface Asked {
  route: Route | null;
}

function observe(
  observer: WorkObserver,
  asked: Asked,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): void {
  const startMs = performance.now();
  response.once("close", () => {
    const { route } = asked;
    // whoever watches us is no work to watch
    if (route !== null && (route.isOpen === true || route.path === "/metrics")) return;
    const { method = "" } = request;
    const { statusCode: status } = response;
    observer.answered({ startMs, endMs: performance.now(), method, route: route?.path ?? null, status });
  });
}

/** The names by which a server on a loopback address is reached. */
export function loopbackHosts(others: readonly string[]): ReadonlySet<string> {
  return new Set(["localhost", "127.0.0.1", "[::1]", ...others.map((name) => name.toLowerCase())]);
}

async function handle(request: IncomingMessage, options: ApiOptions, asked: Asked): Promise<ApiAnswer> {
  checkHost(request.headers.host, options.allowedHosts);
  const url = urlOf(request.url ?? "/");
  const [route, path] = findRoute(url.pathname);
  asked.route = route;
  if (route.isOpen !== true) checkCaller(request, options);
  checkMethod(request, route);
  const body = route.method === "POST" ? fieldsOf(await readJson(request)) : noFields;
  const header = { get: (name: string) => [request.headers[name]].flat()[0] };
  const values = readParameters(route.parameters, { path, query: url.searchParams, header, body });
  return await route.handle(values, options, request.headers.accept ?? "");
}

const noFields: ReadonlyMap<string, string> = new Map();

function checkMethod({ method = "" }: IncomingMessage, route: Route): void {
  const taken = route.method === "POST" ? ["POST"] : ["GET", "HEAD"];
  if (!taken.includes(method)) throw new MethodNotAllowed(route.path, method, taken.join(", "));
}

class MethodNotAllowed extends OperationError {
  /** as the header of that name says it */
  readonly allow: string;

  constructor(path: string, method: string, allow: string) {
    super("method_not_allowed", `${path} takes ${allow}, not ${method || "nothing"}`);
    this.allow = allow;
  }
}

/** A question is a few fields. */
const questionBytesMax = 64 * 1024;

/** Only what says that it is JSON: a form on another site cannot say that without asking first. */
async function readJson(request: IncomingMessage): Promise<string> {
  const type = (request.headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (type !== "application/json")
    throw new OperationError(
      "unsupported_media_type",
      `The body is ${type === undefined || type === "" ? "of no type" : type}, not application/json`,
      "Send a JSON object with the header Content-Type: application/json.",
    );
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > questionBytesMax)
      throw new OperationError("body_too_large", `The body has more than ${questionBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** A page on another site may make a browser resolve its own name to us; it cannot make the Host header lie. */
function checkHost(header: string | undefined, allowed: ReadonlySet<string> | null): void {
  if (allowed === null || header === undefined) return;
  const name = header.replace(/:\d+$/, "").toLowerCase();
  if (!allowed.has(name))
    throw new OperationError(
      "host_not_allowed",
      `This server is not reached as ${name}`,
      "Start it with --allowed-hosts NAME if that is meant.",
    );
}

function checkCaller(request: IncomingMessage, { credentials = null, tls = null }: ApiOptions): void {
  if (tls?.asksClients === true && !showsCertificate(request))
    throw new OperationError(
      "unauthenticated",
      "This server asks clients for a certificate that it trusts",
      "With hypocenter query: --client-cert-file FILE --client-key-file FILE",
    );
  if (credentials === null) return;
  const caller = callerOf(credentials, request);
  if (caller === null)
    throw new OperationError(
      "unauthenticated",
      "No credentials that this server knows",
      `${credentials.hint} With hypocenter query: --header "authorization=Bearer TOKEN"`,
    );
  const { message, hint } = lackOf("query");
  if (!caller.roles.includes("query")) throw new OperationError("forbidden", message, hint);
}

function urlOf(target: string): URL {
  try {
    return new URL(target.startsWith("/") ? `http://server${target}` : target);
  } catch {
    throw new OperationError("bad_request", "The address of the request is malformed");
  }
}

function findRoute(pathname: string): readonly [Route, ReadonlyMap<string, string>] {
  const segments = segmentsOf(pathname);
  for (const route of routes) {
    const values = matchPath(segmentsOf(route.path), segments);
    if (values !== null) return [route, values];
  }
  throw new OperationError("not_found", `Nothing at ${pathname}`, "/openapi.json describes what there is.");
}

function segmentsOf(path: string): readonly string[] {
  return path.replace(/\/+$/, "").split("/");
}

/** The values of `{name}` segments, or null where the path is another one. */
function matchPath(
  pattern: readonly string[],
  segments: readonly string[],
): ReadonlyMap<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const values = new Map<string, string>();
  for (const [i, expected] of pattern.entries()) {
    const segment = segments[i] ?? "";
    if (expected.startsWith("{")) {
      if (segment === "") return null;
      values.set(expected.slice(1, -1), decoded(segment));
    } else if (expected !== segment) return null;
  }
  return values;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new OperationError("bad_request", `"${segment}" in the address is not URL-encoded UTF-8`);
  }
}

function errorAnswer(error: unknown, options: ApiOptions): ApiAnswer {
  if (!(error instanceof OperationError)) {
    options.onFault(error);
    return failure(
      500,
      "internal",
      "A fault inside hypocenter",
      "Its log has the details; please report it.",
    );
  }
  const answer = failure(errorCatalogue[error.code].status, error.code, error.message, error.hint);
  if (error instanceof MethodNotAllowed) return { ...answer, headers: { Allow: error.allow } };
  const challenges = options.credentials?.challenges ?? [];
  return error.code === "unauthenticated" && challenges.length > 0
    ? { ...answer, headers: { "WWW-Authenticate": challenges.join(", ") } }
    : answer;
}

function failure(status: number, code: ErrorCode | "internal", message: string, hint: string): ApiAnswer {
  return { status, mediaType: "application/json", body: writeJson({ error: { code, message, hint } }) };
}

/** Answers are data, never code: browsers must not guess types, embed or keep them. */
const securityHeaders = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
};

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status = 200, mediaType, body, headers }: ApiAnswer,
  { onFault }: Pick<ApiOptions, "onFault">,
): void {
  if (response.destroyed) return;
  if (typeof body !== "string") {
    response.writeHead(status, { "Content-Type": mediaType, ...securityHeaders, ...headers });
    if (request.method === "HEAD") response.end();
    else if (typeof body === "function") streamTo(response, body);
    // faults of ours are told where they arise; who goes before the end has read enough
    else pipeline(Readable.from(told(body, onFault)), response, () => {});
    return;
  }
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    "Content-Type": `${mediaType}; charset=utf-8`,
    "Content-Length": bytes.length,
    ...securityHeaders,
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

function* told(parts: Iterable<string>, onFault: ApiOptions["onFault"]): Generator<string> {
  try {
    yield* parts;
  } catch (fault) {
    onFault(fault);
    throw fault;
  }
}

/** A comment this often shows to both sides, and to proxies, that the connection still stands. */
const heartbeatMs = 15_000;
/** A client that has not read so many characters of what it was sent reads none. */
const unreadMax = 1024 * 1024;

function streamTo(response: ServerResponse, stream: Stream): void {
  const write = (text: string): void => {
    if (response.writableLength > unreadMax) response.destroy();
    else response.write(text);
  };
  write(": events follow\n\n");
  const end = stream(write);
  const heartbeat = setInterval(() => write(": still here\n\n"), heartbeatMs);
  heartbeat.unref();
  response.on("close", () => {
    clearInterval(heartbeat);
    end();
  });
}
