import { Span } from "../model/span.ts";
import { type SpanTable, StatusCode } from "../model/span-table.ts";
import type { RowRef } from "../trace/trace.ts";
import {
  attributesBeside,
  base64,
  type Entry,
  entriesOf,
  fieldTags,
  microsAt,
  microTimes,
  numberJson,
  resourceEntries,
  tagText,
} from "./write-tags.ts";

/** Jaeger's flags mean other things beyond this one. */
const sampledFlag = 1;
/** What Jaeger calls a service that has no name. */
const noServiceName = "OTLPResourceNoServiceName";

/** Spans that are written in one piece: about 1 MB. */
const spansOfPart = 1_000;

/**
 * One trace as an element of `data` in Jaeger's JSON (what its UI saves and reads), in parts, because a huge trace does not
 * fit into one string. All rows must be of the same trace. Parents become CHILD_OF references and links FOLLOWS_FROM, resources
 * processes, and what Jaeger has no field for becomes tags. Lost: what is below a microsecond; the attributes, `tracestate` and
 * flags of links; the attributes of scopes; schema URLs; the types within lists.
 */
export function* jaegerJson(rows: readonly RowRef[]): Iterable<string> {
  const [first] = rows;
  if (first === undefined) return;
  const processes = new Processes();
  yield `{"traceID":${JSON.stringify(new Span(first.table, first.row).traceId)},"spans":[\n`;
  for (let at = 0; at < rows.length; at += spansOfPart) {
    const part = rows.slice(at, at + spansOfPart);
    const spans = part.map(({ table, row }) => JSON.stringify(spanJson(table, row, processes)));
    yield `${at === 0 ? "" : ",\n"}${spans.join(",\n")}`;
  }
  yield `],\n"processes":${processes.json()},"warnings":null}`;
}

function spanJson(table: SpanTable, row: number, processes: Processes): object {
  const span = new Span(table, row);
  const { traceId, spanId, parentSpanId } = span;
  const { start, duration } = microTimes(table, row);
  const fields = fieldTags(table, row);
  if (span.statusCode === StatusCode.Error) fields.push(["error", true]);
  const parents =
    parentSpanId === null ? [] : [{ refType: "CHILD_OF", traceID: traceId, spanID: parentSpanId }];
  const links = span.links.map((link) => ({
    refType: "FOLLOWS_FROM",
    traceID: link.traceId,
    spanID: link.spanId,
  }));
  return {
    traceID: traceId,
    spanID: spanId,
    flags: span.flags & sampledFlag || undefined,
    operationName: span.name,
    references: [...parents, ...links],
    startTime: start,
    duration,
    tags: [...attributesBeside(table, row, fields), ...fields].map(tagJson),
    logs: logsJson(table, row),
    processID: processes.idOf(table, table.resource[row] as number),
    warnings: null,
  };
}

function logsJson(table: SpanTable, row: number): readonly object[] {
  const { events, eventStart, eventEnd } = table;
  const logs: object[] = [];
  for (let i = eventStart[row] as number; i < (eventEnd[row] as number); i += 1) {
    const name = table.strings.get(events.name[i] as number);
    const dropped = events.droppedAttributes[i] as number;
    const fields: Entry[] = name === "" ? [] : [["event", name]];
    const start = events.attributeStart[i] as number;
    // The name stands in this field.
    for (const entry of entriesOf(table.attributes, start, events.attributeEnd[i] as number))
      if (entry[0] !== "event" || name === "") fields.push(entry);
    if (dropped > 0) fields.push(["otel.dropped_attributes_count", BigInt(dropped)]);
    logs.push({ timestamp: microsAt(events.time, i), fields: fields.map(tagJson) });
  }
  return logs;
}

function tagJson([key, value]: Entry): object {
  if (typeof value === "boolean") return { key, type: "bool", value };
  if (typeof value === "bigint") return { key, type: "int64", value: numberJson(value) };
  if (typeof value === "number") return { key, type: "float64", value: numberJson(value) };
  if (value instanceof Uint8Array) return { key, type: "binary", value: base64(value) };
  return { key, type: "string", value: tagText(value) };
}

/** The processes of one trace: resources that say the same are one. */
class Processes {
  /** p1, p2, … by what a process says */
  readonly #idByText = new Map<string, string>();
  readonly #idByResource = new Map<SpanTable, Map<number, string>>();

  idOf(table: SpanTable, resource: number): string {
    let ids = this.#idByResource.get(table);
    if (ids === undefined) {
      ids = new Map();
      this.#idByResource.set(table, ids);
    }
    let id = ids.get(resource);
    if (id === undefined) {
      const text = processText(table, resource);
      id = this.#idByText.get(text) ?? `p${this.#idByText.size + 1}`;
      this.#idByText.set(text, id);
      ids.set(resource, id);
    }
    return id;
  }

  json(): string {
    return `{${Array.from(this.#idByText, ([text, id]) => `"${id}":${text}`).join(",")}}`;
  }
}

function processText(table: SpanTable, resource: number): string {
  const entries = resourceEntries(table, resource);
  const [, name = noServiceName] = entries.findLast(([key]) => key === "service.name") ?? [];
  const others = entries.filter(([key]) => key !== "service.name");
  return JSON.stringify({ serviceName: tagText(name), tags: others.map(tagJson) });
}
