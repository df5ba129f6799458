import * as fc from "fast-check";
import type { AnyValue, AttributePool } from "../../src/model/attributes.ts";
import { Span } from "../../src/model/span.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { anyText } from "../any-text.ts";

/** A JSON text to be: keys may stand in any order and spelling, so an object is a list. */
export type Node =
  | { readonly object: readonly (readonly [key: string, value: Node | undefined])[] }
  | readonly Node[]
  | { readonly text: string }
  | { readonly integer: bigint }
  | { readonly double: number }
  | { readonly raw: string };

export interface PlainLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState: string;
  readonly flags: number;
  readonly attributes: readonly Entry[];
  readonly dropped: number;
}
export interface PlainEvent {
  readonly time: bigint;
  readonly name: string;
  readonly attributes: readonly Entry[];
  readonly dropped: number;
}
export interface PlainSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number;
  readonly flags: number;
  readonly startTime: bigint;
  readonly endTime: bigint;
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly attributes: readonly Entry[];
  readonly dropped: { readonly attributes: number; readonly events: number; readonly links: number };
  readonly events: readonly PlainEvent[];
  readonly links: readonly PlainLink[];
}
export interface PlainScope {
  readonly name: string;
  readonly version: string;
  readonly schemaUrl: string;
  readonly attributes: readonly Entry[];
  readonly dropped: number;
  readonly spans: readonly PlainSpan[];
}
export interface PlainResource {
  readonly attributes: readonly Entry[];
  readonly schemaUrl: string;
  readonly dropped: number;
  readonly scopes: readonly PlainScope[];
}
type Entry = readonly [key: string, value: AnyValue];

// --- any request --------------------------------------------------------------------------------------------------

const text = fc.oneof(
  fc.constantFrom(
    "",
    "http.route",
    "service.name",
    "__proto__",
    "constructor",
    'a","b',
    "a\\",
    "\u0000\n\t/",
  ),
  fc.string({ unit: "grapheme", maxLength: 12 }),
  anyText(4),
);
const double = fc.oneof(fc.double(), fc.integer().map(Number), fc.constantFrom(0.1, -0, 1e300, Number.NaN));
const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 54n), max: 2n ** 54n }),
  fc.constantFrom(0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -(2n ** 53n), 2n ** 53n - 1n, 2n ** 32n),
);
const anyValue: fc.Arbitrary<AnyValue> = fc.letrec<{ value: AnyValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    text,
    fc.constant(null),
    fc.boolean(),
    int64,
    double,
    fc.uint8Array({ maxLength: 7 }),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.array(fc.tuple(text, tie("value")), { maxLength: 3 }).map((entries) => new Map(entries)),
  ),
})).value;
const entries = fc.array(fc.tuple(text, anyValue), { maxLength: 4 });
const uint32 = fc.oneof(fc.constant(0), fc.nat(0xffff_ffff));
const time = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 1750000000123456789n));
const hexDigit = fc.nat(15).map((digit) => digit.toString(16));
const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: hexDigit, minLength: length, maxLength: length });
const id = (length: number): fc.Arbitrary<string> => hex(length).filter((digits) => !/^0+$/.test(digits));
const event: fc.Arbitrary<PlainEvent> = fc.record({ time, name: text, attributes: entries, dropped: uint32 });
const link: fc.Arbitrary<PlainLink> = fc.record({
  traceId: hex(32),
  spanId: hex(16),
  traceState: text,
  flags: uint32,
  attributes: entries,
  dropped: uint32,
});
const span: fc.Arbitrary<PlainSpan> = fc.record({
  traceId: id(32),
  spanId: id(16),
  parentSpanId: fc.option(id(16)),
  traceState: text,
  name: text,
  kind: fc.nat(6),
  flags: uint32,
  startTime: time,
  endTime: time,
  statusCode: fc.nat(2),
  statusMessage: text,
  attributes: entries,
  dropped: fc.record({ attributes: uint32, events: uint32, links: uint32 }),
  events: fc.array(event, { maxLength: 2 }),
  links: fc.array(link, { maxLength: 2 }),
});
const scope: fc.Arbitrary<PlainScope> = fc.record({
  name: text,
  version: text,
  schemaUrl: text,
  attributes: entries,
  dropped: uint32,
  spans: fc.array(span, { minLength: 1, maxLength: 3 }),
});
const resource: fc.Arbitrary<PlainResource> = fc.record({
  attributes: entries,
  schemaUrl: text,
  dropped: uint32,
  scopes: fc.array(scope, { minLength: 1, maxLength: 2 }),
});
export const anyRequest = fc.array(resource, { maxLength: 2 });

