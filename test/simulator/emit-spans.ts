import type { AnyValue } from "../../src/model/attributes.ts";
import { wordsOfHex } from "../../src/model/ids.ts";
import { SpanKind, SpanTable, StatusCode } from "../../src/model/span-table.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { attributesOf, nameOf } from "./emit-attributes.ts";
import { type Clock, type Resources, spanIdOf, traceIdOf } from "./emit-identity.ts";
import { mix, Purpose, uniform } from "./random.ts";
import { hasEnded, type Recording, type SimSpan } from "./recording.ts";

const spansPerLine = 500;
const kinds = {
  server: SpanKind.Server,
  client: SpanKind.Client,
  producer: SpanKind.Producer,
  consumer: SpanKind.Consumer,
  internal: SpanKind.Internal,
} as const;

export interface SpanOutput {
  readonly clock: Clock;
  readonly resources: Resources;
  /** the share of spans that never arrive, as with exporters that drop what they cannot send in time */
  readonly lostShare: number;
}

/** Export requests in OTLP JSON, one a line: whole traces in the order of their starts. */
export function spanLines(
  { spans, requests }: Recording,
  { clock, resources, lostShare }: SpanOutput,
): string[] {
  const byRequest = new Map(requests.map((request) => [request, [] as SimSpan[]]));
  for (const span of spans)
    if (hasEnded(span) && !isLost(span, lostShare)) byRequest.get(span.request)?.push(span);
  const traces = Array.from(byRequest.values(), (list) => list.sort((a, b) => a.start - b.start))
    .filter((list) => list.length > 0)
    .sort((a, b) => (a[0]?.start ?? 0) - (b[0]?.start ?? 0));
  const lines: string[] = [];
  let batch: SimSpan[] = [];
  const flush = (): void => {
    if (batch.length > 0) lines.push(tracesToJson(rowsOf(batch, clock, resources)));
    batch = [];
  };
  for (const trace of traces) {
    if (batch.length + trace.length > spansPerLine) flush();
    batch.push(...trace);
  }
  flush();
  return lines;
}

function isLost({ key, request }: SimSpan, share: number): boolean {
  return share > 0 && uniform(mix(request.key, key), Purpose.Lost) < share;
}

function rowsOf(spans: readonly SimSpan[], clock: Clock, resources: Resources): RowRef[] {
  const table = new SpanTable(spans.length);
  const scope = table.scopes.add();
  table.scopes.name[scope] = table.strings.intern("simulated.instrumentation");
  const places = new Map<object, number>();
  return spans.map((span) => {
    const attributes = resources.of(span.instance, span.version);
    let resource = places.get(attributes);
    if (resource === undefined) {
      resource = table.resources.add();
      const range = addAttributes(table, attributes);
      table.resources.attributeStart[resource] = range.start;
      table.resources.attributeEnd[resource] = range.end;
      places.set(attributes, resource);
    }
    return { table, row: addSpan(table, table.addRow(resource, scope), span, clock) };
  });
}

function addSpan(table: SpanTable, row: number, span: SimSpan, clock: Clock): number {
  const { strings } = table;
  const { parent, link, failure, exceptionAt } = span;
  table.traceId.set(wordsOfHex(traceIdOf(span.request)), row * 4);
  table.spanId.set(wordsOfHex(spanIdOf(span)), row * 2);
  if (parent !== null) table.parentSpanId.set(wordsOfHex(spanIdOf(parent)), row * 2);
  putTime(table.startTime, row, clock.at(span.instance, span.start));
  putTime(table.endTime, row, clock.at(span.instance, span.end));
  table.kind[row] = kinds[span.role];
  table.name[row] = strings.intern(nameOf(span));
  if (failure !== null) {
    table.statusCode[row] = StatusCode.Error;
    const isOwn = span.role === "client" ? failure.type !== "downstream" : !Number.isNaN(exceptionAt);
    if (isOwn) table.statusMessage[row] = strings.intern(failure.message);
  }
  const own = addAttributes(table, attributesOf(span));
  table.attributeStart[row] = own.start;
  table.attributeEnd[row] = own.end;
  table.eventStart[row] = table.eventEnd[row] = table.events.length;
  if (failure !== null && !Number.isNaN(exceptionAt)) addException(table, row, span, clock);
  table.linkStart[row] = table.linkEnd[row] = table.links.length;
  if (link !== null) {
    const at = table.links.add();
    table.links.traceId.set(wordsOfHex(traceIdOf(link.request)), at * 4);
    table.links.spanId.set(wordsOfHex(spanIdOf(link)), at * 2);
    table.links.attributeStart[at] = table.links.attributeEnd[at] = table.attributes.length;
    table.linkEnd[row] = table.links.length;
  }
  return row;
}

function addException(
  table: SpanTable,
  row: number,
  { failure, instance, exceptionAt }: SimSpan,
  clock: Clock,
): void {
  const { events, strings } = table;
  const at = events.add();
  putTime(events.time, at, clock.at(instance, exceptionAt));
  events.name[at] = strings.intern("exception");
  const range = addAttributes(
    table,
    new Map([
      ["exception.type", failure?.exception ?? ""],
      ["exception.message", failure?.message ?? ""],
    ]),
  );
  events.attributeStart[at] = range.start;
  events.attributeEnd[at] = range.end;
  table.eventEnd[row] = events.length;
}

function addAttributes(
  { attributes, strings }: SpanTable,
  entries: ReadonlyMap<string, AnyValue>,
): { readonly start: number; readonly end: number } {
  const start = attributes.length;
  for (const [key, value] of entries) attributes.addValue(strings.intern(key), value);
  return { start, end: attributes.length };
}

function putTime(column: Uint32Array, place: number, time: bigint): void {
  column[place * 2] = Number(time >> 32n);
  column[place * 2 + 1] = Number(time & 0xffffffffn);
}
