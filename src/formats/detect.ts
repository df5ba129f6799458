import { requestShape } from "../otlp/request-shape.ts";
import { type JsonFormat, jsonFormatOf, otlpJson } from "./json-formats.ts";
import { keyPathsOf } from "./json-key-paths.ts";
import { signalOfKey, startsRecord } from "./otlp-json-keys.ts";
import { isZipkinProtobuf } from "./zipkin-protobuf.ts";

/** How much of a file's beginning decides what it is. */
export const headBytes = 64 * 1024;

export type Format =
  | { readonly kind: "empty" }
  | { readonly kind: "json"; readonly format: JsonFormat }
  | { readonly kind: "protobuf"; readonly framing: "delimited" | "raw" | "zipkin" }
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
  const isProtobuf = framing === "zipkin" || (framing !== null && head.includes(itemTag));
  if (!isProtobuf && (byte === 0x7b || byte === 0x5b)) return jsonFormat(head, start);
  if (framing !== null) return { kind: "protobuf", framing };
  if (hasRecordLine(head)) return { kind: "json", format: otlpJson };
  const format = formatBehindLine(head);
  return format === null ? unknownFormat(head) : { kind: "json", format };
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

const archiveHint = "unpack it and give the folder";
const binaryKinds: readonly BinaryKind[] = [
  { magic: [0x50, 0x4b, 0x03, 0x04], name: "a zip archive", hint: archiveHint },
  { magic: [0x75, 0x73, 0x74, 0x61, 0x72], at: 257, name: "a tar archive", hint: archiveHint },
  { magic: [0x42, 0x5a, 0x68], name: "bzip2-compressed data", hint: "unpack it first: bzip2 -d FILE" },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], name: "xz-compressed data", hint: "unpack it first: xz -d FILE" },
  { magic: [0x04, 0x22, 0x4d, 0x18], name: "lz4-compressed data", hint: "unpack it first: lz4 -d FILE" },
  { magic: [0x50, 0x41, 0x52, 0x31], name: "Parquet", hint: "export the spans as OTLP JSON" },
  { magic: [0xff, 0xfe], name: "UTF-16 text", hint: "convert it: iconv -f UTF-16 -t UTF-8 FILE" },
  { magic: [0xfe, 0xff], name: "UTF-16 text", hint: "convert it: iconv -f UTF-16 -t UTF-8 FILE" },
];

/** JSON that is not read, by keys that only it has, anywhere in it; the first whose keys are all there. */
const foreignJson: readonly {
  readonly name: string;
  readonly keys: readonly string[];
  readonly hint: string;
}[] = [
  {
    name: "a topology for the structural engine",
    keys: ["services", "dependencies"],
    hint: "give it to: hypocenter debug FILE --failed-service SERVICE",
  },
  {
    name: "OTLP profiles",
    keys: ["resourceProfiles"],
    hint: "give traces, metrics or logs: profiles are not analysed",
  },
  {
    name: "SkyWalking JSON",
    keys: ["segmentId", "spanId"],
    hint: "send it through the OpenTelemetry Collector's skywalking receiver and file exporter",
  },
  {
    name: "AWS X-Ray JSON",
    keys: ["Segments"],
    hint: "send it through the OpenTelemetry Collector's awsxray receiver and file exporter",
  },
  {
    name: "Datadog JSON",
    keys: ["span_id", "resource"],
    hint: "send it through the OpenTelemetry Collector's datadog receiver and file exporter",
  },
  {
    name: "a Chrome trace",
    keys: ["traceEvents"],
    hint: "it names no services; give the traces it was made from, as OTLP, Jaeger, Zipkin or Tempo JSON",
  },
  {
    name: "a Grafana data frame",
    keys: ["schema", "fields"],
    hint: "export the trace itself (in Grafana's Explore: Trace, Export), or ask Tempo for /api/v2/traces/ID",
  },
];

function jsonFormat(head: Uint8Array, start: number): Format {
  const text = Buffer.from(head.buffer, head.byteOffset + start, head.length - start).toString("latin1");
  const paths = keyPathsOf(text);
  const [first] = paths;
  if (first === undefined)
    return /^[{[\s]*[}\]]/.test(text) ? { kind: "json", format: otlpJson } : unknownFormat(head);
  if (signalOfKey(first) !== null) return { kind: "json", format: otlpJson };
  const format = jsonFormatOf(paths) ?? formatBehindLine(head);
  if (format !== null) return { kind: "json", format };
  const keys = new Set(Array.from(text.matchAll(/"([A-Za-z_]{1,40})"\s*:/g), ([, key]) => key));
  const foreign = foreignJson.find((candidate) => candidate.keys.every((key) => keys.has(key)));
  if (foreign !== undefined) return { kind: "unsupported", name: foreign.name, hint: foreign.hint };
  if ([...keys].some((key) => signalOfKey(key ?? "") !== null) || hasRecordLine(head))
    return { kind: "json", format: otlpJson };
  return unknownFormat(head);
}

function protobufFraming(head: Uint8Array, isWhole: boolean): "delimited" | "raw" | "zipkin" | null {
  if (isZipkinProtobuf(head)) return "zipkin";
  if (head[0] === 0x0a && isTelemetry(head, 0, head.length)) return "raw";
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
      // One good record is enough: the next may be damaged.
      if (head[at + 4] !== 0x0a || !isTelemetry(head, at + 4, Math.min(end, head.length))) return seen > 0;
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

/** The format of what comes after the first line, where that line is the end of a record that began in another file. */
function formatBehindLine(head: Uint8Array): JsonFormat | null {
  const lineEnd = head.indexOf(0x0a);
  if (lineEnd < 0 || (head[lineEnd + 1] !== 0x7b && head[lineEnd + 1] !== 0x5b)) return null;
  return jsonFormatOf(keyPathsOf(Buffer.from(head.subarray(lineEnd + 1)).toString("latin1")));
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
      "OTLP protobuf (raw, length-delimited), JSON of Jaeger, Zipkin and Tempo, Zipkin protobuf, and the other formats " +
      "that hypocenter can name",
  };
}
