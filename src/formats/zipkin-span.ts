import { grow } from "../base/grow.ts";
import { type AnyValue, textOf } from "../model/attributes.ts";
import { spanKeys } from "../model/semconv.ts";
import { SpanKind, type SpanTable } from "../model/span-table.ts";
import type { StringDictionary } from "../model/string-dictionary.ts";

/** One side of a call, as Zipkin names it: ids of strings, and a port; 0 = not told. */
export interface ZipkinEndpoint {
  serviceName: number;
  ipv4: number;
  ipv6: number;
  port: number;
}

export function noEndpoint(): ZipkinEndpoint {
  return { serviceName: 0, ipv4: 0, ipv6: 0, port: 0 };
}

export function copyEndpoint(from: ZipkinEndpoint, to: ZipkinEndpoint): void {
  to.serviceName = from.serviceName;
  to.ipv4 = from.ipv4;
  to.ipv6 = from.ipv6;
  to.port = from.port;
}

/**
 * A span of Zipkin's second model while it is read, whatever encoding it comes in. There is one for a table, filled anew for
 * each span: it has no memory of its own to give back. Texts are ids of the table's strings.
 */
export class ZipkinSpan {
  readonly traceId = new Uint32Array(4);
  readonly id = new Uint32Array(2);
  /** all zero = none */
  readonly parentId = new Uint32Array(2);
  hasTraceId = false;
  hasId = false;
  /** a `SpanKind` */
  kind = 0;
  name = 0;
  /** microseconds since 1970, 0 = unknown */
  timestamp = 0;
  /** microseconds, NaN = not ended */
  duration = Number.NaN;
  /** microseconds since 1970 where the end is all that is known, 0 = unknown */
  end = 0;
  readonly local = noEndpoint();
  readonly remote = noEndpoint();
  /** it carries the id of the caller's half */
  isShared = false;
  tagCount = 0;
  readonly tagKeys: number[] = [];
  /** the text of a tag, -1 = another value */
  readonly tagTexts: number[] = [];
  readonly tagValues: AnyValue[] = [];
  /** what is among the tags: bits of `Tag` */
  tagBits = 0;
  annotationCount = 0;
  /** microseconds since 1970, 0 = unknown */
  readonly annotationTimes: number[] = [];
  readonly annotationTexts: number[] = [];
  readonly #strings: StringDictionary;
  readonly #keeps: (key: number) => boolean;
  /** by string id: bits of `Tag`, 0 = not looked at yet */
  #bitsOfKey = new Uint32Array(256);

  constructor({ strings, attributes }: SpanTable) {
    this.#strings = strings;
    this.#keeps = (key) => attributes.keeps(key);
  }

  clear(): void {
    this.hasTraceId = this.hasId = false;
    this.parentId.fill(0);
    this.name = 0;
    this.clearHalf();
  }

  /** What each half of a call says for itself. */
  clearHalf(): void {
    this.isShared = false;
    this.kind = SpanKind.Unspecified;
    this.timestamp = this.end = this.tagCount = this.tagBits = this.annotationCount = 0;
    this.duration = Number.NaN;
    for (const endpoint of [this.local, this.remote])
      endpoint.serviceName = endpoint.ipv4 = endpoint.ipv6 = endpoint.port = 0;
  }

  /** Whether anybody wants a tag; the value of another need not be read. */
  wants(key: number): boolean {
    return this.#bitsOf(key) !== Tag.Known || this.#keeps(key);
  }

  addTag(key: number, text: number, value: AnyValue): void {
    const at = this.tagCount;
    this.tagKeys[at] = key;
    this.tagTexts[at] = text;
    this.tagValues[at] = value;
    this.tagBits |= this.#bitsOf(key);
    this.tagCount = at + 1;
  }

  addAnnotation(timestamp: number, text: number): void {
    const at = this.annotationCount;
    this.annotationTimes[at] = timestamp;
    this.annotationTexts[at] = text;
    this.annotationCount = at + 1;
  }

  bitsOfTag(index: number): number {
    return this.#bitsOfKey[this.tagKeys[index] as number] as number;
  }

