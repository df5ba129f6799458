import { signalOfKey, startsRecord } from "./json-records.ts";
import { requestShape } from "./protobuf-records.ts";

/** How much of a file's beginning decides what it is. */
export const headBytes = 64 * 1024;

export type Format =
  | { readonly kind: "empty" }
  | { readonly kind: "json" }
  | { readonly kind: "protobuf"; readonly framing: "delimited" | "raw" }
  /** Known, but not read in this version. */
  | { readonly kind: "unsupported"; readonly name: string; readonly hint: string }
  | { readonly kind: "unknown"; readonly hint: string };

/**
 * What a file holds, from its first bytes (`head`, unpacked; the whole of it if `isWhole`). Names and endings do not count:
 * the collector writes JSON lines into `.json`, people rename things.
 */
export function detectFormat(head: Uint8Array, isWhole: boolean): Format {
  const start = firstByte(head);
  if (start === head.length) return { kind: "empty" };
  const known = binaryKinds.find(({ magic, at }) => magic.every((byte, i) => head[(at ?? 0) + i] === byte));
  if (known !== undefined) return { kind: "unsupported", name: known.name, hint: known.hint };
  const framing = protobufFraming(head, isWhole);
  const byte = head[start];
  // Lengths of 91 and 123 look like brackets; but the tag of what a request holds is a byte that JSON never has.
  const isProtobuf = framing !== null && head.includes(itemTag);
  if (!isProtobuf && (byte === 0x7b || byte === 0x5b)) return jsonFormat(head, start);
  if (framing === "zipkin") return laterFormat("Zipkin v2 protobuf");
  if (framing !== null) return { kind: "protobuf", framing };
  if (hasRecordLine(head)) return { kind: "json" };
  return unknownFormat(head);
}

/** Of `scope_spans` and its like: field 2, bytes. */
const itemTag = 0x12;

/** Behind a byte order mark, white space and zeros. */
function firstByte(head: Uint8Array): number {
  let at = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0;
  while (at < head.length && (head[at] === 0 || isSpace(head[at] as number))) at += 1;
  return at;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

interface BinaryKind {
  readonly magic: readonly number[];
  /** where the magic bytes stand; 0 unless given */
  readonly at?: number;
  readonly name: string;
  readonly hint: string;
}

const zstdHint = "unpack it first: zstd -d FILE";
const archiveHint = "unpack it and give the folder";
const binaryKinds: readonly BinaryKind[] = [
  { magic: [0x28, 0xb5, 0x2f, 0xfd], name: "zstd-compressed data", hint: zstdHint },
  {
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    at: 4,
    name: "records compressed with zstd one by one, as older collectors write them",
    hint: "set `compression: none` in the collector's file exporter",
  },
  { magic: [0x2a, 0x4d, 0x18], at: 1, name: "zstd-compressed data", hint: zstdHint },
  { magic: [0x50, 0x4b, 0x03, 0x04], name: "a zip archive", hint: archiveHint },
  { magic: [0x75, 0x73, 0x74, 0x61, 0x72], at: 257, name: "a tar archive", hint: archiveHint },
  { magic: [0x42, 0x5a, 0x68], name: "bzip2-compressed data", hint: "unpack it first: bzip2 -d FILE" },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], name: "xz-compressed data", hint: "unpack it first: xz -d FILE" },
  { magic: [0x04, 0x22, 0x4d, 0x18], name: "lz4-compressed data", hint: "unpack it first: lz4 -d FILE" },
  { magic: [0x50, 0x41, 0x52, 0x31], name: "Parquet", hint: "export the spans as OTLP JSON" },
  { magic: [0xff, 0xfe], name: "UTF-16 text", hint: "convert it: iconv -f UTF-16 -t UTF-8 FILE" },
  { magic: [0xfe, 0xff], name: "UTF-16 text", hint: "convert it: iconv -f UTF-16 -t UTF-8 FILE" },
];