// --- as JSON ------------------------------------------------------------------------------------------------------

export function requestNode(resources: readonly PlainResource[]): Node {
  return { object: [["resourceSpans", resources.map(resourceNode)]] };
}

function resourceNode({ attributes, schemaUrl, dropped, scopes }: PlainResource): Node {
  const fields = attributeFields(attributes, dropped);
  return {
    object: [
      ["resource", { object: fields }],
      ["schemaUrl", { text: schemaUrl }],
      ["scopeSpans", scopes.map(scopeNode)],
    ],
  };
}

function scopeNode({ name, version, schemaUrl, attributes, dropped, spans }: PlainScope): Node {
  const fields = attributeFields(attributes, dropped);
  return {
    object: [
      ["scope", { object: [["name", { text: name }], ["version", { text: version }], ...fields] }],
      ["schemaUrl", { text: schemaUrl }],
      ["spans", spans.map(spanNode)],
    ],
  };
}

function spanNode(plain: PlainSpan): Node {
  const { statusCode, statusMessage, dropped, parentSpanId } = plain;
  return {
    object: [
      ["traceId", { text: plain.traceId }],
      ["spanId", { text: plain.spanId }],
      ["parentSpanId", parentSpanId === null ? undefined : { text: parentSpanId }],
      ["traceState", { text: plain.traceState }],
      ["name", { text: plain.name }],
      ["kind", { integer: BigInt(plain.kind) }],
      ["flags", { integer: BigInt(plain.flags) }],
      ["startTimeUnixNano", { integer: plain.startTime }],
      ["endTimeUnixNano", { integer: plain.endTime }],
      [
        "status",
        {
          object: [
            ["code", { integer: BigInt(statusCode) }],
            ["message", { text: statusMessage }],
          ],
        },
      ],
      ...attributeFields(plain.attributes, dropped.attributes),
      ["droppedEventsCount", { integer: BigInt(dropped.events) }],
      ["droppedLinksCount", { integer: BigInt(dropped.links) }],
      [
        "events",
        plain.events.map((item) => ({
          object: [
            ["timeUnixNano", { integer: item.time }],
            ["name", { text: item.name }],
            ...attributeFields(item.attributes, item.dropped),
          ],
        })),
      ],
      [
        "links",
        plain.links.map((item) => ({
          object: [
            ["traceId", { text: item.traceId }],
            ["spanId", { text: item.spanId }],
            ["traceState", { text: item.traceState }],
            ["flags", { integer: BigInt(item.flags) }],
            ...attributeFields(item.attributes, item.dropped),
          ],
        })),
      ],
    ],
  };
}

function attributeFields(
  attributes: readonly Entry[],
  dropped: number,
): readonly (readonly [string, Node])[] {
  return [
    ["attributes", attributes.map(entryNode)],
    ["droppedAttributesCount", { integer: BigInt(dropped) }],
  ];
}

function entryNode([key, value]: Entry): Node {
  return {
    object: [
      ["key", { text: key }],
      ["value", valueNode(value)],
    ],
  };
}

function valueNode(value: AnyValue): Node {
  if (value === null) return { object: [] };
  if (typeof value === "string") return { object: [["stringValue", { text: value }]] };
  if (typeof value === "boolean") return { object: [["boolValue", { raw: String(value) }]] };
  if (typeof value === "bigint") return { object: [["intValue", { integer: value }]] };
  if (typeof value === "number") return { object: [["doubleValue", { double: value }]] };
  if (value instanceof Uint8Array)
    return { object: [["bytesValue", { raw: `"${Buffer.from(value).toString("base64")}"` }]] };
  if (value instanceof Map) {
    const list = [...(value as ReadonlyMap<string, AnyValue>)].map(entryNode);
    return { object: [["kvlistValue", { object: [["values", list]] }]] };
  }
  const list = (value as readonly AnyValue[]).map(valueNode);
  return { object: [["arrayValue", { object: [["values", list]] }]] };
}

