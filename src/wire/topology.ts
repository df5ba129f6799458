import { structuralReport } from "../advice/structural-texts.ts";
import type { Language } from "../analysis/report.ts";
import { runStructuralEngine, type StructuralInput } from "../cascade/structural-engine.ts";
import { OperationError } from "../engine/errors/operation-error.ts";
import { type HealthCheck, type HealthMetrics, healthMetricNames } from "../health/health.ts";
import { JsonSyntaxError, type OrderedJson, parseJsonOrdered } from "./parse-json-ordered.ts";
import { writeJson } from "./write-json.ts";

export interface TopologyOptions {
  /** asked for by the user; wins over the file's own */
  readonly failedService?: string;
}

/** A graph with the health of its services, as a user writes it down. Throws an `OperationError` that names the place. */
export function parseTopology(text: string, options: TopologyOptions = {}): StructuralInput {
  const topology = membersOf(readJson(text), "");
  const failedService = options.failedService ?? optionalString(topology, "failed_service");
  if (failedService === undefined)
    throw new OperationError(
      "usage",
      "No failed service was named.",
      'Give --failed-service NAME, or write "failed_service" into the topology.',
    );
  return {
    traceId: optionalString(topology, "trace_id") ?? "",
    failedService,
    dependencies: parseDependencies(topology.get("dependencies")),
    health: parseServices(topology.get("services")),
  };
}

/** The answer to one topology on one line: the structural report as compact JSON, or `{"error":…}` for a bad one. */
export function debugLine(line: string, options: TopologyOptions & { readonly language: Language }): string {
  try {
    return writeJson(structuralReport(runStructuralEngine(parseTopology(line, options)), options.language));
  } catch (error) {
    if (!(error instanceof OperationError)) throw error;
    const { code, message, hint } = error;
    return writeJson({ error: { code, message, hint } });
  }
}

const knownMetrics: ReadonlySet<string> = new Set(healthMetricNames);

function readJson(text: string): OrderedJson {
  try {
    return parseJsonOrdered(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new OperationError("input_unreadable", `Not a JSON text: ${error.message}.`, shapeHint);
  }
}

function parseDependencies(value: OrderedJson | undefined): ReadonlyMap<string, readonly string[]> {
  const dependencies = new Map<string, readonly string[]>();
  for (const [caller, callees] of membersOf(value, "dependencies")) {
    const path = member("dependencies", caller);
    if (!Array.isArray(callees)) return reject(path, "an array of service names", callees);
    dependencies.set(
      caller,
      callees.map((callee: OrderedJson, index) =>
        typeof callee === "string" ? callee : reject(`${path}[${index}]`, "a service name", callee),
      ),
    );
  }
  return dependencies;
}

function parseServices(value: OrderedJson | undefined): ReadonlyMap<string, HealthCheck> {
  const health = new Map<string, HealthCheck>();
  for (const [service, entry] of membersOf(value, "services")) {
    const path = member("services", service);
    const [name, ...more] = membersOf(entry, path).entries();
    if (name === undefined || more.length > 0)
      return reject(path, "exactly one of metrics, health_check_error, unreachable", entry);
    health.set(service, parseCheck(name, path));
  }
  return health;
}

function parseCheck([name, value]: [string, OrderedJson], path: string): HealthCheck {
  if (name === "metrics") return { kind: "metrics", metrics: parseMetrics(value, member(path, name)) };
  if (name !== "health_check_error" && name !== "unreachable")
    return reject(member(path, name), "one of metrics, health_check_error, unreachable instead", value);
  if (typeof value !== "string") return reject(member(path, name), "a message", value);
  return { kind: name === "unreachable" ? "unreachable" : "check_failed", message: value };
}

/** Metrics that we do not know are kept for the report; a null is a metric that was not measured. */
function parseMetrics(value: OrderedJson, path: string): HealthMetrics {
  const metrics: [string, OrderedJson][] = [];
  for (const [name, metric] of membersOf(value, path)) {
    if (knownMetrics.has(name) && metric !== null && typeof metric !== "number")
      reject(member(path, name), "a number", metric);
    if (metric !== null) metrics.push([name, metric]);
  }
  return Object.fromEntries(metrics) as HealthMetrics;
}

function membersOf(value: OrderedJson | undefined, path: string): ReadonlyMap<string, OrderedJson> {
  return value instanceof Map ? value : reject(path === "" ? "the topology" : path, "an object", value);
}

function optionalString(topology: ReadonlyMap<string, OrderedJson>, name: string): string | undefined {
  const value = topology.get(name) ?? undefined;
  return value === undefined || typeof value === "string" ? value : reject(name, "a string", value);
}

function member(path: string, name: string): string {
  return /^[\w-]+$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
}

const shapeHint =
  'A topology is {"failed_service": "a", "dependencies": {"a": ["b"]}, "services": {"b": {"metrics": {"error_rate": 0.2}}}}.';

function reject(path: string, expected: string, found: OrderedJson | undefined): never {
  throw new OperationError(
    "input_unreadable",
    `${path}: expected ${expected}, found ${shown(found)}.`,
    shapeHint,
  );
}

function shown(value: OrderedJson | undefined): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (value instanceof Map)
    return value.size === 0
      ? "an empty object"
      : `an object with ${[...value.keys()].slice(0, 3).join(", ")}`;
  const text = JSON.stringify(value);
  return text.length <= 40 ? text : `${text.slice(0, 39)}…`;
}