/** JSON of others by the keys that only they have, in this order; the first whose keys are all there. */
const foreignJson: readonly { readonly name: string; readonly keys: readonly string[] }[] = [
  { name: "Tempo JSON (v1)", keys: ["batches"] },
  { name: "Tempo JSON (v2)", keys: ["trace", "resourceSpans"] },
  { name: "Jaeger API v3 JSON", keys: ["result", "resourceSpans"] },
  { name: "OTLP profiles", keys: ["resourceProfiles"] },
  { name: "Jaeger documents from Elasticsearch", keys: ["traceID", "startTimeMillis"] },
  { name: "Jaeger JSON", keys: ["traceID", "spans"] },
  { name: "Jaeger JSON", keys: ["spanID", "operationName"] },
  { name: "Zipkin v1 JSON", keys: ["traceId", "binaryAnnotations"] },
  { name: "SkyWalking JSON", keys: ["segmentId", "spanId"] },
  { name: "Zipkin v2 JSON", keys: ["traceId", "id"] },
  { name: "AWS X-Ray JSON", keys: ["Segments"] },
  { name: "Datadog JSON", keys: ["span_id", "resource"] },
  { name: "a Chrome trace", keys: ["traceEvents"] },
  { name: "a Grafana data frame", keys: ["schema", "fields"] },
];

function jsonFormat(head: Uint8Array, start: number): Format {
  const text = Buffer.from(head.buffer, head.byteOffset + start, head.length - start).toString("latin1");
  const keys = new Set<string>();
  let first: string | null = null;
  for (const match of text.matchAll(/"([A-Za-z_]{1,40})"\s*:/g)) {
    const key = match[1] as string;
    first ??= key;
    keys.add(key);
  }
  if (first === null) return /^[{[\s]*[}\]]/.test(text) ? { kind: "json" } : unknownFormat(head);
  if (signalOfKey(first) !== null) return { kind: "json" };
  if (keys.has("services") && keys.has("dependencies"))
    return {
      kind: "unsupported",
      name: "a topology for the structural engine",
      hint: "give it to: hypocenter debug FILE --failed-service SERVICE",
    };
  const foreign = foreignJson.find((candidate) => candidate.keys.every((key) => keys.has(key)));
  if (foreign !== undefined) return laterFormat(foreign.name);
  if ([...keys].some((key) => signalOfKey(key) !== null) || hasRecordLine(head)) return { kind: "json" };
  return unknownFormat(head);
}

function laterFormat(name: string): Format {
  return {
    kind: "unsupported",
    name,
    hint: "export the trace as OTLP JSON or OTLP protobuf",
  };
}

function protobufFraming(head: Uint8Array, isWhole: boolean): "delimited" | "raw" | "zipkin" | null {
  if (head[0] === 0x0a && isTelemetry(head, 0, head.length)) return "raw";
  if (head[0] === 0x0a && head[2] === 0x0a && (head[3] === 8 || head[3] === 16)) return "zipkin";
  return isDelimited(head, isWhole) ? "delimited" : null;
}

/** One or two records, each behind its length in four bytes. Empty records (length 0) may come first. */
function isDelimited(head: Uint8Array, isWhole: boolean): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  let seen = 0;
  for (let at = 0; at + 4 < head.length && seen < 2; ) {
    const length = view.getUint32(at);
    const end = at + 4 + length;
    if (length > 0) {
      if (head[at + 4] !== 0x0a || !isTelemetry(head, at + 4, Math.min(end, head.length))) return false;
      seen += 1;
    }
    if (end > head.length) return !isWhole || seen > 0;
    at = end;
  }
  return seen > 0;
}

function isTelemetry(bytes: Uint8Array, start: number, end: number): boolean {
  return requestShape(bytes.subarray(start, end)) !== null;
}

/** Whether a line further down is a record: the file begins in the middle of one, after a rotation or a cut. */
function hasRecordLine(head: Uint8Array): boolean {
  for (let at = head.indexOf(0x0a); at >= 0; at = head.indexOf(0x0a, at + 1))
    if (startsRecord(head, at + 1, head.length)) return true;
  return false;
}

function unknownFormat(head: Uint8Array): Format {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 4096)).toString("latin1");
  const firstLine = text.split("\n", 1)[0] as string;
  const looksLike = /^[\w .:"-]+([,;\t][\w .:"-]*){2,}\r?$/.test(firstLine) ? "It looks like CSV. " : "";
  const shown = JSON.stringify(text.slice(0, 48)).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return {
    kind: "unknown",
    hint:
      `it starts with ${shown}. ${looksLike}Tried: OTLP JSON (an object, lines, an array), ` +
      "OTLP protobuf (raw, length-delimited), and the other formats that hypocenter can name",
  };
}