/** Writes a node in one of the many ways that mean the same; `seed` picks which. */
export function writeAnyhow(node: Node, seed: number): string {
  let state = seed >>> 0;
  const pick = (count: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % count;
  };
  const space = (): string => (pick(6) === 0 ? [" ", "\n", "\r\n", "\t "][pick(4)]! : "");
  const spell = (key: string): string =>
    pick(4) === 0 ? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : key;
  const quoted = (value: string): string => `"${Array.from(value, character).join("")}"`;
  const character = (one: string): string => {
    if (pick(12) !== 0) return JSON.stringify(one).slice(1, -1);
    const units = Array.from({ length: one.length }, (_, i) => one.charCodeAt(i));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
  };
  const write = (item: Node): string => `${space()}${writeBare(item)}${space()}`;
  const writeBare = (item: Node): string => {
    if (Array.isArray(item)) return `[${item.map(write).join(",")}${item.length === 0 ? space() : ""}]`;
    if ("raw" in item) return item.raw;
    if ("text" in item) return quoted(item.text);
    if ("integer" in item) return pick(2) === 0 ? String(item.integer) : `"${item.integer}"`;
    if ("double" in item) {
      const digits = Object.is(item.double, -0) ? "-0" : String(item.double);
      return Number.isFinite(item.double) && pick(2) === 0 ? digits : `"${digits}"`;
    }
    const fields = (item as Extract<Node, { object: unknown }>).object.filter(
      ([, value]) => value !== undefined,
    );
    const unknown: [string, Node] = ["unknown", { raw: '{"a":[1,{"b":null}],"c":"\\"}"}' }];
    const shuffled = (pick(5) === 0 ? [...fields, unknown] : [...fields])
      .map((field) => [pick(1 << 20), field] as const)
      .sort(([a], [b]) => (pick(2) === 0 ? a - b : 0))
      .map(([, field]) => field);
    return `{${shuffled.map(([key, value]) => `${space()}"${spell(key)}"${space()}:${write(value!)}`).join(",")}}`;
  };
  return write(node);
}

// --- as a table ---------------------------------------------------------------------------------------------------

/** The rows of a table with all that is known of them. */
export function viewOf(table: SpanTable): unknown[] {
  const { resources, scopes, strings, attributes } = table;
  return Array.from({ length: table.rowCount }, (_, row) => {
    const plain = new Span(table, row);
    const at = table.resource[row]!;
    const scopeAt = table.scope[row]!;
    return {
      resource: {
        attributes: entriesOf(attributes, resources.attributeStart[at]!, resources.attributeEnd[at]!),
        schemaUrl: strings.get(resources.schemaUrl[at]!),
        dropped: resources.droppedAttributes[at],
      },
      scope: {
        name: plain.scopeName,
        version: strings.get(scopes.version[scopeAt]!),
        schemaUrl: strings.get(scopes.schemaUrl[scopeAt]!),
        attributes: entriesOf(attributes, scopes.attributeStart[scopeAt]!, scopes.attributeEnd[scopeAt]!),
        dropped: scopes.droppedAttributes[scopeAt],
      },
      span: spanView(table, plain),
    };
  });
}

function spanView(table: SpanTable, plain: Span): PlainSpan {
  const { attributes, events, links } = table;
  const { row } = plain;
  const firstEvent = table.eventStart[row]!;
  const firstLink = table.linkStart[row]!;
  return {
    traceId: plain.traceId,
    spanId: plain.spanId,
    parentSpanId: plain.parentSpanId,
    traceState: plain.traceState,
    name: plain.name,
    kind: plain.kind,
    flags: plain.flags,
    startTime: plain.startTime,
    endTime: plain.endTime,
    statusCode: plain.statusCode,
    statusMessage: plain.statusMessage,
    attributes: entriesOf(attributes, table.attributeStart[row]!, table.attributeEnd[row]!),
    dropped: plain.dropped,
    events: plain.events.map((item, i) => ({
      time: item.time,
      name: item.name,
      attributes: entriesOf(
        attributes,
        events.attributeStart[firstEvent + i]!,
        events.attributeEnd[firstEvent + i]!,
      ),
      dropped: item.droppedAttributesCount,
    })),
    links: plain.links.map((item, i) => ({
      traceId: item.traceId,
      spanId: item.spanId,
      traceState: item.traceState,
      flags: item.flags,
      attributes: entriesOf(
        attributes,
        links.attributeStart[firstLink + i]!,
        links.attributeEnd[firstLink + i]!,
      ),
      dropped: item.droppedAttributesCount,
    })),
  };
}

function entriesOf(pool: AttributePool, start: number, end: number): readonly Entry[] {
  return Array.from(
    { length: end - start },
    (_, i) => [pool.keyAt(start + i), pool.valueAt(start + i)] as const,
  );
}

/** What `viewOf` must say of a request. */
export function expectedView(resources: readonly PlainResource[]): unknown[] {
  return resources.flatMap(({ scopes, ...resourceRest }) =>
    scopes.flatMap(({ spans, ...scopeRest }) =>
      spans.map((plain) => ({ resource: resourceRest, scope: scopeRest, span: plain })),
    ),
  );
}
