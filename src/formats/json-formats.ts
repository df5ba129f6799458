import type { SpanTable } from "../model/span-table.ts";
import { type DecodeResult, MalformedBodyError } from "../model/telemetry.ts";
import { decodeTracesJson } from "../otlp/json-traces.ts";
import { appendJaegerDocument, appendJaegerTrace } from "./jaeger-json.ts";
import { decodeZipkinSpan, decodeZipkinV1Span } from "./zipkin-json.ts";

/** Takes the bytes of one object in. Throws `MalformedBodyError`; then nothing of it was used. */
export type SpanReader = (bytes: Uint8Array, table: SpanTable) => DecodeResult;

/** A format of JSON whose files repeat one kind of object. */
export interface JsonFormat {
  /** for people */
  readonly name: string;
  /** the keys that lead to these objects; none = a list of them, or one behind another */
  readonly path: readonly string[];
  /** what tells it from others: the paths of keys (lists left out) of any of these sets */
  readonly signs: readonly (readonly string[])[];
  /** whether an object is read as a tree, or as bytes that may nest as deep as they like */
  readonly isTree: boolean;
  readonly append: SpanReader;
}

const documents = "Jaeger documents from Elasticsearch";

/** Tried in this order. */
const jsonFormats: readonly JsonFormat[] = [
  wrapped("Tempo JSON (v1)", ["batches"], [["batches"]]),
  wrapped("Tempo JSON (v2)", ["trace", "resourceSpans"], [["trace.resourceSpans"]]),
  wrapped("Jaeger API v3 JSON", ["result", "resourceSpans"], [["result.resourceSpans"], ["error.httpCode"]]),
  tree(
    "Jaeger JSON",
    ["data"],
    [["data.spans.spanID"], ["data.traceID", "data.processes"], ["data", "total", "limit", "offset"]],
    appendJaegerTrace,
  ),
  tree(
    "Jaeger JSON",
    [],
    [["spans.spanID"], ["traceID", "spans"], ["traceID", "processes"], ["spans", "processes"]],
    appendJaegerTrace,
  ),
  tree(documents, [], [["traceID", "spanID"]], appendJaegerDocument),
  tree(documents, ["_source"], [["_source.traceID", "_source.spanID"]], appendJaegerDocument),
  tree(documents, ["hits", "hits", "_source"], [["hits.hits._source.spanID"]], appendJaegerDocument),
  {
    name: "Zipkin v1 JSON",
    path: [],
    signs: [
      ["traceId", "id", "binaryAnnotations"],
      ["traceId", "id", "annotations.endpoint"],
    ],
    isTree: false,
    append: decodeZipkinV1Span,
  },
  {
    name: "Zipkin v2 JSON",
    path: [],
    signs: [["traceId", "id"]],
    isTree: false,
    append: decodeZipkinSpan,
  },
];

/** The format whose signs are among the paths of keys that a file begins with. */
export function jsonFormatOf(paths: ReadonlySet<string>): JsonFormat | null {
  return jsonFormats.find(({ signs }) => signs.some((set) => set.every((path) => paths.has(path)))) ?? null;
}

/** Keys at the top of a record that say something about all of it. */
export const notedKeys: readonly string[] = ["status", "errors", "error"];

/** Lists of ResourceSpans that stand under keys of their own. */
function wrapped(name: string, path: readonly string[], signs: JsonFormat["signs"]): JsonFormat {
  return {
    name,
    path,
    signs,
    isTree: false,
    append: (bytes, table) => decodeTracesJson(inRequest(bytes), table),
  };
}

const before = Buffer.from('{"resourceSpans":[');

function inRequest(element: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(before.length + element.length + 2);
  bytes.set(before);
  bytes.set(element, before.length);
  bytes.write("]}", before.length + element.length, "latin1");
  return bytes;
}

function tree(
  name: string,
  path: readonly string[],
  signs: JsonFormat["signs"],
  append: (element: unknown, table: SpanTable) => DecodeResult,
): JsonFormat {
  return { name, path, signs, isTree: true, append: (bytes, table) => append(parsed(bytes), table) };
}

function parsed(bytes: Uint8Array): unknown {
  const { buffer, byteOffset, length } = bytes;
  try {
    return JSON.parse(Buffer.from(buffer, byteOffset, length).toString("utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw new MalformedBodyError(`broken JSON: ${error.message}`, 0);
    throw error;
  }
}

/** What a record says of itself, in words. */
export interface Note {
  readonly kind: "partial" | "error" | "malformed";
  readonly message: string;
}

/** The value of one of `notedKeys`; null where that is nothing to tell. */
export function noteOf(key: string, value: Uint8Array): Note | null {
  let said: unknown;
  try {
    said = parsed(value);
  } catch (error) {
    if (error instanceof MalformedBodyError) return { kind: "malformed", message: error.message };
    throw error;
  }
  if (key === "status")
    return said === "PARTIAL"
      ? { kind: "partial", message: "the server that gave the trace says that it is not whole (PARTIAL)" }
      : null;
  const errors: readonly unknown[] = Array.isArray(said) ? said : [said];
  const messages = errors.flatMap((error) => (isRecord(error) ? [error["message"] ?? error["msg"]] : []));
  const texts = messages.filter((message) => typeof message === "string");
  return texts.length === 0 ? null : { kind: "error", message: texts.join("; ") };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
