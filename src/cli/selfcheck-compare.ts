import type { KnownEdge, SentSpan } from "./selfcheck-traces.ts";

/** How a trace that was read differs from the one that was sent. */
export interface TraceDifferences {
  /** spans that are not there */
  readonly lost: readonly string[];
  /** spans that are there more than once */
  readonly doubled: readonly string[];
  /** what else is not as it was sent: one sentence each */
  readonly changed: readonly string[];
}

/** Compares spans that were sent with what `GET traces/{id}` answers: OTLP JSON, read as it stands and not with our own decoder. */
export function traceDifferences(sent: readonly SentSpan[], answer: unknown): TraceDifferences {
  const read = new Map<string, ReadSpan[]>();
  for (const span of spansIn(answer)) read.set(span.spanId, [...(read.get(span.spanId) ?? []), span]);
  const found = (each: SentSpan): readonly ReadSpan[] => read.get(each.span.spanId) ?? [];
  const known = new Set(sent.map(({ span }) => span.spanId));
  const strangers = [...read.keys()].filter((id) => !known.has(id));
  return {
    lost: sent.filter((each) => found(each).length === 0).map(labelOf),
    doubled: sent
      .filter((each) => found(each).length > 1)
      .map((each) => `${labelOf(each)} is there ${found(each).length} times`),
    changed: [
      ...sent.flatMap((each) =>
        found(each)
          .slice(0, 1)
          .flatMap(({ facts }) => changes(each, facts)),
      ),
      ...strangers.map((id) => `a span ${id} was never sent`),
    ],
  };
}

/** What is wrong with an edge of `GET graph`; null = nothing. */
export function edgeDifference(edge: KnownEdge, answer: unknown): string | null {
  const edges = listIn(answer, "edges").map((each) => each as Partial<KnownEdge>);
  const between = edges.filter(({ caller, callee }) => caller === edge.caller && callee === edge.callee);
  const same = between.find(({ kind }) => kind === edge.kind);
  if (same === undefined && between.length > 0)
    return `is there as ${between.map(({ kind }) => kind).join(", ")}, not as ${edge.kind}`;
  if (same === undefined) return "is missing";
  const { calls, errors } = same;
  if (calls === edge.calls && errors === edge.errors) return null;
  return `has ${calls} calls (${errors} failed); ${edge.calls} were made (${edge.errors} failed)`;
}

/** The service that a report of a trace blames first; null = nobody. */
export function firstCauseIn(report: unknown): string | null {
  const [first] = listIn(report, "root_cause_candidates");
  const service = propertyOf(first, "service");
  return typeof service === "string" ? service : null;
}

function labelOf({ resource, span }: SentSpan): string {
  const name = resource.find(({ key }) => key === "service.name")?.value;
  const service = name !== undefined && "stringValue" in name ? name.stringValue : "";
  return `${service} ${span.name} (span ${span.spanId})`;
}

function changes(sent: SentSpan, read: ReadonlyMap<string, string>): readonly string[] {
  const { resource, scope, span } = sent;
  const expected = factsOf({ attributes: resource }, { name: scope }, span);
  const names = [...new Set([...expected.keys(), ...read.keys()])].sort();
  return names
    .filter((name) => expected.get(name) !== read.get(name))
    .map(
      (name) =>
        `${labelOf(sent)}: ${name} is ${read.get(name) ?? "absent"}, sent was ${expected.get(name) ?? "none"}`,
    );
}

interface ReadSpan {
  readonly spanId: string;
  readonly facts: ReadonlyMap<string, string>;
}

function spansIn(answer: unknown): readonly ReadSpan[] {
  return listIn(answer, "resourceSpans").flatMap((ofResource) =>
    listIn(ofResource, "scopeSpans").flatMap((ofScope) =>
      listIn(ofScope, "spans").map((span) => ({
        spanId: String(propertyOf(span, "spanId")),
        facts: factsOf(propertyOf(ofResource, "resource"), propertyOf(ofScope, "scope"), span),
      })),
    ),
  );
}

/** Everything that OTLP JSON says of a span, one text each; what has its default value says nothing. */
function factsOf(resource: unknown, scope: unknown, span: unknown): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  const note = (name: string, value: unknown): void => {
    if (value !== undefined && value !== "" && value !== 0) facts.set(name, JSON.stringify(value));
  };
  const noteAttributes = (prefix: string, of: unknown): void => {
    for (const attribute of listIn(of, "attributes"))
      note(`${prefix} ${String(propertyOf(attribute, "key"))}`, anyValueOf(propertyOf(attribute, "value")));
  };
  noteAttributes("resource attribute", resource);
  note("scope", propertyOf(scope, "name"));
  for (const name of ["traceId", "parentSpanId", "name", "kind"]) note(name, propertyOf(span, name));
  for (const name of ["startTimeUnixNano", "endTimeUnixNano"]) note(name, String(propertyOf(span, name)));
  note("status code", propertyOf(propertyOf(span, "status"), "code"));
  note("status message", propertyOf(propertyOf(span, "status"), "message"));
  noteAttributes("attribute", span);
  for (const [i, event] of listIn(span, "events").entries()) {
    note(
      `event ${i + 1}`,
      `${String(propertyOf(event, "name"))} at ${String(propertyOf(event, "timeUnixNano"))}`,
    );
    noteAttributes(`event ${i + 1} attribute`, event);
  }
  return facts;
}

/** An AnyValue; OTLP JSON lets 64-bit integers be numbers or texts. */
function anyValueOf(value: unknown): unknown {
  const integer = propertyOf(value, "intValue");
  if (typeof integer === "number") return { intValue: String(integer) };
  const list = propertyOf(value, "arrayValue");
  return list === undefined ? value : { arrayValue: listIn(list, "values").map(anyValueOf) };
}

function listIn(value: unknown, name: string): readonly unknown[] {
  const list = propertyOf(value, name);
  return Array.isArray(list) ? list : [];
}

function propertyOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