  tagValue(index: number): AnyValue {
    const text = this.tagTexts[index] as number;
    return text < 0 ? (this.tagValues[index] as AnyValue) : this.#strings.get(text);
  }

  /** The last value of a tag; undefined = there is none. */
  tag(name: string): AnyValue | undefined {
    const key = this.#strings.find(name);
    const index = key < 0 ? -1 : this.tagKeys.lastIndexOf(key, this.tagCount - 1);
    return index < 0 || this.tagCount === 0 ? undefined : this.tagValue(index);
  }

  tagText(name: string): string {
    return textOf(this.tag(name));
  }

  has(tag: number): boolean {
    return (this.tagBits & tag) !== 0;
  }

  #bitsOf(key: number): number {
    if (key >= this.#bitsOfKey.length) this.#bitsOfKey = grow(this.#bitsOfKey, key + 1);
    let bits = this.#bitsOfKey[key] as number;
    if (bits === 0) {
      bits = bitsOfName(this.#strings.get(key));
      this.#bitsOfKey[key] = bits;
    }
    return bits;
  }
}

/** What a tag is about. */
export const Tag = {
  Known: 1,
  /** a field of OpenTelemetry's span */
  Field: 2,
  Link: 4,
  Resource: 8,
  ServiceName: 16,
  PeerName: 32,
  Address: 64,
  NetworkAddress: 128,
  DbSystem: 256,
  DbCall: 512,
  MessagingSystem: 1024,
  Destination: 2048,
  /** the name of a destination as Zipkin's instrumentation tells it */
  DestinationName: 4096,
  /** the scope of OpenTelemetry's span */
  Scope: 8192,
} as const;

/** Tags that OpenTelemetry's exporters use for what Zipkin has no field for. */
const fieldTags: readonly string[] = [
  "error",
  "span.kind",
  "otel.status_code",
  "otel.status_description",
  "otel.dropped_attributes_count",
  "otel.dropped_events_count",
  "otel.dropped_links_count",
  "w3c.tracestate",
];

const scopeTags: readonly string[] = [
  "otel.scope.name",
  "otel.scope.version",
  "otel.library.name",
  "otel.library.version",
];

const linkTag = "otlp.link.";

/** Names that only resources have, wherever exporters without resources put them. */
const resourceTag =
  /^(?:service\.(?:namespace|version|instance\.id)$|(?:telemetry|k8s|container|host|os|process|cloud|deployment|device|webengine)\.)/;

/** What instrumentation for Zipkin tags its messages with, and whose messages these are. */
export const destinationTags: ReadonlyMap<string, string> = new Map([
  ["kafka.topic", "kafka"],
  ["rabbit.queue", "rabbitmq"],
  ["rabbit.exchange", "rabbitmq"],
  ["jms.queue", "jms"],
  ["jms.topic", "jms"],
]);

/** The same for calls to databases. */
export const databaseTags: ReadonlyMap<string, string> = new Map([
  ["sql.query", "other_sql"],
  ["cassandra.query", "cassandra"],
  ["cassandra.keyspace", "cassandra"],
  ["mongodb.command", "mongodb"],
  ["redis.command", "redis"],
]);

const bitsOfNames: ReadonlyMap<string, number> = new Map(
  (
    [
      [Tag.ServiceName, ["service.name"]],
      [Tag.PeerName, spanKeys.peerName],
      [Tag.Address, spanKeys.address],
      [Tag.NetworkAddress, spanKeys.networkAddress],
      [Tag.DbSystem, spanKeys.dbSystem],
      [Tag.DbCall, [...databaseTags.keys()]],
      [Tag.MessagingSystem, spanKeys.messagingSystem],
      [Tag.Destination, spanKeys.destination],
      [Tag.DestinationName, [...destinationTags.keys()]],
      [Tag.Field, fieldTags],
      [Tag.Scope, scopeTags],
    ] as const
  ).flatMap(([bits, names]) => names.map((name) => [name, bits] as const)),
);

function bitsOfName(name: string): number {
  if (name.startsWith(linkTag)) return Tag.Known | Tag.Link;
  return Tag.Known | (bitsOfNames.get(name) ?? (resourceTag.test(name) ? Tag.Resource : 0));
}
