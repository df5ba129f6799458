import protobuf from "protobufjs";
import { decodeZipkinSpan, decodeZipkinV1Span } from "../../src/formats/zipkin-json.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import type { DecodeResult, RejectReason } from "../../src/model/telemetry.ts";

/** A span in Zipkin's JSON (v2). */
export interface ZipkinJson {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string | undefined;
  readonly kind?: string | undefined;
  readonly name?: string | undefined;
  readonly timestamp?: number | undefined;
  readonly duration?: number | undefined;
  readonly localEndpoint?: EndpointJson | undefined;
  readonly remoteEndpoint?: EndpointJson | undefined;
  readonly annotations?: readonly { readonly timestamp: number; readonly value: string }[];
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly shared?: boolean | undefined;
}

interface EndpointJson {
  readonly serviceName?: string | undefined;
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  readonly port?: number | undefined;
}

/** Writes a span, or each of a list of them, as JSON and reads it into the table. */
export function appendZipkinSpans(spans: unknown, table: SpanTable): DecodeResult {
  return appendEach(spans, (bytes) => decodeZipkinSpan(bytes, table));
}

/** The same for the first model. */
export function appendZipkinV1Spans(spans: unknown, table: SpanTable): DecodeResult {
  return appendEach(spans, (bytes) => decodeZipkinV1Span(bytes, table));
}

function appendEach(spans: unknown, append: (bytes: Uint8Array) => DecodeResult): DecodeResult {
  const results = [spans].flat().map((span) => append(Buffer.from(JSON.stringify(span))));
  const reasons = new Map<RejectReason, number>();
  for (const result of results)
    for (const [reason, count] of result.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
  return {
    accepted: results.reduce((sum, { accepted }) => sum + accepted, 0),
    rejected: results.reduce((sum, { rejected }) => sum + rejected, 0),
    reasons,
  };
}

/** The field numbers of zipkin.proto. */
const schema = protobuf.parse(
  `syntax = "proto3";
  message Endpoint { string serviceName = 1; bytes ipv4 = 2; bytes ipv6 = 3; int32 port = 4; }
  message Annotation { fixed64 timestamp = 1; string value = 2; }
  message Span {
    enum Kind { SPAN_KIND_UNSPECIFIED = 0; CLIENT = 1; SERVER = 2; PRODUCER = 3; CONSUMER = 4; }
    bytes traceId = 1; bytes parentId = 2; bytes id = 3; Kind kind = 4; string name = 5;
    fixed64 timestamp = 6; uint64 duration = 7; Endpoint localEndpoint = 8; Endpoint remoteEndpoint = 9;
    repeated Annotation annotations = 10; map<string, string> tags = 11; bool debug = 12; bool shared = 13;
  }
  message ListOfSpans { repeated Span spans = 1; }`,
).root;

/** The same spans in Zipkin's protobuf, as protobufjs writes them. */
export function protobufOf(spans: readonly ZipkinJson[]): Uint8Array {
  const list = schema.lookupType("ListOfSpans");
  const bytesOf = (hex: string | undefined) => (hex === undefined ? undefined : Buffer.from(hex, "hex"));
  const endpointOf = (endpoint: EndpointJson | undefined) =>
    endpoint && { ...endpoint, ipv4: ipv4Bytes(endpoint.ipv4), ipv6: ipv6Bytes(endpoint.ipv6) };
  const message = list.fromObject({
    spans: spans.map((span) => ({
      ...span,
      traceId: bytesOf(span.traceId),
      parentId: bytesOf(span.parentId),
      id: bytesOf(span.id),
      localEndpoint: endpointOf(span.localEndpoint),
      remoteEndpoint: endpointOf(span.remoteEndpoint),
    })),
  });
  return new Uint8Array(list.encode(message).finish());
}

function ipv4Bytes(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Uint8Array.from(text.split(".").map(Number));
}

function ipv6Bytes(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const [before = "", after = ""] = text.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const zeros = Array<string>(8 - groups(before).length - groups(after).length).fill("0");
  return Buffer.from(
    [...groups(before), ...zeros, ...groups(after)].map((group) => group.padStart(4, "0")).join(""),
    "hex",
  );
}

const coreAnnotations: Readonly<Record<string, readonly [string, string, string]>> = {
  CLIENT: ["cs", "cr", "sa"],
  SERVER: ["sr", "ss", "ca"],
  PRODUCER: ["ms", "ws", "ma"],
  CONSUMER: ["wr", "mr", "ma"],
};

/** The same span in Zipkin's first model: times and kind as annotations, the far side as an address. */
export function v1Of(span: ZipkinJson): object {
  const { traceId, id, parentId, name, kind, timestamp, duration, localEndpoint, remoteEndpoint } = span;
  const [start, end, address] = coreAnnotations[kind ?? ""] ?? [];
  const annotations = (span.annotations ?? []).map((item) => ({ ...item, endpoint: localEndpoint }));
  const binaryAnnotations: object[] = Object.entries(span.tags ?? {}).map(([key, value]) => ({
    key,
    value,
    endpoint: localEndpoint,
  }));
  if (start !== undefined && timestamp !== undefined)
    annotations.unshift({ timestamp, value: start, endpoint: localEndpoint });
  if (end !== undefined && timestamp !== undefined && duration !== undefined)
    annotations.push({ timestamp: timestamp + duration, value: end, endpoint: localEndpoint });
  if (address !== undefined && remoteEndpoint !== undefined)
    binaryAnnotations.push({ key: address, value: true, endpoint: remoteEndpoint });
  if (localEndpoint !== undefined) binaryAnnotations.push({ key: "lc", value: "", endpoint: localEndpoint });
  const times = kind === undefined ? { timestamp, duration } : {};
  return { traceId, id, parentId, name, ...times, annotations, binaryAnnotations };
}
